"""Which heads have a habit that has a name: one field of squares for each habit, the best head framed where it tells something."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.drawing.attention import HABITS
from groundup.lab.drawing.by_head import by_head_figure, draw_by_head, mark_head
from groundup.lab.style import LABEL_SIZE, finished

# The best of many heads is always somewhat above chance; below this many times chance it is not shown as found.
TELLING = 3


def draw_head_search(found: Mapping[str, Any]) -> Any:
    """Scores of all heads in each habit; `found` is from `search_heads`."""
    heads = found["heads"]
    figure, fields = by_head_figure(heads, len(found["kinds"]), scales=False)
    image = None
    for axes, kind in zip(fields, found["kinds"], strict=True):
        name, best = kind["kind"], kind["best"][0]
        image = draw_by_head(axes, heads, [head["scores"][name] for head in heads], top=1.0)
        found_one = best["score"] > TELLING * kind["chance"]
        if found_one:
            mark_head(axes, best)
        said = f"block {best['block']}, head {best['head']}: {best['score']:.2f}" if found_one else "none found"
        axes.set_title(f"{name}:\n{HABITS[name]}\n{said}\n(chance {kind['chance']:.2f})", fontsize=LABEL_SIZE)
    colours = (image, "share of attention", (0, 0.25, 0.5, 0.75, 1))
    return finished(figure, title=_title(heads), caption=f"{found['caption']}{_losses(found['loss'])}", colours=colours)


def _title(heads: Sequence[Mapping[str, Any]]) -> str:
    """How many heads have each habit."""
    counts = Counter(head["named"] for head in heads if head["named"] is not None)
    if not counts:
        return f"None of {len(heads)} heads gives more than half of its attention to one habit"
    said = ", ".join(f"{count} {HABITS[kind]}" for kind, count in counts.most_common())
    return f"Of {len(heads)} heads {sum(counts.values())} give most of their attention to one thing: {said}"


def _losses(loss: Mapping[str, float] | None) -> str:
    if loss is None:
        return ""
    return f" Loss: {loss['first_half']:.2f} nats a token in the first half, {loss['second_half']:.2f} in the second."
