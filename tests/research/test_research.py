"""A real research on tiny texts: what it tries and keeps, that it goes on where it was stopped, and that the test split stays sealed."""

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from forked_program import forker
from tiny_research import Done, StopsAt, config_of, write_texts

import groundup
from groundup.data.split import TEST
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json_object
from groundup.progress import Silent
from groundup.research import research
from groundup.research.baseline import Texts, choose, without_test
from groundup.research.records import append_record
from groundup.research.results import ResearchResults
from groundup.runs import read_lines


def lines(out: Path, event: str) -> list[dict[str, object]]:
    return [each for each in read_lines(out / "research.jsonl") if each["event"] == event]


def losses(found: ResearchResults) -> list[object]:
    return [
        (each.number, each.baseline, [(row.name, row.bits_per_byte) for row in each.tried])
        for each in found.rounds
    ]


def test_rounds_have_half_the_switches_and_the_last_all_seeds(done: Done) -> None:
    first, last = done.results.rounds
    assert [each.name for each in done.results.rounds[0].tried] != []
    assert {each.name for each in first.tried} == {"untied", "cosine", "rows-of-16"}
    assert (first.seeds, last.seeds) == ((0,), (0, 1))
    assert (first.steps, last.steps) == (4, 8)
    singles = {each.name for each in last.tried} - {"together"}
    assert singles == {each.name for each in first.tried[:2]}
    assert all(each.difference and each.difference.low is not None for each in last.tried)
    assert len(lines(done.out, "try")) == 4 + 2 * (1 + len(last.tried))
    values = read_json_object(done.out / "results.json")
    assert values["rounds"][1]["tried"][0]["difference"]["verdict"] in (
        "better",
        "unclear",
        "worse",
    )
    assert (done.out / "research.html").stat().st_size > 1000


def test_only_the_best_and_the_baseline_meet_the_test_split_and_once(done: Done) -> None:
    test = done.results.test
    tested = lines(done.out, "test")
    if done.results.best == "baseline":
        assert test is None and tested == []
        return
    assert test is not None and len(tested) == 1 and len(test.best) == len(test.baseline) == 2
    again = groundup.run_research(done.texts, done.out, done.config)
    assert losses(again) == losses(done.results) and again.test == test
    assert len(lines(done.out, "test")) == 1


def test_a_try_can_not_read_the_test_split(done: Done) -> None:
    options = research._options(done.texts, done.config)
    texts = Texts(done.out / "texts", options, Silent())
    shards, _ = texts.of(280)
    assert TEST in shards.splits and TEST not in without_test(shards).splits
    compute = groundup_compute()
    baseline = choose(options, texts, compute, Silent())
    assert TEST not in baseline.inputs(("model.tied_head=false",)).shards.splits


def groundup_compute():  # type: ignore[no-untyped-def]
    from groundup.device import select_compute

    return select_compute("cpu", fixed_choices=True)


@pytest.mark.slow
def test_stopped_by_ctrl_c_and_killed_it_keeps_what_was_measured_and_finds_the_same(
    done: Done, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        groundup.run_research(done.texts, out, done.config, progress=StopsAt(4))
    kept = lines(out, "try")
    assert len(kept) == 3
    code = (
        "import sys, groundup; sys.path.insert(0, sys.argv[1]); import tiny_research;"
        "groundup.run_research(sys.argv[2], sys.argv[3], tiny_research.config_of())"
    )
    arguments = [code, str(Path(__file__).parent), str(done.texts), str(out)]
    process = forker().start(arguments, program="-c")
    while process.poll() is None and len(lines(out, "try")) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # within a try
    process.communicate()
    assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert lines(out, "try")[:3] == kept
    kept = lines(out, "try")
    found = groundup.run_research(done.texts, out, done.config)
    assert losses(found) == losses(done.results) and found.test == done.results.test
    assert lines(out, "try")[: len(kept)] == kept


def test_another_question_is_not_asked_of_the_same_folder(done: Done) -> None:
    with pytest.raises(ConfigError, match="holds another research: seeds differ"):
        groundup.run_research(done.texts, done.out, config_of(seeds=3))
    with pytest.raises(ConfigError, match="another research: switches differ"):
        groundup.run_research(done.texts, done.out, config_of(["untied"]))


def test_a_damaged_log_is_one_sentence(done: Done, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done.out, out)
    file = out / "research.jsonl"
    begun, *rest = file.read_text().splitlines()
    file.write_text("\n".join([begun, json.dumps({"event": "try", "round": "one"}), *rest, ""]))
    with pytest.raises(FormatError, match=r"research.jsonl: try"):
        groundup.run_research(done.texts, out, done.config)
    file.write_text(json.dumps({**json.loads(begun), "baseline": {"shape": 3}}) + "\n")
    with pytest.raises(FormatError, match="baseline: is damaged"):
        groundup.run_research(done.texts, out, done.config)


def test_steps_are_counted_from_the_processor_seconds_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the machine's speed: steps follow from the times in the log."""
    for name in ("rounds.MIN_TRY_S", "research.MIN_TRY_STEPS"):
        monkeypatch.setattr(f"groundup.research.{name}", 0)
    for name in ("MEASURED_S", "TRIAL_S"):
        monkeypatch.setattr(f"groundup.planning.measure.{name}", 0.02)
    monkeypatch.setattr("groundup.research.tries.TIMED_STEPS", 2)
    config = replace(config_of(["untied"], rounds=1, seeds=1), steps=None, seconds=0.02)
    found = groundup.run_research(write_texts(tmp_path / "texts"), tmp_path / "out", config)
    (begun,) = lines(tmp_path / "out", "begin")
    step_s = begun["step_s"]
    assert isinstance(step_s, dict) and set(step_s) == {"baseline", "untied"}
    (last,) = found.rounds
    assert found.unit == "seconds" and last.length == 0.02
    assert last.steps == max(1, round(0.02 / step_s["baseline"]))
    assert last.tried[0].steps == max(1, round(0.02 / step_s["untied"]))


def test_a_switch_that_changes_nothing_is_refused_by_name_and_left_out_of_all(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = groundup.Switch("same", "The head is tied", settings=("model.tied_head=true",))
    odd = groundup.Switch("odd", "Odd heads", settings=("model.num_heads=3",))
    for switch, reason in ((same, "changes nothing"), (odd, "can't be tried: .*divisible")):
        with pytest.raises(ConfigError, match=reason):
            groundup.run_research(done.texts, tmp_path / "out", config_of([switch]))
    known = {"untied": research.chosen_switches(["untied"])[0], "same": same, "odd": odd}
    monkeypatch.setattr("groundup.research.switches.SWITCHES", known)
    config = config_of([], rounds=1, seeds=1, steps=2)
    found = groundup.run_research(done.texts, tmp_path / "all", config)
    assert set(found.left_out) == {"same", "odd"} and len(found.rounds[0].tried) == 1


def test_a_record_is_appended_once_to_a_table_of_records(done: Done, tmp_path: Path) -> None:
    file = tmp_path / "records.md"
    row = append_record(file, done.results)
    append_record(file, done.results)
    text = file.read_text()
    assert text.startswith("# Records") and text.count(row) == 1 and row.endswith("` |")
    assert text.splitlines()[-1].count(" | ") == text.splitlines()[-3].count(" | ")
    (tmp_path / "other.md").write_text("# Notes\n")
    with pytest.raises(ConfigError, match="no table of records"):
        append_record(tmp_path / "other.md", done.results)
