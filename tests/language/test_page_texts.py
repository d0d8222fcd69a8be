"""Texts of pages: no text of the code is missing in a language, none of a language is of no text, and each has the same values."""

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import groundup
from groundup.course.notebook import notebooks
from groundup.data.preparation.data_card import CHANGE_LABELS
from groundup.language.messages import SOURCE, languages
from groundup.language.page_texts import page_language, page_texts, say, written
from groundup.report.pages.build_page import TERMS

ROOT = Path(groundup.__file__).parent
REPORT = ("chapter", "drawing", "report_data", "source_parts", "stored_sentences", "values")
FILES = [
    *sorted((ROOT / "report" / "sections").glob("*.py")),
    *(ROOT / "report" / f"{name}.py" for name in REPORT),
    *(ROOT / "report" / "pages" / f"{name}.py" for name in ("build_page", "certificate_page")),
    ROOT / "report" / "live" / "training_advice.py",
    ROOT / "cli" / "learn.py",
]
WATCH = ROOT / "report" / "live" / "web"
OTHERS = languages()[1:]
SAID_BY = {"say", "sentence", "StageCard", "Series", "fill"}
# Not said: attributes of elements, help of options, errors, and what is looked up or typed.
NOT_SAID_IN = {"class_", "help", "metavar", "content"}
ERRORS = {"ConfigError", "FormatError"}
TYPED = {
    *(
        "groundup build recipe.toml --out AGAIN",
        "groundup verify --rebuild .",
        "ollama create NAME -f Modelfile",
    ),
    *("pip install 'groundup[languages]'", "Once upon a time", "not made", "checked answers"),
    *("has neither build.json nor run.json", "does not exist", "is not a folder"),
    *("top: is not a JSON object", "is not TOML"),
    "Give the folder of a build (runs/NAME) or of one of its training stages.",
}
PHRASE = re.compile(r"[A-Za-z}]{2,}[,:;]? [A-Za-z({“\"]|\\b")
# The same word in two languages; numbers, names and what the terms are found by.
SAME = {
    *("Calibration", "Export", "Loss", "Reproduction", "Text", "Tokens", "build {name}", "bytes"),
    *(
        "document",
        "documents",
        "ham",
        "instructions",
        "licence",
        "message",
        "minutes",
        "nats",
        "no",
    ),
    *("notebook", "passages", "points", "question", "source", "test", "token", "tokens"),
    *(
        "validation",
        "verdict",
        "instruction",
        "prompt",
        "{change} points",
        "{count} documents",
        "{count} tokens",
    ),
    *("{name}: {value}", "{first}; {second}"),
    *("{name}, {count} points", ", n {}", ", {} tokens", "n", "kB", "MB", "GB"),
    *("F1", "GGUF", "LoRA", "Modelfile", "ROUGE-L", "SHA-256", "TF-IDF"),
}
PATTERNS = {pattern for pattern, _ in TERMS.values()}


def constants(tree: ast.AST) -> Iterator[tuple[ast.Constant, bool]]:
    """Each string that could be said, and whether it is given to what says it."""
    left_out, given = set[int](), set[int]()
    for each in ast.walk(tree):
        name = getattr(getattr(each, "func", None), "id", "")
        in_error = name in ERRORS
        if (isinstance(each, ast.keyword) and each.arg in NOT_SAID_IN) or in_error:
            left_out |= {id(inner) for inner in ast.walk(each)}
        if isinstance(each, ast.JoinedStr):
            left_out |= {id(part) for part in each.values}
        if isinstance(each, ast.Call) and name in SAID_BY:
            given |= {id(argument) for argument in each.args}
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            left_out.add(id(each.value))  # a docstring
    for each in ast.walk(tree):
        if (
            isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and id(each) not in left_out
        ):
            yield each, id(each) in given


def of_watch() -> dict[str, str]:
    """The texts of the page of `groundup watch` with their files: what is marked, what is given to `say`, and sentences."""
    found = {}
    for file in sorted(WATCH.glob("*.*")):
        said = re.findall(r' data-say(?:-label aria-label="|>)([^<"]+)', text := file.read_text())
        if file.suffix == ".js":
            said += re.findall(r'\bsay\("([^"]+)"', text)
            said += re.findall(r'"((?:[A-Z]|step \{)[^"]*[a-z] [^"]+)"', text)
        found |= dict.fromkeys(said, file.name)
    return found


def phrases() -> dict[str, str]:
    """The texts of the code with the file that each stands in: what is given to `say` and its like, and all of several words."""
    found = {each.title: "notebooks" for each in notebooks()} | of_watch()
    found |= dict.fromkeys(CHANGE_LABELS.values(), "data_card")
    for file in FILES:
        for each, given in constants(ast.parse(file.read_text(encoding="utf-8"))):
            words = str(each.value)
            if words not in TYPED and (
                PHRASE.search(words) or (given and re.search("[a-z]", words))
            ):
                found.setdefault(words, file.name)
    return found


STAGES = {"base", "chat", "data", "evaluate", "export", "index", "pretrain", "tokenizer", "marked"}


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_of_the_code_is_missing(language: str) -> None:
    texts, wanted = page_texts(language), phrases()
    missing = {words: file for words, file in wanted.items() if words not in texts}
    assert not {words: file for words, file in missing.items() if words not in STAGES}
    assert len(wanted) > 500


@pytest.mark.parametrize("language", OTHERS)
def test_each_text_has_the_values_of_the_english_and_is_another(language: str) -> None:
    assert page_texts(language).keys() == page_texts(OTHERS[0]).keys()
    for english, own in page_texts(language).items():
        if english in PATTERNS:
            re.compile(own)
            continue
        names = {"{short}" if name == "{whole}" else name for name in re.findall(r"{\w*}", own)}
        needed = {
            "{short}" if each == "{whole}" else each for each in re.findall(r"{\w*}", english)
        }
        assert names == needed, english
        assert own.strip(), english
        spaces = [(text[:1] == " ", text[-1:] == " ") for text in (english, own)]
        assert spaces[0] == spaces[1], english
        assert own != english or english in SAME, f"{english} is not translated"


# Composed in the code, or stored by a stage with a value.
COMPOSED = {
    *("Skip to the chapters", "Skip to the exercises", "base with documents"),
    *("chat with documents", "always the commonest label", "multiple choice"),
}


def test_no_text_is_translated_that_is_nowhere_said() -> None:
    folders = ("report", "cli", "recipes", "evaluate", "finetune", "data")
    strings = {each.title for each in notebooks()} | set(CHANGE_LABELS.values()) | set(of_watch())
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        strings |= {str(each.value) for each in ast.walk(tree) if isinstance(each, ast.Constant)}
    assert {english for english in page_texts("de") if english not in strings} == COMPOSED


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("en", ["1,234.5", "1,234,567"]),
        ("de-AT", ["1.234,5", "1.234.567"]),
        ("fr", ["1\u202f234,5", "1\u202f234\u202f567"]),
        ("es", ["1234,5", "1\u202f234\u202f567"]),
        ("it", ["1,234.5", "1,234,567"]),
    ],
)
def test_numbers_are_written_as_in_the_language(language: str, numbers: list[str]) -> None:
    with page_language(language):
        assert [written(each) for each in ("1,234.5", "1,234,567")] == numbers


def test_a_language_without_texts_is_the_source() -> None:
    with page_language("it"):
        assert say("Time and memory") == "Time and memory"
    with page_language("de"):
        assert say("Time and memory") == "Zeit und Speicher"
    assert say("Time and memory") == "Time and memory" and SOURCE == "en"
    assert {f"{code}.toml" for code in OTHERS} == {
        each.name for each in resources.files("groundup.language").joinpath("pages").iterdir()
    }
