"""Whether a sentence of a passage says what a model wrote, by rules on one sentence at a time.

A passage has all words and numbers of "Cash withdrawal costs 2.75 % and use abroad 3 %" where the
document has them the other way round, and those of "The bank asks for a full PIN" where it says
"never". So what a model wrote must be said by ONE sentence of the passage (or one row of a table,
with the names above it):

    words        nearly all its words stand there, in the headings above, or in the question
    negation     both have a negation, or neither has one
    conditions   it keeps each "only", "unless", "until", ... of that sentence
    numbers      each number stands in a clause with mostly the same words
    person       "I", "my", "we" stand there, too; it does not begin with a pronoun for something
                 that only another sentence names

What fails is not shown; the quotation stands alone. The rules are of English; of passages in other
languages only the words are compared.
"""

import re
from collections.abc import Iterator

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.retrieve.cite import Statement, statement_text, statements
from groundup.retrieve.passages import Passage

# Of the words of a sentence, those that one sentence of the passage (or the question) must have.
MIN_SAID = 0.8
# Of the words beside a number, those that stand beside it there, too.
MIN_BESIDE = 0.5
_NEGATIONS = """
not no never none nobody nothing nowhere neither nor without cannot cant dont doesnt didnt isnt
arent wasnt werent wont wouldnt shouldnt couldnt mustnt neednt hasnt havent refuse refuses refused
unable except excluding excluded
"""
_CONDITIONS = """
only unless except until till if when before after within provided excluding minimum maximum least
most up additional extra
"""
NEGATIONS, CONDITIONS = frozenset(_NEGATIONS.split()), frozenset(_CONDITIONS.split())
PERSONS = frozenset(("i", "im", "ive", "ill", "my", "me", "mine", "we", "us", "our", "ours"))
PRONOUNS = frozenset(("it", "its", "they", "their", "he", "she", "this", "that", "these", "those"))
NO_SENTENCE = "its words in one sentence"
_CLAUSE = re.compile(r"[,;:.()]\s|\band\b|\bbut\b|\bor\b|\bwhile\b|\bwhereas\b|\s[–-]\s")
_NUMBER = re.compile(r"\d[\d.,:]*\d|\d")
_APOSTROPHE = re.compile(r"['’]")


def unsaid(sentence: str, passage: Passage, question: str) -> list[str]:
    """Return what no sentence of a passage says of a sentence, by the one that says most; none
    where one says it all.
    """
    best = [NO_SENTENCE]
    for each in statements(passage):
        found = list(_differences(sentence, each, passage, question))
        if not found:
            return []
        if best == [NO_SENTENCE] or (found != [NO_SENTENCE] and len(found) < len(best)):
            best = found
    return best


def _differences(
    sentence: str, statement: Statement, passage: Passage, question: str
) -> Iterator[str]:
    """Yield what a sentence says otherwise than a statement."""
    own_text = statement_text(passage, statement)
    language = passage.language
    said = _content(f"{statement.above} {own_text}", language)
    own = _content(sentence, language)
    known = said | _content(question, language)
    if not own or len(own & known) < MIN_SAID * len(own) or len(own & said) < len(own) / 2:
        yield NO_SENTENCE
        return
    if language != "en":
        return
    plain, there = _plain_words(sentence), _plain_words(own_text)
    if bool(plain & NEGATIONS) != bool(there & NEGATIONS):
        yield "the same negation"
    lost = (there & CONDITIONS) - plain
    if lost:
        yield f"its condition ({', '.join(sorted(lost))})"
    if plain & PERSONS and not there & PERSONS:
        yield "who speaks"
    first = next(iter(words(sentence)), "")
    if first in PRONOUNS and first not in words(own_text)[:1]:
        yield "whom its pronoun means"
    yield from _moved_numbers(sentence, own_text, statement.above, language)


def _moved_numbers(sentence: str, text: str, above: str, language: str) -> Iterator[str]:
    """Yield the numbers that stand beside other words than in `text`, where it has several."""
    theirs = [(_numbers(clause), _content(clause, language)) for clause in _clauses(text)]
    if len({number for found, _ in theirs for number in found}) < 2:
        return
    heading = _content(above, language)
    for clause in _clauses(sentence):
        beside = _content(clause, language) - heading
        for number in _numbers(clause):
            holders = [content for found, content in theirs if number in found]
            shares = [len(beside & content) for content in holders]
            if beside and max(shares, default=0) < MIN_BESIDE * len(beside):
                yield f"{number} beside the same words"


def _clauses(text: str) -> list[str]:
    return [each for each in _CLAUSE.split(text) if each.strip()]


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _plain_words(text: str) -> frozenset[str]:
    """Return the words of a text in small letters, "don't" as "dont"."""
    return frozenset(re.findall(r"[a-z]+", _APOSTROPHE.sub("", text.lower())))


def _content(text: str, language: str) -> set[str]:
    """Return the stems of the words that say something; no numbers."""
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    found = [word for word in words(text) if word not in stops and not word[0].isdigit()]
    return set(stems(found, language))
