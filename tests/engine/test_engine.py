"""The engine: texts and conversations in, events and probabilities out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from groundup.device import Compute
from groundup.engine.engine import Engine, fit_conversation
from groundup.engine.events import ChatEvent
from groundup.engine.padded_batch import class_scores, classifier_ids
from groundup.engine.sampling import Sampling
from groundup.engine.stream import TextStream, answer_events
from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

SAMPLING = Sampling(temperature=1.5, seed=4, max_tokens=30)
LONG = Conversation(
    (
        Message("system", "Be."),
        *(Message(role, f"to be {n}") for n in range(6) for role in ("user", "assistant")),
        Message("user", "not to be"),
    )
)


@pytest.fixture
def engine(
    model: LanguageModel, tokenizer: Tokenizer, config: ModelConfig, compute: Compute
) -> Engine:
    return Engine(OpenModel(model, tokenizer, config, Path("tiny"), "language"), compute)


@pytest.fixture
def labelling(
    classifier: Classifier, tokenizer: Tokenizer, config: ModelConfig, compute: Compute
) -> Engine:
    return Engine(
        OpenModel(classifier, tokenizer, config, Path("c"), "classifier", ("ham", "spam", "other")),
        compute,
    )


def events_of(tokenizer: Tokenizer, ids: list[int], stop: tuple[str, ...] = ()) -> list[ChatEvent]:
    stream = TextStream(tokenizer, stop)
    return list(
        answer_events(iter(ids), stream, tokenizer.special.stop_ids, ChatEvent("", None, 5, 0))
    )


def test_only_the_last_event_has_a_finish_reason_and_counters_count_tokens(engine: Engine) -> None:
    events = list(engine.complete("To be", SAMPLING))
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish_reason == "length"
    assert events[-1].completion_tokens == 30
    assert {event.prompt_tokens for event in events} == {len(engine.tokenizer.encode("To be"))}
    counts = [event.completion_tokens for event in events]
    assert counts == sorted(counts)


def test_the_same_seed_gives_the_same_text_by_text_and_by_ids(engine: Engine) -> None:
    by_text = list(engine.complete("To be", SAMPLING))
    assert by_text == list(engine.complete(engine.tokenizer.encode("To be"), SAMPLING))
    assert by_text != list(engine.complete("To be", replace(SAMPLING, seed=5)))


def test_the_empty_text_is_a_new_document(engine: Engine) -> None:
    assert engine.prompt_ids("") == [engine.tokenizer.special.document_end_id]
    assert list(engine.complete("", SAMPLING))[-1].prompt_tokens == 1


def test_text_in_a_prompt_never_becomes_a_control_token(engine: Engine) -> None:
    assert not set(engine.prompt_ids("<|im_end|>")) & set(engine.tokenizer.special.tokens.values())


def test_an_end_of_turn_token_is_the_reason_stop_and_counts(tokenizer: Tokenizer) -> None:
    ids = [*tokenizer.encode("to be"), tokenizer.special.eos_id]
    events = events_of(tokenizer, ids)
    assert "".join(event.text for event in events) == "to be"
    assert (events[-1].finish_reason, events[-1].completion_tokens) == ("stop", len(ids))


def test_a_stop_string_is_the_reason_stop_and_ends_the_generation(tokenizer: Tokenizer) -> None:
    ids = iter(tokenizer.encode("to be, or not"))
    stream = TextStream(tokenizer, (", o",))
    events = list(answer_events(ids, stream, tokenizer.special.stop_ids, ChatEvent("", None, 5, 0)))
    assert "".join(event.text for event in events) == "to be"
    assert events[-1].finish_reason == "stop"
    assert list(ids)  # the rest was never asked for


def test_what_was_held_back_comes_with_the_last_event(tokenizer: Tokenizer) -> None:
    events = events_of(tokenizer, tokenizer.encode("to be"), stop=("bed",))
    assert "".join(event.text for event in events) == "to be"
    assert events[-1].text == "be"
    assert events[-1].finish_reason == "length"


def test_a_limit_of_no_tokens_gives_one_empty_event(engine: Engine) -> None:
    [event] = engine.complete("To be", Sampling(max_tokens=0))
    assert (event.text, event.finish_reason, event.completion_tokens) == ("", "length", 0)


def test_a_conversation_is_answered_from_its_rendering(engine: Engine) -> None:
    conversation = Conversation((Message("user", "not to be"),))
    ids = render(conversation, engine.tokenizer, add_generation_prompt=True).ids
    assert list(engine.chat(conversation, SAMPLING)) == list(engine.complete(ids, SAMPLING))


def test_an_outgrown_conversation_loses_its_oldest_turns_and_keeps_the_system_turn(
    engine: Engine, tokenizer: Tokenizer
) -> None:
    full = len(render(LONG, tokenizer, add_generation_prompt=True).ids)
    assert full > 64
    rendered, dropped = fit_conversation(LONG, tokenizer, 64, 16)
    assert len(rendered.ids) <= 48
    assert dropped % 2 == 0  # whole turns
    assert rendered.text.startswith("<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\n")
    kept = LONG.messages[1 + dropped :]
    assert rendered == render(
        Conversation((LONG.messages[0], *kept)), tokenizer, add_generation_prompt=True
    )
    longer = render(
        Conversation((LONG.messages[0], *LONG.messages[dropped - 1 :])),
        tokenizer,
        add_generation_prompt=True,
    )
    assert len(longer.ids) > 48  # no more was dropped than had to be
    assert {
        event.dropped_messages for event in engine.chat(LONG, replace(SAMPLING, max_tokens=16))
    } == {dropped}


def test_a_conversation_that_fits_loses_nothing(tokenizer: Tokenizer) -> None:
    whole = render(LONG, tokenizer, add_generation_prompt=True)
    assert fit_conversation(LONG, tokenizer, len(whole.ids) + 16, 16) == (whole, 0)


def test_the_last_message_stays_with_less_room_for_the_answer_and_is_refused_without_any(
    engine: Engine,
) -> None:
    fits = Conversation(
        (Message("user", "to be"), Message("assistant", "no"), Message("user", "x" * 30))
    )
    [*_, last] = engine.chat(fits, replace(SAMPLING, max_tokens=60))
    assert last.dropped_messages == 2
    assert last.prompt_tokens + last.completion_tokens == 64
    with pytest.raises(ModelError, match=r"tokens, and the model's context of 64"):
        engine.chat(Conversation((Message("user", "x" * 100),)), SAMPLING)


def test_probabilities_by_label_are_those_of_each_text_alone(labelling: Engine) -> None:
    texts = ["to be", "", "not to be, that is the question " * 5, "x", "😀"]
    together = labelling.classify(texts)
    for text, probabilities in zip(texts, together, strict=True):
        [alone] = labelling.classify([text])
        assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert probabilities == pytest.approx(alone, abs=1e-5)
        assert probabilities.keys() == {"ham", "spam", "other"}
    assert labelling.classify([]) == []


def test_small_batches_give_the_same_scores_and_windows_are_averaged(
    labelling: Engine, classifier: Classifier, compute: Compute
) -> None:
    texts = [[[1, 2, 3]], [[4], [5, 6]], [[7] * 20]]
    scores = class_scores(classifier, texts, compute=compute)
    assert torch.allclose(
        scores, class_scores(classifier, texts, compute=compute, batch_tokens=1), atol=1e-5
    )
    alone = class_scores(classifier, [[[4]], [[5, 6]]], compute=compute)
    assert torch.allclose(scores[1], alone.mean(0), atol=1e-5)


def test_a_text_too_long_to_classify_is_cut_on_the_right(tokenizer: Tokenizer) -> None:
    assert classifier_ids(tokenizer, "to be or not", 2) == tokenizer.encode("to be or not")[:2]
    assert classifier_ids(tokenizer, "", 2) == [tokenizer.special.document_end_id]


def test_the_wrong_kind_of_model_is_refused(engine: Engine, labelling: Engine) -> None:
    with pytest.raises(ModelError, match="classifier and generates no text"):
        labelling.complete("x", SAMPLING)
    with pytest.raises(ModelError, match="has no classes"):
        engine.classify(["x"])


def test_a_model_without_a_tokenizer_is_refused_for_text(engine: Engine, compute: Compute) -> None:
    bare = Engine(replace(engine.opened, tokenizer=None), compute)
    with pytest.raises(ModelError, match="no tokenizer"):
        bare.complete("x", SAMPLING)
