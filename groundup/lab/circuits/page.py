"""The page of a transcoder's features: what was measured of it, and each feature with the texts in
which it is most active.
"""

from collections.abc import Sequence
from pathlib import Path

from groundup import __version__
from groundup.files import write_text
from groundup.html_nodes import Node, foreign, node, read_asset, to_html
from groundup.lab.circuits.tables import table, top_places
from groundup.lab.circuits.transcoder import TranscoderCard
from groundup.lab.circuits.values import FeatureList, FeatureValues
from groundup.lab.html_head import html_head
from groundup.palette import PRINT, custom_properties

SHOWN_FEATURES = 60
WHAT = (
    "A transcoder computes what one block's feed-forward network adds by features, of which few "
    "are active at a token. It is an approximation: what it does not explain is said here. Names are "
    "the token at which a feature is mostly largest."
)


def write_features_page(
    path: Path, name: str, card: TranscoderCard, found: FeatureList, further: Sequence[Node] = ()
) -> None:
    """`further`: sections that stand before the features. Raises DiskError."""
    style = custom_properties(printed=PRINT) + read_asset("groundup.lab", "page.css")
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
    head = html_head(f"groundup lab: features of {name}", style, ())
    write_text(path, to_html(node("html", head, body, lang="en")))


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
