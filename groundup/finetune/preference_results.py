"""What a preference tuning changed on the held-out pairs: figures at each evaluation, and in the
end the paired comparison with the base model.

A pair's margin is how much more its chosen answer gained than its rejected one, times beta: the
difference of DPO's rewards, which is 0 before the first step. `prefers` asks without a reference:
which answer has the higher log-probability per token?
"""

import math
from collections.abc import Sequence
from typing import Any

from groundup.data.documents import PreferenceExample
from groundup.evaluate.paired import ratio_difference, share_difference
from groundup.finetune.preference_data import Pair

Sums = Sequence[tuple[float, float]]
# Of the pairs to be read, how many at each end: those that went wrong most, and those that gained
# most.
READ_AT_EACH_END = 6


def margins(pairs: Sequence[Pair], sums: Sums, beta: float) -> list[float]:
    """Return the margin of each pair, of the log-probabilities of its chosen and its rejected
    answer.
    """
    return [
        beta * ((chosen - pair.reference[0]) - (rejected - pair.reference[1]))
        for pair, (chosen, rejected) in zip(pairs, sums, strict=True)
    ]


def held_out_figures(pairs: Sequence[Pair], sums: Sums, beta: float) -> dict[str, float]:
    """Return loss, accuracy and mean margin of the rewards, and the share of pairs whose chosen
    answer is the more probable per token.
    """
    found = margins(pairs, sums, beta)
    losses = [
        max(-margin, 0.0) + math.log1p(math.exp(-abs(margin))) for margin in found
    ]  # -log sigmoid(margin)
    return {
        "held_out_loss": math.fsum(losses) / len(losses),
        "accuracy": sum(margin > 0 for margin in found) / len(found),
        "margin": math.fsum(found) / len(found),
        "prefers": sum(lead > 0 for lead in leads(pairs, sums)) / len(pairs),
    }


def leads(pairs: Sequence[Pair], sums: Sums) -> list[float]:
    """Return of each pair how much more probable the chosen answer is, in nats per token."""
    counts = [(sum(pair.chosen.mask[1:]), sum(pair.rejected.mask[1:])) for pair in pairs]
    return [a / n - b / m for (a, b), (n, m) in zip(sums, counts, strict=True)]


def compared_pairs(
    pairs: Sequence[Pair], examples: Sequence[PreferenceExample], sums: Sums, beta: float
) -> dict[str, Any]:
    """Return margin and preference before and after with their paired differences, and pairs to
    read.
    """
    found = margins(pairs, sums, beta)
    before, after = leads(pairs, [pair.reference for pair in pairs]), leads(pairs, sums)
    prefer_before, prefer_after = ([lead > 0 for lead in side] for side in (before, after))
    margin = ratio_difference([0.0] * len(found), found, [1.0] * len(found))
    return {
        "margins": {"before": 0.0, "after": margin.value, "difference": margin.plain()},
        "prefers": {
            "before": sum(prefer_before) / len(pairs),
            "after": sum(prefer_after) / len(pairs),
            "difference": share_difference(prefer_before, prefer_after).plain(),
        },
        "pairs": [
            {
                **_shown(examples[place]),
                "margin": found[place],
                "before": before[place],
                "after": after[place],
            }
            for place in _to_read(found)
        ],
    }


def _to_read(found: Sequence[float]) -> list[int]:
    """Return the places of the pairs with the lowest margins, then of those with the highest."""
    order = sorted(range(len(found)), key=lambda place: found[place])
    return [*order[:READ_AT_EACH_END], *order[READ_AT_EACH_END:][-READ_AT_EACH_END:]]


def _shown(example: PreferenceExample) -> dict[str, str]:
    prompt = "\n\n".join(f"{message.role}: {message.content}" for message in example.prompt[:-1])
    last = example.prompt[-1].content if example.prompt else ""
    return {
        "id": example.id,
        "prompt": f"{prompt}\n\n{last}".strip(),
        "chosen": example.chosen,
        "rejected": example.rejected,
    }
