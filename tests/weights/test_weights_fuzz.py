"""Damaged and lying files: one error class, no hang, no memory by a number from the file."""

import json
import resource
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_weights import CPU, VARIANTS, make_config, make_model, mutants

from groundup.errors import FormatError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import check_table, empty_model, parameter_shapes
from groundup.weights.gguf import write_gguf
from groundup.weights.gguf_config import read_gguf_config
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.hf_config import HFConfig
from groundup.weights.model_io import open_model, save_model
from groundup.weights.names import gguf_bindings

each_number = pytest.mark.parametrize("number", [150, pytest.param(2000, marks=pytest.mark.slow)])
SLOWEST_CPU_S = 5.0
MORE_MEMORY_BYTES = 300e6


class Outcome:
    """Counts refusals; anything but a FormatError goes through and fails the test."""

    def __init__(self) -> None:
        self.refused = 0
        self.slowest_cpu_s = 0.0
        self.memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def open(self, path: Path) -> None:
        started_s = time.process_time()
        try:
            open_model(path, CPU)
        except FormatError:
            self.refused += 1
        self.slowest_cpu_s = max(self.slowest_cpu_s, time.process_time() - started_s)

    def check(self, at_least: int) -> None:
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.memory_before) * 1024
        assert self.refused >= at_least
        assert self.slowest_cpu_s < SLOWEST_CPU_S
        assert grown < MORE_MEMORY_BYTES


@each_number
def test_mutants_of_a_gguf_give_one_error_class(
    tiny_model: LanguageModel, tiny_tokenizer: Tokenizer, tmp_path: Path, number: int
) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(tiny_model, tiny_tokenizer, path, quantization="f16", name="tiny")
    open_model(path, CPU)  # as it is, it is whole
    original = path.read_bytes()
    outcome = Outcome()
    for mutant in mutants(original, number, seed=1, header_bytes=2048):
        path.write_bytes(mutant)
        outcome.open(path)
    outcome.check(number // 2)


@each_number
def test_mutants_of_a_safetensors_folder_give_one_error_class(
    tiny_model: LanguageModel, tiny_tokenizer: Tokenizer, tmp_path: Path, number: int
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "damaged"
    save_model(tiny_model, whole, tiny_tokenizer)
    shutil.copytree(whole, folder)
    open_model(folder, CPU)  # as it is, it is whole
    shares = {
        "model.safetensors": 5,
        "config.json": 3,
        "tokenizer.json": 1,
        "tokenizer_config.json": 1,
    }
    outcome = Outcome()
    for seed, (name, share) in enumerate(shares.items()):
        original = (whole / name).read_bytes()
        for mutant in mutants(
            original, share * number // 10, seed=seed, header_bytes=min(1024, len(original))
        ):
            (folder / name).write_bytes(mutant)
            outcome.open(folder)
        (folder / name).write_bytes(original)
    outcome.check(number // 2)


# What a GGUF file can say that an architecture may read, besides what ours say.
SPOKEN_OF = (
    *(
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "rope.freq_base_swa",
        "rope.scaling.type",
    ),
    *("rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor"),
    *("final_logit_softcapping", "attn_logit_softcapping", "expert_count"),
)
ODD_METADATA = (
    0,
    1,
    3,
    -1,
    2**40,
    0.0,
    1.0,
    -0.5,
    1e30,
    float("nan"),
    True,
    "yarn",
    "",
    [True, False],
    [1, 2],
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_metadata_of_a_gguf_may_be_odd(
    variant: str, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """A config that a model can be built of, or the one error; a third of all, another one with the next variant."""
    path = tmp_path / "m.gguf"
    write_gguf(
        make_model(make_config(variant, tiny_tokenizer.vocab_size)),
        tiny_tokenizer,
        path,
        quantization="f32",
        name="x",
    )
    header = read_gguf_header(path)
    prefix = f"{header.metadata['general.architecture']}."
    keys = {key for key in header.metadata if key.startswith(prefix)} | {
        prefix + key for key in SPOKEN_OF
    }
    odd = [(key, value) for key in sorted(keys) for value in ODD_METADATA]
    odd = odd[VARIANTS.index(variant) % 3 :: 3]
    refused = 0
    for key, value in odd:
        try:
            config = read_gguf_config(
                replace(header, metadata=header.metadata | {key: value}), path
            )
            check_table(
                gguf_bindings(config, parameter_shapes(empty_model(HFConfig(config, "language")))),
                {},
                path,
            )
        except FormatError:
            refused += 1
    assert refused == len(odd)  # the last step refuses everything, being given an empty table


ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1,
    2**24,
    2**31,
    2**63,
    10**30,
    1e308,
    float("nan"),
    "x",
    "",
    [],
    [0],
    {},
    {"a": 1},
)


def test_any_value_of_config_json_may_be_odd(tiny_model: LanguageModel, tmp_path: Path) -> None:
    save_model(tiny_model, tmp_path)
    original = json.loads((tmp_path / "config.json").read_text())
    outcome = Outcome()
    for key in [
        *original,
        "sliding_window",
        "use_sliding_window",
        "id2label",
        "quantization_config",
        "layer_types",
    ]:
        for value in ODD_VALUES:
            (tmp_path / "config.json").write_text(json.dumps({**original, key: value}))
            outcome.open(tmp_path)
    outcome.check(150)


def test_any_value_of_a_safetensors_header_may_be_odd(
    tiny_model: LanguageModel, tmp_path: Path
) -> None:
    save_model(tiny_model, tmp_path)
    file = tmp_path / "model.safetensors"
    original = file.read_bytes()
    length = int.from_bytes(original[:8], "little")
    table = json.loads(original[8 : 8 + length])
    outcome, tries = Outcome(), 0
    name = next(name for name in table if name != "__metadata__")
    for key in table[name]:
        for value in [*ODD_VALUES, [2**62, 2**62], [0, 2**62], [-1, 1], [0.5, 1], "U8", "I64"]:
            header = json.dumps({**table, name: {**table[name], key: value}}).encode()
            file.write_bytes(len(header).to_bytes(8, "little") + header + original[8 + length :])
            outcome.open(tmp_path)
            tries += 1
    outcome.check(tries)
