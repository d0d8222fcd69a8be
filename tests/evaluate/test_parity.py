"""The gate before a GGUF goes out: a sound file passes in real llama.cpp, a spoiled one fails at the check that is meant for it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from forked_program import CODE, forker
from torch import nn

from groundup.errors import ConfigError, MissingExtra, ModelError
from groundup.evaluate.llamacpp import SERVER_PROGRAM, LlamaError, LlamaServer, llama_server
from groundup.evaluate.parity import ParityReport, gate
from groundup.evaluate.parity_checks import is_comparable
from groundup.evaluate.parity_texts import HARD_STRINGS, PROMPTS, QUESTIONS
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer, train_tokenizer
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import OpenModel

TensorChange = Callable[[str, np.ndarray], np.ndarray]

pytest.importorskip("xllamacpp")

ANSWERS = ("Paris is.", "Hello, 123 friends!", "Yes.")
LINES = tuple(
    f"{prompt} {'that is the question, whether tis nobler in the mind. '[i:]}"
    for i, prompt in enumerate(PROMPTS[:8])
)
SOME_PROMPTS = PROMPTS[:4]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([*LINES, *QUESTIONS, *ANSWERS] * 2, 400)


@pytest.fixture(scope="module")
def opened(tokenizer: Tokenizer) -> OpenModel:
    """A tiny model that knows a few lines and answers by heart: so its choices are clear, and no near tie decides a test."""
    answers = [conversation_ids(tokenizer, *pair) for pair in zip(QUESTIONS, ANSWERS, strict=True)]
    return tiny(tokenizer, [*map(tokenizer.encode, LINES), *answers])


@pytest.fixture(scope="module")
def base(tokenizer: Tokenizer) -> OpenModel:
    """Another one, which knows the lines backwards, and no answers."""
    return tiny(tokenizer, [tokenizer.encode(line[::-1]) for line in LINES])


def tiny(tokenizer: Tokenizer, texts: list[list[int]]) -> OpenModel:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        context_tokens=128,
        width=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        feedforward_width=128,
    )
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(0))
    learn_by_heart(model, texts)
    return OpenModel(model.eval(), tokenizer, config, Path("tiny"), "language")


def conversation_ids(tokenizer: Tokenizer, question: str, answer: str) -> list[int]:
    return render(
        Conversation((Message("user", question), Message("assistant", answer))), tokenizer
    ).ids


def learn_by_heart(model: LanguageModel, texts: list[list[int]], steps: int = 120) -> None:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    real = torch.tensor([[1.0] * len(text) + [0.0] * (longest - len(text)) for text in texts])[
        :, 1:
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(
            model(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction="none"
        )
        mean = (loss * real).sum() / real.sum()
        if float(mean.detach()) < 0.02:
            break
        optimizer.zero_grad()
        mean.backward()
        optimizer.step()
    assert mean < 0.1


@pytest.fixture(scope="module")
def f16(opened: OpenModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(opened, tmp_path_factory.mktemp("gguf") / "tiny-f16.gguf", "f16")


def exported(opened: OpenModel, path: Path, quantization: str) -> Path:
    write_gguf(
        opened.model, opened.require_tokenizer(), path, quantization=quantization, name="tiny"
    )  # type: ignore[arg-type]
    return path


def spoiled(
    source: Path,
    target: Path,
    metadata: dict[str, object],
    tensor: TensorChange = lambda name, data: data,
) -> Path:
    """The file again, with other metadata or other tensors: an exporter with a mistake in it."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for name, entry in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, of = entry.types[0], entry.types[-1] if len(entry.types) > 1 else None
            writer.add_key_value(name, metadata.get(name, entry.contents()), kind, sub_type=of)
    for each in reader.tensors:
        writer.add_tensor(
            each.name, tensor(each.name, each.data.copy()), raw_dtype=each.tensor_type
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def failed(report: ParityReport) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if not check.passed}


@pytest.mark.parametrize("quantization", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_a_sound_file_passes(opened: OpenModel, tmp_path: Path, quantization: str) -> None:
    file = exported(opened, tmp_path / "tiny.gguf", quantization)
    report = gate(
        opened,
        file,
        quantization=quantization,
        user_lines=[*LINES, "'\u017f", "\ud800"],
        prompts=SOME_PROMPTS,
    )
    assert failed(report) == {}
    assert report.passed
    report.require()
    figures = {check.name: check.figures for check in report.checks}
    assert figures["tokens"] == {
        "strings": 376,
        "user_lines": 9,
        "user_lines_left_out": 1,
        "differing": 0,
    }
    assert figures["template"] == {"conversations": 4, "refused": 0}
    assert figures["answers"] == {"answers": 3, "stopped": 3}
    assert figures["greedy"]["prompts"] == 4
    assert json.loads(json.dumps(asdict(report)))["passed"] is True


def test_a_text_without_a_whole_character_is_read(
    opened: OpenModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """llama.cpp waits for the character's end and tells no probabilities at all."""
    model = LanguageModel(replace(opened.config, tied_head=False))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    begin = next(token for token in range(256) if tokenizer.token_bytes(token) == b"\xf0")
    model.head.weight.data[begin] = 2.0
    path = exported(
        replace(opened, model=model.eval(), config=model.config), tmp_path / "m.gguf", "f32"
    )
    with llama_server(path, context_tokens=128) as llama:
        generated = llama.continue_greedily(tokenizer.encode("Hello"), max_tokens=3)
    assert generated.ids == (begin,) * 3
    assert generated.top == ({},) * 3


def test_a_window_that_llamacpp_passes_over_is_compared_as_far_as_it_reaches(
    opened: OpenModel, tmp_path: Path
) -> None:
    """Beyond the window the file is another model; its context ends there, and so does the comparison."""
    config = replace(opened.config, family="mistral", window_tokens=40)
    model = LanguageModel(config)
    model.load_state_dict(opened.model.state_dict())
    mistral = replace(opened, model=model.eval(), config=config)
    report = gate(
        mistral,
        exported(mistral, tmp_path / "m.gguf", "f16"),
        quantization="f16",
        prompts=PROMPTS[:2],
    )
    assert report.passed, report


def test_the_list_is_long_and_holds_what_was_promised() -> None:
    texts = [text for group in HARD_STRINGS.values() for text in group]
    assert len(set(texts)) == len(texts) >= 200
    assert {
        " " * 5000,
        "a\x00b",
        "<|im_end|>",
        "\r\n",
        "😀",
        "你好",
        "٠١٢٣٤٥",
        "\t1",
        "e\u0301",
    } <= set(texts)


def test_a_sound_file_of_another_model_fails(base: OpenModel, f16: Path) -> None:
    report = gate(base, f16, quantization="f16", prompts=SOME_PROMPTS)
    assert {"greedy", "answers"} == failed(report).keys()
    with pytest.raises(
        ModelError, match=r"tiny-f16\.gguf differs from our model in llama\.cpp: answers: "
    ):
        report.require()


def test_a_wrong_pre_tokenizer_fails_the_tokens_with_string_position_and_both_sides(
    opened: OpenModel, f16: Path, tmp_path: Path
) -> None:
    bad = spoiled(f16, tmp_path / "bad.gguf", {"tokenizer.ggml.pre": "gpt-2"})
    report = gate(opened, bad, quantization="f16", user_lines=["x"], prompts=SOME_PROMPTS)
    assert "differs from token" in failed(report)["tokens"]
    assert "ours" in failed(report)["tokens"] and "llama.cpp" in failed(report)["tokens"]
    assert {check.name: check for check in report.checks}["tokens"].figures["differing"] >= 1


def test_control_tokens_of_a_type_that_text_can_form_fail_the_tokens(
    opened: OpenModel, f16: Path, tmp_path: Path
) -> None:
    types = gguf.GGUFReader(f16).fields["tokenizer.ggml.token_type"].contents()
    user_defined = [
        gguf.TokenType.USER_DEFINED if kind == gguf.TokenType.CONTROL else kind for kind in types
    ]
    # llama.cpp mends the type of the tokens whose names it knows, but not of all.
    bad = spoiled(
        f16,
        tmp_path / "bad.gguf",
        {"tokenizer.ggml.token_type": [int(kind) for kind in user_defined]},
    )
    assert "<|" in failed(gate(opened, bad, quantization="f16", prompts=SOME_PROMPTS))["tokens"]


@pytest.mark.parametrize("quantization", ["f16", "q8_0", "q4_0"])
def test_unpermuted_keys_fail_the_greedy_text(
    opened: OpenModel, tmp_path: Path, quantization: str
) -> None:
    def unpermuted(name: str, data: np.ndarray) -> np.ndarray:
        if not name.endswith("attn_k.weight"):
            return data
        heads, half = opened.config.num_kv_heads, opened.config.head_width // 2
        return data.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(data.shape)

    good = exported(opened, tmp_path / "good.gguf", quantization)
    bad = spoiled(good, tmp_path / "bad.gguf", {}, unpermuted)
    faults = failed(gate(opened, bad, quantization=quantization, prompts=SOME_PROMPTS))
    assert {"tokens", "stops", "template"}.isdisjoint(faults)
    assert "greedy" in faults


def test_a_wrong_rotary_base_fails_the_greedy_text(
    opened: OpenModel, f16: Path, tmp_path: Path
) -> None:
    bad = spoiled(f16, tmp_path / "bad.gguf", {"llama.rope.freq_base": 500.0})
    assert "greedy" in failed(gate(opened, bad, quantization="f16", prompts=SOME_PROMPTS))


def test_a_missing_stop_fails_the_stops_and_the_answers(
    opened: OpenModel, tokenizer: Tokenizer, f16: Path, tmp_path: Path
) -> None:
    # llama.cpp also knows stop tokens by another key and by their text: all three must be wrong before it rambles on.
    tokens = [
        "<|im_fin|>" if text == "<|im_end|>" else text
        for text in gguf.GGUFReader(f16).fields["tokenizer.ggml.tokens"].contents()
    ]
    wrong = tokenizer.special.tokens["<|reserved_0|>"]
    ids = {"tokenizer.ggml.eos_token_id": wrong, "tokenizer.ggml.eot_token_id": wrong}
    bad = spoiled(f16, tmp_path / "bad.gguf", {"tokenizer.ggml.tokens": tokens, **ids})
    faults = failed(gate(opened, bad, quantization="f16", prompts=SOME_PROMPTS))
    assert "continues after our stop token" in faults["stops"]
    assert "answers" in faults


def test_a_wrong_eos_fails_the_stops(
    opened: OpenModel, tokenizer: Tokenizer, f16: Path, tmp_path: Path
) -> None:
    eos = tokenizer.special.tokens["<|endoftext|>"]
    bad = spoiled(f16, tmp_path / "bad.gguf", {"tokenizer.ggml.eos_token_id": eos})
    faults = failed(gate(opened, bad, quantization="f16", prompts=SOME_PROMPTS))
    assert faults.keys() == {"stops"}
    assert "'<|im_end|>' here and '<|endoftext|>' in llama.cpp" in faults["stops"]


def test_another_template_fails_the_template(
    opened: OpenModel, tokenizer: Tokenizer, f16: Path, tmp_path: Path
) -> None:
    assert tokenizer.chat_template is not None
    other = tokenizer.chat_template.replace("message['content']", "message['content'] | upper")
    faults = failed(
        gate(
            opened,
            spoiled(f16, tmp_path / "bad.gguf", {"tokenizer.chat_template": other}),
            quantization="f16",
            prompts=SOME_PROMPTS,
        )
    )
    assert faults["template"].startswith("one turn: differs from character 18 on: ours 'hat is")


def test_a_file_that_llama_cpp_cannot_load_is_a_failed_check(
    opened: OpenModel, f16: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(f16.read_bytes()[:-5000])
    assert "not within the file bounds" in failed(gate(opened, cut, quantization="f16"))["load"]
    unknown = spoiled(f16, tmp_path / "unknown.gguf", {"tokenizer.ggml.pre": "no-such-split"})
    assert "unknown pre-tokenizer type" in failed(gate(opened, unknown, quantization="f16"))["load"]


def test_a_base_model_that_never_stops_passes_and_the_figure_says_so(
    base: OpenModel, tmp_path: Path
) -> None:
    report = gate(
        base,
        exported(base, tmp_path / "base.gguf", "f16"),
        quantization="f16",
        prompts=[line[::-1][:20] for line in LINES[:4]],
    )
    assert failed(report) == {}
    assert next(check for check in report.checks if check.name == "answers").figures == {
        "answers": 3,
        "stopped": 0,
    }


def test_characters_that_are_several_tokens_are_compared_like_all_others(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """llama.cpp tells no log-probabilities of a token that ends within a character, and on the chat route not even its id."""
    lines = ["Привет, мир! Мельница стоит.", "你好,世界。磨坊很旧。", "The café 😀 is old."]
    answers = [
        conversation_ids(tokenizer, question, line[:12])
        for question, line in zip(QUESTIONS, lines, strict=True)
    ]
    model = tiny(tokenizer, [*map(tokenizer.encode, lines), *answers])
    prompts = [line[:3] for line in lines]
    report = gate(
        model, exported(model, tmp_path / "many.gguf", "f16"), quantization="f16", prompts=prompts
    )
    assert failed(report) == {}
    assert next(check for check in report.checks if check.name == "answers").figures == {
        "answers": 3,
        "stopped": 3,
    }


def test_what_cannot_be_compared_is_refused(opened: OpenModel, f16: Path) -> None:
    with pytest.raises(ConfigError, match=r"q8_1.*q8_0"):
        gate(opened, f16, quantization="q8_1")
    with pytest.raises(ModelError, match="classifier"):
        gate(
            replace(opened, model=Classifier(opened.config, 2), kind="classifier"),
            f16,
            quantization="f16",
        )
    with pytest.raises(ModelError, match="bfloat16"):
        gate(
            replace(opened, model=LanguageModel(opened.config).bfloat16()), f16, quantization="f16"
        )
    with pytest.raises(ModelError, match="no tokenizer"):
        gate(replace(opened, tokenizer=None), f16, quantization="f16")


def test_without_xllamacpp_the_extra_is_named(
    opened: OpenModel, f16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtra, match=r"groundup\[demo\]"):
        gate(opened, f16, quantization="f16")


def test_texts_that_the_tables_of_one_side_do_not_know_are_left_out() -> None:
    assert is_comparable("it's 😀 \x00 \ue000 \ud800")
    assert not is_comparable("'\u017f")
    assert not is_comparable("\U0003fffd")  # assigned in no version of Unicode


def test_the_server_is_gone_after_the_block_and_needs_its_key(f16: Path) -> None:
    with pytest.raises(ZeroDivisionError), llama_server(f16, context_tokens=128) as llama:
        assert llama.encode("To be")
        with pytest.raises(LlamaError, match=r"refused /tokenize.*Invalid API Key"):
            LlamaServer(llama.address, "another key").encode("x")
        raise ZeroDivisionError
    with pytest.raises(LlamaError, match="no answer"):
        llama.encode("x")


def test_a_refused_request_is_told_in_llama_cpps_words(f16: Path) -> None:
    with (
        llama_server(f16, context_tokens=128) as llama,
        pytest.raises(LlamaError, match=r"refused /completion.*context size"),
    ):
        llama.continue_greedily([1] * 2000, max_tokens=1)


def test_the_server_ends_when_its_parent_is_killed(f16: Path) -> None:
    program = f"""
import time
from pathlib import Path
from groundup.evaluate.llamacpp import llama_server
with llama_server(Path({str(f16)!r}), context_tokens=128) as llama:
    print(llama.address, flush=True)
    time.sleep(60)
"""
    parent = forker().start([program], program=CODE)
    with parent.stdout, parent.stderr:
        port = int(parent.stdout.readline().rsplit(":", 1)[1])
        assert listens(port)
        parent.send_signal(signal.SIGKILL)
        assert parent.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 120
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch's OpenMP has another name")
def test_where_the_system_has_no_openmp_llamacpp_takes_that_of_torch(tmp_path: Path) -> None:
    """On a bare Debian `import xllamacpp` failed, and a build with it, at its export."""
    program = """
from pathlib import Path
if "torch/lib/libgomp" not in Path("/proc/self/maps").read_text():
    raise ImportError("libgomp.so.1: cannot open shared object file")
raise SystemExit("imported")
"""
    (tmp_path / "xllamacpp.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", SERVER_PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert done.stderr.strip() == "imported"
