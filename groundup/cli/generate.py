"""`groundup generate`: a model continues a text. Also: the sampling options, which `chat` shares, and text made safe for a terminal."""

import re
import sys
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import typer

from groundup.api import open_model, sampling_of
from groundup.cli.console import console_progress, print_result
from groundup.cli.options import (
    DeviceOption,
    JsonOption,
    ModelArgument,
    OutputOptions,
    PrecisionOption,
    SpeculateOption,
    grouped,
)
from groundup.engine.sampling import CHAT_MAX_TOKENS, RULES, Sampling

# What could move the cursor or give the terminal an order: control characters but for newline and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


# For each rule of sampling with a help text, an option of its name; None: not given.
_RULE_OPTIONS = [
    (
        name,
        Annotated[type(getattr(Sampling, name)) | None, typer.Option(f"--{name.replace('_', '-')}", help=rule.help)],
        None,
    )
    for name, rule in RULES.items()
    if rule.help
]


@dataclass(frozen=True)
class SamplingOptions(make_dataclass("RuleOptions", _RULE_OPTIONS, frozen=True)):  # type: ignore[misc]
    """How tokens are drawn: for `generate` and `chat`."""

    max_tokens: Annotated[int, typer.Option("--max-tokens", help="The longest answer, in tokens.")] = CHAT_MAX_TOKENS
    stop: Annotated[list[str] | None, typer.Option("--stop", help="End before this text (again for more).")] = None
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="The same seed gives the same text; default: a new one.")
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
    precision: PrecisionOption = "float32",
    speculate: SpeculateOption = False,
    as_json: JsonOption = False,
) -> None:
    """Continue a text; only what is new is printed, as it is written. The prompt is plain text: control tokens in it mean nothing.

    Examples:
        groundup generate runs/quickstart/pretrain "To be, or not"
        groundup generate smollm2-135m-instruct "The capital of France is" --temperature 0 --max-tokens 16
        groundup generate model.gguf "Once upon a time" --top-p 0.9 --seed 1 --stop "The end"
        groundup generate smollm2-135m-instruct "Shakespeare was born in " --regex "1[0-9]{3}"
    """
    constraint, drawn = output.constraint(), sampling_of(sampling.given())
    opened, text = open_model(model, device, precision, speculate=speculate, progress=console_progress()), ""
    for event in opened.events(prompt, drawn, constraint):
        text += event.text
        if not as_json:
            print(terminal_safe(event.text), end="", flush=True)
    if not as_json:
        print()
        return
    counts = {"prompt_tokens": event.prompt_tokens, "completion_tokens": event.completion_tokens}
    print_result([], {"text": text, "finish_reason": event.finish_reason, **counts}, as_json)


def terminal_safe(text: str) -> str:
    """A model's text for stdout: on a terminal, control characters are made harmless; a pipe gets every character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text) if sys.stdout.isatty() else text
