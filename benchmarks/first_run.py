"""A first run under different conditions: `make demo`'s stages alone, without the processor's newer instructions, and beside other programs. Or

python benchmarks/first_run.py [--only builds|steps|answers] [--beside NAME ...] [--until STAGE] [--budget TIME] [--rounds N] [--quick] [--json OUT]

*builds*: `groundup build quickstart` in a fresh folder, once beside each: minutes, the own model's steps and bits per byte, the spam classifier's
accuracy, the tokens that chat learned from, and the checked answers it gave; with --until pretrain the first three stages only.
*steps*: quickstart's own training step with every setting of threads and waiting, alternately, beside each: tokens per second.
*answers*: SmolLM2-135M writing eight answers at once, likewise.
What stands beside: nothing; `avx2` (nothing, and no instruction newer than AVX2); `busy`, a thread that never rests; `torch`, another torch
program of two threads; `torch x 2`, two of them. Figures are worth something on a machine that does nothing else.
--quick takes a moment of the steps alone: it shows that everything runs.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from groundup.recipes.build_config import BuildConfig
from groundup.threads import ThreadTuner, set_thread_count, thread_counts

HERE = Path(__file__).resolve()
NO_NEW_INSTRUCTIONS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
CHOICE_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
BUSY = [sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass"]
TORCH = [sys.executable, str(HERE), "--worker", "steps", "--seconds", "1e9"]
# name -> programs beside, variables of the measured one.
BESIDE: dict[str, tuple[list[list[str]], dict[str, str]]] = {
    "nothing": ([], {}),
    "avx2": ([], NO_NEW_INSTRUCTIONS),
    "busy": ([BUSY], {}),
    "torch": ([TORCH], {}),
    "torch x 2": ([TORCH, TORCH], {}),
}
TUNED = "tuned (groundup)"
SETTINGS: dict[str, dict[str, str]] = {
    TUNED: {},
    "two threads": {"OMP_NUM_THREADS": "2"},
    "passive": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
    "spin 1,000": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "1000"},
    "spin 5,000": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "5000"},
    "spin 20,000": {"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "20000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
STAGES = ("data", "tokenizer", "pretrain", "base", "spam", "chat", "evaluate", "export", "report")
ROWS, CONTEXT_TOKENS, ANSWERS, ANSWER_TOKENS = 8, 128, 8, 32
MODEL = "smollm2-135m-instruct"


# --- what is measured, each in a process of its own


def step_rate(seconds: float, tuned: bool) -> float:
    """Tokens per second of quickstart's step with AdamW in float32, tuned as a run tunes its threads, from its first step on."""
    import torch

    from groundup.data.batches.loader import Batch
    from groundup.device import Compute
    from groundup.model.presets import preset
    from groundup.train.pretrain import new_model, pretraining_loss
    from groundup.train.steps.config import pretraining_config
    from groundup.train.steps.precision import StepClock

    cpu, shape = Compute(torch.device("cpu")), preset("quickstart")
    config = pretraining_config(1, {"batch_size": ROWS, "optimizer": "adamw"})
    ids = torch.randint(0, shape.vocab_size, (ROWS, CONTEXT_TOKENS))
    clock = StepClock(
        new_model(shape, 1, cpu),
        [Batch(ids, ids)],
        pretraining_loss(shape, config),
        config,
        compute=cpu,
    )
    clock.step_s(bf16=False)
    print("ready", flush=True)
    most = torch.get_num_threads()
    tuner = ThreadTuner(thread_counts(most) if tuned else (), most)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        tuner.told(clock.step_s(bf16=False))
        set_thread_count(tuner.count)
        steps += 1
    return steps * ids.numel() / (time.perf_counter() - started)


def answer_rate(seconds: float, tuned: bool) -> float:
    """Tokens per second of eight answers at once in float32."""
    import torch

    from groundup.device import Compute
    from groundup.engine.batch import BatchEngine
    from groundup.engine.request import Request
    from groundup.engine.sampling import Sampling
    from groundup.weights.model_io import open_model

    compute = Compute(
        torch.device("cpu"), thread_counts=thread_counts(torch.get_num_threads()) if tuned else ()
    )
    opened = open_model(MODEL, compute)
    engine = BatchEngine(opened.model, opened.require_tokenizer(), compute)
    print("ready", flush=True)
    started, tokens = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for number in range(ANSWERS):
            engine.submit(
                Request(
                    str(number),
                    (1, 2, 3),
                    Sampling(temperature=0, max_tokens=ANSWER_TOKENS),
                    frozenset(),
                )
            )
        while engine.busy:
            engine.step()
        tokens += ANSWERS * ANSWER_TOKENS
    return tokens / (time.perf_counter() - started)


WORKERS = {"steps": step_rate, "answers": answer_rate}


# --- the conditions


@contextlib.contextmanager
def beside(name: str) -> Iterator[dict[str, str]]:
    """The programs of a condition at work; the environment for what is measured."""
    commands, variables = BESIDE[name]
    clean = {key: value for key, value in os.environ.items() if key not in CHOICE_VARIABLES}
    with contextlib.ExitStack() as ends:
        for command in commands:
            two = {**clean, "OMP_NUM_THREADS": "2"}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=two)
            ends.callback(process.wait)
            ends.callback(process.kill)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield {**clean, **variables}


def rates(
    kind: str, condition: str, settings: Sequence[str], seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Tokens per second of each setting, alternately."""
    found: dict[str, list[float]] = {name: [] for name in settings}
    with beside(condition) as environ:
        for number in range(rounds):
            for name in settings if number % 2 == 0 else reversed(settings):
                command = [sys.executable, str(HERE), "--worker", kind, "--seconds", str(seconds)]
                command += ["--tuned"] if name == TUNED else []
                done = subprocess.run(
                    command,
                    env={**environ, **SETTINGS[name]},
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                found[name].append(float(done.stdout.splitlines()[-1]))
    return found


def built(condition: str, budget: str | None, until: str) -> dict[str, Any]:
    """One build in a fresh folder; its figures."""
    names = STAGES[: STAGES.index(until) + 1]
    with tempfile.TemporaryDirectory() as folder, beside(condition) as environ:
        command = [
            sys.executable,
            str(HERE),
            "--worker",
            "build",
            "--until",
            until,
            "--out",
            folder,
        ]
        started = time.monotonic()
        subprocess.run(
            [*command, *(["--budget", budget] if budget else [])], env=environ, check=True
        )
        elapsed_s = time.monotonic() - started
        stages = json.loads((Path(folder) / "build.json").read_text())["stages"]
    return {"minutes": elapsed_s / 60, "stages": {name: stages[name] for name in names}}


def build_until(out: str, until: str, budget: str | None) -> None:
    """What `groundup build quickstart` does, as far as one stage: started as the command is, its variables chosen before torch is imported."""
    from groundup.threads import prepare

    prepare()
    from groundup.cli.console import console_progress
    from groundup.device import select_compute
    from groundup.recipes.builds.build import build
    from groundup.recipes.builds.pipeline import stages_of
    from groundup.recipes.recipe import load_recipe

    recipe = load_recipe(
        "quickstart", BuildConfig(settings=[f'budget="{budget}"'] if budget else [])
    )
    stages = stages_of(recipe)[: STAGES.index(until) + 1]
    build(recipe, Path(out), stages, compute=select_compute("cpu"), progress=console_progress())


def build_cells(condition: str, found: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """One line of the table of builds."""
    facts = {name: entry["facts"] for name, entry in found["stages"].items()}
    own = facts["pretrain"]
    share = own["steps"] / first["stages"]["pretrain"]["facts"]["steps"]
    return [
        condition,
        f"{found['minutes']:.1f} ({found['minutes'] / first['minutes']:.2f} x)",
        f"{own['steps']:,} ({share:.0%})",
        f"{own['test']['bits_per_byte']:.3f}",
        f"{facts['spam']['accuracy']:.1%}" if "spam" in facts else "-",
        f"{facts['chat']['tokens']:,}" if "chat" in facts else "-",
        found["stages"]["evaluate"]["line"] if "evaluate" in facts else "-",
    ]


BUILD_HEADER = [
    "beside",
    "minutes",
    "own steps",
    "bits per byte of test",
    "spam",
    "chat tokens",
    "before and after",
]


def printed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    cells = [header, ["-" * len(name) for name in header], *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(
        "\n".join(
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
            for row in cells
        )
    )


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    options = parse()
    if options.worker == "build":
        build_until(options.out, options.until, options.budget)
        return
    if options.worker:
        print(WORKERS[options.worker](options.seconds, options.tuned))
        return
    results: dict[str, Any] = {"cores": os.cpu_count(), "tables": {}}
    kinds = (
        ["steps"]
        if options.quick
        else [options.only]
        if options.only
        else ["builds", "steps", "answers"]
    )
    for kind in kinds:
        print(f"\n{kind}\n", flush=True)
        results["tables"][kind] = builds(options) if kind == "builds" else speeds(kind, options)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def builds(options: argparse.Namespace) -> dict[str, Any]:
    """The table of builds; the first condition is what the others are compared with."""
    found: dict[str, Any] = {}
    for condition in options.beside:
        found[condition] = built(condition, options.budget, options.until)
    first = found[options.beside[0]]
    printed(BUILD_HEADER, [build_cells(name, each, first) for name, each in found.items()])
    return found


def speeds(kind: str, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Tokens per second, settings down, conditions across."""
    settings = [TUNED, "one thread"] if options.quick else list(SETTINGS)
    measured = (settings, options.seconds, options.rounds)
    found = {condition: rates(kind, condition, *measured) for condition in options.beside}
    rows = [
        [name, *(f"{median(found[each][name]):,.0f}" for each in options.beside)]
        for name in settings
    ]
    printed(["tokens/s", *options.beside], rows)
    return found


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("builds", "steps", "answers"), help="one table")
    parser.add_argument(
        "--beside", action="append", choices=BESIDE, help="one condition (again for more)"
    )
    parser.add_argument(
        "--until",
        choices=STAGES,
        default=STAGES[-1],
        help="the last stage of the builds, pretrain or later",
    )
    parser.add_argument("--budget", help="of the builds; by default the recipe's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of each measurement of a speed"
    )
    parser.add_argument("--quick", action="store_true", help="a moment of the steps alone")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    for name in ("--worker", "--out"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.until in STAGES[:2] and not options.worker:
        parser.error(f"--until {options.until}: the table of builds needs the stage pretrain.")
    options.beside = options.beside or (["nothing", "busy"] if options.quick else list(BESIDE))
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
    return options


if __name__ == "__main__":
    main()
