"""What a quoted sentence can't be read without: the heading or the sentence that it refers to.

    "It has a lift."           first of its paragraph     The Old Dairy … It has a lift.
    "It is 12 feet long."      behind another sentence    both of them
    "Yes, for £8 a parcel."    below a question           Can you post it? … Yes, for £8 a parcel.
    "No baths until then."     behind another sentence    both of them
    "Above that amount, ..."   behind another sentence    both of them
    "- polymer clay"           without a line above       What we don't fire … polymer clay
    "Gilder."                  one word                   Hester Lowe … Gilder.

And of two sections that stand beside one another, as those of two branches, which is spoken of.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from groundup.retrieve.cite import Statement, is_item, statements, without_mark
from groundup.retrieve.passages import Passage
from groundup.retrieve.scored_statements import ScoredStatement, own_terms
from groundup.retrieve.sentences import TextSpan

# Of two sentences that are shown together.
MAX_CHARACTERS = 300
_VERB = r"(?:is|are|was|were|has|have|had|can|may|must|will|does|do|includes?|costs?|appl(?:y|ies))"
_REFERS = re.compile(
    rf"(?:It|They|He|She)(?:'s|'re|'ll)?\b|(?:Its|Their)\b|(?:This|These|Those|Both) {_VERB}\b"
)
# "Until then, ...", "No baths until then.", "Bills above that amount are passed on."; not "free on
# the day and £5 after that".
_NOUN = (
    r"(?:amount|case|charge|date|day|discount|fee|hour|limit|month|night|period|price|sum|time"
    r"|week)"
)
_SINCE = re.compile(
    r"(?:(?! and |[,;:]).)*\b(?:(?:until|till|by|before|after|from) (?:then|that)[.!,;]"
    rf"|(?:this|that) {_NOUN}\b|(?:these|those) {_NOUN}s\b|in the same (?:period|time)\b)"
    r"|(?:above|after|below|beyond|over|under) that\b",
    re.IGNORECASE,
)
# "It" that stands for what follows.
_EXPLETIVE = re.compile(
    r"It(?:'s| is| was| (?:may|can|will) be) (?:not |also |always |often |usually )?"
    r"(?:advisable|best|better|essential|important|impossible|likely|necessary|possible"
    r"|recommended|required|up to|worth|your)\b"
)
_ONE_WORD = re.compile(r"[^\W\d_]+[.!]")
_REPLIES = re.compile(r"(?:yes|no)\b", re.IGNORECASE)
_DENIES = re.compile(
    r"\b(?:no|not|never|without|except\w*|exclud\w+|cannot|\w+n't)\b", re.IGNORECASE
)
_NAME = re.compile(r"(?:The )?[A-Z][\w'’-]+(?: (?:of |the |and |& )?[A-Z][\w'’-]+)+")
_LINE = re.compile(r"^#{0,6}[ \t]*(?P<text>\S[^\n]*?)[ \t#]*$", re.MULTILINE)


def with_referent(passage: Passage, place: int) -> Statement:
    """Return a statement of a passage with what it refers to, as above; of others as it is."""
    listed = statements(passage)
    said = listed[place]
    if said.is_code or said.head or said.term or said.text.startswith("|"):
        return said
    heading = _heading_above(passage, said.start)
    named = passage.text[slice(*heading)] if heading else ""
    if is_item(said.text):
        is_whole = without_mark(said.text).endswith((".", "!", "?")) and not _DENIES.search(named)
        return said if is_whole else replace(said, head=heading)
    is_reply = _REPLIES.match(said.text) and named.endswith("?")
    if is_reply or _ONE_WORD.fullmatch(said.text):
        return replace(said, head=heading)
    is_about = _REFERS.match(said.text) and not _EXPLETIVE.match(said.text)
    if not is_about and not _SINCE.match(said.text):
        return said
    for before in listed[max(0, place - 1) : place]:
        between = passage.text[before.end : said.start]
        is_plain = not (before.is_code or before.text.startswith("|") or is_item(before.text))
        if is_plain and "\n\n" not in between and said.end - before.start <= MAX_CHARACTERS:
            text = passage.text[before.start : said.end]
            said = replace(said, start=before.start, text=text, head=before.head)
            return said if before.head or not _REFERS.match(text) else replace(said, head=heading)
    return replace(said, head=heading)


def _heading_above(passage: Passage, start: int) -> TextSpan | None:
    """Return the nearest heading above a place of a passage, without its marks."""
    titles = passage.title.split(" > ")
    found = None
    for line in _LINE.finditer(passage.text, 0, start):
        if line[0].startswith("#") or line["text"] in titles:
            found = line.span("text")
    return found


def of_section_spoken_of(
    question: str, best: ScoredStatement, near: Sequence[ScoredStatement]
) -> ScoredStatement:
    """Return the best sentence of the section that a question names where the best one is of a
    section beside it: "is there a lift at Mill Lane?", of the sections "Mill Lane studio" and "The
    Old Dairy studio", whose headings share a word; or both are names.
    """
    for each in near:
        if _named_beside(question, each.passage, best.passage):
            return each
    return best


def section_spoken_of(turn: str, question: str, quoted: Passage, sources: Sequence[Passage]) -> str:
    """Return the heading of the section that the turn before a question names, where what is quoted
    is of a section beside it and the question names neither; else "".
    """
    for each in sources:
        name = _named_beside(turn, each, quoted)
        if name and not _named_beside(question, quoted, each):
            return name
    return ""


def _named_beside(text: str, passage: Passage, other: Passage) -> str:
    """Return the heading of a passage's section that a text names and not that of the other, which
    stands beside it; else "".
    """
    names = _differing_names(passage, other)
    if names is None:
        return ""
    language = passage.language
    said = own_terms(text, language)
    theirs, ours = (own_terms(name, language) for name in names)
    are_alike = theirs & ours or all(map(_NAME.fullmatch, names))
    is_named = theirs - ours and theirs - ours <= said and not (ours - theirs) & said
    return names[0] * bool(are_alike and is_named)


def _differing_names(first: Passage, second: Passage) -> tuple[str, str] | None:
    """Return the headings in which the titles of two sections of a document differ, if in one."""
    titles = first.title.split(" > "), second.title.split(" > ")
    if first.document_id != second.document_id or len(titles[0]) != len(titles[1]):
        return None
    differing = [each for each in zip(*titles, strict=True) if each[0] != each[1]]
    if len(differing) != 1:
        return None
    return differing[0]
