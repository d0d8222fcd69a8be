"""Group relative policy optimization (GRPO) with plain numbers: what an answer's reward is worth
beside the others to the same prompt, and the loss. `train.steps.losses.group_relative_loss` is the
same with tensors, and is tested against this.

    A_i = r_i - mean(r)                 of the rewards r of a prompt's answers

DeepSeekMath (Shao et al. 2024, arXiv:2402.03300, section 4.1.2) divides by the standard deviation of
the group, too. Here that is an option: the division makes prompts whose answers are nearly all right
or nearly all wrong count more than the others, for no reason in the task (Liu et al. 2025,
arXiv:2503.20783, section 3.1), who leave it out, as they do the division of an answer's loss by its
length.
"""

import math
from collections.abc import Sequence

# Added to the standard deviation, as in TRL.
TINY = 1e-4


def advantages(rewards: Sequence[float], *, normalise: bool = False) -> list[float]:
    """Return what each answer of one prompt has earned beyond their mean.

    Where all have the same reward nothing is learned from them. `normalise` divides by the sample
    standard deviation.

    >>> advantages([1, 0, 0, 1])
    [0.5, -0.5, -0.5, 0.5]
    >>> advantages([1, 1, 1, 1])
    [0.0, 0.0, 0.0, 0.0]
    """
    mean = math.fsum(rewards) / len(rewards)
    centred = [float(reward - mean) for reward in rewards]
    if not normalise:
        return centred
    variance = math.fsum(each * each for each in centred) / max(1, len(rewards) - 1)
    return [each / (math.sqrt(variance) + TINY) for each in centred]


def divergence(logprob: float, reference: float) -> float:
    """Return the estimate of KL(pi || ref) by one token: u - ln u - 1 with u = ref / pi, which is
    never negative (Shao et al. 2024, eq. 4; Schulman 2020).

    >>> divergence(-1.0, -1.0), round(divergence(-1.0, -2.0), 4)
    (0.0, 0.3679)
    """
    log_u = reference - logprob
    return math.exp(log_u) - log_u - 1


def group_loss(
    logprobs: Sequence[Sequence[float]],
    references: Sequence[Sequence[float]],
    rewards: Sequence[float],
    beta: float,
) -> float:
    """Return the loss of one prompt's answers, of which each has the log-probabilities of its
    tokens, those of the model as it was, and a reward.

    The answers are those of the present weights, so the ratio r of eq. 3 is 1; its gradient is the
    log-probability's, which is what makes an answer with a positive advantage more probable.
    """
    total = 0.0
    for tokens, start, advantage in zip(logprobs, references, advantages(rewards), strict=True):
        for logprob, reference in zip(tokens, start, strict=True):
            ratio = 1.0
            total += ratio * advantage - beta * divergence(logprob, reference)
    return -total / len(rewards)
