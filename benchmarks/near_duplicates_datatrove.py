"""datatrove's near-duplicate removal over one file, in a process of the python that has it (`near_duplicates.py` starts it).

    python near_duplicates_datatrove.py FOLDER spacy|split     reads FOLDER/in/*.jsonl, prints a JSON object: seconds of each step, removed ids

Its four MinHash steps with its own defaults (word 5-grams, 14 buckets of 8 hashes). `spacy` is the word tokenizer that it takes for English;
`split` puts `str.split` in its place. Imports and the loading of the tokenizer are not counted.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from loguru import logger


class Split:
    """A word tokenizer that splits at white space."""

    def word_tokenize(self, text: str) -> list[str]:
        """Return the words."""
        return text.split()


def main() -> None:
    """Run the steps one after another."""
    logger.remove()
    folder, tokenizer = Path(sys.argv[1]), sys.argv[2]
    buckets = MinhashConfig().num_buckets
    places = {
        name: str(folder / name)
        for name in ("in", "signatures", "buckets", "removed", "out", "excluded")
    }
    signature = MinhashDedupSignature(places["signatures"])
    if tokenizer == "split":
        signature.word_tokenizer = Split()
    else:
        signature.word_tokenizer.word_tokenize("Loaded before the clock starts.")
    clock = [time.perf_counter()]

    def reader() -> JsonlReader:
        return JsonlReader(places["in"], id_key="name")

    signature.run(reader().run(), 0, 1)
    clock.append(time.perf_counter())
    for rank in range(buckets):
        MinhashDedupBuckets(places["signatures"], places["buckets"]).run(None, rank, buckets)
    clock.append(time.perf_counter())
    MinhashDedupCluster(places["buckets"], places["removed"]).run(None, 0, 1)
    clock.append(time.perf_counter())
    excluded = JsonlWriter(places["excluded"], compression=None)
    with JsonlWriter(places["out"], compression=None) as out:
        kept = MinhashDedupFilter(places["removed"], excluded).run(reader().run(), 0, 1)
        for document in kept:
            out.write(document, 0)
    excluded.close()
    clock.append(time.perf_counter())
    removed = [
        json.loads(line)["id"]
        for file in Path(places["excluded"]).rglob("*.jsonl")
        for line in file.open()
    ]
    names = ("signatures", "buckets", "clusters", "filter")
    steps = {name: end - start for name, start, end in zip(names, clock, clock[1:], strict=False)}
    print(
        json.dumps(
            {
                "seconds": steps,
                "tokenizer": type(signature.word_tokenizer).__name__,
                "removed": removed,
            }
        )
    )


if __name__ == "__main__":
    main()
