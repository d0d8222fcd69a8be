"""In int8 an answer is the same alone and among 32 others, to the last bit of its logprobs, through the compiled step."""

import random
from dataclasses import replace

import pytest
import torch

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.events import StepOutput
from groundup.engine.request import Request
from groundup.engine.runner import split_spans
from groundup.engine.sampling import Sampling
from groundup.model.cache import TokenSpan, page_bytes
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.quantised import quantise
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer

pytest.importorskip("numba")
from groundup.kernels.probe import use_compiled_step

IN_BF16 = Compute(torch.device("cpu"), torch.bfloat16)
PAGE = 4


@pytest.fixture(scope="module")
def packed(tokenizer: Tokenizer) -> LanguageModel:
    size = -(-tokenizer.vocab_size // 16) * 16
    made = LanguageModel(ModelConfig(size, 256, 64, 2, 4, 64, 2, 16))
    initialise(made, torch.Generator().manual_seed(0), deviation=0.3)
    with torch.no_grad():
        made.transformer.embedding.weight[tokenizer.vocab_size :] = 0  # ids without a text
    quantise(made.bfloat16(), "int8")
    assert use_compiled_step(made, Silent()).startswith("Decoding with the compiled step")
    return made.eval()


def engine_of(
    model: LanguageModel, tokenizer: Tokenizer, *, pages: int = 3000, drafts: int = 0
) -> BatchEngine:
    cache_bytes = pages * page_bytes(model.config, PAGE, torch.bfloat16)
    return BatchEngine(
        model, tokenizer, IN_BF16, BatchSettings(cache_bytes, PAGE, draft_tokens=drafts)
    )


def requests_of(tokenizer: Tokenizer) -> list[Request]:
    """Greedy and drawn, with prompts of 1 to 150 tokens, of which many begin alike."""
    chance, made = random.Random(4), []
    beginning = [chance.randrange(250) for _ in range(150)]
    for n in range(32):
        length = (1, 31, 33, 70, 150)[n % 5]
        own = [chance.randrange(250) for _ in range(length)]
        prompt = beginning[: length * 3 // 4] + own[length * 3 // 4 :] if n % 3 else own
        sampling = Sampling(temperature=n % 2, seed=n, max_tokens=12 + n % 9)
        made.append(
            Request(str(n), tuple(prompt), sampling, tokenizer.special.stop_ids, logprobs=2)
        )
    return made


def finished(
    engine: BatchEngine, coming: list[Request], chance: random.Random
) -> dict[str, list[StepOutput]]:
    got: dict[str, list[StepOutput]] = {request.id: [] for request in coming}
    coming = list(coming)
    while coming or engine.busy:
        for _ in range(min(chance.randrange(9), len(coming))):
            engine.submit(coming.pop(0))
        torch.set_num_threads(chance.choice((1, 2)))
        for name, outcome in engine.step():
            got[name].append(outcome)
    torch.set_num_threads(1)
    return got


def test_in_int8_32_answers_together_are_each_alone_to_the_last_bit(
    packed: LanguageModel, tokenizer: Tokenizer
) -> None:
    """They join at random and share beginnings; with draft tokens, or computed again where memory is short; on one thread or two."""
    chance, requests = random.Random(1), requests_of(tokenizer)
    expected = {
        request.id: finished(engine_of(packed, tokenizer), [request], random.Random(0))[request.id]
        for request in requests
    }
    roomy, crowded = engine_of(packed, tokenizer, drafts=3), engine_of(packed, tokenizer, pages=50)
    for engine in (roomy, crowded):
        assert finished(engine, requests, chance) == expected
        assert engine.scheduler.shared_tokens > 0
    assert crowded.scheduler.preemptions > 0


def test_a_pass_is_divided_into_what_the_step_takes() -> None:
    spans = [TokenSpan([0], 7, 1), TokenSpan([1, 2], 3, 70), TokenSpan([3], 0, 2)]
    parts = list(split_spans(spans, 32))
    assert [sum(span.count for span in part) for part in parts] == [32, 32, 9]
    assert [(span.pages, span.start, span.count) for part in parts for span in part] == [
        *(([0], 7, 1), ([1, 2], 3, 31), ([1, 2], 34, 32), ([1, 2], 66, 7), ([3], 0, 2)),
    ]


def test_in_4_bits_long_prompts_stay_with_torch(packed: LanguageModel) -> None:
    made = LanguageModel(replace(packed.config, num_kv_heads=4))
    initialise(made, torch.Generator().manual_seed(0))
    quantise(made.bfloat16(), "int4")
    use_compiled_step(made, Silent())
    assert packed.decode_step is not None and packed.decode_step.takes_prompts
    assert made.decode_step is not None and not made.decode_step.takes_prompts
