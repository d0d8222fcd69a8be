"""Direct contributions to a logit: what each part of the model adds to it at the last token, as an
exact sum, and beside each how much is lost when the part is removed.

The head reads the residual stream x after a norm. With the norm's scale r held at its value here,
the logit (or a difference of logits) is linear in x, and x is a sum of what the parts wrote:

    w . norm(x) = sum over parts of (w * g / r) . what the part wrote       w: a row of the head
                                                                            g: the norm's gains

(direct logit attribution: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits";
nostalgebraist 2020.) A head writes its mixed values through its own columns of the output
projection; a neuron its activation times its column of the last matrix. Norms between a part and
the stream (sandwich, output, post) are treated alike: the sum is exact for every wiring here.

Direct is not all: what later parts make of a part's output is missing in it. So each part is also
removed, by zeros and by its mean over the text, and the whole model read again
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import DataError, ModelError
from groundup.lab.ablation import FILLS, Fill, silenced
from groundup.lab.attribution import single_id
from groundup.lab.circuit_values import Contributions, NeuronContribution, PartEffects
from groundup.lab.circuits.run_texts import run_rows
from groundup.lab.circuits.top_texts import top_texts
from groundup.lab.hooks import Activations, changed, neurons_changed, read_activations, read_neurons
from groundup.lab.stream import (
    document_ids,
    next_logits,
    require_language_model,
    require_tokenizer,
    run_from,
)
from groundup.lab.tokens import pieces_of, token_text
from groundup.model.config import BlockKind
from groundup.model.feedforward import FeedForward
from groundup.model.heads import LanguageModel
from groundup.model.norm import LayerNorm, RMSNorm
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model
from groundup.weights.model_io import OpenModel

SHOWN_NEURONS, SHOWN_TEXTS = 12, 3
DECIMALS = 5
# Of the texts that are looked through for the top texts of neurons.
TEXT_ROWS, ROW_TOKENS = 256, 64
# Rows of texts that are read at once.
ROWS_AT_ONCE = 16
CAPTION = (
    "Direct: what the part adds to {score}, with the scale of the final norm held at its value for "
    "this text; embedding {embedding:+.2f}, biases {biases:+.2f}, all heads {heads:+.2f} and all "
    "feed-forward networks {feedforward:+.2f} add up to {total:.3f}; the model computes "
    "{model:.3f}. Removed: by how much it falls when the part is replaced by its mean over the "
    "text, later parts included."
)
EXPERTS = " The networks are mixtures of experts, whose neurons are not told apart."
CAPPED = " Logits are taken before the model's soft cap, which is not linear."
NO_TEXTS = " The texts that the model was trained on are not there: neurons have no top texts."


@dataclass(frozen=True)
class _Direct:
    """Direct contributions, float64."""

    embedding: float
    biases: float
    heads: Float[Tensor, "L H"]
    feedforward: Float[Tensor, " L"]
    neurons: Float[Tensor, "L F"]
    """L x 0 of mixtures of experts."""

    @property
    def total(self) -> float:
        parts = float(self.heads.sum()) + float(self.feedforward.sum())
        return self.embedding + self.biases + parts


@dataclass(frozen=True)
class _Read:
    """One text as the model reads it, and the score that is explained."""

    model: LanguageModel
    found: Activations
    neurons: Float[Tensor, "L T F"]
    weight: Float[Tensor, " C"]
    """The row of the head minus another (or the mean of all): its product is the score."""

    @torch.no_grad()
    def scores(self, final: Float[Tensor, "B T C"]) -> Float[Tensor, " B"]:
        """From the residual stream after the last block; before a soft cap."""
        return self.model.transformer.final_norm(final[:, -1]).float() @ self.weight


@torch.no_grad()
def contributions(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    *,
    token: str | None = None,
    against: str | None = None,
    rows: Sequence[Sequence[int]] = (),
    progress: Progress | None = None,
) -> Contributions:
    """What the parts of a model contribute to the logit of the next token `token` (None: the most
    probable one) minus that of `against`; None: minus the mean logit of all tokens, as softmax
    depends on differences only.

    `rows`: ids of texts, of equal length, for the top texts of neurons. Raises DataError (no text,
    a string of several tokens, twice the same), ModelError (no language model, no tokenizer, too
    long).
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    ids = document_ids(model, tokenizer, text)
    read, chosen, other, probability = _read(model, tokenizer, ids, token, against)
    direct = _direct(read)
    heads, feedforward, neurons = _with_effects(read, direct, progress or Silent())
    if rows:
        neurons = _with_texts(model, tokenizer, neurons, rows)
    names = [token_text(tokenizer, chosen), ""]
    if other is not None:
        names[1] = token_text(tokenizer, other)
    score = float(read.scores(read.found.stream[-1][None])[0])
    return {
        "text": text,
        "pieces": pieces_of(tokenizer, ids),
        "decision": names[0],
        "against": names[1],
        "probability": probability,
        "score": round(score, DECIMALS),
        "sum": round(direct.total, DECIMALS),
        "embedding": round(direct.embedding, DECIMALS),
        "biases": round(direct.biases, DECIMALS),
        "heads": heads,
        "feedforward": feedforward,
        "neurons": neurons,
        "neurons_in_all": direct.neurons.numel(),
        "caption": _caption(model, direct, names, score, told=bool(rows)),
    }


def contributions_with_texts(
    opened: OpenModel, text: str, *, progress: Progress | None = None
) -> Contributions:
    """The contributions to the most probable next token, with top texts from those that the model
    was trained on. Raises as `contributions`, and FormatError for damaged texts.
    """
    model = require_language_model(opened.model)
    tokens = min(ROW_TOKENS, model.config.context_tokens)
    rows: list[list[int]] = []
    if not model.config.num_experts:
        rows = run_rows(opened, TEXT_ROWS, tokens, progress=progress)
    return contributions(model, opened.tokenizer, text, rows=rows, progress=progress)


def _caption(
    model: LanguageModel, direct: _Direct, names: Sequence[str], score: float, *, told: bool
) -> str:
    compared = "the mean of all tokens"
    if names[1]:
        compared = f"that of {names[1]!r}"
    caption = CAPTION.format(
        score=f"the logit of {names[0]!r} minus {compared}",
        embedding=direct.embedding,
        biases=direct.biases,
        heads=float(direct.heads.sum()),
        feedforward=float(direct.feedforward.sum()),
        total=direct.total,
        model=score,
    )
    notes = (
        (not direct.neurons.numel(), EXPERTS),
        (bool(model.config.logit_softcap), CAPPED),
        (not told and bool(direct.neurons.numel()), NO_TEXTS),
    )
    return caption + "".join(note for wanted, note in notes if wanted)


@torch.no_grad()
def _read(
    model: LanguageModel,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    token: str | None,
    against: str | None,
) -> tuple[_Read, int, int | None, float]:
    """The text as it was read, the two tokens and the probability of the first."""
    with read_neurons(model) as seen:
        found = read_activations(model, ids)
    neurons = torch.zeros(model.config.num_layers, len(ids), 0)
    if seen:
        neurons = torch.stack(seen)[:, 0]
    logits = next_logits(model, found.stream[-1, -1:])[0]
    chosen = int(logits.argmax()) if token is None else single_id(tokenizer, token)
    probability = round(float(logits.softmax(dim=-1)[chosen]), 6)
    weight, other = model.head_weight.detach().float(), None
    compared = weight.mean(dim=0)
    if against is not None:
        other = single_id(tokenizer, against)
        compared = weight[other]
    if chosen == other:
        fix = "Give another token as `against`."
        raise DataError(f"{against!r} can't be compared with itself.", fix=fix)
    return _Read(model, found, neurons, weight[chosen] - compared), chosen, other, probability


def _direct(read: _Read) -> _Direct:
    """Walk from the head down to the embedding, and take what each part wrote times the direction
    in which the score reads it there.
    """
    model, found = read.model, read.found
    stream = found.stream[:, -1].double()  # [L + 1, C]
    heads, feedforward, neurons = [], [], []
    direction, biases = _through(model.transformer.final_norm, stream[-1], read.weight.double())
    for index in reversed(range(model.config.num_layers)):
        block, attention = model.transformer.block(index), found.attention[index, -1].double()
        middle, written = stream[index] + attention, found.feedforward[index, -1].double()
        norm = block.feedforward_output_norm
        if block.kind == "post" and block.attention_output_norm is not None:
            middle = block.attention_output_norm(middle.float()[None])[0].double()
        direction, below, added = _below(block.kind, norm, (middle, written), direction)
        biases += added
        feedforward.append(written @ below)
        neurons.append(_neurons(block.feedforward, read.neurons[index, -1].double(), below))
        norm, output = block.attention_output_norm, block.attention.output
        direction, below, added = _below(block.kind, norm, (stream[index], attention), direction)
        biases += added
        by_head = (_matrix(output).T @ below).view(model.config.num_heads, -1)
        heads.append((found.head[index, -1].double() * by_head).sum(dim=1))
        if output.bias is not None:
            biases += float(output.bias.double() @ below)
    return _Direct(
        embedding=float(stream[0] @ direction),
        biases=biases,
        heads=torch.stack(heads[::-1]),
        feedforward=torch.stack(feedforward[::-1]),
        neurons=torch.stack(neurons[::-1]),
    )


def _below(
    kind: BlockKind,
    norm: nn.Module | None,
    added: tuple[Float[Tensor, " C"], Float[Tensor, " C"]],
    direction: Float[Tensor, " C"],
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"], float]:
    """The directions of the stream and of a part before the part was added to it, and what the bias
    of the norm after the part adds. `added`: the stream before, and what the part wrote.
    """
    stream, written = added
    if kind == "post":  # the norm is on the stream itself
        before, bias = _through(norm, stream + written, direction)
        return before, before, bias
    below, bias = _through(norm, written, direction)
    return direction, below, bias


def _through(
    norm: nn.Module | None, x: Float[Tensor, " C"], direction: Float[Tensor, " C"]
) -> tuple[Float[Tensor, " C"], float]:
    """The direction before a norm that reads x, whose scale is held, and what its bias adds."""
    if isinstance(norm, RMSNorm):
        scale = (x.square().mean() + norm.eps).rsqrt()
        return direction * norm.weight.double() * scale, 0.0
    if isinstance(norm, LayerNorm):
        gained = direction * norm.weight.double()
        scale = (x.var(correction=0) + norm.eps).rsqrt()
        return (gained - gained.mean()) * scale, float(direction @ norm.bias.double())
    return direction, 0.0


def _matrix(linear: nn.Module) -> Float[Tensor, "O I"]:
    """Raises ModelError for one that is not a plain matrix."""
    if not isinstance(linear, nn.Linear):
        raise ModelError(
            f"The parts of a {type(linear).__name__} can't be told apart.",
            fix="Open the model in float32, with its adapter merged.",
        )
    return linear.weight.double()


def _neurons(
    part: nn.Module, activations: Float[Tensor, " F"], direction: Float[Tensor, " C"]
) -> Float[Tensor, " F"]:
    if not isinstance(part, FeedForward):
        return activations
    return activations * (_matrix(part.down).T @ direction)


def _with_effects(
    read: _Read, direct: _Direct, progress: Progress
) -> tuple[PartEffects, PartEffects, list[NeuronContribution]]:
    """The parts with what is lost without each."""
    num_layers, width = read.model.config.num_layers, direct.neurons.shape[1]
    strongest = direct.neurons.abs().flatten().topk(min(SHOWN_NEURONS, direct.neurons.numel()))
    chosen = [divmod(place, width) for place in strongest.indices.tolist()]
    lost: dict[tuple[str, Fill], list[list[float]]] = {}
    alone: dict[tuple[Fill, int, int], float] = {}
    with progress.track("contributions", num_layers, "blocks") as advance:
        for index in range(num_layers):
            own = [neuron for block, neuron in chosen if block == index]
            for fill in FILLS:
                by_head = _lost_heads(read, index, fill)
                lost.setdefault(("heads", fill), []).append(by_head)
                by_network = [_lost_network(read, index, fill)]
                lost.setdefault(("feedforward", fill), []).append(by_network)
                effects = _lost_neurons(read, index, own, fill)
                alone |= {
                    (fill, index, neuron): effect
                    for neuron, effect in zip(own, effects, strict=True)
                }
            advance(1, f"block {index + 1} of {num_layers}")
    tables = [
        PartEffects(direct=_rounded(values), zero=lost[part, "zero"], mean=lost[part, "mean"])
        for part, values in (
            ("heads", direct.heads.tolist()),
            ("feedforward", direct.feedforward[:, None].tolist()),
        )
    ]
    neurons = [
        NeuronContribution(
            block=index + 1,
            neuron=neuron + 1,
            activation=round(float(read.neurons[index, -1, neuron]), DECIMALS),
            direct=round(float(direct.neurons[index, neuron]), DECIMALS),
            zero=alone["zero", index, neuron],
            mean=alone["mean", index, neuron],
            texts=[],
        )
        for index, neuron in chosen
    ]
    return tables[0], tables[1], neurons


def _rounded(table: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(value, DECIMALS) for value in row] for row in table]


def _lost_heads(read: _Read, index: int, fill: Fill) -> list[float]:
    """Of each head of a block; the heads are rows of a batch."""
    heads = list(range(read.model.config.num_heads))
    state = read.found.stream[index].expand(len(heads), -1, -1)
    with silenced(read.model, index, heads, fill):
        return _lost(read, run_from(read.model, state, index))


def _lost_network(read: _Read, index: int, fill: Fill) -> float:
    def remove(found: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        return _filled(found, fill)

    with changed(read.model, "feedforward", index + 1, remove):
        return _lost(read, run_from(read.model, read.found.stream[index][None], index))[0]


def _lost_neurons(read: _Read, index: int, neurons: Sequence[int], fill: Fill) -> list[float]:
    if not neurons:
        return []
    rows = torch.arange(len(neurons))

    def remove(found: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F"]:
        found = found.clone()
        found[rows, :, list(neurons)] = _filled(found[rows, :, list(neurons)], fill)
        return found

    state = read.found.stream[index].expand(len(neurons), -1, -1)
    with neurons_changed(read.model, index + 1, remove):
        return _lost(read, run_from(read.model, state, index))


def _filled(found: Float[Tensor, "B T ..."], fill: Fill) -> Float[Tensor, "B T ..."]:
    if fill == "zero":
        return torch.zeros_like(found)
    return found.mean(dim=1, keepdim=True).expand_as(found)


def _lost(read: _Read, final: Float[Tensor, "B T C"]) -> list[float]:
    whole = read.scores(read.found.stream[-1][None])
    return [round(value, DECIMALS) for value in (whole - read.scores(final)).tolist()]


@torch.no_grad()
def _with_texts(
    model: LanguageModel,
    tokenizer: Tokenizer,
    neurons: Sequence[NeuronContribution],
    rows: Sequence[Sequence[int]],
) -> list[NeuronContribution]:
    """The neurons with their top texts among `rows`."""
    numbers = [(entry["block"] - 1, entry["neuron"] - 1) for entry in neurons]
    parts = []
    for batch in torch.tensor(rows).split(ROWS_AT_ONCE):
        with read_neurons(model) as seen:
            model.transformer(batch.to(model.transformer.embedding.weight.device))
        parts.append(torch.stack([seen[block][..., neuron] for block, neuron in numbers]))
    found = torch.cat(parts, dim=1).cpu()  # [neurons, rows, T]
    signs = [math.copysign(1.0, entry["activation"]) for entry in neurons]
    return [
        {**entry, "texts": top_texts(tokenizer, rows, sign * own, SHOWN_TEXTS)}
        for entry, own, sign in zip(neurons, found, signs, strict=True)
    ]
