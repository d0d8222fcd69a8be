"""lm-eval (EleutherAI's Language Model Evaluation Harness) with a model of groundup, and groundup's
suites in lm-eval.

    python -m groundup.integrations.lm_eval --model groundup --model_args path=runs/mine --tasks
        arc_easy
    python -m groundup.integrations.lm_eval export tasks/ --tasks written
    python -m groundup.integrations.lm_eval --model groundup --model_args path=runs/mine
        --include_path tasks/ --tasks groundup

The first line is lm-eval's own command line: its releases find no plug-ins, so this script
registers the model and calls it. The second writes our suites as its tasks, which any of its models
can be asked (`--model hf`). The model's arguments: `lm_eval_model.GroundupLM`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from groundup.errors import GroundupError, MissingExtra
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.suites.registry import suites_named
from groundup.integrations.lm_eval_tasks import export
from groundup.progress import Silent

EXPORT = "export"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 2 for an error that the user can fix."""
    if arguments is None:
        arguments = sys.argv[1:]
    given = list(arguments)
    try:
        if given[:1] == [EXPORT]:
            export_command(given[1:])
        else:
            run_harness(given)
    except GroundupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def run_harness(arguments: Sequence[str]) -> None:
    """With the model "groundup". Raises MissingExtra."""
    try:
        from lm_eval.__main__ import cli_evaluate
    except ImportError as error:
        raise MissingExtra("lm_eval", "lm-eval") from error
    import groundup.integrations.lm_eval_model  # noqa: F401  (registers the model)

    sys.argv[1:] = arguments
    cli_evaluate()


def export_command(arguments: Sequence[str]) -> None:
    """Raises ConfigError, DataError."""
    parser = argparse.ArgumentParser(
        prog=f"python -m groundup.integrations.lm_eval {EXPORT}",
        description="Write suites of groundup as tasks of lm-eval: a .yaml and .jsonl files each.",
        epilog=f"Example: python -m groundup.integrations.lm_eval {EXPORT} tasks/ "
        "--tasks grammar,copying --shots 4",
    )
    parser.add_argument("folder", type=Path, help="where they are written; it is made if missing")
    parser.add_argument(
        "--tasks", default="written", help="suites by name, A,B,...; 'written': all packaged ones"
    )
    parser.add_argument(
        "--shots", type=int, default=0, help="worked examples before each item [default: 0]"
    )
    parser.add_argument(
        "--items", type=int, help="at most this many items of each suite [default: all]"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="which items are examples, and which come first"
    )
    args = parser.parse_args(arguments)
    options = EvaluationConfig(shots=(args.shots,), items=args.items, seed=args.seed)
    names = export(suites_named(args.tasks.split(",")), args.folder, options, Silent())
    print("\n".join(names))


if __name__ == "__main__":
    sys.exit(main())
