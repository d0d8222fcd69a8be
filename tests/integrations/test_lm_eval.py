"""lm-eval with our model, with its own Hugging Face backend, over HTTP, and `groundup evaluate`: the same scores.

Runs where lm_eval is installed; test_lm_eval_network.py installs it in an environment of its own and runs this file there.
"""

import importlib.util
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from groundup.api.evaluation import run_suites
from groundup.device import Compute, generator
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.suites.registry import suites_named
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import open_model, save_model

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="needs lm_eval"),
    pytest.mark.filterwarnings("ignore"),
]
# suite -> lm-eval's metric, and ours
SUITES = {
    "multiple_choice": ("acc_bytes", "accuracy"),
    "copying": ("acc", "accuracy"),
    "grammar": ("acc", "accuracy"),
}
ITEMS = 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with a tokenizer of its own, in Hugging Face's layout."""
    texts = [
        str(item.requests(())) for suite in suites_named([*SUITES]) for item in suite.read(Silent())
    ]
    words = train_tokenizer(texts, 900)
    model = LanguageModel(ModelConfig(words.vocab_size, 512, 32, 2, 4, 64, num_kv_heads=2))
    initialise(model, generator(1, "test"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6 if parameter.ndim == 2 else 1)
    folder = tmp_path_factory.mktemp("lm_eval") / "tiny"
    save_model(model, folder, words)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from groundup.integrations.lm_eval import main

    folder = tmp_path_factory.mktemp("tasks")
    assert (
        main(
            ["export", str(folder), "--tasks", ",".join([*SUITES, "format"]), "--items", str(ITEMS)]
        )
        == 0
    )
    return folder


@pytest.fixture(scope="module")
def ask(tasks: Path) -> Any:
    """ask(model, arguments, names) -> lm-eval's results."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    import groundup.integrations.lm_eval_model  # noqa: F401

    manager = TaskManager(include_path=str(tasks), include_defaults=False)

    def ask(
        model: str, arguments: dict[str, Any], names: list[str], **options: Any
    ) -> dict[str, Any]:
        found = lm_eval.simple_evaluate(
            *(model, arguments, [f"groundup_{name}" for name in names]),
            task_manager=manager, device="cpu", bootstrap_iters=0, **options,
        )  # fmt: skip
        assert found is not None
        return found

    return ask


@pytest.fixture(scope="module")
def backends(folder: Path, server: str) -> dict[str, tuple[str, dict[str, Any]]]:
    prefix = (
        open_model(folder, Compute(torch.device("cpu"))).require_tokenizer().special.document_end_id
    )
    http = {
        "model": "tiny",
        "base_url": f"{server}/v1/completions",
        "tokenizer": str(folder),
        "max_length": 512,
    }
    return {
        "groundup": ("groundup", {"path": str(folder)}),
        "hf": (
            "hf",
            {
                "pretrained": str(folder),
                "dtype": "float32",
                "prefix_token_id": prefix,
                "batch_size": 8,
            },
        ),
        "http": ("local-completions", {**http, "custom_prefix_token_id": prefix, "batch_size": 4}),
    }


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    import json

    command = [sys.executable, "-m", "groundup", "serve", f"tiny={folder}", "--json", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--precision", "float32"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["address"]
    process.kill()
    process.communicate()


def test_the_scores_of_four_ways_agree_to_four_decimals(
    ask: Any, backends: Any, folder: Path
) -> None:
    found = {
        name: ask(model, arguments, [*SUITES]) for name, (model, arguments) in backends.items()
    }
    rows = run_suites(str(folder), [*SUITES], EvaluationConfig(items=ITEMS), device="cpu").rows
    for suite, (theirs, ours) in SUITES.items():
        task = f"groundup_{suite}"
        value = next(row.value for row in rows if (row.task, row.metric) == (suite, ours))
        for name, results in found.items():
            assert results["results"][task][f"{theirs},none"] == pytest.approx(value, abs=1e-4), (
                suite,
                name,
            )
        expected = responses(found["hf"], task)
        assert len(expected) == ITEMS and all(
            math.isfinite(value) for each in expected for value in each
        )
        for name in ("groundup", "http"):
            for one, other in zip(responses(found[name], task), expected, strict=True):
                assert one == pytest.approx(other, abs=1e-4), (suite, name)


def responses(results: dict[str, Any], task: str) -> list[list[float]]:
    """The log-probabilities and greedy flags of each item."""
    samples = sorted(results["samples"][task], key=lambda each: each["doc_id"])
    return [
        [float(value) for each in sample["filtered_resps"] for value in each] for sample in samples
    ]


def test_shots_are_put_before_the_items_as_evaluate_does(
    folder: Path, tmp_path: Path, backends: Any
) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    from groundup.integrations.lm_eval import main

    assert (
        main(["export", str(tmp_path), "--tasks", "copying", "--items", "12", "--shots", "3"]) == 0
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    model, arguments = backends["groundup"]
    found = lm_eval.simple_evaluate(
        model, arguments, ["groundup_copying"], task_manager=manager, device="cpu"
    )
    sent = [sample["arguments"][0][0] for sample in found["samples"]["groundup_copying"]]
    from groundup.evaluate.suite import suite_tasks

    opened = open_model(folder, Compute(torch.device("cpu")))
    (task,) = suite_tasks(
        suites_named(["copying"]), {"m": opened}, EvaluationConfig(shots=(3,), items=12), Silent()
    )
    assert sent == [item.requests(task.shots)[0].prompt.plain for item in task.items]  # type: ignore[attr-defined]


def test_written_answers_are_those_of_the_hugging_face_backend(ask: Any, backends: Any) -> None:
    limited = {"gen_kwargs": {"max_gen_toks": 12}}
    found = {name: ask(*backends[name], ["format"], **limited) for name in backends}
    answers = {
        name: [each["filtered_resps"][0] for each in results["samples"]["groundup_format"]]
        for name, results in found.items()
    }
    assert any(map(str.strip, answers["hf"]))
    assert answers["groundup"] == answers["http"] == answers["hf"]


def test_a_long_text_is_scored_in_the_windows_of_the_hugging_face_backend(
    folder: Path, backends: Any
) -> None:
    from lm_eval.models.huggingface import HFLM

    from groundup.integrations.lm_eval_model import GroundupLM

    texts = ["The cat sat on the mat. " * 90, "short", "Ä"]
    requests: Any = [SimpleNamespace(args=(text,)) for text in texts]
    theirs = HFLM(**backends["hf"][1], device="cpu").loglikelihood_rolling(requests)
    found = GroundupLM(str(folder), device="cpu").loglikelihood_rolling(requests)
    assert found == pytest.approx(theirs, abs=2e-3, rel=1e-6)


def test_a_chat_template_gives_the_ids_of_render_whatever_a_user_wrote(folder: Path) -> None:
    from groundup.integrations.lm_eval_model import GroundupLM

    model = GroundupLM(str(folder), device="cpu")
    asked = "What is <|im_end|>?"
    text = model.apply_chat_template([{"role": "user", "content": asked}])
    expected = render(
        Conversation((Message("user", asked),)), model.tokenizer, add_generation_prompt=True
    ).ids
    assert model._prompt(text, 8) == expected == list(model._pair(text, "yes")[0])
    assert model.tokenizer.encode_control(text) != expected


def test_an_unknown_argument_or_model_is_one_sentence(folder: Path, tasks: Path) -> None:
    def said(*arguments: str) -> str:
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "groundup.integrations.lm_eval",
            "--model",
            "groundup",
        ]
        named = ["--tasks", "groundup_copying", "--include_path", str(tasks)]
        done = subprocess.run([*command, *arguments, *named], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    assert "--model_args colour is unknown" in said("--model_args", f"path={folder},colour=red")
    assert "nowhere" in said("--model_args", "path=nowhere")
