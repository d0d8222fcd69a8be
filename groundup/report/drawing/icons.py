"""The little pictures on the path: one a stage, drawn in a square of 40 x 40 with the page's inks."""

from groundup.markup import Node, node

LINES = "M6 10H34 M6 17H30 M6 24H33 M6 31H22"
CURVE = "M6 6V34H35 M8 9C12 26 18 29 34 30"
TRAY = "M20 5V25 M12 18L20 26L28 18 M7 27V34H33V27"
BUBBLES = "M5 7H27V20H14L9 25V20H5Z M31 15H35V28H32V33L26 28H16V25"
SCALES = "M6 33H34 M10 12V24 M7 12H13 M7 24H13 M20 7V19 M17 7H23 M17 19H23 M30 15V28 M27 15H33 M27 28H33"
BOX = "M6 13L20 6L34 13V28L20 35L6 28Z M6 13L20 20L34 13 M20 20V35"
PAGE = "M9 5H25L31 11V35H9Z M14 17H26 M14 23H26 M14 29H21"


def icon(stage: str) -> Node:
    """The picture of a stage; a plain ring for a stage that has none."""
    drawing = ICONS[stage]() if stage in ICONS else [node("circle", cx=20, cy=20, r=12)]
    return node("svg", drawing, viewBox="0 0 40 40", class_="icon", aria_hidden="true")


def _stroke(path: str) -> list[Node]:
    return [node("path", d=path)]


def _pieces() -> list[Node]:
    places = ((5, 8, 9), (16, 8, 13), (31, 8, 5), (5, 17, 15), (22, 17, 8), (5, 26, 6), (13, 26, 10), (25, 26, 11))
    return [
        node("rect", x=x, y=y, width=width, height=6, class_=f"piece-{index % 4}")
        for index, (x, y, width) in enumerate(places)
    ]


def _matrix() -> list[Node]:
    cells = ((7, 7, "full"), (21, 7, "faint"), (7, 21, "faint"), (21, 21, "full"))
    return [node("rect", x=x, y=y, width=12, height=12, class_=class_) for x, y, class_ in cells]


ICONS = {
    "data": lambda: _stroke(LINES),
    "tokenizer": _pieces,
    "pretrain": lambda: _stroke(CURVE),
    "base": lambda: _stroke(TRAY),
    "pull": lambda: _stroke(TRAY),
    "spam": _matrix,
    "chat": lambda: _stroke(BUBBLES),
    "evaluate": lambda: _stroke(SCALES),
    "export": lambda: _stroke(BOX),
    "report": lambda: _stroke(PAGE),
}
