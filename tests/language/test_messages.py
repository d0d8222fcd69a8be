"""Message catalogs: no language lacks a message, and the page asks for no other."""

import json
import re
from collections.abc import Mapping
from html import escape
from importlib import resources

import pytest

from groundup.actions.replies import agrees, reads_cancel, reads_no, reads_undo, reads_yes
from groundup.language.messages import (
    SOURCE,
    catalog,
    languages,
    message,
    preferred_language,
    system_language,
)
from groundup.packs.assistant_texts import MAX_TEXT_CHARACTERS
from groundup.retrieve.scope import urgent, wants_person
from groundup.serve.app.page_files import served_files

OTHERS = languages()[1:]
# The same words in two languages, and what is only a place for others.
SAME = {
    *("no", "conversation", "file_name", "sources", "passage", "date", "first"),
}


def flat(language: str) -> dict[str, str]:
    return {
        f"{section}.{key}": text
        for section, texts in catalog(language).items()
        for key, text in texts.items()
    }


def names(text: str) -> set[str]:
    """The names in braces; a firm's name and its genitive stand for each other."""
    return {name.replace("{of}", "{firm}") for name in re.findall(r"{\w+}", text)}


@pytest.mark.parametrize("language", OTHERS)
def test_no_message_is_missing_and_each_names_the_same(language: str) -> None:
    source, own = flat(SOURCE), flat(language)
    assert own.keys() == source.keys()
    for key, text in own.items():
        assert text.strip() and len(text) <= MAX_TEXT_CHARACTERS, key
        needed = names(source[key]) - names(text)
        assert not needed or key.startswith("assistant."), (key, needed)
        assert names(text) <= names(source[key]) | {"{reason}"}, key
        is_same = text == source[key] and key.rpartition(".")[2] not in SAME
        assert not is_same, f"{key} is not translated"


def page_texts() -> Mapping[str, str]:
    folder = resources.files("groundup.serve").joinpath("web")
    files = (each for each in folder.iterdir() if each.name.endswith((".js", ".html")))
    return {each.name: each.read_text(encoding="utf-8") for each in files}


def test_the_page_says_every_label_of_the_catalog_and_no_other() -> None:
    whole = "\n".join(page_texts().values())
    said = set(re.findall(r'data-say(?:-\w+)?="(\w+)"', whole))
    said |= set(re.findall(r'\b(?:counted|answer)\("(\w+)"', whole))
    for call in re.findall(r"(?<!#)\bsay\(([^)]*)", whole):
        said |= set(re.findall(r'"(\w+)"', call.partition("{")[0]))
    counted = {f"{each}_one" for each in ("outdated", "omitted")}
    assert (said - {"up"}) | counted == set(catalog(SOURCE)["page"])


def test_other_sites_get_the_messages_with_the_script_and_the_frame() -> None:
    files = served_files()
    frame, script = files["embed.html"][1].decode(), files["embed.js"][1].decode()
    for code in languages():
        needs = message(code, "embed", "needs_script")
        assert f'<p class="problem" lang="{code}">{escape(needs)}</p>' in frame
        assert json.dumps(message(code, "embed", "open")) in script


@pytest.mark.parametrize("language", languages())
def test_the_button_for_a_person_says_what_is_read_as_that_wish(language: str) -> None:
    assert wants_person(message(language, "page", "person_wish"))


@pytest.mark.parametrize("language", languages())
def test_what_the_buttons_of_an_action_send_is_read_as_that(language: str) -> None:
    reads = {"yes": reads_yes, "no": reads_no, "leave": reads_cancel, "undo": reads_undo}
    for key, read in reads.items():
        said = message(language, "page", key)
        # A no behind an action that was done takes it back.
        wrong = [name for name, other in reads.items() if name != key and other(said)]
        assert read(said) and wrong in ([], ["undo"]) and (not wrong or key == "no"), said


@pytest.mark.parametrize(
    ("text", "is_yes"),
    [
        ("Ja, bitte", True),
        ("Ja, gern", True),
        ("Ja, aber um acht", False),
        ("Oui, d'accord", True),
        ("Oui, mais samedi", False),
        ("Sí, por favor", True),
        ("Sí, pero el sábado", False),
    ],
)
def test_a_yes_with_a_condition_is_none(text: str, is_yes: bool) -> None:
    assert (reads_yes(text) or agrees(text)) == is_yes


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mi marido no puede respirar", "emergency"),
        ("quiero morir", "self_harm"),
        ("¿Puedo morirme de risa con el espectáculo?", None),
        ("¿Cuánto cuesta una corona?", None),
    ],
)
def test_danger_is_read_in_spanish(text: str, kind: str | None) -> None:
    assert urgent(text) == kind


def test_a_wish_about_something_is_no_wish_for_a_person() -> None:
    assert wants_person("¿Puedo hablar con alguien, por favor?")
    assert not wants_person("¿Puedo hablar con alguien sobre un préstamo?")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en;q=0.5, fr;q=0.7", "fr"),
        ("ru, *;q=0.1", "en"),
        ("es;q=0, en", "en"),
        ("", "en"),
        ("de;q=", "en"),
        ("," * 10_000 + "de", "en"),
    ],
)
def test_the_browsers_language(accepted: str, language: str) -> None:
    assert preferred_language(accepted) == language


def test_of_an_unknown_language_the_source() -> None:
    assert catalog("it") is not None and catalog("it")["embed"] == catalog(SOURCE)["embed"]
    assert message("DE-at", "embed", "close") == "Schließen"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "de_CH.UTF-8"}, "de"),
        ({"LANG": "fr_FR@euro"}, "fr"),
        ({"LC_ALL": "", "LC_MESSAGES": "es_MX", "LANG": "de_DE"}, "es"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_systems_language(environment: dict[str, str], language: str) -> None:
    assert system_language(environment) == language
