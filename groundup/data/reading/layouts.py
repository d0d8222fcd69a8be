"""Which layout the rows of a file have: text, labelled, multi-labelled, instruction, conversation,
prompt-completion or preference.

    columns and first rows -> match() per layout -> those that fit -> choose() -> Match(layout,
        roles, doubt)

A layout fits where each role that it requires has a column with a usual name whose values are what
the role needs. It is in doubt where another column would do as well, where two layouts fit with
different columns, or where a column that nothing would read changes what the others mean (a second
text, the choices of a question, a mark of good and bad answers). What the user said is never in
doubt.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from groundup.data.reading.example_rows import (
    filled_text_at,
    history_at,
    label_at,
    labels_at,
    text_at,
    texts_at,
    tools_at,
    transcript,
    turns_at,
)
from groundup.data.reading.records import BadRow, RecordRow

Layout = Literal[
    "preference",
    "conversation",
    "instruction",
    "prompt-completion",
    "labelled",
    "multi-labelled",
    "text",
    "pair",
    "prompt",
]
# Recognised only where they are wanted: their columns are those of other layouts too.
PAIR: tuple[Layout, ...] = ("pair",)
PROMPT: tuple[Layout, ...] = ("prompt",)
LAYOUTS: tuple[Layout, ...] = tuple(
    each for each in get_args(Layout) if each not in (*PAIR, *PROMPT)
)
TEXT: tuple[Layout, ...] = ("text",)
LABELLED: tuple[Layout, ...] = ("labelled",)
MULTI_LABELLED: tuple[Layout, ...] = ("multi-labelled",)
# A text and what is said of it: what else stands in a row may change its meaning.
OF_TEXTS: tuple[Layout, ...] = (*LABELLED, *MULTI_LABELLED, *TEXT)
PREFERENCE: tuple[Layout, ...] = ("preference",)
CHAT_LAYOUTS: tuple[Layout, ...] = ("conversation", "instruction", "prompt-completion")


@dataclass(frozen=True)
class LayoutRule:
    required: tuple[str, ...]
    """The roles that it requires."""
    optional: tuple[str, ...]
    """Those that it may have."""
    plural: str
    fields: str
    """The fields of `Data` that name its columns."""
    learned_by: str = ""
    """The verb that learns from it."""

    @property
    def roles(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


_TEXT_AND_LABEL = "`text` NAME and `label` NAME"
# A layout with more in a row stands first.
RULES: Mapping[Layout, LayoutRule] = {
    "preference": LayoutRule(
        ("chosen", "rejected"),
        ("prompt", "system"),
        "preference pairs",
        "`columns` prompt=NAME,chosen=NAME,rejected=NAME",
    ),
    "conversation": LayoutRule(
        ("messages",),
        ("system", "tools"),
        "conversations",
        "`columns` messages=NAME",
        "finetune chat",
    ),
    "instruction": LayoutRule(
        ("instruction", "output"),
        ("input", "system", "history"),
        "instructions",
        "`columns` instruction=NAME,output=NAME",
        "finetune chat",
    ),
    "prompt-completion": LayoutRule(
        ("prompt", "completion"),
        ("system",),
        "prompts with completions",
        "`columns` prompt=NAME,completion=NAME",
        "finetune chat",
    ),
    "labelled": LayoutRule(
        ("text", "label"), (), "labelled texts", _TEXT_AND_LABEL, "finetune classifier"
    ),
    "multi-labelled": LayoutRule(
        ("text", "labels"),
        (),
        "texts with lists of labels",
        _TEXT_AND_LABEL,
        "finetune classifier",
    ),
    "text": LayoutRule(("text",), (), "texts", "`text` NAME", "pretrain"),
    "pair": LayoutRule(
        ("anchor", "positive"),
        ("negative",),
        "pairs of texts",
        "`columns` anchor=NAME,positive=NAME",
        "finetune encoder",
    ),
    "prompt": LayoutRule(("request",), ("input", "system"), "prompts", "`columns` request=NAME"),
}
# Role -> the usual names of its column, the most usual first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "text": (
        *("text", "content", "body", "message", "sentence", "review", "tweet", "comment", "document", "article", "utterance"),
        *("headline", "sms", "email", "post", "passage", "paragraph", "query", "v2", "raw_content", "story"),
    ),
    "label": (
        *("label", "labels", "class", "category", "target", "sentiment", "emotion", "intent", "topic", "stars", "rating"),
        *("polarity", "tag", "class_index", "class_name", "label_text", "label_name", "is_spam", "v1", "score"),
    ),
    "labels": (
        *("labels", "label", "tags", "tag", "categories", "category", "topics", "topic", "classes", "class", "emotions", "emotion"),
        *("intents", "intent", "genres", "targets", "target", "label_names", "label_text"),
    ),
    "instruction": ("instruction", "instructions"),
    "input": ("input", "context"),
    "output": ("output", "response", "answer", "completion"),
    "system": ("system", "system_prompt"),
    "history": ("history",),
    "messages": ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat"),
    "prompt": ("prompt", "question", "query", "input", "inputs", "problem", "user", "human"),
    "completion": ("completion", "response", "answer", "output", "targets", "solution", "assistant", "reply"),
    "chosen": ("chosen", "accepted"),
    "rejected": ("rejected",),
    "tools": ("tools", "functions"),
    "anchor": (
        *("anchor", "question", "query", "prompt", "instruction", "premise"),
        *("sentence1", "text1", "sentence_1", "text_1"),
    ),
    "positive": (
        *("positive", "pos", "answer", "answers", "passage", "document"),
        *("completion", "output", "response"),
        *("sentence2", "text2", "sentence_2", "text_2", "hypothesis"),
    ),
    "negative": ("negative", "negatives", "neg"),
    "request": ("messages", "conversations", "conversation", "prompt", "instruction", "question", "query"),
}  # fmt: skip
# Roles whose columns are also recognised by the last word of their names: review_text,
# airline_sentiment.
BY_LAST_WORD = {
    "text": ("text", "body", "content", "tweet"),
    "label": ("label", "labels", "class", "category", "sentiment", "emotion", "intent"),
}
_answer_at = partial(turns_at, speaker="assistant")
# Role -> what reads a value of its column.
VALUES: Mapping[str, Callable[[RecordRow, str], Any]] = {
    **dict.fromkeys(("text", "input", "system"), text_at),
    **dict.fromkeys(("instruction", "output"), filled_text_at),
    "label": label_at,
    "labels": partial(labels_at, are_named=True),
    "history": history_at,
    "messages": turns_at,
    "prompt": partial(turns_at, speaker="user"),
    **dict.fromkeys(("completion", "chosen", "rejected"), _answer_at),
    "tools": tools_at,
    "anchor": filled_text_at,
    **dict.fromkeys(("positive", "negative"), texts_at),
    "request": partial(turns_at, speaker="user"),
}
# Roles that a text made of an example need not contain.
NO_PARTS = ("input", "system", "history", "rejected")
SPEAKER_COLUMNS = ("role", "speaker", "from")
CHOICE_COLUMNS = ("choices", "options")
# A column beside the text is a second text where its mean length is at least this share of the
# text's, and it has at least this number of words.
SECOND_TEXT_SHARE, SECOND_TEXT_WORDS = 0.25, 3
# A measure, not a class.
FRACTION = re.compile(r"-?\d+[.,]\d*[1-9]\d*")
# Where each of this number of rows has a label of its own, the labels are no classes.
MANY_ROWS = 20


@dataclass(frozen=True)
class Match:
    layout: Layout
    roles: dict[str, str]
    """Role -> column."""
    doubt: str = ""
    """Why this may be wrong; "" where it is sure."""
    fits: tuple[Layout, ...] = ()
    """The layouts between which it is not decided."""

    def __str__(self) -> str:
        """Plural and columns: prompts with completions (prompt 'a', completion 'b')."""
        plural = RULES[self.layout].plural
        columns = ", ".join(f"{role} {column!r}" for role, column in self.roles.items())
        if not columns:
            return plural
        return f"{plural} ({columns})"


def choose(
    columns: Sequence[str],
    rows: Sequence[RecordRow],
    *,
    wanted: Collection[Layout] = LAYOUTS,
    given: Mapping[str, str] | None = None,
    layout: str = "",
) -> Match | None:
    """Return the layout of the rows among `wanted`, with its doubt, or None.

    `given`: role -> column, and `layout`: as the user named them.
    """
    given = given or {}
    every = dict.fromkeys((*LAYOUTS, *wanted))
    found = [each for known in every if (each := match(known, columns, rows, given))]
    fitting = [each for each in found if each.layout in wanted and layout in ("", each.layout)]
    # of columns that were named, the layouts that have a place for every one
    fitting = [each for each in fitting if given.keys() <= each.roles.keys()] or fitting
    kept = [
        each
        for each in fitting
        if not any(_covers(other, each, rows) for other in fitting if other is not each)
    ]
    if not kept:
        return None
    best = kept[0]
    for column in best.roles.values():
        if list(columns).count(column) > 1:
            return replace(best, doubt=f"there are several columns called {column!r}")
    if len(kept) > 1 and not given:
        fits = tuple(each.layout for each in kept)
        return replace(best, doubt=f"it fits {' and '.join(map(str, kept))}", fits=fits)
    doubts = [best.doubt]
    if best.layout == "preference":
        doubts.insert(0, _doubt_of_prompt(best, rows))
    if not given and not layout:
        doubts = [_doubt_of_text(best, found), *doubts, _doubt_of_rest(best, columns, rows)]
    return replace(best, doubt=next(filter(None, doubts), ""))


def match(
    layout: Layout, columns: Sequence[str], rows: Sequence[RecordRow], given: Mapping[str, str]
) -> Match | None:
    """Return the columns that have the roles of a layout; None where one that it requires has
    none.
    """
    rule = RULES[layout]
    roles: dict[str, str] = {}
    doubts: list[str] = []
    for role in rule.roles:
        if role in given:
            roles[role] = given[role]
            continue
        taken = {*roles.values(), *given.values()}
        usual = [column for column in columns if is_named(column, role) and column not in taken]
        is_required = role in rule.required
        able = [column for column in usual if _holds(role, column, rows, may_lack=not is_required)]
        able.sort(key=lambda column: _rank(column, role))
        if able:
            roles[role] = able[0]
            is_one = role == "label" and all(
                _same_classes(able[0], each, rows) for each in able[1:]
            )
            if len(able) > 1 and not is_one:
                doubts.append(f"{list_names(able, ' and ')} may each be its {role}")
        elif is_required:
            return None
        elif usual:
            doubts.append(f"its {role} {usual[0]!r} does not hold what it should")
    if "label" in roles and "label" not in given:
        doubts.append(_doubt_of_label(roles["label"], rows))
    return Match(layout, roles, next(filter(None, doubts), ""))


def normal_name(column: str) -> str:
    """Return a column's name in lower case, its words separated by "_".

    >>> normal_name(" Class Index"), normal_name("reviewText")
    ('class_index', 'review_text')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^0-9a-z]+", "_", spaced.casefold()).strip("_")


def is_named(column: str, role: str = "") -> bool:
    """Return whether this is a usual name for the role; by default, for any."""
    name = normal_name(column)
    roles = [each for each, names in NAMES.items() if name in names]
    if not roles and "_" in name:
        word = name.rpartition("_")[2]
        roles = [each for each, words in BY_LAST_WORD.items() if word in words]
    return bool(roles) and role in ("", *roles)


def list_names(names: Iterable[str], joint: str = ", ") -> str:
    """Return the names in quotes: 'a', 'b'."""
    return joint.join(map(repr, names))


def _rank(column: str, role: str) -> int:
    """Return the place of a column among the usual names of a role, the last for another name."""
    name = normal_name(column)
    return (*NAMES[role], name).index(name)


def _holds(role: str, column: str, rows: Sequence[RecordRow], *, may_lack: bool) -> bool:
    """Return whether the values of a column are what the role needs, in half of the rows at least;
    `may_lack`: of those that have one.
    """
    if may_lack:
        rows = [row for row in rows if row.values.get(column) not in (None, "", [])]
    elif not rows:
        return False
    return 2 * sum(_fits(role, column, row) for row in rows) >= len(rows)


def _fits(role: str, column: str, row: RecordRow) -> bool:
    try:
        value = VALUES[role](row, column)
    except BadRow:
        return False
    if role == "label":
        return not FRACTION.fullmatch(value)
    if role == "text":  # under its plainest name, whatever it holds
        return normal_name(column) == "text" or any(map(str.isalpha, value))
    return bool(value != "")


def _same_classes(one: str, other: str, rows: Sequence[RecordRow]) -> bool:
    """Return whether two columns name the same classes, as 1 and "positive" do."""
    pairs = {(str(row.values.get(one)), str(row.values.get(other))) for row in rows}
    return len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs}) > 1


def misfit(columns: Sequence[str], rows: Sequence[RecordRow], wanted: Collection[Layout]) -> str:
    """Return what is wrong with the first column that has the name of a role and not its values; ""
    where there is none.
    """
    roles = [role for layout in LAYOUTS if layout in wanted for role in RULES[layout].required]
    for role in dict.fromkeys(roles):
        for column in columns:
            if is_named(column, role) and not _holds(role, column, rows, may_lack=False):
                try:
                    VALUES[role](rows[0], column)
                except BadRow as fault:
                    return str(fault)
    return ""


def _covers(one: Match, other: Match, rows: Sequence[RecordRow]) -> bool:
    """Return whether all that `other` would read is in `one`: its columns, or columns made of them
    (a "text" of instruction and output, in nearly all rows).
    """
    if LAYOUTS.index(one.layout) > LAYOUTS.index(other.layout):
        return False
    if (one.layout, other.layout) == ("labelled", "multi-labelled"):
        return True  # one label a text, and a list beside it
    more = set(other.roles.values()) - set(one.roles.values())
    parts = [column for role, column in one.roles.items() if role not in NO_PARTS]

    def contains_parts(row: RecordRow, column: str) -> bool:
        whole = flat(row.values.get(column))
        return all(flat(row.values.get(part)) in whole for part in parts)

    return all(
        sum(contains_parts(row, column) for row in rows) >= 0.9 * len(rows) for column in more
    )


def flat(value: Any) -> str:
    """Return the text in a value: itself, or the contents of messages one after another."""
    if isinstance(value, list):
        return "\n\n".join(map(flat, value))
    if isinstance(value, dict):
        return flat(next((value[key] for key in ("content", "value", "text") if key in value), ""))
    if value is None:
        return ""
    return str(value).strip()


def _doubt_of_text(best: Match, found: Sequence[Match]) -> str:
    """Return which examples the rows hold that a reader of texts would read a column of."""
    for each in found:
        is_part = set(best.roles.values()) <= set(each.roles.values())
        if best.layout == "text" and each.layout not in OF_TEXTS and is_part:
            return f"it holds {each}, not texts"
    return ""


def _doubt_of_prompt(best: Match, rows: Sequence[RecordRow]) -> str:
    """Return what is wrong where answers have no prompt: in a column, or, in lists of messages and
    transcripts of Human and Assistant, before them.
    """
    chosen = best.roles["chosen"]
    values = [row.values.get(chosen) for row in rows]
    if "prompt" in best.roles or all(
        isinstance(value, list) or (isinstance(value, str) and transcript(value))
        for value in values
    ):
        return ""
    return f"{chosen!r} and {best.roles['rejected']!r} have no prompt"


def _doubt_of_label(column: str, rows: Sequence[RecordRow]) -> str:
    if len(rows) >= MANY_ROWS and len({str(row.values.get(column)) for row in rows}) == len(rows):
        return f"the label {column!r} is another in each of the first {len(rows)} rows"
    return ""


def _doubt_of_rest(best: Match, columns: Sequence[str], rows: Sequence[RecordRow]) -> str:
    """Return what makes a match doubtful in the columns that it would not read."""
    for column in columns:
        if column in best.roles.values():
            continue
        name = normal_name(column)
        if best.layout in OF_TEXTS:
            if name in SPEAKER_COLUMNS:
                return f"{column!r} makes its rows messages of conversations, one a row"
            if _is_second_text(column, best.roles["text"], rows):
                return f"{column!r} holds texts, too, beside {best.roles['text']!r}"
        elif name in CHOICE_COLUMNS:
            return f"{column!r} makes it multiple choice"
        elif is_named(column, "label") and any(
            isinstance(row.values.get(column), bool) for row in rows
        ):
            return f"{column!r} (true or false) marks its answers as good or bad"
    return ""


def _is_second_text(column: str, text: str, rows: Sequence[RecordRow]) -> bool:
    every = [row.values.get(column) for row in rows]
    values = [value for value in every if isinstance(value, str)]
    lengths = [len(flat(row.values.get(text))) for row in rows]
    words = [len(value.split()) for value in values]
    return (
        2 * len(values) >= len(rows)
        and sum(words) >= SECOND_TEXT_WORDS * len(rows)
        and sum(map(len, values)) >= SECOND_TEXT_SHARE * sum(lengths)
    )
