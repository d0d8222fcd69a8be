"""Citations: the sentences of passages that answer a question, and whether a sentence of a model
says no more than a passage.

A quotation is a span of a document: what is cited is cut out of its text, never written. A sentence
that a model wrote may be cited with passage n only if its numbers, dates, names and addresses stand
in passage n (`missing_facts`), and what it quotes, too, and if its words do (`new_words`): what a
document orders, and does not say itself, is not shown. `support.py` says whether the passage
supports it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, terms, words
from groundup.retrieve.markdown_marks import without_marks
from groundup.retrieve.passages import FENCES, Passage, heading_of
from groundup.retrieve.quotes import quotations
from groundup.retrieve.sentences import TextSpan, sentence_spans
from groundup.retrieve.table_rows import Table, row_in_words

# What a quotation is for: it answers, it qualifies the one before it, or another document says
# otherwise.
ANSWERS, QUALIFIES, DIFFERS = "answers", "qualifies", "differs"
# A quotation is no longer: a "sentence" of a table may have a page.
MAX_QUOTE_CHARACTERS = 600
_NUMBER_WORDS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred "
    "thousand million billion dozen half twice"
)
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())
_DIGITS = re.compile(r"\d+(?:[.,:/\-]\d+)*")
_WORD = re.compile(r"[^\W\d_][\w’'\-]*")
_SHARE = re.compile(r"(\d[\d.,]*)\s?(?:%|per ?cent)")
_ADDRESS = re.compile(r"\w+://[^\s)>\]]+|[\w.+-]+@[\w-]+\.\w+|\b[\w-]{2,}(?:\.[\w-]{2,})+")
_RULE = re.compile(r"\s*\|[\s:|\-]+\|[ \t]*(?:\n|\Z)")
_ITEM = re.compile(r"(?:[-*•]|\d{1,3}[.)])[ \t]")
# What a paragraph on an option, a setting or a function of a program begins with.
_TERM = re.compile(
    r"(?P<term>--?\w[^:\n]{0,120}"
    r"|(?:[A-Za-z]\w*(?:\.[\w<>*]+)+|\w*_\w+|[\w.]+\([^:\n]{0,90}\)|[$\\]\w+)"
    r"(?: \(\w+\)|; [^:\n]{1,80})?): (?=\S)"
)
_CLAUSE, _LIST_BELOW = re.compile(r"\d{1,3}(?:\.\d{1,3})+\.? "), re.compile(r"[ \t]*\n- ")
# A fenced code block of Markdown: fence, language, code; one that is cut ends with the text.
_CODE = re.compile(
    r"^[ \t]*(`{3,})([^`\n]*)(?:\n|\Z)(.*?)(^[ \t]*\1`*[ \t\r]*$|\Z)", re.MULTILINE | re.DOTALL
)
_SOURCE_MARK = re.compile(r"\[\s*\d[\d\s,;–-]*\]")
_MARKUP = re.compile(r"\]\s*\(|</?[a-z!][^>]*>?|[{}]", re.IGNORECASE)


@dataclass(frozen=True)
class Quote:
    """Words of a document, as they stand there."""

    text: str
    source: int
    """The number of its passage among the answer's sources, from 1."""
    start: int
    """Its first character in the document's decoded, uncleaned text."""
    end: int
    head: "Quote | None" = None
    """The head of the table, or the line before the list, that they are a row or an item of."""
    role: str = ANSWERS
    """ANSWERS, QUALIFIES or DIFFERS."""
    in_words: str = ""
    """A row of a table with the names of row and columns, as it is shown; "": the text is shown."""
    table: Table | None = None
    """The table that it is a row of."""
    dated: str = ""
    """The date of its document, where documents differ."""
    is_code: bool = False
    """Whether it is a code block, whose lines stay as they are."""
    plain: str = ""
    """Its text without the marks of Markdown, where it has some; as it is read."""

    @property
    def readable(self) -> str:
        """The text as it is read."""
        return self.plain or self.text


@dataclass(frozen=True)
class Statement:
    """A sentence of a passage, or a code block of it, that can be quoted: no heading, no head of a
    table.
    """

    start: int
    """Its first character in the passage."""
    end: int
    text: str
    above: str
    """The passage's title and what else stands above it and belongs to it: headings, the head of
    its table, the line before its list.
    """
    head: TextSpan | None = None
    """In the passage the head of the table, or the line before the list or the code, that it is a
    row or an item of.
    """
    is_code: bool = False
    term: TextSpan | None = None
    """In the passage the option or setting that its paragraph is on, where an earlier sentence of
    it names that.
    """


def statements(passage: Passage) -> list[Statement]:
    """Return the sentences of a passage that can be quoted, in order: rows of tables and items of
    lists among them, and code blocks as a whole.
    """
    found: list[Statement] = []
    headings, head = passage.title, None
    for start, end, is_code in _sentences_and_code(passage.text):
        text, following = passage.text[start:end], passage.text[end:]
        is_row = text.startswith("|")
        is_listed = _in_list(passage.text, start, end) or _is_clause_of_list(text, following)
        if not is_code and not is_listed and _is_heading(text, following, passage.title):
            head = None
            if is_row and any(map(str.isalnum, text)):
                head = (start, end)
            elif not is_row and text.strip("=-# \n") not in passage.title:
                headings += f"\n{text}"
            continue
        if not is_code and is_row and _RULE.fullmatch(text):
            continue
        is_plain = not is_code and not is_row and not is_item(text)
        if is_plain or (is_code and not (found and (found[-1].start, found[-1].end) == head)):
            head = None  # code belongs to the line right before it
        term = _term_above(passage.text, start)
        above = headings
        for span in filter(None, (head, term)):
            above += f"\n{passage.text[slice(*span)]}"
        found.append(Statement(start, end, text, above, head, is_code, term))
        if is_code:
            head = None
        elif is_plain and (text.endswith(":") or _is_clause_of_list(text, following)):
            head = (start, end)
    return found


def _term_above(text: str, start: int) -> TextSpan | None:
    """Return the option or setting that a paragraph is on, of a sentence within it: "--depth" of
    "--depth: Make a shallow clone. Implies --single-branch."
    """
    first = text.rfind("\n\n", 0, start) + 2 * ("\n\n" in text[:start])
    found = _TERM.match(text, first)
    if found and found.end() < start and "\n" not in text[first:start].strip():
        return found.span("term")
    return None


def is_item(text: str) -> bool:
    """Whether a sentence is an item of a list."""
    return _ITEM.match(text) is not None


def without_mark(item: str) -> str:
    """Return an item of a list without its dash, dot or number.

    >>> without_mark("- a towel"), without_mark("2. Pay."), without_mark("12 towels")
    ('a towel', 'Pay.', '12 towels')
    """
    mark = _ITEM.match(item)
    if mark:
        return item[mark.end() :].lstrip()
    return item


def _in_list(text: str, start: int, end: int) -> bool:
    """Whether a sentence is an item with another one on the line before or after, so that "1. Costs"
    is no heading.
    """
    lines = text[:start].split("\n")[-2:-1] + text[end:].split("\n")[1:2]
    return is_item(text[start:end]) and any(is_item(line.lstrip()) for line in lines)


def _is_clause_of_list(text: str, following: str) -> bool:
    """Whether a sentence is a clause with its number, right above items: "4.2 We charge"."""
    return _CLAUSE.match(text) is not None and _LIST_BELOW.match(following) is not None


def statement_text(passage: Passage, statement: Statement) -> str:
    """Return a sentence as the reader reads it and as it is shown: a row of a table with the names
    of its columns.
    """
    if not statement.text.startswith("|"):
        return statement.text
    head = ""
    if statement.head:
        head = passage.text[slice(*statement.head)]
    return row_in_words(head, statement.text)


def headed_text(statement: Statement) -> str:
    """Return what is embedded of a sentence: the headings and heads above it, and its text."""
    return f"{statement.above}\n{statement.text}".strip()


def _sentences_and_code(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, whether it is code) of the sentences of a passage and of its code blocks,
    without their fences.
    """
    place = 0
    stop = len(text)
    for start, end, code_start, code_end in [*_code_blocks(text), (stop, stop, stop, stop)]:
        for first, last in sentence_spans(text[place:start]):
            yield place + first, place + last, False
        code = text[code_start:code_end]
        if code.strip():
            blank = code[: len(code) - len(code.lstrip())]
            first = code_start + blank.rfind("\n") + 1  # with the first line's indentation
            yield first, code_start + len(code.rstrip()), True
        place = end


def _code_blocks(text: str) -> list[tuple[int, int, int, int]]:
    """Return (start, end) of each code block with its fences, and of its code.

    A long block is divided between passages: the only fence of a passage, without a language, ends
    the code before it if that is the longer part.
    """
    if "```" not in text:
        return []
    blocks = list(_CODE.finditer(text))
    if len(blocks) == 1:
        (block,) = blocks
        if not block[4] and not block[2].strip() and block.start() > len(block[3]):
            return [(0, block.start(3), 0, block.start())]
    return [(*each.span(), *each.span(3)) for each in blocks]


def quote_of(passage: Passage, number: int, said: Statement) -> Quote:
    """Return a sentence as the quotation of source `number`, below the head of its table or
    list.
    """

    def quote(start: int, end: int, head: "Quote | None" = None) -> Quote:
        text = passage.text[start:end]
        found = Quote(text, number, passage.start + start, passage.start + end, head)
        plain = without_marks(text)
        if plain == text:
            return found
        return replace(found, plain=plain)

    head, above = None, said.head or said.term
    if above:
        head = quote(*above)
    found = quote(said.start, said.end, head)
    if said.is_code:
        return replace(found, is_code=True, plain="")
    return found


def shown_text(quote: Quote) -> str:
    """Return what is shown of a quotation: a row of a table in words, else its text below its
    head.
    """
    if quote.in_words or quote.head is None:
        return quote.in_words or quote.readable
    return f"{quote.head.readable} {quote.readable}"


def _is_heading(text: str, following: str, title: str) -> bool:
    """Whether a sentence of a passage is a heading or the head of a table."""
    if text.startswith("#") or text.strip("=-# \n") in title.split(" > "):
        return True
    if text.startswith("|"):
        return _RULE.match(following) is not None
    if following.lstrip().startswith(FENCES):
        return False
    # A line of its own that says a value, as "Weight: 7 kg" or "Saturday 7.30 – 12.30", is none.
    return bool(following.strip() and heading_of(text)[1]) and not re.search(
        r"[:\t]|\d\s*[^\W\d]|\d[.:]\d\d\s*(?:[-–—]|\Z)|[£$€] ?\d", text
    )


def facts(sentence: str) -> list[str]:
    """Return the numbers, dates, names and addresses of a sentence: what must stand in a passage
    that it is cited with.

    >>> facts("In March, Ada paid 1,000 euros for two tickets.")
    ['1,000', 'March', 'Ada', 'two']
    """
    found = [*_DIGITS.findall(sentence), *_ADDRESS.findall(sentence)]
    listed = list(_WORD.finditer(sentence))
    for place, word in enumerate(listed):
        text = re.sub(r"['’]s?\Z", "", word[0])
        inner = any(character.isupper() or character in "_0123456789" for character in text[1:])
        following = "".join(each[0] for each in listed[place + 1 : place + 2])
        # The first word has its capital from its place, unless it begins a name of several words.
        is_first = place == 0 or re.search(r"[.!?:]\W*\Z", sentence[: word.start()]) is not None
        named = (
            text[0].isupper()
            and not _is_stop_word(text)
            and (not is_first or following[:1].isupper())
        )
        if inner or named or text.lower() in NUMBER_WORDS:
            found.append(text)
    return found


def _is_stop_word(word: str) -> bool:
    return word.lower() in STOP_WORDS["en"]


def fault_of(sentence: str) -> str:
    """Return why a sentence of a model is not shown, whatever the passages say, or ""."""
    if sentence.count('"') % 2 or not any(character.isalnum() for character in sentence):
        return "is no whole sentence"
    if sentence.lstrip('" ').startswith("#"):
        return "is a heading"
    own_words = "".join(sentence.split('"')[::2])
    if _SOURCE_MARK.search(own_words):
        return "has marks of sources, which only the code writes"
    if _MARKUP.search(own_words):
        return "has a link, HTML or JSON"
    return ""


def objections(sentence: str, passage: Passage) -> list[str]:
    """Return what of a sentence of a model a passage lacks, so that it can't be cited with it:
    facts, else words.
    """
    return (
        missing_facts(sentence, passage)
        or misplaced_names(sentence, passage)
        or new_words(sentence, passage)
    )


def misplaced_names(sentence: str, passage: Passage) -> list[str]:
    """Return the names of a sentence that stand in none of the rows of tables and items of lists
    that have one of its numbers.

    A table has the numbers of all its rows: "The Notice Saver pays 5.25 %" may be the Regular
    Saver's. In prose a name may stand in another sentence.
    """
    found, listed = facts(sentence), statements(passage)
    names = [fact for fact in found if not any(map(str.isdigit, fact))]
    beside: list[str] = []
    for number in (fact for fact in found if any(map(str.isdigit, fact))):
        holders = [each for each in listed if _has_words(each.text, number)]
        if holders and all(map(_is_of_table_or_list, holders)):
            beside += [
                f"{number} beside {name}"
                for name in names
                if not any(_has_words(f"{each.above} {each.text}", name) for each in holders)
            ]
    return beside


def _has_words(text: str, wanted: str) -> bool:
    """Whether some words stand in a text, one after another."""
    return f" {' '.join(words(wanted))} " in f" {' '.join(words(text))} "


def _is_of_table_or_list(said: Statement) -> bool:
    return not said.is_code and (said.text.startswith("|") or said.head is not None)


def missing_facts(sentence: str, passage: Passage) -> list[str]:
    """Return the facts and quotations of a sentence that do not stand in a passage or the headings
    above it.
    """
    text = f"{passage.title} {passage.text}"
    missing = [fact for fact in facts(sentence) if not _has_words(text, fact)]
    for share in _SHARE.findall(sentence):  # words() knows no "%": 3.0 bar is not 3.0 %
        if not re.search(rf"{re.escape(share)}\s?(?:%|per ?cent)", passage.text):
            missing.append(f"{share} %")
    return [*missing, *(quoted for quoted in quotations(sentence) if quoted not in passage.text)]


def new_words(sentence: str, passage: Passage) -> list[str]:
    """Return the words of a sentence that stand neither in a passage nor in the headings above it;
    words of grammar don't count.
    """
    language = passage.language
    known = terms(f"{passage.title} {passage.text}", language)
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    own = [word for word in words(sentence) if word not in stops]
    return [word for word in own if stems([word], language)[0] not in known]
