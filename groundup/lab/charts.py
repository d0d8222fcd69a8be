"""The interactive views, as the input of Plotly ({"data", "layout"}), made without the library.
With "choices" (block, head, ...) its "z" is nested once for each, and `page.js` shows the chosen
table
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from groundup.lab.style import MUTED, ONE, TWO, pair_labels, show_spaces
from groundup.lab.values import (
    AblationTable,
    AttentionPicture,
    CausalTrace,
    EmbeddingMap,
    HeadSearch,
    LensCell,
    LensPicture,
    SurprisePicture,
)
from groundup.palette import SHARES

Chart = dict[str, Any]
# From light to dark; Plotly's own "Blues" is reversed.
SHARES_SCALE = [[number / (len(SHARES) - 1), colour] for number, colour in enumerate(SHARES)]
FONT = "system-ui, sans-serif"
CELL_PIXELS = 22
PATCHED = {
    "stream": "residual stream",
    "attention": "attention of the block",
    "feedforward": "feed-forward network of the block",
}
# Most numbers of an attention chart: beyond it the page has every n-th block only; the still
# picture has all.
MAX_NUMBERS = 600_000


def attention_chart(view: AttentionPicture) -> Chart:
    labels = _labels(piece["text"] for piece in view["pieces"])
    by_place = {(head["block"], head["head"]): head["weights"] for head in view["heads"]}
    step = -(-len(by_place) * len(labels) ** 2 // MAX_NUMBERS)
    blocks = sorted({block for block, _ in by_place})[::step]
    heads = sorted({head for _, head in by_place})
    tables = [[by_place[block, head] for head in heads] for block in blocks]
    hover = "%{y} attends to %{x}: %{z:.1%}<extra></extra>"
    chart = _heatmap(tables[0][0], labels, labels, hover, largest=1.0, title="attends to")
    choices = {"block": blocks, "head": heads}
    chart["choices"] = [
        {"name": name, "options": [str(number) for number in each]}
        for name, each in choices.items()
    ]
    return {**chart, "z": tables}


def heads_chart(view: HeadSearch) -> Chart:
    kinds = [kind["kind"] for kind in view["kinds"]]
    blocks = [list(heads) for _, heads in groupby(view["heads"], key=lambda head: head["block"])]
    tables = [[[head["scores"][kind] for head in heads] for heads in blocks] for kind in kinds]
    chart = _by_head(
        tables[0], "block %{y}, head %{x}: %{z:.1%} of its attention<extra></extra>", largest=1.0
    )
    chart["choices"] = [{"name": "pattern", "options": kinds}]
    return {**chart, "z": tables}


def ablation_chart(view: AblationTable) -> Chart:
    hover = "without block %{y}, head %{x}: %{z:+.3f} nats per token<extra></extra>"
    return _by_head(view["heads"], hover, largest=None)


def trace_chart(view: CausalTrace) -> Chart:
    """The sites that have a column for each token; the first row of blocks is empty."""
    sites = [site for site in view["sites"] if site["site"] != "head"]
    columns = [name.replace("<", "‹").replace("&", "＆") for name in pair_labels(view)]
    empty: list[float | None] = [None] * len(columns)
    tables = [[empty] * site["first"] + [[*row] for row in site["restored"]] for site in sites]
    layers = [str(layer) for layer in range(len(tables[0]))]
    hover = "%{x}, layer %{y}: %{z:.0%} restored<extra></extra>"
    chart = _heatmap(tables[0], columns, layers, hover, largest=1.0, title="token")
    chart["layout"]["yaxis"] |= {"title": {"text": "layer"}, "autorange": True}
    chart["choices"] = [{"name": "replaced", "options": [PATCHED[site["site"]] for site in sites]}]
    return {**chart, "z": tables}


def lens_chart(view: LensPicture) -> Chart:
    rows = [layer["cells"] for layer in view["layers"]]
    probabilities = [[cell["probability"] for cell in row] for row in rows]
    columns = _labels(piece["text"] for piece in view["pieces"])
    names = [str(layer["layer"]) for layer in view["layers"]]
    hover = "after %{x}, layer %{y}<br>%{text}<extra></extra>"
    chart = _heatmap(probabilities, columns, names, hover, largest=1.0, title="token read")
    chart["data"][0] |= {"text": [[_guess(cell) for cell in row] for row in rows]}
    chart["layout"]["yaxis"] |= {"title": {"text": "layer"}, "autorange": True}
    return chart


def _guess(cell: LensCell) -> str:
    guess = f"prediction {show_spaces(cell['text'])!r}, {cell['probability']:.1%}"
    if cell["rank"] is None:
        return guess
    return f"{guess}<br>actual token: rank {cell['rank']:,}, {cell['bits']:.1f} bits"


def surprise_chart(view: SurprisePicture) -> Chart:
    """The bits of every token, and what was expected instead."""
    tokens = view["tokens"]
    labels = _labels(token["text"] for token in tokens)
    expected = [
        "<br>".join(f"{show_spaces(e['text'])!r} {e['probability']:.1%}" for e in token["expected"])
        for token in tokens
    ]
    places = list(range(len(tokens)))
    bits = {
        "type": "bar",
        "name": "surprise",
        "x": places,
        "y": [token["bits"] for token in tokens],
        "text": labels,
        "textposition": "none",
        "customdata": expected,
        "hovertemplate": "%{text}: %{y:.1f} bits<br>expected:<br>%{customdata}<extra></extra>",
        "marker": {"color": ONE},
    }
    entropy = {
        "type": "scatter",
        "mode": "lines",
        "name": "expected surprise (entropy)",
        "x": places,
        "y": [token["entropy_bits"] for token in tokens],
        "hovertemplate": "entropy %{y:.1f} bits<extra></extra>",
        "line": {"color": TWO, "dash": "dot"},
    }
    layout = _layout(420, y="bits")
    layout["xaxis"] |= {
        "tickvals": places,
        "ticktext": labels,
        "tickangle": -60,
        "range": [-0.5, min(len(tokens), 60)],
    }
    return {
        "data": [bits, entropy],
        "layout": layout | {"showlegend": True, "legend": {"orientation": "h", "y": 1.1}},
    }


def embeddings_chart(view: EmbeddingMap) -> Chart:
    """The map of tokens, which can be zoomed."""
    points = view["points"]
    labels = _labels(point["text"] for point in points)
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "marker": {"size": 4, "color": MUTED},
        "x": [point["x"] for point in points],
        "y": [point["y"] for point in points],
        "text": labels,
        "hovertext": labels,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "textfont": {"family": "ui-monospace, monospace", "size": 12},
    }
    layout = _layout(560, x="principal component 1", y="principal component 2")
    return {"data": [trace], "layout": layout, "labels_apart": True}


def _labels(texts: Iterable[str]) -> list[str]:
    """Tokens as axis labels; Plotly interprets some HTML in them, and none may come from a text."""
    return [show_spaces(text).replace("<", "‹").replace("&", "＆") for text in texts]


def _by_head(table: Sequence[Sequence[float]], hover: str, *, largest: float | None) -> Chart:
    heads = [str(number + 1) for number in range(len(table[0]))]
    blocks = [str(number + 1) for number in range(len(table))]
    chart = _heatmap(table, heads, blocks, hover, largest=largest, title="head")
    chart["layout"]["yaxis"] |= {"title": {"text": "block"}, "autorange": True}
    chart["layout"]["xaxis"] |= {"tickangle": 0}
    return chart


def _heatmap(
    table: Sequence[Sequence[float | None]],
    columns: Sequence[str],
    rows: Sequence[str],
    hover: str,
    *,
    largest: float | None,
    title: str,
) -> Chart:
    """A heatmap, darker for larger values.

    Rows and columns are numbered and named at the ticks, so that equal tokens stay apart.
    """
    trace = {
        "type": "heatmap",
        "z": table,
        "x": list(range(len(columns))),
        "y": list(range(len(rows))),
        "colorscale": SHARES_SCALE,
        # %{x} and %{y} would be numbers: the hover text takes names from customdata.
        "hovertemplate": hover.replace("%{y}", "%{customdata[0]}").replace(
            "%{x}", "%{customdata[1]}"
        ),
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 12, "outlinewidth": 0},
    }
    if largest is not None:
        trace |= {"zmin": 0.0, "zmax": largest}
    trace["customdata"] = [[[row, column] for column in columns] for row in rows]
    layout = _layout(max(260, len(rows) * CELL_PIXELS + 150))
    layout["xaxis"] |= {
        "tickvals": trace["x"],
        "ticktext": list(columns),
        "tickangle": -60,
        "title": {"text": title},
    }
    layout["yaxis"] |= {"tickvals": trace["y"], "ticktext": list(rows), "autorange": "reversed"}
    return {"data": [trace], "layout": layout}


def _layout(height: int, **titles: str) -> Chart:
    layout: Chart = {
        "height": height,
        "margin": {"l": 60, "r": 10, "t": 10, "b": 60},
        "font": {"family": FONT, "size": 12, "color": MUTED},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    for axis in ("x", "y"):
        layout[f"{axis}axis"] = {
            "automargin": True,
            "fixedrange": False,
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 12},
        }
        if axis in titles:
            layout[f"{axis}axis"]["title"] = {"text": titles[axis]}
    return layout
