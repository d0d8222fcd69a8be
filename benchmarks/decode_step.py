"""One stream of SmolLM2-135M in int8 and int4: the compiled step beside torch's and llama.cpp's q8_0 and q4_0, in turns, on as many threads. Run by

OMP_NUM_THREADS=1 python benchmarks/decode_step.py [--rounds N] [--tokens N] [--json OUT]

Greedy tokens after a short prompt, whole answers timed from outside; llama.cpp's with its server's HTTP. Then the quality of both: the divergence
of their probabilities from those of float32 (KL, nats) over a text, and how often the most probable token is the same.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from measure import Contender, compare, machine, table
from peers import PULLED, pulled_model
from spine import describe
from spine_generation import Generate, of_llama, ours

from groundup.device import Compute
from groundup.engine.precision import open_in
from groundup.evaluate.llamacpp import llama_server
from groundup.model.cache import KVCache
from groundup.model.heads import DecodeStep, LanguageModel
from groundup.weights.formats import export

CPU = Compute(torch.device("cpu"))
TEXT = """The printing press is a mechanical device for applying pressure to an inked surface resting upon a print medium, such as paper or cloth,
thereby transferring the ink. It marked a dramatic improvement on earlier printing methods in which the cloth, paper, or other medium was brushed or
rubbed repeatedly to achieve the transfer of ink, and accelerated the process."""


def through(model: LanguageModel, step: DecodeStep | None, generate: Generate) -> Generate:
    """`generate` with this step, or torch's."""

    def answer(ids: Sequence[int], new_tokens: int) -> list[int]:
        model.decode_step = step
        return generate(ids, new_tokens)

    return answer


@torch.inference_mode()
def quality(step: DecodeStep, exact: LanguageModel, ids: Sequence[int]) -> dict[str, float]:
    """Mean and largest KL to float32, and the share of equal first choices; every token goes through the step."""
    cache = KVCache(exact.config, 1, len(ids), dtype=torch.bfloat16)
    found = torch.cat([step.after_cache(torch.tensor([[id]]), cache) for id in ids]).log_softmax(-1)
    expected = exact(torch.tensor([list(ids)]))[0].log_softmax(-1)
    divergence = (expected.exp() * (expected - found)).sum(-1)
    same = (found.argmax(-1) == expected.argmax(-1)).float().mean()
    return {
        "mean_kl": float(divergence.mean()),
        "max_kl": float(divergence.max()),
        "same_first": float(same),
    }


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options, folder = parser.parse_args(), pulled_model()
    results: dict[str, Any] = {"machine": machine(), "threads": torch.get_num_threads()}
    print(describe(results["machine"]))
    if folder is None:
        print(f"Skipped: {PULLED} is not in the cache (groundup pull {PULLED}).")
        return
    exact, rows = open_in("float32", folder, CPU)[0], []
    ids = exact.require_tokenizer().encode(TEXT)
    for bits, encoding in (("int8", "q8_0"), ("int4", "q4_0")):
        packed = open_in(bits, folder, CPU)[0]
        model = packed.model
        assert isinstance(model, LanguageModel) and isinstance(exact.model, LanguageModel)
        step = model.decode_step
        assert step is not None, (
            "the compiled step does not work here: `groundup generate --precision int8` says why"
        )
        results[bits] = quality(step, exact.model, ids)
        print(bits, results[bits], flush=True)
        with tempfile.TemporaryDirectory() as made:
            file = export(exact, "gguf", Path(made) / f"{encoding}.gguf", quantization=encoding)
            with llama_server(file, context_tokens=512) as server:
                contenders = {
                    "groundup": through(model, step, ours(packed)),
                    "groundup through torch": through(model, None, ours(packed)),
                    f"llama.cpp {encoding}": of_llama(server),
                }
                rows += compare(
                    f"{options.tokens} tokens, {bits}",
                    "tokens/s",
                    [
                        Contender(name, partial(each, ids[:8], options.tokens), options.tokens)
                        for name, each in contenders.items()
                    ],
                    rounds=options.rounds,
                )
    print(table(rows))
    results["rows"] = [asdict(row) for row in rows]
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
