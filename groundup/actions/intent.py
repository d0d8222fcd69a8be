"""Which action a message asks for.

    "can you cancel my table"              cancel_booking
    "how late can I cancel a table?"       None: a question, which documents answer

A message is compared with the examples of each action, word by word, against the examples of the
others and against what documents answer (a naive Bayes of a few texts). How much it takes depends
on the form of the message: little for a request ("please cancel", "I'd like to"), more for a
statement ("I've lost my card") and for "can I ...?", most for a question. Counts and rules, no
model: the same message always has the same action.

Where a sentence encoder is there, its vectors are weighed beside all this (`intent_meaning.py`), so
that a wish in words that no example has, or with the form of a question, is known, too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf, log

from groundup.actions.definition import Action
from groundup.actions.direct_wording import direct
from groundup.actions.intent_meaning import (
    PLAIN,
    UNKNOWN_THING,
    USUAL_ENCODER,
    Embed,
    Meanings,
    MeaningWeights,
    best_odds,
    fitted_weights,
)
from groundup.actions.intent_texts import ExampleWords, nearest_of, texts_of
from groundup.actions.intent_words import (
    CODE,
    COUNT,
    DATE,
    MONEY,
    TIME,
    VALUE_TYPES,
    in_small_letters,
    names_in,
    ordered_thing,
    unquoted,
    without_values,
    words_of,
)
from groundup.actions.message_form import (
    ORDERS,
    Form,
    asking_tail,
    first_word,
    is_denied,
    message_form,
    sentence_forms,
    sentences,
)
from groundup.actions.reading import MarkNames
from groundup.language.stop_words import STOP_WORDS
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
WHOLE_SENTENCES, MAX_CHARACTERS = 3, 1000
# The least logarithm of the odds by meaning: to begin an action, to offer one, and to begin one that is
# only told beside another that is asked for.
SURE, NEAR, TOLD = 0.5, -1.5, 1.5
# An action that is so near behind the best one may be the one that is meant.
EITHER = 0.5
# So far ahead is another action in a part of a message than the one of the whole message.
CLEARLY = 2.5
# Words of messages with what they are taken for.
REMEMBERED_WORDS = 2**14
# The least length of a stem that may be a slip.
MISSPELT_LETTERS = 6
_SMALL_WORD = re.compile(r"\b[a-z]{5,}\b")


_OWN = frozenset(["i", "my", "me", "we", "our", "us", "im", "ive", "id"])


class ActionChooser:
    """Chooses among the actions of a pack."""

    def __init__(
        self,
        actions: Sequence[Action],
        embed: Embed | None = None,
        weights: MeaningWeights | None = None,
        mark_names: MarkNames | None = None,
    ) -> None:
        """`embed`: the vectors of an encoder (None: by words alone), `weights`: those that were
        fitted for it, by default USUAL_ENCODER's; `mark_names`: its reader of names.
        """
        self._verbs = _first_words(actions)
        self._titles = {_plain(each.title): each.name for each in actions}
        self._questions = {_plain(text) for each in actions for text in each.not_examples}
        self._title_verbs = {each.name: words_of(first_word(each.title)) for each in actions}
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
        self._slots = {
            each.name: "|".join(
                re.escape(slot.name.replace("_", " ")) for slot in each.slots if slot.type != "code"
            )
            for each in actions
        }
        self._options = {each.name: _option_words(each) for each in actions}
        self._slot_words = {
            each.name: words_of(" ".join(slot.name.replace("_", " ") for slot in each.slots))
            for each in actions
        }
        self._answered = texts_of(text for each in actions for text in each.not_examples)
        self._spellings = frozenset([*self._known, *self._answered.counts])
        self._ordinary = self._spellings | ORDERS
        self._weighed = self._spellings.union(*self._options.values())
        self._swapped = _swapped(
            text for each in actions for text in (each.title, *each.examples, *each.not_examples)
        )
        self._weights: dict[tuple[str, str], float] = {}
        self.meanings: Meanings | None = None
        if embed is not None and actions:
            asked = {each.name: [each.title, *each.examples] for each in actions}
            answered = [text for each in actions for text in each.not_examples]
            weights = weights or fitted_weights(USUAL_ENCODER)
            self.meanings = Meanings(asked, answered, embed, weights, mark_names)

    def choose(
        self,
        message: str,
        labels: Iterable[str] = (),
        *,
        is_unsure: bool = False,
        is_told: bool = False,
        expected: str | None = None,
    ) -> str | None:
        """Return the name of the action that a message asks for; None: of none. `labels`: what the
        pack's classifier says of it. `is_unsure`: less is enough (by meaning), for an offer;
        `is_told`: it takes more, beside a part that asks for something.
        `expected`: the action of the message of which this is a part; it is left for another one
        only where that is clearly meant.
        """
        plain = _plain(message)
        if plain in self._titles or plain in self._questions:
            return self._titles.get(plain)
        message = self._read(message)
        if said := self._said_in_examples(message):
            return said
        given = frozenset(labels)
        if self.meanings is None:
            found = [self._chosen(text, form, given) for text, form in self._parts(message)]
            return max(filter(None, found), default=(0.0, None))[1]
        odds = self._odds(message, given)
        best = max(odds, key=lambda name: odds[name], default=None)
        least = NEAR if is_unsure else TOLD if is_told else SURE
        if best and expected and odds[expected] >= max(NEAR, odds[best] - CLEARLY):
            best = expected
        return best if best is not None and odds[best] >= least else None

    def gives_value(self, text: str, name: str) -> bool:
        """Whether a text tells a value of an action by its slot's name: "the title is ..."."""
        said = rf"\W*(?:and |its |the |my |our )*(?:{self._slots[name]})(?:'s| is| are|:)\s"
        return bool(self._slots[name]) and re.match(said, text, re.IGNORECASE) is not None

    def form(self, text: str) -> Form:
        """Return the form of a message for these actions."""
        return message_form(text, self._verbs)

    def either(self, message: str) -> tuple[str, str] | None:
        """Return two actions of which a message asks for one, but may for either; None: there are
        none.
        """
        text = self._read(message)
        if self.meanings is None or {_plain(message)} & {*self._titles, *self._questions}:
            return None
        odds = self._odds(text)
        best = sorted(odds, key=lambda name: (-odds[name], name))[:2]
        if len(best) < 2 or odds[best[0]] < SURE or self._said_in_examples(text):
            return None
        is_near = odds[best[1]] >= max(SURE, odds[best[0]] - EITHER)
        is_named = self._is_ordered(best[0], text) and not self._is_ordered(best[1], text)
        return (best[0], best[1]) if is_near and not is_named else None

    def _is_ordered(self, name: str, text: str) -> bool:
        """Whether a text has the word with which an action's title begins: "cancel"."""
        return not self._title_verbs[name].isdisjoint(self._respelt(words_of(text)))

    def odds(self, message: str) -> dict[str, float]:
        """Return the logarithm of the odds that a message asks for each action; {} by words alone, and
        for a message that is known to ask for one or for none.
        """
        is_known = bool({_plain(message)} & {*self._titles, *self._questions})
        return {} if self.meanings is None or is_known else self._odds(self._read(message))

    def _read(self, message: str) -> str:
        """Return what of a message is read."""
        text = unquoted(in_small_letters(message[:MAX_CHARACTERS], self._ordinary))
        return _SMALL_WORD.sub(lambda each: self._swapped.get(each[0], each[0]), text)

    def _odds(self, message: str, labels: frozenset[str] = frozenset()) -> dict[str, float]:
        """Return the logarithm of the odds that a message asks for an action, for each one: that of
        its part which asks most clearly.
        """
        assert self.meanings is not None
        return best_odds(self.features(message, labels), self.meanings.weights)

    def parts(self, message: str) -> list[tuple[str, Form]]:
        """Return the different parts of a message that may ask for something, with their forms."""
        found = dict.fromkeys(self._parts(self._read(message)))
        return [each for each in found if not is_denied(each[0])]

    def features(
        self, message: str, labels: Iterable[str] = ()
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Yield of each part of a message what is weighed, for each action."""
        assert self.meanings is not None
        given, parts = frozenset(labels), self.parts(message)
        self.meanings.prepare([text for text, _ in parts])
        for text, form in parts:
            by_vectors = self.meanings.features(text)
            by_words = self._word_features(text, form, given)
            asks = self.meanings.weights.request_logit(self.meanings.vector(text))
            for name, each in by_words.items():
                each |= by_vectors[name]
                each["asks"] = asks
                each["question asks"] = asks * (form in QUESTIONS)
            yield by_words

    def _word_features(
        self, text: str, form: Form, labels: frozenset[str]
    ) -> dict[str, dict[str, float]]:
        """Return what words and form say of a part of a message, for each action."""
        own = self._respelt(words_of(text))
        scores = {name: self._score(name, own, labels) for name in self._asked}
        chosen, said = self._chosen(text, form, labels), words(text)
        about = own - (names_in(text) - self._known)
        thing = self._respelt(ordered_thing(text, ORDERS))
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

    def _said_in_examples(self, message: str) -> str | None:
        """Return the action that has a message among its examples, but for its values."""
        said = self._example(message)
        said = replace(said, words=self._respelt(said.words))
        near = {name: said.nearest(texts) for name, texts in self._examples.items()}
        best = max(near, key=lambda name: near[name], default=None)
        if best is None or near[best] < SAME or near[best] <= said.nearest(self._near):
            return None
        return best if sum(each == near[best] for each in near.values()) == 1 else None

    def _parts(self, message: str) -> Iterator[tuple[str, Form]]:
        """Yield the sentences of a message, a short message as a whole, and what is left of it
        without codes and what is pasted in, with their forms. What is told before a question is part
        of the question.
        """
        bare = without_values(message)
        if bare != message and words(bare):
            yield bare, message_form(bare, self._verbs)
        parts, whole = sentences(message), message_form(message, self._verbs)
        if 1 < len(parts) <= WHOLE_SENTENCES:
            yield " ".join(parts), whole
        forms = sentence_forms(message, self._verbs)
        for part, form in zip(parts, forms, strict=True):
            if form == "want" and "question" in forms:
                form = "statement"
            elif form == "statement" and whole in ("question", "may"):
                form = "question"
            yield part, form
            tail = asking_tail(part)
            for other in dict.fromkeys([direct(part), tail, direct(tail)]):
                if other not in ("", part) and (form := self.form(other)) in PLAIN:
                    yield other, form

    def _chosen(self, text: str, form: Form, labels: frozenset[str]) -> tuple[float, str] | None:
        """Return the action that a part of a message asks for, with its score."""
        own = self._respelt(words_of(text))
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

    def _respelt(self, own: frozenset[str]) -> frozenset[str]:
        """Return words with the one that the actions' texts know in place of a long one that they
        don't and that is one slip away from it.
        """
        return frozenset(_nearest_word(word, self._spellings) for word in own)

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


def choose_action(
    actions: Sequence[Action], message: str, labels: Iterable[str] | None = None
) -> str | None:
    """Return the name of the action that a message asks for, by words; None where it asks for none,
    or asks something about one.
    """
    return _chooser(_Given(tuple(actions))).choose(message, labels or ())


@dataclass(frozen=True)
class _Given:
    """Actions as the key of their chooser: they are the same where their texts are."""

    actions: tuple[Action, ...] = field(hash=False)

    def __hash__(self) -> int:
        return hash(tuple((each.name, each.examples, each.not_examples) for each in self.actions))


@lru_cache(maxsize=8)
def _chooser(given: _Given) -> ActionChooser:
    return ActionChooser(given.actions)


def _clipped(score: float, most: float) -> float:
    return max(-6.0, min(most, score)) / 4


@lru_cache(maxsize=REMEMBERED_WORDS)
def _nearest_word(word: str, known: frozenset[str]) -> str:
    if len(word) < MISSPELT_LETTERS or word in known or not word.isalpha():
        return word
    near = {each for each in known if is_within(word, each, 1)}
    return near.pop() if len(near) == 1 else word


def _swapped(texts: Iterable[str]) -> dict[str, str]:
    """Return the words of texts by what they are with two letters swapped: "cancle"."""
    known = {word for text in texts for word in words(text) if _SMALL_WORD.fullmatch(word)}
    found: dict[str, str] = {}
    for word in sorted(known):
        for at in range(1, len(word) - 1):
            slip = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            if slip not in known and slip not in STOP_WORDS["en"]:
                found[slip] = word
    return found


def _plain(text: str) -> str:
    return " ".join(word for word in words(text) if word not in ("please", "pls"))


def _option_words(action: Action) -> frozenset[str]:
    """Return the words of the options that an action has."""
    found: frozenset[str] = frozenset()
    for slot in action.slots:
        for key, synonyms in (slot.options or {}).items():
            found |= frozenset().union(*map(words_of, (key, *synonyms)))
    return found - VALUE_TYPES


def _first_words(actions: Sequence[Action]) -> frozenset[str]:
    titles = {words(each.title)[0] for each in actions if words(each.title)}
    return ORDERS | titles
