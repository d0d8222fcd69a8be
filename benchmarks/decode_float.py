"""One stream of unquantised weights, float32 and bf16: the compiled step beside torch, in turns, in one process, for models of the sizes that
users build and SmolLM2-135M. Run by

OMP_NUM_THREADS=1 python benchmarks/decode_float.py [--rounds N] [--tokens N] [--processor-time] [--only NAME] [--json OUT]

Greedy tokens after a short prompt, after the step was compiled; before each model what both write is compared, in float32. Beside each row what the
step reads of weights in a second, and under the table what torch's threads read of an array of 256 MB. `--processor-time`: of this process, for one
thread on a machine where others work; else the clock.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from measure import machine, rows_of, table
from peers import PULLED, pulled_model
from spine import describe

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.precision import open_in
from groundup.engine.sampling import Sampling
from groundup.kernels.decode_step import CompiledStep
from groundup.kernels.step_weights import FLOATS, StepModel
from groundup.model.heads import LanguageModel, initialise
from groundup.model.presets import shape_of_size
from groundup.planning.model_fit import read_bandwidth

CPU = Compute(torch.device("cpu"))
# Millions of parameters of own models, with a vocabulary of 4,096.
OWN = (1, 5, 10, 30)
PROMPT = [1, 5, 9, 33]


def models(only: str) -> Iterator[tuple[str, LanguageModel]]:
    for millions in OWN:
        made = LanguageModel(shape_of_size(1_000_000 * millions, vocab_size=4_096))
        initialise(made, torch.Generator().manual_seed(0))
        if only in f"own {millions}M":
            yield f"own {millions}M", made.eval()
    folder = pulled_model()
    if folder is None:
        print(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    elif only in PULLED:
        real = open_in("float32", folder, CPU)[0].model
        assert isinstance(real, LanguageModel)
        yield PULLED, real


def answer(model: LanguageModel, tokens: int) -> list[int]:
    compute = replace(CPU, dtype=model.transformer.embedding.weight.dtype)
    greedy = Sampling(temperature=0, max_tokens=tokens)
    return list(generate_ids(model, PROMPT, greedy, (), compute=compute))


def read_bytes(model: LanguageModel) -> int:
    """Of weights, for a token: all but an embedding that is not the head."""
    total = sum(each.numel() * each.element_size() for each in model.parameters())
    embedding = model.transformer.embedding.weight
    return total - (0 if model.head is None else embedding.numel() * embedding.element_size())


def costs_s(
    model: LanguageModel, step: CompiledStep, options: Any, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds a token of each round."""
    taken: dict[str, list[float]] = {"compiled step": [], "torch": []}
    for number in range(-1, options.rounds):
        names = list(taken) if number % 2 else list(reversed(taken))
        for name in names:
            model.decode_step = step if name == "compiled step" else None
            started = clock()
            answer(model, options.tokens)
            if number >= 0:
                taken[name].append((clock() - started) / options.tokens)
    return taken


def same_share(model: LanguageModel, step: CompiledStep, tokens: int) -> float:
    """Of the greedy ids, up to the first that differs."""
    texts = []
    for model.decode_step in (step, None):
        texts.append(answer(model, tokens))
    same = [ours == theirs for ours, theirs in zip(*texts, strict=True)]
    return ([*same, False].index(False)) / tokens


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--only", default="", metavar="NAME", help="models with this in their name")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options, rows, read = parser.parse_args(), [], {}
    clock = time.process_time if options.processor_time else time.perf_counter
    results: dict[str, Any] = {"machine": machine(), "threads": torch.get_num_threads()}
    print(describe(results["machine"]))
    for name, model in models(options.only):
        for dtype in (torch.float32, torch.bfloat16):
            model.to(dtype)
            step, what = CompiledStep(StepModel.of(model), model), f"{name}, {FLOATS[dtype]}"
            if dtype == torch.float32:
                print(f"{what}: {same_share(model, step, 100):.0%} of 100 greedy ids as torch's")
            rows += rows_of(what, "tokens/s", costs_s(model, step, options, clock))
            read[what] = rows[-2].median * read_bytes(model) / 1e9
            print(f"{what}: {read[what]:.1f} GB/s of weights", flush=True)
    results |= {"rows": [asdict(row) for row in rows], "weights_gb_s": read}
    results["read_gb_s"] = read_bandwidth() / 1e9
    print(table(rows))
    print(f"torch reads {results['read_gb_s']:.1f} GB/s of 256 MB")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
