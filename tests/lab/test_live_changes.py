"""The page's changes of the model, run by node, against the same changes in PyTorch."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.lab.ablation import ablate_head, skip_block, without_rotation
from groundup.lab.circuits.contributions import contributions
from groundup.lab.hooks import read_activations
from groundup.lab.live.live_page import write_live_page
from groundup.lab.patching import patch, set_weight
from groundup.lab.steering import steer, word_direction
from groundup.lab.stream import document_ids
from groundup.lab.tokens import token_text
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from tests.live_shapes import SHAPES, needs_node, open_shape, run_in_node

TEXT, OTHER, WORD = "To be, or not to be, that is", "To be, or not to suffer, that", "question"
WEIGHT, STRENGTH, LAYER = 0.7, 1.5, 1
# The logits after each text with each change, each alone and on the same model one after another.
CHANGED = """(models, given) => Object.fromEntries(Object.entries(models).map(([name, { model, tokenizer }]) => [name, given.texts.map((text) => {
  const { ids, other, place } = text, { layer, weight, strength } = given, head = 2, last = ids.length - 1;
  const scratch = new LiveModel(model.config, model.weights), streams = streamsOf(scratch, other);
  const own = streamsOf(scratch, ids), length = strength * medianLength(own, layer);
  const direction = wordDirection(model, wordIds(tokenizer, given.word));
  const changes = {
    head: { kind: "head", layer, head },
    block: { kind: "block", layer },
    patch: { kind: "patch", layer, place, values: streams[place][layer] },
    direction: { kind: "direction", layer, values: direction.map((value) => value * length) },
    weight: { kind: "weight", layer, head, place: last, key: last - 1, weight },
  };
  if (model.config.rotations[layer]) changes.rotation = { kind: "rotation", layer };
  const changed = new ChangedModel(model), found = {};
  for (const [kind, change] of Object.entries(changes)) {
    changed.setChanges([change]);
    found[kind] = changed.logits(ids);
  }
  changed.setChanges([changes.head, changes.block, changes.patch, changes.direction].map((change, at) => ({ ...change, layer: at ? layer : 0 })));
  found.several = changed.logits(ids);
  changed.setChanges([]);
  found.none = changed.logits(ids);
  const other_way = new ChangedModel(model), layers = ids.map((id, at) => streamOf(other_way.model, id, at));
  const left = ids.map((_, at) => other_way.runFrom(changes.head, at, layers[at][layer])).at(-1);
  if (String(other_way.model.predict([left])[0]) !== String(found.head)) throw new Error("begun at its block a change does something else");
  const [p, q] = [softmax(found.head), softmax(found.none)];
  return { found, bits: divergenceBits(p, q), telling: tellingToken(p, q) };
})]))"""


@needs_node
@pytest.mark.parametrize("drawn", [5, pytest.param(39, marks=pytest.mark.slow)])
def test_a_changed_model_computes_what_pytorch_does(tokenizer: Tokenizer, drawn: int) -> None:
    models = {name: open_shape(tokenizer, **shape) for name, shape in SHAPES.items()}
    texts = [text_of(tokenizer, TEXT, OTHER), *drawn_texts(tokenizer, drawn)]
    given: dict[str, Any] = {"word": WORD, "layer": LAYER, "weight": WEIGHT, "strength": STRENGTH}
    for name, each in run_in_node(CHANGED, models, texts=texts, **given).items():
        model = models[name].model
        assert isinstance(model, LanguageModel)
        for text, said in zip(texts, each, strict=True):
            expected = in_torch(model, tokenizer, **text)
            assert set(said["found"]) == set(expected), name
            for kind, logits in expected.items():
                found = torch.tensor(said["found"][kind])
                assert torch.allclose(found, logits, atol=2e-5, rtol=1e-4), (name, kind)
                assert int(found.argmax()) == int(logits.argmax()), (name, kind)
                moved = not torch.allclose(logits, expected["none"], atol=1e-3)
                if text is texts[0]:  # in others the place may be beyond a window
                    assert moved == (kind != "none"), (name, kind)
            p, q = (expected[kind].double().log_softmax(-1) for kind in ("head", "none"))
            terms = p.exp() * (p - q)
            assert said["bits"] == pytest.approx(float(terms.sum()) / 0.6931472, abs=1e-5)
            assert said["telling"] == int(terms.argmax())


def text_of(tokenizer: Tokenizer, text: str, other: str) -> dict[str, Any]:
    """Both texts as tokens, and the place of the first that differs."""
    ids, others = tokenizer.encode(text), tokenizer.encode(other)
    pairs = enumerate(zip(ids, others, strict=False))
    return {
        "ids": ids,
        "other": others,
        "place": next(at for at, pair in pairs if len({*pair}) > 1),
    }


def drawn_texts(tokenizer: Tokenizer, count: int) -> list[dict[str, Any]]:
    """Of seven words, the third or fourth of which is another one in the other text."""
    draw, words, found = random.Random(3), f"{TEXT} {WORD} suffer".split(), []
    for _ in range(count):
        chosen, at = draw.choices(words, k=7), draw.randint(2, 3)
        other = draw.choice([word for word in words if word != chosen[at]])
        others = [*chosen[:at], other, *chosen[at + 1 :]]
        found.append(text_of(tokenizer, " ".join(chosen), " ".join(others)))
    return found


def in_torch(
    model: LanguageModel, tokenizer: Tokenizer, ids: list[int], other: list[int], place: int
) -> dict[str, Tensor]:
    """The logits of the next token with the same changes, by the lab's hooks."""
    last, values = len(ids) - 1, read_activations(model, other).stream[:, [place]]
    lengths = read_activations(model, ids).stream[LAYER, 1:].norm(dim=1)
    direction = word_direction(model, tokenizer, WORD)
    direction = direction / direction.norm() * float(lengths.median())
    changes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "head": lambda: ablate_head(model, LAYER + 1, 3, fill="zero"),
        "block": lambda: skip_block(model, LAYER + 1),
        "patch": lambda: patch(model, "stream", LAYER, tokens=[place], values=values[LAYER]),
        "direction": lambda: steer(model, LAYER, direction, STRENGTH),
        "weight": lambda: set_weight(model, LAYER + 1, 3, query=last, key=last - 1, weight=WEIGHT),
        "first head": lambda: ablate_head(model, 1, 3, fill="zero"),
    }
    if model.config.positions == "rope":
        changes["rotation"] = lambda: without_rotation(model, LAYER + 1)
    several = ("first head", "block", "patch", "direction")
    rows = torch.tensor([ids])
    found = {}
    for name, kinds in {
        "none": (),
        "several": several,
        **{each: (each,) for each in changes},
    }.items():
        with ExitStack() as stack, torch.no_grad():
            for kind in kinds:
                stack.enter_context(changes[kind]())
            found[name] = model(rows)[0, -1]
    del found["first head"]
    return found


OTHER_SHARES = """(ids) => {
  const { scratch } = livePage.changing, last = streamsOf(scratch, ids).at(-1).at(-1);
  return Array.from(softmax(scratch.unembed([scratch.finish(last)])[0]));
}"""


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_prediction_moves_with_each_change_and_back(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int, scheme: str
) -> None:
    file, complaints = tmp_path / "model.html", []
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    page.locator("#changes").scroll_into_view_if_needed()
    page.wait_for_selector("#change-said:has-text('Nothing is changed yet')")
    page.click("#written-remove")
    last = "#written-table tbody tr:first-child td:last-child small"
    page.wait_for_selector(f"{last}:not(:has-text('…'))", state="attached")
    for kind in ("head", "block", "rotation"):
        page.click(f".switch[data-kind={kind}][data-layer='1']")
    page.wait_for_selector("#change-said:has-text('moved by')")
    assert page.locator(".chip").count() == 4  # and one that undoes all
    page.click(".chip.all")
    page.wait_for_selector("#change-said:has-text('Nothing is changed yet')")
    assert page.locator(".switch[aria-pressed=true]").count() == 0
    page.fill("#other-text", OTHER)
    page.wait_for_selector(".grid button[data-layer='2'][title='100 % restored']")
    page.locator(".grid button[data-layer='2']").last.click()
    page.wait_for_selector(".chip")
    after = page.evaluate("Array.from(livePage.changing.after)")
    other = page.evaluate(OTHER_SHARES, tokenizer.encode(OTHER))
    assert torch.allclose(torch.tensor(after), torch.tensor(other), atol=1e-6)
    page.locator(".grid button[aria-pressed=true]").press("ArrowLeft")
    page.click(".chip")
    page.fill("#steer-word", WORD)
    page.fill("#steer-strength", "1")
    page.wait_for_selector(".chip:has-text('+1 “question”')")
    page.locator("#weight-rows input").first.fill("800")
    page.wait_for_selector("#weight-rows .edited:has-text('80 %')")
    page.click("#change-write")
    page.wait_for_selector("#change-written p:nth-child(2) bdi:not(:empty)")
    page.fill("#text", "")
    page.locator("#changes").scroll_into_view_if_needed()
    page.wait_for_selector("#changes-empty:has-text('Type a text above')")
    page.fill("#text", "be")
    page.locator("#changes").scroll_into_view_if_needed()
    page.wait_for_selector("#change-question:has-text('be')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.close()


WRITTEN = """(models, given) => Object.fromEntries(Object.entries(models).map(([name, { model }]) => {
  const { ids } = given, changed = new ChangedModel(model), logits = changed.logits(ids), id = argmax(logits);
  for (const [place, each] of ids.entries()) model.step(each, place);
  const found = directContributions(model, ids, id), whole = centred(logits, id);
  const lost = partsOf(model.config).map((part) => {
    changed.setChanges([part]);
    return whole - centred(changed.logits(ids), id);
  });
  return [name, { ...found, id, lost }];
}))"""


@needs_node
def test_the_page_finds_the_contributions_that_python_finds(tokenizer: Tokenizer) -> None:
    shapes = {**SHAPES, "post": {"block": "post", "norm": "layer"}}
    models = {name: open_shape(tokenizer, **shape) for name, shape in shapes.items()}
    ids = document_ids(models["GPT-2"].model, tokenizer, TEXT)
    for name, said in run_in_node(WRITTEN, models, ids=ids).items():
        expected = contributions(models[name].model, tokenizer, TEXT)
        assert token_text(tokenizer, said["id"]) == expected["decision"], name
        assert said["score"] == pytest.approx(expected["score"], abs=2e-4), name
        assert said["embedding"] == pytest.approx(expected["embedding"], abs=2e-4), name
        heads, networks = expected["heads"], expected["feedforward"]
        lost = iter(said["lost"])
        for layer, row in enumerate(heads["direct"]):
            assert said["heads"][layer] == pytest.approx(row, abs=2e-4), name
            assert said["networks"][layer] == pytest.approx(networks["direct"][layer][0], abs=2e-4)
            zeroed = [*heads["zero"][layer], *networks["zero"][layer]]
            assert [next(lost) for _ in zeroed] == pytest.approx(zeroed, abs=5e-4), name
