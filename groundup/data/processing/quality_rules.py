"""Quality rules with their published thresholds: a text -> the rules it violates, and the lines
that line rules remove. Opt-in.

    Raffel et al. 2020 (C4)         "Exploring the Limits of Transfer Learning", JMLR 21(140),
                                    section 2.2
    Rae et al. 2021 (Gopher)        "Scaling Language Models", arXiv:2112.11446, appendix A.1.1 and
                                    table A1
    Penedo et al. 2024 (FineWeb)    "The FineWeb Datasets", arXiv:2406.17557, sections 3.5 and 3.6
    Chen et al. 2021 (Codex)        "Evaluating Large Language Models Trained on Code",
                                    arXiv:2107.03374, section 3.1
    Li et al. 2023 (StarCoder)      "StarCoder: may the source be with you!", arXiv:2305.06161,
                                    section 3

Which rule belongs to which set (web, books, code), and why, is in docs/processing.md. Lines, words,
n-grams and characters are defined in `text_measures`. Left out: C4's list of bad words (a choice of
values, not of quality), its repeated three-sentence spans (`filters` and near-duplicates), its
language test (`languages`).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from groundup.data.processing.text_measures import TextMeasures, sentences
from groundup.errors import ConfigError, did_you_mean

WEB, BOOKS, CODE = "web", "books", "code"
SETS = (WEB, BOOKS, CODE)
C4, GOPHER = "Raffel et al. 2020, 2.2", "Rae et al. 2021, A.1.1"
GOPHER_TABLE = "Rae et al. 2021, table A1"
FINEWEB, CODEX, STARCODER = "Penedo et al. 2024, 3.6", "Chen et al. 2021, 3.1", "Li et al. 2023, 3"
# Raffel et al. 2020: "a period, exclamation mark, question mark, or end quotation mark".
# Penedo et al. 2024 count the same and "'"; with their like in other scripts.
TERMINAL_MARKS = (".", "!", "?", '"', "”", "'", "’", "»", "؟", "।")
ELLIPSES = ("...", "…")
# "we removed any lines containing the phrases" (C4's footnotes and code); FineWeb took them over.
POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies",
)  # fmt: skip
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})  # Rae et al. 2021
BULLETS = ("•", "‣", "◦", "▪", "●", "·", "- ", "* ", "– ")
C4_SENTENCES, C4_LINE_WORDS = 3, 5
SHORT_LINE_CHARACTERS = 30  # Penedo et al. 2024
# Written without spaces between words: rules that count words don't apply.
UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "wuu", "yue"})
UNKNOWN_LANGUAGES = frozenset({"en", "unknown", ""})

Needs = Literal["nothing", "spaces", "english"]


@dataclass(frozen=True)
class QualityRule:
    """A rule on whole documents: a measure, and the values with which a document is kept."""

    name: str
    source: str
    """The paper and its section."""
    drops: str
    """What is dropped, in words."""
    measure: Callable[[TextMeasures], float]
    sets: frozenset[str]
    at_least: float = -inf
    """The smallest value that is kept."""
    at_most: float = inf
    """The largest value that is kept."""
    above: float = -inf
    """Values above this are kept."""
    below: float = inf
    """Values below this are kept."""
    needs: Needs = "nothing"
    """What the text must be for the rule to apply: words between spaces, or English."""

    def keeps(self, value: float) -> bool:
        """Return whether a document with this value is kept."""
        return self.at_least <= value <= self.at_most and self.above < value < self.below


@dataclass(frozen=True)
class LineRule:
    """A rule on single lines: the line is removed, not the document."""

    name: str
    source: str
    drops: str
    removes: Callable[[str, list[str]], bool]
    """Takes a line without the white space around it, and its words."""
    sets: frozenset[str]
    phrases: tuple[str, ...] = ()
    """If any: only lines of texts that hold one of these, in lower case, are looked at."""
    needs: Needs = "nothing"


@dataclass(frozen=True)
class Violation:
    """A rule that a text violates, and the text's value; of a line rule, the number of lines
    removed.
    """

    rule: QualityRule | LineRule
    value: float


@dataclass(frozen=True)
class Judgement:
    """What rules say of a text."""

    text: str
    """The text without the lines that line rules remove; the text itself if none."""
    removed_lines: Counter[str] = field(default_factory=Counter)
    """Line rule -> number of lines."""
    violations: tuple[Violation, ...] = ()
    """The document rules that it violates, in the order of the registry: all, or the first."""

    @property
    def reason(self) -> str | None:
        """The name of the first violated document rule; None: the document is kept."""
        if not self.violations:
            return None
        return self.violations[0].rule.name


def judge(
    text: str,
    rules: "Iterable[QualityRule | LineRule]",
    *,
    language: str = "en",
    every: bool = False,
) -> Judgement:
    """Return which of the rules a text violates: the first one, or with `every` all of them.

    Document rules see the text as it came. `language`: the text's, if known; in others than
    English, rules for English are passed over, and in those without spaces between words the rules
    that count words.

    >>> judge("Lorem ipsum dolor sit amet.", rules_named(["c4-lorem-ipsum"])).reason
    'c4-lorem-ipsum'
    """
    applied = [rule for rule in rules if _applies(rule, language)]
    measures, found = TextMeasures(text), list[Violation]()
    for rule in applied:
        if not isinstance(rule, QualityRule):
            continue
        value = rule.measure(measures)
        if not rule.keeps(value):
            found.append(Violation(rule, value))
            if not every:
                break
    lines = [rule for rule in applied if isinstance(rule, LineRule)]
    if not lines or (found and not every):
        return Judgement(text, violations=tuple(found))
    kept, removed = without_lines(text, measures, lines)
    return Judgement(kept, removed, tuple(found))


def without_lines(
    text: str, measures: TextMeasures, rules: Iterable[LineRule]
) -> tuple[str, Counter[str]]:
    """Return the text without the lines that these rules remove, and the number of lines by the
    first rule that removes them. Blank lines stay.
    """
    looked_at = [
        rule
        for rule in rules
        if not rule.phrases or any(each in measures.lower for each in rule.phrases)
    ]
    if not looked_at:
        return text, Counter()
    removed: Counter[str] = Counter()
    kept, judged = [], zip(measures.lines, measures.words_of_lines, strict=True)
    for raw in text.split("\n"):
        if raw and not raw.isspace():
            line, words = next(judged)
            name = next((rule.name for rule in looked_at if rule.removes(line, words)), None)
            if name:
                removed[name] += 1
                continue
        kept.append(raw)
    if removed:
        text = "\n".join(kept)
    return text, removed


def rules_named(names: Iterable[str]) -> tuple[QualityRule | LineRule, ...]:
    """Return the rules of sets ("web", "books", "code") and single rules by their names, each once,
    in the order of the registry.

    Raises ConfigError at a name that is neither.
    """
    wanted = list(names)
    known = {*SETS, *RULES}
    for name in wanted:
        if name not in known:
            raise ConfigError(f"There are no rules {name!r}.", fix=_nearest(name, known))
    return tuple(rule for rule in RULES.values() if rule.name in wanted or rule.sets & set(wanted))


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest, sets = did_you_mean(name, known), ", ".join(SETS)
    return f"{nearest} The sets are {sets}; single rules are named in docs/processing.md."


def _applies(rule: QualityRule | LineRule, language: str) -> bool:
    if rule.needs == "english":
        return language in UNKNOWN_LANGUAGES
    return rule.needs != "spaces" or language not in UNSPACED


def _lines_that(test: Callable[[str], bool]) -> Callable[[TextMeasures], float]:
    return lambda text: text.share_of_lines(sum(1 for line in text.lines if test(line)))


def _c4_sentences(text: TextMeasures) -> float:
    """Sentences of the lines that C4 keeps, counted to three.

    Its rule on terminal marks is left out here, as FineWeb did.
    """
    kept = [
        line
        for line, words in zip(text.lines, text.words_of_lines, strict=True)
        if len(words) >= C4_LINE_WORDS
    ]  # fmt: skip
    if any(phrase in text.lower for phrase in (*POLICY_PHRASES, "javascript")):
        kept = [line for line in kept if not _has_phrase(line, (*POLICY_PHRASES, "javascript"))]
    return sentences(kept, C4_SENTENCES)


def _has_phrase(line: str, phrases: tuple[str, ...]) -> bool:
    lower = line.lower()
    return any(phrase in lower for phrase in phrases)


def _stop_words(text: TextMeasures) -> float:
    """Different stop words. Rae et al.: "at least two of the following English words"."""
    words = text.distinct_words
    return sum(word in words or word.capitalize() in words for word in STOP_WORDS)


def _hashes(text: TextMeasures) -> float:
    return text.share_of_words(text.text.count("#"))


def _ellipses(text: TextMeasures) -> float:
    return text.share_of_words(text.text.count("...") + text.text.count("…"))


def _letters(text: TextMeasures) -> float:
    return sum(map(str.isalpha, text.text)) / max(1, len(text.text))


def _mean_line(text: TextMeasures) -> float:
    raw = text.text.split("\n")
    return (len(text.text) - len(raw) + 1) / len(raw)


def _top(n: int) -> Callable[[TextMeasures], float]:
    return lambda text: text.top_ngram(n)


def _repeats(n: int) -> Callable[[TextMeasures], float]:
    return lambda text: text.repeated_ngrams(n)


_W, _C, _WB, _NONE = (frozenset(each) for each in ((WEB,), (CODE,), (WEB, BOOKS), ()))

# Table A1 of Rae et al. 2021: n -> the largest share of the characters in the commonest n-gram, and
# in repeated n-grams.
TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}
REPEATED_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

# In the order in which they are tried: the cheap ones first.
_REGISTERED: tuple[QualityRule | LineRule, ...] = (
    QualityRule("gopher-few-words", GOPHER, "fewer than 50 words", lambda t: len(t.words), _WB, at_least=50, needs="spaces"),
    QualityRule("gopher-many-words", GOPHER, "more than 100,000 words", lambda t: len(t.words), _W, at_most=100_000, needs="spaces"),
    QualityRule("gopher-word-length", GOPHER, "a mean word length outside 3 to 10 characters", lambda t: t.mean_word_length, _WB,
         at_least=3, at_most=10, needs="spaces"),
    QualityRule("gopher-hashes", GOPHER, "more than 0.1 hash symbols a word", _hashes, _WB, at_most=0.1, needs="spaces"),
    QualityRule("gopher-ellipses", GOPHER, "more than 0.1 ellipses a word", _ellipses, _WB, at_most=0.1, needs="spaces"),
    QualityRule("gopher-bullets", GOPHER, "more than 90 % of the lines begin with a bullet point",
         _lines_that(lambda line: line.startswith(BULLETS)), _W, at_most=0.9),
    QualityRule("gopher-ellipsis-lines", GOPHER, "more than 30 % of the lines end with an ellipsis",
         _lines_that(lambda line: line.endswith(ELLIPSES)), _WB, at_most=0.3),
    QualityRule("gopher-words-without-letters", GOPHER, "fewer than 80 % of the words have a letter", lambda t: t.words_with_letter,
         _WB, at_least=0.8, needs="spaces"),
    QualityRule("gopher-stop-words", GOPHER, "fewer than two of the, be, to, of, and, that, have, with", _stop_words, _WB,
         at_least=2, needs="english"),
    QualityRule("c4-lorem-ipsum", C4, 'the phrase "lorem ipsum"', lambda t: "lorem ipsum" in t.lower, _WB, below=1),
    QualityRule("c4-curly-bracket", C4, "a curly bracket", lambda t: "{" in t.text or "}" in t.text, _W, below=1),
    QualityRule("c4-few-sentences", C4, "fewer than 3 sentences in the lines that C4 keeps", _c4_sentences, _W,
         at_least=C4_SENTENCES, needs="spaces"),
    QualityRule("fineweb-line-ends", FINEWEB, "12 % of the lines or fewer end with punctuation",
         _lines_that(lambda line: line.endswith(TERMINAL_MARKS)), _W, above=0.12, needs="spaces"),
    QualityRule("fineweb-short-lines", FINEWEB, "67 % of the lines or more are shorter than 30 characters",
         _lines_that(lambda line: len(line) < SHORT_LINE_CHARACTERS), _W, below=0.67, needs="spaces"),
    QualityRule("fineweb-repeated-lines", FINEWEB, "10 % or more of the characters are in repeated lines",
         lambda t: t.repeated_lines[1], _W, below=0.1),
    QualityRule("gopher-repeated-lines", GOPHER_TABLE, "more than 30 % of the lines are repeats", lambda t: t.repeated_lines[0], _W, at_most=0.30),
    QualityRule("gopher-repeated-paragraphs", GOPHER_TABLE, "more than 30 % of the paragraphs are repeats", lambda t: t.repeated_paragraphs[0], _WB,
         at_most=0.30),
    QualityRule("gopher-repeated-line-characters", GOPHER_TABLE, "more than 20 % of the characters are in repeated lines",
         lambda t: t.repeated_lines[1], _WB, at_most=0.20),
    QualityRule("gopher-repeated-paragraph-characters", GOPHER_TABLE, "more than 20 % of the characters are in repeated paragraphs",
         lambda t: t.repeated_paragraphs[1], _WB, at_most=0.20),
    *(QualityRule(f"gopher-top-{n}-gram", GOPHER_TABLE, f"more than {most:.0%} of the characters are in the commonest {n}-gram", _top(n), _WB,
           at_most=most, needs="spaces") for n, most in TOP_NGRAM.items()),
    *(QualityRule(f"gopher-repeated-{n}-grams", GOPHER_TABLE, f"more than {most:.0%} of the characters are in repeated {n}-grams", _repeats(n), _WB,
           at_most=most, needs="spaces") for n, most in REPEATED_NGRAMS.items()),
    QualityRule("codex-mean-line", CODEX, "a mean line length above 100 characters", _mean_line, _C, at_most=100),
    QualityRule("codex-longest-line", CODEX, "a line of more than 1,000 characters", lambda t: max(map(len, t.text.split("\n"))), _C, at_most=1000),
    QualityRule("starcoder-letters", STARCODER, "fewer than 25 % of the characters are letters", _letters, _C, at_least=0.25),
    LineRule("c4-line-words", C4, "lines of fewer than 5 words", lambda line, words: len(words) < C4_LINE_WORDS, _W, needs="spaces"),
    LineRule("c4-line-javascript", C4, 'lines with the word "Javascript"', lambda line, words: "javascript" in line.lower(), _W,
             phrases=("javascript",)),
    LineRule("c4-line-policy", C4, "lines with a phrase of policy notices", lambda line, words: _has_phrase(line, POLICY_PHRASES), _W,
             phrases=POLICY_PHRASES),
    # In no set: alone it removes 30 % of C4's tokens; FineWeb (3.5) took C4's rules without it, and
    # its own `fineweb-line-ends` in its place.
    LineRule("c4-line-end", C4, "lines that don't end with a terminal mark", 
             lambda line, words: not line.endswith(TERMINAL_MARKS) or line.endswith(ELLIPSES), _NONE),
)  # fmt: skip
RULES: dict[str, QualityRule | LineRule] = {rule.name: rule for rule in _REGISTERED}
