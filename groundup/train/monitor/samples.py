"""What a model writes at each evaluation: always from the same beginnings, so that samples over time can be compared.

A sample is a line of samples.jsonl: prompt, text, and two figures about it that need the training text or the tokens,

    repetition      0 to 1: how many of its runs of four tokens stood in it before
    longest_copy    tokens in a row that also stand in the training text; copied_text: which ones. searched_share, below 1: of how much of it

Nothing is drawn from torch's global generators: samples are looked at, they change no run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from groundup.data.shards import ShardSet
from groundup.data.split import TRAIN, VALIDATION
from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import ConfigError, DataError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.train.monitor.memorisation import longest_copy, repetition, searched_share

PROMPT_TOKENS = 8
SAMPLE_TOKENS = 64
# Beside the first words of the validation text, the beginnings of so many of its documents.
OPENINGS = 3
OPENING_SEARCH_TOKENS = 2**18
MAX_PROMPTS = 16


class Sampler:
    """Writes from fixed prompts. Raises DataError for a prompt that leaves no room in the context, ConfigError for too many."""

    def __init__(
        self,
        shards: ShardSet,
        tokenizer: Tokenizer,
        context_tokens: int,
        *,
        prompts: Sequence[str] = (),
        seed: int,
        compute: Compute,
    ) -> None:
        self.tokenizer, self.seed, self.compute = tokenizer, seed, compute
        self.text = shards.tokens(TRAIN)
        self.searched_share = searched_share(len(self.text))
        given = [tokenizer.encode(prompt) for prompt in prompts]
        require_room_for(given, prompts, context_tokens)
        tokens, end = shards.tokens(VALIDATION), tokenizer.special.document_end_id
        self.prompts = given or openings(tokens, end, min(PROMPT_TOKENS, context_tokens // 2))

    def write(self, model: LanguageModel) -> list[dict[str, Any]]:
        """One record a prompt."""
        return [self._record(model, prompt) for prompt in self.prompts]

    def _record(self, model: LanguageModel, prompt: list[int]) -> dict[str, Any]:
        sampling = Sampling(temperature=0.8, max_tokens=SAMPLE_TOKENS, seed=self.seed)
        ids = list(generate_ids(model, prompt, sampling, self.tokenizer.special.stop_ids, compute=self.compute))
        copied = longest_copy(ids, self.text, model.config.vocab_size)

        def decode(ids: list[int]) -> str:
            return self.tokenizer.decode(ids, skip_control=True, starts=False)

        return {
            "prompt": self.tokenizer.decode(prompt, skip_control=True),
            "text": decode(ids),
            "repetition": round(repetition(ids), 4),
            "longest_copy": copied.num_tokens,
            "copied_text": decode(ids[copied.start : copied.start + copied.num_tokens]),
            **({"searched_share": round(self.searched_share, 4)} if self.searched_share < 1 else {}),
        }


def require_room_for(prompts: Sequence[Sequence[int]], texts: Sequence[str], context_tokens: int) -> None:
    """Refuse prompts that can't be gone on from, before any work. Raises ConfigError, DataError."""
    if len(prompts) > MAX_PROMPTS:
        raise ConfigError(
            f"There are {len(prompts)} prompts, at most {MAX_PROMPTS} are written from at each evaluation."
        )
    for ids, text in zip(prompts, texts, strict=True):
        if not 0 < len(ids) < context_tokens:
            raise DataError(
                f"The prompt {text[:40]!r} has {len(ids)} tokens, the model's context {context_tokens}: no room to go on.",
                fix="Shorten it.",
            )


def openings(tokens: np.ndarray, end_id: int, length: int) -> list[list[int]]:
    """The first `length` tokens, and those of up to three documents, looked for a quarter, half and three quarters into the text."""
    starts = [0]
    for number in range(1, OPENINGS + 1):
        near = len(tokens) * number // (OPENINGS + 1)
        ends = np.flatnonzero(tokens[near : near + OPENING_SEARCH_TOKENS] == end_id)
        start = near + int(ends[0]) + 1 if len(ends) else len(tokens)
        if start not in starts and start + length <= len(tokens):
            starts.append(start)
    return [[int(id) for id in tokens[start : start + length]] for start in starts]
