"""Mean hidden states of texts after some blocks, and the scores of a stacked classifier from them.

A classifier's plain head reads the last token's state after all blocks. The mean over the tokens of
an earlier block's states says more of what a text is about: pretraining forms the last state to
predict a token.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from groundup.device import Compute
from groundup.engine.padded_batch import BATCH_TOKENS, batches_by_length, pad_right, pool_windows
from groundup.model.heads import Classifier
from groundup.model.transformer import Transformer
from groundup.weights.stacked import Stacked


def mean_states(
    transformer: Transformer,
    ids: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    blocks: Sequence[int],
) -> tuple[Float[Tensor, "B K C"], Float[Tensor, "B T C"]]:
    """Return the mean over the real tokens of the hidden states after each of `blocks` (ascending),
    and all states after the last of them.
    """
    hidden, done, means = transformer.embed(ids), 0, []
    for block in blocks:
        hidden, done = transformer.run_blocks(hidden, done, block, mask=mask), block
        sums = torch.einsum("btc,bt->bc", hidden.float(), mask.float())
        means.append(sums / mask.sum(dim=1, keepdim=True))
    return torch.stack(means, dim=1), hidden


@torch.inference_mode()
def stacked_scores(
    model: Classifier,
    stacked: Stacked,
    texts: Sequence[str],
    windows: Sequence[Sequence[Sequence[int]]],
    *,
    vectors: Float[Tensor, "texts E"] | None = None,
    compute: Compute,
    batch_tokens: int = BATCH_TOKENS,
) -> Float[Tensor, "texts N"]:
    """Return the class scores of texts, each with its windows of ids, in order, on the CPU. Blocks
    that are not needed are not run.

    `vectors`: those of its encoder, where it has one.
    """
    rows = [row for each in windows for row in each]
    lengths = [len(row) for row in rows]
    states = torch.zeros(len(rows), len(stacked.blocks), model.config.width)
    for batch in batches_by_length(lengths, batch_tokens):
        if not stacked.blocks:
            break
        ids, mask = pad_right([rows[i] for i in batch], compute.device)
        states[batch] = mean_states(model.transformer, ids, mask, stacked.blocks)[0].cpu()
    owners = torch.tensor([index for index, each in enumerate(windows) for _ in each])
    of_texts = pool_windows(states.flatten(1), owners).view(len(texts), *states.shape[1:])
    return stacked.scores(of_texts, list(texts), vectors).float()
