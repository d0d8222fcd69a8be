"""Activation patching: the activation of one text is put into the run of another, and the answer is
looked at: which place carries it?

    with patch(model, "stream", 12, tokens=[5], values=found.at("stream", 12)[[5]]): ...
    trace = causal_trace(model, tokenizer, "The capital of France is", "The capital of Italy is")

Causal tracing (Vig et al. 2020, arXiv:2004.12265; Meng et al. 2022, arXiv:2202.05262) does so for
every layer and token: one activation of the clean text's run in that of the corrupted text, one at
a time. With d for the logit of the answer minus that of the wrong answer, a place restores

    (d patched - d corrupted) / (d clean - d corrupted)      0: nothing, 1: the whole difference

(Wang et al. 2022, arXiv:2211.00593; on what it does and does not show Heimersheim & Nanda 2024,
arXiv:2404.15255). The shares of several places do not add up: later ones carry on what an earlier
one restored. Of two places that do the same, either is seen to restore it
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.errors import DataError
from groundup.lab.attention import round_matrix
from groundup.lab.attribution import single_id
from groundup.lab.hooks import SITES, Activations, Change, Site, changed, read_activations
from groundup.lab.stream import (
    block_index,
    document_ids,
    head_index,
    next_logits,
    require_language_model,
    require_tokenizer,
    run_from,
)
from groundup.lab.tokens import pieces_of
from groundup.lab.values import CausalTrace, CleanAndCorrupted, TracedSite
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

DECIMALS = 4
# Of a corrupted text that the caption repeats.
SHOWN_CHARACTERS = 200
# Logits; below it two texts say the same of the answer, and shares of it would be noise.
LEAST_DIFFERENCE = 0.01
CAPTION = (
    "One activation of the clean text's run is put into the run of the corrupted text, one at a "
    "time; restored: the share of the difference of the two texts in the logit of {answer!r} minus "
    "that of {wrong!r}, {clean:+.2f} after the clean text and {corrupted:+.2f} after the corrupted "
    "one. Layer n: the residual stream after n blocks. A head is replaced at all tokens at once."
)
ALIGNED = (
    " The texts have {clean} and {corrupted} tokens: they are aligned from the end, and the first "
    "ones of the longer text are not replaced."
)


def patch(
    model: Model,
    site: Site,
    number: int,
    *,
    tokens: Sequence[int],
    values: Float[Tensor, "n ..."],
    head: int | None = None,
) -> AbstractContextManager[Model]:
    """Put `values` [n, C] in place of the activations of `tokens` (from 0, as indices) at one layer
    or block of a site (`hooks.py` has their numbers), until the `with` ends.

    Of the site "head" [n, D] in place of `head`'s, counted from 1. For a text read at once, without
    a cache, in every row of a batch. Raises DataError, ModelError.

    >>> clean = read_activations(model, tokenizer.encode("to be"))
    >>> with patch(model, "stream", 2, tokens=[1], values=clean.at("stream", 2)[[1]]):
    ...     logits = model(torch.tensor([tokenizer.encode("or be")]))
    """
    if (site == "head") != (head is not None):
        raise DataError(f"The site {site!r} goes with a head only if it is 'head'.")
    chosen = [] if head is None else [head_index(model, head)]

    def put(found: Tensor) -> Tensor:
        found = found.clone()
        if chosen:
            found[:, list(tokens), chosen[0]] = values.to(found)
        else:
            found[:, list(tokens)] = values.to(found)
        return found

    return changed(model, site, number, put)


@contextmanager
def set_weight(
    model: Model, block: int, head: int, *, query: int, key: int, weight: float
) -> Iterator[Model]:
    """Give a key of one query another attention weight, 0 to 1, in one head, until the `with` ends;
    the query's other weights are scaled so that all add up to 1.

    Block and head counted from 1, query and key as indices of the text's tokens. For one text read
    at once, without a cache. Raises ModelError, DataError (a weight out of range, a key that the
    query does not see).
    """
    attention = model.transformer.block(block_index(model, block)).attention
    chosen, seen = head_index(model, head), {}
    if not 0 <= weight <= 1:
        raise DataError(f"An attention weight is 0 to 1, got {weight}.", fix="Give such a number.")

    def keep(_: nn.Module, inputs: tuple[Tensor], named: dict[str, Any]) -> None:
        hidden = inputs[0]
        weights = attention.weights(hidden, named["metadata"])[:, chosen, query]  # [B, T]
        shared = chosen * model.config.num_kv_heads // model.config.num_heads
        values = attention.split_heads(attention.value(hidden))[:, :, shared]  # [B, T, D]
        seen["mixed"] = (_with_weight(weights, key, weight)[:, None] @ values)[:, 0]  # [B, D]

    def mix(found: Tensor) -> Tensor:
        found = found.clone()
        found[:, query, chosen] = seen["mixed"]
        return found

    handle = attention.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with changed(model, "head", block, mix):
            yield model
    finally:
        handle.remove()


def _with_weight(weights: Float[Tensor, "B T"], key: int, weight: float) -> Float[Tensor, "B T"]:
    """Where the key had all of the attention, what is left is shared alike among the others."""
    others = weights.clone()
    others[:, key] = 0.0
    if bool((weights[:, key] == 0).any()):
        raise DataError("The query does not see this key.", fix="Take a key up to the query.")
    left = others.sum(dim=1, keepdim=True)
    found = others * (1 - weight) / left
    found[:, key] = weight
    return found


@dataclass(frozen=True)
class _Pair:
    """The runs of a clean and a corrupted text, and the two next tokens that are compared."""

    model: LanguageModel
    clean: Activations
    corrupted: Activations
    shared: int
    """Leading tokens that are the same in both: their activations are, too."""
    answer: int
    wrong: int

    def aligned(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """The indices of the tokens of both texts that are partners: the last n, in order."""
        lengths = [run.stream.shape[1] for run in (self.clean, self.corrupted)]
        first, second = (torch.arange(length)[-min(lengths) :] for length in lengths)
        return first, second

    @torch.no_grad()
    def measure(self, final: Float[Tensor, "B C"]) -> Float[Tensor, "B 2"]:
        """The logit of the answer minus that of the wrong one, and the answer's probability, from
        the residual stream of the last token after the last block.
        """
        logits = next_logits(self.model, final)
        difference = logits[:, self.answer] - logits[:, self.wrong]
        return torch.stack([difference, logits.softmax(dim=-1)[:, self.answer]], dim=1)

    def patched(self, site: Site, number: int) -> Float[Tensor, "rows 2"]:
        """What is measured with one activation of the clean run in the corrupted one: a row for
        each token that is not shared, of the site "head" for each head of the block, at all tokens
        at once.

        The blocks below run once; the places are rows of a batch.
        """
        first, length = max(0, number - 1), self.corrupted.stream.shape[1]
        rows = torch.arange(self.shared, len(self.aligned()[0]))
        if site == "head":
            rows = torch.arange(self.model.config.num_heads)
        found = []
        for places in rows.split(max(1, BATCH_TOKENS // length)):
            state = self.corrupted.stream[first].expand(len(places), -1, -1)
            with changed(self.model, site, number, self._put(site, number, places)):
                final = run_from(self.model, state, first)
            found.append(self.measure(final[:, -1]))
        return torch.cat(found).cpu()

    def _put(self, site: Site, number: int, places: Int[Tensor, " rows"]) -> Change:
        values, (clean, corrupted) = self.clean.at(site, number), self.aligned()
        rows = torch.arange(len(places))

        def put(found: Tensor) -> Tensor:
            found = found.clone()
            if site == "head":  # [rows, n, D]
                heads = values[clean][:, places].transpose(0, 1)
                found[rows[:, None], corrupted[None], places[:, None]] = heads
            else:
                found[rows, corrupted[places]] = values[clean[places]]
            return found

        return put


def causal_trace(
    model: Model,
    tokenizer: Tokenizer | None,
    text: str,
    corrupted: str,
    *,
    answer: str | None = None,
    wrong: str | None = None,
    progress: Progress | None = None,
) -> CausalTrace:
    """How much of the answer to `text` each activation of its run restores after `corrupted`.

    `answer` and `wrong`: the next tokens that are compared, mostly with a leading space: " Paris".
    None: those that tell the two texts apart most, the largest terms of the Kullback-Leibler
    divergence of the two predictions, in either direction. Texts of unequal length are aligned
    from the end.

    Raises DataError (no text, a string of several tokens, the same text or answer twice, texts that
    do not differ in the answer), ModelError (no language model, no tokenizer, too long).
    """
    model, tokenizer = require_language_model(model), require_tokenizer(tokenizer)
    rows = [document_ids(model, tokenizer, each) for each in (text, corrupted)]
    if rows[0] == rows[1]:
        raise DataError("Both texts are the same.", fix="Change a word of the second one.")
    runs = read_activations(model, rows[0]), read_activations(model, rows[1])
    named = [None if name is None else single_id(tokenizer, name) for name in (answer, wrong)]
    pair = _Pair(model, *runs, _shared(*rows), *_answers(model, runs, named))
    compared = pieces_of(tokenizer, [pair.answer, pair.wrong])
    names = [piece["text"] for piece in compared]
    clean, other = (pair.measure(run.stream[-1, -1:])[0].tolist() for run in runs)
    _require_difference(clean[0], other[0], names)
    caption = CAPTION.format(answer=names[0], wrong=names[1], clean=clean[0], corrupted=other[0])
    if len(corrupted) <= SHOWN_CHARACTERS:
        caption += f" The corrupted text: “{corrupted}”."
    if len(rows[0]) != len(rows[1]):
        caption += ALIGNED.format(clean=len(rows[0]), corrupted=len(rows[1]))
    pieces = [
        pieces_of(tokenizer, [ids[place] for place in places])
        for ids, places in zip(rows, pair.aligned(), strict=True)
    ]
    return {
        "text": text,
        "corrupted": corrupted,
        "answer": compared[0],
        "wrong": compared[1],
        "difference": _before_after(clean[0], other[0]),
        "probability": _before_after(clean[1], other[1]),
        "pieces": pieces[0],
        "corrupted_pieces": pieces[1],
        "sites": _sites(pair, clean, other, progress or Silent()),
        "caption": caption,
    }


def _shared(clean: Sequence[int], corrupted: Sequence[int]) -> int:
    """None where the texts are aligned from the end, at other positions."""
    if len(clean) != len(corrupted):
        return 0
    return next(
        place
        for place, (one, other) in enumerate(zip(clean, corrupted, strict=True))
        if one != other
    )


@torch.no_grad()
def _answers(
    model: LanguageModel, runs: Sequence[Activations], named: Sequence[int | None]
) -> tuple[int, int]:
    """Both tokens, where one is None the other text's largest term of p ln(p / q)."""
    logits = next_logits(model, torch.stack([run.stream[-1, -1] for run in runs]))
    one, other = logits.log_softmax(dim=-1)
    found = []
    for given, p, q in ((named[0], one, other), (named[1], other, one)):
        found.append(int((p.exp() * (p - q)).argmax()) if given is None else given)
    if found[0] == found[1]:
        raise DataError(
            "The answer and the wrong answer are the same token.", fix="Name two different ones."
        )
    return found[0], found[1]


def _require_difference(clean: float, corrupted: float, names: Sequence[str]) -> None:
    if clean - corrupted < LEAST_DIFFERENCE:
        raise DataError(
            f"The clean text does not speak for {names[0]!r} rather than {names[1]!r} more than "
            f"the corrupted one: their logits differ by {clean:.2f} and {corrupted:.2f}.",
            fix="Exchange the texts, or name other answers.",
        )


def _sites(
    pair: _Pair, clean: Sequence[float], corrupted: Sequence[float], progress: Progress
) -> list[TracedSite]:
    """The tables of all sites, a row for each layer or block; of both whole texts `_Pair.measure`
    is given.
    """
    found, num_layers = [], pair.model.config.num_layers
    with progress.track("causal tracing", len(SITES) * num_layers, "layers") as advance:
        for site in SITES:
            rows, first = [], int(site != "stream")
            for number in range(first, num_layers + 1):
                rows.append(pair.patched(site, number))
                advance(number > 0, site)
            table = torch.stack(rows)  # [layers, tokens or heads, 2]
            if site != "head":  # a shared token restores nothing
                nothing = torch.tensor(corrupted).expand(len(rows), pair.shared, 2)
                table = torch.cat([nothing, table], dim=1)
            restored = (table[..., 0] - corrupted[0]) / (clean[0] - corrupted[0])
            found.append(
                TracedSite(
                    site=site,
                    first=first,
                    restored=round_matrix(restored, DECIMALS),
                    probability=round_matrix(table[..., 1], 6),
                )
            )
    return found


def _before_after(clean: float, corrupted: float) -> CleanAndCorrupted:
    return {"clean": round(clean, 6), "corrupted": round(corrupted, 6)}
