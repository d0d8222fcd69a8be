"""`groundup generate`: a model continues a text.

Also: the sampling options, which `chat` shares.
"""

import time
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.api.models import open_model, sampling_of
from groundup.cli.console import console_progress, print_result, stderr_console
from groundup.cli.fields import grouped
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    ModelArgument,
    OutputOptions,
    PrecisionOption,
    SpeculateOption,
)
from groundup.cli.plain import terminal_safe
from groundup.engine.sampling import CHAT_MAX_TOKENS, RULES, Sampling

if TYPE_CHECKING:
    from groundup.api.models import Model

# For each rule of sampling with a help text, an option of its name; None: not given.
_RULE_OPTIONS = [
    (
        name,
        Annotated[
            type(getattr(Sampling, name)) | None,
            typer.Option(f"--{name.replace('_', '-')}", help=rule.help),
        ],
        None,
    )
    for name, rule in RULES.items()
    if rule.help
]


@dataclass(frozen=True)
class SamplingOptions(make_dataclass("RuleOptions", _RULE_OPTIONS, frozen=True)):  # type: ignore[misc]
    """How tokens are drawn: for `generate` and `chat`."""

    max_tokens: Annotated[
        int, typer.Option("--max-tokens", help="The longest answer, in tokens.")
    ] = CHAT_MAX_TOKENS
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="End before this text (again for more).")
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, help="The same seed gives the same text; default: a new one."
        ),
    ] = None

    @classmethod
    def defaults(cls) -> "SamplingOptions":
        """The defaults of `Sampling`."""
        return cls(
            **{name: getattr(Sampling, name) for name, rule in RULES.items() if rule.help},
            max_tokens=Sampling.max_tokens,
        )

    def given(self) -> dict[str, Any]:
        """Those that were given, as fields of `Sampling`."""
        return {name: value for name, value in vars(self).items() if value is not None}


@grouped()
def command(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(help="The text to continue.")],
    sampling: SamplingOptions = SamplingOptions.defaults(),
    output: OutputOptions = OutputOptions(),
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
    speculate: SpeculateOption = False,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats", help="Afterwards: tokens per second, and what decoded them (on stderr)."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Continue a text; only what is new is printed, as it is written. The prompt is plain text:
    control tokens in it mean nothing.

    Of a build its own model (pretrain) is opened, as by lab; for another name its folder, as in
    runs/quickstart/chat.

    Examples:
        groundup generate runs/quickstart "To be, or not"
        groundup generate smollm2-135m-instruct "The capital of France is" --temperature 0
            --max-tokens 16
        groundup generate model.gguf "Once upon a time" --top-p 0.9 --seed 1 --stop "The end"
        groundup generate smollm2-135m-instruct "Shakespeare was born in " --regex "1[0-9]{3}"
    """
    constraint, drawn = output.constraint(), sampling_of(sampling.given())
    opened = open_model(
        model,
        device,
        precision,
        prefer="pretrain",
        speculate=speculate,
        progress=console_progress(),
    )
    text = ""
    started_s = time.perf_counter()
    first: tuple[float, int] | None = None  # when the first tokens were there, and how many
    for event in opened.events(prompt, drawn, constraint):
        text += event.text
        if first is None and event.completion_tokens:
            first = time.perf_counter(), event.completion_tokens
        if not as_json:
            print(terminal_safe(event.text), end="", flush=True)
    if not as_json:
        print()
    counts = {"prompt_tokens": event.prompt_tokens, "completion_tokens": event.completion_tokens}
    speed = (
        speed_of(opened, started_s, *(first or (time.perf_counter(), 0)), event.completion_tokens)
        if stats
        else {}
    )
    if as_json:
        print_result(
            [], {"text": text, "finish_reason": event.finish_reason, **counts, **speed}, as_json
        )
    elif stats:
        rate = (
            f"{speed['tokens_per_s']:.1f} tokens per second"
            if speed["tokens_per_s"]
            else "no further token"
        )
        stderr_console().print(
            f"{event.prompt_tokens:,} tokens read and the first written in {speed['first_token_s']:.2f} s, then {rate} "
            f"({speed['decodes_with']}, {speed['threads']} threads at most).",
            markup=False, highlight=False, soft_wrap=True, style="dim",
        )  # fmt: skip


def speed_of(
    opened: "Model", started_s: float, first_s: float, first_tokens: int, tokens: int
) -> dict[str, Any]:
    """How fast an answer was that ends now: `first_tokens` of its `tokens` had been written at
    `first_s`. Times of `time.perf_counter`.
    """
    import torch

    from groundup.kernels.probe import decodes_with

    rate = (
        (tokens - first_tokens) / (time.perf_counter() - first_s) if tokens > first_tokens else None
    )
    return {
        "first_token_s": first_s - started_s,
        "tokens_per_s": rate,
        "decodes_with": decodes_with(opened.engine.language_model()),
        "threads": torch.get_num_threads(),
    }
