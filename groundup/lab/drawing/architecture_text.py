"""The architecture in a terminal: boxes, the residual stream as a line down the left, shapes along
it.

Every function returns lines of text; `RAIL` is the column of the stream, `TURN` that of a branch.
"""

from collections.abc import Iterator

from groundup.lab.architecture import Architecture, Box, Branch

WIDTH = 76
RAIL, LEFT, TURN = 4, 7, 14


def architecture_lines(picture: Architecture) -> list[str]:
    """The drawing of a picture from `lab.architecture`, `WIDTH` columns wide."""
    lines = [" " * RAIL + picture.ids]
    for box in picture.enters:
        lines += [_at({RAIL: "│"}), *_box_lines(box, 0, WIDTH - 6, RAIL)]
    lines.append(_at({RAIL: "│"}, picture.stream))
    lines += _frame_lines(picture)
    for box in picture.leaves:
        lines += [_at({RAIL: "│"}, picture.stream), *_box_lines(box, 0, WIDTH - 6, RAIL)]
    return [*lines, _at({RAIL: "│"}), " " * RAIL + picture.result]


def _at(marks: dict[int, str], note: str = "") -> str:
    """A line with signs in some columns, and a note after the last."""
    line = [" "] * (max(marks) + 1)
    for column, sign in marks.items():
        line[column] = sign
    if note:
        line.append(f" {note}")
    return "".join(line)


def _box_lines(box: Box, left: int, right: int, turn: int) -> list[str]:
    """A box from column `left` to `right`, with its input and output at column `turn`."""
    inner = right - left - 1
    top, bottom = ["─"] * inner, ["─"] * inner
    top[turn - left - 1], bottom[turn - left - 1] = "┴", "┬"
    rows = [box.title, *(f"  {line}" for line in box.lines)]
    sides = [f"│ {row[: inner - 2].ljust(inner - 2)} │" for row in rows]
    return [" " * left + line for line in (f"┌{''.join(top)}┐", *sides, f"└{''.join(bottom)}┘")]


def _frame_lines(picture: Architecture) -> Iterator[str]:
    """Yield all blocks as one, in a frame with their number."""
    head = f"╭───┴─ {picture.blocks} "
    yield head + "─" * (WIDTH - len(head) - 1) + "╮"
    for branch in picture.branches:
        for line in _branch(branch, picture.stream):
            yield "│" + line[1:].ljust(WIDTH - 2) + "│"
    yield "╰───┬" + "─" * (WIDTH - 6) + "╯"


def _branch(branch: Branch, stream: str) -> Iterator[str]:
    yield _at({RAIL: "│"})
    yield " " * RAIL + "├" + "─" * (TURN - RAIL - 1) + "┐"
    if branch.before is not None:
        yield from _beside(branch.before, joined=len(branch.parts) > 1)
        if len(branch.parts) == 1:
            yield _at({RAIL: "│", TURN: "│"}, stream)
    if len(branch.parts) > 1:
        yield from _both(branch.parts, stream)
    else:
        yield from _beside(branch.parts[0])
        if branch.after is not None:
            yield _at({RAIL: "│", TURN: "│"}, stream)
            yield from _beside(branch.after)
        yield _added(stream)
    if branch.on_sum is not None:
        yield from (" " + line[1:] for line in _box_lines(branch.on_sum, 2, WIDTH - 4, RAIL))


def _beside(box: Box, *, joined: bool = False, narrow: int = 0) -> Iterator[str]:
    """Yield a box of a branch, with the stream at its left.

    `joined`: a second branch leaves at its right end.
    """
    right = WIDTH - 4 - narrow
    lines = _box_lines(box, LEFT, right, TURN)
    if joined:
        lines[-1] = lines[-1][: right - 2] + "┬" + lines[-1][right - 1 :]
    for line in lines:
        yield line[:RAIL] + "│" + line[RAIL + 1 :]


def _both(parts: tuple[Box, ...], stream: str) -> Iterator[str]:
    """Yield two parts with the same input: the line to the second passes at the right of the
    first.
    """
    rail = WIDTH - 6
    for line in (*_beside(parts[0], narrow=4), _added(stream)):
        yield line.ljust(rail) + "│"
    yield _at({RAIL: "│", TURN: "┌"}) + "─" * (rail - TURN - 1) + "┘"
    yield from _beside(parts[1])
    yield _added(stream)


def _added(stream: str) -> str:
    """The line where a branch is added to the stream."""
    return " " * RAIL + "⊕←" + "─" * (TURN - RAIL - 2) + f"┘ {stream}"
