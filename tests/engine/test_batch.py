"""Many at once: every request gets what it would get alone, whoever joins, leaves, begins alike or runs out of memory beside it."""

import io
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.events import AnswerFailed, ChatEvent
from groundup.engine.generate import generate_ids
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.scheduler import QueueFull
from groundup.engine.stream import TextStream, answer_events
from groundup.errors import ConfigError, GroundupError, ModelError
from groundup.model.cache import page_bytes
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import Tokenizer

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt2": {
        "norm": "layer",
        "positions": "learned",
        "feedforward": "gelu",
        "attention_bias": True,
    },
    "gemma3": {
        "block": "sandwich",
        "qk_norm": "head",
        "window_tokens": 7,
        "full_every": 2,
        "window_rope_base": 100.0,
    },
    "gemma2": {"window_tokens": 5, "full_every": 2, "score_softcap": 5.0, "logit_softcap": 9.0},
    "alibi": {"positions": "alibi", "window_tokens": 9},
    "experts": {"num_experts": 4, "experts_per_token": 2},
}
SAMPLINGS = (
    Sampling(temperature=0),
    Sampling(temperature=1.2, top_p=0.9),
    Sampling(temperature=1.0, top_k=20, repetition_penalty=1.2),
    Sampling(temperature=0, frequency_penalty=0.5, repeat_last_n=-1),
    Sampling(temperature=0.7, min_p=0.02, stop=("th", " b")),
    Sampling(temperature=1),
)
Outcomes = dict[str, list[ChatEvent | GroundupError]]


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind_of_model(request: pytest.FixtureRequest, config: ModelConfig) -> LanguageModel:
    model = LanguageModel(replace(config, **request.param))
    initialise(model, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return model.eval()


@pytest.fixture
def engine_of(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> Callable[..., BatchEngine]:
    def build(on: LanguageModel = model, *, pages: int = 1000, **settings: int) -> BatchEngine:
        page_tokens = settings.setdefault("page_tokens", 4)
        cache_bytes = pages * page_bytes(on.config, page_tokens, torch.float32)
        return BatchEngine(
            on, tokenizer, compute, BatchSettings(cache_bytes=cache_bytes, **settings)
        )

    return build


def requests_of(count: int, tokenizer: Tokenizer, seed: int = 0) -> list[Request]:
    """Prompts of mixed length, some of which begin alike, with mixed ways to draw."""
    chance = random.Random(seed)
    beginnings = [[chance.randrange(250) for _ in range(n)] for n in (13, 30)]
    made = []
    for n in range(count):
        own = [chance.randrange(250) for _ in range(chance.randint(1, 18))]
        prompt = [*chance.choice([*beginnings, []]), *own]
        sampling = replace(SAMPLINGS[n % len(SAMPLINGS)], seed=n, max_tokens=chance.randint(1, 14))
        made.append(Request(str(n), tuple(prompt), sampling, tokenizer.special.stop_ids))
    return made


def alone(
    request: Request, model: LanguageModel, tokenizer: Tokenizer, compute: Compute
) -> list[ChatEvent]:
    ids = generate_ids(
        model, request.prompt_ids, request.sampling, request.stop_ids, compute=compute
    )
    start = ChatEvent("", None, len(request.prompt_ids), 0)
    return list(
        answer_events(ids, TextStream(tokenizer, request.sampling.stop), request.stop_ids, start)
    )


def finished(engine: BatchEngine, got: Outcomes | None = None) -> Outcomes:
    got = {} if got is None else got
    while engine.busy:
        for name, outcome in engine.step():
            got.setdefault(name, []).append(outcome)
    return got


def answers(engine: BatchEngine, *requests: Request) -> Outcomes:
    for request in requests:
        engine.submit(request)
    return finished(engine)


def text_of(outcomes: list[ChatEvent | GroundupError]) -> str:
    return "".join(outcome.text for outcome in outcomes if isinstance(outcome, ChatEvent))


def test_many_together_get_what_each_gets_alone_with_every_kind_of_model(
    kind_of_model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    requests = requests_of(len(SAMPLINGS), tokenizer)
    got = answers(engine_of(kind_of_model), *requests)
    for request in requests:
        assert got[request.id] == alone(request, kind_of_model, tokenizer, compute), request


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="plenty", marks=pytest.mark.slow),
        pytest.param({"pages": 18}, id="little memory"),
        pytest.param({"pages": 30, "draft_tokens": 4, "max_running": 2}, id="guesses"),
    ],
)
def test_many_that_join_and_leave_at_random_get_what_each_gets_alone(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
    settings: dict[str, int],
) -> None:
    engine, chance = engine_of(**settings), random.Random(3)
    requests = requests_of(16 if settings else 32, tokenizer, seed=3)
    coming, got, cancelled = list(requests), {}, set()
    while coming or engine.busy:
        if coming and chance.random() < 0.7:
            engine.submit(coming.pop(0))
        if chance.random() < 0.05:
            name = chance.choice(requests).id
            engine.cancel(name)
            cancelled.add(name)
        for name, outcome in engine.step():
            got.setdefault(name, []).append(outcome)
    for request in requests:
        expected = alone(request, model, tokenizer, compute)
        events = got.get(request.id, [])
        assert events == expected or (request.id in cancelled and events == expected[: len(events)])
    assert engine.pages.owned == 0
    assert engine.scheduler.preemptions > 0 or settings.get("pages") != 18
    assert engine.scheduler.shared_tokens > 0


def test_reproducible_gives_the_same_bits_alone_and_among_others_in_bf16(
    model: LanguageModel, tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine]
) -> None:
    """Logprobs too, to the last bit, with little memory and prompts that share pages."""
    coarse = deepcopy(model).to(torch.bfloat16)
    in_bf16 = Compute(torch.device("cpu"), torch.bfloat16)
    requests = [replace(request, logprobs=2) for request in requests_of(16, tokenizer, seed=9)]

    def engine(pages: int) -> BatchEngine:
        cache_bytes = pages * page_bytes(coarse.config, 4, torch.bfloat16)
        settings = BatchSettings(cache_bytes=cache_bytes, page_tokens=4, reproducible=True)
        return BatchEngine(coarse, tokenizer, in_bf16, settings)

    crowded = engine(17)
    got = answers(crowded, *requests)
    assert crowded.scheduler.preemptions > 0 and crowded.scheduler.shared_tokens > 0
    for request in requests:
        assert got[request.id] == answers(engine(100), request)[request.id]


def test_what_another_left_in_a_page_is_never_seen(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    engine = engine_of()
    engine.runner.store.keys.fill_(torch.nan)
    engine.runner.store.values.fill_(torch.nan)
    requests = requests_of(3, tokenizer, seed=1)
    got = answers(engine, *requests)
    for request in requests:
        assert got[request.id] == alone(request, model, tokenizer, compute)


def test_what_cannot_be_reproducible_is_refused(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute, config: ModelConfig
) -> None:
    with pytest.raises(ConfigError, match="can't be combined"):
        BatchSettings(reproducible=True, draft_tokens=2)
    experts = LanguageModel(replace(config, num_experts=4, experts_per_token=2))
    with pytest.raises(ConfigError, match="A model with experts can't be reproducible"):
        BatchEngine(experts, tokenizer, compute, BatchSettings(reproducible=True))


def test_a_long_prompt_in_pieces_gives_the_same_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groundup.engine.scheduler.STEP_TOKENS", 7)
    monkeypatch.setattr("groundup.engine.scheduler.SHARED_STEP_TOKENS", 5)
    monkeypatch.setattr("groundup.engine.scheduler.MIN_CHUNK_TOKENS", 2)
    requests = requests_of(6, tokenizer, seed=5)
    got = answers(engine_of(), *requests)
    for request in requests:
        assert got[request.id] == alone(request, model, tokenizer, compute)


def test_the_next_turn_computes_only_what_is_new_and_says_the_same(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    engine = engine_of()
    first = Request("first", tuple(range(21)), Sampling(temperature=0, max_tokens=10))
    ids = list(generate_ids(model, first.prompt_ids, first.sampling, (), compute=compute))
    answers(engine, first)
    second = Request(
        "second", (*first.prompt_ids, *ids, 5, 6), Sampling(temperature=0, max_tokens=10)
    )
    got = answers(engine, second)
    assert engine.scheduler.shared_tokens == 28  # of 30 that were stored: full pages of 4
    assert got["second"] == alone(second, model, tokenizer, compute)


def test_guesses_are_checked_several_in_one_step_and_change_nothing(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    """A model without blocks that do anything: each token has its own follower, so that greedy text soon goes round in a circle."""
    circling = deepcopy(model)
    with torch.no_grad():
        for block in circling.transformer.blocks:
            block.attention.output.weight.zero_()
            block.feedforward.down.weight.zero_()
    steps = {}
    for draft_tokens in (0, 6):
        engine = engine_of(circling, draft_tokens=draft_tokens)
        request = Request("a", (9, 8, 7), Sampling(temperature=0, max_tokens=60))
        engine.submit(request)
        got: list[ChatEvent | GroundupError] = []
        steps[draft_tokens] = 0
        while engine.busy:
            got += [outcome for _, outcome in engine.step()]
            steps[draft_tokens] += 1
        assert got == alone(request, circling, tokenizer, compute)
    assert steps[6] < steps[0] / 2


def test_cancelling_frees_the_pages_at_once_and_is_quiet(
    tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine]
) -> None:
    engine = engine_of(max_running=1)
    for request in requests_of(2, tokenizer):
        engine.submit(
            replace(request, sampling=Sampling(max_tokens=20, seed=1), stop_ids=frozenset())
        )
    engine.step()
    assert engine.pages.owned > 0
    engine.cancel("0")
    assert engine.pages.owned == 0
    engine.cancel("0")
    engine.cancel("unknown")
    assert set(finished(engine)) == {"1"}


def test_logprobs_are_those_of_the_distribution_before_temperature(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    sampling = Sampling(temperature=3, top_k=5, repetition_penalty=1.5, seed=2, max_tokens=12)
    request = Request("a", (1, 2, 3), sampling, logprobs=7)
    ids = list(generate_ids(model, request.prompt_ids, sampling, (), compute=compute))
    with torch.no_grad():
        expected = (
            model(torch.tensor([[*request.prompt_ids, *ids]]))[0, 2:-1].double().log_softmax(-1)
        )
    got = [each for event in answers(engine_of(), request)["a"] for each in event.logprobs]
    assert [each.token.id for each in got] == ids
    for each, row in zip(got, expected, strict=True):
        assert each.token.logprob == pytest.approx(float(row[each.token.id]), abs=1e-4)
        assert each.token.text == tokenizer.token_bytes(each.token.id)
        assert [other.logprob for other in each.alternatives] == pytest.approx(
            row.topk(7).values.tolist(), abs=1e-4
        )


def test_no_alternatives_still_gives_the_chosen_ones_and_more_than_20_are_refused(
    tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine]
) -> None:
    events = answers(engine_of(), Request("a", (1, 2), Sampling(seed=1, max_tokens=3), logprobs=0))[
        "a"
    ]
    logprobs = [each for event in events for each in event.logprobs]
    assert [len(each.alternatives) for each in logprobs] == [0, 0, 0]
    with pytest.raises(ConfigError, match="logprobs must be 0 to 20 .got 21."):
        Request("a", (1,), logprobs=21)


class Spelling:
    """A constraint: exactly these ids, one after the other."""

    def __init__(self, ids: list[int], vocab_size: int) -> None:
        self.ids, self.vocab_size, self.place = ids, vocab_size, 0

    @property
    def finished(self) -> bool:
        return self.place == len(self.ids)

    def mask(self) -> torch.Tensor:
        mask = torch.zeros(self.vocab_size, dtype=torch.bool)
        if self.ids[self.place] >= 0:
            mask[self.ids[self.place]] = True
        return mask

    def accept(self, token_id: int) -> None:
        assert token_id == self.ids[self.place]
        self.place += 1


@pytest.mark.parametrize("draft_tokens", [0, 4])
def test_a_constraint_is_kept_and_ends_the_answer(
    tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine], draft_tokens: int
) -> None:
    ids = tokenizer.encode("to be to be to be to be")
    constraint = Spelling(ids, tokenizer.vocab_size)
    request = Request("a", (1, 2), Sampling(seed=1), constraint=constraint)
    events = answers(engine_of(draft_tokens=draft_tokens), request)["a"]
    assert text_of(events) == "to be to be to be to be"
    assert isinstance(events[-1], ChatEvent) and events[-1].finish_reason == "stop"
    assert events[-1].completion_tokens == len(ids)


def test_an_error_ends_its_own_request_only(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
) -> None:
    good = requests_of(1, tokenizer)[0]
    impossible = Request(
        "bad", (1, 2), Sampling(seed=1), constraint=Spelling([5, -1], tokenizer.vocab_size)
    )
    engine = engine_of()
    got = answers(engine, impossible, good)
    assert isinstance(got["bad"][-1], ModelError)
    assert got[good.id] == alone(good, model, tokenizer, compute)
    assert engine.pages.owned == 0


class Failing:
    """A constraint that allows everything and breaks at its third token, in one of its methods."""

    def __init__(self, where: str) -> None:
        self.where, self.tokens = where, 0

    @property
    def finished(self) -> bool:
        return self._broken("finished") or False

    def mask(self) -> None:
        self._broken("mask")

    def accept(self, token_id: int) -> None:
        self.tokens += 1
        self._broken("accept")

    def _broken(self, where: str) -> None:
        if where == self.where and self.tokens == 2:
            raise ZeroDivisionError("/a/path/of/this/machine")


@pytest.mark.parametrize("where", ["sampler", "mask", "accept", "finished", "text", "draft"])
def test_whatever_fails_in_one_of_eight_rows_ends_that_row_alone(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    engine_of: Callable[..., BatchEngine],
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    where: str,
) -> None:
    """The sampler, the grammar, the text and the proposed tokens of one request; the other seven are given as each is alone."""
    others = [
        replace(each, id=f"other {each.id}", sampling=replace(each.sampling, max_tokens=10))
        for each in requests_of(1 if where == "draft" else 7, tokenizer)
    ]
    expected = {each.id: alone(each, model, tokenizer, compute) for each in others}
    sampling = Sampling(temperature=1, seed=1, max_tokens=30)
    bad = Request(
        "bad",
        (1, 2, 3),
        sampling,
        constraint=None if where in ("text", "draft") else Failing(where),
    )
    engine = engine_of(draft_tokens=2 if where == "draft" else 0)
    for each in (*others[:3], bad, *others[3:]):
        engine.submit(each)
    running = engine.outputs.running["bad"]
    breaking = {
        "sampler": (running, "choose"),
        "text": (running.answer, "push"),
        "draft": (running.scheduled.lookup, "drafts"),
    }
    if where in breaking:
        monkeypatch.setattr(*breaking[where], lambda *given: 1 // 0)
    got = finished(engine)
    [*_, error] = got.pop("bad")
    assert isinstance(error, AnswerFailed) and "path" not in error.message
    assert "ZeroDivisionError" in logged.getvalue()
    assert got == expected
    assert engine.pages.owned == 0 and not engine.busy


def test_logits_that_are_no_numbers_end_a_request_with_a_sentence(
    model: LanguageModel, tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine]
) -> None:
    broken = LanguageModel(model.config).eval()
    with torch.no_grad():
        broken.head_weight.fill_(torch.nan)
    for temperature in (0, 1):
        sampling = Sampling(temperature=temperature, seed=1)
        [outcome] = answers(engine_of(broken), Request("a", (1, 2), sampling))["a"]
        assert isinstance(outcome, ModelError)
        assert "not finite" in outcome.message


def test_a_limit_of_no_tokens_gives_one_empty_event(engine_of: Callable[..., BatchEngine]) -> None:
    [event] = answers(engine_of(), Request("a", (1, 2), Sampling(max_tokens=0)))["a"]
    assert event == ChatEvent("", "length", 2, 0)


def test_what_has_no_room_is_refused_at_once_with_numbers(
    engine_of: Callable[..., BatchEngine],
) -> None:
    with pytest.raises(ModelError, match=r"64 tokens.*context of 64"):
        engine_of().submit(Request("a", (1,) * 64))
    with pytest.raises(ModelError, match="13 tokens do not fit into a cache of 12"):
        engine_of(pages=3).submit(Request("a", (1,) * 12))
    with pytest.raises(ModelError, match="no tokens"):
        engine_of().submit(Request("a", ()))


def test_an_answer_fills_a_small_cache_and_no_more(engine_of: Callable[..., BatchEngine]) -> None:
    events = answers(engine_of(pages=3), Request("a", (1,) * 5, Sampling(seed=1, max_tokens=50)))[
        "a"
    ]
    assert isinstance(events[-1], ChatEvent)
    assert (events[-1].finish_reason, events[-1].completion_tokens) == ("length", 7)


def test_a_full_queue_refuses_and_goes_on(
    tokenizer: Tokenizer, engine_of: Callable[..., BatchEngine]
) -> None:
    engine = engine_of(max_waiting=2)
    first, second, third = requests_of(3, tokenizer)
    engine.submit(first)
    engine.submit(second)
    with pytest.raises(QueueFull):
        engine.submit(third)
    assert set(finished(engine)) == {"0", "1"}
    assert set(answers(engine, third)) == {"2"}
