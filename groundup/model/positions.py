"""Position encodings: attention by itself ignores the order of tokens.

    rotary       rotates every query and key by an angle proportional to its position (Su et al.
                 2021): scores then depend only on the distance between two tokens. Inside
                 attention.
    ALiBi        subtracts from every score a penalty proportional to the distance, with a slope per
                 head (Press et al. 2022): generalises to texts longer than in training. Inside
                 attention.
    learned      a matrix with a row per position, added to the embedding (GPT-2).
    sinusoidal   the same with fixed rows of sines and cosines (Vaswani et al. 2017, section 3.5).
    none         only the causal mask (a causal model can count, Haviv et al. 2022).
    relative     beside any of these: adds to every score a learned number of its head for the
                 distance of the two tokens, one for each bucket of distances (T5, MPNet).

A position is the number of real tokens before a token in its row, in a packed row in its document;
padding on either side does not count.
"""

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.model.rope_scaling import RopeScaling, attention_factor

# Of relative positions, in tokens: all that are farther apart share a bucket.
MAX_DISTANCE = 128


class Rotation(NamedTuple):
    """Cosine and sine of every token's angles: both [1 or B, T, 1, D]."""

    cosine: Tensor
    sine: Tensor


def count_positions(real: Bool[Tensor, "B S"], num_tokens: int) -> Int[Tensor, "B {num_tokens}"]:
    """Of the last `num_tokens` tokens of every row; `real` marks the real ones of all S.

    >>> count_positions(torch.tensor([[False, True, True]]), 3).tolist()
    [[0, 0, 1]]
    """
    return (real.long().cumsum(dim=1) - 1).clamp(min=0)[:, -num_tokens:]


def document_positions(documents: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Of packed rows: 0, 1, 2, ... from the first token of each document.

    >>> document_positions(torch.tensor([[0, 0, 1, 1, 1]])).tolist()
    [[0, 1, 0, 1, 2]]
    """
    places = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    first = (places * begins).cummax(dim=1).values  # the place of the document's first token
    return places - first


def rotary_frequencies(
    head_width: int, base: float, scaling: RopeScaling | None = None
) -> Float[Tensor, " half"]:
    """The angle per token of each of the D/2 pairs of components, in radians; pair 0 is the
    fastest. In float32 and with the order of operations of transformers: at position 100,000 an
    angle is rounded to about 0.01 radians, and a more exact computation would give other logits
    than in training.
    """
    exponents = torch.arange(0, head_width, 2, dtype=torch.float32, device="cpu") / head_width
    frequencies = 1.0 / base**exponents  # eq. 15: theta_i = base^(-2i / D)
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor  # Chen et al. 2023: position interpolation
    if scaling.kind == "yarn":
        return yarn_frequencies(frequencies, base, scaling)
    return llama3_frequencies(frequencies, scaling)


def llama3_frequencies(
    frequencies: Float[Tensor, " half"], scaling: RopeScaling
) -> Float[Tensor, " half"]:
    """High frequencies are unchanged, low ones divided by `factor`, those in between
    interpolated.
    """
    # full rotations within the original context
    turns = scaling.original_context_tokens * frequencies / (2 * math.pi)
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = kept.clamp(0.0, 1.0)  # 1: unchanged; 0: scaled
    return kept * frequencies + (1 - kept) * frequencies / scaling.factor


def yarn_frequencies(
    frequencies: Float[Tensor, " half"], base: float, scaling: RopeScaling
) -> Float[Tensor, " half"]:
    """ "NTK by parts" (Peng et al. 2023, section 3.2): as Llama 3's, but interpolated linearly over
    the pair's index, whose two ends are rounded as in the paper's code.
    """
    half, context = len(frequencies), scaling.original_context_tokens

    def index_with(turns: float) -> float:
        return half * math.log(context / (turns * 2 * math.pi)) / math.log(base)

    first = max(math.floor(index_with(scaling.beta_fast)), 0)
    last = min(math.ceil(index_with(scaling.beta_slow)), 2 * half - 1)
    indices = torch.arange(half, dtype=torch.float32, device="cpu")
    scaled = ((indices - first) / max(last - first, 0.001)).clamp(0.0, 1.0)  # 0: unchanged
    return frequencies / scaling.factor * scaled + frequencies * (1 - scaled)


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """The penalty per token of distance of each head: 2^(-8/H), 2^(-16/H), ... (Press et al. 2022,
    section 3). If H is not a power of two: the slopes of the next lower power, then every other
    slope of the next higher.
    """
    floor = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (i + 1) / floor) for i in range(floor)]
    between = [2 ** (-4 * (2 * i + 1) / floor) for i in range(num_heads - floor)]
    return torch.tensor(slopes + between)


def alibi_bias(
    slopes: Float[Tensor, " H"], queries: Int[Tensor, "#B T"], keys: Int[Tensor, "#B S"]
) -> Float[Tensor, "#B H T S"]:
    """-slope times the distance of query and key."""
    distance = (queries[:, :, None] - keys[:, None, :]).float()  # [B, T, S]
    # eq. of section 3: q_i K^T + m [-(i-1), ..., -1, 0]
    return -slopes[:, None, None] * distance[:, None]


def distance_buckets(distances: Int[Tensor, "#B T S"], num_buckets: int) -> Int[Tensor, "#B T S"]:
    """The bucket of each distance key - query, to the left and to the right half of them each:
    a quarter of the buckets for the nearest distances one by one, the next quarter up to
    MAX_DISTANCE by its logarithm, and all that are farther in the last (Raffel et al. 2020, section
    2.1).

    >>> distance_buckets(torch.tensor([[[-200, -8, -1, 0, 1, 8, 200]]]), 32).tolist()
    [[[15, 8, 1, 0, 17, 24, 31]]]
    """
    half, near = num_buckets // 2, num_buckets // 4
    far = distances.abs()
    growth = torch.log(far.clamp(min=1) / near) / math.log(MAX_DISTANCE / near)
    logarithmic = (near + (growth * (half - near)).long()).clamp(max=half - 1)
    return torch.where(far < near, far, logarithmic) + half * (distances > 0)


class RelativeBias(nn.Embedding):
    """A number for each bucket of distances and each head, added to the scores of all blocks."""

    def between(
        self, queries: Int[Tensor, "#B T"], keys: Int[Tensor, "#B S"]
    ) -> Float[Tensor, "#B H T S"]:
        """Of positions."""
        distances = keys[:, None, :] - queries[:, :, None]
        found: Tensor = self(distance_buckets(distances, self.num_embeddings))  # [B, T, S, H]
        return found.permute(0, 3, 1, 2)


def rotate(x: Float[Tensor, "B T heads D"], rotation: Rotation) -> Float[Tensor, "B T heads D"]:
    """Each pair (i, i + D/2) by its token's angle (Hugging Face's "rotate half" order). The minus
    sign of eq. 34 is in `rotation.sine`, so that swapping the two halves is one roll.
    """
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    cosine, sine = rotation.cosine.to(x.dtype), rotation.sine.to(x.dtype)
    return x * cosine + swapped * sine  # eq. 34: x cos + rotate_half(x) sin


class SinusoidTable(nn.Module):
    """The frequencies of rotary or sinusoidal positions. They are not saved, and are recomputed in
    float32 when the module moves, so that a model built on the "meta" device, or cast to bfloat16
    and back, has them exactly. Cosines are computed in every call: a table for the 131,072
    positions of Llama 3.2 would take 34 MB and save no measurable time.
    """

    frequencies: Tensor

    def __init__(
        self, width: int, *, base: float = 10_000.0, scaling: RopeScaling | None = None
    ) -> None:
        super().__init__()
        self.width, self.base, self.scaling = width, base, scaling
        self._fill(torch.device("cpu"))

    def angles(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T half"]:
        return positions.unsqueeze(-1).float() * self.frequencies  # eq. 15 and 34: m theta_i

    def _fill(self, device: torch.device) -> None:
        frequencies = rotary_frequencies(self.width, self.base, self.scaling)
        self.register_buffer("frequencies", frequencies.to(device), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "SinusoidTable":
        device = fn(self.frequencies[:0]).device
        if device != self.frequencies.device:
            self._fill(device)
        return self


class Rotary(SinusoidTable):
    """Positions [B, T] -> Rotation, for heads of `width`."""

    def forward(self, positions: Int[Tensor, "B T"]) -> Rotation:
        angles = self.angles(positions).unsqueeze(2)  # [B, T, 1, D/2]
        factor = attention_factor(self.scaling)
        cosine, sine = angles.cos() * factor, angles.sin() * factor
        return Rotation(torch.cat([cosine, cosine], dim=-1), torch.cat([-sine, sine], dim=-1))


class AddedPositions(nn.Module):
    """Positions [B, T] -> rows [B, T, C] to be added to the embedding. A class in ADDED_POSITIONS
    is all that another one takes: config, sizes and the drawing of the architecture read its
    attributes.
    """

    title: ClassVar[str]
    formula: ClassVar[str] = ""
    has_table: ClassVar[bool] = False
    """Its one weight is a row for each position."""
    in_pairs: ClassVar[bool] = False
    """C must be even."""


class SinusoidalPositions(AddedPositions, SinusoidTable):
    """Rows of sines and cosines of geometrically growing wavelengths."""

    title, formula, in_pairs = "Sinusoidal positions", "sines and cosines", True

    def __init__(self, width: int, context_tokens: int) -> None:
        super().__init__(width)

    def forward(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        # PE(pos, 2i) = sin(pos / 10000^(2i/C)), PE(pos, 2i+1) = cos(the same): they alternate
        angles = self.angles(positions)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class LearnedPositions(AddedPositions, nn.Embedding):
    title, has_table = "Learned positions", True

    def __init__(self, width: int, context_tokens: int) -> None:
        super().__init__(context_tokens, width)


ADDED_POSITIONS: dict[str, type[AddedPositions]] = {
    "learned": LearnedPositions,
    "sinusoidal": SinusoidalPositions,
}
