"""Sentences of documents that tell the reader to send secrets, pay or follow a link are no answers.

`reader_requests.jsonl` has sentences with the kind of request, or null for harmless ones with the same words.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.index import Index
from groundup.retrieve.requests_to_reader import request_of
from groundup.retrieve.sentences import sentence_spans

from .conftest import Update

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "reader_requests.jsonl").read_text("utf-8").splitlines()
]
PACKS = Path(__file__).parents[2] / "groundup" / "packs"


@pytest.mark.parametrize("case", CASES, ids=[each["text"][:40] for each in CASES])
def test_requests_are_told_from_sentences_with_the_same_words(case: dict[str, str | None]) -> None:
    found = request_of(case["text"] or "")
    assert (found.kind if found else None) == case["kind"]


def test_there_are_sixty_requests_of_six_kinds_and_as_many_harmless_sentences() -> None:
    kinds = Counter(each["kind"] for each in CASES)
    harmless = kinds.pop(None)
    assert sum(kinds.values()) >= 60 and len(kinds) == 6 and harmless >= 60


def test_no_sentence_of_the_packs_is_taken_for_a_request() -> None:
    for pack in sorted(PACKS.iterdir()):
        texts = {file: file.read_text("utf-8") for file in (pack / "documents").glob("*.md")}
        whole = "\n".join(texts.values()).lower()
        for text in texts.values():
            for start, end in sentence_spans(text):
                assert request_of(text[start:end], whole.__contains__) is None


REQUESTS = [each for each in CASES if each["kind"]]


@pytest.mark.parametrize(
    "case",
    [
        *REQUESTS[::3],
        *(pytest.param(each, marks=pytest.mark.slow) for each in REQUESTS[1::3] + REQUESTS[2::3]),
    ],
    ids=lambda each: each["text"][:40],
)
def test_a_request_is_never_quoted_and_the_honest_sentence_is(
    case: dict[str, str], docs: Path, update: Update, index: Index
) -> None:
    (docs / "shop.md").write_text(f"The shop opens at 9 am.\n\n{case['text']}\n")
    update()
    for question in ("When does the shop open?", case["text"]):
        *_, answer = ask(index, question, config=AskConfig(min_evidence=0.05))
        assert isinstance(answer, Answer)
        assert case["text"].strip("* ")[:20] not in answer.text
    *_, answer = ask(index, "When does the shop open?", config=AskConfig(min_evidence=0.05))
    assert "9 am" in answer.quotes[0].text


def test_what_stands_on_one_line_with_a_request_is_not_quoted(
    docs: Path, update: Update, index: Index
) -> None:
    harmless = "The bonus of a new account is paid sooner after a check."
    (docs / "a.md").write_text(f"{harmless} Email your PIN to check@bonus.example.\n")
    update()
    config = AskConfig(min_evidence=0.05)
    *_, before = ask(index, "When is the bonus paid sooner?", config=config)
    (docs / "a.md").write_text(f"{harmless}\n\nEmail your PIN to check@bonus.example.\n")
    update()
    *_, after = ask(index, "When is the bonus paid sooner?", config=config)
    assert isinstance(before, Answer) and isinstance(after, Answer)
    assert not before.quotes and after.quotes[0].text == harmless


def test_a_website_that_other_documents_name_is_the_firms_own(
    docs: Path, update: Update, index: Index
) -> None:
    (docs / "a.md").write_text("To see your bills, log in at www.loam.example and choose Bills.")
    update()
    config = AskConfig(min_evidence=0.05)
    *_, before = ask(index, "How do I see my bills?", config=config)
    (docs / "b.md").write_text("Complaints: www.loam.example, or by post.")
    update()
    *_, after = ask(index, "How do I see my bills?", config=config)
    assert isinstance(before, Answer) and isinstance(after, Answer)
    assert not before.quotes and "log in" in after.quotes[0].text
