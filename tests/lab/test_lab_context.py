"""What context is worth: the same losses as the logits give, every prediction counted once, the same tokens with and without context."""

import json
from itertools import chain

import pytest
import torch
import torch.nn.functional as F

from groundup.errors import ConfigError, DataError, ModelError
from groundup.lab.context import loss_by_context, sentence_losses, split_ids
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer

TEXT = 'To be, or not to be. That is the question! Whether "tis nobler in the mind." To suffer\n\nthe mind in the question? To be. '


@torch.no_grad()
def losses_of(model: LanguageModel, ids: list[int]) -> torch.Tensor:
    """-ln P of every token but the first."""
    logits = model(torch.tensor([ids]))[0, :-1]
    return F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")


def test_losses_by_context_are_those_of_the_logits(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    losses = loss_by_context(model, tokenizer, TEXT * 3, window_tokens=12)
    assert json.loads(json.dumps(losses)) == losses
    ids = tokenizer.encode(TEXT * 3)
    rows = torch.stack(
        [losses_of(model, ids[start : start + 12]) for start in range(0, len(ids) - 11, 12)]
    )
    assert losses["windows"] == len(rows) > 5
    assert [(point["from"], point["to"]) for point in losses["points"]] == [
        (1, 1),
        (2, 3),
        (4, 7),
        (8, 11),
    ]
    for point in losses["points"]:
        means = rows[:, point["from"] - 1 : point["to"]].mean(dim=1)
        assert point["loss"] == pytest.approx(float(means.mean()), abs=1e-3)
        assert point["error"] == pytest.approx(float(means.std()) / len(rows) ** 0.5, abs=1e-3)
    assert sum(point["predictions"] for point in losses["points"]) == rows.numel()
    assert losses["mean"] == pytest.approx(float(rows.mean()), abs=1e-3)


def test_one_window_has_no_error_band_and_is_as_long_as_text_and_context_allow(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    short = loss_by_context(model, tokenizer, "to be, or not")
    assert short["window_tokens"] == len(tokenizer.encode("to be, or not"))
    assert all(point["error"] is None for point in short["points"])
    assert (
        loss_by_context(model, tokenizer, TEXT * 3)["window_tokens"] == model.config.context_tokens
    )


def test_sentences_together_are_the_text(tokenizer: Tokenizer) -> None:
    sentences = split_ids(tokenizer, TEXT)
    assert [tokenizer.decode(ids).strip() for ids in sentences] == [
        "To be, or not to be.",
        "That is the question!",
        'Whether "tis nobler in the mind."',
        "To suffer",
        "the mind in the question?",
        "To be.",
    ]
    assert tokenizer.encode(TEXT.rstrip()) == [*chain(*split_ids(tokenizer, TEXT.rstrip()))]


def test_sentences_with_and_without_context_are_scored_on_the_same_tokens(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    text = "To be, or not. That is the question. To be the mind."
    losses = sentence_losses(model, tokenizer, text)
    assert json.loads(json.dumps(losses)) == losses
    sentences = split_ids(tokenizer, text)
    whole, start, gains, counts = losses_of(model, [*chain(*sentences)]), len(sentences[0]), 0.0, 0
    for row, ids in zip(losses["sentences"], sentences[1:], strict=True):
        after = whole[
            start : start + len(ids) - 1
        ]  # the token at place p is predicted by row p - 1
        alone = losses_of(model, ids)
        assert row["tokens"] == len(alone) == len(after)
        assert row["after"] == pytest.approx(float(after.mean()), abs=1e-3)
        assert row["alone"] == pytest.approx(float(alone.mean()), abs=1e-3)
        gains, counts, start = (
            gains + float((alone - after).sum()),
            counts + len(alone),
            start + len(ids),
        )
    assert losses["gain"] == pytest.approx(gains / counts, abs=1e-3)
    assert losses["gain"] == pytest.approx(losses["alone"] - losses["after"], abs=1e-3)
    assert losses["error"] > 0


def test_one_later_sentence_has_no_error(model: LanguageModel, tokenizer: Tokenizer) -> None:
    assert sentence_losses(model, tokenizer, "To be. Or not to be.")["error"] is None


def test_requests_that_cannot_be_met_are_refused(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with pytest.raises(DataError, match="two sentences"):
        sentence_losses(model, tokenizer, "To be, or not to be")
    with pytest.raises(DataError, match="got none"):
        sentence_losses(model, tokenizer, " ")
    with pytest.raises(
        DataError, match=r"sentence of \d+ tokens is longer than the model's context of 32"
    ):
        sentence_losses(model, tokenizer, "To be. " + "question " * 80)
    with pytest.raises(DataError, match="at least 3 tokens, got 0"):
        loss_by_context(model, tokenizer, "")
    with pytest.raises(ConfigError, match="at least 2"):
        loss_by_context(model, tokenizer, TEXT, window_tokens=1)
    with pytest.raises(ModelError, match="no tokenizer"):
        sentence_losses(model, None, TEXT)
    with pytest.raises(ModelError, match="classifier"):
        loss_by_context(Classifier(model.config, 2), tokenizer, TEXT)
