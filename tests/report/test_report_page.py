"""The page: every chapter from the files, one line for what is missing, nothing from elsewhere, nothing but text from texts."""

import base64
import hashlib
import html
import itertools
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from left_in_english import left_in_english
from processor_time import at_most_cpu_s

from groundup.cli.main import run as groundup
from groundup.language.page_texts import page_language
from groundup.report.chapter import facts
from groundup.report.pages.build_page import TERMS, pattern_of, render_page, write_page
from groundup.report.report_data import read_report_data
from groundup.report.stored_sentences import as_stored

Rewrite = Callable[[str, Callable[[Any], None]], Path]
VOID = {"meta", "br", "hr", "img", "input", "link", "base", "col"}
SECTIONS = [
    "pretrain",
    "chat",
    "emergence",
    "data",
    "readers",
    "tokens",
    "attention",
    "spam",
    "export",
    "times",
    "lineage",
    "repeat",
]
HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\x00\x1b[2J\u202edrow\ud800 &lt;b&gt; ' \" ]]> ${x}"


class Checked(HTMLParser):
    """Parses a page, insists that every element is closed in order, and keeps tags, attributes and the text of each section."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.section = "head"
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs), f"{tag} has an attribute twice"
        self.tags.append((tag, values))
        if tag == "details" and values.get("class") == "chapter":
            self.section = "summary"
        if tag in ("section", "header"):
            self.section = values.get("id", "")
            self.text[self.section] = self.text.pop("summary", "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text[self.section] = self.text.get(self.section, "") + data.replace("\u00a0", " ")


def page_of(folder: Path) -> Checked:
    return Checked(render_page(read_report_data(folder)))


@pytest.fixture(scope="module")
def finished_page(finished_build: Path) -> Checked:
    return page_of(finished_build)


def test_page_has_every_chapter_in_order(build_folder: Path) -> None:
    page = page_of(build_folder)
    assert [values["id"] for tag, values in page.tags if tag == "section"] == SECTIONS
    assert not any("Not in this build" in text for text in page.text.values())


def test_a_build_of_now_has_a_chapter_for_each_of_its_classifiers_and_chat_models_and_none_of_what_it_has_not(
    build_folder: Path, rewrite: Rewrite
) -> None:
    kinds = {
        "base": "base",
        "mood": "classifier",
        "spam": "classifier",
        "chat": "chat",
        "writer": "chat",
    }
    for copy, of in (("mood", "spam"), ("writer", "chat")):
        shutil.copytree(build_folder / of, build_folder / copy)
    rewrite(
        "evaluate/results.json",
        lambda results: results.update(chats={"writer": {"loss": {"before": 9.5}}}),
    )
    page = page_of(rewrite("build.json", lambda build: build.update(kinds=kinds)))
    found = [values["id"] for tag, values in page.tags if tag == "section"]
    assert found == ["chat", "writer", "mood", "spam", "times", "lineage", "repeat"]
    assert "Stage 2 · mood" in page.text["mood"] and "Mood classifier" in page.text["top"]
    assert "Chat model writer" in page.text["top"] and "9.5" in page.text["writer"]
    assert "to classify mood, to classify spam and to follow instructions" in page.text["top"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("top", "learned to write from 4.86 million characters of text, starting from random"),
        ("top", "All 4 exported files agree with their originals in llama.cpp"),
        (
            "emergence",
            "Own model: above chance in none of them; not distinguishable from chance in 2 of 2.",
        ),
        (
            "emergence",
            "Pulled model: above chance in Grammatical minimal pairs; not distinguishable from chance in 1 of 2.",
        ),
        ("emergence", "n = 60, chance 50"),
        ("emergence", "0 of these 120 items have eight words in a row"),
        ("emergence", "They is here."),
        ("emergence", "own model while it was trained"),
        (
            "emergence",
            "first to the last snapshot, paired: Held-out text: -2.00 (-2.10 to -1.90) bits per byte, better.",
        ),
        ("chat", "41.7 % to 45.0 %: +3.3 (-5.1 to +11.7), no clear difference"),
        ("times", "2 min 29 s"),
        ("readers", "Which model was trained on these texts"),
        ("data", "exact repeat"),
        ("data", "copy.txt: The same again."),
        ("data", "label: Rating"),
        ("data", "Half of the documents are shorter than about 86 characters."),
        ("data", "Languages of 40 random documents"),
        ("data", "German"),
        ("data", "line ends normalised; spaces at line ends removed"),
        ("data", r"A line·\r"),
        ("data", "Random documents"),
        ("tokens", "·compare"),
        ("pretrain", "uniform guess among 4,096"),
        ("pretrain", "step 160"),
        ("pretrain", "At the numbers the model wrote the samples below"),
        ("attention", "Block 1, head 3"),
        ("spam", "-0.2 (-1.3 to +0.9)"),
        ("spam", "96.6 % to 99.1 %"),
        ("chat", "was instruction-tuned by its authors"),
        ("chat", "12 of 20"),
        ("chat", "✗ wrong"),
        ("chat", "Of 470 turns of the assistant 468 are trained; 1 are cut at the limit of tokens"),
        ("chat", "2+2?<b>4</b>"),
        ("data", "held out for test380,989"),
        ("pretrain", "bits per byte on test (n = 16,384 tokens)2.12"),
        ("pretrain", "times this test split was opened on this machine, this one included3"),
        ("pretrain", "bits per byte on validation2.09"),
        (
            "pretrain",
            "The finished model on test: 2.10 (95 % interval 2.07 to 2.13, n = 300 windows",
        ),
        ("spam", "No clear difference from the best baseline"),
        ("spam", "The 200 messages that the base model was asked about"),
        ("export", "best next tokens"),
        ("export", "All 4 files passed every check."),
        ("lineage", "9f86d081884c"),
        ("repeat", "groundup build quickstart --budget 10m"),
    ],
)
def test_chapters_say_what_the_files_say(finished_page: Checked, section: str, said: str) -> None:
    assert said in finished_page.text[section]


def test_figures_of_a_build_without_a_test_split_are_of_validation(
    build_folder: Path, rewrite: Rewrite
) -> None:
    rewrite("data/data.json", lambda card: card["splits"].pop("test"))
    rewrite("pretrain/results.json", lambda results: results.pop("test"))
    text = page_of(
        rewrite("evaluate/results.json", lambda results: results["text"].pop("split"))
    ).text
    assert "held out for validation" in text["data"] and "for test" not in text["data"]
    assert "on test" not in text["pretrain"] and "bits per byte on validation" in text["pretrain"]
    assert "The finished model on validation: 2.10" in text["pretrain"]


def paired(value: float, low: float | None, high: float | None, verdict: str) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "verdict": verdict}


TAUGHT = {
    "forgetting": {
        "texts": {
            "before": 1.463,
            "after": 0.96,
            "difference": paired(-0.503, -0.6, -0.4, "better"),
        },
        "general": {"before": 1.124, "after": 1.2, "difference": paired(0.076, 0.05, 0.1, "worse")},
    },
    "start": {"before": {"bits_per_byte": 1.786}},
    "bits_per_byte": 1.196,
    "tokens": 3072,
}


def taught(folder: Path) -> Path:
    """A build with the optional stage; its folder is that of the pretrained model but for what was gained and forgotten."""
    shutil.copytree(folder / "pretrain", folder / "teach")
    run = (
        json.loads((folder / "teach/run.json").read_text())
        if (folder / "teach/run.json").exists()
        else {}
    )
    start = {"kind": "pretrain", "inputs": {"start": {"model": "/models/tiny <b>"}}}
    (folder / "teach/run.json").write_text(json.dumps({**run, **start}))
    (folder / "teach/results.json").write_text(json.dumps(TAUGHT))
    build = json.loads((folder / "build.json").read_text())
    build["stages"]["teach"] = {"status": "done", "line": "read the texts", "elapsed_s": 90.0}
    kinds = list(build["kinds"].items())
    build["kinds"] = dict([*kinds[:5], ("teach", "teach"), *kinds[5:]])  # before chat
    (folder / "build.json").write_text(json.dumps(build))
    return folder


def test_a_model_that_read_the_texts_has_a_chapter_of_what_it_gained_and_forgot(
    build_folder: Path,
) -> None:
    assert (
        "teach" not in page_of(build_folder).text
        and "Taught model" not in page_of(build_folder).text["top"]
    )
    text = page_of(taught(build_folder)).text
    assert "1.463" in text["teach"] and "-0.503 (-0.600 to -0.400), better" in text["teach"]
    assert "predicts unseen text of the kind of these texts better than before" in text["teach"]
    assert "general text is predicted worse" in text["teach"] and "1.196" in text["teach"]
    assert (
        "Taught model" in text["top"]
        and "trained further on these texts and then fine-tuned" in text["top"]
    )
    assert (
        "trained further here" in text["readers"]
        and "first trained further on these texts" in text["chat"]
    )
    assert left_in_english(build_folder) == []


def test_a_continued_run_alone_has_that_chapter(build_folder: Path) -> None:
    text = page_of(taught(build_folder) / "teach").text
    assert set(text) >= {"teach", "lineage", "repeat"}
    assert "pretrain" not in text and "tiny <b> went on with your texts" in text["teach"]


def test_what_pretraining_is_worth_is_a_table_and_a_sentence(
    build_folder: Path, rewrite: Rewrite
) -> None:
    assert "What pretraining is worth" not in page_of(build_folder).text["spam"], "an older build"
    names = ("the public model", "pretrained here", "random weights")
    models = [
        {
            "name": name,
            "accuracy": {"value": 0.98 - place / 100, "low": 0.9, "high": 0.99, "n": 500},
            "f1": 0.9,
        }
        for place, name in enumerate(names)
    ]
    found = {
        "models": models,
        "own_over_random": paired(0.01, 0.002, 0.02, "better"),
        "public_over_own": paired(0.01, -0.01, 0.03, "unclear"),
        "parameters": 1_310_000,
    }
    text = page_of(
        rewrite("spam/results.json", lambda results: results.update(pretraining=found))
    ).text["spam"]
    assert "Against random weights, pretraining here gained +1.0 (+0.2 to +2.0) points" in text
    assert "the public model shows no clear difference from it (+1.0 (-1.0 to +3.0) points)" in text
    assert "random weights96.0 %" in text and "1.31 million parameters" in text
    skipped = {"pretraining": {"skipped": "it would have taken 40 s"}}
    text = page_of(rewrite("spam/results.json", lambda results: results.update(skipped))).text[
        "spam"
    ]
    assert "What pretraining is worth was not measured: it would have taken 40 s." in text


def test_what_pretraining_is_worth_for_chat_is_said_in_bits_per_byte(
    build_folder: Path, rewrite: Rewrite
) -> None:
    names = ("the public model", "pretrained here", "random weights")
    models = [
        {"name": name, "loss": {"value": 1.0 + place, "low": 0.9, "high": 1.1, "n": 58}}
        for place, name in enumerate(names)
    ]
    found = {
        "models": models,
        "own_over_random": paired(-1.0, -1.2, -0.8, "better"),
        "public_over_own": paired(-1.0, -1.1, -0.9, "better"),
        "parameters": 1_310_000,
    }
    said = page_of(
        rewrite("chat/results.json", lambda results: results.update(pretraining=found))
    ).text["chat"]
    assert "pretraining here gained +1.000 (+0.800 to +1.200) bits per byte" in said
    assert "random weights3.000" in said and "n 58" in said


def test_a_run_on_preferences_has_its_page(tmp_path: Path) -> None:
    pairs = [
        {"id": str(n), "prompt": f"Which {n}? <i>", "chosen": "this <b>", "rejected": "that", "margin": n - 1.5, "before": 0.1, "after": 0.4}
        for n in range(8)
    ]  # fmt: skip
    results = {
        "accuracy": {"value": 0.75, "low": 0.6, "high": 0.86, "n": 40},
        "margins": {"before": 0.0, "after": 0.8, "difference": paired(0.8, 0.5, 1.1, "better")},
        "prefers": {"before": 0.5, "after": 0.7, "difference": paired(0.2, 0.05, 0.34, "better")},
        "pairs": pairs,
        "chosen_loss": {"before": 2.5, "after": 1.25},
        "best_step": 0,
        "answers": [
            {"instruction": f"Say {n}", "before": "No.", "after": f"- {n}", "reference": "- yes"}
            for n in range(6)
        ],
        "same_answer": {"text": "- <b>", "after": 5, "reference": 1},
        "examples": {"train": 360},
        "steps": 90,
        "beta": 0.1,
        "forgetting": {
            "general": {
                "before": 1.1,
                "after": 1.1,
                "difference": paired(0.0, -0.01, 0.01, "unclear"),
            }
        },
    }
    (tmp_path / "run.json").write_text(json.dumps({"kind": "preference", "inputs": {"base": "9f"}}))
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = page_of(tmp_path)
    text = page.text
    assert set(text) >= {"preference", "lineage", "repeat"} and "chat" not in text
    assert "2.50 to 1.25" in text["preference"]
    assert "Nothing was learned" in text["preference"] and "2 more" in text["preference"]
    said = text["preference"]
    assert (
        "+0.80 (+0.50 to +1.10), better" in said
        and "75.0 %" in said
        and "50.0 % to 70.0 %: +20.0 (+5.0 to +34.0)" in said
    )
    assert (
        "the chosen answers gained on the rejected ones" in said and "no clear difference" in said
    )
    assert "5 of 6 held-out prompts are answered - <b>, which 1 should be" in said
    assert "Which 0? <i>" in said and "this <b>" in said and "2 that gained most" in said
    assert "✗ lost" in said and "✓ gained" in said
    assert left_in_english(tmp_path) == []


def test_a_run_on_rewards_has_its_page(tmp_path: Path) -> None:
    score = {
        "metric": "accuracy",
        "before": {"value": 0.1, "low": 0.05, "high": 0.2, "n": 60},
        "after": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 60},
        "difference": paired(0.7, 0.5, 0.8, "better"),
    }
    results = {
        "score": score,
        "rewards": {"number": "the last number"},
        "answer_tokens": {"before": 14.0, "after": 4.5},
        "rounds": {"kl": 0.12, "informative": 0.4, "answers": 640},
        "steps": 10,
        "gamed": {"lines": ["3 of 48 right answers name other numbers, too."],
                  "several": [{"prompt": "2 + 3?", "wanted": "5", "text": "4 or 5"}]},
        "answers": [{"prompt": "What <b>?", "wanted": "5", "before": "6", "after": "5",
                     "earned_before": 0, "earned_after": 1}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps({"kind": "reward", "inputs": {"base": "9f"}}))
    (tmp_path / "results.json").write_text(json.dumps(results))
    steps = [
        {"step": n, "loss": 0.1, "reward": n / 10, "kl": n / 100, "answer_tokens": 9.0}
        for n in range(1, 11)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in steps))
    sampled = {"step": 5, "prompt": "2 + 2?", "text": "<i>4", "reward": 1.0, "advantage": 0.5}
    (tmp_path / "samples.jsonl").write_text(json.dumps(sampled) + "\n")
    said = page_of(tmp_path).text["reward"]
    for words in (
        "80.0 % (70.0 % to 90.0 %)",
        "+70.0 (+50.0 to +80.0)",
        "name other numbers, too",
        "4 or 5",
        "The mean reward of a round",
        "Answers that grow without earning more",
        "moved from what it was",
        "After round 5: 1 answers, mean reward 1.00",
        "1.00, advantage 0.50: <i>4",
        "What <b>?",
        "before: 0.00",
    ):
        assert words in said, words
    assert left_in_english(tmp_path) == ["number: the last number"], "said by the run"


def test_sources_of_a_run_are_drawn_wanted_against_there(
    build_folder: Path, rewrite: Rewrite
) -> None:
    assert "Sources of the training text" not in page_of(build_folder).text["pretrain"], (
        "one source, or an older run"
    )
    letters = {
        "source": "my/letters",
        "name": "letters",
        "share": 0.2,
        "wanted": 0.75,
        "read_tokens": 600,
        "epochs": 3.0,
    }
    books = {
        "source": "my/<b>",
        "name": "<b>",
        "share": 0.8,
        "wanted": 0.25,
        "read_tokens": 200,
        "epochs": 0.25,
    }
    figures = {"sources": [letters, books], "bits_per_byte:my/letters": 1.5}
    page = page_of(rewrite("pretrain/results.json", lambda results: results.update(figures)))
    text = page.text["pretrain"]
    assert (
        "letters75.0 %20.0 %75.0 %3.006001.500" in text and "<b>25.0 %80.0 %25.0 %0.25200" in text
    )


CUT = {"name": "play.txt", "at_character": 9000, "why": "chance gave it too little"}


@pytest.mark.parametrize(
    ("card", "splits"),
    [
        (
            {"cuts": [{**CUT, "split": "validation"}, {**CUT, "split": "test"}]},
            ["validation", "test"],
        ),
        ({"cuts": [7, None]}, []),
    ],
)
def test_documents_that_were_cut_are_named_with_the_split_of_their_end(
    rewrite: Rewrite, card: dict[str, Any], splits: list[str]
) -> None:
    def cut(whole: Any) -> None:
        del whole["cuts"]
        whole |= card

    said = page_of(rewrite("data/data.json", cut)).text["data"]
    assert said.count("play.txt") == len(splits)
    for split in splits:
        assert (
            f"(from character 9,000) was held out for {split}, since chance gave it too little."
            in said
        )


def test_a_data_card_is_shown_without_what_it_lacks(build_folder: Path, rewrite: Rewrite) -> None:
    known = {
        "spec",
        "source",
        "read",
        "kept_documents",
        "kept_characters",
        "dropped",
        "changed",
        "samples",
    }

    def strip(card: Any) -> None:
        card["sources"] = [
            {name: source[name] for name in known & set(source)} for source in card["sources"]
        ]

    rewrite("data/data.json", strip)
    said = page_of(build_folder).text["data"]
    assert "exact repeat" in said and "copy.txt" in said
    for part in ("Languages", "Lengths", "What the files hold", "pip install"):
        assert part not in said


@pytest.mark.parametrize(
    ("gone", "sections"),
    [
        ("data", ["data"]),
        ("tokenizer", ["tokens"]),
        ("pretrain", ["pretrain"]),
        ("evaluate/attention.json", ["attention"]),
        ("evaluate/suites.json", ["emergence"]),
        ("spam", ["spam"]),
        ("export", ["export"]),
    ],
)
def test_what_is_missing_is_said_in_one_line_and_the_rest_is_shown(
    build_folder: Path, gone: str, sections: list[str]
) -> None:
    path = build_folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(build_folder)
    assert [name for name in SECTIONS if "Not in this build" in page.text[name]] == sections


def test_a_build_stopped_half_way_gets_a_page_of_what_exists(
    build_folder: Path, rewrite: Rewrite
) -> None:
    for stage in ("base", "spam", "chat", "evaluate", "export"):
        shutil.rmtree(build_folder / stage, ignore_errors=True)

    def stop(build: Any) -> None:
        build["stages"] = {name: build["stages"][name] for name in ("data", "tokenizer")}
        build["stages"]["pretrain"] = {
            "status": "failed",
            "line": "No space left to write model.safetensors.",
            "elapsed_s": 3.0,
        }

    page = page_of(rewrite("build.json", stop))
    assert "The stage 'pretrain' failed. No space left" in page.text["top"]
    assert "not reached" in page.text["top"]
    assert "Not in this build: nothing has been exported" in page.text["export"]


def test_an_empty_build_gets_a_page(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text('{"kinds": {"data": "data", "export": "export"}}')
    page = page_of(tmp_path)
    assert "trained and exported no model yet" in page.text["top"]
    assert "Not in this build" in page.text["data"]


@pytest.mark.parametrize(
    ("part", "kept"), [("pretrain", "pretrain"), ("spam", "classifier"), ("chat", "chat")]
)
def test_a_single_run_gets_a_page_of_its_chapters(build_folder: Path, part: str, kept: str) -> None:
    folder = build_folder / part
    kind = kept if part == "spam" else part
    (folder / "run.json").write_text(
        json.dumps({"kind": kind, "inputs": {"base": "9f86d081"}, "argv": ["groundup", "x"]})
    )
    page = page_of(folder)
    assert "Not in this build" not in page.text[kept]
    assert "export" not in page.text
    assert "9f86d081" in page.text["lineage"]


def poison(value: Any) -> Any:
    """Every text in a JSON value replaced, keys too where they are shown."""
    if isinstance(value, dict):
        return {key: poison(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [poison(inner) for inner in value]
    return (
        HOSTILE
        if isinstance(value, str) and value not in ("done", "previous", "first", "same")
        else value
    )


def test_no_text_of_any_file_becomes_markup(build_folder: Path) -> None:
    for file in build_folder.rglob("*.json"):
        file.write_text(json.dumps(poison(json.loads(file.read_text(encoding="utf-8")))))
    for file in build_folder.rglob("*.jsonl"):
        records = [poison(json.loads(line)) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
    html = render_page(read_report_data(build_folder))
    page = Checked(html)
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "input",
        "b0",
    }
    assert not [name for _, values in page.tags for name in values if name.startswith("on")]
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    assert "\x00" not in html and "\x1b" not in html
    html.encode("utf-8")
    assert "alert(1)" in page.text["pretrain"]


ODD_VALUES = [
    None,
    True,
    "",
    "text",
    -1,
    0,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    [],
    {},
    [[]],
    [None],
    {"value": {}},
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [(value, key) for key, _ in items] + [
        place for _, inner in items for place in places(inner)
    ]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
)
def test_odd_values_anywhere_never_break_the_page(build_folder: Path, seed: int) -> None:
    chosen = random.Random(seed)
    files = sorted(build_folder.rglob("*.json"))
    for _ in range(12):
        file = chosen.choice(files)
        before = file.read_text(encoding="utf-8")
        value = json.loads(before)
        for container, key in chosen.sample(places(value), 3):
            container[key] = chosen.choice(ODD_VALUES)
        file.write_text(json.dumps(value), encoding="utf-8")
        page_of(build_folder)
        file.write_text(before, encoding="utf-8")


def test_keys_of_tables_are_escaped_too(build_folder: Path, rewrite: Rewrite) -> None:
    rewrite(
        "data/data.json",
        lambda card: card["sources"][0]["dropped"].update(
            {HOSTILE: {"count": 2, "examples": [HOSTILE]}}
        ),
    )
    rewrite(
        "build.json",
        lambda build: build["stages"].update(
            {HOSTILE: {"status": "done", "line": HOSTILE, "elapsed_s": 1}}
        ),
    )
    page = page_of(build_folder)
    assert not {tag for tag, _ in page.tags} & {"script", "img"}


def test_a_stage_without_a_chapter_has_a_title(build_folder: Path, rewrite: Rewrite) -> None:
    rewrite(
        "build.json",
        lambda build: build["stages"].update({"actions": {"status": "done", "elapsed_s": 1}}),
    )
    text = page_of(build_folder).text["top"]
    assert "Actions" in text and "actions" not in text


def test_nothing_is_loaded_from_elsewhere(build_folder: Path) -> None:
    html = render_page(read_report_data(build_folder))
    page = Checked(html)
    assert not re.search(r'https?://|url\((?!"data:font)|@import|//cdn', html)
    links = [values["href"] for _, values in page.tags if "href" in values]
    assert links and all(link.startswith("#") for link in links)
    assert not [values for _, values in page.tags if "src" in values or "style" in values]


def test_links_lead_to_chapters_that_exist_and_ids_are_unique(build_folder: Path) -> None:
    page = page_of(build_folder)
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    named = [
        values[name].removeprefix("#")
        for _, values in page.tags
        for name in ("href", "aria-labelledby")
        if name in values
    ]
    assert set(named) <= set(ids)


def test_contents_at_the_top_name_every_chapter(build_folder: Path) -> None:
    page = render_page(read_report_data(build_folder))
    contents = re.search(r'<nav class="contents".*?</nav>', page, re.DOTALL)
    assert contents is not None
    assert re.findall(r'href="#([a-z]+)"', contents[0]) == SECTIONS
    assert page.index(contents[0]) < page.index("<main")


@pytest.mark.parametrize("part", ["", "pretrain"])
def test_every_term_is_explained_once_and_not_after_it_is_used(
    build_folder: Path, part: str
) -> None:
    page = render_page(read_report_data(build_folder / part))
    parts = re.findall(r"<(?:header|section)[ >].*?</(?:header|section)>", page, re.DOTALL)
    explained: list[str] = []
    for each in parts:
        for lists in re.findall(r'<dl class="terms">.*?</dl>', each, re.DOTALL):
            explained += [html.unescape(term) for term in re.findall(r"<dt>([^<]+)</dt>", lists)]
        bare = re.sub(
            r"<(blockquote|article|q|pre|code)\b.*?</\1>|<bdi[^>]*>[^<]{61,}</bdi>|<dl class=.terms.*?</dl>",
            "",
            each,
            flags=re.DOTALL,
        )
        words = html.unescape(re.sub(r"<[^>]+>", " ", bare))
        assert not [
            term for term in TERMS if pattern_of(term).search(words) and term not in explained
        ]
    assert len(explained) == len(set(explained)) >= 3


def test_hashes_are_folded(build_folder: Path) -> None:
    page = render_page(read_report_data(build_folder))
    shown = re.sub(r"<details>.*?</details>", "", page.split("<body>")[1], flags=re.DOTALL)
    assert re.search(r"\b[0-9a-f]{64}\b", page)
    assert not re.search(r"\b(?=[0-9]*[a-f])[0-9a-f]{12,}\b", shown)


def test_policy_allows_the_one_style_sheet_by_its_hash_and_nothing_else(build_folder: Path) -> None:
    html = render_page(read_report_data(build_folder))
    sheet = html.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = next(
        values["content"]
        for tag, values in Checked(html).tags
        if values.get("http-equiv") == "Content-Security-Policy"
    )
    own = f"style-src 'sha256-{digest}'; font-src data:"
    assert policy == f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def test_pictures_and_tables_can_be_heard(build_folder: Path) -> None:
    page = page_of(build_folder)
    assert ("html", {"lang": "en"}) in page.tags
    drawings = [values for tag, values in page.tags if tag == "svg"]
    assert all(
        values.get("aria-label") or values.get("aria-hidden") == "true" for values in drawings
    )
    assert sum(tag == "table" for tag, _ in page.tags) == sum(
        tag == "caption" for tag, _ in page.tags
    )
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_of_the_same_folder_is_always_the_same(build_folder: Path) -> None:
    with at_most_cpu_s(10):
        first = render_page(read_report_data(build_folder))
    assert render_page(read_report_data(build_folder)) == first


def test_the_page_needs_no_torch() -> None:
    asked = "import sys; import groundup.report.pages.build_page, groundup.cli.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


@pytest.mark.parametrize(
    ("verdict", "lead", "said"),
    [
        ("worse", -0.03, "A baseline is better"),
        ("unclear", -0.004, "No clear difference from the best baseline"),
        ("unclear", 0.004, "so it may be chance"),
        ("better", 0.03, "Better than the best baseline"),
        ("", 0.03, "whether that is chance was not measured"),
    ],
)
def test_spam_says_honestly_who_wins(
    rewrite: Rewrite, verdict: str, lead: float, said: str
) -> None:
    value = 0.982 - lead
    accuracy = {"value": value, "low": value - 0.01, "high": min(1.0, value + 0.01), "n": 500}
    found = {"value": lead, "low": lead - 0.01, "high": lead + 0.01, "verdict": verdict}
    change = {"accuracy": accuracy, "lead": {"accuracy": found} if verdict else {}}
    folder = rewrite("spam/results.json", lambda results: results["models"][1].update(change))
    shown = page_of(folder).text["spam"]
    assert said in shown and (f"{100 * lead:+.1f} (" in shown) == bool(verdict)


def test_spam_says_how_far_it_can_be_trusted(rewrite: Rewrite) -> None:
    curve = [
        {"confidence": 0.5, "coverage": 1.0, "accuracy": 0.98},
        {"confidence": 0.9, "coverage": 0.8, "accuracy": 0.996},
    ]
    found = {
        "calibration": {"error": 0.0123, "before": 0.0345},
        "costs": {"false_alarms": 3, "misses": 4},
        "coverage": {"answered": 0.8, "accuracy": 0.996, "curve": curve},
    }
    folder = rewrite("spam/results.json", lambda results: results.update(found))
    shown = page_of(folder).text["spam"]
    chapter = render_page(read_report_data(folder)).split('id="spam"')[1].split("</section>")[0]
    folded = re.findall("<details><summary>([^<]*)</summary>", chapter)
    assert "Calibration: what its probabilities are worth" in folded
    assert "What abstaining would bring" in folded
    assert all(
        each in shown
        for each in (
            "0.012",
            "0.035",
            "false alarms",
            "80.0 %",
            "99.6 %",
            "What abstaining would bring",
        )
    )


def test_spam_says_what_was_tried_and_what_is_stacked(rewrite: Rewrite) -> None:
    found = {
        "trained": "stacked",
        "tried": [
            {
                "train": "last-block",
                "validation_loss": 0.0634,
                "behind": 0.0222,
                "standard_error": 0.0083,
                "right": {"value": 0.95, "low": 0.9, "high": 0.97},
                "elapsed_s": 12.3,
                "chosen": False,
            },
            {
                "train": "stacked",
                "validation_loss": 0.0412,
                "behind": 0.0,
                "standard_error": 0.0,
                "right": {"value": 0.98, "low": 0.94, "high": 0.99},
                "elapsed_s": 1.2,
                "chosen": True,
            },
        ],
        "stacked": {
            "blocks": [{"block": 12}, {"block": 30}],
            "letters": {"ngrams": 41_000},
            "letters_share": 0.25,
        },
        "plain_head": {"value": 0.975},
        "calibration": {"error": 0.0123, "before": 0.0345, "by_chance": 0.0211},
    }
    shown = page_of(rewrite("spam/results.json", lambda results: results.update(found))).text[
        "spam"
    ]
    assert "last-block0.063+0.022 ± 0.00895.0 %90.0 % to 97.0 %12.3" in shown.replace("\xa0", " ")
    assert "stacked0.041lowest98.0 %94.0 % to 99.0 %1.2chosen" in shown.replace("\xa0", " ")
    assert (
        "after blocks 12, 30 and on 41,000 n-grams" in shown and "plain head alone: 97.5 %" in shown
    )
    assert "0.021 is expected by chance" in shown


def test_spam_draws_what_the_results_hold(rewrite: Rewrite) -> None:
    bins = [
        {"n": 20, "confidence": 0.6, "accuracy": 0.55},
        {"n": 480, "confidence": 0.97, "accuracy": 0.99},
    ]
    curve = [
        {"labels": n, "accuracy": y, "low": y - 0.02, "high": y + 0.01}
        for n, y in ((50, 0.9), (100, 0.95))
    ]
    suspect = {
        "text": "Lunch at one?",
        "label": "spam",
        "suggested": "ham",
        "suggested_probability": 0.97,
    }
    listed = [
        {**suspect, "suspected": True},
        {**suspect, "text": "Not that one", "suspected": False},
    ]
    found = {
        "positive": "spam",
        "curves": {
            "roc": [[0, 0], [0, 0.9], [0.2, 1], [1, 1]],
            "roc_area": 0.98,
            "precision_recall": [[0, 1], [0.9, 1], [1, 0.4]],
            "average_precision": 0.96,
        },
        "calibration": {"error": 0.01, "before": 0.03, "bins": bins},
        "learning_curve": {
            "points": curve,
            "forecast": {"labels": 200, "accuracy": 0.97},
            "n": 300,
        },
        "wrong_labels": {"n": 2400, "suspected": 1, "list": listed},
    }
    page = page_of(rewrite("spam/results.json", lambda results: results.update(found)))
    shown = page.text["spam"]
    expected = [
        "Area under the curve: 0.980",
        "Average precision: 0.960",
        "perfectly calibrated",
        "labels, doubling",
    ]
    expected += [
        "1 of 2,400",
        "Lunch at one?",
        "97.0 %",
        "93.4 %",
        "91.9 %",
        "0.927",
    ]  # precision 57/61, recall 57/62
    assert [each for each in expected if each not in shown] == []
    assert "Not that one" not in shown
    assert "measured at 50: 0.900" in shown and "classifier at 97.0 %: 0.990" in shown


def test_spam_draws_nothing_from_damaged_curves(rewrite: Rewrite) -> None:
    found = {
        "curves": {"roc": [[0], "x", [None, 1]]},
        "calibration": {"bins": [3]},
        "learning_curve": {"points": 7},
    }
    shown = page_of(
        rewrite("spam/results.json", lambda results: results.update(found, wrong_labels=[1]))
    ).text["spam"]
    assert "ROC" not in shown and "doubling" not in shown and "probably wrong" not in shown


def test_chat_says_whether_the_difference_may_be_chance(rewrite: Rewrite) -> None:
    found = {"value": 0.25, "low": 0.0, "high": 0.46, "verdict": "unclear"}
    loss = {"value": -0.53, "low": -0.6, "high": -0.4, "verdict": "better"}
    changes = {"checked answers": found, "answers": loss}
    shown = page_of(
        rewrite("evaluate/results.json", lambda results: results.update(changes=changes))
    ).text["chat"]
    assert (
        "+25.0 (+0.0 to +46.0) points, no clear difference" in shown
        and "-0.53 (-0.60 to -0.40), better" in shown
    )


def test_a_failed_gate_is_said_before_anything_else(rewrite: Rewrite) -> None:
    def spoil(results: Any) -> None:
        results["gates"][0]["passed"] = False
        results["gates"][0]["checks"][0].update(
            passed=False, detail="'١٢' is [5, 9] here and [7] there"
        )

    page = page_of(rewrite("export/results.json", spoil))
    assert "1 of 4 files failed the gate" in page.text["export"]
    assert "✗ differs" in page.text["export"]
    assert "'١٢' is [5, 9] here" in page.text["export"]
    assert "Only 3 of 4 exported files agree" in page.text["top"]


def test_a_failed_export_shows_what_its_gate_found(build_folder: Path) -> None:
    gate = json.loads((build_folder / "export/results.json").read_text())["gates"][0]
    gate.update(
        passed=False,
        checks=[
            {
                "name": "stops",
                "passed": False,
                "detail": "llama.cpp goes on after our stop token 2",
                "figures": {},
            }
        ],
    )
    shutil.rmtree(build_folder / "export")
    (build_folder / "gate-failed.json").write_text(json.dumps(gate))
    page = page_of(build_folder)
    assert "1 of 1 files failed the gate" in page.text["export"]
    assert "llama.cpp goes on after our stop token 2" in page.text["export"]


def test_a_check_that_could_not_be_made_is_not_called_passed(rewrite: Rewrite) -> None:
    def skip(results: Any) -> None:
        results["gates"][0]["checks"][2]["detail"] = "not made: this model has no chat template"

    text = page_of(rewrite("export/results.json", skip)).text["export"]
    assert text.count("not made") >= 1
    assert text.count("✓ agrees") == 2 * (4 * 5 - 1)


def test_lineage_says_where_a_stage_no_longer_holds_what_was_read(rewrite: Rewrite) -> None:
    def change(build: Any) -> None:
        build["stages"]["tokenizer"]["outputs_sha256"]["tokenizer/tokenizer.json"] = "0" * 64

    page = page_of(rewrite("build.json", change))
    assert page.text["lineage"].count("✗ changed since") == 1
    assert page.text["lineage"].count("✓ unchanged") == 8


def test_report_verb_makes_the_page_again_from_the_folder(
    build_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "elsewhere"
    build_folder.rename(moved)
    assert groundup(["report", str(moved)]) == 0
    assert (moved / "report.html").read_text(encoding="utf-8") == render_page(
        read_report_data(moved)
    )
    capsys.readouterr()
    other = tmp_path / "page.html"
    assert groundup(["report", str(moved), "--out", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "page": str(other),
        "bytes": other.stat().st_size,
    }


def test_report_of_a_folder_without_a_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert groundup(["report", str(tmp_path)]) == 2
    assert "neither build.json nor run.json" in " ".join(capsys.readouterr().err.split())


def test_page_replaces_an_older_one(build_folder: Path) -> None:
    (build_folder / "report.html").write_text("old")
    assert "old" not in write_page(build_folder).read_text(encoding="utf-8")[:3]


def test_headline_numbers_are_short_and_sentences_are_lines() -> None:
    made = facts(
        ("2.41", "loss before"),
        ("-0.11 (-0.18 to -0.06), better", "change, paired"),
        ("–", "missing"),
    )
    assert made is not None
    large, lines = made.find("dl[@class='facts']"), made.find("dl[@class='findings']")
    assert large is not None and [each.text for each in large.iter("dd")] == ["2.41"]
    assert lines is not None and [each.text for each in lines.iter("dd")] == [
        "-0.11 (-0.18 to -0.06), better"
    ]
    only = facts(("2.41", "loss"))
    assert only is not None and only.get("class") == "facts"
    assert facts(("–", "missing"), ("", "empty")) is None


def test_no_large_number_of_the_page_is_a_sentence(build_folder: Path) -> None:
    page = render_page(read_report_data(build_folder))
    large = re.findall(r'<dl class="facts">.*?</dl>', page, re.DOTALL)
    values = [
        html.unescape(value) for each in large for value in re.findall(r"<dd>([^<]*)</dd>", each)
    ]
    values += [
        html.unescape(value) for value in re.findall(r'<p class="headline">([^<]*)</p>', page)
    ]
    assert len(values) > 10 and max(map(len, values)) <= 16, max(values, key=len)


def test_the_overview_shows_what_the_models_write_and_a_figure_for_each_stage(
    build_folder: Path,
) -> None:
    top = page_of(build_folder).text["top"]
    for said in (
        "The own model goes on from",
        "step 160",
        "The chat model is asked",
        "bits per byte",
        "of 20 right",
    ):
        assert said in top, said
    assert "groundup chat" in top and "groundup serve" in top


def test_a_build_without_samples_or_answers_says_so_and_shows_none(
    build_folder: Path, rewrite: Rewrite
) -> None:
    (build_folder / "pretrain/samples.jsonl").unlink()
    rewrite("chat/results.json", lambda results: results.pop("answers", None))
    text = page_of(
        rewrite("evaluate/results.json", lambda results: results.pop("answers", None))
    ).text
    assert "The own modelIts run stored no samples." in text["top"]
    assert "The chat modelNo answers before and after were stored." in text["top"]
    assert "This run stored no samples" in text["pretrain"]
    assert "No answers before and after were stored." in text["chat"]
    shutil.rmtree(build_folder / "pretrain")
    shutil.rmtree(build_folder / "chat")
    top = page_of(build_folder).text["top"]
    assert "stored no" not in top and "were stored" not in top, "nothing was trained yet"


def test_what_came_out_is_open_and_how_it_was_made_is_folded(build_folder: Path) -> None:
    page = render_page(read_report_data(build_folder))
    results, details = page.split('<main id="main">')[1].split("How it was made and measured")
    assert results.count('class="chapter" open') == results.count('class="chapter"') == 3
    assert details.count('class="chapter"') == 9 and 'class="chapter" open' not in details


def test_a_classifier_alone_is_what_came_out(build_folder: Path, rewrite: Rewrite) -> None:
    kinds = {"base": "base", "spam": "classifier"}
    folder = rewrite("build.json", lambda build: build.update(kinds=kinds))
    results = render_page(read_report_data(folder)).split("How it was made and measured</p><det")[0]
    assert 'id="spam"' in results


def test_a_build_of_texts_alone_speaks_of_no_public_model(
    build_folder: Path, rewrite: Rewrite
) -> None:
    own = {"data": "data", "tokenizer": "tokenizer", "pretrain": "pretrain", "evaluate": "evaluate"}

    def alone(build: Any) -> None:
        build["kinds"] = own
        build["stages"] = {name: build["stages"][name] for name in own}
        build["stages"]["evaluate"]["facts"] = {"example": "Now is the winter"}

    rewrite("build.json", alone)
    samples = [{"prompt": "Now is the winter", "text": " of our discontent"}]
    page = page_of(
        rewrite("evaluate/results.json", lambda results: results.update(samples=samples))
    )
    assert (
        "readers" not in page.text
        and "chat" not in page.text
        and "From texts to a model of them" in page.text["top"]
    )
    typed = f"groundup generate {build_folder.parent.name}/{build_folder.name} 'Now is the winter'"
    assert typed in page.text["top"] and "Chat model" not in page.text["top"]
    assert (
        "Now is the winter of our discontent" in page.text["pretrain"]
        and "at the end" in page.text["pretrain"]
    )


def test_the_page_says_which_choices_were_measured(build_folder: Path, rewrite: Rewrite) -> None:
    assert "No choice was made by measuring" in page_of(build_folder).text["repeat"]
    step_s = {"float32": 0.031, "bf16": 0.0402, "plain": 0.031, "compiled": 0.02}
    record = {
        "precision": "float32",
        "compiled": True,
        "step_s": step_s,
        "muon_precision": "bf16",
        "product_s": {"a": 1},
    }
    (build_folder / "pretrain" / "fit.json").write_text(json.dumps(record))
    threads = [{"step": 0, "count": 2}, {"step": 50, "count": 1}]
    rewrite(
        "pretrain/results.json",
        lambda results: results.update(threads=threads, rescales=[{"step": 9}], steps=700),
    )
    sizes = {"steps": 640, "worth": 2}
    said = page_of(
        rewrite("build.json", lambda build: build["stages"]["pretrain"].update(sizes=sizes))
    ).text["repeat"]
    for words in (
        "precisionfloat32a step: 31.0 ms float32, 40.2 ms bf16",
        "torch.compileona step: 31.0 ms plain, 20.0 ms compiled",
        "Muon's precisionbf16a matrix product in both",
        "threads2 from step 0, 1 from step 50",
        "steps700the clock, to keep the time",
        "steps640the time that it had",
    ):
        assert words in said, words
    assert "worth" not in said and "may choose otherwise" in said


def test_the_whole_page_is_in_the_language_asked_for(build_folder: Path) -> None:
    assert left_in_english(build_folder) == []
    page = write_page(build_folder, language="de").read_text(encoding="utf-8")
    assert '<html lang="de">' in page
    for words in ("Attention-Karten", "Was herauskam", "Zeit und Speicher", "Text wird zu Zahlen"):
        assert words in page, words
    assert "Attention maps" not in page and "What came out" not in page
    assert "98,2\u00a0%" in page and "98.2\u00a0%" not in page
    assert '<bdi dir="auto" lang="en">Zero-shot: 200 of 500 messages.' in page
    assert 'lang="de"' not in render_page(read_report_data(build_folder))


def test_a_stored_sentence_of_a_known_form_is_said_with_its_values() -> None:
    with page_language("de"):
        known = as_stored("The chat model was trained on 618 of the recipe's 40,000 tokens.")
        assert (
            known.text == "Das Chat-Modell wurde mit 618 von 40.000 Tokens des Rezepts trainiert."
        )
        other = as_stored("Whatever else.")
        assert other.text == "Whatever else." and other.get("lang") == "en"
    assert as_stored("Whatever else.").get("lang") is None
