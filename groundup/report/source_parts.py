"""The parts of a page about sources of texts: what they hold, lengths, languages, what was dropped,
cleaned and passed over, random documents.

In: the cards of sources as JSON values (`data.json` of a build, `data inspect --json`); what one
lacks is left out.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from groundup.data.preparation.data_card import CHANGE_LABELS
from groundup.data.processing.languages import language_name
from groundup.data.reading.source_report import read_as
from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    data_table,
    figure,
    in_a_row,
    more,
    note,
    sentence,
    side,
    with_colon,
)
from groundup.report.drawing import bar, length_histogram, median_length
from groundup.report.values import (
    JsonObject,
    count,
    first_letters,
    fixed,
    items,
    number,
    percent,
    table,
    tables,
    text,
    texts,
)

NAME_CHARACTERS = 120
# Fewer than the cards have of a text, so that a cut is seen.
SAMPLE_CHARACTERS = 560
DROPPED_CHARACTERS = 160
MAX_KINDS, MAX_CHANGES, MAX_SAMPLES, MAX_LANGUAGES = 12, 8, 5, 12
# Names of a reason in its row, and in the whole list below the table.
FEW_NAMES, MAX_NAMES = 3, 500
LONGEST_HISTOGRAM = 60

Cards = Sequence[JsonObject]

LAYOUTS = {
    "text": "texts",
    "labelled": "labelled texts",
    "multi-labelled": "texts with lists of labels",
    "instruction": "instructions",
    "conversation": "conversations",
    "prompt-completion": "prompts and completions",
    "preference": "preference pairs",
}


def source_parts(cards: Cards, *, is_open: bool = False) -> list[Child]:
    """All parts, in order; those without anything to show are None.

    `is_open`: examples and samples are unfolded.
    """
    return [
        _understood(cards),
        _lengths(cards),
        _languages(cards),
        *_dropped(cards),
        *_changed(cards, is_open),
        *_passed_over(cards),
        _samples(cards, is_open),
    ]


def lengths(cards: Cards) -> list[float]:
    """The documents by length, summed over the sources."""
    found = [items(card, "lengths")[:LONGEST_HISTOGRAM] for card in cards]
    totals = [0.0] * max(map(len, found), default=0)
    for each in found:
        for place, value in enumerate(each):
            totals[place] += max(0.0, number(value) or 0.0)
    return totals


def kept(cards: Cards, what: str) -> float | None:
    """Documents or characters kept; None where no source has the figure."""
    found = [number(card, f"kept_{what}") for card in cards]
    known = [value for value in found if value is not None]
    if not known:
        return None
    return sum(known)


def _in_turn(cards: Cards, name: str) -> list[JsonObject]:
    """The tables of this name, the first of each source before the second of any."""
    rounds = zip_longest(*(tables(card, name) for card in cards))
    return [each for round in rounds for each in round if each is not None]


def _understood(cards: Cards) -> Node | None:
    found = [each for card in cards for each in tables(card, "understood")]
    rows = [_files(each) for each in found[:MAX_KINDS]]
    return data_table("What the files hold", ["file", "read as", "columns", "first row"], rows)


def _files(found: JsonObject) -> list[Child]:
    """The row of files of one kind: a name, how they are read, their columns."""
    name: list[Child] = [_name(text(found, "name"))]
    others = (number(found, "files") or 1.0) - 1
    if others > 0:
        name.append(f" {say('and {count} more', count=count(others))}")
    layout, kind = text(found, "layout"), text(found, "kind")
    form: list[Child] = [say(LAYOUTS.get(layout, layout or "nothing"))]
    if kind:
        form.append(node("span", f" ({kind})", class_="quiet"))
    roles = [
        node("div", with_colon(say(role), ""), _name(text(found, "roles", role)))
        for role in table(found, "roles")
    ]
    first = [
        node(
            "div",
            with_colon(say(role), ""),
            foreign(text(found, "first", role)),
            class_="sample-line",
        )
        for role in table(found, "first")
        if text(found, "first", role)
    ]
    return [node("div", name), node("div", form), _lines(roles), _lines(first)]


def _lines(lines: Sequence[Node]) -> Node | None:
    if not lines:
        return None
    return node("div", lines)


def _lengths(cards: Cards) -> Node | None:
    found = lengths(cards)
    caption = say(
        "Lengths of the documents kept; each bar covers twice the range of the one before it."
    )
    middle = median_length(found)
    if middle:
        rounded = count(float(f"{middle:.2g}"))
        caption += " " + say(
            "Half of the documents are shorter than about {count} characters.", count=rounded
        )
    return figure(caption, length_histogram(found))


def _languages(cards: Cards) -> Node | None:
    found: Counter[str] = Counter()
    sampled = 0.0
    for card in cards:
        counts = {
            name: max(0.0, number(value) or 0.0)
            for name, value in table(card, "languages", "found").items()
        }
        of = sum(counts.values())
        if of:
            weight = (number(card, "kept_documents") or of) / of
            found.update({name: value * weight for name, value in counts.items()})
            sampled += of
    if not sampled:
        return None
    total, largest = sum(found.values()), max(found.values())
    rows: list[list[Child]] = []
    for name, value in found.most_common(MAX_LANGUAGES):
        drawing = bar(value, largest)
        rows.append([foreign(say(language_name(name))), drawing, percent(value / total)])
    head: list[Child] = ["language", node("span", say("documents"), class_="quiet"), "share"]
    caption = say("Languages of {count} random documents", count=count(sampled))
    return data_table(caption, head, rows, figures=(2,), class_="bars")


def languages_missing(cards: Cards) -> Node | None:
    """How to install what detects languages, where it was missing."""
    if not any("languages" in card and card["languages"] is None for card in cards):
        return None
    install = node("code", "pip install 'groundup[languages]'")
    words = "Languages are not shown: the package that detects them is not installed. {command}"
    return note(*sentence(words, command=install))


def _dropped(cards: Cards) -> list[Child]:
    entries = [
        (reason, entry) for card in cards for reason, entry in table(card, "dropped").items()
    ]
    dropped = sum(number(entry, "count") or 0.0 for _, entry in entries)
    if not dropped:
        return [note("Nothing was dropped: no document was empty or repeated.", kind="good")]
    of_all = dropped + (kept(cards, "documents") or 0.0)
    rows: list[list[Child]] = []
    for reason in dict.fromkeys(reason for reason, _ in entries):
        of_reason = [entry for name, entry in entries if name == reason]
        found = sum(number(entry, "count") or 0.0 for entry in of_reason)
        rows.append(
            [
                foreign(say(reason)),
                count(found),
                node("div", _drop_examples(cards, reason, of_reason)),
            ]
        )
    caption = say(
        "{dropped} of {count} documents were dropped ({share})",
        dropped=count(dropped),
        count=count(of_all),
        share=percent(dropped / of_all),
    )
    return [data_table(caption, ["reason", "count", "examples"], rows, figures=(1,))]


def _drop_examples(cards: Cards, reason: str, entries: Sequence[JsonObject]) -> list[Child]:
    drops = [each for card in cards for each in tables(card, "drop_examples")]
    shown = [each for each in drops if text(each, "reason") == reason][:2]
    if not shown:
        return _names([name for entry in entries for name in texts(entry, "examples")], 2)
    return [_drop_example(each) for each in shown]


def _drop_example(example: JsonObject) -> Node:
    words: list[Child] = []
    line = first_letters(" ".join(text(example, "text").split()), DROPPED_CHARACTERS)
    if line:
        words = [": ", foreign(line, "q")]
    return node("div", _name(text(example, "name")), words, class_="sample-line")


def _name(name: str, tag: str = "bdi", class_: str | None = None) -> Node:
    return foreign(first_letters(name, NAME_CHARACTERS), tag, class_)


def _names(names: Sequence[str], few: int) -> list[Child]:
    return [_name(name, "div", "sample-line") for name in names[:few]]


def _changed(cards: Cards, is_open: bool) -> list[Child]:
    totals: Counter[str] = Counter()
    for card in cards:
        totals.update({name: number(card, "changed", name) or 0 for name in table(card, "changed")})
    rows: list[list[Child]] = [
        [foreign(say(CHANGE_LABELS.get(name, name))), count(value)]
        for name, value in totals.most_common()
        if value
    ]
    if not rows:
        return []
    caption = "What was changed in the documents kept"
    examples = map(_change_card, _in_turn(cards, "change_examples")[:MAX_CHANGES])
    return [
        data_table(caption, ["change", "count"], rows, figures=(1,)),
        more("Before and after", examples, is_open=is_open),
    ]


def _change_card(example: JsonObject) -> Node:
    name = _name(text(example, "name"), "h3")
    reasons = in_a_row(say(CHANGE_LABELS.get(each, each)) for each in texts(example, "changes"))
    sides = before_and_after(text(example, "before"), text(example, "after"))
    return node("article", name, foreign(reasons, "p", "time"), sides, class_="answer change")


CHANGED_CHARACTERS = 400
# Shown in the marked parts only: in the others a space is a space.
SIGNS = {"\n": "⏎\n", "\r": "\\r", "\f": "\\f", "\v": "\\v", "\t": "\\t", " ": "·"}


def before_and_after(before: str, after: str) -> Node:
    """Both texts side by side; what was removed and what was put in its place are marked."""
    old, new = before[:CHANGED_CHARACTERS], after[:CHANGED_CHARACTERS]
    removed, put = foreign("", "p", "changed-text"), foreign("", "p", "changed-text")
    for kind, start, end, new_start, new_end in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        for parent, tag, piece in (
            (removed, "del", old[start:end]),
            (put, "ins", new[new_start:new_end]),
        ):
            if kind == "equal":
                parent.append(node("span", piece))
            elif piece:
                parent.append(node(tag, "".join(map(_sign, piece))))
    sides = [side("before", removed), side("after", put, "after")]
    return node("div", sides, class_="sides")


def _sign(character: str) -> str:
    """The character, or a sign for one that can't be seen alone.

    >>> _sign("a"), _sign("\\u0301"), _sign("\\x00")
    ('a', 'U+0301', 'U+0000')
    """
    if character in SIGNS:
        return SIGNS[character]
    if unicodedata.combining(character) or not character.isprintable():
        return f"U+{ord(character):04X}"
    return character


def _passed_over(cards: Cards) -> list[Child]:
    """What was not read, and what was read with faults; all names below the table."""
    noted = [found for card in cards for found in _faults(table(card, "read"))]
    found = [
        (reason, entry, texts(entry, "examples"))
        for reason, entry in noted
        if number(entry, "count")
    ]
    rows: list[list[Child]] = [
        [foreign(reason), count(entry, "count"), node("div", _names(names, FEW_NAMES))]
        for reason, entry, names in found
    ]
    caption = "What was passed over, or could not be read as it is"
    lists = [_whole_list(reason, names) for reason, _, names in found if len(names) > FEW_NAMES]
    return [
        data_table(caption, ["reason", "count", "examples"], rows, figures=(1,)),
        more("All names", lists),
    ]


def _whole_list(reason: str, names: Sequence[str]) -> list[Child]:
    shown = [node("li", _name(name)) for name in names[:MAX_NAMES]]
    parts: list[Child] = [node("h3", foreign(reason)), node("ul", shown, class_="chips")]
    left = len(names) - len(shown)
    if left:
        parts.append(note(say("and {count} more; JSON has all of them", count=count(left))))
    return parts


def _faults(read: JsonObject) -> list[tuple[str, JsonObject]]:
    noted = [
        (say("file passed over: {reason}", reason=say(reason)), entry)
        for reason, entry in table(read, "skipped").items()
    ]
    noted += [
        (say("invalid line"), table(read, "bad_lines")),
        (say("file without text"), table(read, "bad_files")),
    ]
    noted += [(read_as(name), entry) for name, entry in table(read, "charsets").items()]
    noted += [(say("file with invalid bytes"), table(read, "invalid_files"))]
    return [(reason, entry) for reason, entry in noted if isinstance(entry, dict)]


def _samples(cards: Cards, is_open: bool) -> Node | None:
    shown: list[Child] = []
    for sample in _in_turn(cards, "samples")[:MAX_SAMPLES]:
        beginning = first_letters(text(sample, "text").strip(), SAMPLE_CHARACTERS)
        shown += [_name(text(sample, "name"), "h3"), foreign(beginning, "blockquote", "document")]
    return more("Random documents", shown, is_open=is_open)


NEAR_DUPLICATES, DECONTAMINATE = "near-duplicates", "decontaminate"
PASSAGE_CHARACTERS, SHOWN_EXAMPLES = 160, 3


def rule_parts(cards: Sequence[JsonObject]) -> list[Child]:
    """A table of the quality rules: what each would drop of these sources, whatever the others
    do.
    """
    found = [entry for card in cards for entry in table(card, "rules").items()]
    rows: list[list[Child]] = []
    for name in dict.fromkeys(name for name, _ in found):
        entries = [entry for other, entry in found if other == name]
        documents, lines = (
            sum(number(entry, what) or 0.0 for entry in entries) for what in ("documents", "lines")
        )
        if not documents and not lines:
            continue
        source = node("span", f" ({text(entries[0], 'source')})", class_="quiet")
        what = node("div", text(entries[0], "drops"), source)
        examples = [each for entry in entries for each in tables(entry, "examples")]
        shown = map(_example, examples[:SHOWN_EXAMPLES])
        rows.append([name, count(documents), count(lines), node("div", what, shown)])
    head = ["rule", "documents", "lines", "what it drops, with examples"]
    caption = "What each of the quality rules would drop alone"
    return [data_table(caption, head, rows, figures=(1, 2))]


def _example(example: JsonObject) -> Node:
    name, words = _name(text(example, "name")), foreign(text(example, "text"), "q")
    return node("div", name, ": ", words, class_="sample-line")


def process_parts(steps: JsonObject, *, is_open: bool = False) -> list[Child]:
    return [
        *_near_duplicates(table(steps, NEAR_DUPLICATES), is_open),
        *_contamination(table(steps, DECONTAMINATE), is_open),
    ]


def _near_duplicates(found: JsonObject, is_open: bool) -> list[Child]:
    if not found:
        return []
    rows: list[list[Child]] = [
        [
            foreign(source),
            count(entry, "documents"),
            count(entry, "dropped"),
            percent((number(entry, "dropped") or 0) / max(1, number(entry, "documents") or 0)),
        ]
        for source, entry in table(found, "sources").items()
    ]
    head = ["source", "documents", "near-duplicates", "share"]
    caption = say(
        "Documents with a Jaccard similarity of at least {least} to a longer one that is kept",
        least=fixed(found, "config", "threshold"),
    )
    clusters = [_cluster(each) for each in tables(found, "clusters")]
    return [
        data_table(caption, head, rows, figures=(1, 2, 3)),
        more("Near-duplicates, the largest groups first", clusters, is_open=is_open),
    ]


def _cluster(cluster: JsonObject) -> Node:
    rows: list[list[Child]] = [
        [_name(text(each, "name")), fixed(each, "jaccard"), _passage(each)]
        for each in tables(cluster, "first")
    ]
    dropped = number(cluster, "dropped") or 0.0
    caption = say("{count} dropped for it", count=count(dropped))
    if dropped > len(rows):
        caption += say(", the first {count}", count=len(rows))
    head = ["document", "Jaccard", "passage of both"]
    made = data_table(f"{caption}:", head, rows, figures=(1,))
    return node("article", node("h3", _name(text(cluster, "kept"))), made, class_="answer")


def _contamination(found: JsonObject, is_open: bool) -> list[Child]:
    if not found:
        return []
    said = say(
        "{dropped} of {count} documents were dropped, since they hold {found} of {items} "
        "evaluation items.",
        dropped=count(found, "dropped"),
        count=count(found, "documents"),
        found=count(found, "items_found"),
        items=count(found, "items", "indexed"),
    )
    rows: list[list[Child]] = [
        [
            _name(text(each, "name")),
            _name(text(each, "item")),
            count(each, "ngrams"),
            _passage(each),
        ]
        for each in tables(found, "overlaps")
    ]
    head = ["document", "item", "n-grams of both", "passage of both"]
    shown = data_table("The first of them", head, rows, figures=(2,))
    return [node("p", said), more("Evaluation items in documents", shown, is_open=is_open)]


def _passage(entry: JsonObject) -> Node:
    return foreign(first_letters(text(entry, "passage"), PASSAGE_CHARACTERS), "q")
