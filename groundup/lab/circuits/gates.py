"""A model with a gate on each of its parts at each token: 1 leaves it as it is, 0 puts its mean
over many texts (at the same place in the text) there instead.

    output = mean + gate * (own output - mean)

Parts are the embeddings of tokens, heads, feed-forward networks and, of the block that a transcoder
stands for, its features and what they leave unexplained (the error). A part with its gate open is
computed from what it reads in this run, where others may be closed (mean ablation: Wang et al.
2022, arXiv:2211.00593). With all gates open it is the model itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import ModelError
from groundup.lab.circuits.transcoder import Transcoder, replaced
from groundup.lab.hooks import Change, changed
from groundup.model.heads import LanguageModel

Kind = Literal["token", "head", "network", "feature", "error"]
ROWS_AT_ONCE = 16
WIRINGS = ("pre", "parallel")


class ModelPart(NamedTuple):
    """A part at one token; all numbers are indices, from 0."""

    kind: Kind
    block: int
    number: int
    """Of a head or feature; else 0."""
    token: int


@dataclass
class Gates:
    """Of B runs."""

    token: Float[Tensor, "B T"]
    head: Float[Tensor, "B L T H"]
    network: Float[Tensor, "B L T"]
    """That of the transcoder's block is not read."""
    feature: Float[Tensor, "B T M"]
    error: Float[Tensor, "B T"]

    def all(self) -> list[Tensor]:
        return [getattr(self, each.name) for each in fields(self)]

    def set(self, row: int, parts: Sequence[ModelPart], value: float) -> None:
        for kind, block, number, token in parts:
            if kind == "head":
                self.head[row, block, token, number] = value
            elif kind == "network":
                self.network[row, block, token] = value
            elif kind == "feature":
                self.feature[row, token, number] = value
            else:
                getattr(self, kind)[row, token] = value


@dataclass
class Outputs:
    """What the parts gave, without their gates: of B runs, or means of many texts without B."""

    token: Float[Tensor, "*B T C"]
    head: Float[Tensor, "*B L T H D"]
    network: Float[Tensor, "*B L T C"]
    feature: Float[Tensor, "*B T M"]
    error: Float[Tensor, "*B T C"]


@dataclass(frozen=True)
class GatedModel:
    """A language model with a transcoder of one block and the means of all parts."""

    model: LanguageModel
    transcoder: Transcoder
    block: int
    """Of the transcoder, an index."""
    means: Outputs
    """For as many tokens as a text may have."""

    def gates(self, runs: int, tokens: int, value: float) -> Gates:
        """All with one value."""
        config, features = self.model.config, len(self.transcoder.decoder)
        return Gates(
            token=torch.full((runs, tokens), value),
            head=torch.full((runs, config.num_layers, tokens, config.num_heads), value),
            network=torch.full((runs, config.num_layers, tokens), value),
            feature=torch.full((runs, tokens, features), value),
            error=torch.full((runs, tokens), value),
        )

    def run(self, ids: Sequence[int], gates: Gates) -> tuple[Float[Tensor, "B T C"], "Seen"]:
        """The residual stream after the last block, and what the parts gave."""
        rows = torch.tensor([list(ids)]).expand(len(gates.token), -1)
        with self._gated(gates, len(ids)) as seen:
            hidden = self.model.transformer.embed(rows)
            final = self.model.transformer.run_blocks(hidden, 0, self.model.config.num_layers)
        return final, seen

    @contextmanager
    def _gated(self, gates: Gates, length: int) -> Iterator["Seen"]:
        seen, means, last = Seen(), self.means, self.model.config.num_layers

        def gate(kind: Literal["token", "head", "network"], layer: int) -> Change:
            mean, opened = getattr(means, kind), getattr(gates, kind)
            if kind != "token":
                mean, opened = mean[layer], opened[:, layer]
            mean = mean[:length]

            def apply(found: Tensor) -> Tensor:
                getattr(seen, kind).append(found)
                return mean + opened[..., None] * (found - mean)

            return apply

        def features(inputs: Tensor, output: Tensor) -> Tensor:
            active, written = self.transcoder(inputs)
            error = output - written
            seen.feature, seen.error = active, error
            seen.network.append(output)
            kept = means.feature[:length] + gates.feature * (active - means.feature[:length])
            left = means.error[:length] + gates.error[..., None] * (error - means.error[:length])
            return kept @ self.transcoder.directions + self.transcoder.offset + left

        with ExitStack() as hooks:
            hooks.enter_context(changed(self.model, "stream", 0, gate("token", 0)))
            for layer in range(last):
                hooks.enter_context(changed(self.model, "head", layer + 1, gate("head", layer)))
                if layer == self.block:
                    hooks.enter_context(replaced(self.model, layer + 1, features))
                else:
                    apply = gate("network", layer)
                    hooks.enter_context(changed(self.model, "feedforward", layer + 1, apply))
            yield seen


class Seen:
    """What the parts of one run gave, without their gates: of heads [B, T, H, D] and networks
    [B, T, C] a tensor for each block.
    """

    def __init__(self) -> None:
        self.token: list[Tensor] = []
        self.head: list[Tensor] = []
        self.network: list[Tensor] = []
        self.feature: Tensor
        self.error: Tensor

    def outputs(self, row: slice = slice(None)) -> Outputs:
        """Of some of the runs."""
        return Outputs(
            self.token[0][row].detach(),
            torch.stack([each[row].detach() for each in self.head], dim=1),
            torch.stack([each[row].detach() for each in self.network], dim=1),
            self.feature[row].detach(),
            self.error[row].detach(),
        )

    def last(self) -> Outputs:
        """Of the last run, without B."""
        last = self.outputs(slice(-1, None))
        return Outputs(*(getattr(last, each.name)[0] for each in fields(last)))


@contextmanager
def read_streams(gated: GatedModel) -> Iterator[list[Float[Tensor, "B T C"]]]:
    """The residual stream as attention and network of each block read it, in this order, from the
    run inside the `with`.
    """
    seen: list[Tensor] = []
    with ExitStack() as hooks:
        for layer in range(gated.model.config.num_layers):
            block = gated.model.transformer.block(layer)
            for norm in (block.attention_norm, block.feedforward_norm):
                if norm is not None:  # that of a parallel block is called by both
                    handle = norm.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
                    hooks.callback(handle.remove)
        yield seen


def require_plain_sum(model: LanguageModel) -> None:
    """Raise ModelError for blocks that do not add what their parts give to the stream as it is."""
    if model.config.block not in WIRINGS:
        raise ModelError(
            "Graphs are made of models whose parts are added to the residual stream as they are, "
            f"not with a norm after them: this one's blocks are {model.config.block!r}.",
            fix="Look at its contributions: groundup lab MODEL --only contributions.",
        )


@torch.no_grad()
def gated_model(
    model: LanguageModel, transcoder: Transcoder, block: int, rows: Int[Tensor, "R T"]
) -> GatedModel:
    """With the means of `rows`, ids of many texts; the block counted from 1. Raises ModelError."""
    require_plain_sum(model)
    config, tokens, width = model.config, rows.shape[1], model.config.width
    nothing = Outputs(
        token=torch.zeros(tokens, width),
        head=torch.zeros(config.num_layers, tokens, config.num_heads, config.head_width),
        network=torch.zeros(config.num_layers, tokens, width),
        feature=torch.zeros(tokens, len(transcoder.decoder)),
        error=torch.zeros(tokens, width),
    )
    plain = GatedModel(model, transcoder, block - 1, nothing)
    for part in rows.split(ROWS_AT_ONCE):
        with plain._gated(plain.gates(len(part), tokens, 1.0), tokens) as seen:
            model.transformer.run_blocks(model.transformer.embed(part), 0, config.num_layers)
        found = seen.outputs()
        for each in fields(nothing):
            mean: Tensor = getattr(nothing, each.name)
            mean += getattr(found, each.name).sum(dim=0) / len(rows)
    return plain
