"""The outputs of a notebook: whether they are those of its code, and whether another run printed the same.

    source_hash(notebook)                            of all code cells; `run.py --write` keeps it in the metadata beside the outputs
    differences(committed, executed, small=True)     what another run printed otherwise, a line for each cell

What is the same: the same words, and numbers that differ by at most 0.1 % or one unit of their last printed digit. A cell whose numbers depend on
more than arithmetic says so by a tag of its own:

    tolerance=0.2     numbers within 20 %: results of training, which depend on the order of sums, so on processor and threads
    numbers-vary      the words are compared, the numbers are not: seconds, memory, scores of a model of a few steps
    varies            nothing is compared: generated text

In a small run the cells that depend on `here.small` print something else: each that reads it, and each that reads a name which such a cell has
set. What they print then is kept in their metadata (SMALL) by `run.py --write` and `--write-small`, and compared with the small run.
"""

import ast
import base64
import hashlib
import io
import json
import math
import re
from itertools import zip_longest

from nbformat import NotebookNode
from PIL import Image

TOLERANCE = 1e-3
VARIES, NUMBERS_VARY, TOLERANCE_TAG = "varies", "numbers-vary", "tolerance="
SMALL = "small"  # a cell's metadata: {"printed": text, "pictures": number} of a small run
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
SHOWN_CHARACTERS = 100
COLOURS = 32  # of a committed picture: a third of the bytes, and nothing that can be seen is lost


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source_hash(notebook: NotebookNode) -> str:
    """The SHA-256 of all code."""
    sources = [cell["source"] for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell["metadata"].get("tags", []))


def tolerance_of(cell: NotebookNode) -> float | None:
    """The relative difference that its numbers may have; None: its output is not compared."""
    if VARIES in tags(cell):
        return None
    if NUMBERS_VARY in tags(cell):
        return math.inf
    return next((float(tag.removeprefix(TOLERANCE_TAG)) for tag in tags(cell) if tag.startswith(TOLERANCE_TAG)), TOLERANCE)


def printed(cell: NotebookNode) -> str:
    """What a cell printed, without warnings (stderr), and its value where that is text."""
    parts = [output["text"] for output in cell["outputs"] if output.get("name") == "stdout"]
    data = [output["data"] for output in cell["outputs"] if "data" in output]
    return "".join(parts + [each["text/plain"] for each in data if "image/png" not in each])


def pictures(cell: NotebookNode) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


def clean_outputs(cell: NotebookNode) -> None:
    """Make the outputs of a cell fit to be committed: no warnings (they name paths of this machine), pictures in few bytes."""
    cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    for output in cell["outputs"]:
        if "image/png" in output.get("data", {}):
            output["data"]["image/png"] = in_few_colours(output["data"]["image/png"])


def in_few_colours(png: str) -> str:
    """A PNG in base64 with COLOURS colours on white."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    written = io.BytesIO()
    Image.alpha_composite(paper, image).convert("RGB").quantize(COLOURS).save(written, "png", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def differences(committed: NotebookNode, executed: NotebookNode, *, small: bool) -> list[str]:
    """What was printed otherwise than is committed, a line for each cell."""
    affected = affected_by_small(code_cells(committed)) if small else set()
    found = []
    for old, new in zip(code_cells(committed), code_cells(executed), strict=True):
        tolerance = tolerance_of(old)
        if tolerance is None:
            continue
        expected = old["metadata"].get(SMALL) if old["id"] in affected else shown(old)
        if expected is None:
            found.append(f"cell {old['id']}: its small output is not written (run.py --write-small)")
            continue
        if expected["pictures"] != pictures(new):
            drawn = f"{expected['pictures']} pictures are committed, {pictures(new)} were drawn"
            found.append(f"cell {old['id']}: {drawn}")
        difference = first_difference(expected["printed"], printed(new), tolerance)
        if difference:
            found.append(f"cell {old['id']}: {difference}")
    return found


def shown(cell: NotebookNode) -> dict[str, str | int]:
    """What is compared of a cell: its printed text and its number of pictures."""
    return {"printed": printed(cell), "pictures": pictures(cell)}


def keep_small_outputs(committed: NotebookNode, executed: NotebookNode) -> None:
    """Keep what a small run printed in the metadata of the cells that print something else then."""
    affected = affected_by_small(code_cells(committed))
    for old, new in zip(code_cells(committed), code_cells(executed), strict=True):
        old["metadata"].pop(SMALL, None)
        if old["id"] in affected and tolerance_of(old) is not None:
            old["metadata"][SMALL] = shown(new)


def first_difference(old: str, new: str, tolerance: float) -> str:
    """The first line in which two outputs differ; "" where they are the same.

    >>> first_difference("loss 2.480", "loss  2.481", 1e-3), first_difference("loss 2.48", "loss 2.60", 1e-2)
    ('', "committed 'loss 2.48', now 'loss 2.60'")
    """
    for before, after in zip_longest(old.splitlines(), new.splitlines(), fillvalue=""):
        if not _same_line(before, after, tolerance):
            return f"committed {before.strip()[:SHOWN_CHARACTERS]!r}, now {after.strip()[:SHOWN_CHARACTERS]!r}"
    return ""


def _same_line(old: str, new: str, tolerance: float) -> bool:
    texts = [" ".join(_NUMBER.sub(" 0 ", line).split()) for line in (old, new)]
    numbers = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=False)
    return texts[0] == texts[1] and all(_same_number(one, other, tolerance) for one, other in numbers)


def _same_number(old: str, new: str, tolerance: float) -> bool:
    if math.isinf(tolerance):
        return True
    one, other = (float(text.replace(",", "")) for text in (old, new))
    mantissa, _, exponent = old.partition("e")
    last_digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    # A count is exact: the unit of its last digit is for numbers that were rounded.
    allowance = last_digit * 1.001 if "." in mantissa or exponent else 0.0
    return abs(one - other) <= max(allowance, tolerance * max(abs(one), abs(other)))


def affected_by_small(cells: list[NotebookNode]) -> set[str]:
    """The ids of the cells that read `here.small`, or a name that such a cell has set."""
    names, ids = set[str](), set[str]()
    for cell in cells:
        nodes = list(ast.walk(ast.parse(cell["source"])))
        loaded = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        if loaded & names or any(isinstance(node, ast.Attribute) and node.attr == "small" for node in nodes):
            ids.add(cell["id"])
            names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return ids
