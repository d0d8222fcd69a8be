"""The compiled decoding step computes what its readable twin does: part by part, whole, for every family, on one thread and on several."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from groundup.device import Compute
from groundup.engine.batch import generate_answers
from groundup.engine.generate import generate_ids, prefill
from groundup.engine.precision import PrecisionChoice, open_in
from groundup.engine.runner import ArrayPages
from groundup.engine.sampling import Sampling
from groundup.files import cache_folder
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.lora import add_lora
from groundup.model.positions import RopeScaling
from groundup.model.quantised import FEW_ROWS, Bits, add_torch_order, quantise
from groundup.progress import Silent
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import save_model

pytest.importorskip("numba")
import numba

from groundup.kernels import (
    array_step,
    float_products,
    int4_products,
    machine_code,
    products,
    readable_step,
    step_attention,
    step_check,
    step_parts,
)
from groundup.kernels.array_step import ArrayCache, ArrayStep, _Workers
from groundup.kernels.decode_step import UNPACK_INT8, CompiledStep, Unpacked, let_unpack
from groundup.kernels.machine_code import (
    CodeFolder,
    Fixed,
    MachineCode,
    UnknownCode,
    code_folder,
    keep_code,
    read_code,
)
from groundup.kernels.module_arrays import FLOATS, unsupported_model
from groundup.kernels.probe import FirstStep, use_compiled_step, use_step_when_needed
from groundup.kernels.step_check import MAX_ERROR, probe_error
from groundup.kernels.step_memory import thread_buffers
from groundup.kernels.step_shape import CacheKind, Kind, UnsupportedModel
from groundup.kernels.step_weights import StepModel

SMOLLM2 = cache_folder("models") / "smollm2-135m-instruct"
LLAMA = ModelConfig(192, 32, 64, 2, 4, 128, 2, 16)
FAMILIES = {
    "llama": LLAMA,
    "llama3, own head": replace(LLAMA, rope_scaling=RopeScaling(8.0, original_context_tokens=16), tied_head=False),
    "yarn": replace(LLAMA, rope_scaling=RopeScaling(4.0, kind="yarn", original_context_tokens=16)),
    "qwen2": replace(LLAMA, attention_bias=True, attention_output_bias=True, feedforward_bias=True),
    "qwen2.5": ModelConfig(192, 32, 448, 1, 14, 128, 2, 32, attention_bias=True, tied_head=False),
    "qwen3": replace(LLAMA, qk_norm="head", head_width=32),
    "smollm3": replace(LLAMA, unrotated_every=2),
    "mistral": replace(LLAMA, window_tokens=4),
    "gemma2": replace(
        LLAMA, block="sandwich", feedforward="geglu", window_tokens=4, full_every=2, scaled_embedding=True, score_softcap=5.0,
        logit_softcap=3.0, score_width=32,
    ),
    "gemma3": replace(
        LLAMA, block="sandwich", feedforward="geglu", qk_norm="head", window_tokens=4, full_every=2, window_rope_base=100.0,
    ),
    "gpt2": replace(
        LLAMA, norm="layer", positions="learned", feedforward="gelu", attention_bias=True, attention_output_bias=True, feedforward_bias=True,
    ),
    "olmo2": replace(LLAMA, block="output", qk_norm="projection"),
}  # fmt: skip
int4_rows = cache(int4_products.int4_rows)
PROMPT, NEW = [1, 5, 9, 33, 7, 101], [17, 2, 40, 8]


def model_of(config: ModelConfig, kind: Kind = "int8") -> LanguageModel:
    """Large random weights, so that norms, rotations and caps matter; biases and norms random, too."""
    made, random = LanguageModel(config), torch.Generator().manual_seed(0)
    initialise(made, random, deviation=0.15)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=random)
    if kind == "int8" or kind == "int4":
        quantise(made.bfloat16(), kind)
        return made
    return made.to(next(dtype for dtype, name in FLOATS.items() if name == kind))


def prefilled(model: LanguageModel, rows: int = 1) -> KVCache:
    cache = KVCache(model.config, rows, 16, dtype=model.transformer.embedding.weight.dtype)
    model.hidden(torch.tensor([PROMPT] * rows), cache=cache)
    return cache


@torch.inference_mode()
def compiled_logits(model: LanguageModel) -> torch.Tensor:
    step, cache = CompiledStep(StepModel.of(model)), prefilled(model)
    return torch.cat([step.after_cache(torch.tensor([[token]]), cache) for token in NEW])


@torch.inference_mode()
def readable_logits(model: LanguageModel) -> torch.Tensor:
    described, cache = StepModel.of(model), prefilled(model)
    keys, values = (
        each[:, 0].float().transpose(1, 2).contiguous().numpy()
        for each in (cache.keys, cache.values)
    )
    positions = cache.length + torch.arange(len(NEW))[None]
    rows = model.transformer.embed(torch.tensor([NEW]), positions)[0].float().numpy()
    places = enumerate(rows, cache.length)
    return torch.tensor(
        np.stack(
            [readable_step.readable_step(described, row, t, keys, values) for t, row in places]
        )
    )


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_compiled_step_is_the_readable_one_for_every_family(family: str) -> None:
    """Within what a key or an activation that is rounded the other way changes: sums are taken in another order."""
    model = model_of(FAMILIES[family])
    assert off(compiled_logits(model), readable_logits(model)) < 2e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_readable_step_is_the_model_with_coarser_numbers(family: str) -> None:
    """Against torch in float32, with the weights as they were rounded: only activations and the cache are rounded."""
    model = model_of(FAMILIES[family])
    exact = model_of(FAMILIES[family], kind="float32")
    for name, part in model.named_modules():
        if hasattr(part, "scales") and name != "head":
            exact.get_submodule(name).weight = torch.nn.Parameter(
                part.numbers.float() * part.scales.float()[:, None]
            )
    with torch.inference_mode():
        logits = exact(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :]
    assert off(readable_logits(model), logits) < 0.06


@pytest.mark.parametrize("family", FAMILIES)
def test_in_float32_the_compiled_step_is_torchs_for_every_family(family: str) -> None:
    """And the readable one; sums are taken in another order."""
    model = model_of(FAMILIES[family], "float32")
    with torch.inference_mode():
        logits = model(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :]
    assert off(compiled_logits(model), logits) < 3e-5
    assert off(readable_logits(model), logits) < 3e-5


@pytest.mark.parametrize(
    ("kind", "most"), [("bf16", 0.02), pytest.param("float16", 2e-3, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("family", ["llama", "qwen2.5", "gemma3", "gpt2"])
def test_in_16_bits_the_compiled_step_is_near_float32_with_the_same_weights(
    family: str, kind: Kind, most: float
) -> None:
    """Only keys and values are rounded, and in torch everything: it is farther from float32."""
    model = model_of(FAMILIES[family], kind)
    exact = deepcopy(model).float()
    with torch.inference_mode():
        logits = exact(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :]
        rounded = model(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :].float()
    found = compiled_logits(model)
    assert off(found, readable_logits(model)) < 2e-3
    assert off(found, logits) < min(most, off(rounded, logits))


@torch.inference_mode()
def test_sizes_that_are_no_whole_blocks_are_decoded_in_float32() -> None:
    """Rows and columns are left after the last block of a matrix: of the vocabulary, of the gate, of the inputs."""
    config = ModelConfig(203, 32, 36, 2, 2, 59, 1, 18, block="sandwich", logit_softcap=3.0)
    model = model_of(config, "float32")
    logits = model(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :]
    step = CompiledStep(StepModel.of(model))
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            found = step.after_cache(torch.tensor([NEW]), prefilled(model))
        finally:
            torch.set_num_threads(1)
        assert off(found, logits) < 3e-5, threads


@pytest.mark.parametrize("kind", ["float32", "bf16"])
def test_a_model_opened_in_float32_or_bf16_writes_what_torch_does(
    tmp_path: Path, kind: PrecisionChoice
) -> None:
    """From its first use on by the compiled step, alone and in a batch, after prompts of all lengths; torch where the step fails."""
    made = model_of(replace(LLAMA, vocab_size=384, context_tokens=96), "float32")
    save_model(made, tmp_path / "model", train_tokenizer(["To be or not to be. " * 9], 384))
    opened, compute = open_in(kind, tmp_path / "model", Compute(torch.device("cpu")))
    model, greedy = opened.model, Sampling(temperature=0, max_tokens=24)
    assert isinstance(model, LanguageModel) and isinstance(model.decode_step, FirstStep)
    prompts = [[1 + each, *PROMPT] * (1 + 2 * each) for each in range(4)]

    def answers() -> list[Any]:
        alone = [list(generate_ids(model, ids, greedy, (), compute=compute)) for ids in prompts]
        given = (model, opened.require_tokenizer(), greedy)
        return [*alone, generate_answers(prompts, *given, compute=compute)]

    found, step = answers(), model.decode_step
    assert isinstance(step, CompiledStep) and deepcopy(model).decode_step is None
    model.decode_step = None
    by_torch = answers()
    if kind == "float32":
        assert found == by_torch


def test_a_step_that_fails_at_its_first_use_leaves_the_answer_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard, greedy = Heard(), Sampling(temperature=0, max_tokens=4)
    monkeypatch.setattr("groundup.kernels.step_check.probe_error", lambda kind, cache: float("nan"))
    texts, compute = [], Compute(torch.device("cpu"))
    for model in (model_of(LLAMA, "float32") for _ in range(2)):
        if texts:
            use_step_when_needed(model, heard)
            assert isinstance(model.decode_step, FirstStep)
        texts.append(list(generate_ids(model, PROMPT, greedy, (), compute=compute)))
    store = PagedStore(LLAMA, 8, 4)
    expected = model_of(LLAMA, "float32")(torch.tensor([PROMPT]))[0, [5]]
    other = model_of(LLAMA, "float32")
    use_step_when_needed(other, heard)
    assert other.decode_step is not None
    with torch.inference_mode():
        found = other.decode_step.after_spans(PROMPT, store, [TokenSpan([3, 1], 0, 6)], [5])
    assert torch.allclose(found, expected, atol=1e-4) and other.decode_step is None
    assert texts[0] == texts[1] and model.decode_step is None
    assert len(heard.lines) == 2 and "wrong on this processor" in heard.lines[0]


def test_a_model_with_an_adapter_or_of_several_dtypes_is_not_given_the_step() -> None:
    adapted, mixed = (model_of(LLAMA, "float32") for _ in range(2))
    add_lora(adapted, rank=2, alpha=4.0, generator=torch.Generator(), targets=("query",))
    mixed.transformer.block(1).attention.query.bfloat16()
    for model, reason in ((adapted, "adapter"), (mixed, "several dtypes")):
        use_step_when_needed(model, Silent())
        assert model.decode_step is None and reason in unsupported_model(model)


@pytest.mark.parametrize(
    "form", range(step_parts.FORM + 1), ids=["portable", "avx2", "vnni"][: step_parts.FORM + 1]
)
@pytest.mark.parametrize("vectors", [1, 2, 4])
def test_products_in_every_form_are_those_of_numpy(form: int, vectors: int) -> None:
    """Of 8 rows, with the extreme weights and activations among them: in 8 bits to the last one, in 4 bits the same bits in every form."""
    random, columns = np.random.default_rng(0), 640
    x = random.integers(-3000, 3000, (vectors, columns)).astype(np.int16)
    x[:, :3] = step_parts.MOST, -step_parts.MOST, 127
    weights, found = (
        random.integers(-127, 128, (8, columns)).astype(np.int8),
        np.empty((vectors, 8), np.int32),
    )
    weights[0] = 127
    run_product(
        products.int8_rows(form, vectors), weights, columns, x, x.strides[0], columns, found
    )
    assert np.array_equal(found, x.astype(np.int64) @ weights.T)
    numbers, groups = random.integers(0, 16, (8, columns)), columns // 32
    numbers[0], x[:, 32:64], x[:, 64:96] = (
        15,
        -128,
        -step_parts.MOST,
    )  # bytes -128, and -127 and -127
    halves = numbers.reshape(8, groups, 2, 4, 4).astype(np.uint8)
    packed = np.ascontiguousarray((halves[:, :, 0] | halves[:, :, 1] << 4).transpose(1, 2, 0, 3))
    pairs = torch.tensor(random.normal(size=(groups, 8, 2))).bfloat16()
    totals, split = (
        np.empty((vectors, groups), np.float32),
        np.empty((vectors, groups, 2, 32), np.int8),
    )
    run_product(int4_products.split_groups, x, vectors * groups, split, totals)
    high, low = split.astype(np.int32).transpose(2, 0, 1, 3)
    assert np.array_equal((256 * high + low).reshape(x.shape), x)
    assert np.array_equal(totals, x.reshape(vectors, groups, 32).sum(-1, dtype=np.int32))
    found4, portable = (np.empty((vectors, 8), np.float32) for _ in range(2))
    for which, given, out in (
        (form, split if form else x, found4),
        (products.PORTABLE, x, portable),
    ):
        rest = (given, given.strides[0], totals, groups, out)
        run_product(int4_rows(which, vectors), packed, pairs.view(torch.int16).numpy(), *rest)
    scales, offsets = pairs.double().numpy().transpose(2, 1, 0)
    unpacked = (numbers.reshape(8, groups, 32) - 8) * scales[..., None] + offsets[..., None]
    assert np.allclose(
        found4, x.astype(np.float64) @ unpacked.reshape(8, columns).T, rtol=1e-4, atol=0.5
    )
    assert np.array_equal(found4, portable)


def run_product(product: Any, *given: Any) -> None:
    """Call a product with the addresses of arrays, and counts."""
    numbers = [each.ctypes.data if isinstance(each, np.ndarray) else each for each in given]
    callable_of(product, len(given))(*map(np.uint64, numbers))


@cache
def callable_of(product: Any, count: int) -> Any:
    """A product of so many parameters, compiled once: the same one is called beside each form."""
    parameters = ", ".join(f"a{place}" for place in range(count))
    names: dict[str, Any] = {"product": product}
    exec(f"def call({parameters}):\n    product({parameters})", names)
    return numba.njit(names["call"])


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gemma2", "gpt2"])
def test_with_keys_and_values_in_int8_the_compiled_step_is_the_readable_one(family: str) -> None:
    """Alone and in pages, on one thread and on two, token by token and together: the same bits."""
    model = model_of(replace(FAMILIES[family], head_width=48))
    described, tokens = StepModel.of(model), np.array(PROMPT + NEW)
    step, count = ArrayStep(described), len(PROMPT + NEW)
    shape = (model.config.num_layers, count, model.config.num_kv_heads, 48)
    keys, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rows = described.embed(tokens, np.arange(count))
    expected = np.stack(
        [
            readable_step.readable_step(described, row, place, keys, values, "int8")
            for place, row in enumerate(rows)
        ]
    )
    cache = ArrayCache(described, model.config, 16, "int8")
    found = step.after_cache(tokens[None], cache)
    assert np.abs(found - expected).max() < 5e-3 * np.abs(expected).max()
    assert not np.array_equal(found, step.after_cache(tokens[None], plain_cache(described, model)))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            cache.shorten(0)
            alone = [
                step.after_cache(tokens[None, place : place + 1], cache) for place in range(count)
            ]
            store = ArrayPages(model.config, 8, 4, np.dtype(np.int8))
            step.after_spans(tokens[:7], store, [TokenSpan([3, 1, 6], 0, 7)], [])
            spans = [TokenSpan([3, 1, 6], 7, 3), TokenSpan([5], 0, 2)]
            paged = step.after_spans([*tokens[7:], *tokens[:2]], store, spans, range(5))
        finally:
            torch.set_num_threads(1)
        assert np.array_equal(np.concatenate(alone), found), threads
        assert np.array_equal(paged, found[[7, 8, 9, 0, 1]]), threads


def plain_cache(described: StepModel, model: LanguageModel) -> ArrayCache:
    return ArrayCache(described, model.config, 16)


@pytest.mark.parametrize(
    "form", range(step_parts.FORM + 1), ids=["portable", "avx2", "vnni"][: step_parts.FORM + 1]
)
@pytest.mark.parametrize(("queries", "count"), [(1, 1), (1, 8), (1, 21), (3, 21), (4, 9)])
def test_scores_of_int8_keys_in_every_form_are_those_of_numpy(
    form: int, queries: int, count: int
) -> None:
    """With the extreme numbers among them, in whole eights and with a rest."""
    random, width = np.random.default_rng(0), 80
    keys = random.integers(-127, 128, (30, width + 2)).astype(np.int8)
    query = random.integers(-3000, 3000, (queries, width)).astype(np.int16)
    keys[:4], query[0, :2] = 127, (step_parts.MOST, -step_parts.MOST)
    rows = random.permutation(30)[:count]
    starts, found = rows * (width + 2), np.zeros((queries, -(-count // 8) * 8), np.float32)
    dots = float_products.int8_dots(form, queries)

    @numba.njit
    def call(keys: Any, *given: Any) -> None:
        dots(keys, *given)

    arrays = (starts.ctypes.data, query.ctypes.data, query.strides[0])
    given = (*arrays, width, count, found.ctypes.data, found.strides[0])
    call(keys.reshape(-1), *map(np.uint64, given))
    assert np.array_equal(found[:, :count], query @ keys[rows, :width].astype(np.int64).T)


@pytest.mark.parametrize(
    ("dtype", "eights", "queries", "count"),
    [(np.float32, 2, 1, 1), (np.float32, 8, 4, 9), (np.uint16, 2, 1, 8), (np.uint16, 8, 3, 21)],
)
def test_scores_of_float_keys_are_those_of_numpy(
    dtype: type, eights: int, queries: int, count: int
) -> None:
    """Of whole numbers, so that no sum is rounded; each is added to what is there."""
    random, width = np.random.default_rng(0), 8 * eights
    keys = random.integers(-9, 10, (30, width + 4)).astype(np.float32)
    query = random.integers(-9, 10, (queries, width)).astype(np.float32)
    rows, room = random.permutation(30)[:count], -(-count // 8) * 8
    starts, found = rows * (width + 4), np.full((queries, room), 5, np.float32)
    dots = float_products.dots(eights, queries)

    @numba.njit
    def call(keys: Any, *given: Any) -> None:
        dots(keys, *given)

    stored = keys if dtype is np.float32 else (keys.view(np.uint32) >> 16).astype(np.uint16)
    arrays = (2, starts.ctypes.data, query.ctypes.data, query.strides[0])
    given = (*arrays, count, found.ctypes.data, found.strides[0])
    call(stored.reshape(-1), *map(np.uint64, given))
    assert np.array_equal(found[:, :count], 5 + query @ keys[rows, 2 : width + 2].T)


@pytest.mark.parametrize("of_sizes", [False, True])
def test_the_largest_number_is_that_of_numpy(of_sizes: bool) -> None:
    """At every place of each number of registers and what is left, beside NaN too."""
    largest = float_products.largest(of_sizes)

    @numba.njit
    def call(*given: Any) -> Any:
        return largest(*given)

    numbers = -np.random.default_rng(0).random(200).astype(np.float32)
    for count in (1, 7, 64, 65, 131, 200):
        for place in range(count):
            some = numbers[:count].copy()
            some[place] = 3.0
            if place:
                some[1:place:2] = np.nan
            assert call(np.uint64(some.ctypes.data), np.uint64(count)) == 3.0
            some[place] = -4.0
            expected = np.nanmax(np.abs(some) if of_sizes else some)
            assert call(np.uint64(some.ctypes.data), np.uint64(count)) == expected


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen2.5", "gemma2"])
def test_in_4_bits_the_compiled_step_is_the_readable_one(family: str) -> None:
    """And the readable one's matrices are those that torch's kernel multiplies with, and those that are unpacked for prompts."""
    model = model_of(replace(FAMILIES[family], head_width=32), "int4")
    assert off(compiled_logits(model), readable_logits(model)) < 2e-3
    linear = model.transformer.block(0).feedforward.down
    eye = torch.eye(linear.shape[1], dtype=torch.bfloat16)
    add_torch_order(model)
    with torch.inference_mode():
        product = torch.cat([linear(rows) for rows in eye.split(FEW_ROWS)]).float()
        assert torch.allclose(linear(eye).float(), product, atol=0.02, rtol=0.02)
    bias = 0 if linear.bias is None else linear.bias.float()
    weight = torch.tensor(readable_step.unpack_int4(StepModel.of(model), 6)).T
    assert torch.allclose(product, weight + bias, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("bits", ["int8", "int4"])
@torch.inference_mode()
def test_matrices_unpacked_for_prompts_are_those_of_the_readable_step(bits: Bits) -> None:
    model = model_of(replace(FAMILIES["qwen2"], head_width=32), bits)
    described, x = (
        StepModel.of(model),
        torch.randn(40, 64, generator=torch.Generator().manual_seed(0)).bfloat16(),
    )
    query = model.transformer.block(1).attention.query
    before = query(x)
    let_unpack(described, model)
    for index in (6, 7, 14):
        start, rows = described.weights.matrices[index][[3, 1]]
        if described.weights.matrices[index][5]:
            expected = readable_step.unpack_int4(described, index)
        else:
            expected = (
                described.numbers[index] * described.weights.scales[start : start + rows, None]
            )
        assert np.array_equal(
            Unpacked(described, index, threading.local())().float().numpy(),
            readable_step.round_to_bf16(expected),
        )
    assert off(query(x).float(), before.float()) < 0.02 and deepcopy(query).unpack is None


def test_rows_of_int8_that_are_no_whole_groups_are_unpacked_too() -> None:
    """Not past the caches, for which rows of 64 bytes are needed."""
    numbers = np.arange(-127, 129, dtype=np.int16).astype(np.int8)[:240].reshape(5, 48)
    scales, out = np.linspace(0.1, 0.3, 5, dtype=np.float32), np.empty((5, 48), np.uint16)
    step_parts.unpack_int8(numbers, scales, out)
    expected = readable_step.round_to_bf16(numbers * scales[:, None])
    assert np.array_equal(out.astype(np.uint32) << 16, expected.view(np.uint32))


def test_products_of_extreme_numbers_do_not_overflow() -> None:
    """All weights 127 and all activations alike: the largest sum that there can be."""
    columns = 4096
    for x in (
        np.full(columns, 3.0, np.float32),
        np.full(columns, -3e30, np.float32),
        np.zeros(columns, np.float32),
    ):
        rounded = np.empty((1, columns), np.int16)
        scale = step_parts.round_activations(x, rounded[0])
        weights, out = np.full((8, columns), 127, np.int8), np.empty((1, 8), np.float32)
        matrix = np.array([weights.ctypes.data, 8, columns, 0, -1, 0], np.int64)
        own = thread_buffers(StepModel.of(model_of(LLAMA)).shape, 1, 1)
        own.x_scales[0] = scale
        step_parts.product(matrix, np.ones(8, np.float32), rounded, out, own)
        assert np.allclose(out, 127 * x.sum(dtype=np.float64), rtol=1e-3)


def test_every_kernel_is_its_readable_twin() -> None:
    random = np.random.default_rng(0)
    x, weight, out = (random.normal(size=64).astype(np.float32) for _ in range(3))
    step_parts.rms_norm(x, weight, 1e-5, out)
    assert np.allclose(out, readable_step.rms_norm(x, weight, 1e-5), rtol=1e-5, atol=1e-6)
    integers = np.empty(64, np.int16)
    scale = step_parts.round_activations(x, integers)
    expected, expected_scale = readable_step.round_activations(x)
    assert np.abs(integers - expected).max() <= 1 and np.isclose(scale, expected_scale, rtol=1e-6)
    turned = x.copy()
    step_parts.rotate(turned, np.cos(x[:32]), np.sin(x[:32]))
    assert np.allclose(turned, readable_step.rotate(x, np.cos(x[:32]), np.sin(x[:32])), atol=1e-6)
    for activation in range(3):
        gates = 9 * x
        step_parts.activate(gates, weight, activation)
        expected = readable_step.activate(9 * x, weight, activation)
        assert np.allclose(gates, expected, rtol=1e-4, atol=1e-5)
    step_parts.layer_norm(x, weight, turned, 1e-5, out)
    assert np.allclose(out, readable_step.layer_norm(x, weight, turned, 1e-5), atol=1e-5)
    kept = np.empty(64, np.uint16)
    step_attention.keep_floats(x, kept, 0)
    assert np.array_equal(
        kept.astype(np.uint32) << 16, readable_step.round_to_bf16(x).view(np.uint32)
    )
    kept_int8 = np.zeros(70, np.int8)
    for each in (x, np.zeros(64, np.float32)):
        step_attention.keep_int8(each, kept_int8, 3)
        rounded = readable_step.round_as_cache(each[None], StepModel.of(model_of(LLAMA)), "int8")[0]
        assert np.allclose(kept_int8[3:67] * bf16_number(kept_int8[67:69]), rounded, rtol=1e-6)
    step_attention.keep_int8(np.where(x > 0.5, np.nan, x), kept_int8, 3)
    assert np.isnan(bf16_number(kept_int8[67:69])) and not kept_int8[[0, 1, 2, 69]].any()
    assert np.array_equal(
        readable_step.round_to_bf16(x), torch.tensor(x).bfloat16().float().numpy()
    )


def bf16_number(two_bytes: np.ndarray) -> np.float32:
    wide: np.ndarray = two_bytes.copy().view(np.uint16).astype(np.uint32) << 16
    return np.float32(wide.view(np.float32)[0])


@pytest.mark.parametrize("heads", [3, 4])
@pytest.mark.parametrize(
    ("kind", "stored", "width"),
    [("int8", "auto", 80), ("int8", "int8", 80), ("float32", "auto", 84)],
)
@torch.inference_mode()
def test_heads_that_share_keys_get_together_the_bits_of_each_alone(
    heads: int, kind: Kind, stored: CacheKind, width: int
) -> None:
    """One thread computes them together, two threads one row's by themselves."""
    config = replace(LLAMA, num_heads=heads, num_kv_heads=1, head_width=width)
    described, tokens = StepModel.of(model_of(config, kind)), PROMPT + NEW
    step, found = ArrayStep(described), []
    keys, values = (
        np.zeros((config.num_layers, len(tokens), 1, width), np.float32) for _ in range(2)
    )
    rows = described.embed(np.array(tokens), np.arange(len(tokens)))
    expected = [
        readable_step.readable_step(described, row, place, keys, values, stored)
        for place, row in enumerate(rows)
    ]
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            cache = ArrayCache(described, config, 16, stored)
            found.append([step.after_cache(np.array([[each]]), cache) for each in tokens])
        finally:
            torch.set_num_threads(1)
    assert np.array_equal(*found)
    assert np.abs(found[0] - np.stack(expected)[:, None]).max() < 5e-3 * np.abs(expected).max()


@pytest.mark.parametrize("kind", ["int8", "int4", "float32", "bf16"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "olmo2", "mistral"])
@torch.inference_mode()
def test_successive_tokens_of_a_text_in_one_step_give_the_same_bits_as_one_by_one(
    family: str, kind: Kind
) -> None:
    """On one thread and on two, in a plain cache and in pages: what verifies draft tokens changes no text."""
    model = model_of(replace(FAMILIES[family], head_width=32), kind)
    step, cache, expected = (
        CompiledStep(StepModel.of(model)),
        prefilled(model),
        compiled_logits(model),
    )
    store = PagedStore(model.config, 8, 4, dtype=cache.keys.dtype)
    slots = [12 + t if t < 4 else 4 + t - 4 for t in range(6)]  # pages 3 and 1
    for stored, plain in ((store.keys, cache.keys), (store.values, cache.values)):
        stored.zero_()
        stored[:, slots] = plain[:, 0, :, :6].transpose(1, 2)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            cache.shorten(6)
            assert torch.equal(step.after_cache(torch.tensor([NEW]), cache), expected), threads
            cache.shorten(6)
            assert torch.equal(
                step.after_cache(torch.tensor([NEW]), cache, [3, 1]), expected[[3, 1]]
            ), threads
            spans = [TokenSpan([3, 1, 2], 6, 3), TokenSpan([6], 0, 1)]
            found = step.after_spans([*NEW[:3], 5], store, spans, [2, 0])
            assert step.after_spans([*NEW[:3], 5], store, spans, []).shape == (
                0,
                model.config.vocab_size,
            )
        finally:
            torch.set_num_threads(1)
        assert torch.equal(found, expected[[2, 0]]), threads


@torch.inference_mode()
def test_rows_together_pages_and_threads_give_the_same_bits_as_alone() -> None:
    model = model_of(FAMILIES["gemma3"])
    step, expected = CompiledStep(StepModel.of(model)), compiled_logits(model)
    cache = prefilled(model, 3)
    assert torch.equal(
        step.after_cache(torch.tensor([[NEW[0]]] * 3), cache), expected[:1].expand(3, -1)
    )
    store, alone = PagedStore(model.config, 8, 4, dtype=torch.bfloat16), prefilled(model)
    slots = [12 + t if t < 4 else 4 + t - 4 for t in range(6)]  # pages 3 and 1
    for stored, plain in ((store.keys, alone.keys), (store.values, alone.values)):
        stored.zero_()
        stored[:, slots] = plain[:, 0, :, :6].transpose(1, 2)
    spans = [TokenSpan([3, 1], 6, 1), TokenSpan([6], 0, 1)]
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            found = step.after_spans([NEW[0], 5], store, spans, [0, 1])
        finally:
            torch.set_num_threads(1)
        assert torch.equal(found[0], expected[0]), threads


def test_several_python_threads_and_a_forked_process_may_decode() -> None:
    model = model_of(LLAMA)
    expected, found = compiled_logits(model), []
    step = CompiledStep(StepModel.of(model))

    @torch.inference_mode()
    def answer() -> None:
        cache = prefilled(model)
        logits = torch.cat([step.after_cache(torch.tensor([[token]]), cache) for token in NEW])
        found.append(torch.equal(logits, expected))

    torch.set_num_threads(2)
    try:
        threads = [threading.Thread(target=answer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        torch.set_num_threads(1)
    assert found == [True] * 4
    used = step.arrays._workers
    used.run(lambda thread, threads: None, 2, np.zeros(8, np.int64))
    child = os.fork()
    if child == 0:  # without torch, whose own threads do not survive a fork
        ran: list[int] = []
        used.run(lambda thread, threads: ran.append(thread), 2, np.zeros(8, np.int64))
        os._exit(0 if sorted(ran) == [0, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_step_runs_alone_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise RuntimeError("can't start new thread")

    ran: list[tuple[int, int]] = []
    workers = _Workers()
    monkeypatch.setattr(threading.Thread, "start", refused)
    workers.run(lambda thread, threads: ran.append((thread, threads)), 2, np.zeros(8, np.int64))
    monkeypatch.undo()
    assert ran == [(0, 1)]
    workers.run(lambda thread, threads: ran.append((thread, threads)), 2, np.zeros(8, np.int64))
    assert sorted(ran[1:]) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("where", ["submitting", "worker", "caller"])
def test_an_interrupted_step_leaves_no_thread_that_waits(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Ctrl-C while the parts are handed out, or a part that fails: the others end, and the next step works."""
    workers, counter = _Workers(), np.zeros(8, np.int64)

    def meet(thread: int, threads: int) -> None:
        if (where, thread) in (("worker", 1), ("caller", 0)):
            raise KeyboardInterrupt
        for _ in range(3):
            step_parts.barrier(threads, counter)

    def handed_out_and_interrupted(*given: Any) -> Any:
        submit(*given)
        raise KeyboardInterrupt

    workers.run(lambda thread, threads: None, 3, counter)
    pool = workers._pool
    assert pool is not None
    submit = pool.submit
    if where == "submitting":
        monkeypatch.setattr(pool, "submit", handed_out_and_interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.run(meet, 3, counter)
    monkeypatch.undo()
    fresh = np.zeros(8, np.int64)
    workers.run(lambda thread, threads: step_parts.barrier(threads, fresh), 3, fresh)
    assert fresh[0] == 3


def test_steps_on_two_caches_in_turn_are_those_of_each_alone_and_keep_neither() -> None:
    model = model_of(LLAMA, "float32")
    step = CompiledStep(StepModel.of(model))
    alone = compiled_logits(model)
    first, second = prefilled(model), prefilled(model)
    with torch.inference_mode():
        steps = [
            (step.after_cache(torch.tensor([[id]]), each)[0])
            for id in NEW
            for each in (first, second)
        ]
        both = step.after_cache(torch.tensor([NEW]), prefilled(model))  # other sizes, at once
    assert torch.equal(torch.stack(steps[::2]), alone) and torch.equal(
        torch.stack(steps[1::2]), alone
    )
    assert off(both, alone) < 1e-4
    del first, second
    gc.collect()
    assert not step.arrays._calls


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_the_probe_finds_a_step_that_multiplies_wrongly(
    monkeypatch: pytest.MonkeyPatch, bits: Bits
) -> None:
    """The last of seven tokens, of which the first four are multiplied together."""
    assert probe_error(bits) < MAX_ERROR / 2
    logits = ArrayStep._logits

    def wrong(*given: Any) -> np.ndarray:
        found = logits(*given)
        found[-1] *= 1.05
        return found

    monkeypatch.setattr(ArrayStep, "_logits", wrong)
    assert probe_error(bits) > MAX_ERROR


def test_numbers_that_are_not_finite_are_not_rounded_away() -> None:
    model = model_of(LLAMA)
    with torch.no_grad():
        model.transformer.embedding.weight[NEW[1], 3] = torch.nan
    assert compiled_logits(model).isnan().all(dim=1).tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"positions": "alibi"}, "alibi"),
        ({"feedforward": "gelu_exact"}, "gelu_exact"),
        ({"block": "parallel"}, "parallel"),
        ({"num_experts": 4, "experts_per_token": 2}, "experts"),
        ({"feedforward_width": 72}, "4 bits"),
    ],
)
def test_other_models_are_left_to_torch_with_the_reason(change: dict, reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        StepModel.of(model_of(replace(LLAMA, **change)))


@pytest.fixture
def without_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As on a machine where nothing was compiled; gives the folder of the code."""
    monkeypatch.setattr(machine_code, "code_folder", lambda: CodeFolder(tmp_path / "code"))
    monkeypatch.setattr(
        array_step, "STEP", MachineCode(array_step.STEP.module, array_step.STEP.name)
    )
    return tmp_path / "code"


@pytest.mark.usefixtures("without_code")
def test_a_numba_that_can_not_be_loaded_leaves_the_model_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "groundup.kernels.products", None)
    model = model_of(LLAMA)
    assert (
        "numba can't be loaded" in use_compiled_step(model, Silent()) and model.decode_step is None
    )


def test_where_the_code_is_kept_numba_is_not_needed() -> None:
    use_compiled_step(model_of(LLAMA), Silent())
    code = (
        "import sys; from groundup.kernels import step_check as check; assert check.probe_error('int8') < check.MAX_ERROR; "
        "print([name for name in sys.modules if name.split('.')[0] == 'numba'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "[]", done.stderr


def unpacked_by(function: MachineCode) -> bool:
    """Whether it unpacks a matrix."""
    numbers, scales = np.arange(-64, 64, dtype=np.int8).reshape(4, 32), np.full(4, 0.5, np.float32)
    out = torch.empty(4, 32, dtype=torch.int16).numpy().view(np.uint16)  # at a multiple of 64 bytes
    function(numbers, scales, out)
    return np.array_equal((out.astype(np.uint32) << 16).view(np.float32), numbers * 0.5)


def test_a_damaged_file_of_code_is_compiled_again(without_code: Path) -> None:
    new = partial(MachineCode, UNPACK_INT8.module, UNPACK_INT8.name)
    assert unpacked_by(new())
    (file,) = without_code.iterdir()
    whole = file.read_bytes()
    assert machine_code.read_code(file) == whole[machine_code.HASH_BYTES :]
    for damaged in (b"", whole[:20], whole[:-1], whole[:500] + b"X" + whole[501:]):
        file.write_bytes(damaged)
        assert machine_code.read_code(file) is None
    assert unpacked_by(new()) and machine_code.read_code(file) is not None
    file.unlink()
    without_code.rmdir()
    without_code.touch()  # nothing can be kept
    assert unpacked_by(new())


@pytest.mark.usefixtures("without_code")
def test_of_two_that_want_a_function_at_once_one_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    new = partial(MachineCode, UNPACK_INT8.module, UNPACK_INT8.name)
    right, compiled, both = [], [], threading.Event()
    other = threading.Thread(target=lambda: right.append(unpacked_by(new())))
    compile_ = machine_code._compile

    def followed(module: str, *given: Any) -> bytes:
        compiled.append(module)
        if len(compiled) == 1:
            other.start()
            both.wait(0.3)  # without the lock the other one compiles meanwhile
        else:
            both.set()
        return compile_(module, *given)

    monkeypatch.setattr(machine_code, "_compile", followed)
    assert unpacked_by(new())
    other.join()
    assert right == [True] and len(compiled) == 1


@pytest.mark.usefixtures("without_code")
def test_what_is_compiled_is_said_and_followed_function_by_function() -> None:
    function, heard, parts = MachineCode(UNPACK_INT8.module, UNPACK_INT8.name), Heard(), []

    @contextmanager
    def compiling() -> Iterator[Callable[[], object]]:
        with step_check._shown(heard) as advance:
            yield lambda: parts.append(advance())

    function.compiling = compiling
    assert unpacked_by(function) and len(parts) >= 1 and heard.lines == [step_check.COMPILING]
    parts.clear()
    assert unpacked_by(function) and not parts


def test_code_is_kept_by_processor_and_in_the_users_cache_where_the_package_can_not_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = code_place()
    monkeypatch.setenv("NUMBA_CPU_NAME", "nehalem")
    assert own and (other := code_place()) and other != own and other.parent == own.parent
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *given: False)
    assert (kept := code_place()) and kept.parent == tmp_path / "compiled-step"


def code_place() -> Path | None:
    made: Callable[[], CodeFolder] = code_folder.__wrapped__
    return made().path


def test_code_that_another_user_could_have_written_is_not_run(
    without_code: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever could write a shared cache ran code as others: the hash stands in the same file."""
    new = partial(MachineCode, UNPACK_INT8.module, UNPACK_INT8.name)
    assert unpacked_by(new())
    (file,) = without_code.iterdir()
    code = read_code(file)
    assert code and file.stat().st_mode & 0o022 == 0
    for place in (file, without_code):
        mode = place.stat().st_mode
        place.chmod(0o777)
        assert read_code(file) is None and unpacked_by(new())
        place.chmod(mode)
        file.chmod(0o644)
    file.rename(tmp_path / "elsewhere.o")
    file.symlink_to(tmp_path / "elsewhere.o")
    assert read_code(file) is None
    keep_code(file, code)
    assert read_code(file) == code and not file.is_symlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 4242)  # nor what belongs to another one
        assert (read_code(file) is None) == (os.getuid() != 0)


def test_a_shared_cache_keeps_no_code_and_this_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared, heard = tmp_path / "shared", Heard()
    use_compiled_step(model_of(LLAMA), heard)  # from the code that is kept
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("GROUNDUP_CACHE", str(shared))
    monkeypatch.setattr(os, "access", lambda *given: False)
    found = code_folder.__wrapped__()
    assert found.path is None and f"{shared} can be written by other users" in found.note
    monkeypatch.setattr(machine_code, "code_folder", lambda: found)
    for _ in range(2):
        assert "compiled step" in use_compiled_step(model_of(LLAMA), heard)
        assert unpacked_by(MachineCode(UNPACK_INT8.module, UNPACK_INT8.name))
    assert sum(found.note in line for line in heard.lines) == 1
    assert [each.name for each in shared.rglob("*.o")] == []


def test_code_of_older_files_is_removed_and_that_of_another_processor_stays(tmp_path: Path) -> None:
    beside = tmp_path / "__pycache__"
    for old in ("compiled-0123456789abcdef", "compiled-old-this", "compiled-new-other"):
        keep_code(beside / old / "step.o", b"code")
    (beside / "step.cpython-311.pyc").touch()
    keep_code(beside / "compiled-new-this" / "step.o", b"code")
    left = sorted(each.name for each in beside.iterdir())
    assert left == ["compiled-new-other", "compiled-new-this", "step.cpython-311.pyc"]


class Heard(Silent):
    """What is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


OF_NUMBA = """
import numpy as np
from groundup.kernels.products import compiled

@compiled
def allocates(out):
    many = np.empty(out.shape[0], np.float32)
    for i in range(many.shape[0]):
        many[i] = out[out.shape[0] - 1 - i]
    for i in range(many.shape[0]):
        out[i] = many[i]
"""


@pytest.mark.usefixtures("without_code")
def test_code_that_needs_numba_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "of_numba.py").write_text(OF_NUMBA)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownCode, match="needs its NRT_"):
        MachineCode("of_numba", "allocates")(np.zeros(3, np.float32))
    with pytest.raises(UnknownCode, match="in another way"):
        given = Fixed(np.zeros(3, np.float32))
        given.numbers = [0, 0, 0.5]
        machine_code._compile("of_numba", "allocates", [given])


def greedy_texts(
    model: LanguageModel, prompts: Sequence[Sequence[int]], tokens: int, *, threads: int
) -> list[list[int]]:
    """Answers of so many tokens; prompts are read by one thread, since torch's sums depend on the number."""
    texts, step = [], model.decode_step
    assert step is not None
    for prompt in prompts:
        cache = KVCache(model.config, 1, len(prompt) + tokens, dtype=torch.bfloat16)
        logits = prefill(model, torch.tensor([list(prompt)]), cache)[None]
        ids = []
        torch.set_num_threads(threads)
        try:
            for _ in range(tokens):
                ids.append(int(logits[0].argmax()))
                logits = step.after_cache(torch.tensor([ids[-1:]]), cache)
        finally:
            torch.set_num_threads(1)
        texts.append(ids)
    return texts


@torch.inference_mode()
def test_greedy_answers_are_the_same_on_one_thread_and_on_two() -> None:
    model = model_of(replace(LLAMA, context_tokens=64))
    model.decode_step = CompiledStep(StepModel.of(model))
    prompts = [[each, *PROMPT] for each in range(3)]
    assert greedy_texts(model, prompts, 40, threads=1) == greedy_texts(
        model, prompts, 40, threads=2
    )


def test_the_number_of_threads_is_tuned_while_an_answer_is_written_and_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, used = model_of(replace(LLAMA, context_tokens=64)), set()
    step, greedy = CompiledStep(StepModel.of(model)), Sampling(temperature=0, max_tokens=50)
    after_cache = step.after_cache

    def watched(*given: Any) -> torch.Tensor:
        used.add(torch.get_num_threads())
        return after_cache(*given)

    monkeypatch.setattr(step, "after_cache", watched)
    monkeypatch.setattr("groundup.threads.SLOT_S", 0.0)
    model.decode_step = step
    compute = Compute(torch.device("cpu"), torch.bfloat16)
    expected = list(generate_ids(model, PROMPT, greedy, (), compute=compute))
    assert used == {1}
    torch.set_num_threads(2)
    try:
        assert (
            list(
                generate_ids(
                    model, PROMPT, greedy, (), compute=replace(compute, thread_counts=(2, 1))
                )
            )
            == expected
        )
        assert used == {1, 2} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.skipif(not SMOLLM2.exists(), reason="SmolLM2 was not pulled")
@pytest.mark.slow
@pytest.mark.parametrize("bits", ["int8", "int4"])
@torch.inference_mode()
def test_200_greedy_tokens_of_20_prompts_are_the_same_on_one_thread_and_on_two(
    bits: PrecisionChoice,
) -> None:
    opened = open_in(bits, SMOLLM2, Compute(torch.device("cpu")))[0]
    ids = opened.require_tokenizer().encode(
        Path(readable_step.__file__).parents[2].joinpath("LICENSE").read_text()[:2000]
    )
    prompts = [ids[12 * each : 12 * each + 10] for each in range(20)]
    assert len(prompts[-1]) == 10
    assert greedy_texts(opened.model, prompts, 200, threads=1) == greedy_texts(
        opened.model, prompts, 200, threads=2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "form"),
    [(("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+sse4.2,+ssse3,+popcnt"), "AVX2"), (("nehalem", "+sse4.2,+ssse3"), "PORTABLE")],
    ids=["avx2", "portable"],
)  # fmt: skip
def test_compiled_for_an_older_processor_the_step_is_the_readable_one(
    machine: tuple[str, str], form: str
) -> None:
    """In a process of its own: every family, both numbers of bits, rows and drafts together. The portable form is Arm's, here on x86 without AVX."""
    given = os.environ | {"NUMBA_CPU_NAME": machine[0], "NUMBA_CPU_FEATURES": machine[1]}
    chosen = "readable_one or rows_together or successive or extreme"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        __file__,
        "-m",
        "not slow",
        "-k",
        chosen,
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    code = f"from groundup.kernels import products, step_parts; print(step_parts.FORM == products.{form})"
    found = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=600
    )
    assert found.stdout.strip() == "True", found.stderr


@pytest.mark.skipif(not SMOLLM2.exists(), reason="SmolLM2 was not pulled")
@pytest.mark.slow
@pytest.mark.parametrize("bits", ["int8", "int4"])
@torch.inference_mode()
def test_on_a_real_model_the_compiled_step_is_within_a_hundredth_of_float32(
    bits: PrecisionChoice,
) -> None:
    """Mean KL of the probabilities, in nats; every token goes through the step, so the cache is its own."""
    cpu = Compute(torch.device("cpu"))
    packed, exact = open_in(bits, SMOLLM2, cpu)[0], open_in("float32", SMOLLM2, cpu)[0].model
    step = packed.model.decode_step
    ids = packed.require_tokenizer().encode(
        Path(readable_step.__file__).parents[2].joinpath("LICENSE").read_text()[:1000]
    )
    cache = KVCache(exact.config, 1, len(ids), dtype=torch.bfloat16)
    found = torch.cat(
        [step.after_cache(torch.tensor([[token]]), cache) for token in ids]
    ).log_softmax(-1)
    expected = exact(torch.tensor([ids]))[0].log_softmax(-1)
    divergence = F.kl_div(found, expected, log_target=True, reduction="none").sum(-1)
    print(f"{bits}: KL {divergence.mean():.4f}, largest {divergence.max():.3f}, n = {len(ids)}")
    assert divergence.mean() < 0.01


def test_int8_costs_little_on_a_random_model() -> None:
    model, exact = model_of(LLAMA), model_of(LLAMA, kind="float32")
    with torch.inference_mode():
        logits = exact(torch.tensor([PROMPT + NEW]))[0, len(PROMPT) :]
    divergence = F.kl_div(
        compiled_logits(model).log_softmax(-1),
        logits.log_softmax(-1),
        log_target=True,
        reduction="none",
    )
    assert divergence.sum(-1).mean() < 0.01
