"""A plan as lines for people, and the warnings that its figures call for: one sentence each, with the reason and a remedy."""

from groundup.planning.forecast import Expected
from groundup.planning.plan import Plan
from groundup.planning.scaling import (
    FEW_BATCH_TOKENS,
    FEW_STEPS,
    HARMLESS_EPOCHS,
    MANY_TOKENS_PER_PARAMETER,
    OPTIMAL_TOKENS_PER_PARAMETER,
    TOO_HIGH,
    learning_rate_for,
)


def plan_lines(plan: Plan) -> list[str]:
    """The plan for people."""
    minutes = "not measured" if plan.minutes is None else f"{plan.minutes:.1f} minutes"
    speed = f", {plan.tokens_per_s:,.0f} tokens per second" if plan.tokens_per_s else ""
    return [
        f"parameters  {plan.parameters:,}: {plan.num_layers} blocks of width {plan.width}",
        f"tokens      {plan.tokens:,} in {plan.steps:,} steps, {plan.tokens_per_parameter:.2g} per parameter",
        f"text        {plan.data_tokens:,} tokens, read {plan.epochs:.2f} times",
        f"step        {plan.batch_tokens:,} tokens, context {plan.context_tokens}; learning rate {plan.learning_rate:g}, {plan.optimizer}",
        *([_expected_line(plan.expected)] if plan.expected else []),
        f"memory      about {plan.memory_bytes / 1e9:.2g} GB",
        f"disk        {plan.disk_bytes / 1e6:.0f} MB",
        f"time        {minutes}{speed}",
        f"attention   {plan.attention}",
        f"exportable  GGUF {_possible(plan.gguf)}; Hugging Face {_possible(plan.hugging_face)}",
        *(f"why         {reason}" for reason in plan.reasons),
        *(f"note: {warning}" for warning in plan_warnings(plan)),
    ]


def _expected_line(expected: Expected) -> str:
    source = f"after a probe of {expected.probe_steps} steps" if expected.probe_steps else "without a probe"
    return (
        f"loss        about {expected.bits_per_byte:.2f} bits per byte of held-out text ({expected.low:.2f} to {expected.high:.2f}; "
        f"scaling law {source})"
    )


def _possible(reason: str | None) -> str:
    return "yes" if reason is None else f"no ({reason.rstrip('.')})"


def plan_warnings(plan: Plan) -> list[str]:
    """The warnings that apply to a plan. Pure: from its figures alone."""
    rate = learning_rate_for(plan.width, plan.optimizer)
    rules = [
        (
            plan.tokens_per_parameter < OPTIMAL_TOKENS_PER_PARAMETER,
            f"The run reads {plan.tokens_per_parameter:.2g} tokens per parameter; about {OPTIMAL_TOKENS_PER_PARAMETER} make the best use of a given "
            "amount of computation (Hoffmann et al. 2022). Expect rough text, or give it more time.",
        ),
        (
            plan.tokens_per_parameter > MANY_TOKENS_PER_PARAMETER,
            f"The run reads {plan.tokens_per_parameter:,.0f} tokens per parameter: a larger model would learn more from the same amount of "
            "computation. Try --size or --depth.",
        ),
        (
            plan.epochs > HARMLESS_EPOCHS,
            f"The run reads the same text {plan.epochs:.0f} times; after about {HARMLESS_EPOCHS} times repeated text teaches little "
            "(Muennighoff et al. 2023): more text would help more than more steps.",
        ),
        (
            plan.data_tokens < plan.parameters and plan.epochs > 1,
            f"The text has {plan.data_tokens:,} tokens, the model {plan.parameters:,} parameters: it can memorise the text. Rising "
            "validation loss is the sign of it; the weights with the lowest are kept.",
        ),
        (
            plan.data_tokens < plan.batch_tokens,
            f"The whole text has {plan.data_tokens:,} tokens, and one step reads {plan.batch_tokens:,}: every step reads all of it. "
            "A language model needs some hundred thousand tokens at least.",
        ),
        (
            plan.optimizer != "sgd" and plan.learning_rate > TOO_HIGH * rate,
            f"The learning rate {plan.learning_rate:g} is probably too high for width {plan.width}: wider models need a lower one, here about "
            f"{rate:g}. A loss that jumps or stays high is the sign of it. Try --set fit.learning_rate={rate:g}.",
        ),
        (
            plan.batch_tokens < FEW_BATCH_TOKENS,
            f"A step reads {plan.batch_tokens} tokens: below about {FEW_BATCH_TOKENS} its gradient is mostly noise. Raise fit.batch_size, or "
            "fit.accumulation where memory is short.",
        ),
        (
            0 < plan.typical_document_tokens < plan.context_tokens,
            f"The context of {plan.context_tokens} tokens is longer than a typical document ({plan.typical_document_tokens}): most windows "
            "hold parts of unrelated documents. A shorter context is faster.",
        ),
        (
            plan.steps < FEW_STEPS,
            f"{plan.steps} steps are too few: the learning-rate schedule ends before much is learned. Give more time, a smaller "
            "model, or a smaller batch.",
        ),
    ]
    return [warning for applies, warning in rules if applies]
