"""The config of a model from its depth or its approximate number of parameters, by one rule for a
whole family of sizes.

shape_of_depth(4, vocab_size=4_096)             width, heads, feed-forward, context
shape_of_size(10_000_000, vocab_size=4_096)     the nearest depth and width of the family
parse_size("124M")                              124000000

Width is 128 (depth / 4)^(5/3), which fits well-trained models: the quickstart's 4 x 128, GPT-2's 12
x 768 (Radford et al. 2019), Llama's 32 x 4,096 (Touvron et al. 2023). Near the rule the loss hardly
depends on the ratio of width to depth (Kaplan et al. 2020, figure 5: a few percent over a factor of
ten), so rounding does no harm. Heads are 64 wide, 32 below width 256; two or three share a
key/value head where their number is divisible (Ainslie et al. 2023). Feed-forward width is 8/3 of
the width, so that SwiGLU's three matrices have as many numbers as two of four times the width
(Shazeer 2020). The context is about as long as the width, as in GPT-2 (768, 1,024) and Llama 2
(4,096, 4,096).
"""

import math
import re

from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.sizes import parameter_count

MAX_DEPTH = 64
# The smallest model of the rule, and the exponent of width over depth.
FIRST_DEPTH, FIRST_WIDTH, POWER = 4, 128, 5 / 3
NARROW_WIDTH = 256
"""Below, heads are 32 wide and the width is a multiple of 32 (a block of q8_0); from here both are
64.
"""
WIDE_WIDTH = 1_024
"""From here the width is a multiple of 128, and the feed-forward width of 256 as in Llama; below,
of 64.
"""
SHORTEST_CONTEXT, LONGEST_CONTEXT = 128, 4_096
# The largest factor between the width and the rule in `shape_of_size`, and the tolerance of the
# size.
WIDTH_SPREAD, NEAR = 1.5, 0.06
# The number of shapes that are counted exactly, after all have been estimated.
LIKELY = 60
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
_SIZE = re.compile(r"(\d{1,12}(?:[_,]\d{3})*(?:\.\d{1,6})?)\s*([kmbg]?)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the number of parameters of a text such as 10M, 1.5B, 300k or 124439808.

    Raises ConfigError.
    """
    match, size = _SIZE.fullmatch(text.strip()), 0
    if match:
        size = int(float(re.sub("[_,]", "", match[1])) * UNITS[match[2].lower()])
    if not size:
        raise ConfigError(
            f"The size {text!r} can't be read, expected parameters as a number with k, M or B.",
            fix="Write it as 10M.",
        )
    return size


def shape_of_depth(
    depth: int, *, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """Return the family's model with `depth` blocks. Raises ConfigError outside of 1 .. 64."""
    if not 1 <= depth <= MAX_DEPTH:
        raise ConfigError(f"depth must be 1 to {MAX_DEPTH} (got {depth}).")
    return shape_of(depth, _round_width(ideal_width(depth)), vocab_size, context_tokens)


def shape_of_size(
    parameters: int, *, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """Return the shape nearest to the rule of those with about this number of parameters.

    Raises ConfigError where all are far larger or smaller.
    """

    def distance(count: int) -> float:
        return abs(math.log(count / parameters))

    likely = sorted(
        _near_rule(), key=lambda each: distance(_estimate(each[0], each[1], vocab_size))
    )
    shapes = [shape_of(*each, vocab_size, context_tokens) for each in likely[:LIKELY]]
    distances = [distance(parameter_count(shape).total) for shape in shapes]
    nearest = shapes[distances.index(min(distances))]
    if min(distances) > math.log(WIDTH_SPREAD):
        raise ConfigError(
            f"No model of the family has about {parameters:,} parameters; with {vocab_size:,} ids "
            f"the nearest has {parameter_count(nearest).total:,}.",
            fix="Choose another size, or another vocabulary (model.vocab_size).",
        )
    pairs = zip(shapes, distances, strict=True)
    near = [shape for shape, distance in pairs if distance < NEAR] or [nearest]
    return min(near, key=lambda shape: abs(math.log(shape.width / ideal_width(shape.num_layers))))


def ideal_width(depth: int) -> float:
    """Return the rule's width, not rounded."""
    return FIRST_WIDTH * (depth / FIRST_DEPTH) ** POWER


def _near_rule() -> list[tuple[int, int]]:
    """Return (depth, width) of all shapes with a width of 2/3 to 3/2 of the rule's."""
    shapes = []
    for depth in range(1, MAX_DEPTH + 1):
        low = _round_width(ideal_width(depth) / WIDTH_SPREAD)
        high = _round_width(ideal_width(depth) * WIDTH_SPREAD)
        widths = [
            width for width in range(low, high + 1, 32) if width == _round_width(float(width))
        ]
        shapes += [(depth, width) for width in widths]
    return shapes


def _estimate(depth: int, width: int, vocab_size: int) -> int:
    """Return the approximate parameters: the embedding, and per block 3 C^2 of attention and 8 C^2
    of feed-forward.
    """
    return vocab_size * width + 11 * depth * width**2


def _round_width(width: float) -> int:
    """Round to a whole number of heads."""
    step = 128
    if width < NARROW_WIDTH:
        step = 32
    elif width < WIDE_WIDTH:
        step = 64
    return max(step, step * round(width / step))


def shape_of(
    depth: int, width: int, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """Return the family's model of a depth and a width.

    Raises ConfigError for a width that is not a whole number of heads.
    """
    nearest = _round_width(float(width))
    if width != nearest:
        raise ConfigError(
            f"A width of {width} is not a whole number of heads.", fix=f"The nearest is {nearest}."
        )
    head_width = 32 if width < NARROW_WIDTH else 64
    step = 64 if width < WIDE_WIDTH else 256
    heads = width // head_width
    return ModelConfig(
        vocab_size=vocab_size,
        context_tokens=context_tokens or context_of(width),
        width=width,
        num_layers=depth,
        num_heads=heads,
        num_kv_heads=heads // next((sharing for sharing in (2, 3) if heads % sharing == 0), 1),
        head_width=head_width,
        feedforward_width=step * math.ceil(8 / 3 * width / step),
    )


def context_of(width: int) -> int:
    """Return the power of two at or above the width, within bounds."""
    return min(LONGEST_CONTEXT, max(SHORTEST_CONTEXT, 2 ** math.ceil(math.log2(width))))
