"""The prompt's own log-probabilities by `/v1/completions`, as the official client reads them and lm-eval's `local-completions` sums them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lazy_module import LazyModule

from groundup.device import Compute
from groundup.engine.score import score
from groundup.model.heads import LanguageModel
from groundup.weights.model_io import OpenModel, open_model

openai = LazyModule("openai")

CPU = Compute(torch.device("cpu"))
PROMPT = "To be, or not to be: öß"


@pytest.fixture(scope="module")
def complete(serve: Callable[..., Any], models: Path) -> Iterator[Callable[..., Any]]:
    address = serve("--models", str(models), "--precision", "float32").address
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client:
        yield lambda **asked: client.completions.create(**{"model": "tiny", **asked})


@pytest.fixture(scope="module")
def tiny(models: Path) -> OpenModel:
    return open_model(models / "tiny", CPU)


@pytest.fixture(scope="module")
def ids(tiny: OpenModel) -> list[int]:
    return tiny.require_tokenizer().encode(PROMPT)


def scored(opened: OpenModel, ids: list[int]) -> list[float]:
    assert isinstance(opened.model, LanguageModel)
    (found,) = score(opened.model, [(ids[:1], ids[1:])], compute=CPU)
    return list(found.token_logprobs)


def test_echo_gives_the_prompt_and_its_logprobs_as_the_engine_scores_it(
    complete: Callable[..., Any], tiny: OpenModel, ids: list[int]
) -> None:
    answer = complete(prompt=PROMPT, echo=True, max_tokens=0, logprobs=3)
    (choice,) = answer.choices
    told = choice.logprobs
    assert (choice.text, choice.finish_reason, answer.usage.prompt_tokens) == (
        PROMPT,
        "length",
        len(ids),
    )
    assert answer.usage.completion_tokens == 0
    assert (told.token_logprobs[0], told.top_logprobs[0]) == (None, None)
    assert told.token_logprobs[1:] == pytest.approx(scored(tiny, ids), abs=1e-5)
    for logprob, alternatives in zip(told.token_logprobs[1:], told.top_logprobs[1:], strict=True):
        values = list(alternatives.values())
        assert 1 <= len(values) <= 3 and values == sorted(values, reverse=True)
        assert logprob in values or logprob <= min(values)


def test_a_prompt_of_ids_is_used_as_it_is_and_several_come_in_order(
    complete: Callable[..., Any], tiny: OpenModel, ids: list[int]
) -> None:
    asked = {"echo": True, "max_tokens": 0, "logprobs": 1}
    text, one, several = (
        complete(prompt=each, **asked) for each in (PROMPT, ids, [ids, ids[:3], ids[2:]])
    )
    assert one.choices[0].logprobs == text.choices[0].logprobs
    assert [len(each.logprobs.tokens) for each in several.choices] == [len(ids), 3, len(ids) - 2]
    assert several.choices[2].logprobs.token_logprobs[1:] == pytest.approx(
        scored(tiny, ids[2:]), abs=1e-5
    )
    assert several.choices[0].text == PROMPT
    assert complete(prompt=ids, max_tokens=5, temperature=0).choices[0].text == (
        complete(prompt=PROMPT, max_tokens=5, temperature=0).choices[0].text
    )


def test_echo_and_an_answer_have_a_score_for_each_token_also_for_the_one_that_ends_it(
    complete: Callable[..., Any], models: Path
) -> None:
    """lm-eval asks for one token more and leaves out the last score: it must be that token's, also where the answer has no text."""
    ender = open_model(models / "ender", CPU)
    assert isinstance(ender.model, LanguageModel)
    stop_ids = ender.require_tokenizer().special.stop_ids
    rows = torch.randint(
        ender.config.vocab_size, (4000, 4), generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        best = ender.model(rows)[:, -1].argmax(dim=-1).tolist()
    ids = next(row.tolist() for row, id in zip(rows, best, strict=True) if id in stop_ids)
    choice = complete(
        model="ender", prompt=ids, echo=True, max_tokens=1, temperature=0, logprobs=1
    ).choices[0]
    told = choice.logprobs
    assert choice.finish_reason == "stop"
    assert [
        len(each)
        for each in (told.tokens, told.token_logprobs, told.top_logprobs, told.text_offset)
    ] == [5] * 4
    assert told.tokens[-1] in ender.require_tokenizer().special.tokens
    assert told.tokens[-1] not in choice.text


def test_streamed_echo_is_whole_echo_with_offsets_that_point_into_the_text(
    complete: Callable[..., Any],
) -> None:
    asked = {"prompt": "To be or not", "echo": True, "max_tokens": 6, "logprobs": 0, "seed": 2}
    whole = complete(**asked).choices[0]
    chunks = [each.choices[0] for each in complete(**asked, stream=True) if each.choices]
    assert "".join(each.text for each in chunks) == whole.text
    assert whole.text.startswith("To be or not")
    streamed = [value for each in chunks if each.logprobs for value in each.logprobs.token_logprobs]
    assert streamed == whole.logprobs.token_logprobs
    for token, offset in zip(whole.logprobs.tokens, whole.logprobs.text_offset, strict=True):
        assert (
            "�" in token
            or whole.text[offset : offset + len(token)] == token
            or "�" in whole.text[:offset]
        )
    assert complete(prompt="To be", echo=True, max_tokens=0).choices[0].logprobs is None


def test_the_echo_of_a_prompt_that_fills_the_context_is_answered_and_a_longer_one_refused(
    complete: Callable[..., Any], tiny: OpenModel
) -> None:
    context = tiny.config.context_tokens
    full = [1 + place % 300 for place in range(context)]
    choice = complete(prompt=full, echo=True, max_tokens=0, logprobs=0).choices[0]
    assert choice.logprobs.token_logprobs[1:] == pytest.approx(scored(tiny, full), abs=1e-4)
    for asked in ({"prompt": full, "max_tokens": 1}, {"prompt": [*full, 1], "max_tokens": 0}):
        with pytest.raises(openai.BadRequestError, match="exceeds the context length") as refused:
            complete(echo=True, **asked)
        assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "prompt", [[], [[]], [1, "a"], [True], [[1], [2.5]], {"a": 1}, 5, [10**9], [-1]]
)
def test_a_prompt_that_is_neither_text_nor_ids_is_refused_in_one_sentence(
    complete: Callable[..., Any], prompt: Any
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"prompt: ") as refused:
        complete(prompt=prompt, max_tokens=1)
    assert refused.value.param == "prompt"
