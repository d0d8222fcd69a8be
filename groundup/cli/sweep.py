"""`groundup sweep`: a scaling law for one's own texts, from some tiny runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import DeviceOption, FollowLinksOption, JsonOption, OutOption, SeedOption, TokenizerOption

if TYPE_CHECKING:
    from groundup.planning.sweep import Sweep

PICTURE, DEFAULT_BUDGET = "law.svg", "10m"


def command(
    data: Annotated[str, typer.Argument(help="A folder of token shards, a data folder, or texts.")],
    *,
    out: OutOption,
    sizes: Annotated[int, typer.Option("--sizes", min=2, max=8, help="Models of the family, from 2 blocks on.")] = 3,
    budget: Annotated[
        str | None, typer.Option("--budget", help="For all runs together: 90s, 10m, 2h; by default 10m.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=4, help="Or so many steps of each longest run.")] = None,
    tokenizer: TokenizerOption = None,
    follow_links: FollowLinksOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train some tiny models on your texts, fit a scaling law to them, draw it, and say what it means for longer trainings.

    Each size is trained three times, for a quarter, half and all of the steps. The same command again does no run twice.
    `groundup plan DATA --law OUT` plans with the law that was found.

    Examples:

        groundup sweep my-texts/ --out runs/law

        groundup sweep runs/quickstart/tokenizer/shards --out runs/law --sizes 4 --budget 15m
    """
    from groundup.config import duration_s
    from groundup.data.pipeline import DataConfig
    from groundup.device import select_compute
    from groundup.errors import ConfigError
    from groundup.model.presets import preset
    from groundup.planning.corpus import PREPARED, corpus
    from groundup.planning.pretrain_options import PRESET
    from groundup.planning.sweep import RUNS, SWEEP_FILE, SweepOptions, sweep
    from groundup.runs import RunFolder
    from groundup.train.run_lifecycle import claim_folder

    if budget is not None and steps is not None:
        raise ConfigError("--budget and --steps both give the length of the runs.", fix="Give one of them.")
    claim_folder(RunFolder(out), also=(*PREPARED, SWEEP_FILE, RUNS, PICTURE))
    asked = SweepOptions(sizes, None if steps else duration_s(budget or DEFAULT_BUDGET), steps, seed)
    compute, progress = select_compute(device), console_progress()
    reading, vocab_size = DataConfig(follow_links=follow_links), preset(PRESET).vocab_size
    shards, own = corpus(data, RunFolder(out), reading, tokenizer=tokenizer, vocab_size=vocab_size, progress=progress)
    found = sweep(shards, own, out, asked, compute=compute, progress=progress)
    picture = _drawn(found, out / PICTURE, progress)
    print_result(_lines(found, own.vocab_size, picture), _value(found, own.vocab_size, picture), as_json)


def _drawn(found: "Sweep", file: Path, progress: Any) -> str | None:
    """The picture's name; None where there is no matplotlib, which is said."""
    from groundup.errors import MissingExtra
    from groundup.planning.sweep import draw_sweep

    try:
        draw_sweep(found).savefig(file)
    except MissingExtra as error:
        progress.say(f"The law is not drawn: {error.message} {error.fix}")
        return None
    return str(file)


def _lines(found: "Sweep", vocab_size: int, picture: str | None) -> list[str]:
    """Runs, law, and what it says for some times."""
    law = found.law
    runs = [
        [run.name, f"{run.point.parameters:,}", f"{run.point.read_bytes / 1e6:.2f}", f"{run.point.bits_per_byte:.3f}",
         f"{law.expected(run.point):.3f}"]
        for run in found.runs if run.point
    ]  # fmt: skip
    asked = [
        [f"{row['minutes']:g}", row["shape"], f"{row['parameters']:,}", f"{row['epochs']:.2g}", row["expected"]]
        for row in _asked(found, vocab_size)
    ]
    return [
        *table(["run", "parameters", "MB read", "bits per byte", "law"], runs),
        "",
        law.words(),
        f"the other runs predict each one within {200 * law.spread:.0f} % (two spreads)",
        "",
        *table(["minutes", "model", "parameters", "epochs", "bits per byte"], asked),
        "",
        *([f"drawn: {picture}"] if picture else []),
    ]


def _asked(found: "Sweep", vocab_size: int) -> list[dict[str, Any]]:
    """What to train in some times, as plain values."""
    from groundup.planning.sweep import best_for

    rows = []
    for seconds, look in best_for(found, vocab_size):
        candidate, tokens = look.candidate, look.steps * look.candidate.step_tokens
        low, high = found.law.range(candidate.parameters, tokens * found.text.bytes_per_token, look.bits_per_byte)
        rows.append({
            "minutes": seconds / 60,
            "shape": f"{candidate.shape.num_layers} x {candidate.shape.width}",
            "depth": candidate.shape.num_layers,
            "parameters": candidate.parameters,
            "steps": look.steps,
            "epochs": tokens / found.text.tokens,
            "bits_per_byte": look.bits_per_byte,
            "expected": f"{look.bits_per_byte:.2f} ({low:.2f} to {high:.2f})",
        })  # fmt: skip
    return rows


def _value(found: "Sweep", vocab_size: int, picture: str | None) -> dict[str, Any]:
    import dataclasses

    from groundup.config import to_plain

    return {
        "runs": [dataclasses.asdict(run) for run in found.runs],
        "law": to_plain(found.law),
        "asked": _asked(found, vocab_size),
        "picture": picture,
    }
