"""The path through the concept pages in other languages: every page, of today's English, with its parts and its numbers."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from groundup.language.messages import languages
from tests.live_shapes import needs_node
from tests.test_concepts import CONCEPTS, TAUGHT, booklet, numbers, touch
from tests.test_docs import script

OTHERS = languages()[1:]
NAMES = sorted(page.stem for page in [*TAUGHT, CONCEPTS / "path.md"])
EVERY = [pytest.param(code, name, id=f"{code}-{name}") for code in OTHERS for name in NAMES]


@cache
def of_site(name: str) -> ModuleType:
    sys.path.insert(0, str(CONCEPTS.parent / "site"))
    try:
        return script(name)
    finally:
        sys.path.pop(0)


def english(name: str) -> str:
    return (CONCEPTS / f"{name}.md").read_text().partition("\n## In code\n")[0]


def translated(code: str, name: str) -> str:
    return (CONCEPTS / code / f"{name}.md").read_text()


def in_english_form(text: str, code: str) -> str:
    """With numbers as English writes them."""
    text = re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)
    if code == "de":
        text = re.sub(r"(?<=\d)\.(?=\d{3})", "", text)
    return re.sub(r"(?<=\d),(?=\d)", ".", text)


def kind(block: str) -> tuple[Any, ...]:
    """What a part of a page is, with what its translation must have, too."""
    live = touch().LIVE.findall(block)
    if live:
        return "live", [part for part, _ in live]
    if block.startswith("|"):
        return "table", [line.count("|") for line in block.splitlines()]
    if block.startswith("- "):
        return "list", len(block.splitlines())
    still = touch().STILL.findall(block.replace("../../", "../"))
    if still:
        return "picture", still[0][2]
    return "text", re.match("#* ?", block), bool(re.match(r"\*\*", block))


def parts(text: str) -> list[tuple[Any, ...]]:
    kinds = [kind(block) for block in text.strip().split("\n\n")]
    return [(each[0], each[1].group() if each[0] == "text" else each[1]) for each in kinds]


def test_every_language_has_every_page_of_the_path_and_no_other() -> None:
    module = of_site("translations")
    assert set(module.LANGUAGES) == set(languages())
    for code in OTHERS:
        assert sorted(each.stem for each in (CONCEPTS / code).glob("*.md")) == NAMES


def test_no_english_has_changed_since_it_was_translated(capsys: pytest.CaptureFixture[str]) -> None:
    done = of_site("translations").main()
    assert done == 0, capsys.readouterr().out + "then: python docs/site/translations.py --write"


@pytest.mark.parametrize(("code", "name"), EVERY)
def test_a_translated_page_has_the_parts_of_the_english(code: str, name: str) -> None:
    own, source = translated(code, name), english(name)
    if name == "path":  # Which books to read beside it is said in English alone.
        source = re.sub(
            r"\*\*The book\*\*.*?\n\n\*\*In a whole model",
            "**In a whole model",
            source,
            flags=re.DOTALL,
        )
    assert parts(own) == parts(source)
    sentences = [len(re.findall(r"[.?!](?= |$)", text.split("\n\n")[1])) for text in (own, source)]
    assert sentences[0] == sentences[1]


@pytest.mark.parametrize(("code", "name"), EVERY)
def test_a_translated_page_has_the_numbers_of_the_english(code: str, name: str) -> None:
    own, source = in_english_form(translated(code, name), code), english(name)
    for found in (r"\*\*([−\d.,\u202f]+)\*\*", r"√\d+|≈|⅕|½"):
        assert [numbers(each) or each for each in re.findall(found, own)] == [
            numbers(each) or each for each in re.findall(found, source)
        ]
    if name != "path":
        assert numbers(own) == numbers(source)


@pytest.mark.parametrize("code", OTHERS)
def test_the_site_links_a_page_with_its_translations_and_its_code(code: str) -> None:
    module = of_site("translations")
    shown = module.with_languages(translated(code, "labels"), Path(f"concepts/{code}/labels.md"))
    links = dict(re.findall(r'href="([^"]+)" hreflang="(\w+)"', shown))
    assert set(links.values()) == set(languages()) - {code}
    for link in links:
        place = (CONCEPTS / code / link).resolve().with_suffix(".md")
        assert place.exists() and place.parent != CONCEPTS / code
    assert "](../labels.md#in-code)" in shown
    source = module.with_languages(english("labels"), Path("concepts/labels.md"))
    assert f'href="{code}/labels.html"' in source and "#in-code" not in source
    assert module.with_languages("# Words", Path("concepts/heads.md")) == "# Words"


@pytest.mark.parametrize("code", OTHERS)
def test_the_booklet_of_a_language_has_its_pages_and_says_the_language(code: str) -> None:
    text = booklet().booklet(code)
    assert f'<html lang="{code}">' in text
    titles = re.findall(r"<h1>(.+?)</h1>", text)
    assert titles[1:] == [
        translated(code, stop.name).split("\n")[0].removeprefix("# ") for stop in booklet().stops()
    ]
    assert [stop.minutes for stop in booklet().stops(code)] == [
        stop.minutes for stop in booklet().stops()
    ]
    assert text.count("<svg") == len(titles) - 1


# What the examples are about, in English in every language; "query" and "key" are names.
SENTENCES = """the cat sat on mat dog bus car to be or not that is question whether tis nobler
once upon a time you won free prize user: and two two? assistant: four <end> ham spam morning
query key value"""
EXAMPLES = {*SENTENCES.split(), *"abcdefgh"}


@needs_node
@pytest.mark.parametrize("code", OTHERS)
def test_every_word_of_a_picture_is_in_the_language_and_no_other(code: str) -> None:
    program = """
    const missed = new Set(), used = new Set(), own = WORDS[CODE];
    WORDS[CODE] = new Proxy(own, { get: (words, key) => { (key in words ? used : missed).add(key); return words[key]; } });
    language = CODE;
    const states = (controls) => controls.reduce((all, { name, min = 0, max, step = 1, options }) => {
      const places = options ? [...options.keys()] : range(Math.round((max - min) / step) + 1).map((place) => min + place * step);
      return all.flatMap((state) => (all.length * places.length > 2000 ? [min, max] : places).map((value) => ({ ...state, [name]: value })));
    }, [{}]);
    for (const picture of Object.values(PICTURES)) {
      for (const control of picture.controls) [control.label, ...(control.options ?? control.names ?? [])].forEach(spoken);
      for (const state of states(picture.controls)) svg(picture, state), said(picture, state);
    }
    spoken("Next step");
    console.log(JSON.stringify([[...missed], Object.keys(own).filter((key) => !used.has(key)), spoken("“sat” 1,968 0.5 2,100,000")]));"""
    missed, unused, sample = json.loads(touch().in_node(program.replace("CODE", json.dumps(code))))
    lacking = {key for key in missed if re.search("[a-z]", re.sub(r"\{\d+\}", "", key))}
    assert lacking <= EXAMPLES
    assert unused == []
    assert (
        sample
        == {
            "de": "„sat“ 1.968 0,5 2.100.000",
            "fr": "«\u00a0sat\u00a0» 1\u202f968 0,5 2\u202f100\u202f000",
            "es": "«sat» 1968 0,5 2\u202f100\u202f000",
        }[code]
    )


@pytest.mark.browser
@pytest.mark.parametrize("code", OTHERS)
def test_no_words_of_a_picture_stand_outside_of_it(browser: Any, tmp_path: Path, code: str) -> None:
    page = tmp_path / "page.html"
    names = [path.stem for path in touch().STILLS.glob("*.svg")]
    figures = "".join(f"<figure class=touch data-picture={name}><img></figure>" for name in names)
    page.write_text(
        f"<style>{touch().style()}</style><body class=md-typeset data-md-color-scheme=default>"
        f"<article lang={code}>{figures}</article><script>{touch().script()}</script>"
    )
    view = browser.new_page()
    view.goto(page.as_uri())
    outside = """() => [...document.querySelectorAll("svg text")].filter((text) => {
        const { x, width } = text.getBBox();
        return x < 0 || x + width > 360;
    }).map((text) => text.textContent)"""
    assert view.locator("svg").count() == len(names)
    found = set()
    for _ in range(9):
        found |= set(view.evaluate(outside))
        for slider in view.locator("input[type=range]").all():
            slider.press("ArrowRight")
    assert found == set()


@pytest.mark.browser
def test_a_page_opens_in_the_browsers_language_until_another_is_chosen(
    browser: Any, tmp_path: Path
) -> None:
    module, place = of_site("translations"), Path("concepts/labels.md")
    files = (place, Path("concepts/fr/labels.md"))
    for file in files:
        links = re.findall(r'<p class="languages">.*</p>', module.with_languages("# a\n", file))
        target = (tmp_path / file).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        script_text = touch().script()
        target.write_text(f"<article>{links[0]}</article><script>{script_text}</script>")
    module.mark_language(tmp_path)
    view = browser.new_context(locale="fr-CA").new_page()
    address = (tmp_path / place).with_suffix(".html").as_uri()
    view.goto(address)
    view.wait_for_url("**/fr/labels.html")
    view.click("text=English")
    view.wait_for_url(address)
    view.reload()
    assert view.url == address
    other = browser.new_context(locale="it").new_page()
    other.goto(address)
    assert other.url == address
