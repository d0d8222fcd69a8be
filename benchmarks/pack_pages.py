"""What the packaged assistants answer to questions of customers: docs/packs/NAME.md for each pack.

    python benchmarks/pack_pages.py            ask, and write the five pages
    python benchmarks/pack_pages.py bank       only this one

Of each pack the documents are indexed as a build of the pack does it where its two encoders are on
the machine (two readers, docs/retrieve.md), and the first 20 lines of
benchmarks/held_out/third/NAME.jsonl are asked as `groundup ask` does, without a model. The page has
every question and everything that was shown. Needs the encoders (490 MB, fetched once); some
minutes on two cores.
"""

import argparse
import json
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import groundup
from groundup.evaluate.metrics import wilson_bounds
from groundup.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PACKS, PAGES = ROOT / "groundup/packs", ROOT / "docs/packs"
QUESTIONS = ROOT / "benchmarks/held_out/third"
NAMES = ("airline", "restaurant", "bank", "school", "writing")
ASKED = 20
ENCODER = "all-mpnet-base-v2"
"""Of the second reader."""
KINDS = {
    "answerable": "",
    "near_miss": "not in the documents",
    "other_firm": "another firm's matter",
    "small_talk": "small talk",
}
# An outcome of `groundup evaluate`, of an answerable question and of one that no document answers.
VERDICTS = {
    True: {
        "right": "right",
        "partly": "partly",
        "wrong": "wrong",
        "refused": "wrong, should answer",
    },
    False: {"wrong": "wrong, should refuse", "refused": "right"},
}


def main() -> int:
    """Write the pages that the command line names; the exit code."""
    parser = argparse.ArgumentParser(description="Ask the packs' questions and write the pages.")
    parser.add_argument("packs", nargs="*", default=NAMES)
    for name in parser.parse_args().packs:
        page = PAGES / f"{name}.md"
        write_text(page, page_of(name, asked(name)))
        print(page)
    return 0


def asked(name: str) -> list[dict[str, Any]]:
    """Return the questions of a pack with what was shown, as `groundup evaluate --out` writes them."""
    with tempfile.TemporaryDirectory() as temporary:
        questions, index = Path(temporary) / "questions.jsonl", Path(temporary) / "index"
        lines = (QUESTIONS / f"{name}.jsonl").read_text().splitlines()[:ASKED]
        questions.write_text("\n".join(lines) + "\n")
        groundup.index(str(PACKS / name / "documents"), index, vectors=(None, ENCODER))
        found = groundup.run_questions(str(index), questions).to_plain()
    return [{**item, "given": item["given"]["ask"]} for item in found["items"]]


def page_of(name: str, items: Sequence[dict[str, Any]]) -> str:
    """Return the page of a pack in Markdown."""
    pack = tomllib.loads((PACKS / name / "pack.toml").read_text())
    answerable = [item["given"]["outcome"] for item in items if item["answers"]]
    others = [item["given"]["outcome"] for item in items if not item["answers"]]
    documents = len(list((PACKS / name / "documents").glob("*.md")))
    rows = "\n".join(row(item, place) for place, item in enumerate(items, 1))
    return f"""# {pack["organisation"]}: what the assistant does

{pack["about"]}

The pack `{name}` has {documents} documents about this invented organisation. Below are {len(items)}
questions and what `groundup ask` showed for each, nothing left out. It quotes sentences of the
documents with their source, or says that it found nothing; no model writes here. The index has the
[second reader](../retrieve.md#a-second-reader) that a build gives it where its encoder is there.

The questions are the first {len(items)} lines of `benchmarks/held_out/third/{name}.jsonl`. A language
model wrote them in customers' words, from the documents alone and without sight of the program; no
customer's words are among them. They have been read since, so they are no test of later versions.
Behind some stands what they are about, where no document answers them; to small talk the assistant
itself replies in fixed words, and `groundup ask` should find nothing.
This page is written by `python benchmarks/pack_pages.py {name}`.

| what came of it | questions | of these |
|---|---|---|
| a document answers it: an accepted answer stands in the first sentence shown | {len(answerable)} | {share(answerable, "right")} |
| in a further sentence, or the right document is cited | {len(answerable)} | {share(answerable, "partly")} |
| wrong sentence | {len(answerable)} | {share(answerable, "wrong")} |
| refused, though a document answers it | {len(answerable)} | {share(answerable, "refused")} |
| no document answers it: refused, as it should be | {len(others)} | {share(others, "refused")} |

In brackets 95 % intervals: with so few questions they are wide. Larger sets, and the classifier of
messages, are in [Domain packs](../packs.md#figures) and [Documents](../retrieve.md#held-out-questions).

## The questions

| question | shown, and what came of it |
|---|---|
{rows}

## Make it your own

```sh
# the whole assistant, its page and the APIs (15 minutes)
groundup build {name}
groundup serve runs/{name}

# a small pack of your own, to be replaced text by text
groundup pack new my-firm
groundup pack check my-firm
groundup build my-firm
```

[An assistant for my firm](../howto/assistant.md) is the guide; [Domain packs](../packs.md) says what each file holds.
"""


def share(outcomes: Sequence[str], name: str) -> str:
    """Return how many have this outcome, with the 95 % interval of their share."""
    hits, n = outcomes.count(name), len(outcomes)
    if not n:
        return ""
    low, high = wilson_bounds(hits, n)
    return f"{hits} ({100 * low:.0f} to {100 * high:.0f} %)"


def row(item: dict[str, Any], place: int) -> str:
    """Return the row of a question: what was shown, and what an accepted answer would have been."""
    given, known = item["given"], bool(item["answers"])
    verdict = VERDICTS[known][given["outcome"]]
    shown = " ".join(given["sentences"])
    if given["sentences"]:
        shown += f" ({', '.join(dict.fromkeys(Path(each).name for each in given['cited']))})"
    about = KINDS.get(item["kind"], item["kind"])
    question, expected = item["question"] + (f" *({about})*" if about else ""), ""
    if known and given["outcome"] != "right":
        wanted = " or ".join(json.dumps(each, ensure_ascii=False) for each in item["answers"])
        expected = f"; expected {wanted} ({', '.join(item['documents'])})"
    cells = [f"{place}. {question}", f"{shown or 'nothing: refused'}<br>**{verdict}**{expected}"]
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
