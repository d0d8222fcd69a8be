"""A real search on tales and random letters: it finds the tales, goes on where it was stopped, and takes nothing that is held out into training."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from forked_program import forker
from simulated_windows import in_use
from tiny_research import Searched, StopsAt, search_config, write_sources

import groundup
from groundup.cli.main import run
from groundup.data.split import TRAIN, VALIDATION
from groundup.errors import ConfigError, DataError
from groundup.files import read_json_object
from groundup.progress import Silent
from groundup.research.mixture.results import MixtureResults
from groundup.research.mixture.search import _options
from groundup.research.mixture.texts import SearchTexts
from groundup.runs import read_lines

TINY = [
    *("--mixture", "search", "--proxy-steps", "8", "--proxies", "5", "--seeds", "2"),
    *("--depth", "1", "--set", "model.vocab_size=280", "--set", "model.context_tokens=32"),
]


def figures(found: MixtureResults) -> list[Any]:
    return [found.proxies, found.sources, found.steps, found.comparison, found.mixture]


def lines(out: Path) -> list[dict[str, Any]]:
    return [each for each in read_lines(out / "search.jsonl") if each["event"] == "try"]


def test_random_letters_get_less_than_their_part_of_the_text(searched: Searched) -> None:
    tales, noise = searched.results.sources
    assert (tales.name, noise.name) == ("tales", "noise")
    assert noise.found < noise.proportional < 1 and tales.found > tales.proportional
    assert tales.found <= tales.most + 1e-3
    comparison = searched.results.comparison
    assert comparison is not None and comparison.seeds == (1, 2)
    assert comparison.difference.value < 0
    assert len(searched.results.proxies) == 5 and len(lines(searched.out)) == 5 + 4
    values = read_json_object(searched.out / "results.json")
    assert values["comparison"]["difference"]["verdict"] in ("better", "unclear")
    assert (searched.out / "mixture.html").stat().st_size > 1000


def test_the_next_command_has_the_mixture_only_where_it_is_clearly_better(
    searched: Searched,
) -> None:
    found = searched.results
    shares = ",".join(f"{each.name}={each.found:g}" for each in found.sources)
    expected = {True: shares, False: "proportional"}[found.better]
    assert f"--mixture {expected}" in found.next_command.replace("'", "")
    assert f'mixture = "{expected}"' in found.recipe


@pytest.mark.slow
def test_stopped_by_ctrl_c_and_killed_it_goes_on_and_finds_the_same(
    searched: Searched, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        groundup.search_mixture(searched.texts, out, searched.config, progress=StopsAt(4))
    kept = lines(out)
    assert len(kept) == 3
    code = (
        "import sys, groundup; sys.path.insert(0, sys.argv[1]); import tiny_research;"
        "groundup.search_mixture(sys.argv[3:], sys.argv[2], tiny_research.search_config())"
    )
    arguments = [code, str(Path(__file__).parent), str(out), *map(str, searched.texts)]
    process = forker().start(arguments, program="-c")
    while process.poll() is None and len(lines(out)) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)  # within a try
    process.communicate()
    assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert lines(out)[:3] == kept
    kept = lines(out)
    found = groundup.search_mixture(searched.texts, out, searched.config)
    assert figures(found) == figures(searched.results)
    assert lines(out)[: len(kept)] == kept


def test_done_it_trains_nothing_again_and_another_question_is_refused(searched: Searched) -> None:
    before = lines(searched.out)
    again = groundup.search_mixture(searched.texts, searched.out, searched.config)
    assert figures(again) == figures(searched.results) and lines(searched.out) == before
    with pytest.raises(ConfigError, match="seeds differ"):
        groundup.search_mixture(searched.texts, searched.out, search_config(seeds=3))


def test_a_step_takes_nothing_into_training_that_is_held_out(tmp_path: Path) -> None:
    """A repaired text has another hash, by which it could be in another split."""
    sources = write_sources(tmp_path / "texts")
    for file in sources[0].iterdir():
        file.write_text(f"{file.read_text()} the king &amp; the crown")
    options = _options(sources, search_config())
    texts = SearchTexts(tmp_path / "made", options, Silent())
    shards = texts.with_steps(["repair"])
    decode = texts.tokenizer.decode
    whole = decode(texts.shards.tokens(TRAIN).tolist())
    repaired = decode(shards.tokens(TRAIN).tolist())
    assert whole.count("&amp;") > 10 and repaired == whole.replace("&amp;", "&")
    assert (shards.tokens(VALIDATION) == texts.shards.tokens(VALIDATION)).all()
    assert texts.process(["rules"]).rules == ("web",)


def test_a_target_is_a_source_or_other_text(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "texts")
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"the moon sang {number}." for number in range(200)))
    options = _options(sources, search_config())

    def target(asked: str | None, name: str) -> str:
        texts = SearchTexts(tmp_path / name, options, Silent())
        return texts.tokenizer.decode(texts.target(asked).tokens(VALIDATION).tolist())

    tales, everything = target(str(sources[0]), "one"), target(None, "two")
    assert "king" in tales and "king" in everything
    assert tales in everything and len(tales) < len(everything)
    assert target(str(other), "three").count("the moon sang") == 200
    (tmp_path / "short.txt").write_text("the moon.\n\nthe king.\n\nthe crown.")
    with pytest.raises(DataError, match="The target has .* at least 512"):
        target(str(tmp_path / "short.txt"), "four")


def test_steps_of_a_run_are_counted_from_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the machine's speed: the log has them, and the rest of the budget is for the training."""
    home = "groundup.research"
    for name in ("mixture.search.MIN_TRY_S", "mixture.search.MIN_PROXY_STEPS"):
        monkeypatch.setattr(f"{home}.{name}", 0)
    for name in ("MEASURED_S", "TRIAL_S"):
        monkeypatch.setattr(f"groundup.planning.measure.{name}", 0.02)
    monkeypatch.setattr(f"{home}.tries.TIMED_STEPS", 2)
    sources, out = write_sources(tmp_path / "texts"), tmp_path / "out"
    config = search_config(proxy_steps=None, budget="60s", proxies=4)
    monkeypatch.setattr(f"{home}.mixture.search._MixtureSearch._steps_of_a_run", lambda *_: 2)
    found = groundup.search_mixture(sources, out, config)
    begun = next(iter(read_lines(out / "search.jsonl")))
    assert begun["steps"] == found.proxy_steps == 2 and begun["tokens"] > 0
    assert found.budget_s == 60 and found.processor_s > 0
    left = (60 - found.processor_s) / 60
    assert f"--minutes {max(left, 0.05):.1f}" in found.next_command


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["texts/tales"], "texts/tales is one source, and shares are of two or more."),
        (["texts/tales", "texts/tiny.txt"], "tiny: "),
        (["texts/tales", "texts/noise", "--target", "nowhere"], "nowhere"),
        (["texts/tales", "texts/noise", "--target", "texts/short.txt"], "The target has"),
        (["texts/tales", "texts/noise", "--target", "texts/none"], "none"),
        (["texts/tales", "texts/noise", "--steps", "9"], "search does not take --steps."),
        (["texts/tales", "texts/noise", "--seeds", "1"], "seeds must be 2 to 100"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: list[str],
    answer: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sources(tmp_path / "texts")
    (tmp_path / "texts" / "none").mkdir()
    (tmp_path / "texts" / "tiny.txt").write_text("the king sang.\n")
    (tmp_path / "texts" / "short.txt").write_text("the moon.\n\nthe king.\n\nthe crown.")
    before = sorted(tmp_path.rglob("*"))
    remove, mapped = shutil.rmtree, list[str]()

    def removed(folder: Path, **options: Any) -> None:
        mapped.extend(path for path in in_use() if path.endswith(".bin"))
        remove(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", removed)
    assert run(["plan", "--out", "runs/new", *TINY, *said]) == 2
    err = capsys.readouterr().err
    assert answer in " ".join(err.split()) and err.count("error:") == 1
    assert not mapped  # Windows would not remove it
    assert sorted(tmp_path.rglob("*")) == before


def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sources = ["a.txt", "b.txt"]
    for said, answer in (
        (
            ["--mixture", "search", "--budget", "20s", "--out", "o"],
            "A quarter of 20 s is too short",
        ),
        (["--mixture", "search", "--budget", "9m"], "A search keeps its runs in a folder."),
        (["--target", "a"], "--target is for --mixture search."),
        (
            ["--mixture", "search", "--budget", "9m", "--proxy-steps", "3", "--out", "o"],
            "both give",
        ),
    ):
        for name in sources:
            (tmp_path / name).write_text("the king\n" * 50)
        assert run(["plan", *sources, *said]) == 2
        assert answer in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == sources


def test_a_search_prints_shares_and_the_next_command(
    searched: Searched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures of Python's search; the command line tries processing steps, too."""
    out = tmp_path / "out"
    said = ["plan", *map(str, searched.texts), "--target", "tales", "--out", str(out), *TINY]
    assert run(said) == 0
    printed = capsys.readouterr()
    assert "leave-one-out error" in printed.out and "next: groundup pretrain" in printed.out
    assert "near-duplicates is not tried: It changes nothing here." in printed.err
    assert "Run 9 of 9, about" in printed.err
    assert run([*said, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["left_out"]["repair"] == "It changes nothing here."
    assert [each["found"] for each in value["sources"]] == [
        each.found for each in searched.results.sources
    ]
