"""The page's training, run by node, against PyTorch: gradients, the loss over 100 steps, induction
scores; what it saves; and the page itself.
"""

import base64
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from groundup.cli.main import run
from groundup.device import select_compute
from groundup.lab.head_patterns import mean_scores
from groundup.lab.live.contents import page_contents
from groundup.lab.live.live_page import write_live_page
from groundup.model.heads import LanguageModel
from groundup.model.sizes import flops_per_token
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.kinds import byte_tokenizer
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Stability
from groundup.weights.model_io import open_model
from tests.live_shapes import SHAPES, needs_node, open_shape, run_in_node

TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "
LENGTH, TEXTS, STEPS, RATE = 12, 3, 100, 3e-3
MORE: dict[str, dict[str, Any]] = {
    "sinusoidal, post": {"positions": "sinusoidal", "block": "post", "scaled_embedding": True},
    "ALiBi, soft caps": {"positions": "alibi", "score_softcap": 2.0, "logit_softcap": 3.0},
}
GRADIENTS = """(models, { ids, starts, length, shapes }) =>
  Object.fromEntries(Object.entries(models).map(([name, { model }]) => {
    const trained = new TrainedModel(model.config, model.weights, shapes[name]);
    const batch = batchAt(Int32Array.from(ids), starts, length);
    const loss = trained.lossAndGradients(batch), first = Object.keys(shapes[name])[2];
    const gradients = Object.entries(trained.parameters).map(([key, each]) => [key, each.gradient]);
    const measured = trained.finiteDifference(first, 5, batch);
    return [name, { loss, gradients: Object.fromEntries(gradients), first, measured }];
  }))"""
STEPPED = """({ tiny }, { ids, batches, length, rate, shapes }) => {
  const trained = new TrainedModel(tiny.model.config, tiny.model.weights, shapes.tiny);
  return batches.map((starts) => {
    const loss = trained.lossAndGradients(batchAt(Int32Array.from(ids), starts, length));
    trained.update(rate);
    return loss;
  });
}"""


@needs_node
def test_every_gradient_is_that_of_pytorch_over_the_shapes(tokenizer: Tokenizer) -> None:
    models = {name: open_shape(tokenizer, **shape) for name, shape in (SHAPES | MORE).items()}
    ids, starts = tokenizer.encode(TEXT), [0, 5, 9]
    shapes = {name: shapes_of(opened.model) for name, opened in models.items()}
    found = run_in_node(GRADIENTS, models, ids=ids, starts=starts, length=LENGTH, shapes=shapes)
    for name, said in found.items():
        model = models[name].model
        assert isinstance(model, LanguageModel)
        loss = loss_of(model, ids, starts)
        loss.backward()
        assert abs(said["loss"] - loss.item()) < 1e-5, name
        gradients = gradients_of(model)
        assert set(said["gradients"]) == set(gradients), name
        for key, gradient in gradients.items():
            here = torch.tensor(said["gradients"][key])
            most = float(gradient.abs().max())
            assert torch.allclose(here, gradient, atol=2e-5 * most + 1e-7, rtol=1e-3), (name, key)
        assert abs(said["measured"] - float(gradients[said["first"]][5])) < 2e-4, name


@needs_node
def test_the_loss_of_100_steps_is_that_of_pytorch(tokenizer: Tokenizer) -> None:
    opened, ids = open_shape(tokenizer), tokenizer.encode(TEXT * 3)
    model, draw = opened.model, torch.Generator().manual_seed(3)
    assert isinstance(model, LanguageModel)
    batches = torch.randint(len(ids) - LENGTH, (STEPS, TEXTS), generator=draw).tolist()
    given = {"ids": ids, "batches": batches, "length": LENGTH, "rate": RATE}
    here = run_in_node(STEPPED, {"tiny": opened}, shapes={"tiny": shapes_of(model)}, **given)
    optimizer = AdamW(learning_rate=RATE).build(model)
    for starts, found in zip(batches, here, strict=True):
        optimizer.zero_grad()
        loss = loss_of(model, ids, starts)
        loss.backward()
        norm = float(nn.utils.get_total_norm(each.grad for each in model.parameters()))
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad *= min(1.0, Stability().clip_norm / norm)
        optimizer.step()
        assert abs(found - loss.item()) < 1e-3
    assert here[-1] < here[0] / 2


INDUCTION = """({ tiny }, { length, shapes }) => {
  const trained = new TrainedModel(tiny.model.config, tiny.model.weights, shapes.tiny);
  const seen = [], logits = trained.logits.bind(trained);
  trained.logits = (ids, length) => { seen.push({ ids, length }); return logits(ids, length); };
  const known = Array.from({ length: 60 }, (_, id) => id);
  return { scores: inductionScores(trained, known, length, 4), ...seen[0] };
}"""
COMPONENTS = """(_, { rows }) => {
  const { points } = twoComponents(rows.map((row) => Float32Array.from(row)), null);
  return points;
}"""


@needs_node
def test_induction_scores_and_the_map_are_those_of_the_lab(tokenizer: Tokenizer) -> None:
    opened = open_shape(tokenizer)
    model = opened.model
    assert isinstance(model, LanguageModel)
    given = {"length": 32, "shapes": {"tiny": shapes_of(model)}}
    found = run_in_node(INDUCTION, {"tiny": opened}, **given)
    texts = torch.tensor(found["ids"]).view(-1, found["length"]).tolist()
    assert all(text[:16] == text[16:] and len({*text}) == 16 for text in texts)
    with torch.no_grad():
        expected = mean_scores(model, texts)["induction"]
    assert torch.allclose(torch.tensor(found["scores"]), expected, atol=1e-5)
    rows = torch.randn(30, 8, generator=torch.Generator().manual_seed(1)) * torch.arange(1.0, 9.0)
    points = torch.tensor(run_in_node(COMPONENTS, {}, rows=rows.tolist()))
    centred = rows - rows.mean(dim=0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    assert torch.allclose(points.abs(), (centred @ axes[:2].T).abs(), atol=0.05)


COUNTED = """(models, { shapes, settings }) => Object.fromEntries(Object.entries(models).map(
  ([name, { model }]) => [name, stepOperations(model.config, shapes[name], settings)]))"""


@needs_node
def test_the_operations_of_a_step_are_those_of_the_lab_and_their_time_is_measured(
    tokenizer: Tokenizer,
) -> None:
    kinds = {name: SHAPES[name] for name in ("grouped-query, tied, rotary", "GPT-2")}
    models = {name: open_shape(tokenizer, **shape) for name, shape in kinds.items()}
    given = {"settings": {"batch": 3, "context": 20}}
    shapes = {name: shapes_of(opened.model) for name, opened in models.items()}
    found = run_in_node(COUNTED, models, shapes=shapes, **given)
    for name, opened in models.items():
        expected = 60 * 3 * flops_per_token(opened.config, context_tokens=20).forward
        assert found[name] == pytest.approx(expected), name
    assert run_in_node("() => operationSeconds()", {}) > 0


SAVED = """({ tiny }, { own, small }) => [own, small].map((chosen, at) => {
  const tokenizer = at ? new ByteLevelTokenizer(chosen.table) : tiny.tokenizer;
  const weights = at ? firstWeights(chosen.config, chosen.shapes, 3) : tiny.model.weights;
  const file = modelFile({ ...chosen, tokenizer }, weights);
  const model = new LiveModel(chosen.config, weights);
  const logits = [72, 105].map((id, place) => model.step(id, place)).at(-1);
  return { file: Buffer.from(file).toString("base64"), logits };
})"""


@needs_node
def test_a_model_that_the_page_saves_opens_with_its_tokenizer(
    tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened, compute = open_shape(tokenizer, **SHAPES["GPT-2"]), select_compute("cpu")
    choices = page_contents(opened).training
    small = {**choices["small"][1], "table": choices["bytes"]}
    saved = run_in_node(SAVED, {"tiny": opened}, own=choices["own"], small=small)
    for said, original in zip(saved, (tokenizer, byte_tokenizer()), strict=True):
        file = tmp_path / "trained.safetensors"
        file.write_bytes(base64.b64decode(said["file"]))
        back = open_model(file, compute)
        assert isinstance(back.model, LanguageModel)
        assert back.require_tokenizer().table.to_json() == original.table.to_json()
        with torch.no_grad():
            logits = back.model(torch.tensor([[72, 105]]))[0, -1]
        assert torch.allclose(logits, torch.tensor(said["logits"]), atol=2e-5)
        assert run(["generate", str(file), "To be", "--max-tokens", "3"]) == 0
        assert run(["model", "show", str(file)]) == 0
    capsys.readouterr()
    weights = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2)}, weights)
    assert run(["generate", str(weights), "To be"]) == 2
    assert "config.json: is not in its metadata" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_model_learns_pauses_steps_and_is_saved_in_the_page(
    browser: Any, tokenizer: Tokenizer, tmp_path: Path, width: int, scheme: str
) -> None:
    file, complaints, requests = tmp_path / "model.html", [], []
    write_live_page(open_shape(tokenizer), file, text=TEXT)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    assert "A step reads 512 tokens and takes about" in page.inner_text("#train-size")
    assert "Words appear after some 200 steps: " in page.inner_text("#train-size")
    page.fill("#train-text", "short")
    page.click("#train-run")
    page.wait_for_selector("#train-status:has-text('5 tokens; a context of 64 needs 66')")
    page.fill("#train-context", "1000")
    page.wait_for_selector("#train-status:has-text('from 2 to 128')")
    page.fill("#train-context", "16")
    page.fill("#train-text", TEXT * 20)
    page.click("#train-run")
    while page.evaluate("livePage.training.last?.step ?? 0") < 20:
        page.wait_for_timeout(50)
    page.click("#train-run")
    page.wait_for_selector("#train-run:has-text('Train on')")
    page.select_option("#train-weight", "blocks.1.feedforward.up.weight")
    page.fill("#train-row", "7")
    page.click("#train-step")
    page.wait_for_selector("#train-weight-said:has-text('the same, measured')")
    stepped = page.evaluate("livePage.training.last.stepped")
    assert stepped["measured"] == pytest.approx(stepped["gradient"], rel=0.02, abs=1e-5)
    losses = [loss for _, loss in page.evaluate("livePage.training.losses")]
    assert losses[-1] < 0.8 * losses[0]
    assert page.locator("#train-map text").count() > 10
    assert page.locator("#train-induction polyline").count() == 8
    with page.expect_download() as saved:
        page.click("#train-save")
    saved.value.save_as(tmp_path / "trained.safetensors")
    opened = open_model(tmp_path / "trained.safetensors", select_compute("cpu"))
    assert (opened.config.num_layers, opened.config.vocab_size) == (2, 264)
    page.select_option("#train-shape", "own")
    page.fill("#train-rate", "1")
    page.click("#train-step")
    page.wait_for_selector("#train-status:has-text('Step 1')")
    page.click("#train-letters")
    page.wait_for_selector("#train-status:has-text('rows of letters')")
    rows = page.input_value("#train-text").splitlines()
    assert all(row[: len(row) // 2] * 2 == row and len({*row}) == len(row) // 2 for row in rows)
    assert page.input_value("#train-shape") == "1"  # two blocks, as an induction head needs
    page.click("#train-step")
    page.wait_for_selector("#train-status:has-text('Step 1')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    assert [each for each in requests if not each.startswith("blob:")] == [file.as_uri()]
    page.close()


def loss_of(model: LanguageModel, ids: list[int], starts: list[int]) -> Tensor:
    rows = torch.tensor([ids[start : start + LENGTH + 1] for start in starts])
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    shapes = {name: list(each.shape) for name, each in model.named_parameters()}
    return {name.removeprefix("transformer."): shape for name, shape in shapes.items()}


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        found[name.removeprefix("transformer.")] = parameter.grad.flatten()
    return found
