"""The sources of a pretraining run: the share of each in the text and in what was read, how often
it was read, and its loss.
"""

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, figure
from groundup.report.drawing import bar
from groundup.report.formatting import count, fixed, percent, three_decimals
from groundup.report.values import JsonObject, number, numbers, tables, text

HEAD = ("read", "there", "wanted", "epochs", "tokens read", "bits per byte")


def mixture(results: JsonObject) -> Node | None:
    """Return the picture; None for runs on one source."""
    sources = tables(results, "sources")
    read = [number(each, "read_tokens") or 0.0 for each in sources]
    total = sum(read)
    if not total:
        return None
    shares = [tokens / total for tokens in read]
    # room for a mark at the end
    largest = 1.02 * max(*shares, *[number(each, "share") or 0.0 for each in sources])
    rows = [
        _row(each, share, largest, results) for each, share in zip(sources, shares, strict=True)
    ]
    titles: list[Child] = ["source", node("span", "share of what was read", class_="quiet"), *HEAD]
    caption = (
        "A bar is the share of a source in the tokens that the model read; the vertical mark is "
        "its share of the text that is there. Beyond about four epochs repeated text teaches "
        "little, and a small source is memorised. Bits per byte are of its validation text."
    )
    figures = range(2, 2 + len(HEAD))
    return figure(
        caption,
        data_table("Sources of the training text", titles, rows, figures=figures, class_="bars"),
    )


def _row(source: JsonObject, share: float, largest: float, results: JsonObject) -> list[Child]:
    there, wanted, epochs, read = numbers(source, "share", "wanted", "epochs", "read_tokens")
    drawing = node("div", bar(share, largest, there), class_="drawn")
    bits = number(results, f"bits_per_byte:{text(source, 'source')}")
    shares = map(percent, (share, there, wanted))
    figures = (fixed(epochs), count(read), three_decimals(bits))
    return [foreign(text(source, "name")), drawing, *shares, *figures]
