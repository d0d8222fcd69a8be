"""What spoke for and against a decision: a bar for each token, to the right what pushed towards it, hatched to the left what pushed away."""

from collections.abc import Mapping
from typing import Any

from groundup.lab.style import LABEL_SIZE, ONE, SMALL_SIZE, finished, plain, pyplot, show_spaces

SHOWN_TOKENS = 40
ROW_INCHES = 0.2
PALE = "#e3b08d"


def draw_attribution(record: Mapping[str, Any]) -> Any:
    """Bars in the order of the text, the first 40 tokens; `record` is from `class_attribution` or `next_token_attribution`."""
    pieces = record["pieces"][:SHOWN_TOKENS]
    shares = [piece["contribution"] for piece in pieces]
    figure, axes = pyplot().subplots(figsize=(7.5, len(pieces) * ROW_INCHES + 2.1))
    for place, share in enumerate(shares):
        towards = (
            {"color": ONE}
            if share >= 0
            else {"facecolor": PALE, "edgecolor": "black", "hatch": "////", "linewidth": 0.5}
        )
        axes.barh(place, share, height=0.72, **towards)
    axes.set_yticks(
        range(len(pieces)),
        [show_spaces(piece["text"]) for piece in pieces],
        family="monospace",
        fontsize=SMALL_SIZE + 1,
    )
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    decision = _name(record["decision"])
    axes.set_xlabel(
        f"← against {decision}      contribution to the score (logits)      for {decision} →", fontsize=LABEL_SIZE
    )
    axes.set_ylabel("tokens, in reading order", fontsize=LABEL_SIZE)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    plain(axes)
    return finished(figure, title=_title(record), caption=record["caption"] + _left_out(record))


def _title(record: Mapping[str, Any]) -> str:
    most = max(record["pieces"], key=lambda piece: piece["contribution"])
    chance = f"{100 * record['probability']:.0f} %"
    return f"{_name(most['text'])} speaks most for {_name(record['decision'])} ({chance} probable) rather than {_name(record['against'])}"


def _name(text: str) -> str:
    return f'"{show_spaces(text)}"'


def _left_out(record: Mapping[str, Any]) -> str:
    more = len(record["pieces"]) - SHOWN_TOKENS
    return f" {more} more tokens are not shown." if more > 0 else ""
