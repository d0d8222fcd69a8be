"""The page of `groundup research`: the tree of tries. A row is a switch, a column a round: its
difference from the baseline with the same seeds; what was not among the better half ends there.

render_research_page(results)     the values of results.json
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    data_table,
    facts,
    html_page,
    meaning,
    note,
    notes_of,
    page_header,
    section,
)
from groundup.report.drawing import cell, share
from groundup.report.values import (
    JsonObject,
    MeasuredFraction,
    count,
    duration,
    interval,
    items,
    measured,
    number,
    table,
    tables,
    text,
    texts,
    three_decimals,
)

SEE = (
    "A bar is the mean difference in bits per byte of validation text from the baseline with the "
    "same seeds, the line on it the 95 % interval (Student's t over seeds; none for a single "
    "seed); left of the dotted line is better. After each round the better half goes on with twice "
    "the time."
)
# Room beside the longest bar.
ROOM = 1.1
# Intervals of two seeds are long; the longest bar keeps at least this share of its side.
MIN_BAR_SHARE = 1 / 3


def render_research_page(results: JsonObject) -> str:
    rounds = tables(results, "rounds")
    parts: list[Child] = [_tree(results, rounds), *notes_of(_few_seeds(rounds))]
    chapters = [
        section("tries", "Validation", "The tree of tries", SEE, parts),
        section(
            "recipes",
            "Switches",
            "What was changed",
            "As settings of groundup pretrain --set, each with the paper that it comes from.",
            [_recipes(results, rounds)],
        ),
    ]
    if table(results, "test"):
        chapters.insert(1, _test_chapter(results))
    main = node("main", chapters, id="main")
    return html_page("research", _opening(results, rounds), main, skip_to="tries")


def _opening(results: JsonObject, rounds: Sequence[JsonObject]) -> Node:
    planned, best = number(results, "planned") or 0, text(results, "best")
    last = rounds[-1]
    figures = facts(
        (_name(best), "best"),
        (str(sum(len(items(row, "bits_per_byte")) for row in _rows(rounds))), "tries of switches"),
        (_length(results, last), f"{_unit(results)} of the longest try"),
        (count(last, "parameters"), "parameters of the baseline"),
        (duration(results, "processor_s"), "processor time in all"),
        (" ".join(texts(results, "texts")), "texts"),
        (text(results, "machine"), "machine"),
        (text(results, "command"), "command"),
    )
    if len(rounds) < planned:
        lead = f"Not done: {len(rounds)} of {planned:.0f} rounds so far."
    elif best == "baseline":
        lead = "No switch was better than the baseline in the last round."
    else:
        lead = f"{_name(best)} had the lowest loss of the last round: {_verdict(results, last)}."
    return page_header("groundup · research", "What lowers the loss", lead, figures)


def _verdict(results: JsonObject, last: JsonObject) -> str:
    """On the test split where it was measured, else on validation."""
    tested = table(results, "test", "difference")
    if tested:
        return f"on test text {_signed(tested)} bits per byte, {meaning(tested)}"
    row = next(each for each in tables(last, "tried") if each.get("name") == results.get("best"))
    return f"{_signed(table(row, 'difference'))} bits per byte of validation text"


def _name(name: str) -> str:
    return {"together": "the best together"}.get(name, name)


def _unit(results: JsonObject) -> str:
    return {"steps": "steps"}.get(text(results, "unit"), "processor seconds")


def _length(results: JsonObject, found: JsonObject) -> str:
    return f"{number(found, 'length') or 0:,.3g}"


def _rows(rounds: Sequence[JsonObject]) -> list[JsonObject]:
    return [row for found in rounds for row in tables(found, "tried")]


def _few_seeds(rounds: Sequence[JsonObject]) -> list[str]:
    alone = [found for found in rounds if len(items(found, "seeds")) == 1]
    if not alone:
        return []
    return ["A round with a single seed orders the switches and shows nothing else."]


def _tree(results: JsonObject, rounds: Sequence[JsonObject]) -> Node | None:
    """The rows of the last round first, then those that ended before it, the latest first."""
    axis = _axis(rounds)
    names: dict[str, None] = {}
    for found in reversed(rounds):
        names |= {text(row, "name"): None for row in tables(found, "tried")}
    head: list[Child] = ["switch", *(_head(results, found) for found in rounds)]
    body: list[Sequence[Child]] = [["baseline", *(_baseline(found) for found in rounds)]]
    for name in names:
        cells = [_cell(_row_of(found, name), axis) for found in rounds]
        body.append([node("b", _name(name)), *cells])
    caption = f"Differences from the baseline, on one scale from {axis[0]:+.3f} to {axis[1]:+.3f}"
    return data_table(caption, head, body, class_="stacked tree")


def _head(results: JsonObject, found: JsonObject) -> str:
    seeds = len(items(found, "seeds"))
    unit = {"steps": "steps"}.get(text(results, "unit"), "s")
    many = {1: "1 seed"}.get(seeds, f"{seeds} seeds")
    return f"round {count(found, 'number')}: {_length(results, found)} {unit}, {many}"


def _row_of(found: JsonObject, name: str) -> JsonObject:
    return next((row for row in tables(found, "tried") if row.get("name") == name), {})


def _axis(rounds: Sequence[JsonObject]) -> tuple[float, float]:
    """As wide for better as for worse, so that the baseline is in the middle."""
    found = [each for row in _rows(rounds) if (each := measured(row, "difference"))]
    bars = max((abs(each.value) for each in found), default=0.0)
    ends = max((max(abs(each.low), abs(each.high)) for each in found), default=0.0)
    widest = ROOM * min(ends, bars / MIN_BAR_SHARE) or 1.0
    return -widest, widest


def _baseline(found: JsonObject) -> str:
    figures = [float(each) for each in items(found, "baseline")]
    mean = sum(figures) / max(1, len(figures))
    return f"{mean:.3f} bits per byte, {count(found, 'steps')} steps"


def _cell(row: JsonObject, axis: tuple[float, float]) -> Child:
    """The drawing and its figures; "" for a switch that had ended before."""
    if not row:
        return ""
    found = measured(row, "difference")
    if found is None:
        return foreign(f"failed: {text(row, 'failed')}")
    drawn = _drawn(found, axis)
    steps = f"{count(row, 'steps')} steps"
    said = node("span", f"{_signed(table(row, 'difference'))} · {steps}", class_="quiet")
    return node("div", drawn, said)


def _drawn(found: MeasuredFraction, axis: tuple[float, float]) -> Node:
    """A bar from the baseline to the mean, and the interval as a line."""
    low, high, start, zero = (
        share(level - axis[0], axis[1] - axis[0])
        for level in (found.low, found.high, min(0.0, found.value), 0.0)
    )
    look = "worse"
    if found.value < 0:
        look = "better"
    length = share(abs(found.value), axis[1] - axis[0])
    bar = node("rect", x=start, y="28%", width=length, height="44%", class_=look)
    bounds = node("line", x1=low, x2=high, y1="50%", y2="50%", class_="whisker")
    return cell(bar, bounds, node("line", x1=zero, x2=zero, y1=0, y2="100%", class_="chance"))


def _signed(difference: JsonObject) -> str:
    """The value with its interval, if it has one."""
    value, bounds = number(difference, "value") or 0.0, interval(difference, _form)
    if not bounds:
        return _form(value)
    return f"{_form(value)} ({bounds})"


def _form(value: float) -> str:
    return f"{value:+.3f}"


def _test_chapter(results: JsonObject) -> Node:
    test, best = table(results, "test"), _name(text(results, "best"))
    rows: list[Sequence[Child]] = []
    for name, key in (("baseline", "baseline"), (best, "best")):
        figures = [float(each) for each in items(test, key)]
        each = ", ".join(f"{figure:.3f}" for figure in figures)
        rows.append([name, three_decimals(sum(figures) / max(1, len(figures))), each])
    shown = data_table(
        f"Bits per byte of test text, n = {count(test, 'tokens')} tokens",
        ["recipe", "mean", "by seed"],
        rows,
        figures=(1,),
    )
    difference = table(test, "difference")
    kind = {"better": "good", "worse": "warning"}.get(text(difference, "verdict"), "note")
    said = note(f"{best}: {_signed(difference)} bits per byte, {meaning(difference)}.", kind=kind)
    see = "Measured once, after the last round, on the baseline and the best alone."
    return section("test", "Sealed until the end", "The test split", see, [shown, said])


def _recipes(results: JsonObject, rounds: Sequence[JsonObject]) -> Node | None:
    rows: dict[str, Sequence[Child]] = {}
    for row in _rows(rounds):
        name = text(row, "name")
        settings = [node("code", foreign(each)) for each in texts(row, "settings")]
        spaced = [part for setting in settings for part in (setting, node("br"))][:-1]
        rows[name] = [
            node("b", _name(name)),
            foreign(text(row, "changes")),
            node("span", spaced),
            count(row, "parameters"),
            foreign(text(row, "paper")),
        ]
    for name, reason in table(results, "left_out").items():
        rows[name] = [node("b", name), foreign(f"Left out: {reason}"), "", "", ""]
    head = ["switch", "what it changes", "settings", "parameters", "paper"]
    return data_table("Each switch beside the baseline", head, list(rows.values()), figures=(3,))
