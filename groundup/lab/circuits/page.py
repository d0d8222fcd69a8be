"""The page of a transcoder's features: what was measured of it, graphs of predictions with their
faithfulness, and each feature with the texts in which it is most active.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from groundup import __version__
from groundup.files import write_text
from groundup.html_nodes import Child, Node, foreign, node, read_asset, to_html
from groundup.lab.circuit_values import (
    CONFIRMED,
    CircuitGraph,
    FaithfulnessSummary,
    FeatureList,
    FeatureValues,
    GraphEdge,
    is_confirmed,
)
from groundup.lab.circuits.graph import LIMIT, MOST
from groundup.lab.circuits.tables import table, top_places
from groundup.lab.circuits.transcoder import TranscoderCard
from groundup.lab.drawing.circuit_graph import draw_graph
from groundup.lab.html_head import html_head
from groundup.lab.style import pyplot
from groundup.palette import custom_properties, page_style

SHOWN_FEATURES, SHOWN_EDGES = 60, 24
WHAT = (
    "A transcoder computes what one block's feed-forward network adds by features, of which few "
    "are active at a token. It is an approximation: what it does not explain is said here. Names "
    "are the token at which a feature is mostly largest."
)


def write_features_page(
    path: Path, name: str, card: TranscoderCard, found: FeatureList, further: Sequence[Node] = ()
) -> None:
    """`further`: sections that stand before the features. Raises DiskError."""
    figures = custom_properties(dark={}).replace(":root", "figure")
    style = page_style() + figures + read_asset("groundup.lab", "page.css")
    features, shown = found["features"], found["features"][:SHOWN_FEATURES]
    said = (
        f"{len(features):,} of {card.features:,} features are active in {found['tokens']:,} tokens "
        f"of the run's texts; these {len(shown)} write most."
    )
    body = node(
        "body",
        node(
            "header",
            node("h1", "Features of ", foreign(name)),
            node("p", WHAT),
            [node("p", line, class_="quiet") for line in card.lines],
        ),
        node(
            "main",
            further,
            node("section", node("h2", "Features"), node("p", said), features_table(shown)),
        ),
        node("footer", node("p", f"Made by groundup {__version__} on this machine.")),
    )
    title = f"groundup lab: features of {name}"
    head = html_head(title, style, (), embedded_images=True)
    write_text(path, to_html(node("html", head, body, lang="en")))


def graph_sections(
    graphs: Sequence[CircuitGraph],
    summary: FaithfulnessSummary,
    interval: tuple[float, float] | None = None,
) -> list[Node]:
    """How often graphs explain held-out passages (`interval`: of the share), and a section for each
    text. Raises MissingExtra without matplotlib.
    """
    lines = [node("p", line) for line in _summary(summary, interval)]
    opening = node("section", node("h2", "Graphs"), lines)
    return [opening, *[_graph(graph) for graph in graphs]]


def no_graphs(reason: str) -> list[Node]:
    """The section that says why a model has none."""
    return [node("section", node("h2", "Graphs"), node("p", "Left out: ", reason))]


def _summary(summary: FaithfulnessSummary, interval: tuple[float, float] | None) -> Iterator[str]:
    yield (
        "A graph is the fewest parts of the model (tokens, heads, networks, features) that alone "
        "bring a prediction back, where all other parts are at their means over other texts. "
        f"Between {1 - LIMIT:.1f} and {1 + LIMIT:.1f} of what the whole model does it counts as "
        f"explained; more than {MOST} parts are not shown. Each graph was tried on the model as a "
        "whole, and its largest edges one by one: an edge is confirmed where the prediction loses "
        f"at least {CONFIRMED:.0%} of its weight when the later part alone no longer reads what "
        "the earlier one writes. Weights are computed from gradients, along a way on which all "
        "parts open together, so some are not confirmed."
    )
    shares, count = summary["faithfulness"], summary["texts"]
    said = (
        f"Of {count} held-out passages of {summary['tokens']} tokens {summary['explained']} are "
        "explained"
    )
    if interval is not None:
        said += f" (95 % interval {interval[0]:.0%} to {interval[1]:.0%})"
    said += f", and {count - summary['explained']} are not"
    if summary["little"]:
        said += f" ({summary['little']} are predicted nearly as much with every part at its mean)"
    yield said + "."
    if shares:
        low, middle, high = (shares[int(at * (len(shares) - 1))] for at in (0.25, 0.5, 0.75))
        yield (
            f"Faithfulness of the other {len(shares)}: {middle:.2f} in the middle, half of them "
            f"from {low:.2f} to {high:.2f}, lowest {shares[0]:.2f}; of as many random parts "
            f"{median(summary['chance']):.2f} in the middle. Without the parts of the graph "
            f"{median(summary['left']):.2f} is left in the middle."
        )


def _graph(graph: CircuitGraph) -> Node:
    if graph["explained"]:
        verdict = node("p", f"Explained by {len(graph['nodes'])} parts: ", graph["caption"])
    else:
        verdict = node(
            "p", node("strong", "Not explained: "), f"{graph['why']}. ", graph["caption"]
        )
        verdict.set("class", "thin")
    drawn = io.BytesIO()
    with pyplot().rc_context({"svg.hashsalt": "graph"}):  # the same ids each time
        draw_graph(graph).savefig(drawn, format="svg", metadata={"Date": None})
    image = base64.b64encode(drawn.getvalue()).decode()
    names = [entry["name"] for entry in graph["nodes"]]
    rows = [
        node(
            "tr",
            node("td", foreign(names[edge["source"]])),
            node("td", _target(edge, names)),
            node("td", f"{edge['weight']:+.2f}", class_="number"),
            node("td", _cut(edge), class_="number"),
            node("td", ("no", "yes")[is_confirmed(edge)]),
        )
        for edge in graph["edges"][:SHOWN_EDGES]
    ]
    tried = [edge for edge in graph["edges"] if edge["cut"] is not None]
    confirmed = f"{sum(map(is_confirmed, tried))} of the {len(tried)} that were cut are confirmed"
    alt = f"The graph as a picture; its largest edges stand below. {graph['caption']}"
    shown = foreign(shown_name(graph["decision"]))
    return node(
        "section",
        node("h2", foreign(graph["text"]), " → ", shown),
        verdict,
        node(
            "figure",
            node("img", src=f"data:image/svg+xml;base64,{image}", alt=alt),
            class_="graph",
            tabindex=0,
        ),
        node(
            "details",
            node("summary", f"The {len(rows)} largest edges, in nats; {confirmed}"),
            table(("from", "to", "weight", "lost when cut", "confirmed"), rows),
        ),
    )


def _cut(edge: GraphEdge) -> str:
    if edge["cut"] is None:
        return ""
    return f"{edge['cut']:+.2f}"


def _target(edge: GraphEdge, names: Sequence[str]) -> Child:
    if edge["target"] is None:
        return "the prediction"
    return foreign(names[edge["target"]])


def features_table(features: Sequence[FeatureValues]) -> Node:
    rows = [
        node(
            "tr",
            node("td", f"{entry['number']} ", foreign(shown_name(entry["name"]))),
            node("td", f"{100 * entry['share']:.1f} %", class_="number"),
            node("td", f"{100 * entry['writes']:.1f} %", class_="number"),
            node("td", foreign(" ".join(shown_name(each) for each in entry["raises"]))),
            node("td", top_places(entry["texts"])),
        )
        for entry in features
    ]
    head = ("feature", "tokens", "of all written", "raises", "most active in these texts")
    return table(head, rows)


def shown_name(text: str) -> str:
    return "“" + text.replace("\n", "↵").replace(" ", "·") + "”"
