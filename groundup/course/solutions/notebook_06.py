"""Notebook 6, architecture."""

import math
from collections.abc import Sequence

import torch

from groundup.course.exercises import Exercise
from groundup.model.feedforward import SwiGLU

Vector = Sequence[float]


def _gated(gate: Vector, up: Vector) -> list[float]:
    return SwiGLU.apply_gate(torch.tensor(gate), torch.tensor(up)).tolist()


def _only_sigmoid(gate: Vector, up: Vector) -> list[float]:
    return (torch.tensor(gate).sigmoid() * torch.tensor(up)).tolist()


def _cut_off(gate: Vector, up: Vector) -> list[float]:
    return (torch.tensor(gate).relu() * torch.tensor(up)).tolist()


RMS = math.sqrt((6**2 + 8**2) / 2)
NORMED = 6 / RMS
ATTENTION, NETWORK, NORMS = 2 * 576 * 576 + 2 * 576 * 3 * 64, 3 * 576 * 1536, 2 * 576
EXPERT, ROUTER = 3 * 1024 * 4096, 8 * 1024

EXERCISES = {
    "6.1": Exercise(
        -1.4,
        (
            (1.4, "A norm keeps the sign of each component."),
            (5, "That is the root mean square. Divide the component by it."),
            (
                -0.7,
                "That is divided by the length of the vector. The root is that of the mean of the squares, not of their sum.",
            ),
            (-7 / 25, "That is divided by the mean of the squares; take its root first."),
            (-8 / math.sqrt(24), "That subtracts the mean first, as LayerNorm does."),
        ),
        hint="Square, take the mean of the four, take the root; then divide the component by it.",
    ),
    "6.2": Exercise(
        _gated,
        (
            (
                lambda gate, up: _gated(up, gate),
                "The activation is applied to the gate, not to up.",
            ),
            (
                _only_sigmoid,
                "That is the sigmoid of the gate. SiLU multiplies it with the gate itself.",
            ),
            (
                lambda gate, up: _gated(gate, [1.0] * len(up)),
                "That is the activated gate. Multiply it with up.",
            ),
            (_cut_off, "That sets negative gates to 0. SiLU is smooth: z / (1 + e to the -z)."),
        ),
        hint="For each pair: gate / (1 + e to the -gate), times up.",
        cases=(([1.0, 2.0, -1.0], [2.0, 2.0, 3.0]), ([0.0], [5.0]), ([-2.5, 4.0], [-1.0, 0.5])),
    ),
    "6.3": Exercise(
        [6 + 10 * NORMED, NORMED, 6 + NORMED],
        (
            (
                [10 * NORMED, NORMED, NORMED],
                "Nothing replaces the stream: what the part gives is added to x.",
            ),
            ([66, NORMED, 6 + NORMED], "With pre-norm the part reads the norm of x, not x."),
            (
                [6 + 10 * NORMED, 6 + NORMED, NORMED],
                "With post-norm the norm is taken of the whole sum; with an output norm, of what is added.",
            ),
            (
                [6 + NORMED, NORMED, 6 + NORMED],
                "With pre-norm nothing normalises what the part gives: ten times the norm is added.",
            ),
            (
                [6 + 10 * 0.6, 0.6, 6.6],
                "That divides by the length, 10. RMSNorm divides by the root of the mean of the squares.",
            ),
        ),
        hint="n(x) is x divided by the root of 50. Put it into the three formulas of the table, one after the other.",
    ),
    "6.4": Exercise(
        ATTENTION + NETWORK + NORMS,
        (
            (ATTENTION + NETWORK, "The two norms have weights, too: one for each component."),
            (ATTENTION + NETWORK + 2 * NORMS, "RMSNorm has weights and no bias."),
            (
                4 * 576 * 576 + NETWORK + NORMS,
                "Keys and values have 3 heads, not 9: their matrices are narrower.",
            ),
            (ATTENTION + 2 * 576 * 1536 + NORMS, "SwiGLU has three matrices: gate, up and down."),
            (30 * (ATTENTION + NETWORK + NORMS), "That is all thirty blocks. One is asked for."),
            (
                ATTENTION - 576 * 576 + NETWORK + NORMS,
                "Attention has four matrices: queries, keys, values, and the output.",
            ),
        ),
        hint="Attention: 576 × 576 for queries and for the output, 576 × (3 × 64) for keys and for values. Then the network and the norms.",
        tolerance=1e-6,
    ),
    "6.5": Exercise(
        2 * EXPERT + ROUTER,
        (
            (
                8 * EXPERT + ROUTER,
                "That is what the block has. Only the chosen experts are active.",
            ),
            (
                2 * EXPERT,
                "The router is used for every token, too: a matrix of 8 rows and C columns.",
            ),
            (EXPERT + ROUTER, "Two experts are chosen."),
            (2 * 2 * 1024 * 4096 + ROUTER, "SwiGLU has three matrices: gate, up and down."),
        ),
        hint="Two networks of three matrices, and the router's matrix.",
        tolerance=1e-6,
    ),
}
