"""The ids of one answer, one after another, from whatever decodes them (`Decoder`): `generate.py`
with torch, `step_engine.py` without.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from groundup.engine.next_token import SeededGenerator, as_array, choose
from groundup.engine.prompt_lookup import PromptLookup
from groundup.engine.request import Constraint
from groundup.engine.sampling import Sampling
from groundup.errors import ModelError


@runtime_checkable
class Decoder(Protocol):
    """The model with the keys and values of one text. Logits are arrays or tensors [T, V]."""

    @property
    def length(self) -> int:
        """Tokens that are stored."""

    def prefill(self, ids: Sequence[int]) -> Any:
        """The logits after the last of a prompt's ids, [1, V]."""

    def decode(self, ids: Sequence[int]) -> Any:
        """The logits after each of a few ids."""

    def shorten(self, length: int) -> None:
        """Forget all tokens after the first `length`."""


def answer_ids(
    new_decoder: Callable[[], Decoder],
    prompt_ids: Sequence[int],
    limit: int,
    sampling: Sampling,
    stop_ids: Collection[int],
    *,
    constraint: Constraint | None = None,
    draft_tokens: int = 0,
) -> Iterator[int]:
    """At most `limit`, a stop id included. The decoder, and so its memory, is made with the first
    id. `draft_tokens`: the most that are proposed from the text and verified in one pass
    (prompt_lookup.py); the ids are those without.
    """
    if not limit:
        return
    decoder = new_decoder()
    history, random = list(prompt_ids), SeededGenerator(sampling.seed)
    lookup, drafts = PromptLookup(draft_tokens), list[int]()
    logits, remaining = as_array(decoder.prefill(history)), limit
    while True:
        for row, draft in zip(logits, [*drafts, None], strict=True):
            allowed = None if constraint is None else constraint.mask()
            chosen = choose(row, history, sampling, random, allowed)
            history.append(chosen)
            remaining -= 1
            yield chosen
            if chosen in stop_ids or remaining == 0:
                return
            if constraint is not None:
                constraint.accept(chosen)
            if chosen != draft:
                break
        stored = len(history) - 1
        if drafts:
            lookup.report_accepted(len(drafts), stored - (decoder.length - len(drafts)))
            decoder.shorten(stored)
        if draft_tokens:
            drafts = lookup.drafts(history)[: remaining - 1]
        logits = as_array(decoder.decode([chosen, *drafts]))


def require_room(prompt_tokens: int, context_tokens: int) -> int:
    """The tokens left in the context. Raises ModelError when none, or for an empty prompt."""
    if prompt_tokens == 0:
        raise ModelError("The prompt has no tokens.", fix="Give at least one token to continue.")
    if prompt_tokens >= context_tokens:
        raise ModelError(
            f"The prompt has {prompt_tokens:,} tokens, and the model's context of "
            f"{context_tokens:,} leaves no room for an answer.",
            fix="Shorten the prompt, or use a model with a longer context.",
        )
    return context_tokens - prompt_tokens
