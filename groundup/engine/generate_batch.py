"""Answers to a list of prompts, generated together by a temporary `BatchEngine`."""

from collections.abc import Callable, Sequence

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import GroundupError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer


def generate_answers(
    prompts: Sequence[Sequence[int]],
    model: LanguageModel,
    tokenizer: Tokenizer,
    sampling: Sampling,
    *,
    compute: Compute,
    stop_ids: frozenset[int] = frozenset(),
    done: Callable[[int], None] = lambda answers: None,
) -> list[str]:
    """Return one text for each prompt, in order, as from `generate_ids`. `done` is called with the number of newly finished answers.

    Raises ModelError when a prompt fills the context, or the logits are non-finite.
    """
    engine = BatchEngine(model, tokenizer, compute, BatchSettings(max_waiting=len(prompts)))
    for number, prompt in enumerate(prompts):
        engine.submit(Request(str(number), tuple(prompt), sampling, stop_ids))
    texts = [""] * len(prompts)
    while engine.busy:
        for name, outcome in engine.step():
            if isinstance(outcome, GroundupError):
                raise outcome
            texts[int(name)] += outcome.text
            done(int(outcome.finish_reason is not None))
    return texts
