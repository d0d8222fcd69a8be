"""Attribution of a decision: a bar for each token, to the right if it raises the score, hatched to the left if it lowers it."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, ONE, SMALL_SIZE, finished, plain, pyplot, show_spaces
from groundup.palette import PALE_TWO

SHOWN_TOKENS = 40
ROW_INCHES = 0.2


def draw_attribution(record: Mapping[str, Any]) -> Any:
    """Draw contributions, and beside them the loss of score without each token, for the first 40 tokens.

    `record` is from `class_attribution` or `next_token_attribution`."""
    pieces = record["pieces"][:SHOWN_TOKENS]
    columns = COLUMNS if record["agreement"] is not None else COLUMNS[:1]
    size = (1.6 + 3.6 * len(columns), len(pieces) * ROW_INCHES + 2.3)
    figure, grid = pyplot().subplots(1, len(columns), figsize=size, sharey=True, squeeze=False)
    for axes, (name, title) in zip(grid[0], columns, strict=True):
        _bars(axes, [piece[name] for piece in pieces], title, _name(record["decision"]))
    names = [show_spaces(piece["text"]) for piece in pieces]
    grid[0][0].set_yticks(range(len(pieces)), names, family="monospace", fontsize=SMALL_SIZE + 1)
    grid[0][0].invert_yaxis()
    grid[0][0].set_ylabel("tokens, in reading order", fontsize=LABEL_SIZE)
    return finished(figure, title=_title(record), caption=record["caption"] + _unseen(record))


COLUMNS = (("contribution", "gradient times input"), ("without", "loss when left out"))


def _bars(axes: Any, values: Sequence[float], title: str, decision: str) -> None:
    for place, value in enumerate(values):
        against = {"facecolor": PALE_TWO, "edgecolor": "black", "hatch": "////", "linewidth": 0.5}
        axes.barh(place, value, height=0.72, **({"color": ONE} if value >= 0 else against))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_title(title, fontsize=LABEL_SIZE)
    axes.set_xlabel(f"← against   score of {decision} (logits)   for →", fontsize=LABEL_SIZE)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    plain(axes)


def _title(record: Mapping[str, Any]) -> str:
    """Return a title about the token that matters most, by leaving it out where that was measured."""
    decision = f"{_name(record['decision'])} ({100 * record['probability']:.0f} % probable)"
    if record["agreement"] is None:
        most = max(record["pieces"], key=lambda piece: piece["contribution"])
        return f"{_name(most['text'])} contributes most to {decision} rather than {_name(record['against'])}"
    most = max(record["pieces"], key=lambda piece: piece["without"])
    return (
        f"{decision} rather than {_name(record['against'])}: without {_name(most['text'])} the score of "
        f"{record['score']:.1f} loses most, {most['without']:.1f}"
    )


def _name(text: str) -> str:
    return f'"{show_spaces(text)}"'


def _unseen(record: Mapping[str, Any]) -> str:
    more = len(record["pieces"]) - SHOWN_TOKENS
    return f" {more} more tokens are not shown." if more > 0 else ""
