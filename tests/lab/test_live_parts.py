"""A model in parts for the page that a server gives: rounded once, whole, and computed as PyTorch computes the rounded weights."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.device import select_compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.html_nodes import read_asset
from groundup.lab.live import parts as live_parts
from groundup.lab.live.live_page import PACKAGE
from groundup.lab.live.parts import (
    ModelParts,
    chat_prompt,
    is_matrix,
    is_own,
    kept_parts,
    make_parts,
)
from groundup.lab.live.served_page import KERNEL, ServedModel, kernel, render_served
from groundup.lab.live.supported import served_fault
from groundup.model.heads import LanguageModel
from groundup.model.quantised import round_int8
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.kinds import character_tokenizer
from groundup.weights.model_io import OpenModel
from tests.live_shapes import SHAPES, needs_node, open_shape

TEXTS = ("To be, or not", "the question", "öß 中文 'tis\n\n nobler 1234")
COUNT = 6


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(live_parts, "PART_BYTES", 4096)
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))


def page_of(parts: ModelParts) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parts.page_file.read_text())
    return found


def rounded(opened: OpenModel) -> LanguageModel:
    """The model with the numbers that the page has, in float32."""
    assert isinstance(opened.model, LanguageModel)
    with torch.no_grad():
        for name, weight in opened.model.named_parameters():
            if is_matrix(name, weight):
                numbers, scales = round_int8(weight)
                weight.copy_(numbers * scales[:, None])
    return opened.model


def test_the_parts_are_the_file_and_each_has_its_hash(tokenizer: Tokenizer) -> None:
    opened = open_shape(tokenizer)
    assert kept_parts("a digest") is None
    parts = make_parts(opened, "tiny", "a digest")
    page, whole = page_of(parts), (parts.folder / "weights.bin").read_bytes()
    found = [parts.read(number) for number in range(parts.num_parts)]
    assert b"".join(found) == whole
    assert {len(each) for each in found[:-1]} == {4096}
    assert 0 < len(found[-1]) <= 4096
    assert page["parts"] == [hashlib.sha256(each).hexdigest() for each in found]
    assert page["bytes"] == len(whole)
    for number in (-1, parts.num_parts):
        with pytest.raises(IndexError):
            parts.read(number)
    assert kept_parts("a digest") == parts
    assert kept_parts("another") is None
    assert len(whole) < 1.3 * sum(each.numel() for each in opened.model.parameters())


def test_what_others_can_write_is_made_again(tokenizer: Tokenizer) -> None:
    parts = make_parts(open_shape(tokenizer), "tiny", "a digest")
    assert is_own(parts.folder)
    (parts.folder / "weights.bin").chmod(0o666)
    assert kept_parts("a digest") is None
    assert make_parts(open_shape(tokenizer), "tiny", "a digest") == parts
    assert is_own(parts.folder)


def test_what_the_page_cannot_run_is_refused_by_name_without_a_path(tokenizer: Tokenizer) -> None:
    opened = open_shape(tokenizer)
    several = open_shape(tokenizer, num_experts=2, experts_per_token=1)
    other = replace(opened, tokenizer=character_tokenizer(["To be"]))
    broken = open_shape(tokenizer)
    broken.model.transformer.embedding.weight.data[0] = torch.nan
    for refused, why in ((several, "tiny has experts"), (other, "character"), (broken, "finite")):
        with pytest.raises(ModelError, match=why) as told:
            make_parts(refused, "tiny", "a digest")
        assert "<b>" not in told.value.message  # where the model lies
        assert kept_parts("a digest") is None
    assert "a page holds 500,000,000" in served_fault(opened.config, 600_000_000)


def test_the_page_says_what_loading_takes_and_has_no_script_inside() -> None:
    config = open_shape(character_tokenizer(["To be"])).config
    config = replace(config, context_tokens=4096)
    page = render_served(ServedModel("<b>tiny</b>", config, 135_000_000, "a digest"))
    assert "about 135 MB" in page
    assert "22 s at 50 Mbit/s, 108 s at 10 Mbit/s" in page
    assert "reads 1,024 tokens of its context of 4,096" in page
    assert "does not train in a page" in page
    assert "<b>" not in page
    assert "://" not in page
    assert "style=" not in page
    refused = render_served(ServedModel("tiny", config, 1, "a digest"), "has experts")
    assert "No page runs this model: it has experts." in refused
    assert "<script" not in refused


@pytest.mark.parametrize(
    "template",
    [
        None,
        "{% for m in messages %}[{{ m.role }}] {{ m.content.strip() }}\n{% endfor %}> ",
        "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}",
    ],
)
def test_a_question_has_the_ids_of_the_chat_template(
    tokenizer: Tokenizer, template: str | None
) -> None:
    if template is not None:
        config = {**tokenizer.config(), "chat_template": template}
        tokenizer = Tokenizer(tokenizer.table, config)
    prompt = chat_prompt(tokenizer)
    assert prompt is not None
    for question in ("To be?", "  two spaces \n", "<|im_end|> 'tis"):
        asked = question.strip() if prompt["strips"] else question
        inner = tokenizer.encode(prompt["start"] + asked + prompt["end"])
        conversation = Conversation((Message("user", question),))
        rendered = render(conversation, tokenizer, add_generation_prompt=True)
        assert [*prompt["before"], *inner, *prompt["after"]] == rendered.ids


def test_a_template_that_refuses_a_lone_question_offers_none(tokenizer: Tokenizer) -> None:
    config = {**tokenizer.config(), "chat_template": "{{ raise_exception('no') }}"}
    assert chat_prompt(Tokenizer(tokenizer.table, config)) is None


@needs_node
def test_both_kernels_compute_what_pytorch_does_with_the_rounded_weights(
    tokenizer: Tokenizer,
) -> None:
    """Greedy ids over the shapes, some with widths that are no multiple of 16; logits to 1e-4."""
    shapes = {**SHAPES, "odd widths": {"width": 40, "feedforward_width": 50}}
    for name, shape in shapes.items():
        opened = open_shape(tokenizer, **shape)
        parts = make_parts(opened, name, name)
        model, compute = rounded(opened), select_compute("cpu")
        asked = [tokenizer.encode(text) for text in TEXTS]
        greedy = Sampling(temperature=0, max_tokens=COUNT)
        expected = [list(generate_ids(model, ids, greedy, (), compute=compute)) for ids in asked]
        for simd in (True, False):
            found = run_parts(parts, texts=TEXTS, count=COUNT, simd=simd)
            assert found["ids"] == [a + b for a, b in zip(asked, expected, strict=True)], name
            with torch.inference_mode():
                logits = model(torch.tensor([found["ids"][-1][:-1]]))[0, -1]
            assert torch.allclose(torch.tensor(found["logits"]), logits, atol=1e-4), (name, simd)


@needs_node
def test_the_pages_own_sha256_is_the_standards() -> None:
    contents = [bytes(range(256)) * 3, *(b"a" * length for length in (0, 1, 55, 56, 63, 64, 120))]
    program = "console.log(JSON.stringify(given.map((each) => sha256(new Uint8Array(each)))))"
    found = in_node(["sha256.js"], program, [list(each) for each in contents])
    assert found == [hashlib.sha256(each).hexdigest() for each in contents]


@pytest.mark.skipif(not shutil.which("wat2wasm"), reason="needs wat2wasm (Debian: wabt)")
def test_the_kernel_in_the_wheel_is_that_of_its_text(tmp_path: Path) -> None:
    text, made = tmp_path / "int8.wat", tmp_path / KERNEL
    text.write_text(read_asset(PACKAGE, "int8.wat"))
    subprocess.run(["wat2wasm", str(text), "-o", str(made)], check=True)
    assert made.read_bytes() == kernel()


def run_parts(parts: ModelParts, **given: Any) -> Any:
    files = ["tokenizer.js", "model.js", "sampler.js", "int8.js"]
    return in_node(files, RUN, {**given, "folder": str(parts.folder), "kernel": list(kernel())})


RUN = """
const read = (name) => require("fs").readFileSync(`${given.folder}/${name}`);
const page = JSON.parse(read("page.json")), bytes = Uint8Array.from(given.kernel);
const memory = new Int8Memory(page.bytes, Object.values(page.tensors), given.simd ? new WebAssembly.Module(bytes) : null);
memory.weights.set(read("weights.bin"));
const weights = Object.fromEntries(Object.entries(page.tensors).map(([name, placed]) => [name, memory.weight(placed)]));
const model = new LiveModel(page.config, weights), tokenizer = new ByteLevelTokenizer(page.tokenizer);
let logits;
const found = given.texts.map((text) => {
  const ids = tokenizer.encode(text);
  logits = model.steps(ids, 0).at(-1); // four tokens at a time, and what is left one by one
  for (let n = 0; n < given.count; n++) {
    if (n) logits = model.step(ids.at(-1), ids.length - 1);
    ids.push(argmax(logits));
  }
  return ids;
});
console.log(JSON.stringify({ ids: found, logits: Array.from(logits) }));
"""


def in_node(files: list[str], program: str, given: Any) -> Any:
    """What a program prints, with these files of the page before it."""
    script = "\n".join([*(read_asset(PACKAGE, file) for file in files), GIVEN, program])
    said = subprocess.run(
        ["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr[-2000:]
    return json.loads(said.stdout)


GIVEN = 'const given = JSON.parse(require("fs").readFileSync(0, "utf8"));'
