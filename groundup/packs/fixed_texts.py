"""FixedTexts: the sentences that an assistant says of itself, in the languages in which its rules
read messages (`retrieve/scope.py`, `retrieve/refusals.py`).

`{firm}` is the organisation's name, `{of}` its genitive, `{titles}` what actions do, `{contact}`
how a person is reached.
"""

from collections.abc import Callable
from dataclasses import dataclass

_VOWELS = "aeiouyàâäéèêëîïôöùûüœæ"


def _of_english(firm: str) -> str:
    return f"{firm}'" if firm.endswith("s") else f"{firm}'s"


def _of_german(firm: str) -> str:
    return f"von {firm}"


def _of_french(firm: str) -> str:
    return f"d'{firm}" if firm[:1].casefold() in _VOWELS else f"de {firm}"


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
    only: str
    refusal: str
    person: str
    person_at: str
    no_person: str
    asked: str
    """Above the questions that are passed on to a person."""
    unanswered: str
    contact_questions: tuple[str, str]
    """For a telephone number and an e-mail address, as documents are searched."""
    emergency: str
    self_harm: str


# The phone numbers are the emergency numbers of the EU and most of the world, of the United
# Kingdom, and of the United States (ITU-T E.161.1).
ENGLISH = FixedTexts(
    of=_of_english,
    unnamed="this organisation",
    hello="Hello.",
    identity="I am {of} automatic assistant, a computer program and not a person.",
    ability="I answer questions from its documents and show where it says so.",
    can_do="I can also do this for you: {titles}.",
    thanks="You're welcome. Is there anything else?",
    goodbye="Goodbye.",
    only="I only answer questions about {firm}.",
    refusal="I can't find an answer to that in {of} documents.",
    person="To speak to a person: {contact}",
    person_at="To speak to a person at {firm}:",
    no_person="I can't put you through to a person from here.",
    asked="What you have asked so far, to pass on:",
    unanswered="(not answered)",
    contact_questions=("What is your telephone number?", "What is your e-mail address?"),
    emergency=(
        "If someone may be in danger, call the emergency services now: 112, 999 or 911. "
        "I am a computer program and can't get help for you."
    ),
    self_harm=(
        "I am sorry that things are this hard. I am a computer program; please talk to a person "
        "now: someone you trust, a doctor, or a helpline near you (findahelpline.com lists them). "
        "If you are in danger, call the emergency services: 112, 999 or 911."
    ),
)
GERMAN = FixedTexts(
    of=_of_german,
    unnamed="dieser Organisation",
    hello="Guten Tag.",
    identity="Ich bin der automatische Assistent {of}, ein Computerprogramm und kein Mensch.",
    ability="Ich beantworte Fragen aus den Unterlagen und zeige, wo es steht.",
    can_do="Außerdem kann ich das für Sie erledigen: {titles}.",
    thanks="Gern geschehen. Kann ich sonst noch etwas für Sie tun?",
    goodbye="Auf Wiedersehen.",
    only="Ich beantworte nur Fragen zu {firm}.",
    refusal="Dazu finde ich in den Unterlagen {of} keine Antwort.",
    person="So erreichen Sie einen Menschen: {contact}",
    person_at="So erreichen Sie einen Menschen bei {firm}:",
    no_person="Von hier aus kann ich Sie nicht mit einem Menschen verbinden.",
    asked="Was Sie bisher gefragt haben, zum Weitergeben:",
    unanswered="(nicht beantwortet)",
    contact_questions=("Wie ist Ihre Telefonnummer?", "Wie ist Ihre E-Mail-Adresse?"),
    emergency=(
        "Wenn jemand in Gefahr sein könnte, rufen Sie sofort den Notruf: 112. "
        "Ich bin ein Computerprogramm und kann keine Hilfe holen."
    ),
    self_harm=(
        "Es tut mir leid, dass es Ihnen so schlecht geht. Ich bin ein Computerprogramm; bitte "
        "sprechen Sie jetzt mit einem Menschen: mit jemandem, dem Sie vertrauen, mit einer Ärztin "
        "oder einem Arzt, oder mit einem Krisentelefon in Ihrer Nähe (findahelpline.com nennt "
        "welche). Wenn Sie in Gefahr sind, rufen Sie den Notruf: 112."
    ),
)
FRENCH = FixedTexts(
    of=_of_french,
    unnamed="cette organisation",
    hello="Bonjour.",
    identity="Je suis l'assistant automatique {of}, un programme informatique et non une personne.",
    ability="Je réponds aux questions à partir des documents et je montre où c'est écrit.",
    can_do="Je peux aussi faire ceci pour vous : {titles}.",
    thanks="Je vous en prie. Puis-je faire autre chose pour vous ?",
    goodbye="Au revoir.",
    only="Je ne réponds qu'aux questions sur {firm}.",
    refusal="Je ne trouve pas de réponse à cela dans les documents {of}.",
    person="Pour parler à une personne : {contact}",
    person_at="Pour parler à une personne chez {firm} :",
    no_person="D'ici, je ne peux pas vous mettre en relation avec une personne.",
    asked="Vos questions jusqu'ici, à transmettre :",
    unanswered="(sans réponse)",
    contact_questions=(
        "Quel est votre numéro de téléphone ?",
        "Quelle est votre adresse e-mail ?",
    ),
    emergency=(
        "Si quelqu'un est peut-être en danger, appelez tout de suite les secours : 112. "
        "Je suis un programme informatique et je ne peux pas faire venir de l'aide."
    ),
    self_harm=(
        "Je suis désolé que ce soit si dur pour vous. Je suis un programme informatique ; parlez "
        "maintenant à une personne : quelqu'un en qui vous avez confiance, un médecin ou une ligne "
        "d'écoute près de chez vous (findahelpline.com en donne la liste). Si vous êtes en danger, "
        "appelez les secours : 112."
    ),
)
LANGUAGES = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}


def fixed_texts(language: str) -> FixedTexts:
    """Return those of a language, such as "de" or "de-AT"; of another one the English ones."""
    return LANGUAGES.get(language.partition("-")[0].casefold(), ENGLISH)
