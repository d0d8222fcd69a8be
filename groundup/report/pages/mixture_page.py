"""The page of `groundup plan --mixture search`: the shares that were found, the surface of the loss
over them, one slice for each source, and the comparison with proportional shares.

render_mixture_page(results)     the values of results.json
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    data_table,
    facts,
    figure,
    html_page,
    meaning,
    note,
    page_header,
    paired_figure,
    section,
)
from groundup.report.drawing import SIZES, Frame, Point, Size, axes, chart, path
from groundup.report.values import (
    JsonObject,
    count,
    duration,
    fixed,
    items,
    matrix,
    number,
    parameters,
    percent,
    table,
    tables,
    text,
    texts,
    three_decimals,
    whole_percent,
)

SEE = (
    "Each picture moves the share of one source from 0 to all, the others in the proportions that "
    "were found: the line is what the regression expects, a dot a proxy run, whose other shares are "
    "its own. The dotted lines are the proportional and the found share."
)
RANGE_MARGIN = 0.08
# Room for half of the last label.
LABEL_MARGIN = 0.03
# Of the labels of two lines, at their upper ends.
LABEL_LINES = (15, 31)


def render_mixture_page(results: JsonObject) -> str:
    chapters = [
        section(
            "shares",
            "Result",
            "Shares of the sources",
            "Proportional: by the tokens that are there. Found: the lowest point of the surface, "
            "where no source is read more often than it may be.",
            [_shares(results), _verdict(results), _next(results)],
        ),
        section("surface", "Proxy runs", "The surface", SEE, _surface(results)),
    ]
    steps = _steps(results)
    if steps is not None:
        see = "What a step adds to the loss by the regression, with its 95 % interval; a step is "
        see += "taken where the interval is below 0."
        chapters.append(section("steps", "Texts", "Processing steps", see, [steps]))
    runs = (
        "Every run, as it was measured, and what the surface expects of its shares without steps."
    )
    chapters.append(section("runs", "Proxy runs", "All runs", runs, [_runs(results)]))
    main = node("main", chapters, id="main")
    return html_page("mixture", _opening(results), main, skip_to="shares")


def _opening(results: JsonObject) -> Node:
    runs = len(tables(results, "proxies"))
    figures = facts(
        (str(runs), "proxy runs"),
        (parameters(results, "parameters"), "parameters of a proxy"),
        (count(results, "proxy_steps"), "steps each"),
        (three_decimals(results, "leave_one_out"), "leave-one-out error, bits per byte"),
        (three_decimals(results, "spread"), "standard deviation of the runs"),
        (duration(results, "processor_s"), "processor time in all"),
        (text(results, "target"), "target"),
        (text(results, "machine"), "machine"),
        (text(results, "command"), "command"),
    )
    lead = "Not done: the comparison of proportional and found shares is missing."
    if table(results, "comparison"):
        lead = "Proportional shares are kept: the interval of the difference is not below 0."
        if results.get("better"):
            lead = f"{_relative(results)} bits per byte of the target than proportional shares."
    return page_header("groundup · mixture", "Which texts, how much of each", lead, figures)


def _relative(results: JsonObject) -> str:
    comparison = table(results, "comparison")
    base = [float(each) for each in items(comparison, "proportional")]
    change = number(comparison, "difference", "value") or 0.0
    return f"{-change * len(base) / sum(base):.1%} fewer"


def _shares(results: JsonObject) -> Node | None:
    rows: list[Sequence[Child]] = [
        [
            foreign(text(row, "name")),
            count(row, "tokens"),
            percent(row, "proportional"),
            percent(row, "found"),
            percent(row, "most"),
            fixed(row, "epochs"),
        ]
        for row in tables(results, "sources")
    ]
    head = ["source", "tokens", "proportional", "found", "at most", "epochs"]
    return data_table("Shares of what is read", head, rows, figures=range(1, 6))


def _verdict(results: JsonObject) -> Node | None:
    comparison = table(results, "comparison")
    if not comparison:
        return None
    difference = table(comparison, "difference")
    kind = {"better": "good", "worse": "warning"}.get(text(difference, "verdict"), "note")
    means = [
        sum(map(float, items(comparison, name))) / len(items(comparison, name))
        for name in ("proportional", "found")
    ]
    seeds = len(items(comparison, "seeds"))
    said = (
        f"Proportional {means[0]:.3f}, found {means[1]:.3f} bits per byte of the target, mean of "
        f"{seeds} seeds: {paired_figure(difference, _signed)}, {meaning(difference)}."
    )
    return note(said, kind=kind)


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _next(results: JsonObject) -> Node:
    lines = text(results, "recipe").splitlines()
    spaced = [part for line in lines for part in (foreign(line), node("br"))][:-1]
    return node(
        "div",
        node("p", "The next command:"),
        node("p", node("code", foreign(text(results, "next_command"))), class_="whole"),
        node("p", "The same in a recipe:"),
        node("p", node("code", spaced), class_="whole"),
    )


def _surface(results: JsonObject) -> list[Child]:
    sources, proxies = tables(results, "sources"), tables(results, "proxies")
    levels = [y for row in sources for _, y in _line(row)]
    levels += [number(each, "bits_per_byte") or 0.0 for each in proxies]
    margin = RANGE_MARGIN * (max(levels) - min(levels)) or 1.0
    bounds = min(levels) - margin, max(levels) + margin
    found: list[Child] = []
    for place, source in enumerate(sources):
        dots = [
            (float(items(each, "shares")[place]), number(each, "bits_per_byte") or 0.0)
            for each in proxies
        ]
        drawn = [_slice(size, source, dots, bounds) for size in SIZES]
        name = node("b", foreign(text(source, "name")))
        found.append(figure(node("span", name, " and its share"), *drawn))
    form = f"The regression is {text(results, 'form')} in the shares; its leave-one-out error is "
    form += f"{three_decimals(results, 'leave_one_out')} bits per byte, where the runs have a "
    form += f"standard deviation of {three_decimals(results, 'spread')}."
    return [*found, note(form)]


def _slice(size: Size, source: JsonObject, dots: Sequence[Point], bounds: Point) -> Node:
    box = Frame(size, (0.0, 1.0 + LABEL_MARGIN), bounds)
    marks = [(each, whole_percent(each)) for each in (0.0, 0.25, 0.5, 0.75, 1.0)]
    grid = axes(box, "bits per byte", "share", x_marks=marks)
    points = [(box.x(x), box.y(y)) for x, y in _line(source)]
    line = node("g", node("polyline", points=path(points)), class_="series series-1 line")
    runs = node("g", class_="series series-2")
    for x, y in dots:
        title = node("title", f"{x:.1%}: {y:.3f}")
        runs.append(node("circle", title, cx=box.x(x), cy=box.y(y), r=3.5))
    parts = [
        _upright(box, source, name, y)
        for name, y in zip(("proportional", "found"), LABEL_LINES, strict=True)
    ]
    label = (
        f"{text(source, 'name')}: expected bits per byte by its share, and {len(dots)} proxy runs."
    )
    return chart(box, label, [grid, *parts, line, runs])


def _line(source: JsonObject) -> list[Point]:
    return [(x, y) for x, y in matrix(source, "slice")]


def _upright(box: Frame, source: JsonObject, name: str, line: int) -> Node:
    """A dotted line at a share, its name on the side with more room."""
    share = number(source, name) or 0.0
    place, gap, side = box.x(share), 5, None
    if share > 1 / 2:
        gap, side = -5, "end"
    drawn = node("line", x1=place, x2=place, y1=box.y.start, y2=box.y.end)
    said = f"{name} {share:.0%}"
    label = node("text", said, x=place + gap, y=box.y.end + line, class_=side)
    return node("g", drawn, label, class_="reference")


def _steps(results: JsonObject) -> Node | None:
    rows: list[Sequence[Child]] = [
        [
            text(row, "name"),
            count(row, "tokens"),
            count(row, "effect", "n"),
            paired_figure(table(row, "effect"), _signed),
            {True: "taken"}.get(bool(row.get("chosen")), "not taken"),
        ]
        for row in tables(results, "steps")
    ]
    for name, reason in table(results, "left_out").items():
        rows.append([name, "", "", "", foreign(f"not tried: {reason}")])
    head = ["step", "tokens with it", "runs", "effect", "outcome"]
    return data_table("Processing steps among the proxies", head, rows, figures=(1, 2))


def _runs(results: JsonObject) -> Node | None:
    names = [text(row, "name") for row in tables(results, "sources")]
    steps: list[str] = ["step"] * bool(tables(results, "steps"))
    rows: list[Sequence[Child]] = []
    for place, run in enumerate(tables(results, "proxies"), 1):
        shares = [f"{float(each):.1%}" for each in items(run, "shares")]
        figures = [three_decimals(run, name) for name in ("bits_per_byte", "expected")]
        had = [" ".join(texts(run, "steps"))] * len(steps)
        rows.append([str(place), *shares, *figures, *had])
    head: list[Child] = ["run", *map(foreign, names), "measured", "expected", *steps]
    return data_table("Proxy runs", head, rows, figures=range(1, len(names) + 3))
