"""Where in texts something is most active: the tokens with the largest activations, each with its
neighbours, at most one of a row.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from groundup.lab.circuit_values import TopText
from groundup.lab.tokens import pieces_of
from groundup.tokenizer.fast import Tokenizer

BEFORE, AFTER = 10, 4
DECIMALS = 5


def top_texts(
    tokenizer: Tokenizer,
    rows: Sequence[Sequence[int]],
    activations: Float[Tensor, "rows T"],
    count: int,
) -> list[TopText]:
    """Return the `count` places of the largest activations above 0, the largest first. The first
    token, which begins every row, is left out.
    """
    largest, places = activations[:, 1:].max(dim=1)
    found: list[TopText] = []
    for number in largest.argsort(descending=True)[:count].tolist():
        if float(largest[number]) <= 0:
            break
        place = int(places[number]) + 1
        start, end = max(1, place - BEFORE), place + AFTER + 1
        values = activations[number, start:end].tolist()
        found.append(
            {
                "pieces": pieces_of(tokenizer, rows[number][start:end]),
                "activations": [round(value, DECIMALS) for value in values],
                "peak": place - start,
            }
        )
    return found
