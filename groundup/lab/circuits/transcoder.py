"""A sparse transcoder: another computation of one block's feed-forward network, by features of
which few are active at a token, so that each can be named.

    a = TopK(relu(E x + b))        x: what the network reads [C], a: features [M], at most K not 0
    y' = s (D a + c)               y': what the network would add [C]; rows of D have length 1

(transcoders: Dunefsky et al. 2024, arXiv:2406.11944; TopK instead of an L1 penalty: Gao et al.
2024, arXiv:2406.04093.) It is trained to predict the network's output y on texts
(`finetune/transcoder.py`): y - y' is what it does not explain. The first token of a text is left
out: its activations are far larger than all others in many models
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.files import atomic_file, read_json_object, write_json
from groundup.lab.stream import block_index
from groundup.weights.assemble import Model
from groundup.weights.hf import save_tensors, tensors_sha256

WEIGHTS_FILE, CARD_FILE = "transcoder.safetensors", "transcoder.json"
FORMAT_VERSION = 1
Replace = Callable[[Tensor, Tensor], Tensor]
"""What the network read [B, T, C] and what it gave -> what stands there instead."""


class Transcoder(nn.Module):
    """x [.., C] -> features [.., M], of which K are not 0, and the output [.., C].

    >>> features, output = Transcoder(width=8, features=32, active=4)(torch.ones(3, 8))
    >>> features.shape, output.shape
    (torch.Size([3, 32]), torch.Size([3, 8]))
    """

    def __init__(self, width: int, features: int, active: int) -> None:
        super().__init__()
        self.active = active
        self.encoder = nn.Linear(width, features)
        self.decoder = nn.Parameter(torch.randn(features, width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scale: Tensor
        self.register_buffer(
            "scale", torch.ones(())
        )  # of the network's output: trained in its unit

    def forward(
        self, x: Float[Tensor, "*N C"]
    ) -> tuple[Float[Tensor, "*N M"], Float[Tensor, "*N C"]]:
        features = self.features(x)
        return features, features @ self.directions + self.offset

    def features(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N M"]:
        values, places = self.sparse(x)
        before = torch.zeros(*x.shape[:-1], len(self.decoder), dtype=x.dtype, device=x.device)
        return before.scatter(-1, places, values)

    def sparse(self, x: Float[Tensor, "*N C"]) -> tuple[Float[Tensor, "*N K"], Int[Tensor, "*N K"]]:
        """The active features alone: their values (0 where fewer are above 0) and numbers."""
        values, places = self.encoder(x).topk(self.active, dim=-1)
        return values.relu(), places

    @property
    def directions(self) -> Float[Tensor, "M C"]:
        """What each feature writes at activation 1."""
        return self.scale * F.normalize(self.decoder, dim=-1)

    @property
    def offset(self) -> Float[Tensor, " C"]:
        """What is written with no feature active."""
        return self.scale * self.bias

    @torch.no_grad()
    def begin(self, x: Float[Tensor, "N C"], y: Float[Tensor, "N C"]) -> None:
        """Let each feature begin as one token of a sample: the directions in which its x and its y
        differ from their means, scaled so that the output is nearest to y.
        """
        chosen = torch.arange(len(self.decoder)) % len(x)
        self.scale.copy_((y - y.mean(dim=0)).square().mean().sqrt())
        self.bias.copy_(y.mean(dim=0) / self.scale)
        self.decoder.copy_(F.normalize(y[chosen] - self.offset, dim=-1))
        reading = F.normalize(x[chosen] - x.mean(dim=0), dim=-1)
        self.encoder.weight.copy_(reading)
        self.encoder.bias.copy_(-reading @ x.mean(dim=0))
        written, wanted = self(x)[1] - self.offset, y - self.offset
        scale = (written * wanted).sum() / written.square().sum()
        self.encoder.weight.mul_(scale)
        self.encoder.bias.mul_(scale)


def weights_sha256(model: nn.Module) -> str:
    """Of all weights, by which a transcoder knows its model."""
    return tensors_sha256(dict(model.named_parameters()))


@contextmanager
def replaced(model: Model, block: int, change: Replace) -> Iterator[Model]:
    """Put something else in place of the output of a block's feed-forward network, until the `with`
    ends; blocks from 1. Raises ModelError.
    """

    def after(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return change(inputs[0], output)

    part = model.transformer.block(block_index(model, block)).feedforward
    handle = part.register_forward_hook(after)
    try:
        yield model
    finally:
        handle.remove()


@dataclass(frozen=True)
class TranscoderCard:
    """What was measured of a transcoder on held-out text. Losses in nats per token."""

    block: int
    width: int
    features: int
    active: int
    """Features at a token, at most."""
    model_sha256: str
    """Of the weights file of the model that it belongs to."""
    minutes: float
    steps: int
    tokens: int
    """Read in training."""
    unexplained: float
    """Share of the variance of the network's output that it does not explain."""
    mean_active: float
    """Features at a token in the mean (L0)."""
    never_active: float
    """Share of the features that no measured token had."""
    measured_tokens: int
    loss: float
    loss_replaced: float
    """Of the model with the transcoder's output in place of the network's."""
    loss_mean: float
    """With the mean of the network's output in its place."""
    loss_zero: float
    elapsed_s: float
    format_version: int = FORMAT_VERSION

    @property
    def recovered(self) -> float:
        """Share of what the mean loses that the transcoder keeps."""
        return (self.loss_mean - self.loss_replaced) / (self.loss_mean - self.loss)

    @property
    def recovered_zero(self) -> float:
        return (self.loss_zero - self.loss_replaced) / (self.loss_zero - self.loss)

    @property
    def lines(self) -> list[str]:
        """The card as sentences."""
        return [
            f"Block {self.block}: {self.features:,} features, {self.mean_active:.1f} active at a "
            f"token, {self.never_active:.0%} never; {self.steps:,} steps, {self.tokens:,} tokens, "
            f"{self.elapsed_s:.0f} s.",
            f"On {self.measured_tokens:,} held-out tokens {self.unexplained:.1%} of the variance "
            "of the network's output is not explained.",
            f"Loss: {self.loss:.3f} as the model is, {self.loss_replaced:.3f} with the transcoder, "
            f"{self.loss_mean:.3f} with the mean output, {self.loss_zero:.3f} with none: "
            f"{self.recovered:.1%} recovered against the mean, {self.recovered_zero:.1%} against "
            "none.",
        ]


def save_transcoder(transcoder: Transcoder, card: TranscoderCard, folder: Path) -> None:
    """Write both files, the card last: without it the folder is unfinished. Raises DiskError."""
    tensors = {name: tensor.contiguous() for name, tensor in transcoder.state_dict().items()}
    with atomic_file(folder / WEIGHTS_FILE) as path:
        save_tensors(tensors, path)
    write_json(folder / CARD_FILE, asdict(card))


def load_transcoder(folder: Path) -> tuple[Transcoder, TranscoderCard]:
    """Raises FormatError."""
    card = read_card(folder)
    transcoder = Transcoder(card.width, card.features, card.active)
    try:
        transcoder.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, SafetensorError, RuntimeError) as error:
        fix = "Remove the folder, and train it again."
        raise FormatError(
            folder / WEIGHTS_FILE, "tensors", "do not fit its card", fix=fix
        ) from error
    return transcoder.eval(), card


def read_card(folder: Path) -> TranscoderCard:
    """Raises FormatError."""
    file = folder / CARD_FILE
    values: dict[str, Any] = read_json_object(file)
    try:
        card = build_config(TranscoderCard, values)
    except ConfigError as error:
        reason = f"is not a transcoder's card ({error.message.removesuffix('.')})"
        raise FormatError(file, "content", reason) from error
    if card.format_version != FORMAT_VERSION:
        raise FormatError(file, "format_version", f"is {card.format_version}, expected 1")
    return card
