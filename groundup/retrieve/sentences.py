"""Sentences of a text, as spans: by punctuation and by structure, with the usual abbreviations.

A sentence ends at ".", "!", "?" or "…" before what can begin a sentence, at "。", "！" and "？", at a
blank line, before an item of a list. A word in lower case begins one where it is a name in code
(`copy2()`, key_function), or follows the full stop of a word of at least four letters that is no
abbreviation ("... on termination. atexit runs ..."). A row of a table is one, and so is a short
line before a line that begins like a sentence (a heading in the text of a PDF, a line of an
address).

Long queries: a message of many sentences, as a customer's letter, is searched for sentence by
sentence.

    words(P)  = sum over the sentences s of BM25(P, s)
    cosine(P) = t ln mean over the sentences s of exp(cosine(P, s) / t)         (`vectors.py`)

One vector of a long text says what is usual in all of it, and BM25 of all its words prefers passages
that have a little of everything. The cosines are pooled by log-mean-exp: the mean where t is large,
the highest where it is small. t and the weight of the pooled cosine were chosen on half of the cases
of `benchmarks/retrieve_sets.py` "bank", which have 13 to 104 sentences (docs/log.md). Tried without
gain there: sentences weighted by how near their best passages are, their results in turn, reciprocal
ranks, the vectors of the best passages added to the query's.
"""

import re
from collections.abc import Iterator

TextSpan = tuple[int, int]

_END = re.compile(
    r"""(?=[.!?…。！？｡\s#])(?:"""  # what any of these begins with: most places are none, and soon left
    r"""(?<![.!?…])[.!?…]++['"”’»)\]]*+(?=\s+["'“‘«(\[¿¡`*]*[^\W_a-zà-ÿ])"""  # before a capital letter, a digit, a script without case
    r"""|(?<=[\w)\]`"'”’])\.(?=\s+[`*]*[a-z_à-ÿ])"""  # before a small letter, if `_begins_a_sentence`
    r"""|[。！？｡]++[」』”’）]*+"""
    r"""|(?=\s)(?<=\S)(?="""  # before spaces, and behind them
    r"""[ \t\r]*\n[ \t\r]*\n"""  # a blank line
    r"""|\s*\n[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]"""  # an item of a list
    r"""|[ \t\r]*\n[ \t]*\||(?<=\|)[ \t\r]*\n"""  # a row of a table
    r"""|\s*\n#{1,6}[ \t])|(?m:^#{1,6}[ \t].*$))"""  # a heading
)
_ABBREVIATED = """
mr mrs ms dr prof st sr jr vs etc nos vol pp fig figs sec chap ca approx dept est inc ltd co corp gen col capt lt sgt rev hon
gov sen rep e.g i.e a.m p.m u.s u.k u.n jan feb mar apr jun jul aug sep sept oct nov dec cf al ed eds bzw z.b d.h u.a usw nr str
ggf evtl inkl abs mme mlle env
incl excl resp misc equiv orig transl temp avg univ prov assn assoc dist edit exec govt intl maint mfg natl pres publ tech
einschl ausschl zuzügl abzügl zzgl abzgl sog sogen versch urspr bspw bezw vgl
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_SHORT_LINE = re.compile(
    r"([A-ZÀ-ÞΑ-ΩА-Я\d][^\n|]{0,48}[^\s,;:\-|])[ \t\r]*\n[ \t]*(?=[A-ZÀ-ÞΑ-ΩА-Я\d])"
)
_SMALL = re.compile(r"\s+([`*]*)(\w[\w.]*)(\(?)")
_FULL_WORD = re.compile(r"(?<![\w.])[^\W\d_]{4,}\Z|[)\]]\Z")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«]+\Z")


def sentence_spans(text: str) -> Iterator[TextSpan]:
    """Yield (start, end) of each sentence, without the spaces around it.

    >>> [text[a:b] for text in ["Dr. Lee came at 5 p.m. on Monday. He left."] for a, b in sentence_spans(text)]
    ['Dr. Lee came at 5 p.m. on Monday.', 'He left.']
    """
    start, has_rows = 0, "|" in text
    for found in _END.finditer(text):
        if found[0] and has_rows and _is_in_row(text, found.start()):
            continue
        before = text[max(start, found.start() - 40) : found.start()]
        if found[0].startswith(".") and (
            _is_abbreviation(before[-20:], found[0])
            or not _begins_a_sentence(before, text, found.end())
        ):
            continue
        yield from _trim(text, start, found.end())
        start = found.end()
    yield from _trim(text, start, len(text))


def _is_in_row(text: str, place: int) -> bool:
    line = text.rfind("\n", 0, place) + 1
    return text[line : line + 80].lstrip().startswith("|")


def _is_abbreviation(before: str, mark: str) -> bool:
    """Whether the full stop after `before` belongs to an abbreviation or initial, or to the number
    of a list's item.
    """
    found = _LAST_WORD.search(before)
    if mark != "." or not found:
        return False
    word = found[0]
    is_initial = len(word) == 1 and word.isupper()
    is_number = word.isdigit() and len(word) <= 2 and not before[: found.start()].strip()
    return is_initial or is_number or word.lower() in _ABBREVIATIONS


def _begins_a_sentence(before: str, text: str, place: int) -> bool:
    """Whether what follows a full stop can begin a sentence: no word in small letters, a name in
    code, or any word behind a whole one.
    """
    found = _SMALL.match(text, place)
    if not found or not (found[2][0].islower() or found[2][0] == "_"):
        return True
    name = found[2].rstrip(".")
    is_code = bool(found[1] or found[3]) or not name.isalpha() or not name.islower()
    is_number = before[-1:].isdigit()
    return not is_number and (is_code or _FULL_WORD.search(before) is not None)


def _trim(text: str, start: int, end: int) -> Iterator[TextSpan]:
    piece = text[start:end]
    start, end = start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
    while start < end and (line := _SHORT_LINE.match(text, start, end)):
        yield start, line.end(1)
        start = line.end()
    if start < end:
        yield start, end


MIN_SENTENCES, MAX_SENTENCES = 8, 128
TEMPERATURE, LONG_WEIGHT = 0.15, 6.0


def searched_for(query: str) -> list[str]:
    """Return what is searched for: the sentences of a long query, the first MAX_SENTENCES; else the
    query as it is.

    >>> searched_for("My card is lost. What now?")
    ['My card is lost. What now?']
    """
    sentences = [query[start:end].strip() for start, end in sentence_spans(query)]
    sentences = list(filter(None, sentences))
    if len(sentences) < MIN_SENTENCES:
        return [query]
    return sentences[:MAX_SENTENCES]
