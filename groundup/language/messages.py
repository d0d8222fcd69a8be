"""Message catalogs: what a customer reads of an assistant, one file a language
(`messages/en.toml`, `de`, `fr`, `es`) with the same sections and keys. English is the source.

    assistant   what an assistant says of itself and its firm (`packs/assistant_texts.py`)
    kept        what is kept of a conversation
    embed       the button of another site
    page        the labels of the assistant's page, which its scripts have as `/page/messages.js`
    actions     the sentences of actions that no action writes itself
    dates       how a date is written

    message("de-AT", "embed", "close")  ->  "Schließen"

The fixed texts of the report and the course stand elsewhere (`page_texts.py`).

To add a language: a file here and in `pages`, and `tests/language/test_messages.py` says what it lacks. The rules
that read messages have word lists of their own.
"""

import datetime
import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources

SOURCE = "en"
_FOLDER = resources.files("groundup.language").joinpath("messages")
# A language in an Accept-Language header with its weight (RFC 9110, section 12.5.4).
_WEIGHED = re.compile(r"\s*([A-Za-z]{1,8})(?:-[\w-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")
MAX_HEADER_CHARACTERS = 500


@cache
def languages() -> tuple[str, ...]:
    """Return the codes of the languages, the source first."""
    found = (each.name.removesuffix(".toml") for each in _FOLDER.iterdir())
    return tuple(sorted(found, key=lambda code: (code != SOURCE, code)))


@cache
def catalog(language: str) -> Mapping[str, Mapping[str, str]]:
    """Return the messages of a language, such as "de" or "de-AT", by section and key; of one that
    has none the source's.
    """
    code = language.partition("-")[0].casefold()
    if code not in languages():
        code = SOURCE
    return tomllib.loads(_FOLDER.joinpath(f"{code}.toml").read_text(encoding="utf-8"))


def message(language: str, section: str, key: str, **values: object) -> str:
    """Return a message with its values.

    >>> message("fr", "kept", "transcript", days=30)
    'Cette conversation est conservée 30 jours ; vous pouvez la supprimer ici.'
    """
    return catalog(language)[section][key].format(**values)


def system_language(environment: Mapping[str, str]) -> str:
    """Return the language of a system's locale, as POSIX orders its variables; the source where
    there is none or no messages for it.

    >>> system_language({"LANG": "de_AT.UTF-8"}), system_language({"LC_ALL": "C", "LANG": "de_DE"})
    ('de', 'en')
    """
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((environment[name] for name in names if environment.get(name)), "")
    return preferred_language(re.split(r"[.@]", chosen)[0].replace("_", "-"))


def written_date(day: datetime.date, language: str) -> str:
    """Return a date as a sentence has it.

    >>> written_date(datetime.date(2026, 12, 4), "de"), written_date(datetime.date(2027, 1, 1), "fr")
    ('Freitag, 4. Dezember 2026', 'vendredi 1er janvier 2027')
    """
    words = catalog(language)["dates"]
    return words["date"].format(
        weekday=words["weekdays"].split()[day.weekday()],
        day=words["first"] if day.day == 1 else day.day,
        month=words["months"].split()[day.month - 1],
        year=day.year,
    )


def preferred_language(accepted: str, known: Collection[str] = ()) -> str:
    """Return the language of a browser's Accept-Language header that it likes most of those `known`
    (all that have messages); the source where it likes none.

    >>> preferred_language("it, es-MX;q=0.8, en;q=0.7"), preferred_language("it")
    ('es', 'en')
    """
    found = []
    for part in accepted[:MAX_HEADER_CHARACTERS].split(","):
        matched = _WEIGHED.fullmatch(part)
        if matched and matched[1].casefold() in (known or languages()):
            found.append((float(matched[2] or 1), matched[1].casefold()))
    liked = [each for each in found if each[0] > 0]
    return max(liked, key=lambda each: each[0], default=(0.0, SOURCE))[1]
