"""SmolLM2-135M in float32, several conversations at once: `BatchEngine` with 1, 4, 16 and 32 of them against one after the other (`generate_ids`).

All begin with prompts of their own and write as many tokens greedily; the texts must be the same. Time to the first token and between
tokens is the server's benchmark.
"""

from collections.abc import Callable, Sequence

import torch
from measure import Contender, Row, Skipped, compare
from peers import PULLED, pulled_model

from groundup.device import Compute
from groundup.engine.batch import generate_answers
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.model.heads import LanguageModel
from groundup.weights.model_io import OpenModel, open_model

TITLE = "SmolLM2-135M, several streams, greedy; tokens per second of all together"
STREAMS, NEW_TOKENS, ROUNDS = (1, 4, 16, 32), 48, 5
QUICK_STREAMS, QUICK_TOKENS, QUICK_ROUNDS = (1, 4), 6, 2
COMPUTE = Compute(torch.device("cpu"))
TEXT = "The ship had left the harbour before sunrise, and those who stood at the rail saw the town grow small. They spoke of"


def rows(quick: bool) -> list[Row]:
    """One comparison for each number of streams. Raises Skipped without the model."""
    folder = pulled_model()
    if folder is None:
        raise Skipped(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    opened = open_model(folder, COMPUTE)
    streams, tokens, rounds = (
        (QUICK_STREAMS, QUICK_TOKENS, QUICK_ROUNDS) if quick else (STREAMS, NEW_TOKENS, ROUNDS)
    )
    return [row for count in streams for row in measured(opened, count, tokens, rounds)]


def measured(opened: OpenModel, count: int, tokens: int, rounds: int) -> list[Row]:
    """`count` streams together, against one of them alone, by the tokens that each writes."""
    prompts = [opened.require_tokenizer().encode(f"{number}. {TEXT}") for number in range(count)]
    assert together(opened, prompts, tokens)() == [
        alone(opened, prompt, tokens)() for prompt in prompts
    ]
    contenders = [
        Contender("groundup together", together(opened, prompts, tokens), count * tokens),
        Contender("groundup one by one", alone(opened, prompts[0], tokens), tokens),
    ]
    return compare(f"{count} streams", "tokens/s", contenders, rounds=rounds)


def together(
    opened: OpenModel, prompts: Sequence[Sequence[int]], tokens: int
) -> Callable[[], list[str]]:
    """All prompts in one engine; a new one each time, so that nothing is in its pages."""
    model, tokenizer = opened.model, opened.require_tokenizer()
    assert isinstance(model, LanguageModel)
    sampling = Sampling(temperature=0, max_tokens=tokens)
    return lambda: generate_answers(prompts, model, tokenizer, sampling, compute=COMPUTE)


def alone(opened: OpenModel, prompt: Sequence[int], tokens: int) -> Callable[[], str]:
    """One prompt by the obvious way."""
    model, tokenizer = opened.model, opened.require_tokenizer()
    assert isinstance(model, LanguageModel)
    sampling = Sampling(temperature=0, max_tokens=tokens)
    return lambda: tokenizer.decode(
        list(generate_ids(model, prompt, sampling, (), compute=COMPUTE)), skip_control=True
    )
