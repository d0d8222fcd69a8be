"""What is shown of a table where a question fits several of its rows, and where it means one.

python benchmarks/open_rows.py [--each] [--encoder all-mpnet-base-v2 | none]

The firms of benchmarks/open_rows; each is indexed and asked for quotations alone. Of "several", "whole", "narrowed" and "few":
whether each of the rows is told with its value, and no other (the last two); of "one": whether the row is told alone or among
others; of "prose": whether the span stands in the first quotation.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import groundup
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import AUTO, ranking_of, vectors_for

FIRMS = Path(__file__).with_name("open_rows")
LONG_LOOKED_AT = ("alderwick-library", "tollhaven-ferry")
ENCODER = "all-mpnet-base-v2"


def outcome(asked: dict, answer: Answer) -> str:
    """Return what became of a question."""
    if not answer.found:
        return "refused"
    first = answer.quotes[0]
    said, count = plain(first.in_words), first.in_words.count("\n") + 1
    if asked["kind"] == "prose":
        return "right" if plain(asked["answers"][0]) in plain(first.text) else "wrong"
    pairs = zip(asked["answers"], asked["value"], strict=True)
    told = [plain(name) in said and plain(value) in said for name, value in pairs]
    if asked["kind"] != "one":
        if asked["kind"] in ("narrowed", "few") and all(told) and count > len(told):
            return "all rows and others"
        return "all rows" if all(told) else "some rows" if any(told) else "none"
    if not all(told):
        return "wrong"
    return "alone" if count == 1 else "among others"


def plain(text: str) -> str:
    """Return a text without stars, in small letters, with single spaces."""
    return " ".join(text.replace("*", "").split()).lower()


def main() -> None:
    """Print the counts by half of the firms and kind of question."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", action="store_true", help="print each question, too")
    parser.add_argument("--encoder", default=ENCODER, help="of the second reader, or none")
    arguments = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    for firm in sorted(each.parent for each in FIRMS.glob("*/questions.jsonl")):
        lines = (firm / "questions.jsonl").read_text("utf-8").splitlines()
        half = "asked once" if '"narrowed"' in "".join(lines) else "looked at"
        if '"whole"' in "".join(lines):
            half = "long, looked at" if firm.name in LONG_LOOKED_AT else "long, asked once"
        with tempfile.TemporaryDirectory() as folder:
            made_by = (None, arguments.encoder)
            groundup.index(firm / "documents", folder, vectors=made_by, progress=Silent())
            with Index(folder) as index:
                vectors = vectors_for(AUTO, index.folder, "auto", Silent())
                ranking = ranking_of(AUTO, vectors)
                for line in lines:
                    asked = json.loads(line)
                    *_, answer = ask(index, asked["question"], rank_by=ranking, vectors=vectors)
                    what = outcome(asked, answer)
                    counts.setdefault(f"{half}, {asked['kind']}", Counter()).update([what])
                    if arguments.each:
                        print(json.dumps([firm.name, asked["question"], what, answer.text]))
    for kind, found in sorted(counts.items()):
        print(f"{kind:<25}{found.total():>4}  {dict(found.most_common())}", flush=True)


if __name__ == "__main__":
    main()
