"""How far back each head looks, how widely, and how much it rests on the first token."""

from collections.abc import Mapping
from typing import Any

from groundup.lab.drawing.by_head import by_head_figure, draw_by_head
from groundup.lab.style import LABEL_SIZE, finished

FIELDS = (
    ("distance_beyond_first_tokens", "How far back\n(first token left out)", "mean distance, tokens"),
    ("entropy_bits", "How widely", "entropy, bits"),
    ("first_share", "How much it rests\non the first token", "share of attention"),
)


def draw_head_distances(reach: Mapping[str, Any]) -> Any:
    """Three fields, a square for each head; `reach` is from `head_distances`."""
    heads = reach["heads"]
    figure, fields = by_head_figure(heads, len(FIELDS), scales=True)
    for axes, (measure, name, unit) in zip(fields, FIELDS, strict=True):
        top = 1.0 if measure == "first_share" else None
        draw_by_head(axes, heads, [head[measure] for head in heads], unit=unit, top=top)
        axes.set_title(name, fontsize=LABEL_SIZE)
    alike = reach["uniform"]
    evenly = (
        f"A head that looks everywhere alike would have {alike['distance_beyond_first_tokens']:.1f} tokens, "
        f"{alike['entropy_bits']:.1f} bits and {alike['first_share']:.2f} of its attention on the first token."
    )
    title = f"Which heads look near and which far: {len(heads)} heads on {reach['tokens']} tokens"
    return finished(figure, title=title, caption=f"{reach['caption']} {evenly}")
