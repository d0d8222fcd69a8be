"""One stream: own models of 1, 5 and 10 million parameters and SmolLM2-135M-Instruct, in float32, 16, 8 and 4 bits, beside llama.cpp that was
built for this machine (`make peers`), which reads the files that we export, and beside torch's operations. Run by

OMP_NUM_THREADS=2 python benchmarks/decode.py [--threads 1 2] [--rounds N] [--only NAME] [--json OUT]

Greedy, whole answers after a prompt of 8 tokens, timed from outside: ours in this process by the engine, llama.cpp's by its library in a process
of its own (llama_greedy.cpp), both without HTTP and without probabilities. All models are opened first, and what the contenders write is compared:
in float32 all ids must be equal; in fewer bits each rounds in its own way, so the divergence of the probabilities from float32's is printed for
both (KL, nats a token). Beside each row is what our step reads of weights in a second, and what as many threads read of an array of that size.
Ctrl-C ends it with the rows that are whole.
`--wait FILE` waits with all in memory until the file exists, then measures: on a machine that is quiet only now and then.
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from build_peers import native_peers
from measure import Contender, Row, compare, machine, table
from native_llama import NativeLlama
from peers import PULLED, pulled_model
from spine import describe
from texts import read_texts

from groundup.device import Compute
from groundup.engine.generate import generate_ids
from groundup.engine.precision import Precision, open_in
from groundup.engine.sampling import Sampling
from groundup.errors import GroundupError
from groundup.kernels.module_arrays import cache_dtype
from groundup.kernels.step_weights import StepModel
from groundup.model.cache import KVCache
from groundup.model.heads import LanguageModel, initialise
from groundup.model.presets import shape_of_size
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.formats import export
from groundup.weights.model_io import OpenModel, save_model

CPU = Compute(torch.device("cpu"))
# Millions of parameters of own models, with random weights: speed does not depend on them.
OWN, VOCABULARY = (1, 5, 10), 4_096
# Ours -> what llama.cpp calls the nearest that it has.
PEERS: dict[Precision, tuple[str, ...]] = {
    "float32": ("f32",),
    "bf16": ("bf16", "f16"),
    "int8": ("q8_0",),
    "int4": ("q4_0",),
}
TORCH = "groundup through torch"
OPENING, COMPARED, QUALITY_TOKENS, PROMPT = 8, 64, 72, 512
TEXT = """The printing press is a mechanical device for applying pressure to an inked surface resting upon a print medium, such as paper or cloth,
thereby transferring the ink. It marked a dramatic improvement on earlier printing methods in which the cloth, paper, or other medium was brushed or
rubbed repeatedly to achieve the transfer of ink, and accelerated the process."""

Write = Callable[[Sequence[int], int], list[int]]


@dataclass
class Case:
    """A model in one precision, ours and llama.cpp's."""

    model_name: str
    precision: Precision
    opened: OpenModel
    compute: Compute
    ids: list[int]
    """Of TEXT; a prompt is its beginning."""
    answer_tokens: int
    step: Any = None
    results: dict[str, Any] = field(default_factory=dict)
    peers: dict[int, dict[str, NativeLlama]] = field(default_factory=dict)
    """For each number of threads, by name."""

    @property
    def name(self) -> str:
        return f"{self.model_name}, {self.precision}"

    @property
    def model(self) -> LanguageModel:
        found = self.opened.model
        assert isinstance(found, LanguageModel)
        return found

    def ours(self, step: Any) -> Write:
        """The engine's, with this step (None: torch's operations)."""

        def write(ids: Sequence[int], new_tokens: int) -> list[int]:
            self.model.decode_step = step
            greedy = Sampling(temperature=0, max_tokens=new_tokens)
            return list(generate_ids(self.model, ids, greedy, (), compute=self.compute))

        return write

    def contenders(self, threads: int) -> dict[str, Write]:
        """Ours first; torch's operations where weights are not packed."""
        found = {f"groundup {self.precision}": self.ours(self.step)}
        found |= {name: peer.write for name, peer in self.peers[threads].items()}
        if not self.precision.startswith("int"):
            found[TORCH] = self.ours(None)
        return found

    def weight_bytes(self) -> int:
        """Of a token's products."""
        described = StepModel.of(self.model)
        arrays = (*described.numbers, *described.pairs, described.weights.scales)
        return sum(each.nbytes for each in arrays)


def cases(only: str, threads: Sequence[int], made: Path, stack: Any) -> Iterator[Case]:
    """All, with their files and llama.cpp's processes."""
    for name, folder in models(only, made):
        exact = open_in("float32", folder, CPU)[0]
        ids = exact.require_tokenizer().encode(TEXT)[:QUALITY_TOKENS]
        for precision, encodings in PEERS.items():
            files = {
                each: export(exact, "gguf", made / f"{name}.{each}.gguf", quantization=each)
                for each in encodings
            }
            opened, compute = open_in(precision, folder, CPU)
            room = exact.config.context_tokens - OPENING
            tokens = COMPARED if name == PULLED else min(3 * COMPARED, room)
            case = Case(name, precision, opened, compute, ids, tokens)
            case.ours(case.model.decode_step)(ids[:OPENING], 2)
            case.step = case.model.decode_step  # compiled now, or None
            for count in threads:
                case.peers[count] = {
                    f"llama.cpp {each}": stack.enter_context(NativeLlama(file, count))
                    for each, file in files.items()
                }
            check(case, exact.model, threads[0])
            yield case


def models(only: str, made: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder."""
    tokenizer = train_tokenizer(read_texts(quick=True), VOCABULARY)
    for millions in OWN:
        name, folder = f"own {millions}M", made / f"own-{millions}m"
        if only in name:
            model = LanguageModel(shape_of_size(1_000_000 * millions, vocab_size=VOCABULARY))
            initialise(model, torch.Generator().manual_seed(0))
            save_model(model, folder, tokenizer)
            yield name, folder
    pulled = pulled_model()
    if pulled is None:
        print(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    elif only in PULLED:
        yield PULLED, pulled


def check(case: Case, exact: Any, threads: int) -> None:
    """What both write, compared, and how far both are from float32."""
    prompt, texts = case.ids[:OPENING], {}
    for name, write in case.contenders(threads).items():
        texts[name] = write(prompt, COMPARED)
    first = next(iter(texts.values()))
    same = {name: equal_ids(first, ids) for name, ids in texts.items()}
    case.results = {"same_ids": same, "of": COMPARED}
    if case.precision == "float32":
        assert set(same.values()) == {COMPARED}, (case.name, same)
    else:
        case.results |= {"groundup": distance(stepwise(case), exact, case.ids)}
        for name, peer in case.peers[threads].items():
            case.results[name] = distance(peer.logits(case.ids), exact, case.ids)
    print(f"{case.name}: {json.dumps(case.results)}", flush=True)


def equal_ids(first: Sequence[int], second: Sequence[int]) -> int:
    """How many are equal before the first that differs."""
    pairs = [ours == theirs for ours, theirs in zip(first, second, strict=True)]
    return [*pairs, False].index(False)


@torch.inference_mode()
def stepwise(case: Case) -> torch.Tensor:
    """The logits [T, V] of our step, token by token."""
    step, dtype = case.step, cache_dtype(StepModel.of(case.model).kind)
    assert step is not None, "no compiled step: `groundup generate --precision int8` says why"
    cache = KVCache(case.model.config, 1, len(case.ids), dtype=dtype)
    return torch.cat([step.after_cache(torch.tensor([[id]]), cache) for id in case.ids])


@torch.inference_mode()
def distance(logits: torch.Tensor, exact: Any, ids: Sequence[int]) -> dict[str, float]:
    """Mean KL to float32, and the share of equal first choices."""
    expected = exact(torch.tensor([list(ids)]))[0].log_softmax(-1)
    found = logits[:, : expected.shape[1]].log_softmax(-1)
    divergence = (expected.exp() * (expected - found)).sum(-1).mean()
    same = (found.argmax(-1) == expected.argmax(-1)).float().mean()
    return {"mean_kl": round(float(divergence), 5), "same_first": round(float(same), 4)}


def measured(case: Case, threads: int, rounds: int) -> list[Row]:
    """Decoding, and of the public model a long prompt."""
    torch.set_num_threads(threads)
    contenders = case.contenders(threads)
    what = f"{case.name}, {threads} thread{'s' if threads > 1 else ''}"
    rows = compare(what, "tokens/s", works(contenders, case.ids[:OPENING], case), rounds=rounds)
    num_bytes = case.weight_bytes()
    read_gb_s = next(iter(case.peers[threads].values())).read_gb_s(num_bytes)
    used_gb_s = rows[0].median * num_bytes / 1e9
    case.results[f"{threads} threads"] = {
        "weights_mb": round(num_bytes / 1e6, 1),
        "weights_gb_s": round(used_gb_s, 2),
        "read_gb_s": round(read_gb_s, 2),
    }
    print(f"{what}: {json.dumps(case.results[f'{threads} threads'])}", flush=True)
    return rows


def works(contenders: dict[str, Write], ids: list[int], case: Case) -> list[Contender]:
    """An answer of each."""
    amount = case.answer_tokens
    return [
        Contender(name, partial(write, ids, amount), amount) for name, write in contenders.items()
    ]


def prompts(found: Sequence[Case], threads: int, rounds: int) -> Iterator[Row]:
    """A prompt of 512 tokens and one new token, of the public model."""
    torch.set_num_threads(threads)
    for case in found:
        if case.model_name == PULLED:
            ids = (case.ids * PROMPT)[:PROMPT]
            each = [
                Contender(name, partial(write, ids, 1), PROMPT)
                for name, write in case.contenders(threads).items()
                if name != TORCH
            ]
            what = f"prompt of {PROMPT}, {case.precision}, {threads} threads"
            yield from compare(what, "tokens/s", each, rounds=rounds)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    options = parse()
    results: dict[str, Any] = {"machine": machine()}
    print(describe(results["machine"]))
    with contextlib.ExitStack() as stack:
        try:
            results["peers"] = native_peers().description
        except GroundupError as reason:
            print(f"Skipped: {reason}")
            return
        made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        torch.set_num_threads(options.threads[0])
        found = list(cases(options.only, options.threads, made, stack))
        first = next(iter(found[0].peers[options.threads[0]].values()))
        results["system_info"] = first.system_info
        print(json.dumps(results["peers"]), results["system_info"], sep="\n")
        while options.wait is not None and not options.wait.exists():
            time.sleep(0.5)
        results["load"] = os.getloadavg()[0]
        rows: list[Row] = []
        try:
            for threads in options.threads:
                for case in found:
                    rows += measured(case, threads, options.rounds)
                rows += prompts(found, threads, min(3, options.rounds))
        except KeyboardInterrupt:
            print("Stopped: these rows were whole.")
        results["rows"] = [asdict(row) for row in rows]
        results["cases"] = {case.name: case.results for case in found}
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="NAME", help="models with this in their name")
    parser.add_argument("--wait", type=Path, metavar="FILE", help="measure once this file exists")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
