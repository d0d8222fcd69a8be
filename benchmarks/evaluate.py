"""Evaluation of SmolLM2-135M, items a second, against lm-eval's Hugging Face backend: the same tasks and the same scores.

python benchmarks/evaluate.py [--quick] [--only SUITE] [--items N] [--rounds N] [--batches N,N] [--json OUT]

Needs lm-eval beside groundup: pip install 'groundup[lm-eval]'. *groundup evaluate* is the suite's task as the command runs it, *groundup in lm-eval*
our model behind lm-eval's interface, *lm-eval hf N* its own backend with batches of N, which has to be chosen there. A run is timed from the task's
items to its score, models being loaded and files read. float32; every contender is asked in plain text. Scores are compared before anything is timed.
--quick takes few items and one round: it shows that everything runs.
"""

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="true")
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import torch
from measure import Contender, Row, Skipped, compare, machine, table
from peers import PULLED, pulled_model
from spine import describe

from groundup.device import Compute
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.suite import suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import language_model
from groundup.integrations.lm_eval_tasks import export
from groundup.progress import Silent
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))
# suite -> lm-eval's metric and ours
METRICS = {
    "multiple_choice": ("acc_bytes", "accuracy"),
    "grammar": ("acc", "accuracy"),
    "arithmetic": ("acc", "accuracy"),
    "format": ("accuracy", "accuracy"),
}
ITEMS, QUICK_ITEMS, BATCHES = 120, 4, (1, 8, 32)
# Greedy answers may part at a near tie; a score of written answers may differ by so many items.
PARTED_ITEMS = {"format": 1}
Score = Callable[[], float]


class Bench:
    """The models in memory and the tasks on disk, for every table."""

    def __init__(
        self, folder: Path, files: Path, batches: tuple[int, ...], items: int, rounds: int
    ) -> None:
        """Raises Skipped without lm-eval."""
        try:
            from lm_eval.models.huggingface import HFLM
            from lm_eval.tasks import TaskManager
        except ImportError as error:
            raise Skipped("lm_eval is not installed: pip install 'groundup[lm-eval]'.") from error
        from groundup.integrations.lm_eval_model import GroundupLM

        self.items, self.rounds = items, rounds
        export(suites_named([*METRICS]), files, EvaluationConfig(shots=(0,), items=items), Silent())
        self.manager = TaskManager(include_path=str(files), include_defaults=False)
        self.opened = open_model(folder, CPU)
        prefix = language_model(self.opened)[1].special.document_end_id
        theirs = HFLM(
            str(folder), device="cpu", dtype="float32", prefix_token_id=prefix, batch_size=1
        )
        self.models = {"groundup in lm-eval": (GroundupLM(str(folder), device="cpu"), None)}
        self.models |= {f"lm-eval hf {batch}": (theirs, batch) for batch in batches}

    def ours(self, suite: str) -> Score:
        """The task of `groundup evaluate`."""
        options = EvaluationConfig(items=self.items, template="plain")
        (task,) = suite_tasks(suites_named([suite]), {"model": self.opened}, options, Silent())
        return lambda: task.measure(self.opened, compute=CPU, progress=Silent()).measures[0].value

    def in_harness(self, suite: str, name: str) -> Score:
        """The same by lm-eval, without bootstrapping or samples."""
        from lm_eval import simple_evaluate

        model, batch = self.models[name]

        def score() -> float:
            if batch is not None:
                model.batch_size_per_gpu = batch
            with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
                found = simple_evaluate(
                    model,
                    tasks=[f"groundup_{suite}"],
                    task_manager=self.manager,
                    bootstrap_iters=0,
                    log_samples=False,
                )
            return float(found["results"][f"groundup_{suite}"][f"{METRICS[suite][0]},none"])

        return score

    def compared(self, suite: str) -> Iterator[Row]:
        """Every contender on one suite. Raises SystemExit when a score differs."""
        scores = {"groundup evaluate": self.ours(suite)}
        scores |= {name: self.in_harness(suite, name) for name in self.models}
        count = min(self.items, len(suites_named([suite])[0].read(Silent())))
        values = {name: score() for name, score in scores.items()}
        print(", ".join(f"{name} {value:.4f}" for name, value in values.items()), flush=True)
        allowed = PARTED_ITEMS.get(suite, 0) / count + 5e-5
        if max(values.values()) - min(values.values()) > allowed:
            raise SystemExit(f"{suite}: the scores differ.")
        contenders = [Contender(name, score, count) for name, score in scores.items()]
        yield from compare(f"{suite}, {count} items", "items/s", contenders, rounds=self.rounds)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    options = parse()
    results: dict[str, Any] = {
        "machine": machine(),
        "quick": options.quick,
        "tables": {},
        "skipped": {},
    }
    print(describe(results["machine"]))
    try:
        measure(options, results)
    except Skipped as reason:
        results["skipped"] = dict.fromkeys(METRICS, str(reason))
        print(f"Skipped: {reason}")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """The tables into `results` and onto the screen. Raises Skipped."""
    folder = pulled_model()
    if folder is None:
        raise Skipped(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    with tempfile.TemporaryDirectory() as files:
        bench = Bench(folder, Path(files), options.batches, options.items, options.rounds)
        for suite in METRICS if options.only is None else (options.only,):
            print(f"\n{suite}\n", flush=True)
            rows = list(bench.compared(suite))
            results["tables"][suite] = [asdict(row) for row in rows]
            print(table(rows), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few items, one round")
    parser.add_argument("--only", choices=[*METRICS], help="one suite")
    parser.add_argument(
        "--items", type=int, help=f"at most this many items of each [default: {ITEMS}]"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--batches", default=",".join(map(str, BATCHES)), help="batch sizes of lm-eval's backend"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.items = options.items or (QUICK_ITEMS if options.quick else ITEMS)
    options.batches = tuple(map(int, options.batches.split(",")))
    return options


if __name__ == "__main__":
    main()
