"""AssistantTexts: what an assistant says of itself and its firm in fixed words, `[assistant]` in
pack.toml and in a recipe. What is left empty has a default in the pack's language
(FixedTexts, of `language/messages.py`), which names nothing but the firm; languages are those in
which the rules read messages (`retrieve/scope.py`, `retrieve/refusals.py`). In a default `{firm}`
is the organisation's name, `{of}` its genitive, `{titles}` what actions do, `{contact}` how a
person is reached.

These are all the sentences without a source that an assistant ever says (`retrieve/assistant.py`),
so `groundup pack check` holds them against the facts, as every text of a pack.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from groundup.errors import require
from groundup.language.messages import catalog

_VOWELS = "aeiouyàâäéèêëîïôöùûüœæ"
MAX_QUESTIONS, MAX_QUESTION_CHARACTERS, MAX_TEXT_CHARACTERS = 5, 90, 600
# Of what is personal: in shorter ones words and prices would be masked.
MAX_SHAPES, MIN_SHAPE = 20, 3
MAX_PATTERNS = 100
_SHAPE = re.compile(r"[A9](?:[A9 ./-]{0,38}[A9])")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def _of_english(firm: str) -> str:
    return f"{firm}'" if firm.endswith("s") else f"{firm}'s"


def _of_german(firm: str) -> str:
    return f"von {firm}"


def _of_french(firm: str) -> str:
    return f"d'{firm}" if firm[:1].casefold() in _VOWELS else f"de {firm}"


def _of_spanish(firm: str) -> str:
    return f"de {firm}"


@dataclass(frozen=True)
class FixedTexts:
    """Those of a language."""

    of: Callable[[str], str]
    """Returns the genitive of a firm's name."""
    unnamed: str
    """A firm without a name."""
    hello: str
    identity: str
    """Who speaks."""
    ability: str
    """What can be asked."""
    can_do: str
    """What can be done."""
    thanks: str
    goodbye: str
    nothing_waits: str
    """To a yes, no or number where none was asked for."""
    only: str
    refusal: str
    person: str
    person_at: str
    no_person: str
    asked: str
    """Above the questions that are passed on to a person."""
    unanswered: str
    contact_question: str
    """For a telephone number or an e-mail address, as documents are searched."""
    emergency: str
    self_harm: str


# How a language makes the genitive of a firm's name; that of another one is the English.
_GENITIVES: dict[str, Callable[[str], str]] = {
    "en": _of_english,
    "de": _of_german,
    "fr": _of_french,
    "es": _of_spanish,
}


@cache
def fixed_texts(language: str) -> FixedTexts:
    """Return those of a language, such as "de" or "de-AT"; of another one, or of "", the English
    ones.
    """
    code = language.partition("-")[0].casefold()
    return FixedTexts(of=_GENITIVES.get(code, _of_english), **catalog(language)["assistant"])


@dataclass(frozen=True)
class AssistantTexts:
    """Fixed texts of an assistant; raises ConfigError for one that is too long."""

    organisation: str = ""
    """The firm; in pack.toml it is the pack's."""
    language: str = ""
    """Of the defaults and the page's labels: en, de, fr or es; in pack.toml it is the pack's. "": the
    page follows its reader's browser, and everything else is in English.
    """
    greeting: str = ""
    """Replies to a greeting, and opens the page."""
    can_do: str = ""
    """What the assistant can be asked, one sentence."""
    questions: tuple[str, ...] = ()
    """Examples that the page offers."""
    contact: str = ""
    """How a person is reached, as it follows "To speak to a person: "; "": a telephone number or
    e-mail address of the documents is quoted.
    """
    personal: tuple[str, ...] = ()
    """Shapes of what says who somebody is, such as "AAA-9999" for a customer number, A a letter and
    9 a digit: masked in what is kept of messages (`serve/feedback.py`).
    """
    staff_documents: tuple[str, ...] = ()
    """Patterns ("staff-*", "internal/*") of names of documents that nobody sees with a public key:
    they are neither searched nor opened.
    """
    colour: str = ""
    """Of the page's buttons: # and six hexadecimal digits."""
    emergency: str = ""
    """Stands above the answer to a message that tells of danger to life."""
    self_harm: str = ""
    """The whole reply to a message that tells of self-harm."""

    def __post_init__(self) -> None:
        name = "assistant.questions"
        require(len(self.questions) <= MAX_QUESTIONS, name, self.questions, "at most 5")
        for each in self.questions:
            fits = 0 < len(each.strip()) <= MAX_QUESTION_CHARACTERS
            require(fits, name, each, f"of at most {MAX_QUESTION_CHARACTERS} characters each")
        for field in ("organisation", "greeting", "can_do", "contact", "emergency", "self_harm"):
            text = getattr(self, field)
            what = f"of at most {MAX_TEXT_CHARACTERS} characters"
            require(len(text) <= MAX_TEXT_CHARACTERS, f"assistant.{field}", text[:80], what)
        what = f"at most {MAX_SHAPES}"
        require(len(self.personal) <= MAX_SHAPES, "assistant.personal", self.personal, what)
        for shape in self.personal:
            what = 'a shape such as "AAA-9999": A a letter, 9 a digit, of these at least 3 and a 9'
            is_shape = _SHAPE.fullmatch(shape) is not None and "9" in shape
            fits = is_shape and sum(map(shape.count, "A9")) >= MIN_SHAPE
            require(fits, "assistant.personal", shape[:80], what)
        name, what = "assistant.staff_documents", f"at most {MAX_PATTERNS} patterns, none empty"
        fits = len(self.staff_documents) <= MAX_PATTERNS and all(self.staff_documents)
        require(fits, name, self.staff_documents, what)
        has_colour = not self.colour or _COLOUR.fullmatch(self.colour) is not None
        require(has_colour, "assistant.colour", self.colour, "# and six hexadecimal digits")

    def is_for_staff(self, document: str) -> bool:
        """Whether a document is for the staff alone, by its place within its source or its name.

        >>> texts = AssistantTexts(staff_documents=("staff-*", "internal/*"))
        >>> texts.is_for_staff("b/Staff-pay.md"), texts.is_for_staff("internal/a/menu.md")
        (True, True)
        >>> texts.is_for_staff("menu.md")
        False
        """
        place = document.casefold()
        names = place, place.rpartition("/")[2]
        patterns = map(str.casefold, self.staff_documents)
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)

    @property
    def own(self) -> dict[str, str]:
        """The texts that a pack may write itself, by their fields; without the defaults."""
        names = ("greeting", "can_do", "contact", "emergency", "self_harm")
        written = {name: getattr(self, name) for name in names}
        return {**written, "questions": "\n".join(self.questions)}

    @property
    def fixed(self) -> FixedTexts:
        """The sentences of the language."""
        return fixed_texts(self.language)

    def say(self, sentence: str, **values: str) -> str:
        """Return a sentence of `fixed` with the firm's name and what else it names.

        >>> texts = AssistantTexts("Larkfell Air", "fr")
        >>> texts.say(texts.fixed.person_at)
        'Pour parler à une personne chez Larkfell Air :'
        """
        return sentence.format(firm=self.firm, of=self.fixed.of(self.firm), **values)

    @property
    def in_danger(self) -> str:
        """What stands above the answer to a message that tells of danger to life."""
        return self.emergency or self.fixed.emergency

    @property
    def in_self_harm(self) -> str:
        """The whole reply to a message that tells of self-harm."""
        return self.self_harm or self.fixed.self_harm

    @property
    def hello(self) -> str:
        """The greeting, or its default."""
        return self.greeting or f"{self.fixed.hello} {self.identity} {self.ability}"

    @property
    def identity(self) -> str:
        """Who speaks."""
        return self.say(self.fixed.identity)

    @property
    def ability(self) -> str:
        """What can be asked."""
        return self.can_do or self.fixed.ability

    @property
    def firm(self) -> str:
        """The firm's name, in a sentence."""
        return self.organisation or self.fixed.unnamed
