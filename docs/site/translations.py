"""The path through the concept pages in other languages: docs/concepts/LANGUAGE/PAGE.md has what stands above "In code" in PAGE.md.

python docs/site/translations.py            names the pages whose English has changed since
python docs/site/translations.py --write    after they were translated again: keeps the hashes of the English in sources.toml

The site links a page and its translations to each other (`with_languages`); touch/languages.js opens the one that the browser prefers.
"""

import hashlib
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

CONCEPTS = Path(__file__).parents[1] / "concepts"
SOURCES = Path(__file__).with_name("sources.toml")
SOURCE = "en"
CODE = "\n## In code\n"


class Words(NamedTuple):
    """What the pages of a language say around their texts."""

    name: str
    title: str
    print_link: str
    code_link: str
    place: str
    """Of a page in the booklet, with its minutes."""
    minutes: str
    together: str
    whole_model: str


LANGUAGES = {
    "en": Words(
        "English",
        "How a language model works",
        'To print: <a href="booklet.html">all eleven as one booklet</a>.',
        "",
        "{number} of {count} · {minutes} minutes",
        "{minutes} minutes",
        "Together {minutes} minutes.",
        "The whole model, in a page of its own",
    ),
    "de": Words(
        "Deutsch",
        "Wie ein Sprachmodell funktioniert",
        'Zum Drucken: <a href="booklet.html">alle elf als ein Heft</a>.',
        "Der Code, der diese Zahlen liefert, und wie andere es machen: [auf Englisch](../{name}.md#in-code).",
        "{number} von {count} · {minutes} Minuten",
        "{minutes} Minuten",
        "Zusammen {minutes} Minuten.",
        "Das ganze Modell, auf einer eigenen Seite (auf Englisch)",
    ),
    "fr": Words(
        "Français",
        "Comment fonctionne un modèle de langage",
        'À imprimer : <a href="booklet.html">les onze en un livret</a>.',
        "Le code qui donne ces nombres, et comment font les autres : [en anglais](../{name}.md#in-code).",
        "{number} sur {count} · {minutes} minutes",
        "{minutes} minutes",
        "En tout {minutes} minutes.",
        "Le modèle entier, sur sa propre page (en anglais)",
    ),
    "es": Words(
        "Español",
        "Cómo funciona un modelo de lenguaje",
        'Para imprimir: <a href="booklet.html">las once en un cuadernillo</a>.',
        "El código que da estos números, y cómo lo hacen otros: [en inglés](../{name}.md#in-code).",
        "{number} de {count} · {minutes} minutos",
        "{minutes} minutos",
        "En total {minutes} minutos.",
        "El modelo entero, en una página propia (en inglés)",
    ),
}


def page(name: str, language: str) -> Path:
    """The file of a page of the path."""
    if language == SOURCE:
        return CONCEPTS / f"{name}.md"
    return CONCEPTS / language / f"{name}.md"


def names() -> list[str]:
    """The pages that are translated."""
    return sorted(each.stem for each in (CONCEPTS / "de").glob("*.md"))


def with_languages(text: str, place: Path) -> str:
    """A page of the path, by its place in docs/, with links to it in the other languages, and to the code."""
    own = place.parent.name
    if own == "concepts":
        own = SOURCE
    if place.parts[0] != "concepts" or own not in LANGUAGES or place.stem not in names():
        return text
    up = "../" * (len(place.parts) - 2)
    links = " · ".join(
        f'<a href="{up}{page(place.stem, code).relative_to(CONCEPTS).with_suffix(".html").as_posix()}"'
        f' hreflang="{code}" lang="{code}">{words.name}</a>'
        for code, words in LANGUAGES.items()
        if code != own
    )
    heading, _, rest = text.partition("\n")
    code_link = ""
    if own != SOURCE and place.stem != "path":
        code_link = f"\n{LANGUAGES[own].code_link.format(name=place.stem)}\n"
    return f'{heading}\n\n<p class="languages">{links}</p>\n{rest}{code_link}'


def mark_language(folder: Path) -> None:
    """Say in the built pages of a language in which their text is; the navigation around it is in English."""
    for code in LANGUAGES:
        for file in (folder / "concepts" / code).glob("*.html"):
            text = file.read_text()
            file.write_text(text.replace("<article ", f'<article lang="{code}" ', 1))


def source_hashes() -> dict[str, str]:
    """Of each page the hash of the English that is translated."""
    return {
        name: hashlib.sha256(
            page(name, SOURCE).read_text().partition(CODE)[0].encode()
        ).hexdigest()[:16]
        for name in names()
    }


def main() -> int:
    """Name what has changed, or keep the hashes; return the exit code."""
    now = source_hashes()
    if "--write" in sys.argv:
        SOURCES.write_text("".join(f'{name} = "{found}"\n' for name, found in now.items()))
        return 0
    kept = tomllib.loads(SOURCES.read_text())
    changed = [name for name in now if now[name] != kept.get(name)]
    for name in changed:
        print(f"docs/concepts/{name}.md has changed since it was translated")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
