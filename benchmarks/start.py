"""From the start of a verb to its first output: seconds, and processor time of all its processes until then, in turns (Linux):

python benchmarks/start.py FOLDER [--only VERB ...] [--rounds 9] [--tree CHECKOUT] [--json OUT]

FOLDER gets an index of the bank's documents and a classifier, where it has none. The first output of `serve` is the first token over HTTP, of
the others what they print; "help" is `groundup --help`. `--tree`: another checkout, in turns with this one. A first round is not counted: it packs
weights, compiles the step, and writes the bytecode of modules, which an installed package has.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from measure import Row, machine, rows_of, table
from spine import describe

HERE = Path(__file__).resolve().parent.parent
MODEL, QUESTION = "smollm2-135m-instruct", "How much is a replacement card abroad?"
PROMPT = "The ship had left the harbour before sunrise, and those who stood at the rail saw the town grow small. They spoke of"
SERVE = ["serve", f"bench={MODEL}", "--port", "0", "--json"]
VERBS: dict[str, list[str]] = {
    "help": ["--help"],
    "serve": SERVE,
    "chat": ["chat", MODEL, "--max-tokens", "1"],
    "generate": ["generate", MODEL, PROMPT, "--max-tokens", "1"],
    "ask": ["ask", "bank.index", QUESTION],
    "classify": ["classify", "classifier", QUESTION],
}
MADE = {
    "bank.index": ["index", str(HERE / "groundup/packs/bank/documents"), "--out", "bank.index"],
    "classifier": [
        *("finetune", "classifier", str(HERE / "docs/site/model/tiny-shakespeare.gguf")),
        *("rows.csv", "--budget", "30s", "--out", "classifier"),
    ],
}
TICKS = os.sysconf("SC_CLK_TCK")


def processor_s(session: int) -> float:
    """Of the processes of a session, and of those of theirs that have ended."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[3]) == session:
                total += sum(map(int, fields[11:15]))
    return total / TICKS


def started(words: Sequence[str], folder: Path, tree: Path) -> tuple[float, float]:
    """Seconds to a verb's first output, and processor time."""
    env = {**os.environ, "PYTHONPATH": str(tree)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "groundup", *words],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{QUESTION}\n".encode())
    process.stdin.close()
    try:
        if words == SERVE:
            first_token(json.loads(process.stdout.readline())["address"])
        else:
            assert process.stdout.read(1), words
        return time.perf_counter() - began, processor_s(process.pid)
    finally:
        process.kill()
        process.wait()


def first_token(address: str) -> None:
    """Ask for one over OpenAI's API."""
    body = {"model": "bench", "prompt": PROMPT, "max_tokens": 1, "stream": True}
    url = f"{address}/v1/completions"
    with httpx.stream("POST", url, json=body, trust_env=False, timeout=300) as response:
        response.raise_for_status()
        next(each for each in response.iter_lines() if each.startswith("data: {"))


def prepare(folder: Path) -> None:
    """Make what the verbs read."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [("good morning Ms", "letter"), ("buy now for only", "offer")]
    rows = [f"{text} {number},{label}" for number in range(60) for text, label in texts]
    (folder / "rows.csv").write_text("\n".join(["text,label", *rows]))
    for name, words in MADE.items():
        if not (folder / name).exists():
            env = {**os.environ, "PYTHONPATH": str(HERE)}
            command = [sys.executable, "-m", "groundup", *words]
            subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=VERBS, default=list(VERBS), metavar="VERB")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tree", type=Path, help="another checkout")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    trees = {"groundup": HERE}
    if options.tree:
        trees["other tree"] = options.tree.resolve()
    results: dict[str, Any] = {"machine": machine(), "tables": {"start": []}}
    print(describe(results["machine"]), flush=True)
    prepare(options.folder)
    for verb in options.only:
        rows = list(of_verb(verb, options.folder, trees, options.rounds))
        results["tables"]["start"] += [asdict(row) for row in rows]
        print(table(rows), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def of_verb(verb: str, folder: Path, trees: dict[str, Path], rounds: int) -> list[Row]:
    """The rows of one verb."""
    seconds: dict[str, list[float]] = {name: [] for name in trees}
    processor: dict[str, list[float]] = {name: [] for name in trees}
    for number in range(-1, rounds):
        for name in list(trees) if number % 2 == 0 else reversed(list(trees)):
            taken, computed = started(VERBS[verb], folder, trees[name])
            if number >= 0:
                seconds[name].append(taken)
                processor[name].append(computed)
    rows = [*rows_of(f"{verb}, to the first output", "s", seconds)]
    return [*rows, *rows_of(f"{verb}, processor time until then", "s", processor)]


if __name__ == "__main__":
    main()
