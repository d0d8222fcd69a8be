"""The precision that is asked for is the one that answers; "auto" measures once; coarser numbers cost a bounded quality."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F

from groundup.device import Compute
from groundup.engine import precision
from groundup.engine.batch import BatchEngine, generate_answers
from groundup.engine.events import ChatEvent
from groundup.engine.generate import generate_ids
from groundup.engine.precision import (
    Precision,
    PrecisionChoice,
    as_precision_choice,
    emulation_note,
    fastest,
    fingerprint,
    open_in,
)
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.scheduler import STEP_TOKENS
from groundup.errors import ConfigError
from groundup.files import cache_folder
from groundup.kernels import probe, step_check
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.matmul_precision import ProductTimes
from groundup.model.quantised import Int4Linear, Int8Linear
from groundup.progress import Silent
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import OpenModel, open_model, save_model

CPU = Compute(torch.device("cpu"))
SMOLLM2 = cache_folder("models") / "smollm2-135m-instruct"
# Printed for docs/log.md, and what a change must not push over.
MOST_LOSS, LEAST_AGREEMENT = 0.03, {"bf16": 0.93, "int8": 0.9, "int4": 0.9}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = LanguageModel(ModelConfig(192, 64, 64, 2, 2, 128))
    initialise(made, torch.Generator().manual_seed(0))
    save_model(made, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("choice", "dtype", "kind"),
    [
        ("float32", torch.float32, torch.nn.Linear),
        ("bf16", torch.bfloat16, torch.nn.Linear),
        ("int8", torch.bfloat16, Int8Linear),
        ("int4", torch.bfloat16, Int4Linear),
    ],
)
def test_a_model_answers_in_the_precision_asked_for(
    folder: Path, choice: PrecisionChoice, dtype: torch.dtype, kind: type[torch.nn.Module]
) -> None:
    opened, compute = open_in(choice, folder, CPU)
    assert compute.dtype == dtype and next(opened.model.parameters()).dtype == dtype
    assert isinstance(opened.model.transformer.block(0).feedforward.up, kind)


@pytest.mark.parametrize("choice", get_args(Precision))
def test_prompts_from_one_token_to_the_whole_context_are_answered_alone_and_mixed(
    tmp_path: Path, choice: PrecisionChoice
) -> None:
    """Longer ones than a step takes have pieces in which no token is chosen."""
    made = LanguageModel(ModelConfig(384, 3 * STEP_TOKENS, 64, 1, 2, 64))
    initialise(made, torch.Generator().manual_seed(0))
    save_model(made, tmp_path / "model", train_tokenizer(["To be or not to be. " * 9], 384))
    opened, compute = open_in(choice, tmp_path / "model", CPU)
    lengths = (1, 2, STEP_TOKENS, STEP_TOKENS + 1, 2 * STEP_TOKENS + 1, 3 * STEP_TOKENS - 1)
    requests = [
        Request(str(n), tuple(i % 250 for i in range(n)), Sampling(max_tokens=2)) for n in lengths
    ]
    for together in (*([request] for request in requests), requests):
        engine = BatchEngine(opened.model, opened.require_tokenizer(), compute)
        for request in together:
            engine.submit(request)
        ended = []
        while engine.busy:
            ended += [
                name
                for name, event in engine.step()
                if isinstance(event, ChatEvent) and event.finish_reason
            ]
        assert sorted(ended) == sorted(request.id for request in together)


def test_an_unknown_precision_is_one_sentence_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="int7") as refused:
        as_precision_choice("int7")
    assert "int" in (refused.value.fix or "")


def test_auto_measures_once_and_remembers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    has = replace(CPU, native_bf16=True)
    first, _ = open_in("auto", folder, has)
    record = tmp_path / "precision" / f"{fingerprint(first.config)}.json"
    record.write_text('{"precision": "bf16"}')
    monkeypatch.setattr(precision, "_token_s", None)  # it would be called
    read: list[torch.dtype] = []

    def noted(name: Path, compute: Compute, **options: Any) -> OpenModel:
        read.append(compute.dtype)
        return open_model(name, compute, **options)

    monkeypatch.setattr(precision, "open_model", noted)
    assert open_in("auto", folder, has)[1].dtype == torch.bfloat16
    assert read == [torch.bfloat16]  # not in float32 first


def test_without_bf16_in_the_processor_auto_is_float32_and_the_others_are_warned_of(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_token_s", None)  # it would be called
    monkeypatch.setattr(precision, "product_times", lambda *_: ProductTimes(0.0003, 0.012))
    lines: list[str] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            lines.append(text)

    without = replace(CPU, native_bf16=False)
    assert open_in("auto", folder, without, progress=Heard())[1].dtype == torch.float32
    assert open_in("bf16", folder, without, progress=Heard())[1].dtype == torch.bfloat16
    figure = "this processor has no bf16, a matrix product takes 12 ms in bf16 and 0.3 ms in float32 (40 times as long)"
    assert lines == [
        f"Precision auto: float32, as {figure}.",
        f"Precision bf16: {figure}, so prompts take several times as long; use precision float32.",
    ]
    assert not emulation_note("float32", without) and not emulation_note(
        "int8", replace(CPU, native_bf16=True)
    )


def test_auto_takes_coarser_numbers_only_where_they_are_clearly_faster() -> None:
    assert fastest({"float32": 1.0, "bf16": 0.95, "int8": 0.97}) == "float32"
    assert fastest({"float32": 1.0, "bf16": 0.5, "int8": 0.49}) == "bf16"


@pytest.mark.skipif(not SMOLLM2.exists(), reason="SmolLM2 was not pulled")
@pytest.mark.slow
def test_coarser_numbers_cost_little_on_a_real_model() -> None:
    text = Path(precision.__file__).parents[2].joinpath("LICENSE").read_text()[:2000]
    found: dict[str, torch.Tensor] = {}
    for choice in ("float32", "bf16", "int8", "int4"):
        opened, _ = open_in(as_precision_choice(choice), SMOLLM2, CPU)
        ids = torch.tensor([opened.require_tokenizer().encode(text)])
        assert isinstance(opened.model, LanguageModel)
        with torch.inference_mode():
            found[choice] = opened.model(ids)[0].float()
    exact = found["float32"]
    for choice, logits in found.items():
        loss = float(F.cross_entropy(logits[:-1], ids[0, 1:]))
        agreement = float((logits.argmax(-1) == exact.argmax(-1)).float().mean())
        print(
            f"{choice}: {loss:.4f} nats per token, first choice as in float32 {agreement:.1%}, n = {ids.shape[1]}"
        )
        assert loss < float(F.cross_entropy(exact[:-1], ids[0, 1:])) + MOST_LOSS
        assert agreement >= LEAST_AGREEMENT.get(choice, 1.0)


def test_in_int8_single_tokens_go_through_the_compiled_step_alone_and_in_a_batch(
    tmp_path: Path,
) -> None:
    """The texts are those of torch's step, after prompts that torch reads, since logits are far apart. Short prompts go through the compiled one."""
    pytest.importorskip("numba")
    made = LanguageModel(ModelConfig(384, 64, 64, 2, 4, 64, 2, 16))
    initialise(made, torch.Generator().manual_seed(0), deviation=0.3)
    save_model(made, tmp_path / "model", train_tokenizer(["To be or not to be. " * 9], 384))
    lines: list[str] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            lines.append(text)

    opened, compute = open_in("int8", tmp_path / "model", CPU, progress=Heard())
    assert lines[-1].startswith("Decoding with the compiled step") and isinstance(
        opened.model, LanguageModel
    )
    step, steps = opened.model.decode_step, []
    assert step is not None and copy.deepcopy(opened.model).decode_step is None

    class Counted:
        max_rows = step.max_rows
        takes_prompts = False  # otherwise prompts are computed by it, too

        def after_cache(
            self, ids: torch.Tensor, cache: KVCache, positions: Sequence[int] | None = None
        ) -> torch.Tensor:
            steps.append(ids.numel())
            return step.after_cache(ids, cache, positions)

        def after_spans(
            self,
            ids: Sequence[int],
            store: PagedStore,
            spans: Sequence[TokenSpan],
            positions: Sequence[int],
        ) -> torch.Tensor:
            steps.append(len(ids))
            return step.after_spans(ids, store, spans, positions)

    greedy, prompts = (
        Sampling(max_tokens=6, temperature=0),
        [[5, 7, 9] * 12, [11, 3] * 17, [40] * 33],
    )
    model, tokenizer = opened.model, opened.require_tokenizer()

    def texts() -> list[str]:
        alone = [
            tokenizer.decode(list(generate_ids(model, ids, greedy, (), compute=compute)))
            for ids in prompts
        ]
        return alone + generate_answers(prompts, model, tokenizer, greedy, compute=compute)

    model.decode_step = Counted()
    compiled_texts = texts()
    assert steps[:15] == [1] * 15 and 3 in steps[15:]
    list(generate_ids(model, [5, 7, 9], greedy, (), compute=compute))
    assert steps[-6:] == [3, 1, 1, 1, 1, 1]
    model.decode_step = None
    assert compiled_texts == texts()


def test_without_numba_or_with_a_wrong_product_torch_decodes_and_the_reason_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    lines: list[str] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            lines.append(text)

    monkeypatch.setattr(step_check, "probe_error", lambda bits, cache: float("nan"))
    wrong, _ = open_in("int8", folder, CPU, progress=Heard())
    monkeypatch.setattr(probe, "has_compiler", lambda: False)
    without, _ = open_in("int8", folder, CPU, progress=Heard())
    assert (
        "wrong on this processor" in lines[0] and "groundup[fast]" in lines[1] and len(lines) == 2
    )
    assert wrong.model.decode_step is None and without.model.decode_step is None
