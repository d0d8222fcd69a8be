"""`groundup generate`: a model continues a text. Also: the sampling options, which `chat` shares, and text made safe for a terminal."""

import re
import sys
from typing import Annotated

import typer

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, JsonOption, ModelArgument, PrecisionOption
from groundup.cli.output_options import FormatOption, GrammarOption, RegexOption, constraint_of

TEMPERATURE_HELP = "0: always the most probable token."
TOP_K_HELP = "Draw from the k most probable tokens; 0: from all."
TOP_P_HELP = "Draw from the most probable tokens that hold this much probability; 1: from all."
MIN_P_HELP = "Draw from tokens at least this fraction as probable as the best; 0: from all."
PENALTY_HELP = "Above 1: tokens of the last 64 become less probable."
MaxTokensOption = Annotated[int, typer.Option("--max-tokens", help="The longest answer, in tokens.")]
StopOption = Annotated[list[str] | None, typer.Option("--stop", help="End before this text (again for more).")]
DrawSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="The same seed gives the same text; default: another each time.")
]

# What could move the cursor or give the terminal an order: control characters but for newline and tab.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def command(
    model: ModelArgument,
    prompt: Annotated[str, typer.Argument(help="The text to continue.")],
    temperature: Annotated[float, typer.Option("--temperature", help=TEMPERATURE_HELP)] = 0.8,
    top_k: Annotated[int, typer.Option("--top-k", help=TOP_K_HELP)] = 0,
    top_p: Annotated[float, typer.Option("--top-p", help=TOP_P_HELP)] = 1.0,
    min_p: Annotated[float, typer.Option("--min-p", help=MIN_P_HELP)] = 0.0,
    repetition_penalty: Annotated[float, typer.Option("--repetition-penalty", help=PENALTY_HELP)] = 1.0,
    max_tokens: MaxTokensOption = 256,
    stop: StopOption = None,
    seed: DrawSeedOption = None,
    format: FormatOption = None,
    regex: RegexOption = None,
    grammar: GrammarOption = None,
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
    from groundup.device import select_compute
    from groundup.engine.engine import Engine
    from groundup.engine.grammar import Grammars
    from groundup.engine.precision import as_precision_choice, open_in
    from groundup.engine.sampling import Sampling

    form = constraint_of(format, regex, grammar)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty, max_tokens, tuple(stop or ()), seed)
    engine = Engine(
        *open_in(as_precision_choice(precision), model, select_compute(device), progress=console_progress())
    )
    constraint = None
    if form is not None:
        constraint = Grammars(engine.tokenizer, engine.opened.config.vocab_size).constraint(form)
    text = ""
    for event in engine.complete(prompt, sampling, constraint):
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
