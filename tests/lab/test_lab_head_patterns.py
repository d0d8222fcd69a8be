"""Nameable heads are found where they are planted by hand, and where training a model on a task that needs them has made them."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from groundup.errors import ModelError
from groundup.lab.attention import attention_maps
from groundup.lab.head_patterns import MAX_HALF, induction_places, repeated_sequences, search_heads
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf

# Of the planted model: ids, positions, components of a head, and how strongly a query asks.
VOCAB, PLACES, HEAD, STRONG = 24, 64, 64, 12.0
# The stream's parts: which token, where it stands, which token stood before, which token is said to come next.
TOKEN, PLACE, BEFORE, NEXT = 0, VOCAB, VOCAB + PLACES, 2 * VOCAB + PLACES


def planted(back: int = 1) -> LanguageModel:
    """Two blocks of two heads, attention only: head 1 of block 1 looks `back` tokens back and carries that token along; head 2
    of block 2 asks for tokens that carry the present one, and says what they are. The two others do nothing. Built for `back` 1,
    when the second is an induction head (Elhage et al. 2021, "A mathematical framework for transformer circuits").
    """
    config = ModelConfig(
        vocab_size=VOCAB,
        context_tokens=PLACES,
        width=3 * VOCAB + PLACES,
        num_layers=2,
        num_heads=2,
        head_width=HEAD,
        feedforward_width=8,
        positions="learned",
        tied_head=False,
    )
    model = LanguageModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        tokens, places = torch.arange(VOCAB), torch.arange(PLACES)
        model.transformer.embedding.weight[tokens, TOKEN + tokens] = 1.0
        assert model.transformer.position_embedding is not None
        model.transformer.position_embedding.weight[places, PLACE + places] = 1.0  # type: ignore[operator, index]
        first, second = model.transformer.block(0).attention, model.transformer.block(1).attention
        first.query.weight[places[:-back], PLACE + places[back:]] = (
            STRONG  # place t asks for place t - back
        )
        first.key.weight[places, PLACE + places] = 1.0
        first.value.weight[tokens, TOKEN + tokens] = 1.0
        first.output.weight[BEFORE + tokens, tokens] = 0.125
        second.query.weight[HEAD + tokens, TOKEN + tokens] = STRONG
        second.key.weight[HEAD + tokens, BEFORE + tokens] = 1.0
        second.value.weight[HEAD + tokens, TOKEN + tokens] = 1.0
        second.output.weight[NEXT + tokens, HEAD + tokens] = 1.0
        assert model.head is not None
        model.head.weight[tokens, NEXT + tokens] = STRONG
    return model.eval()


def best(found: dict, kind: str) -> dict:
    return next(each for each in found["kinds"] if each["kind"] == kind)["best"][0]


def test_planted_heads_are_found_and_nothing_else_is() -> None:
    found = search_heads(planted())
    assert best(found, "previous") == {"block": 1, "head": 1, "score": pytest.approx(1.0, abs=0.01)}
    # the first token has nothing before it and carries itself: its copy, one in some twenty, has two places to look at
    assert best(found, "induction") == {
        "block": 2,
        "head": 2,
        "score": pytest.approx(1.0, abs=0.06),
    }
    named = {(head["block"], head["head"]): head["named"] for head in found["heads"]}
    assert named == {(1, 1): "previous", (1, 2): None, (2, 1): None, (2, 2): "induction"}


def test_a_head_that_does_nothing_has_the_score_of_chance() -> None:
    found = search_heads(planted())
    idle = next(head for head in found["heads"] if (head["block"], head["head"]) == (1, 2))
    for kind in found["kinds"]:
        assert idle["scores"][kind["kind"]] == pytest.approx(kind["chance"], abs=1e-3)


def test_planted_induction_predicts_the_second_half_and_cannot_know_the_first() -> None:
    loss = search_heads(planted())["loss"]
    assert loss["second_half"] < 0.2
    assert loss["first_half"] > 0.9 * math.log(VOCAB)


def test_looking_back_by_a_fixed_distance_is_not_taken_for_induction() -> None:
    found = search_heads(planted(back=16))  # would be perfect on sequences of 17 tokens
    fixed = next(head for head in found["heads"] if (head["block"], head["head"]) == (1, 1))
    assert fixed["scores"]["induction"] < 0.25


def test_repeated_sequences_are_random_tokens_given_twice_without_control_tokens(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    texts = repeated_sequences(model, tokenizer, seed=5)
    assert (
        texts
        == repeated_sequences(model, tokenizer, seed=5)
        != repeated_sequences(model, tokenizer, seed=6)
    )
    assert len({len(ids) for ids in texts}) > 3
    for ids in texts:
        half = len(ids) // 2
        assert ids[:half] == ids[half:]
        assert len(set(ids[:half])) == half <= min(MAX_HALF, model.config.context_tokens // 2)
        assert not set(ids) & set(tokenizer.special.tokens.values())


def test_sequences_are_drawn_from_the_given_ids_only(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    known = list(range(30, 60))
    for ids in repeated_sequences(model, tokenizer, ids=known):
        assert set(ids) <= set(known)
    assert search_heads(model, tokenizer, ids=known) != search_heads(model, tokenizer)


def test_the_token_that_begins_every_text_stands_before_the_sequence(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    begins = tokenizer_from_gguf(gguf_metadata(tokenizer) | {"tokenizer.ggml.add_bos_token": True})
    for ids in repeated_sequences(model, begins):
        half = len(ids) // 2
        assert ids[0] == begins.special.bos_id
        assert ids[1 : half + 1] == ids[half + 1 :]
    assert search_heads(model, begins)["loss"]["second_half"] > 0


def test_induction_places_are_those_after_an_earlier_copy() -> None:
    ids = [3, 1, 4, 1, 1, 5, 3]
    expected = [
        [1 <= key < query and ids[key - 1] == ids[query] for key in range(len(ids))]
        for query in range(len(ids))
    ]
    assert induction_places(ids).tolist() == expected


def test_scores_are_shares_and_plain_json(model: LanguageModel, tokenizer: Tokenizer) -> None:
    found = search_heads(model, tokenizer)
    assert json.loads(json.dumps(found)) == found
    assert len(found["heads"]) == 8
    for head in found["heads"]:
        assert 0 <= sum(head["scores"].values()) <= 1 + 1e-3
    assert found["caption"]


def test_a_classifier_is_searched_too_and_has_no_loss(model: LanguageModel) -> None:
    classifier = Classifier(model.config, 2)
    classifier.transformer.load_state_dict(model.transformer.state_dict())
    found = search_heads(classifier)
    assert found["heads"] == search_heads(model)["heads"]
    assert found["loss"] is None


def test_a_context_too_short_to_repeat_anything_is_refused() -> None:
    config = ModelConfig(
        vocab_size=40, context_tokens=7, width=8, num_layers=1, num_heads=2, feedforward_width=8
    )
    with pytest.raises(ModelError, match="context of 7"):
        search_heads(LanguageModel(config))


def trained_to_repeat(steps: int) -> LanguageModel:
    """A small model trained on random tokens given twice, of random length: only induction can lower the loss."""
    shape = {"width": 64, "num_layers": 2, "num_heads": 4, "feedforward_width": 64}
    model = LanguageModel(ModelConfig(vocab_size=32, context_tokens=64, **shape))
    random = torch.Generator().manual_seed(0)
    initialise(model, random)
    with torch.no_grad():  # larger weights than a deep model wants: it learns sooner
        for matrix in (each for each in model.parameters() if each.ndim == 2):
            matrix.mul_(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    for _ in range(steps):
        length = int(torch.randint(8, 33, (), generator=random))
        half = torch.randint(32, (32, length), generator=random)
        ids = torch.cat([half, half], dim=1)
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


@pytest.mark.slow
def test_training_on_a_task_that_needs_induction_makes_an_induction_head() -> None:
    """900 steps, about 12 s on one core: score 0.9 where chance is 0.03; loss ln 32 = 3.5 in the first half, 0.1 in the second."""
    found = search_heads(trained_to_repeat(900))
    induction = best(found, "induction")
    assert induction["block"] == 2  # it needs the block before it
    assert induction["score"] > 0.7
    assert best(found, "previous")["block"] == 1
    assert found["loss"]["first_half"] > 0.95 * math.log(32)
    assert found["loss"]["second_half"] < 0.5


def test_maps_that_would_not_fit_in_memory_are_refused_with_the_number_that_fits() -> None:
    config = ModelConfig(
        vocab_size=8, context_tokens=20_000, width=8, num_layers=1, num_heads=2, feedforward_width=8
    )
    with pytest.raises(Exception, match=r"at most 5,792 tokens"):
        attention_maps(LanguageModel(config), [1] * 6000)
