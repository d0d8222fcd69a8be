"""Ablation: what the hooks do to the weights' own words, and a table that equals one change at a time."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from groundup.errors import DataError, ModelError
from groundup.lab.ablation import ablate_head, ablation, skip_block, without_rotation
from groundup.lab.stream import document_ids
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.model.metadata import MetadataBuilder
from groundup.tokenizer.fast import Tokenizer

SENTENCE = "To be, or not to be, that is the question"


@pytest.fixture(scope="module")
def wide(model: LanguageModel) -> LanguageModel:
    """The tiny model with weights so large that every head matters."""
    wide = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return wide


@pytest.fixture(scope="module")
def ids(wide: LanguageModel, tokenizer: Tokenizer) -> torch.Tensor:
    return torch.tensor([document_ids(wide, tokenizer, SENTENCE)])


def loss(model: LanguageModel, ids: torch.Tensor) -> float:
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(model(ids)[0, :-1].double(), ids[0, 1:]))


def without_columns(model: LanguageModel, block: int, head: int) -> LanguageModel:
    """A copy in which the columns of one head of the output projection are zero."""
    changed, width = copy.deepcopy(model), model.config.head_width
    with torch.no_grad():
        changed.transformer.block(block - 1).attention.output.weight[
            :, (head - 1) * width : head * width
        ] = 0
    return changed


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize("head", [1, 4])
def test_zeroed_head_equals_zeroed_columns_of_the_output_projection(
    wide: LanguageModel, ids: torch.Tensor, block: int, head: int
) -> None:
    whole = wide(ids)
    with ablate_head(wide, block, head, fill="zero"):
        ablated = wide(ids)
    torch.testing.assert_close(ablated, without_columns(wide, block, head)(ids))
    assert not torch.allclose(ablated, whole)


def test_mean_filled_head_hands_over_its_mean_at_every_token(
    wide: LanguageModel, ids: torch.Tensor
) -> None:
    """The mean passes through the projection as a constant: zeroed columns plus that constant give the same."""
    seen: list[torch.Tensor] = []
    output = wide.transformer.block(0).attention.output
    handle = output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    wide(ids)
    handle.remove()
    width = wide.config.head_width
    constant = seen[0][0, :, width : 2 * width].mean(dim=0) @ output.weight[:, width : 2 * width].T
    changed = without_columns(wide, 1, 2)
    with torch.no_grad():
        replaced = changed.transformer.block(0).attention.output
        replaced.bias = torch.nn.Parameter(constant.detach())
    with ablate_head(wide, 1, 2):
        torch.testing.assert_close(wide(ids), changed(ids))


def test_skipped_block_equals_a_model_without_it(wide: LanguageModel, ids: torch.Tensor) -> None:
    shorter = copy.deepcopy(wide)
    del shorter.transformer.blocks[0]
    shorter.transformer.config = shorter.config = ModelConfig(
        **{**vars(wide.config), "num_layers": 1}
    )
    with skip_block(wide, 1):
        torch.testing.assert_close(wide(ids), shorter(ids))


def test_without_any_rotation_it_is_a_model_without_positions(
    wide: LanguageModel, ids: torch.Tensor
) -> None:
    unplaced = copy.deepcopy(wide)
    unplaced.transformer.metadata_builder = MetadataBuilder(replace(wide.config, positions="none"))
    with without_rotation(wide, 1):
        assert not torch.allclose(wide(ids), unplaced(ids))
        with without_rotation(wide, 2):
            torch.testing.assert_close(wide(ids), unplaced(ids))
    other = LanguageModel(replace(wide.config, positions="none"))
    with pytest.raises(ModelError, match="are 'none'"), without_rotation(other, 1):
        pass


CHANGES = [
    lambda model: ablate_head(model, 1, 1),
    lambda model: skip_block(model, 2),
    lambda model: without_rotation(model, 2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_model_is_whole_again_afterwards_even_after_an_error(
    wide: LanguageModel, ids: torch.Tensor, change: Callable[[LanguageModel], object]
) -> None:
    before = wide(ids)
    with pytest.raises(KeyError), change(wide):  # type: ignore[attr-defined]
        raise KeyError
    assert torch.equal(wide(ids), before)


@pytest.mark.parametrize("fill", ["mean", "zero"])
def test_table_equals_one_ablation_at_a_time(
    wide: LanguageModel, tokenizer: Tokenizer, ids: torch.Tensor, fill: str
) -> None:
    table = ablation(wide, tokenizer, SENTENCE, fill=fill)  # type: ignore[arg-type]
    whole = loss(wide, ids)
    assert table["loss"] == pytest.approx(whole, abs=1e-4)
    assert len(table["heads"]) == 2
    for block, row in enumerate(table["heads"], start=1):
        assert len(row) == 4
        for head, change in enumerate(row, start=1):
            with ablate_head(wide, block, head, fill=fill):  # type: ignore[arg-type]
                assert change == pytest.approx(loss(wide, ids) - whole, abs=1e-3)
    for block, change in enumerate(table["blocks"], start=1):
        with skip_block(wide, block):
            assert change == pytest.approx(loss(wide, ids) - whole, abs=1e-3)
    assert json.loads(json.dumps(table)) == table


def test_a_head_that_says_nothing_changes_nothing_and_the_only_useful_one_comes_first(
    tokenizer: Tokenizer, wide: LanguageModel, ids: torch.Tensor
) -> None:
    """All columns but those of block 2's head 3 are zero: every other head's absence costs nothing."""
    mute, width = copy.deepcopy(wide), wide.config.head_width
    with torch.no_grad():
        for index in range(2):
            weight = mute.transformer.block(index).attention.output.weight
            kept = weight[:, 2 * width : 3 * width].clone()
            weight.zero_()
            if index == 1:
                weight[:, 2 * width : 3 * width] = kept
    table = ablation(mute, tokenizer, SENTENCE, fill="zero")
    changes = {
        (block, head): change
        for block, row in enumerate(table["heads"], 1)
        for head, change in enumerate(row, 1)
    }
    assert all(
        change == pytest.approx(0, abs=1e-5) for place, change in changes.items() if place != (2, 3)
    )
    assert abs(changes[2, 3]) > 1e-3
    assert table["most"][0]["change"] == max(changes.values())


@pytest.mark.parametrize("block", ["post", "sandwich", "parallel"])
def test_other_kinds_of_blocks_are_ablated_too(tokenizer: Tokenizer, block: str) -> None:
    shape = {"width": 32, "num_layers": 2, "num_heads": 4, "feedforward_width": 64}
    model = LanguageModel(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=32, block=block, **shape)
    )
    initialise(model, torch.Generator().manual_seed(1))
    ids = torch.tensor([document_ids(model, tokenizer, SENTENCE)])
    with ablate_head(model, 2, 3, fill="zero"):
        torch.testing.assert_close(model(ids), without_columns(model, 2, 3)(ids))


def test_heads_of_a_classifier_can_be_silenced(model: LanguageModel) -> None:
    classifier = Classifier(model.config, 2)
    ids = torch.tensor([[5, 6, 7]])
    whole = classifier(ids)
    with ablate_head(classifier, 2, 1, fill="zero"):
        assert not torch.equal(classifier(ids), whole)


def test_bad_requests_are_refused_with_the_range(wide: LanguageModel, tokenizer: Tokenizer) -> None:
    for block, head, message in ((3, 1, "no block 3.*1 to 2"), (1, 0, "no head 0.*1 to 4")):
        with pytest.raises(ModelError, match=message), ablate_head(wide, block, head):
            pass
    with pytest.raises(ModelError, match="no block 0"), skip_block(wide, 0):
        pass
    with pytest.raises(DataError, match="'noise'.*mean, zero"):
        ablation(wide, tokenizer, SENTENCE, fill="noise")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="classifier"):
        ablation(Classifier(wide.config, 2), tokenizer, SENTENCE)
    with pytest.raises(DataError, match="text is empty"):
        ablation(wide, tokenizer, "")
