"""A real small model: conversations at once, in int8 32 of them, say word for word what each says alone."""

import random
from dataclasses import replace

import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.engine import Engine
from groundup.engine.events import ChatEvent
from groundup.engine.precision import open_in
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.model.heads import LanguageModel
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.weights.model_io import open_model

pytestmark = pytest.mark.network
SYSTEM = "You are a helpful and brief assistant who answers in plain words."
ASKED = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "List three animals that live in the forest, and say what each of them eats in winter.",
    "Translate 'good morning' into Spanish.",
    "Why is the sky blue? " * 8,
)


@pytest.fixture(scope="module")
def engine(compute: Compute) -> Engine:
    return Engine(open_model("smollm2-135m-instruct", compute), compute)


def requests_of(engine: Engine, count: int) -> list[Request]:
    """Greedy, drawn as OpenAI's API does by default (from the whole vocabulary) and among the likeliest; of mixed length and beginnings."""
    ways = (
        Sampling(temperature=1),
        Sampling(temperature=0),
        Sampling(temperature=0.9, top_k=40, top_p=0.9),
    )
    made = []
    for n in range(count):
        asked = Message("user", f"{ASKED[n % len(ASKED)]} ({n})")
        messages = (Message("system", SYSTEM), asked) if n % 3 else (asked,)
        ids = render(Conversation(messages), engine.tokenizer, add_generation_prompt=True).ids
        sampling = replace(ways[n % len(ways)], seed=n, max_tokens=3 + n % 5)
        made.append(Request(str(n), tuple(ids), sampling, engine.tokenizer.special.stop_ids))
    return made


@pytest.mark.parametrize("draft_tokens", [0, 4])
def test_conversations_together_equal_each_alone(
    engine: Engine, compute: Compute, draft_tokens: int
) -> None:
    model, chance = engine.opened.model, random.Random(draft_tokens)
    assert isinstance(model, LanguageModel)
    batch = BatchEngine(
        model,
        engine.tokenizer,
        compute,
        BatchSettings(cache_bytes=2**27, draft_tokens=draft_tokens),
    )
    requests = requests_of(engine, 10)
    coming, got = list(requests), {request.id: [] for request in requests}
    while coming or batch.busy:
        for _ in range(min(chance.randrange(5), len(coming))):
            batch.submit(coming.pop(0))
        for name, outcome in batch.step():
            got[name].append(outcome)
    for request in requests:
        alone: list[ChatEvent] = list(engine.complete(request.prompt_ids, request.sampling))
        assert got[request.id] == alone, request.id
    assert batch.scheduler.shared_tokens > 0


def test_reproducible_conversations_in_bf16_equal_each_alone_to_the_last_bit() -> None:
    in_bf16 = Compute(torch.device("cpu"), torch.bfloat16)
    engine = Engine(open_model("smollm2-135m-instruct", in_bf16), in_bf16)
    model = engine.opened.model
    assert isinstance(model, LanguageModel)
    requests = [replace(request, logprobs=3) for request in requests_of(engine, 6)]

    def answered(*some: Request) -> dict[str, list[object]]:
        settings = BatchSettings(cache_bytes=2**27, page_tokens=64, reproducible=True)
        batch = BatchEngine(model, engine.tokenizer, in_bf16, settings)
        got: dict[str, list[object]] = {request.id: [] for request in some}
        for request in some:
            batch.submit(request)
        while batch.busy:
            for name, outcome in batch.step():
                got[name].append(outcome)
        return got

    together = answered(*requests)
    for request in requests:
        assert together[request.id] == answered(request)[request.id], request.id


def test_32_conversations_together_in_int8_equal_each_alone_to_the_last_bit() -> None:
    pytest.importorskip("numba")
    opened, in_int8 = open_in("int8", "smollm2-135m-instruct", Compute(torch.device("cpu")))
    engine = Engine(opened, in_int8)
    model = engine.language_model()
    requests = [replace(request, logprobs=3) for request in requests_of(engine, 32)]

    def answered(*some: Request) -> dict[str, list[object]]:
        batch = BatchEngine(model, engine.tokenizer, in_int8, BatchSettings(cache_bytes=2**27))
        got: dict[str, list[object]] = {request.id: [] for request in some}
        for request in some:
            batch.submit(request)
        while batch.busy:
            for name, outcome in batch.step():
                got[name].append(outcome)
        return got

    together = answered(*requests)
    for request in requests:
        assert together[request.id] == answered(request)[request.id], request.id
