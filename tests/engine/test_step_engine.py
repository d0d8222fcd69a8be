"""Answers by the compiled step without torch: the ids of `generate_ids`, and torch only for who asks."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.engine import Engine
from groundup.engine.kv_cache import with_kv_cache
from groundup.engine.precision import open_in, open_to_write, prepare_first_answer
from groundup.engine.request import Request
from groundup.engine.runner import ArrayPages
from groundup.engine.sampling import Sampling
from groundup.engine.step_engine import StepEngine, is_written_by_step, open_step_engine
from groundup.errors import ConfigError, ModelError
from groundup.files import atomic_folder
from groundup.kernels.step_shape import CacheKind, cache_numbers
from groundup.kernels.step_weights import rotary_frequencies
from groundup.model import positions
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.token_span import TokenSpan
from groundup.progress import Silent
from groundup.serve.loaded_models import LoadedModels
from groundup.serve.model_registry import read_model_info
from groundup.serve.worker import Worker
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import save_model
from groundup.weights.packed_files import packed_folder

pytest.importorskip("numba")
NATIVE = Compute(torch.device("cpu"), native_bf16=True)
SHAPE = ModelConfig(320, 128, 32, 2, 2, 64, num_kv_heads=1, qk_norm="head")
TEXT = "To be or not to be. " * 6


def unused() -> tuple:
    raise AssertionError("the model was opened with torch")


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose packed weights are kept, as after a first answer."""
    folder = tmp_path_factory.mktemp("step") / "model"
    made = LanguageModel(SHAPE)
    initialise(made, torch.Generator().manual_seed(0), deviation=0.2)
    with atomic_folder(folder) as temporary:
        save_model(made, temporary, train_tokenizer([TEXT * 9], 300))
    assert not is_written_by_step(folder) and open_step_engine(folder, unused) is None
    said = Said()
    prepare_first_answer(folder, NATIVE, said)
    assert is_written_by_step(folder) and said.lines[0].startswith("Preparing the first answer")
    prepare_first_answer(folder, NATIVE, again := Said())
    prepare_first_answer(folder.parent, NATIVE, again)
    assert not again.lines, "nothing is left to do, or there is no model"
    return folder


@pytest.fixture(scope="module")
def engine(model: Path) -> StepEngine:
    found = open_step_engine(model, unused)
    assert found is not None and is_written_by_step(model)
    return found


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("prompt", ["To be", TEXT])
def test_the_answers_are_those_of_the_model_that_torch_opens(
    engine: StepEngine, model: Path, prompt: str, seed: int | None
) -> None:
    """Greedy and drawn, with a prompt of one step and of several."""
    exact = Engine(*open_to_write(model, NATIVE))
    sampling = Sampling(temperature=0 if seed is None else 1.2, top_k=50, seed=seed, max_tokens=24)
    ids = engine.prompt_ids(prompt)
    assert (len(ids) > engine.step.max_rows) == (prompt is TEXT)
    found, expected = (list(each.complete(ids, sampling)) for each in (engine, exact))
    assert found == expected and found[-1].completion_tokens > 3
    drafting = open_step_engine(model, unused, draft_tokens=4)
    assert drafting is not None and list(drafting.complete(ids, sampling)) == found


@pytest.mark.parametrize("kind", ["auto", "int8"])
def test_many_answers_at_once_are_the_same_as_alone(model: Path, kind: CacheKind) -> None:
    """Of keys and values in int8, too, where prompts share their pages and drafts are verified."""
    opened = open_step_engine(model, unused)
    assert opened is not None
    engine = with_kv_cache(opened, kind)
    assert isinstance(engine, StepEngine) and engine.kv_cache_dtype == kind
    ids = engine.prompt_ids(TEXT)
    requests = [
        Request(str(seed), tuple(ids[seed:]), Sampling(seed=seed, max_tokens=12), logprobs=2)
        for seed in range(3)
    ]

    def texts(batch: BatchEngine, wanted: list[Request]) -> list[str]:
        found = dict.fromkeys((each.id for each in wanted), "")
        for each in wanted:
            batch.submit(each)
        while batch.busy:
            for name, event in batch.step():
                found[name] += event.text  # type: ignore[union-attr]
        return list(found.values())

    settings = BatchSettings(kv_cache_dtype=kind)
    together = texts(engine.batch(settings), requests)
    assert together == [texts(engine.batch(settings), [each])[0] for each in requests]
    alone = engine.complete(ids, replace(requests[0].sampling))
    assert together[0] == "".join(event.text for event in alone)
    drafting = engine.batch(replace(settings, draft_tokens=3))
    again = [replace(each, id=f"{each.id} again") for each in requests]
    assert texts(drafting, requests) == together == texts(drafting, again)
    assert drafting.scheduler.shared_tokens > len(ids)


def test_keys_and_values_in_int8_take_half_the_memory(engine: StepEngine) -> None:
    """But for the scales: two bytes for each head of 16 numbers here."""
    plain, rounded = (
        engine.batch(BatchSettings(kv_cache_dtype=kind, cache_bytes=2**16)).pages.num_pages
        for kind in ("auto", "int8")
    )
    assert rounded == plain * 32 // 18


def test_where_keys_and_values_can_not_be_in_int8_it_is_said_why(
    model: Path, tmp_path: Path
) -> None:
    exact = Engine(*open_in("float32", model, NATIVE))
    assert with_kv_cache(exact, "auto") is exact
    with pytest.raises(ConfigError, match="not written in int8 by the compiled step") as refused:
        with_kv_cache(exact, "int8")
    assert "`precision` int8" in refused.value.fix
    by_torch = Engine(*open_in("int8", model, NATIVE), draft_tokens=2)
    wrapped = with_kv_cache(by_torch, "int8")
    assert isinstance(wrapped, StepEngine) and wrapped.draft_tokens == 2
    assert wrapped.opened is by_torch.opened and wrapped.chats
    narrow = LanguageModel(replace(SHAPE, head_width=24, num_heads=4, num_kv_heads=2))
    initialise(narrow, torch.Generator().manual_seed(0))
    save_model(narrow, tmp_path / "narrow", train_tokenizer([TEXT * 9], 300))
    with pytest.raises(ConfigError, match="24 numbers, no multiple of 16"):
        with_kv_cache(Engine(*open_in("int8", tmp_path / "narrow", NATIVE)), "int8")
    with pytest.raises(ConfigError, match="can't be combined"):
        BatchSettings(kv_cache_dtype="int8", reproducible=True)
    with pytest.raises(ConfigError, match="compiled step in int8 alone"):
        BatchEngine(
            exact.language_model(), exact.tokenizer, NATIVE, BatchSettings(kv_cache_dtype="int8")
        )


def test_logits_of_a_step_stay_as_they_are_in_the_next_on_the_same_pages(
    engine: StepEngine,
) -> None:
    store = ArrayPages(SHAPE, 2, 16, np.dtype(cache_numbers(engine.step.described.kind)))
    first = engine.step.after_spans([5], store, [TokenSpan([1], 0, 1)], [0])
    kept = first.copy()
    second = engine.step.after_spans([6], store, [TokenSpan([1], 1, 1)], [0])
    alone = engine.step.after_spans([5, 6], store, [TokenSpan([0], 0, 2)], [0, 1])
    assert (first == kept).all() and (alone == [*first, *second]).all()
    assert not (second == first).all()


def test_what_is_no_answer_opens_the_model_with_torch_once(model: Path) -> None:
    opened = []

    def whole() -> tuple:
        opened.append(open_to_write(model, NATIVE))
        return opened[-1]

    engine = open_step_engine(model, whole)
    assert engine is not None and engine.path == model and engine.config == SHAPE
    assert engine.decodes_with == "compiled step" and engine.chats and not opened
    assert isinstance(engine.language_model(), LanguageModel)
    assert engine.embed(["To be"]).shape == (1, SHAPE.width) and len(opened) == 1
    with pytest.raises(ModelError, match="no tokens"):
        engine.complete([], Sampling())


def change_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    key = next(key for key in config if isinstance(config[key], dict))
    config[key]["norm_eps"] = 0.5
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (packed_folder(folder, "int8") / "manifest.json").write_text("{"),
        lambda folder: os.truncate(packed_folder(folder, "int8") / "model.safetensors", 500),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        change_config,
    ],
)
def test_what_is_damaged_or_of_another_model_is_left_to_who_says_so(
    model: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(model), str(copy)], check=True)
    assert open_step_engine(copy, unused) is not None
    change(copy)
    assert open_step_engine(copy, unused) is None


@pytest.mark.parametrize(("width", "base"), [(64, 10_000.0), (32, 100_000.0), (128, 500_000.0)])
def test_rotations_are_those_of_the_model(width: int, base: float) -> None:
    expected = positions.rotary_frequencies(width, base).numpy()
    assert rotary_frequencies(width, base, None) == pytest.approx(expected, rel=3e-7)


CODE = """
import sys
from groundup.engine import step_engine
step_engine.processor_line = lambda *names: "flags: bf16"
step_engine.may_have_gpu = lambda: False
from groundup.cli.main import run
assert run(sys.argv[1:]) == 0
print("torch" in sys.modules, "numba" in sys.modules)
"""


@pytest.mark.parametrize(
    "verb",
    [
        ["chat", "MODEL"],
        ["generate", "MODEL", TEXT, "--stats"],
        ["generate", "MODEL", TEXT, "--kv-cache-dtype", "int8"],
    ],
)
def test_verbs_that_write_do_not_import_torch(model: Path, verb: list[str]) -> None:
    args = [str(model) if word == "MODEL" else word for word in verb] + ["--max-tokens", "4"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *args],
        input="To be\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1:] == ["False False"], done.stderr
    assert "Answers are written in int8" in done.stderr


SERVED = """
import http.client, json, os, sys, threading
from groundup.engine import step_engine
step_engine.processor_line = lambda *names: "flags: bf16"
step_engine.may_have_gpu = lambda: False
from groundup.cli import serve
from groundup.cli.main import run

LATER = ("torch", "numba", "jinja2", "jaxtyping", "regex", "tiktoken", "unittest")
ROOMS = ("actions", "data", "packs", "retrieve")

def asked(address):
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    body = {"model": "tiny", "prompt": "To be", "max_tokens": 4, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body))
    text = connection.getresponse().read().decode()
    rooms = [f"groundup.{room}." for room in ROOMS]
    found = [name for name in sys.modules if name in LATER or name.startswith(tuple(rooms))]
    connection.request("POST", "/api/show", json.dumps({"model": "tiny"}))
    shown = "template" in json.load(connection.getresponse()) and "torch" not in sys.modules
    print(json.dumps([text.count("data: "), sorted(found), shown]), flush=True)
    os._exit(0)

serve.greet = lambda address, *_, **__: threading.Thread(target=asked, args=[address]).start()
run(sys.argv[1:])
"""


def test_a_server_without_an_index_imports_no_torch_and_nothing_that_answers_from_documents(
    model: Path,
) -> None:
    args = ["serve", f"tiny={model}", "--port", "0", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", SERVED, *args], capture_output=True, text=True, timeout=300
    )
    pieces, imported, is_shown = json.loads(done.stdout.splitlines()[-1])
    assert pieces >= 2 and is_shown, done.stderr
    assert imported == ["groundup.retrieve.caller", "groundup.retrieve.index_folders"]


@pytest.mark.parametrize(
    ("keep_alive_s", "memory_bytes", "is_opened"),
    [(300.0, 2**40, True), (0.0, 2**40, False), (300.0, 2**20, False), (1e-6, 2**40, False)],
)
def test_a_server_opens_ahead_what_its_first_request_asks_for(
    model: Path, keep_alive_s: float, memory_bytes: int, is_opened: bool
) -> None:
    """Not where nothing is kept, or it does not fit; and not for ever."""
    worker, info = Worker(8), read_model_info(model)
    models = LoadedModels(
        worker,
        unused,
        None,
        keep_alive_s=keep_alive_s,
        memory_bytes=memory_bytes,
        settings=BatchSettings(),
    )
    models.by_step = True  # torch is loaded here
    models.open_ahead(info)
    models.unload_expired()
    ahead = models._ahead
    assert (ahead is not None) == is_opened
    if ahead is not None:

        async def lease() -> Engine:
            async with models.lease("tiny", info, None) as loaded:
                return loaded.engine

        assert asyncio.run(lease()) is ahead.engine.result() and models._ahead is None
    worker.close()


@pytest.mark.parametrize(
    ("kind", "base", "precision", "is_refused"),
    [
        ("language", None, "int8", False),
        ("classifier", None, "float32", False),
        ("language", None, "float32", True),
        ("language", Path("base"), None, True),
    ],
)
def test_a_server_refuses_at_its_start_whose_keys_and_values_can_not_be_in_int8(
    model: Path, kind: str, base: Path | None, precision: str | None, is_refused: bool
) -> None:
    worker = Worker(8)
    models = LoadedModels(
        worker,
        unused,
        precision,
        keep_alive_s=9.0,
        memory_bytes=2**40,
        settings=BatchSettings(kv_cache_dtype="int8"),
    )
    info = replace(read_model_info(model), kind=kind, base=base)
    if is_refused:
        with pytest.raises(ConfigError, match="can't be kept in int8"):
            models.require_kv_cache(info)
    else:
        models.require_kv_cache(info)
    worker.close()
