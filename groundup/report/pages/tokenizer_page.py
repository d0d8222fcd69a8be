"""Two pages about tokenizers: a text cut into tokens, and tokenizers side by side.

render_tokens_page(shown)             the JSON value of `groundup tokenizer show`
render_comparison_page(compared)      that of `groundup tokenizer compare`
"""

from collections import Counter
from collections.abc import Sequence

from groundup.data.processing.languages import language_name
from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, facts, html_page, more, note, page_header, section
from groundup.report.drawing import bar
from groundup.report.values import (
    JsonObject,
    count,
    fixed,
    items,
    number,
    numbers,
    percent,
    table,
    tables,
    text,
)

MAX_TOKENS = 20_000
MAX_FREQUENT = 30
COLOURS = 4
HOVER = (
    "A raised dot is a space, ⏎ a line end. The id and the bytes of a token are shown under the "
    "pointer."
)


def render_tokens_page(shown: JsonObject) -> str:
    name, tokens = text(shown, "name"), tables(shown, "tokens")
    num_bytes = sum(len(_bytes(each)) for each in tokens)
    title, rate = f"{count(len(tokens))} tokens", ""
    if len(tokens) == 1:
        title = "One token"
    if tokens:
        rate = fixed(num_bytes / len(tokens))
    lead: list[Child] = ["The text as the tokenizer ", foreign(name), " gives it to a model."]
    figures = facts(
        (count(len(tokens)), "tokens"),
        (count(len({number(each, "id") for each in tokens})), "different ones"),
        (count(num_bytes), "bytes"),
        (rate, "bytes per token"),
        (count(shown, "vocab_size"), "ids in the vocabulary"),
    )
    first = tokens[:MAX_TOKENS]
    parts: list[Child] = [_text(first)]
    if len(tokens) > len(first):
        cut = f"The first {count(MAX_TOKENS)} of {count(len(tokens))} tokens are shown."
        parts.append(note(cut))
    parts.append(_frequent(tokens))
    if first:
        ids = " ".join(text(each, "id") for each in first)
        parts.append(more("The ids, in order", node("p", ids, class_="token-ids")))
    main = node("main", section("text", "Text", "Cut into tokens", HOVER, parts))
    header = page_header("groundup · tokenizer show", title, lead, figures)
    return html_page(f"tokens of {name}", header, main)


def _bytes(token: JsonObject) -> list[int]:
    return [byte for byte in items(token, "bytes") if type(byte) is int and 0 <= byte < 256]


def _text(tokens: Sequence[JsonObject]) -> Node:
    made = []
    for place, token in enumerate(tokens):
        piece = foreign(_show_token(token), "bdi", f"token piece-{place % COLOURS}")
        piece.set("data-tip", f"{text(token, 'id')} · {bytes(_bytes(token)[:24]).hex(' ')}")
        made.append(piece)
    return node("p", made, class_="token-text")


def _show_token(token: JsonObject) -> str:
    """A token's text with visible spaces; a line end also ends the line of the page."""
    piece = bytes(_bytes(token)).decode("utf-8", "backslashreplace")
    return piece.replace(" ", "·").replace("\t", "⇥").replace("\r", "␍").replace("\n", "⏎\n") or "∅"


def _frequent(tokens: Sequence[JsonObject]) -> Node | None:
    counts = Counter(text(each, "id") for each in tokens)
    first = {text(each, "id"): each for each in reversed(tokens)}
    rows: list[list[Child]] = [
        [
            foreign(_show_token(first[id]).strip("\n")),
            id,
            count(times),
            percent(times / len(tokens)),
        ]
        for id, times in counts.most_common(MAX_FREQUENT)
        if times > 1
    ]
    found = data_table("Most frequent", ["token", "id", "times", "share"], rows, figures=(1, 2, 3))
    return more("The most frequent tokens", found)


def render_comparison_page(compared: JsonObject) -> str:
    rows = tables(compared, "tokenizers")
    names = [text(each, "name") for each in rows]
    best = max(rows, key=lambda each: number(each, "bytes_per_token") or 0.0, default={})
    title = "One tokenizer"
    if len(rows) > 1:
        title = f"{len(rows)} tokenizers on the same texts"
    chapters: list[Node] = [
        section("all", "Bytes per token", "All texts", SEE_ALL, [_figures(rows)]),
        _by_group(compared, "sources", names, "By source"),
        _examples(compared, names),
    ]
    if table(compared, "languages"):
        chapters.insert(2, _by_group(compared, "languages", names, "By language"))
    lead: list[Child] = [
        foreign(text(best, "name")),
        f" has the most bytes per token, {fixed(best, 'bytes_per_token')}; the shares of "
        f"parameters are those of a model of width {count(compared, 'model', 'width')} with "
        f"{count(compared, 'model', 'layers')} blocks.",
    ]
    header = page_header("groundup · tokenizer compare", title, lead)
    return html_page("tokenizers", header, node("main", chapters))


SEE_ALL = (
    "More bytes per token: shorter sequences, and more text in a context. A larger vocabulary "
    "gets them for more parameters."
)
SEE_GROUPS = (
    "A tokenizer is good at what it was trained on: a language or a format that it has not met "
    "takes more tokens."
)


def _figures(rows: Sequence[JsonObject]) -> Node | None:
    most = max((number(each, "bytes_per_token") or 0.0 for each in rows), default=0.0)
    figures = ("bytes per token", "ids", "tokens", "embeddings", "MB/s")
    head: list[Child] = ["tokenizer", node("span", "drawn", class_="away"), *figures]
    body: list[list[Child]] = [
        [
            foreign(text(each, "name")),
            bar(number(each, "bytes_per_token"), most),
            fixed(each, "bytes_per_token"),
            count(each, "vocab_size"),
            count(each, "tokens"),
            percent(each, "embedding_share"),
            fixed(each, "mb_per_s", decimals=1),
        ]
        for each in rows
    ]
    caption = (
        "Embeddings: share of the model's parameters. "
        "MB/s: encoding on one thread of the machine that made this page."
    )
    return data_table(caption, head, body, figures=range(2, 7), class_="bars")


def _by_group(compared: JsonObject, key: str, names: Sequence[str], title: str) -> Node:
    """The table of bytes per token: a row for each source or language, a column for each
    tokenizer.
    """
    body: list[list[Child]] = []
    for name, group in table(compared, key).items():
        shown = name
        if key == "languages":
            shown = language_name(name)
        sizes = map(count, numbers(group, "documents", "bytes"))
        body.append([foreign(shown), *sizes, *_rates(group, names)])
    head: list[Child] = [key.removesuffix("s"), "documents", "bytes", *map(foreign, names)]
    found = data_table("Bytes per token; the most in bold", head, body, figures=range(1, len(head)))
    return section(key, "Bytes per token", title, SEE_GROUPS, [found])


def _rates(group: JsonObject, names: Sequence[str]) -> list[Child]:
    """The bytes per token of each tokenizer, the most of several in bold."""
    rates = numbers(table(group, "bytes_per_token"), *names)
    cells: list[Child] = [fixed(rate) for rate in rates]
    most = max((rate for rate in rates if rate is not None), default=None)
    for place, rate in enumerate(rates):
        if rate == most and len(names) > 1:
            cells[place] = node("b", fixed(rate))
    return cells


def _examples(compared: JsonObject, names: Sequence[str]) -> Node:
    parts: list[Child] = []
    for example in tables(compared, "examples"):
        parts.append(node("h3", foreign(text(example, "source"))))
        for name in names:
            pieces = tables(example, "pieces", name)
            parts += [
                node("p", foreign(name), f", tokens: {count(len(pieces))}", class_="quiet"),
                _text(pieces),
            ]
    return section(
        "examples", "Examples", "The beginning of each source, cut into tokens", HOVER, parts
    )
