"""`groundup lab --live`: one file with a model inside, whose program computes what the engine does."""

import json
import random
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from groundup.cli.main import run
from groundup.device import select_compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError
from groundup.lab.live import contents as live_contents
from groundup.lab.live.contents import page_contents
from groundup.lab.live.live_page import START, render_live, write_live_page
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.bytelevel import SPLITS, ByteLevel
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.kinds import character_tokenizer
from groundup.weights.model_io import OpenModel, save_model
from tests.live_shapes import SHAPES, needs_node, open_shape, run_in_node

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer."
NOTEBOOKS = Path(__file__).parents[2] / "groundup" / "course" / "notebooks"
PRESSED = ["#choose-text", "#write", "#temperature", "#train", "#changes", ".inside-bar", "nav"]
COUNT = 5  # tokens of each answer
MARKUP = "</script><script>alert(1)</script>"
REPEATED = {
    "rows": [
        {"kind": "passages", "split": split, "repeated": 1, "tried": 8, "low": 0.0, "high": 0.5}
        for split in ("train", "validation")
    ],
    "repeated": [
        {"kind": "passages", "document": "<b>a</b>", "prompt": "To", "text": MARKUP, "tokens": 9}
    ],
}


@pytest.fixture(scope="module")
def opened(tokenizer: Tokenizer) -> OpenModel:
    return open_shape(tokenizer)


def test_the_page_is_within_its_size_and_holds_no_markup_and_no_address(
    opened: OpenModel, tmp_path: Path
) -> None:
    page = tmp_path / "model.html"
    contents = write_live_page(opened, page, text=MARKUP, memorised=REPEATED)
    written = page.read_text()
    assert contents.parameters == sum(each.numel() for each in opened.model.parameters())
    assert page.stat().st_size < 5.4 * contents.parameters + 2_000_000
    assert "<script>alert" not in written
    assert "<b>" not in written
    assert "://" not in written
    assert re.search("passages: 1 of 8 repeated", written)
    assert "was not measured" in render_live(contents, "tiny", "", None)


def test_each_place_that_the_course_names_is_in_the_page(opened: OpenModel) -> None:
    page, named = render_live(page_contents(opened), "tiny", "", None), set[str]()
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        for place in re.findall(r"model\.html#([\w-]+)", notebook.read_text()):
            assert f' id="{place}"' in page, (notebook.name, place)
            named.add(notebook.name[:2])
    assert named >= {"02", "03", "04", "05", "06", "07"}


@needs_node
def test_weights_that_are_int8_are_kept_in_it_to_the_last_bit(tokenizer: Tokenizer) -> None:
    opened = open_shape(tokenizer)
    weights = opened.model.state_dict()
    for weight in weights.values():
        if weight.dim() == 2:
            groups = weight.view(-1, 32)
            groups[0] = 0
            scales = (groups.abs().amax(dim=1, keepdim=True) / 127).half().float()
            groups.copy_(scales * (groups / scales).nan_to_num_().round_())
    contents = page_contents(opened)
    matrices = {name.removeprefix("transformer.") for name in weights if weights[name].dim() == 2}
    assert matrices <= set(contents.rounded)
    assert len(contents.weights) < 1.8 * contents.parameters
    read = run_in_node("({ int8 }) => int8.model.weights", {"int8": opened})
    for name, weight in weights.items():
        assert read[name.removeprefix("transformer.")] == weight.flatten().tolist(), name


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_experts": 2, "experts_per_token": 1}, "experts"),
        ({"feedforward": "gelu_exact"}, "swiglu, geglu, gelu"),
    ],
)
def test_a_model_without_a_twin_in_the_page_is_refused(
    tokenizer: Tokenizer, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        page_contents(open_shape(tokenizer, **change))


def test_a_model_of_another_kind_too_large_or_damaged_is_refused(
    opened: OpenModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(opened.config, 2)
    with pytest.raises(ModelError, match="a language model"):
        page_contents(replace(opened, model=classifier, kind="classifier"))
    with pytest.raises(ModelError, match="kind character"):
        page_contents(replace(opened, tokenizer=character_tokenizer([TEXT])))
    broken = open_shape(tokenizer)
    broken.model.transformer.embedding.weight.data[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        page_contents(broken)
    monkeypatch.setattr(live_contents, "MAX_PARAMETERS", 1000)
    with pytest.raises(ModelError, match=r"a page holds 1,000") as refused:
        page_contents(opened)
    assert "groundup serve" in refused.value.fix


def test_the_verb_writes_the_page_and_refuses_a_damaged_model(
    opened: OpenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, page = tmp_path / "tiny", tmp_path / "model.html"
    assert isinstance(opened.model, LanguageModel)
    save_model(opened.model, folder, opened.require_tokenizer())
    assert run(["lab", str(folder), "--live", "--out", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == page.stat().st_size
    assert said["memorised"] is None
    page.unlink()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert run(["lab", str(folder), "--live", "--out", str(page)]) == 2
    assert run(["lab", str(folder), "--live", "--only", "tokens"]) == 2
    assert not page.exists()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.browser
def test_ids_and_probabilities_are_the_engines_over_the_shapes(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    page, choices = browser.new_page(), random.Random(1)
    for name, shape in SHAPES.items():
        opened, file = open_shape(tokenizer, **shape), tmp_path / "model.html"
        assert isinstance(opened.model, LanguageModel)
        write_live_page(opened, file)
        page.goto(file.as_uri())
        asked = [
            (" ".join(choices.choices(TEXT.split(), k=choices.randint(1, 6))), sampling_of(seed))
            for seed in range(40)
        ]
        given = [
            {"text": text, "count": COUNT, "temperature": each.temperature, "top_k": each.top_k}
            | {"top_p": each.top_p, "seed": each.seed}
            for text, each in asked
        ]
        for (text, sampling), found in zip(asked, page.evaluate(WRITE, given), strict=True):
            ids = tokenizer.encode(text)
            compute = select_compute("cpu")
            answer = list(generate_ids(opened.model, ids, sampling, (), compute=compute))
            assert found["ids"] == ids + answer, (name, text, sampling)
            if not (sampling.seed or 0) % 8:
                with torch.inference_mode():
                    shares = opened.model(torch.tensor([found["ids"][:-1]]))[0, -1].softmax(-1)
                assert torch.allclose(torch.tensor(found["shares"]), shares, atol=1e-5), name
    page.close()


def sampling_of(seed: int) -> Sampling:
    """Greedy for every second prompt, else drawn."""
    drawn = Sampling(temperature=0.9, top_k=seed % 3 * 20, top_p=0.95, seed=seed, max_tokens=COUNT)
    return drawn if seed % 2 else replace(drawn, temperature=0)


# The ids of each prompt and its answer, and the probabilities before the last one.
WRITE = """(asked) => asked.map((sampling) => {
  const { model, tokenizer } = livePage, ids = tokenizer.encode(sampling.text);
  const keys = new RandomKeys(sampling.seed);
  let logits;
  ids.forEach((id, position) => { logits = model.step(id, position); });
  for (let n = 0; n < sampling.count; n++) {
    ids.push(chooseToken(logits, sampling, keys.key(n)));
    if (n + 1 < sampling.count) logits = model.step(ids.at(-1), ids.length - 1);
  }
  return { ids, shares: Array.from(softmax(logits)) };
})"""


@pytest.mark.browser
def test_a_text_has_the_same_ids_in_the_page(
    browser: Any, opened: OpenModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Of characters of Unicode 10, which all libraries here know."""
    draw, page = random.Random(7), browser.new_page()
    known = [chr(c) for c in range(0x3100) if unicodedata.ucd_3_2_0.category(chr(c)) != "Cn"]
    letters = [*known, *"\u2028\u0085\ufeff\u017f'\x1c 😀한字"]
    common = [*TEXT, *"'S 'LL\n\n\t  123456", "'\u017f"]
    texts = ["".join(draw.choices(draw.choice((letters, common)), k=30)) for _ in range(100)]
    for split in SPLITS:
        style = ByteLevel(split, nfc=split == "qwen2", whole_pieces=split == "llama-bpe")
        table = replace(tokenizer.table, style=style)
        other = Tokenizer(table, tokenizer.config())
        file = tmp_path / "model.html"
        write_live_page(replace(opened, tokenizer=other), file)
        page.goto(file.as_uri())
        found = page.evaluate(
            "(texts) => texts.map((text) => livePage.tokenizer.encode(text))", texts
        )
        wrong = [text for text, ids in zip(texts, found, strict=True) if ids != other.encode(text)]
        assert wrong == [], split
        assert page.evaluate("(ids) => livePage.tokenizer.decode(ids)", found[0]) == other.decode(
            found[0]
        )
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_token_is_written_chosen_again_and_replaced(
    browser: Any, opened: OpenModel, tmp_path: Path, width: int, scheme: str
) -> None:
    file, complaints, requests = tmp_path / "model.html", [], []
    write_live_page(opened, file, text="To be")
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    prompt = page.locator(".token:not(.next)").count()
    page.fill("#tokens-to-write", "6")
    page.click("#write")
    page.wait_for_selector("#status:has-text('6 tokens written')")
    assert page.locator(".token.written").count() == 6
    written = page.evaluate("livePage.tokenizer.decode(livePage.ids)")
    assert page.evaluate("document.querySelector('#written-text').textContent") == written
    assert page.locator("#heads th").count() == 3  # what is off has no column
    page.fill("#top-k", "5")
    assert page.locator("#heads th").all_inner_texts()[2] == "top-k 5"
    page.fill("#top-k", "0")
    page.locator(".token").nth(prompt + 2).press("Enter")
    assert "in place of token" in page.inner_text("#question")
    assert page.locator(".here").count() == 1
    page.locator(".choice:not([disabled])").nth(1).click()
    assert page.locator(".token.written").count() == 3
    page.locator(".token[aria-current]").press("ArrowLeft")
    page.fill("#temperature", "0")
    assert page.locator("#distribution tr").first.inner_text().endswith("100 %")
    page.select_option("#choose-text", index=1)
    assert page.input_value("#text") == START
    page.wait_for_selector("#status:has-text('tokens.')")
    page.fill("#text", "")
    assert page.input_value("#choose-text") == ""
    assert page.locator("#written-text").is_hidden()
    page.wait_for_selector("#question:has-text('Type a text')")
    page.fill("#text", "to be " * 60)
    page.wait_for_selector("#status:has-text('reads 39 tokens at most')")
    page.click("#write")
    page.wait_for_selector("#status:has-text('40 tokens is full')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    assert requests == [file.as_uri()]
    page.close()


@pytest.mark.browser
def test_a_damaged_page_says_so(browser: Any, opened: OpenModel, tmp_path: Path) -> None:
    file = tmp_path / "model.html"
    contents = write_live_page(opened, file)
    start = contents.weights[:40]
    file.write_text(file.read_text().replace(start, start[::-1]))
    page = browser.new_page()
    page.goto(file.as_uri())
    assert "This file is damaged" in page.inner_text("#failure")
    assert not page.is_visible("#text")
    page.close()


@pytest.mark.browser
def test_on_paper_there_is_every_step_and_nothing_to_press(
    browser: Any, opened: OpenModel, tmp_path: Path
) -> None:
    file = tmp_path / "model.html"
    write_live_page(opened, file, text="a cat")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.locator("#tokens button").first.wait_for()
    page.emulate_media(media="print")
    for pressed in PRESSED:
        assert not page.locator(pressed).first.is_visible(), pressed
    assert page.locator("#tokens button").first.is_visible()
    assert page.locator("#inside h3").count() == page.locator("#inside h3:visible").count() > 10
    page.close()
