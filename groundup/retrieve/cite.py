"""Citations: the sentences of passages that answer a question, and whether a sentence of a model says no more than a passage.

A quotation is a span of a document: what is cited is cut out of its text, never written. A sentence that a model wrote may be cited with passage n
only if its numbers, dates, names and addresses stand in passage n (`missing_facts`), and what it quotes, too, and if most of its words do
(`new_words`): what a document orders, and does not say itself, is not shown. `support.py` says whether the passage supports it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from groundup.retrieve.passages import Passage, heading_of
from groundup.retrieve.quotes import quotations
from groundup.retrieve.search import TITLE_WEIGHT, Group, occurrences
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.stop_words import STOP_WORDS
from groundup.retrieve.terms import stems, terms, words

MAX_QUOTES = 3
# Further sentences are quoted if they have at least this share of the best one's weight.
MIN_OF_BEST = 0.7
# A quotation is no longer: a "sentence" of a table may have a page.
MAX_QUOTE_CHARACTERS = 600
# A model's sentence has at most this share of words that neither its passage nor the question has.
MAX_NEW_SHARE = 1 / 3
_NUMBER_WORDS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty"
    " fifty sixty seventy eighty ninety hundred thousand million billion dozen half twice"
)
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())
_DIGITS = re.compile(r"\d+(?:[.,:/\-]\d+)*")
_WORD = re.compile(r"[^\W\d_][\w’'\-]*")
_SHARE = re.compile(r"(\d[\d.,]*)\s?(?:%|per ?cent)")
_ADDRESS = re.compile(r"\w+://[^\s)>\]]+|[\w.+-]+@[\w-]+\.\w+|\b[\w-]{2,}(?:\.[\w-]{2,})+")
_RULE = re.compile(r"\s*\|[\s:|\-]+\|[ \t]*(?:\n|\Z)")
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

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def coverage(
    weights: dict[Group, float], unknown: float, counts: Counter[str], title: Counter[str] | None = None
) -> float:
    """Return the share of a question's weight that some counted terms have, 0 to 1; `unknown` is that of words that no passage has."""
    matched = sum(weight for group, weight in weights.items() if occurrences(counts, group))
    if title:
        missed = (group for group in weights if not occurrences(counts, group))
        matched += TITLE_WEIGHT * sum(weights[group] for group in missed if occurrences(title, group))
    return matched / max(1e-9, sum(weights.values()) + unknown)


def best_quotes(passages: Sequence[Passage], weights: dict[Group, float], among: Sequence[Passage]) -> list[Quote]:
    """Return the sentences of the passages `among` these that have most of what a question is about, at most MAX_QUOTES, best first.

    Headings and heads of tables are not quoted, but count for what stands below them.
    """
    found: list[tuple[float, Quote]] = []
    best_score = max((passage.score for passage in passages), default=0.0)
    for number, passage in enumerate(passages, start=1):
        title = Counter(terms(passage.title, passage.language))
        for start, end in sentence_spans(passage.text):
            text = passage.text[start:end]
            if _is_heading(text, passage.text[end:], passage.title):
                title += Counter(terms(text, passage.language))
                continue
            share = coverage(weights, 0.0, Counter(terms(text, passage.language)), title)
            if share > 0 and end - start <= MAX_QUOTE_CHARACTERS and passage in among:
                quote = Quote(text, number, passage.start + start, passage.start + end)
                found.append((share * (1 + passage.score / max(best_score, 1e-9)), quote))
    found.sort(key=lambda each: (-each[0], each[1].source, each[1].start))
    once: dict[str, Quote] = {}
    for weight, quote in found:
        if weight >= MIN_OF_BEST * found[0][0]:
            once.setdefault(quote.text, quote)
    return list(once.values())[:MAX_QUOTES]


def _is_heading(text: str, following: str, title: str) -> bool:
    """Whether a sentence of a passage is a heading or the head of a table."""
    if text.startswith("#") or text.strip("=-# \n") in title.split(" > "):
        return True
    if text.startswith("|"):
        return _RULE.match(following) is not None
    # A line of its own that says a value, as "Weight: 7 kg", is none.
    return bool(following.strip() and heading_of(text)[1]) and not re.search(r"[:\t]|\d\s*[^\W\d]", text)


def facts(sentence: str) -> list[str]:
    """Return the numbers, dates, names and addresses of a sentence: what must stand in a passage that it is cited with.

    >>> facts("In March, Ada paid 1,000 euros for two tickets.")
    ['1,000', 'March', 'Ada', 'two']
    """
    found = [*_DIGITS.findall(sentence), *_ADDRESS.findall(sentence)]
    listed = list(_WORD.finditer(sentence))
    for place, word in enumerate(listed):
        text = re.sub(r"['’]s?\Z", "", word[0])
        inner = any(character.isupper() or character in "_0123456789" for character in text[1:])
        following = listed[place + 1][0] if place + 1 < len(listed) else ""
        # The first word has its capital from its place, unless it begins a name of several words.
        is_first = place == 0 or re.search(r"[.!?:]\W*\Z", sentence[: word.start()]) is not None
        named = text[0].isupper() and not _is_stop_word(text) and (not is_first or following[:1].isupper())
        if inner or named or text.lower() in NUMBER_WORDS:
            found.append(text)
    return found


def _is_stop_word(word: str) -> bool:
    return word.lower() in STOP_WORDS["en"]


def fault_of(sentence: str) -> str:
    """Return why a sentence of a model is not shown, whatever the passages say, or ""."""
    if sentence.count('"') % 2 or not any(character.isalnum() for character in sentence):
        return "is no whole sentence"
    said = "".join(sentence.split('"')[::2])
    if _SOURCE_MARK.search(said):
        return "has marks of sources, which only the code writes"
    return "has a link, HTML or JSON" if _MARKUP.search(said) else ""


def objections(sentence: str, passage: Passage, question: str) -> list[str]:
    """Return what of a sentence of a model a passage lacks, so that it can't be cited with it: facts, else too many words."""
    return missing_facts(sentence, passage) or new_words(sentence, passage, question)


def missing_facts(sentence: str, passage: Passage) -> list[str]:
    """Return the facts and quotations of a sentence that do not stand in a passage or the headings above it."""
    said = f" {' '.join(words(f'{passage.title} {passage.text}'))} "
    missing = [fact for fact in facts(sentence) if f" {' '.join(words(fact))} " not in said]
    for share in _SHARE.findall(sentence):  # words() knows no "%": 3.0 bar is not 3.0 %
        if not re.search(rf"{re.escape(share)}\s?(?:%|per ?cent)", passage.text):
            missing.append(f"{share} %")
    return [*missing, *(quoted for quoted in quotations(sentence) if quoted not in passage.text)]


def new_words(sentence: str, passage: Passage, question: str) -> list[str]:
    """Return the words of a sentence that stand in neither passage nor question, if they are more than MAX_NEW_SHARE of its words; else none.

    Words of grammar don't count.
    """
    language = passage.language
    known = {*terms(f"{passage.title} {passage.text}", language), *terms(question, language)}
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    said = [word for word in words(sentence) if word not in stops]
    new = [word for word in said if stems([word], language)[0] not in known]
    return new if len(new) > MAX_NEW_SHARE * len(said) else []
