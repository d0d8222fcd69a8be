"""Gradient times input: exact where the model is a straight line, and at the planted word where one is trained."""

import copy
import json
import random

import pytest
import torch
from torch import nn

from groundup.engine.padded_batch import classifier_ids, pad_right
from groundup.errors import DataError, ModelError
from groundup.lab.attribution import (
    class_attribution,
    gradient_times_input,
    next_token_attribution,
    rank_correlation,
    single_id,
)
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

LABELS = ("ham", "spam")
SENTENCE = "see you at the station call me when it is over we can meet later today"


def test_a_linear_score_is_taken_apart_into_its_terms() -> None:
    """score = 2 x[0,0] - x[1,1] + 3 x[1,0] at x = [[3, 1], [5, 4]]: token 1 gives 6, token 2 gives 15 - 4 = 11."""
    contributions, score = gradient_times_input(
        lambda x: 2 * x[0, 0] - x[1, 1] + 3 * x[1, 0], torch.tensor([[3.0, 1.0], [5.0, 4.0]])
    )
    assert contributions.tolist() == [6.0, 11.0]
    assert score == 17.0


def test_a_bent_score_is_not_complete() -> None:
    """score = x²: the gradient at 3 is 6, so that the contribution 18 is twice the score 9. This is the caveat."""
    contributions, score = gradient_times_input(lambda x: (x**2).sum(), torch.tensor([[3.0]]))
    assert (contributions.tolist(), score) == ([18.0], 9.0)


@pytest.fixture
def straight(tokenizer: Tokenizer) -> Classifier:
    """One block, a straight line: no norms, no feed-forward part, attention that looks everywhere alike and hands over what it sees.

    So the last token ends as x_T + (x_1 + ... + x_T) / T, and token t's contribution is w x_t / T, for the last one w x_T more.
    """
    shape = {"width": 8, "num_layers": 1, "num_heads": 1, "feedforward_width": 8}
    model = Classifier(ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=16, **shape), 2)
    initialise(model, torch.Generator().manual_seed(2))
    model.transformer.final_norm = nn.Identity()  # type: ignore[assignment]
    block = model.transformer.block(0)
    block.attention_norm = block.feedforward_norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        block.attention.query.weight.zero_()
        block.attention.value.weight.copy_(torch.eye(8))
        block.attention.output.weight.copy_(torch.eye(8))
        block.feedforward.down.weight.zero_()
        model.score.weight.normal_(generator=torch.Generator().manual_seed(4))
        model.transformer.embedding.weight.normal_(generator=torch.Generator().manual_seed(5))
    return model.eval()


def test_a_straight_model_is_taken_apart_as_by_hand_and_adds_up(
    straight: Classifier, tokenizer: Tokenizer
) -> None:
    record = class_attribution(straight, tokenizer, "to be or", labels=LABELS, label="spam")
    ids = [piece["id"] for piece in record["pieces"]]
    x = straight.transformer.embedding.weight[ids].detach()
    w = (straight.score.weight[1] - straight.score.weight[0]).detach()
    by_hand = x @ w / len(ids)
    by_hand[-1] += x[-1] @ w
    assert [piece["contribution"] for piece in record["pieces"]] == pytest.approx(
        by_hand.tolist(), abs=1e-4
    )
    assert record["sum"] == pytest.approx(record["score"], abs=1e-4)
    scores = straight(torch.tensor([ids]))[0].detach()
    assert record["score"] == pytest.approx(float(scores[1] - scores[0]), abs=1e-4)


def test_the_other_label_has_the_opposite_contributions(
    straight: Classifier, tokenizer: Tokenizer
) -> None:
    spam, ham = (
        class_attribution(straight, tokenizer, "to be or", labels=LABELS, label=each)
        for each in ("spam", "ham")
    )
    assert [piece["contribution"] for piece in spam["pieces"]] == pytest.approx(
        [-piece["contribution"] for piece in ham["pieces"]], abs=1e-5
    )
    decided = class_attribution(straight, tokenizer, "to be or", labels=LABELS)
    assert decided["score"] > 0
    assert decided["probability"] > 0.5
    assert json.loads(json.dumps(decided)) == decided


def test_contributions_are_what_scaling_a_token_a_little_does(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    """d score / d a of x_t * a at a = 1 is the contribution: checked by a finite difference on a model that is not straight."""
    double = copy.deepcopy(model).double()
    record = next_token_attribution(double, tokenizer, "to be or not")
    ids = torch.tensor([[piece["id"] for piece in record["pieces"]]])
    chosen, other = (
        single_or_control(tokenizer, record[name], double, ids) for name in ("decision", "against")
    )
    inputs = double.transformer.embed(ids).detach()

    def score(place: int, factor: float) -> float:
        scaled = inputs.clone()
        scaled[0, place] *= factor
        hidden = double.transformer.final_norm(
            double.transformer.run_blocks(scaled, 0, double.config.num_layers)
        )
        logits = double.logits(hidden)[0, -1].detach()
        return float(logits[chosen] - logits[other])

    for place, piece in enumerate(record["pieces"]):
        slope = (score(place, 1 + 1e-4) - score(place, 1 - 1e-4)) / 2e-4
        assert piece["contribution"] == pytest.approx(slope, abs=1e-5)


def single_or_control(
    tokenizer: Tokenizer, text: str, model: LanguageModel, ids: torch.Tensor
) -> int:
    """The id of a shown token among the two most probable next ones."""
    best = model(ids)[0, -1].topk(2).indices.tolist()
    return next(
        id for id in best if tokenizer.token_bytes(id).decode("utf-8", "backslashreplace") == text
    )


def test_next_token_is_explained_against_the_runner_up_or_a_named_token(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    record = next_token_attribution(model, tokenizer, "to be or", token=" be", against=" to")
    ids = torch.tensor([[piece["id"] for piece in record["pieces"]]])
    logits = model(ids)[0, -1].detach()
    expected = logits[single_id(tokenizer, " be")] - logits[single_id(tokenizer, " to")]
    assert record["score"] == pytest.approx(float(expected), abs=1e-4)
    assert (record["decision"], record["against"]) == (" be", " to")
    assert next_token_attribution(model, tokenizer, "to be or")["score"] > 0


def test_without_is_what_the_score_loses_when_the_text_lacks_the_token(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    record = next_token_attribution(model, tokenizer, "to be or not", token=" be", against=" to")
    ids = [piece["id"] for piece in record["pieces"]]
    be, to = single_id(tokenizer, " be"), single_id(tokenizer, " to")
    for place, piece in enumerate(record["pieces"]):
        logits = model(torch.tensor([ids[:place] + ids[place + 1 :]]))[0, -1].detach()
        assert piece["without"] == pytest.approx(
            record["score"] - float(logits[be] - logits[to]), abs=1e-4
        )


def test_agreement_is_spearmans_as_scipy_has_it(straight: Classifier, tokenizer: Tokenizer) -> None:
    stats = pytest.importorskip("scipy.stats")
    record = class_attribution(straight, tokenizer, "to be or not the question", labels=LABELS)
    columns = [[piece[name] for piece in record["pieces"]] for name in ("contribution", "without")]
    assert record["agreement"] == pytest.approx(stats.spearmanr(*columns).statistic, abs=1e-3)
    assert rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([9.0, 5.0, 1.0])) == -1.0


def test_a_text_of_one_token_and_a_long_one_are_not_read_without_their_tokens(
    tokenizer: Tokenizer,
) -> None:
    shape = {"width": 8, "num_layers": 1, "num_heads": 1, "feedforward_width": 8}
    model = Classifier(ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=256, **shape), 2)
    for text in ("be", "to be " * 100):
        record = class_attribution(model, tokenizer, text, labels=LABELS)
        assert record["agreement"] is None
        assert all(piece["without"] is None for piece in record["pieces"])
        assert "Left out" not in record["caption"]


def test_gradients_are_found_under_no_grad_and_none_is_left_in_the_weights(
    model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with torch.no_grad():
        assert next_token_attribution(model, tokenizer, "to be")["pieces"]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_trained_spam_classifier_points_at_the_word_that_makes_it_spam() -> None:
    """Messages of common words, spam where "prize" stands among them; the classifier learns it, and the word carries the decision."""
    words = SENTENCE.split()
    tokenizer = train_tokenizer([f" {word}" * 3 for word in [*words, "prize"]], 360)
    draw = random.Random(1)
    messages = []
    for place in range(240):
        message = draw.choices(words, k=draw.randint(4, 9))
        if place % 2:
            message[draw.randrange(len(message))] = "prize"
        messages.append((" " + " ".join(message), place % 2))
    model = trained(tokenizer, messages[:160])
    found = missed = correct = 0
    for text, label in messages[160:]:
        record = class_attribution(model, tokenizer, text, labels=LABELS)
        correct += record["decision"] == LABELS[label]
        if label:
            found += (
                max(record["pieces"], key=lambda piece: piece["contribution"])["text"] == " prize"
            )
            missed += max(record["pieces"], key=lambda piece: piece["without"])["text"] == " prize"
    assert correct >= 76  # of 80
    assert found >= 30  # of 40 (34 measured): one of 4 to 9 words each, chance is about 6
    assert missed >= 38  # of 40: left out for real


def trained(tokenizer: Tokenizer, messages: list[tuple[str, int]]) -> Classifier:
    shape = {"width": 32, "num_layers": 2, "num_heads": 4, "feedforward_width": 64}
    model = Classifier(ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=16, **shape), 2)
    initialise(model, torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [classifier_ids(tokenizer, text, 16) for text, _ in messages]
    ids, mask = pad_right(rows, torch.device("cpu"))
    labels = torch.tensor([label for _, label in messages])
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(ids, mask=mask), labels).backward()
        optimizer.step()
    return model.requires_grad_(False).eval()


def test_bad_requests_are_refused(
    straight: Classifier, model: LanguageModel, tokenizer: Tokenizer
) -> None:
    with pytest.raises(ModelError, match="not a classifier"):
        class_attribution(model, tokenizer, "to be", labels=LABELS)
    with pytest.raises(DataError, match=r"no label 'span'.*'spam'"):
        class_attribution(straight, tokenizer, "to be", labels=LABELS, label="span")
    with pytest.raises(DataError, match="2 scores, got 3"):
        class_attribution(straight, tokenizer, "to be", labels=("a", "b", "c"))
    with pytest.raises(DataError, match="text is empty"):
        class_attribution(straight, tokenizer, "", labels=LABELS)
    with pytest.raises(ModelError, match="is a classifier"):
        next_token_attribution(straight, tokenizer, "to be")
    with pytest.raises(DataError, match=r"' xyl' is not one token but \d: ' ', 'x'"):
        next_token_attribution(model, tokenizer, "to be", token=" xyl")
    with pytest.raises(DataError, match="compared with itself"):
        next_token_attribution(model, tokenizer, "to be", token=" be", against=" be")
    with pytest.raises(ModelError, match="no tokenizer"):
        next_token_attribution(model, None, "to be")
