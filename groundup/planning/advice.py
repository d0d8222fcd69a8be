"""What a reader of a plan should expect, one sentence each: what it is, why, and what to do about it. Pure: from a plan's numbers alone."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from groundup.planning.scaling import TOO_HIGH, learning_rate_for

if TYPE_CHECKING:
    from groundup.planning.plan import Plan

# Compute-optimal training reads about 20 tokens a parameter (Hoffmann et al. 2022, "Chinchilla", table 3).
OPTIMAL_TOKENS_PER_PARAMETER = 20
# A model that is small for its use is trained on far more (Llama 3 8B: 1,900); past this a larger one would have been better for the same work.
MANY_TOKENS_PER_PARAMETER = 500
# Up to 4 times the same text is nearly as good as new text; later repeats teach less and less (Muennighoff et al. 2023, figure 1).
HARMLESS_EPOCHS = 4
# Warm-up and Adam's running means need some hundred updates before they are worth their name.
FEW_STEPS = 100
# Below this a step's gradient is mostly chance, and matrices are so small that the machine idles.
FEW_BATCH_TOKENS = 256


def advice(plan: "Plan") -> list[str]:
    """The sentences that a plan calls for."""
    return [sentence for rule in RULES for sentence in rule(plan)]


def _few_tokens(plan: "Plan") -> Iterator[str]:
    if plan.tokens_per_parameter < OPTIMAL_TOKENS_PER_PARAMETER:
        yield (
            f"It reads {plan.tokens_per_parameter:.2g} tokens for each parameter; a model has learned most of what it can hold "
            f"after about {OPTIMAL_TOKENS_PER_PARAMETER} (Hoffmann et al. 2022): expect rough text, or give it more time."
        )


def _small_model(plan: "Plan") -> Iterator[str]:
    if plan.tokens_per_parameter > MANY_TOKENS_PER_PARAMETER:
        yield (
            f"It reads {plan.tokens_per_parameter:,.0f} tokens for each parameter: a larger model would learn more from the same "
            "work. Try --size or --depth."
        )


def _repeats(plan: "Plan") -> Iterator[str]:
    if plan.epochs > HARMLESS_EPOCHS:
        yield (
            f"It reads the same text {plan.epochs:.0f} times; after about {HARMLESS_EPOCHS} a repeat teaches little "
            "(Muennighoff et al. 2023): more text would help more than more steps."
        )


def _by_heart(plan: "Plan") -> Iterator[str]:
    if plan.data_tokens < plan.parameters and plan.epochs > 1:
        yield (
            f"The text has {plan.data_tokens:,} tokens, the model {plan.parameters:,} parameters: it can learn the text by "
            "heart. Where validation loss rises, it does; the best weights are kept."
        )


def _little_text(plan: "Plan") -> Iterator[str]:
    if plan.data_tokens < plan.batch_tokens:
        yield (
            f"The whole text has {plan.data_tokens:,} tokens, one step reads {plan.batch_tokens:,}: every step sees everything. "
            "A model of language wants some hundred thousand tokens at least."
        )


def _high_rate(plan: "Plan") -> Iterator[str]:
    rule = learning_rate_for(plan.width, plan.optimizer)
    if plan.optimizer != "sgd" and plan.learning_rate > TOO_HIGH * rule:
        yield (
            f"The learning rate {plan.learning_rate:g} is probably too high for width {plan.width}: wider models want less, about "
            f"{rule:g} here. Loss that jumps or stays high says so too; --set fit.learning_rate={rule:g}."
        )


def _small_batch(plan: "Plan") -> Iterator[str]:
    if plan.batch_tokens < FEW_BATCH_TOKENS:
        yield (
            f"A step sees {plan.batch_tokens} tokens: its gradient is mostly chance. Below about {FEW_BATCH_TOKENS} raise "
            "fit.batch_size, or fit.accumulation where memory is short."
        )


def _long_context(plan: "Plan") -> Iterator[str]:
    if plan.typical_document_tokens and plan.context_tokens > plan.typical_document_tokens:
        yield (
            f"The context of {plan.context_tokens} tokens is longer than a typical document ({plan.typical_document_tokens}): it "
            "mostly sees the ends and beginnings of texts that have nothing to do with each other. A shorter one is faster."
        )


def _few_steps(plan: "Plan") -> Iterator[str]:
    if plan.steps < FEW_STEPS:
        yield (
            f"{plan.steps} steps are hardly a training: the learning rate has risen and fallen before much is learned. Give more "
            "time, a smaller model, or a smaller batch."
        )


RULES: tuple[Callable[["Plan"], Iterator[str]], ...] = (
    _few_tokens,
    _small_model,
    _repeats,
    _by_heart,
    _little_text,
    _high_rate,
    _small_batch,
    _long_context,
    _few_steps,
)
