"""Notebook 8, pretraining."""

import math
from collections.abc import Sequence

from groundup.course.exercises import Exercise
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import FitConfig, Schedule
from groundup.train.steps.step_schedule import learning_rate

Vector = Sequence[float]
Matrix = Sequence[Vector]


def _num_windows(n: int, context: int, stride: int) -> int:
    return (n - 1 - context) // stride + 1


def _back(matrix: Matrix, delta: Vector) -> list[float]:
    """Return the matrix transposed, times delta."""
    return [
        sum(row[k] * d for row, d in zip(matrix, delta, strict=True)) for k in range(len(matrix[0]))
    ]


def _hidden_gradient(matrix: Matrix, delta: Vector, a: Vector) -> list[float]:
    return [
        slope if value > 0 else 0.0 for slope, value in zip(_back(matrix, delta), a, strict=True)
    ]


def _times_activation(matrix: Matrix, delta: Vector, a: Vector) -> list[float]:
    return [slope * max(0.0, value) for slope, value in zip(_back(matrix, delta), a, strict=True)]


def _not_transposed(matrix: Matrix, delta: Vector, a: Vector) -> list[float]:
    forward = [sum(w * d for w, d in zip(row, delta, strict=False)) for row in matrix]
    return [slope if value > 0 else 0.0 for slope, value in zip(forward, a, strict=False)]


def _wsd(step: int, steps: int, warmup: int, decay: int, highest: float, lowest: float) -> float:
    config = FitConfig(
        steps=steps,
        schedule=Schedule(
            warmup_steps=warmup, decay_steps=decay, min_learning_rate=lowest, name="wsd"
        ),
        optimizer=AdamW(learning_rate=highest),
    )
    return learning_rate(step, config)


def _fall(step: int, begin: int, length: int, highest: float, lowest: float) -> float:
    return highest - (highest - lowest) * min(1.0, max(0.0, (step - begin) / length))


def _from_zero(
    step: int, steps: int, warmup: int, decay: int, highest: float, lowest: float
) -> float:
    if step < warmup:
        return highest * step / warmup
    return _wsd(step, steps, warmup, decay, highest, lowest)


def _ends_late(
    step: int, steps: int, warmup: int, decay: int, highest: float, lowest: float
) -> float:
    if step < warmup:
        return _wsd(step, steps, warmup, decay, highest, lowest)
    return _fall(step, steps - decay, decay, highest, lowest)


def _falls_at_once(
    step: int, steps: int, warmup: int, decay: int, highest: float, lowest: float
) -> float:
    if step < warmup:
        return _wsd(step, steps, warmup, decay, highest, lowest)
    return _fall(step, warmup, steps - 1 - warmup, highest, lowest)


def _cosine_fall(
    step: int, steps: int, warmup: int, decay: int, highest: float, lowest: float
) -> float:
    if step < steps - decay:
        return _wsd(step, steps, warmup, decay, highest, lowest)
    way = (step - (steps - decay)) / (decay - 1)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * way)) / 2


TOKENS_READ, TEXT_TOKENS = 480 * 16 * 64, 23251

EXERCISES = {
    "8.1": Exercise(
        _num_windows,
        (
            (
                lambda n, context, stride: (n - context) // stride + 1,
                "A window has T + 1 tokens: the last label has to fit, too.",
            ),
            (
                lambda n, context, stride: (n - 1 - context) // stride,
                "That is how often the start can be moved. The window at token 0 counts, too.",
            ),
            (lambda n, context, stride: n // context, "Windows begin S tokens apart, not T."),
            (
                lambda n, context, stride: (n - 1 - context) / stride + 1,
                "Only whole windows count: round down.",
            ),
        ),
        hint="How often can the start be moved by S, so that T + 1 tokens still fit? One more than that.",
        cases=((16, 4, 4), (16, 4, 2), (5, 4, 4), (129, 64, 64), (128, 64, 64), (1000, 64, 100)),
    ),
    "8.2": Exercise(
        [0.7, -0.8, 0.1],
        (
            (
                [-0.7, 0.8, -0.1],
                "The signs are reversed: that is the direction of the update, against the gradient.",
            ),
            (
                [0, -0.8, 0],
                "The other scores count, too: each is in the sum under the fraction of softmax.",
            ),
            (
                [0, -5, 0],
                "That is the gradient by the probabilities. It is asked for by the scores.",
            ),
            ([0.7, 0.2, 0.1], "These are the probabilities. What is subtracted, and where?"),
            ([0.7, 0.8, 0.1], "0.2 less 1 is negative."),
        ),
        hint="The probability of each, less 1 at the true token.",
    ),
    "8.3": Exercise(
        _hidden_gradient,
        (
            (
                lambda matrix, delta, a: _back(matrix, delta),
                "That is the gradient by h. ReLU lets it through only where a is above 0.",
            ),
            (
                lambda matrix, delta, a: [max(0.0, slope) for slope in _back(matrix, delta)],
                "ReLU is applied to the gradient itself. What counts is whether a is above 0.",
            ),
            (
                _times_activation,
                "That multiplies by h. The slope of ReLU is 1 where a is above 0, not a.",
            ),
            (
                _not_transposed,
                "That multiplies by W2 as in the forward pass. Backwards its columns count.",
            ),
        ),
        hint="For each k: the sum of (W2)_ik delta_i over all i; then 0 where a_k is not above 0.",
        cases=(
            (
                [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.5, 1.0]],
                [0.2, -0.6, 0.4],
                [1.0, 2.0, -1.0],
            ),
            ([[1.0, 2.0], [3.0, -1.0]], [0.5, -0.5], [0.5, 3.0]),
            ([[2.0], [1.0], [-1.0]], [-0.9, 0.3, 0.6], [0.25]),
        ),
    ),
    "8.4": Exercise(
        -0.001,
        (
            (-0.000003, "That is SGD. AdamW divides by the root of the square of the gradient."),
            (0.001, "The update goes against the gradient."),
            (-0.003, "The size of the gradient drops out, the learning rate does not."),
            (-1, "That is the fraction. It is multiplied by the learning rate."),
            (
                -0.0001,
                "That leaves m at a tenth of the gradient. It is corrected, too: divided by 1 - 0.9.",
            ),
        ),
        hint="In the first step the corrected means are g and g squared. Decay does nothing to a weight of 0.",
    ),
    "8.5": Exercise(
        _wsd,
        (
            (
                _from_zero,
                "In step s of the warm-up the rate is (s + 1) / W of the highest: the first step is no lost one.",
            ),
            (
                _ends_late,
                "The last step, N - 1, has the lowest rate already: the fall takes D - 1 steps.",
            ),
            (
                _falls_at_once,
                "The fall begins D steps before the end; until then the highest rate stays.",
            ),
            (_cosine_fall, "That falls as a cosine. The dashed line is straight."),
        ),
        hint="Three parts: the warm-up as before, the highest rate until step N - D, then a straight line to the lowest at step N - 1.",
        cases=(
            (0, 100, 5, 20, 2.0, 0.2),
            (4, 100, 5, 20, 2.0, 0.2),
            (50, 100, 5, 20, 2.0, 0.2),
            (80, 100, 5, 20, 2.0, 0.2),
            (86, 100, 5, 20, 2.0, 0.2),
            (99, 100, 5, 20, 2.0, 0.2),
            (7, 40, 4, 11, 1.0, 0.0),
            (33, 40, 4, 11, 1.0, 0.0),
        ),
    ),
    "8.6": Exercise(
        TOKENS_READ / TEXT_TOKENS,
        (
            (TOKENS_READ, "That is how many tokens were read. How often is that the text?"),
            (480 * 16 / TEXT_TOKENS, "A window has 64 tokens."),
            (480 * 64 / TEXT_TOKENS, "A step reads 16 windows."),
            (480 / TEXT_TOKENS, "That divides steps by tokens. How many tokens does a step read?"),
            (
                TEXT_TOKENS / TOKENS_READ,
                "That is the share of the reading that one epoch is: turn it round.",
            ),
        ),
        hint="Tokens read are steps times windows times tokens of a window; an epoch is the text once.",
        tolerance=0.01,
    ),
}
