"""Log-probabilities of a prompt's own tokens, with the alternatives at each position (`echo` of a
completion).

`score.py` is for many pairs at once and tells no alternatives; this is for one prompt, in pieces
between which a server does other work.
"""

from collections.abc import Iterator, Sequence

import torch

from groundup.device import Compute
from groundup.engine.events import TokenLogprob
from groundup.engine.generate import PREFILL_TOKENS
from groundup.engine.output_processor import rank_tokens
from groundup.engine.score import MAX_LOGITS
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel
from groundup.model.matmul_precision import fast_matmul
from groundup.tokenizer.fast import Tokenizer


def prompt_logprobs(
    model: LanguageModel, tokenizer: Tokenizer, ids: Sequence[int], count: int, *, compute: Compute
) -> Iterator[list[TokenLogprob]]:
    """Yield each token after the first with its `count` most probable alternatives, piece by piece.

    `ids` fit the context.
    """
    cache = KVCache(model.config, 1, len(ids), compute.device, compute.dtype)
    piece = max(1, min(PREFILL_TOKENS, MAX_LOGITS // model.config.vocab_size))
    for start in range(0, len(ids) - 1, piece):
        targets = ids[start + 1 : start + 1 + piece]
        inputs = torch.tensor([ids[start : start + len(targets)]], device=compute.device)
        with torch.inference_mode(), fast_matmul(compute.device):
            logits = model.logits(model.hidden(inputs, cache=cache)[0]).float().cpu()  # [T, V]
            found = [
                rank_tokens(row, target, count, tokenizer)
                for row, target in zip(logits, targets, strict=True)
            ]
        yield found
