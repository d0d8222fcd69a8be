"""Keys and values of earlier tokens in int8 beside bf16, prompts that share their beginning, and many clients at once; SmolLM2-135M in int8:

python benchmarks/kv_cache.py [--only quality decoding prefix clients] [--text FILE] [--rounds 9] [--json OUT]

In turns, in seconds of processor time, which other programs change less than the clock. *quality*: how far the next token's probabilities
are from those with bf16, over the tokens of a text after the first 1,024. *decoding*: one token after so many stored ones. *prefix*: the
first token of a prompt whose first 1,000 tokens another request had, and of a prompt of 32. *clients*: 64 requests at once with prompts of
10 to 1,000 tokens.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import Row, costs, machine, rows_of, table
from spine import describe

from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.step_engine import StepEngine, open_step_engine
from groundup.files import cache_folder
from groundup.kernels.array_step import ArrayCache
from groundup.kernels.step_shape import CacheKind

HERE = Path(__file__).resolve().parent.parent
MODEL = "smollm2-135m-instruct"
KINDS: dict[str, CacheKind] = {"int8": "int8", "bf16": "auto"}
CONTEXTS, STORED, READ = (128, 1024, 4096), 1024, 512
SHARED_TOKENS, OWN_TOKENS, CLIENTS = 1000, 32, 64


def caches_of(engine: StepEngine, tokens: int) -> dict[str, ArrayCache]:
    described = engine.step.described
    return {
        name: ArrayCache(described, engine.config, tokens, kind) for name, kind in KINDS.items()
    }


def read(engine: StepEngine, cache: ArrayCache, ids: Sequence[int]) -> np.ndarray:
    """The logits [T, V] after each id."""
    size = engine.step.max_rows
    parts = [np.array([ids[start : start + size]]) for start in range(0, len(ids), size)]
    return np.concatenate([engine.step.after_cache(part, cache) for part in parts])


def quality(engine: StepEngine, ids: Sequence[int], rounds: int) -> list[Row]:
    """Means over the tokens of the text from the 1,025th on, and the bytes of a token."""
    caches = caches_of(engine, STORED + READ)
    found = {}
    for name, cache in caches.items():
        read(engine, cache, ids[:STORED])
        logits = read(engine, cache, ids[STORED : STORED + READ]).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        found[name] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    exact, rounded = found["bf16"], found["int8"]
    divergence = (np.exp(exact) * (exact - rounded)).sum(axis=1)
    chosen = [each.argmax(axis=1) for each in (exact, rounded)]
    stored = {
        name: (cache.keys.nbytes + cache.values.nbytes) / (STORED + READ) / 1e3
        for name, cache in caches.items()
    }
    return [
        *costs("KL to bf16, a token", "nats", {"int8": float(divergence.mean())}),
        *costs("KL, 99 % of tokens below", "nats", {"int8": float(np.quantile(divergence, 0.99))}),
        *costs("same first choice", "share", {"int8": float((chosen[0] == chosen[1]).mean())}),
        *costs("keys and values of a token", "kB", stored),
    ]


def decoding(engine: StepEngine, ids: Sequence[int], rounds: int) -> list[Row]:
    """A token after so many stored ones, whose numbers are those of the first ones again; and a prompt."""
    caches, made = caches_of(engine, CONTEXTS[-1] + 64), []
    for cache in caches.values():
        read(engine, cache, ids[:STORED])
        for stored in (cache.keys, cache.values):
            for start in range(STORED, cache.capacity, STORED):
                stored[..., start : start + STORED, :] = stored[
                    ..., : min(STORED, cache.capacity - start), :
                ]
    for context in CONTEXTS:
        work = {
            name: partial(written, engine, cache, context, ids[:8])
            for name, cache in caches.items()
        }
        made += in_turns(f"a token after {context:,}", "ms", work, rounds, amount=8)
    work = {name: partial(prompt, engine, cache, ids[:STORED]) for name, cache in caches.items()}
    return [*made, *in_turns(f"a prompt of {STORED:,}", "s", work, max(rounds // 3, 1))]


def written(engine: StepEngine, cache: ArrayCache, context: int, ids: Sequence[int]) -> None:
    cache.length = context
    for each in ids:
        engine.step.after_cache(np.array([[each]]), cache)


def prompt(engine: StepEngine, cache: ArrayCache, ids: Sequence[int]) -> None:
    cache.length = 0
    for start in range(0, len(ids), engine.step.max_rows):
        part = np.array([ids[start : start + engine.step.max_rows]])
        engine.step.after_cache(part, cache, [part.shape[1] - 1])


def in_turns(
    what: str, unit: str, work: dict[str, Callable[[], object]], rounds: int, amount: int = 1
) -> list[Row]:
    """Every other round backwards; a first one is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for number in range(-1, rounds):
        for name in list(work) if number % 2 == 0 else reversed(list(work)):
            began = time.process_time()
            work[name]()
            if number >= 0:
                taken[name].append((time.process_time() - began) / amount)
    return rows_of(what, unit, taken)


def prefix(engine: StepEngine, ids: Sequence[int], rounds: int) -> list[Row]:
    """The first token after 1,000 tokens that another request had and 32 of its own, of these alone, and of all of them anew."""
    made = []
    for name, kind in KINDS.items():
        batch = engine.batch(BatchSettings(kv_cache_dtype=kind))
        first_token(batch, ids[: SHARED_TOKENS + OWN_TOKENS])
        places = iter(range(SHARED_TOKENS + OWN_TOKENS, len(ids), OWN_TOKENS))

        def own(places: Any = places) -> list[int]:
            place = next(places)
            return list(ids[place : place + OWN_TOKENS])

        work = {
            "short": lambda batch=batch, own=own: first_token(batch, own()),
            "shared": lambda batch=batch, own=own: first_token(
                batch, [*ids[:SHARED_TOKENS], *own()]
            ),
        }
        made += in_turns(f"first token, {name}", "s", work, rounds)
    return made


def first_token(batch: BatchEngine, ids: Sequence[int]) -> None:
    batch.submit(Request("one", tuple(ids), Sampling(temperature=0, max_tokens=1)))
    while batch.busy:
        batch.step()


def clients(engine: StepEngine, ids: Sequence[int], rounds: int) -> list[Row]:
    """All at once; every request's gaps between two tokens and the wait for its first, in processor time of the engine."""
    found: dict[str, dict[str, float]] = {}
    for name, kind in KINDS.items():
        chance, batch = random.Random(0), engine.batch(BatchSettings(kv_cache_dtype=kind))
        last: dict[str, float] = {}
        gaps, firsts = list[float](), list[float]()
        for number in range(CLIENTS):
            start, length = chance.randrange(1000), chance.choice((10, 40, 150, 400, 1000))
            sampling = Sampling(temperature=0, max_tokens=chance.choice((16, 32, 64)))
            own = tuple(ids[start : start + length])
            batch.submit(Request(str(number), own, sampling, frozenset()))
        began, steps = time.process_time(), 0
        while batch.busy:
            outputs, now = batch.step(), time.process_time()
            steps += 1
            for request in {request for request, _ in outputs}:
                if request in last:
                    gaps.append(now - last[request])
                else:
                    firsts.append(now - began)
                last[request] = now
        found[name] = {
            "all answers": time.process_time() - began,
            "longest gap between two tokens": max(gaps),
            "half of the gaps below": median(gaps),
            "last first token": max(firsts),
        }
        assert len(last) == CLIENTS
    return [
        row
        for what in found["int8"]
        for row in costs(
            f"{CLIENTS} clients, {what}", "s", {name: of[what] for name, of in found.items()}
        )
    ]


TABLES = {"quality": quality, "decoding": decoding, "prefix": prefix, "clients": clients}


def unopened() -> Any:
    raise AssertionError("torch is not needed")


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE")
    parser.add_argument("--text", type=Path, default=HERE / "docs" / "serving.md")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    engine = open_step_engine(cache_folder("models") / MODEL, unopened)
    if engine is None:
        raise SystemExit(f"{MODEL} is not in the cache, or its int8 weights are not kept.")
    ids = engine.tokenizer.encode(options.text.read_text("utf-8"))
    results: dict[str, Any] = {"machine": machine(), "text": options.text.name, "tables": {}}
    print(describe(results["machine"]), flush=True)
    for name in options.only:
        rows = TABLES[name](engine, ids, options.rounds)
        results["tables"][name] = [asdict(row) for row in rows]
        print(table(rows), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
