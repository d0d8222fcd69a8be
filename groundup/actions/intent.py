"""Which action a message asks for.

    "can you cancel my table"              cancel_booking
    "how late can I cancel a table?"       None: a question, which documents answer

A message is compared with the examples of each action, word by word, against the examples of the
others and against what documents answer (`intent_scores.py`). How much it takes depends on the form
of the message: little for a request ("please cancel", "I'd like to"), more for a statement ("I've
lost my card") and for "can I ...?", most for a question. Counts and rules, no model: the same
message always has the same action.

Where a sentence encoder is there, its vectors are weighed beside all this (`intent_meaning.py`), so
that a wish in words that no example has, or with the form of a question, is known, too.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from groundup.actions.definition import Action
from groundup.actions.direct_wording import direct
from groundup.actions.intent_meaning import (
    PLAIN,
    Meanings,
    MeaningWeights,
    MessageEncoder,
    best_odds,
    fitted_weights,
)
from groundup.actions.intent_scores import QUESTIONS, WordScores
from groundup.actions.intent_words import (
    in_small_letters,
    unquoted,
    without_endings,
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
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

WHOLE_SENTENCES, MAX_CHARACTERS = 3, 1000
# The least logarithm of the odds by meaning: to begin an action, to offer one, and to begin one that is
# only told beside another that is asked for.
SURE, NEAR, TOLD = 0.5, -1.5, 1.5
# An action that is so near behind the best one may be the one that is meant.
EITHER = 0.5
# So far ahead is another action in a part of a message than the one of the whole message.
CLEARLY = 2.5
# The least length of a verb that may lack a letter.
VERB_LETTERS = 6
_SMALL_WORD = re.compile(r"\b[a-z]{5,}\b")


class ActionChooser:
    """Chooses among the actions of a pack."""

    def __init__(
        self,
        actions: Sequence[Action],
        encoder: MessageEncoder | None = None,
        weights: MeaningWeights | None = None,
    ) -> None:
        """`encoder`: None: by words alone; `weights`: None: those of the package."""
        self._verbs = _first_words(actions)
        self._words = WordScores(actions, self._verbs)
        self._titles = {_plain(each.title): each.name for each in actions}
        self._questions = {_plain(text) for each in actions for text in each.not_examples}
        self._title_verbs = {each.name: words_of(first_word(each.title)) for each in actions}
        self._slots = {
            each.name: "|".join(
                re.escape(slot.name.replace("_", " ")) for slot in each.slots if slot.type != "code"
            )
            for each in actions
        }
        self._ordinary = self._words.spellings | ORDERS
        texts = [text for a in actions for text in (a.title, *a.examples, *a.not_examples)]
        self._slips = _slips(texts, self._verbs)
        self.meanings: Meanings | None = None
        if encoder is not None and actions:
            asked = {each.name: [each.title, *each.examples] for each in actions}
            answered = [text for each in actions for text in each.not_examples]
            self.meanings = Meanings(asked, answered, encoder, weights or fitted_weights())

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
        if said := self._words.said_in_examples(message):
            return said
        given = frozenset(labels)
        if self.meanings is None:
            found = [self._words.chosen(text, form, given) for text, form in self._parts(message)]
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

    def is_example(self, message: str) -> bool:
        """Whether a message is one of the examples of an action, but for its values."""
        return self._words.said_in_examples(self._read(message)) is not None

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
        if len(best) < 2 or odds[best[0]] < SURE or self._words.said_in_examples(text):
            return None
        is_near = odds[best[1]] >= max(SURE, odds[best[0]] - EITHER)
        is_named = self._is_ordered(best[0], text) and not self._is_ordered(best[1], text)
        return (best[0], best[1]) if is_near and not is_named else None

    def _is_ordered(self, name: str, text: str) -> bool:
        """Whether a text has the word with which an action's title begins: "cancel"."""
        return not self._title_verbs[name].isdisjoint(self._words.respelt(words_of(text)))

    def odds(self, message: str) -> dict[str, float]:
        """Return the logarithm of the odds that a message asks for each action; {} by words alone, and
        for a message that is known to ask for one or for none.
        """
        is_known = bool({_plain(message)} & {*self._titles, *self._questions})
        return {} if self.meanings is None or is_known else self._odds(self._read(message))

    def _read(self, message: str) -> str:
        """Return what of a message is read."""
        message = without_endings(message[:MAX_CHARACTERS])
        text = unquoted(in_small_letters(message, self._ordinary))
        return _SMALL_WORD.sub(lambda each: self._slips.get(each[0], each[0]), text)

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
            by_words = self._words.features(text, form, given)
            asks = self.meanings.weights.request_logit(self.meanings.vector(text))
            for name, each in by_words.items():
                each |= by_vectors[name]
                each["asks"] = asks
                each["question asks"] = asks * (form in QUESTIONS)
            yield by_words

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


def _slips(texts: Iterable[str], verbs: Collection[str]) -> dict[str, str]:
    """Return the words of texts by what they are with two letters swapped ("cancle"), and the verbs
    by what they are with a letter left out ("freze").
    """
    known = {word for text in texts for word in words(text) if _SMALL_WORD.fullmatch(word)}
    found: dict[str, str] = {}
    for word in sorted(known):
        slips = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in _inner(word)]
        if word in verbs and len(word) >= VERB_LETTERS:
            slips += [word[:at] + word[at + 1 :] for at in _inner(word)]
        for slip in slips:
            if slip not in known and slip not in STOP_WORDS["en"]:
                found[slip] = word
    return found


def _inner(word: str) -> range:
    return range(1, len(word) - 1)


def _plain(text: str) -> str:
    return " ".join(word for word in words(text) if word not in ("please", "pls"))


def _first_words(actions: Sequence[Action]) -> frozenset[str]:
    titles = {words(each.title)[0] for each in actions if words(each.title)}
    return ORDERS | titles
