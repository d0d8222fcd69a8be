"""A model with experts trains as any other: through fit(), with its experts kept evenly used, resumed bit for bit."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from groundup.data.batches.loader import Batch
from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.experts import balance_loss, router_scores
from groundup.model.heads import LanguageModel, initialise
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import identify
from groundup.train.loop import fit
from groundup.train.optimizers.adamw import AdamW
from groundup.train.pretrain import pretraining_loss
from groundup.train.steps.config import Checkpoints, FitConfig
from groundup.train.steps.losses import add_balance, next_token_loss
from groundup.train.steps.step import LossSum

CPU = Compute(torch.device("cpu"))
V, T = 40, 16
CONFIG = ModelConfig(V, T, 32, 2, 2, 24, num_experts=4, experts_per_token=2)
FIT = FitConfig(
    steps=40,
    batch_size=4,
    precision="float32",
    checkpoints=Checkpoints(every=5),
    optimizer=AdamW(learning_rate=0.01),
)


def model_of(config: ModelConfig = CONFIG) -> LanguageModel:
    model = LanguageModel(config)
    initialise(model, torch.Generator().manual_seed(1))
    return model


@dataclass(frozen=True)
class Counting:
    """Texts that count up in steps of one to three: two tokens tell all others."""

    fingerprint: str = "counting"

    def batch(self, position: int) -> Batch:
        generator = torch.Generator().manual_seed(position)
        start, step = (
            torch.randint(0, V, (4, 1), generator=generator),
            torch.randint(1, 4, (4, 1), generator=generator),
        )
        text = (start + step * torch.arange(T + 1)) % V
        return Batch(text[:, :-1], text[:, 1:])


def trained(
    run: Path, weight: float = FIT.stability.balance_weight, stop_at: int | None = None
) -> tuple[LanguageModel, float]:
    """The model after all steps, and its last loss; stopped by Ctrl-C in the loss of call `stop_at`."""
    calls = 0

    def loss(model: nn.Module, batch: Batch) -> LossSum:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return add_balance(next_token_loss, weight)(model, batch)

    model = model_of()
    result = fit(
        model,
        Counting(),
        loss,
        FIT.with_fields({"stability.balance_weight": weight}),
        RunFolder(run),
        compute=CPU,
    )
    return model, result.last_loss


def tokens_of_experts(model: LanguageModel) -> Tensor:
    """How many of the places each expert of each block got, as shares of an even portion."""
    with router_scores(model) as scores, torch.no_grad():
        model(torch.cat([Counting().batch(1000 + i).ids for i in range(8)]))
    counts = [layer.topk(2).indices.flatten().bincount(minlength=4) for layer in scores]
    return torch.stack(counts) / (8 * 4 * T * 2 / 4)


@pytest.mark.slow
def test_it_learns_and_goes_on_where_it_was_stopped_bit_for_bit(tmp_path: Path) -> None:
    whole, loss = trained(tmp_path / "whole")
    assert loss < 1.5 < torch.tensor(float(V)).log()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", stop_at=18)
    resumed, again = trained(tmp_path / "stopped")
    assert again == loss
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_the_balance_loss_keeps_every_expert_in_use(tmp_path: Path) -> None:
    without, _ = trained(tmp_path / "without", weight=0.0)
    within, _ = trained(tmp_path / "within", weight=0.1)
    assert tokens_of_experts(within).min() > 0.6
    assert tokens_of_experts(within).min() > tokens_of_experts(without).min()


def test_its_figure_is_the_plain_loss_and_its_gradient_has_both() -> None:
    batch, model, plain, other = Counting().batch(0), model_of(), model_of(), model_of()
    part, alone = add_balance(next_token_loss, 0.5)(model, batch), next_token_loss(plain, batch)
    assert (part.total.item(), part.count) == (alone.total.item(), alone.count)
    part.total.backward()
    alone.total.backward()
    with router_scores(other) as scores:
        other(batch.ids)
    (0.5 * 64 * torch.stack([balance_loss(layer, 2) for layer in scores]).mean()).backward()
    for name, parameter in model.named_parameters():
        two = (dict(each.named_parameters())[name].grad for each in (plain, other))
        expected = sum(grad for grad in two if grad is not None)
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-4)


def test_padding_is_not_balanced() -> None:
    batch = Counting().batch(0)
    mask = torch.arange(T) < torch.tensor([16, 9, 9, 4])[:, None]
    labels = torch.where(mask, batch.labels, -100)
    other = torch.where(mask, batch.ids, 7)
    grads = []
    for ids in (batch.ids, other):
        model = model_of()
        add_balance(next_token_loss, 1.0)(model, Batch(ids, labels, mask)).total.backward()
        grads.append(model.transformer.block(1).feedforward.router.weight.grad)  # type: ignore[union-attr]
    torch.testing.assert_close(grads[0], grads[1])


def test_models_without_experts_are_trained_as_before() -> None:
    dense = replace(CONFIG, num_experts=0, experts_per_token=0)
    assert pretraining_loss(dense, FIT) is next_token_loss
    assert (
        pretraining_loss(CONFIG, FIT.with_fields({"stability.balance_weight": 0.0}))
        is next_token_loss
    )
    changed = FIT.with_fields({"stability.balance_weight": 0.5})
    assert identify(model_of(), "", FIT) != identify(model_of(), "", changed)
    with pytest.raises(ConfigError, match="balance_weight"):
        FIT.with_fields({"stability.balance_weight": -1.0})
