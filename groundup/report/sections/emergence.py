"""What the models can do that nobody taught them, beside chance; and how it came while the own
model was trained. Models differ by colour and by shape; a hollow mark is not distinguishable from
chance
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    cards,
    data_table,
    expected,
    figure,
    in_a_row,
    mark,
    meaning,
    more,
    note,
    paired_figure,
    paired_points,
    with_colon,
)
from groundup.report.drawing import Frame, Scale, Size, axes, chart, path, svg, swatch
from groundup.report.report_data import ReportData
from groundup.report.values import (
    Format,
    JsonObject,
    count,
    fill,
    first_letters,
    fixed,
    interval,
    number,
    numbers,
    percent,
    signed,
    table,
    tables,
    text,
    three_decimals,
    ticks,
    whole_percent,
)

# model -> (what the page calls it, number of its colour)
MODELS = {"own": ("own model", 1), "base": ("pulled model", 3), "chat": ("chat model", 2)}
ROW, GAP, HEAD, FOOT = 17, 16, 22, 26
# Width, margin at the left, CSS class.
BAND_SIZES = ((760, 16, "wide-drawing"), (350, 15, "narrow-drawing"))
AT_CHANCE = "not distinguishable from chance"
SMALL = Size(350, 230, "small-drawing")
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
MARK = 5


class SuiteRows(NamedTuple):
    heading: str
    n: float | None
    chance: float | None
    rows: dict[str, JsonObject]


def suites_chart(suites: Sequence[SuiteRows]) -> list[Node]:
    """The legend and the chart in both sizes: a band for each suite, a mark with its interval
    for each model, chance as a line.
    """
    shown = [model for model in MODELS if any(model in suite.rows for suite in suites)]
    figures = [
        ", ".join(
            f"{say(MODELS[model][0])} {whole_percent(suite.rows[model], 'value')}"
            for model in shown
            if model in suite.rows
        )
        for suite in suites
    ]
    headings = [say(suite.heading) for suite in suites]
    said = in_a_row(map(with_colon, headings, figures))
    return [_legend(shown), *[_suites(suites, shown, size, f"{said}.") for size in BAND_SIZES]]


def is_chance(row: JsonObject) -> bool:
    """Whether a figure is not distinguishable from chance."""
    return row.get("is_chance") is True


def _suites(
    suites: Sequence[SuiteRows], shown: Sequence[str], size: tuple[int, int, str], label: str
) -> Node:
    width, left, name = size
    band = HEAD + ROW * len(shown) + GAP
    height = band * len(suites) + FOOT
    x = Scale(0.0, 1.0, left, width - left - 8)
    grid = node("g", class_="axes")
    for level in LEVELS:
        grid.append(node("line", x1=x(level), x2=x(level), y1=4, y2=height - FOOT, class_="grid"))
        grid.append(node("text", whole_percent(level), x=x(level), y=height - 8, class_="middle"))
    parts = [_band(suite, shown, x, number * band) for number, suite in enumerate(suites)]
    return svg(width, height, label, f"suites {name}", grid, parts)


def _band(suite: SuiteRows, shown: Sequence[str], x: Scale, top: float) -> Node:
    group = node("g")
    if suite.chance is not None:
        place, above, below = x(suite.chance), top + HEAD - 1, top + HEAD + ROW * len(shown) + 2
        group.append(node("line", x1=place, x2=place, y1=above, y2=below, class_="chance-line"))
    words = f"  n = {count(suite.n)}{fill(', chance {}', suite.chance, whole_percent)}"
    quiet = node("tspan", words, class_="quiet-text")
    group.append(
        node("text", say(suite.heading), quiet, x=x.start, y=top + 15, class_="suite-name")
    )
    for row, model in enumerate(shown):
        if model in suite.rows:
            group.append(_mark(suite.rows[model], model, x, top + HEAD + ROW * (row + 0.5)))
    return group


def _mark(row: JsonObject, model: str, x: Scale, y: float) -> Node:
    value, low, high = numbers(row, "value", "low", "high")
    bounds, (name, colour) = interval(row, whole_percent), MODELS[model]
    look, title = f"mark mark-{colour}", with_colon(say(name), percent(value))
    if bounds:
        title += f" ({bounds})"
    if is_chance(row):
        look += " hollow"
        title += f" – {say(AT_CHANCE)}"
    group = node("g", class_=look)
    if value is None:
        return group
    if low is not None and high is not None:
        group.append(node("line", x1=x(low), x2=x(high), y1=y, y2=y))
    group.append(shape(model, x(value), y, node("title", title)))
    return group


def shape(model: str, x: float, y: float, *children: Node) -> Node:
    """The mark of a model: a circle, a square or a diamond."""
    if model == "own":
        return node("circle", *children, cx=x, cy=y, r=MARK)
    if model == "base":
        corner, side = MARK - 0.5, 2 * MARK - 1
        return node("rect", *children, x=x - corner, y=y - corner, width=side, height=side)
    arm = MARK + 1
    path = f"M{x:.1f} {y - arm:.1f}l{arm} {arm}l-{arm} {arm}l-{arm} -{arm}z"
    return node("path", *children, d=path)


def _legend(shown: Sequence[str]) -> Node:
    entries = []
    for model in shown:
        name, colour = MODELS[model]
        line = node("line", x1=1, x2=27, y1=7, y2=7)
        drawing = node("g", line, shape(model, 14, 7), class_=f"mark mark-{colour}")
        entries.append((drawing, name))
    chance = node("line", x1=14, x2=14, y1=0, y2=14, class_="chance-line")
    hollow = node("g", shape("own", 14, 7), class_="mark mark-8 hollow")
    entries += [(chance, "chance"), (hollow, with_colon(say("hollow"), say(AT_CHANCE)))]
    items = [node("li", swatch(drawing, 14), say(name)) for drawing, name in entries]
    return node("ul", items, class_="legend")


UNITS = {
    "accuracy": "accuracy",
    "bits_per_byte": "bits per byte",
    "bits_per_byte_control": "bits per byte after another item's prompt",
}


def curve_chart(curve: JsonObject, title: str) -> Node | None:
    """A small chart of a curve over training steps with its 95 % band and the line of chance;
    None without two points.
    """
    points = [point for point in tables(curve, "points") if _place(point) is not None]
    if len(points) < 2:
        return None
    chance, form, y_form = number(curve, "chance"), fixed, three_decimals
    bounds = [numbers(point, "value", "low", "high") for point in points]
    values = [value for each in [*bounds, [chance]] for value in each if value is not None]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    last = number(points[-1], "x") or 1.0
    box = Frame(SMALL, (0.0, math.sqrt(last) * 1.03), (max(low - margin, -0.005), high + margin))
    x_marks, y_marks = [(math.sqrt(step), count(step)) for step in _steps(last)], None
    if text(curve, "metric") == "accuracy":
        form = y_form = percent
        decimals = int(high - low < 0.04)
        y_marks = [
            (level, percent(level, decimals=decimals)) for level in ticks(box.y.low, box.y.high)
        ]
    unit = say(UNITS.get(text(curve, "metric"), ""))
    parts = [
        axes(box, with_colon(title, unit), x_marks=x_marks, y_marks=y_marks),
        _band_of(box, points),
        _chance_line(box, chance),
        _line(box, points, y_form),
    ]
    first, final = (form(number(point, "value")) for point in (points[0], points[-1]))
    words = say(
        "{title}, {unit} over training steps: from {first} to {last}.",
        title=title,
        unit=unit,
        first=first,
        last=final,
    )
    return chart(box, words, parts)


def _place(point: JsonObject) -> float | None:
    """The place of a point on the x axis; None where its value or its step is missing."""
    x, value = numbers(point, "x", "value")
    if x is None or x < 0 or value is None:
        return None
    return math.sqrt(x)


def _steps(last: float) -> list[float]:
    """Round steps whose places on a square root are about evenly apart."""
    found = [0.0]
    for part in (0.1, 0.4, 1.0):
        power = 10 ** math.floor(math.log10(max(last * part, 1)))
        found.append(math.floor(last * part / power) * power)
    return list(dict.fromkeys(found))


def _band_of(box: Frame, points: Sequence[JsonObject]) -> Node | None:
    upper, lower = [], []
    for point in points:
        x, low, high = numbers(point, "x", "low", "high")
        if low is not None and high is not None:
            place = box.x(math.sqrt(x or 0))
            upper.append((place, box.y(high)))
            lower.append((place, box.y(low)))
    if len(upper) < 2:
        return None
    return node("polygon", points=path([*upper, *reversed(lower)]), class_="band")


def _chance_line(box: Frame, chance: float | None) -> Node | None:
    if chance is None:
        return None
    y = box.y(chance)
    return node("line", x1=box.x.start, x2=box.x.end, y1=y, y2=y, class_="chance-line")


def _line(box: Frame, points: Sequence[JsonObject], form: Format) -> Node:
    places = [(box.x(_place(p) or 0), box.y(number(p, "value") or 0)) for p in points]
    line = node("polyline", points=path(places))
    group = node("g", line, class_="mark mark-1")
    for (x, y), point in zip(places, points, strict=True):
        class_, title = None, say("step {step}", step=count(point, "x"))
        title = with_colon(title, form(number(point, "value")))
        if is_chance(point):
            class_, title = "hollow", f"{title}, {say(AT_CHANCE)}"
        group.append(node("circle", node("title", title), cx=x, cy=y, r=3.5, class_=class_))
    return group


ITEMS_SHOWN, ITEM_CHARACTERS = 3, 320
TITLES = {"grammar": "Grammar", "copying": "Copying", "text": "Held-out text"}


def parts(report: ReportData) -> Sequence[Child] | str:
    found = table(report.suites, "suites")
    suites = {name: rows_of(suite) for name, suite in found.items()}
    suites = {name: suite for name, suite in suites.items() if suite.rows}
    if not suites:
        return "its models were not measured on suites"
    caption = (
        "Accuracy with its 95 % interval, on a random part of each suite: as many items as fit "
        "the budget, the same for all models. The line across each group is what guessing reaches."
    )
    return [
        _verdicts(suites),
        figure(caption, suites_chart(list(suites.values()))),
        _overlap(found),
        _items(found, suites),
        _curves(report.suites),
        _figures(suites),
    ]


def rows_of(suite: JsonObject) -> SuiteRows:
    """The figures of a suite's models that have a value."""
    rows = {model: table(suite, "rows", model) for model in MODELS}
    known = {model: row for model, row in rows.items() if number(row, "value") is not None}
    first = next(iter(known.values()), {})
    return SuiteRows(text(suite, "heading"), number(first, "n"), number(first, "chance"), known)


def _verdicts(suites: Mapping[str, SuiteRows]) -> Node:
    """A sentence for each model: in what it is above chance."""
    sentences = []
    for model, (name, _) in MODELS.items():
        judged = [suite for suite in suites.values() if model in suite.rows]
        if not judged:
            continue
        above = [suite for suite in judged if not is_chance(suite.rows[model])]
        names = ", ".join(say(suite.heading) for suite in above)
        said = [say("above chance in {names}", names=names or say("none of them"))]
        if len(above) < len(judged):
            said.append(
                say(
                    "not distinguishable from chance in {part} of {whole}",
                    part=len(judged) - len(above),
                    whole=len(judged),
                )
            )
        named = say(name)
        title = node("b", with_colon(f"{named[:1].upper()}{named[1:]}", ""))
        sentences.append(node("li", title, f"{in_a_row(said)}."))
    return node("ul", sentences, class_="verdicts")


def _curves(found: JsonObject) -> Node | None:
    titled = [
        (curve, say(TITLES.get(text(curve, "task"), text(curve, "task"))))
        for curve in tables(found, "curves")
    ]
    drawn = [curve_chart(curve, title) for curve, title in titled]
    charts = [each for each in drawn if each is not None]
    if not charts:
        return None
    caption = (
        "The own model while it was trained, at the snapshots that its run kept; the steps are on "
        "a square root. Bands: 95 % intervals. Dotted: chance. Bits per byte, the loss that it is "
        "trained for, fall first; a hollow point is not distinguishable from chance."
    )
    shown: list[Child] = [figure(caption, node("div", charts, class_="small-charts"))]
    changes = [_change(curve, title) for curve, title in titled]
    said = in_a_row(changes)
    if said:
        shown.append(
            node("p", say("From the first to the last snapshot, paired: {changes}.", changes=said))
        )
    return more("How the own model came to it, over the steps", shown)


def _change(curve: JsonObject, title: str) -> str:
    """The paired difference of the last point from the first; "" without one."""
    change, metric = table(curve, "change"), text(curve, "metric")
    said = paired_figure(change, lambda figure: signed(figure, 2))
    if metric == "accuracy":
        said = paired_points(change)
    if not said:
        return ""
    changed = f"{said} {say(UNITS.get(metric, ''))}"
    if metric == "accuracy":
        changed = say("{change} points", change=said)
    return with_colon(title, f"{changed}, {meaning(change)}")


def _figures(suites: Mapping[str, SuiteRows]) -> Node | None:
    rows: list[list[Child]] = []
    for suite in suites.values():
        for model, row in suite.rows.items():
            said = say({True: AT_CHANCE}.get(is_chance(row), ""))
            name, bounds = f"{say(suite.heading)}, {say(MODELS[model][0])}", interval(row, percent)
            cells = [percent(row, "value"), bounds, count(row, "n"), percent(row, "chance")]
            rows.append([name, *cells, said])
    head = ["suite and model", "accuracy", "95 % interval", "n", "chance", "verdict"]
    return more("The figures", data_table("Accuracy on suites", head, rows, figures=(1, 2, 3, 4)))


def _items(found: JsonObject, suites: Mapping[str, SuiteRows]) -> Node | None:
    """Items of each suite with the answers of all models."""
    shown = []
    for name, suite in suites.items():
        of_suite = [_card(item) for item in tables(found, name, "items")[:ITEMS_SHOWN]]
        if of_suite:
            shown += [node("h3", say(suite.heading)), cards(of_suite)]
    return more("Items to read", shown)


def _card(item: JsonObject) -> Node:
    given = {model: table(item, "answers", model) for model in MODELS}
    answers = [_answer(answer, say(MODELS[model][0])) for model, answer in given.items() if answer]
    parts = [
        node("p", foreign(text(item, "group")), class_="step"),
        _beginning(item, "asked", "p", "input"),
        expected(_beginning(item, "expected")),
        node("ul", answers),
    ]
    return node("article", parts, class_="answer")


def _beginning(item: JsonObject, key: str, tag: str = "bdi", class_: str | None = None) -> Node:
    return foreign(first_letters(text(item, key), ITEM_CHARACTERS), tag, class_)


def _answer(answer: JsonObject, name: str) -> Node:
    right, verdict = answer.get("right"), None
    if isinstance(right, bool):
        verdict = mark(right)
    who = node("span", with_colon(name, ""), class_="quiet")
    return node("li", verdict, who, _beginning(answer, "answer"))


def _overlap(found: JsonObject) -> Node | None:
    """How many items stand in the own model's training text."""
    known = [table(suite, "overlap") for suite in found.values() if table(suite, "overlap")]
    if not known:
        return None
    items, seen, long = (
        sum(number(each, key) or 0 for each in known)
        for key in ("items", "overlapping", "long_enough")
    )
    kind, shorter = "note", ""
    if seen:
        kind = "warning"
    if items > long:
        shorter = fill(" ({} items have fewer words)", items - long)
    line = say(
        "{seen} of these {count} items have eight words in a row that stand in the own model's "
        "training text{shorter}.",
        seen=count(seen),
        count=count(items),
        shorter=shorter,
    )
    return note(line, kind=kind)


EMERGENCE = Chapter(
    "emergence",
    "",
    "What it can do, and what it can't",
    "A model learns to predict the next token, and is asked something else: which sentence is "
    "right, what comes again, how a text feels. What is no better than guessing is hollow. "
    "Most of it needs a larger model than one trained in minutes.",
    parts,
    stages=["evaluate"],
)
