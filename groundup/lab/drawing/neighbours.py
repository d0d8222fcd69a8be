"""Neighbours of a word or of a - b + c as bars of cosine; word categories as bars of shares, with chance as a mark."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, MUTED, ONE, SMALL_SIZE, TWO, finished, plain, pyplot, show_spaces

ROW_INCHES = 0.27


def draw_neighbours(found: Mapping[str, Any]) -> Any:
    """Draw the nearest words, the nearest on top; `found` is from `neighbours` or `analogy`."""
    near = found["neighbours"]
    figure, axes = pyplot().subplots(figsize=(6.5, len(near) * ROW_INCHES + 1.7))
    axes.barh(range(len(near)), [entry["cosine"] for entry in near], color=ONE, height=0.7)
    for place, entry in enumerate(near):
        axes.text(entry["cosine"], place, f" {entry['cosine']:.2f}", va="center", fontsize=SMALL_SIZE)
    names = [show_spaces(entry["text"]) for entry in near]
    axes.set_yticks(range(len(near)), names, family="monospace", fontsize=LABEL_SIZE)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("cosine (1: the same direction)", fontsize=LABEL_SIZE)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    plain(axes)
    first = show_spaces(near[0]["text"]).strip("·") if near else "nothing"
    asked = found.get("question") or found["word"]
    return finished(figure, title=f"Nearest to {asked}: {first}", caption=found["caption"])


def draw_kinds(score: Mapping[str, Any]) -> Any:
    """Draw the shares of neighbours of the same category, with chance as a mark; `score` is from `kind_score`."""
    figure, grid = pyplot().subplots(1, 2, figsize=(9, 3.6), sharey=True)
    kinds = list(score["vocabulary"]["kinds"])
    names = (("vocabulary", "among all words of the vocabulary"), ("listed", "among the listed words only"))
    for axes, (part, title) in zip(grid, names, strict=True):
        _shares(axes, [score[part]["kinds"][kind] for kind in kinds])
        axes.set_title(title, fontsize=LABEL_SIZE)
    grid[0].set_yticks(range(len(kinds)), kinds, fontsize=LABEL_SIZE)
    grid[0].invert_yaxis()
    grid[1].legend(frameon=False, fontsize=SMALL_SIZE, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return finished(figure, title=_kinds_title(score["vocabulary"]), caption=score["caption"])


def _shares(axes: Any, scores: Sequence[Mapping[str, Any]]) -> None:
    judged = [(place, score) for place, score in enumerate(scores) if score["judged"]]
    axes.barh([place for place, _ in judged], [100 * score["share"] for _, score in judged], color=ONE, height=0.55)
    axes.plot(
        [100 * score["chance"] for _, score in judged],
        [place for place, _ in judged],
        "D",
        color=TWO,
        label="chance",
        clip_on=False,
        zorder=3,
    )
    for place, score in enumerate(scores):
        text = (
            f" {100 * score['share']:.0f} % of {score['judged']}"
            if score["judged"]
            else f"  too few words ({score['words']})"
        )
        axes.text(
            max(100 * (score["share"] or 0), 3),
            place,
            text,
            va="center",
            fontsize=SMALL_SIZE,
            color="black" if score["judged"] else MUTED,
        )
    axes.set_xlim(0, 130)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_xlabel("neighbours of the same category, %", fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes)


def _kinds_title(score: Mapping[str, Any]) -> str:
    if score["share"] is None:
        return "No category has three words that are one token each"
    return f"{100 * score['share']:.0f} % of a word's neighbours are of its category, {100 * score['chance']:.2g} % by chance"
