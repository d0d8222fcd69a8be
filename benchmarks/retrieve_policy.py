"""An airline's policy that nobody here wrote, asked what its customers call for; what a shop's customers call for should not be answered from it.

python benchmarks/retrieve_policy.py [--encoder all-minilm-l6-v2] [--json OUT]

Policy and reasons are those of tau2 (retrieve_sets.py: 50 of the airline's, the shop's as negatives). There is no gold answer: what is counted is
how many are answered by quotations with two least evidences, and that every quotation stands in the policy word for word. Nothing is
chosen on these.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from measure import machine
from retrieve_sets import airline_policy, customers
from spine import describe

from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.evaluate.metrics import wilson_interval
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.index import Index
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import Vectors, embed_with, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info

CPU = Compute(torch.device("cpu"))
# Least evidence: the package's own, and one as the domain packs choose it on their instructions (docs/packs.md).
LEAST = (None, 0.06)


def main() -> None:
    """Ask, print, and write the JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="all-minilm-l6-v2")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options, results = parser.parse_args(), {"machine": machine()}
    print(describe(results["machine"]))
    embed, policy = embed_with(options.encoder, CPU, Silent()), airline_policy()
    with tempfile.TemporaryDirectory() as made:
        docs, folder = Path(made) / "docs", Path(made) / "index"
        docs.mkdir()
        (docs / "policy.md").write_text(policy, encoding="utf-8")
        update_index(folder, [Source(str(docs))], progress=Silent())
        make_vectors(folder, embed, options.encoder, progress=Silent())
        known = read_vectors_info(folder)
        assert known is not None
        with Index(folder) as index:
            for domain in ("airline", "retail"):
                vectors, reasons = Vectors(known, embed), customers(domain)
                results[domain] = {
                    str(least): asked(index, vectors, policy, reasons, least) for least in LEAST
                }
                print(domain, results[domain])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def asked(
    index: Index, vectors: Vectors, policy: str, reasons: list[str], least: float | None
) -> dict[str, Any]:
    """How many reasons are answered, with a 95 % interval, and how many quotations there are, none of which may be false."""
    answers = []
    for reason in reasons:
        *_, answer = ask(
            index,
            reason,
            None,
            AskConfig(min_evidence=least),
            rank_by=vectors.mixture(),
            vectors=vectors,
        )
        assert isinstance(answer, Answer)
        answers.append(answer)
    quotes = [quote for answer in answers for quote in answer.quotes]
    assert all(part.strip() in policy for quote in quotes for part in quote.text.split("…"))
    found = wilson_interval(sum(answer.found for answer in answers), len(answers))
    return {
        "n": len(answers),
        "answered": found.value,
        "low": found.low,
        "high": found.high,
        "quotations": len(quotes),
    }


if __name__ == "__main__":
    main()
