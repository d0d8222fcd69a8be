"""The page's training, run by node, against PyTorch: gradients, and the loss over 100 steps."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Stability
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
