"""The sources of a pretraining run: the share of each in the text and in what was read, how often
it was read, and its loss.
"""

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, figure
from groundup.report.drawing import bar
from groundup.report.formatting import count, fixed, percent
from groundup.report.values import JsonObject, number, tables, text

HEAD = ("read", "there", "wanted", "epochs", "tokens read", "bits per byte")


def mixture(results: JsonObject) -> Node | None:
    """Return the picture; None for runs on one source, and for older ones."""
    sources = tables(results, "sources")
    total = sum(number(each, "read_tokens") or 0.0 for each in sources)
    if not sources or not total:
        return None
    shares = [(number(each, "read_tokens") or 0.0) / total for each in sources]
    largest = 1.02 * max(
        [*shares, *(number(each, "share") or 0.0 for each in sources)]
    )  # room for a mark at the end
    rows = [
        _row(each, share, largest, results) for each, share in zip(sources, shares, strict=True)
    ]
    titles: list[Child] = ["source", node("span", "share of what was read", class_="quiet"), *HEAD]
    caption = (
        "A bar is the share of a source in the tokens that the model read; the vertical mark is its share of the text that is there. "
        "Beyond about four epochs repeated text teaches little, and a small source is memorised. Bits per byte are of its validation text."
    )
    made = data_table(
        "Sources of the training text", titles, rows, figures=range(2, 2 + len(HEAD)), class_="bars"
    )
    return figure(caption, made)


def _row(source: JsonObject, share: float, largest: float, results: JsonObject) -> list[Child]:
    drawing = node("div", bar(share, largest, number(source, "share")), class_="drawn")
    shares = (
        percent(value) for value in (share, number(source, "share"), number(source, "wanted"))
    )
    bits = number(results, f"bits_per_byte:{text(source, 'source')}")
    figures = (
        fixed(number(source, "epochs")),
        count(number(source, "read_tokens")),
        fixed(bits, 3),
    )
    return [foreign(text(source, "name")), drawing, *shares, *figures]
