"""The views as files: still pictures, in parts where the page needs them, and animations.

write_pictures(inside, Path("pictures"), form="svg")   ->  pictures/01-tokens.svg, 02-embeddings.svg, ...
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from groundup.files import write_bytes
from groundup.lab.drawing.film import gif_bytes
from groundup.lab.views import VIEWS, function
from groundup.progress import Progress, Silent

Form = Literal["png", "svg"]
PNG_DOTS_PER_INCH = 160


def picture(name: str, values: Mapping[str, Any], form: Form) -> bytes:
    """Return one view as the bytes of a picture file; the same values give the same bytes. Raises MissingExtra without matplotlib."""
    return _bytes(function(VIEWS[name].draw)(values), name, form)


def pictures(name: str, values: Mapping[str, Any], form: Form) -> list[bytes]:
    """Return the same in the parts that the page shows side by side: most views have one."""
    parts = VIEWS[name].parts
    return (
        [_bytes(figure, name, form) for figure in function(parts)(values)] if parts else [picture(name, values, form)]
    )


def _bytes(figure: Any, name: str, form: Form) -> bytes:
    from matplotlib import rc_context  # there, or the drawing had refused

    file = io.BytesIO()
    # No date inside, and ids of elements that don't change from run to run.
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format=form, dpi=PNG_DOTS_PER_INCH, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def moving_picture(name: str, values: Mapping[str, Any], progress: Progress | None = None) -> bytes:
    """Return one view that has a `reel` as the bytes of a GIF. Raises MissingExtra without matplotlib."""
    frames = len(values["frames"])
    with (progress or Silent()).track("drawing", frames, "frames") as advance:
        return gif_bytes(function(VIEWS[name].reel)(values), frames, advance)


def write_film(
    name: str, values: Mapping[str, Any], path: Path, *, form: Form, progress: Progress | None = None
) -> tuple[Path, Path]:
    """Write one view that has a `reel` as a GIF, and beside it a still of some of its frames. Raises MissingExtra, DiskError."""
    still = path.with_suffix(f".{form}")
    write_bytes(path, moving_picture(name, values, progress))
    write_bytes(still, picture(name, values, form))
    return path, still


def write_pictures(inside: Mapping[str, Any], folder: Path, *, form: Form) -> list[Path]:
    """Write every view as a file, numbered in the order of the page. Raises MissingExtra, DiskError."""
    paths = []
    for number, (name, values) in enumerate(inside["views"].items(), start=1):
        path = folder / f"{number:02d}-{name.replace('_', '-')}.{form}"
        write_bytes(path, picture(name, values, form))
        paths.append(path)
    return paths
