"""How each view of `inside.look_inside` is drawn as a still: one line a view; and the stills as files.

write_pictures(inside, Path("pictures"), form="svg")   ->  pictures/01-tokens.svg, 02-embeddings.svg, ...
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from groundup.files import write_bytes
from groundup.lab.drawing.ablation import draw_ablation
from groundup.lab.drawing.attention import draw_attention_from, draw_maps
from groundup.lab.drawing.attention_distance import draw_head_distances
from groundup.lab.drawing.attribution import draw_attribution
from groundup.lab.drawing.context import draw_loss_by_context, draw_sentence_losses
from groundup.lab.drawing.embeddings import draw_embeddings
from groundup.lab.drawing.film import (
    Reel,
    attention_reel,
    attention_strip,
    embeddings_reel,
    embeddings_strip,
)
from groundup.lab.drawing.gif import gif_bytes
from groundup.lab.drawing.head_patterns import draw_head_search
from groundup.lab.drawing.lens import draw_lens
from groundup.lab.drawing.neighbours import draw_kinds, draw_neighbours
from groundup.lab.drawing.positions import draw_positions
from groundup.lab.drawing.qkv import draw_head_steps, draw_step_parts
from groundup.lab.drawing.surprise import draw_surprise
from groundup.lab.drawing.tokens import draw_tokens
from groundup.progress import Progress, Silent

Form = Literal["png", "svg"]
PNG_DOTS_PER_INCH = 160

DRAWINGS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "tokens": draw_tokens,
    "embeddings": draw_embeddings,
    "neighbours": draw_neighbours,
    "kinds": draw_kinds,
    "positions": draw_positions,
    "heads": draw_head_search,
    "attention": draw_maps,
    "last_token": draw_attention_from,
    "reach": draw_head_distances,
    "steps": draw_head_steps,
    "lens": draw_lens,
    "surprise": draw_surprise,
    "context": draw_loss_by_context,
    "sentences": draw_sentence_losses,
    "ablation": draw_ablation,
    "attribution": draw_attribution,
    "attention_forming": attention_strip,
    "embeddings_forming": embeddings_strip,
}
# Views that are too wide for a page: drawn there as parts, one beside the other.
PARTS: dict[str, Callable[[Mapping[str, Any]], list[Any]]] = {"steps": draw_step_parts}
# Views of several moments, which are films too.
MOVING: dict[str, Callable[[Mapping[str, Any]], Reel]] = {
    "attention_forming": attention_reel,
    "embeddings_forming": embeddings_reel,
}


def picture(name: str, view: Mapping[str, Any], form: Form) -> bytes:
    """One view as the bytes of a picture file; the same view gives the same bytes. Raises MissingExtra without matplotlib."""
    return _bytes(DRAWINGS[name](view), name, form)


def pictures(name: str, view: Mapping[str, Any], form: Form) -> list[bytes]:
    """The same in the parts that a page shows side by side: most views have one."""
    return (
        [_bytes(figure, name, form) for figure in PARTS[name](view)] if name in PARTS else [picture(name, view, form)]
    )


def _bytes(figure: Any, name: str, form: Form) -> bytes:
    from matplotlib import rc_context  # there, or the drawing had refused

    file = io.BytesIO()
    # No date inside, and names of parts that don't change from run to run.
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format=form, dpi=PNG_DOTS_PER_INCH, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def moving_picture(name: str, view: Mapping[str, Any], progress: Progress | None = None) -> bytes:
    """One view of `MOVING` as the bytes of a GIF. Raises MissingExtra without matplotlib."""
    frames = len(view["frames"])
    with (progress or Silent()).track("drawing", frames, "frames") as advance:
        return gif_bytes(MOVING[name](view), frames, advance)


def write_film(
    name: str, view: Mapping[str, Any], path: Path, *, form: Form, progress: Progress | None = None
) -> tuple[Path, Path]:
    """One view of `MOVING` as a GIF, and beside it the still of some of its frames. Raises MissingExtra, DiskError."""
    still = path.with_suffix(f".{form}")
    write_bytes(path, moving_picture(name, view, progress))
    write_bytes(still, picture(name, view, form))
    return path, still


def write_pictures(inside: Mapping[str, Any], folder: Path, *, form: Form) -> list[Path]:
    """Every view as a file, numbered in the order of the page. Raises MissingExtra, DiskError."""
    paths = []
    for number, (name, view) in enumerate(inside["views"].items(), start=1):
        path = folder / f"{number:02d}-{name.replace('_', '-')}.{form}"
        write_bytes(path, picture(name, view, form))
        paths.append(path)
    return paths
