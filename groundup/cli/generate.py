"""`groundup generate`: a model continues a text.

Also: the sampling options, which `chat` shares.
"""

import time
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.api.models import open_model, sampling_of
from groundup.cli.console import console_progress, print_result, say
from groundup.cli.fields import grouped
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    KVCacheOption,
    ModelArgument,
    OutputOptions,
    PrecisionOption,
    SpeculateOption,
)
from groundup.cli.plain import terminal_safe
from groundup.cli.start import START
from groundup.engine.sampling import CHAT_MAX_TOKENS, RULES, Sampling

if TYPE_CHECKING:
    from groundup.api.models import Model
    from groundup.model.heads import LanguageModel

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
        return cls(
            **{name: getattr(Sampling, name) for name, rule in RULES.items() if rule.help},
            max_tokens=Sampling.max_tokens,
        )

    def given(self) -> dict[str, float | list[str]]:
        """Those that were given, as fields of `Sampling`."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class OpeningOptions:
    """How the model is opened: for `generate` and `chat`."""

    device: DeviceOption = "auto"
    precision: PrecisionOption = None
    speculate: SpeculateOption = False
    kv_cache_dtype: KVCacheOption = "auto"


@grouped()
def command(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(help="The text to continue.")],
    sampling: SamplingOptions = SamplingOptions.defaults(),
    output: OutputOptions = OutputOptions(),
    opening: OpeningOptions = OpeningOptions(),
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
    START.part(f"opening {model}")
    opened = open_model(model, **vars(opening), prefer="pretrain", progress=console_progress())
    START.end(say)
    text, clock = "", TokenClock()
    for event in opened.events(prompt, drawn, constraint):
        text += event.text
        clock.record(event.completion_tokens)
        if not as_json:
            print(terminal_safe(event.text), end="", flush=True)
    if not as_json:
        print()
    speed = clock.stop(opened) if stats else None
    if as_json:
        result = {
            "text": text,
            "finish_reason": event.finish_reason,
            "prompt_tokens": event.prompt_tokens,
            "completion_tokens": event.completion_tokens,
        }
        if speed is not None:
            result |= vars(speed)
        print_result([], result, as_json)
    elif speed is not None:
        _print_speed(event.prompt_tokens, speed)


@dataclass(frozen=True)
class AnswerSpeed:
    """How fast an answer was."""

    first_token_s: float
    tokens_per_s: float | None
    """None: no token came after the first ones."""
    decodes_with: str
    threads: int
    why_torch: str
    """Why the compiled step does not; "": it does."""


class TokenClock:
    def __init__(self) -> None:
        self.started_s = time.perf_counter()
        self.first_s: float | None = None
        self.first_tokens = self.tokens = 0

    def record(self, tokens: int) -> None:
        """Record how many tokens there are now."""
        self.tokens = tokens
        if tokens and self.first_s is None:
            self.first_s, self.first_tokens = time.perf_counter(), tokens

    def stop(self, opened: "Model") -> AnswerSpeed:
        """Return the speed of the answer, which ends now."""
        from groundup.threads import thread_count

        now, rate = time.perf_counter(), None
        first_s = self.first_s or now
        if self.tokens > self.first_tokens:
            rate = (self.tokens - self.first_tokens) / (now - first_s)
        decoder, threads = opened.engine.decodes_with, thread_count()
        why = why_torch(opened.engine.language_model()) if decoder == "torch" else ""
        return AnswerSpeed(first_s - self.started_s, rate, decoder, threads, why)


def why_torch(model: "LanguageModel") -> str:
    """Why torch decodes it; "": the step failed, which was said."""
    from groundup.kernels.module_arrays import unsupported_model
    from groundup.kernels.probe import WITHOUT_NUMBA, has_compiler

    if not has_compiler():
        return WITHOUT_NUMBA
    unknown = unsupported_model(model)
    return f"the compiled step does not know {unknown}" if unknown else ""


def _print_speed(prompt_tokens: int, speed: AnswerSpeed) -> None:
    rate = "no further token"
    if speed.tokens_per_s:
        rate = f"{speed.tokens_per_s:.1f} tokens per second"
    say(
        f"{prompt_tokens:,} tokens read and the first written in {speed.first_token_s:.2f} s, "
        f"then {rate} ({speed.decodes_with}, {speed.threads} threads at most).",
        "dim",
    )
    if speed.why_torch:
        say(f"Decoded through torch: {speed.why_torch}.", "dim")
