"""`groundup generate`: a model continues a text. Also: the sampling options, which `chat` shares, and text made safe for a terminal."""

import re
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from groundup.api import open_model, sampling_of
from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, JsonOption, ModelArgument, OutputOptions, PrecisionOption, grouped
from groundup.engine.chat_sampling import CHAT_MAX_TOKENS

# What could move the cursor or give the terminal an order: control characters but for newline and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are drawn: for `generate` and `chat`."""

    temperature: Annotated[float | None, typer.Option("--temperature", help="0: always the most probable token.")] = (
        None
    )
    top_k: Annotated[int | None, typer.Option("--top-k", help="Draw from the k most probable tokens; 0: from all.")] = (
        None
    )
    top_p: Annotated[
        float | None,
        typer.Option(
            "--top-p", help="Draw from the most probable tokens that hold this much probability; 1: from all."
        ),
    ] = None
    min_p: Annotated[
        float | None,
        typer.Option("--min-p", help="Draw from tokens at least this fraction as probable as the best; 0: from all."),
    ] = None
    repetition_penalty: Annotated[
        float | None, typer.Option("--repetition-penalty", help="Above 1: tokens of the last 64 become less probable.")
    ] = None
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="The longest answer, in tokens.")] = CHAT_MAX_TOKENS
    stop: Annotated[list[str] | None, typer.Option("--stop", help="End before this text (again for more).")] = None
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="The same seed gives the same text; default: another each time.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Those that were given, as fields of `Sampling`."""
        return {name: value for name, value in vars(self).items() if value is not None}


@grouped()
def command(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(help="The text to continue.")],
    sampling: SamplingOptions = SamplingOptions(0.8, 0, 1.0, 0.0, 1.0, max_tokens=256),
    output: OutputOptions = OutputOptions(),
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
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
    opened, text = open_model(model, device, precision, progress=console_progress()), ""
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
