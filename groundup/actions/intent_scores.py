"""How much the words of a message say for each action, and which one they ask for.

    score(action) = sum over words of log(share in its texts / share in all others)   naive Bayes
    how much it takes: by the form of the message (LEAST, COVERED)

An action's texts are its title, examples and options; the others' are those of the other actions and
the near questions that documents answer. Counts and rules, no model.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import inf, log

from groundup.actions.definition import Action
from groundup.actions.intent_meaning import UNKNOWN_THING
from groundup.actions.intent_texts import ExampleWords, nearest_of, texts_of
from groundup.actions.intent_words import (
    CODE,
    COUNT,
    DATE,
    MONEY,
    TIME,
    VALUE_TYPES,
    names_in,
    ordered_thing,
    words_of,
)
from groundup.actions.message_form import ORDERS, Form, first_word, is_denied, message_form
from groundup.language.terms import is_within, words

# Each count of a word in the texts of an action is raised by so much.
SMOOTHING = 0.3
# The least score (natural logarithm of the odds) by the form of a message, and how far the best
# action must be ahead of the next one.
LEAST: dict[Form, float] = {
    "request": 2.0,
    "please": 3.0,
    "want": 2.0,
    "wish": 3.0,
    "may": inf,
    "statement": 4.0,
    "question": inf,
}
# The least share of its words that the action's examples have.
COVERED: dict[Form, float] = {
    "request": 0.33,
    "please": 0.5,
    "want": 0.33,
    "wish": 0.5,
    "may": 0.5,
    "statement": 0.6,
    "question": 1.0,
}
AHEAD = 0.1
TYPES = {"date": DATE, "time": TIME, "code": CODE, "money": MONEY, "number": COUNT}
# From so many kinds of values on, a statement counts as a request: "four, Friday at 8".
MANY_VALUES = 3
# A label of the pack's classifier that the action names.
LABEL = 1.5
# Similarity (cosine of words) to an example from which on a question counts as the same question.
SAME_QUESTION = 0.7
QUESTIONS = ("question", "wish", "may")
# From so much on a message is an example but for its values.
SAME = 0.9
# Words of messages with what they are taken for.
REMEMBERED_WORDS = 2**14
# The least length of a stem that may be a slip.
MISSPELT_LETTERS = 6
_OWN = frozenset(["i", "my", "me", "we", "our", "us", "im", "ive", "id"])


class WordScores:
    """The words of the actions of a pack, with which messages are compared."""

    def __init__(self, actions: Sequence[Action], verbs: frozenset[str]) -> None:
        """`verbs`: words with which an order begins."""
        self._verbs = verbs
        self._title_words = {each.name: words_of(each.title) for each in actions}
        self._intents = {each.name: frozenset(each.intents) for each in actions}
        self._asked = {each.name: texts_of([each.title, *each.examples]) for each in actions}
        self._examples = {
            each.name: [self._example(text) for text in each.examples] for each in actions
        }
        self._near = [self._example(text) for each in actions for text in each.not_examples]
        self._known = frozenset().union(*(texts.counts for texts in self._asked.values()))
        self._types = {
            each.name: frozenset(
                TYPES.get(slot.type, "") for slot in each.slots if not slot.optional
            )
            for each in actions
        }
        self._options = {each.name: _option_words(each) for each in actions}
        self._slot_words = {
            each.name: words_of(" ".join(slot.name.replace("_", " ") for slot in each.slots))
            for each in actions
        }
        self._answered = texts_of(text for each in actions for text in each.not_examples)
        self.spellings = frozenset([*self._known, *self._answered.counts])
        self._weighed = self.spellings.union(*self._options.values())
        self._weights: dict[tuple[str, str], float] = {}

    def said_in_examples(self, message: str) -> str | None:
        """Return the action that has a message among its examples, but for its values."""
        said = self._example(message)
        said = replace(said, words=self.respelt(said.words))
        near = {name: said.nearest(texts) for name, texts in self._examples.items()}
        best = max(near, key=lambda name: near[name], default=None)
        if best is None or near[best] < SAME or near[best] <= said.nearest(self._near):
            return None
        return best if sum(each == near[best] for each in near.values()) == 1 else None

    def features(
        self, text: str, form: Form, labels: frozenset[str]
    ) -> dict[str, dict[str, float]]:
        """Return what words and form say of a part of a message, for each action."""
        own = self.respelt(words_of(text))
        scores = {name: self._score(name, own, labels) for name in self._asked}
        chosen, said = self.chosen(text, form, labels), words(text)
        about = own - (names_in(text) - self._known)
        thing = self.respelt(ordered_thing(text, ORDERS))
        found = {}
        for name, score in scores.items():
            others = max((scores[each] for each in scores if each != name), default=0.0)
            found[name] = {
                f"form {form}": 1.0,
                "score": _clipped(score, 8),
                "ahead": _clipped(score - others, 6),
                "covers": self._covers(name, about),
                "key": float(self._has_key(name, own)),
                "values": min(self._values(name, own), MANY_VALUES) / MANY_VALUES,
                "nearest words": nearest_of(own, self._asked[name].texts),
                "personal": float(not _OWN.isdisjoint(said)),
                "length": min(len(said), 30) / 10,
                "by words": float(chosen is not None and chosen[1] == name),
                UNKNOWN_THING: float(bool(thing) and not self._knows(name, thing)),
            }
        return found

    def _example(self, text: str) -> "ExampleWords":
        form = message_form(text, self._verbs)
        return ExampleWords(form, first_word(text), words_of(text), is_denied(text))

    def chosen(self, text: str, form: Form, labels: frozenset[str]) -> tuple[float, str] | None:
        """Return the action that a part of a message asks for, with its score."""
        own = self.respelt(words_of(text))
        scores = {name: self._score(name, own, labels) for name in self._asked}
        if not own or not scores:
            return None
        best, *others = sorted(scores, key=lambda name: (-scores[name], name))
        if others and scores[best] < scores[others[0]] + AHEAD:
            return None
        if form in ("request", "want") and self._title_words[best] == own - VALUE_TYPES:
            return max(scores[best], LEAST[form]), best
        form = self._raised(text, form, own, best)
        is_about = self._covers(best, own - (names_in(text) - self._known)) >= COVERED[form]
        has_key = self._has_key(best, own) or self._values(best, own) >= MANY_VALUES
        return (
            (scores[best], best) if is_about and has_key and scores[best] >= LEAST[form] else None
        )

    def respelt(self, own: frozenset[str]) -> frozenset[str]:
        """Return words with the one that the actions' texts know in place of a long one that they
        don't and that is one slip away from it.
        """
        return frozenset(_nearest_word(word, self.spellings) for word in own)

    def _raised(self, text: str, form: Form, own: frozenset[str], name: str) -> Form:
        """Return the form that a text counts as: a question of the examples is a request, one that
        is nearer to those of documents, or has nothing of one's own, a question; many values of the
        action's are a request.
        """
        if form in ("request", "want"):
            return form
        asked, answered = self._asked[name].texts, self._answered.texts
        if form in QUESTIONS and self._same_question(text, own, name):
            return "request"
        if form == "question" or nearest_of(own, answered) >= nearest_of(own, asked):
            return "question"
        if self._values(name, own) >= MANY_VALUES:
            return "request"
        return "wish" if form == "statement" and CODE in own else form

    def _values(self, name: str, own: frozenset[str]) -> int:
        """Return how many kinds of values a text has that the action needs."""
        return len(own & self._types[name])

    def _same_question(self, text: str, own: frozenset[str], name: str) -> bool:
        """Whether a question begins as one among the examples and has its words, and not those of
        one that documents answer.
        """
        first = first_word(text)
        asked = (each for each in self._examples[name] if each.form in QUESTIONS)
        near = nearest_of(own, (each.words for each in asked if each.first == first))
        return near >= SAME_QUESTION and near > nearest_of(own, self._answered.texts)

    def _has_key(self, name: str, own: frozenset[str]) -> bool:
        """Whether a text has a word of the action's title, or of two of its examples."""
        texts = self._asked[name]
        return any(texts.counts[word] > 1 or word in texts.texts[0] for word in own - VALUE_TYPES)

    def _knows(self, name: str, own: frozenset[str]) -> bool:
        """Whether one of some words is of an action's texts, options or slots."""
        known = self._asked[name].counts.keys() | self._options[name] | self._slot_words[name]
        return not known.isdisjoint(own)

    def _covers(self, name: str, own: frozenset[str]) -> float:
        """Return the share of a text's words that the action's texts, options or slots know."""
        known = sum(word in self._asked[name].counts or word in self._options[name] for word in own)
        return known / max(1, len(own))

    def _score(self, name: str, own: frozenset[str], labels: frozenset[str]) -> float:
        """Return the logarithm of the odds that a text asks for an action."""
        score = sum(self._weight(name, word) for word in own if word in self._weighed)
        return score + LABEL * bool(labels & self._intents[name])

    def _weight(self, name: str, word: str) -> float:
        """Return what a word of the actions' texts or options says for an action; any other word
        says nothing.
        """
        found = self._weights.get((name, word))
        if found is None:
            found = self._weights[name, word] = self._odds_of(name, word)
        return found

    def _odds_of(self, name: str, word: str) -> float:
        """Return the logarithm of the odds of a word in an action's texts against those in others'."""
        own = self._asked[name]
        in_own = own.counts[word] + (word in self._options[name])
        others = [texts for other, texts in self._asked.items() if other != name]
        in_others = sum(texts.counts[word] for texts in others) + self._answered.counts[word]
        in_others += sum(word in self._options[other] for other in self._asked if other != name)
        total = sum(texts.size for texts in others) + self._answered.size
        share = (in_own + SMOOTHING) / (own.size + 2 * SMOOTHING)
        return log(share) - log((in_others + SMOOTHING) / (total + 2 * SMOOTHING))


def _clipped(score: float, most: float) -> float:
    return max(-6.0, min(most, score)) / 4


@lru_cache(maxsize=REMEMBERED_WORDS)
def _nearest_word(word: str, known: frozenset[str]) -> str:
    if len(word) < MISSPELT_LETTERS or word in known or not word.isalpha():
        return word
    near = {each for each in known if is_within(word, each, 1)}
    return near.pop() if len(near) == 1 else word


def _option_words(action: Action) -> frozenset[str]:
    """Return the words of the options that an action has."""
    found: frozenset[str] = frozenset()
    for slot in action.slots:
        for key, synonyms in (slot.options or {}).items():
            found |= frozenset().union(*map(words_of, (key, *synonyms)))
    return found - VALUE_TYPES
