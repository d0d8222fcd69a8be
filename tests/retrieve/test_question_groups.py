"""Questions that ask the same are one group, by words and by vectors; what is near is a document to extend."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_windows import in_use
from tiny_encoder import save_encoder

from groundup.packs.feedback import CitedDocument, FeedbackEvent
from groundup.packs.pack import packaged_packs
from groundup.progress import Silent
from groundup.retrieve.question_groups import (
    WORDS,
    Matrix,
    group_questions,
    searched_documents,
    similarity_by_words,
    stars,
    title_from,
)

DOCUMENTS = packaged_packs()["bank"] / "documents"


def refused(*questions: str) -> list[FeedbackEvent]:
    return [
        FeedbackEvent("2026-11-29T22:40:00Z", str(number), "bank", "refusal", question, "")
        for number, question in enumerate(questions)
    ]


def test_a_group_is_no_chain_and_begins_with_its_centre() -> None:
    alike = np.eye(5, dtype=bool)
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 4)):
        alike[first, second] = alike[second, first] = True
    assert list(stars(alike, np.ones(5, dtype=np.int64))) == [[1, 0, 2], [3, 4]]
    assert list(stars(alike, np.array([1, 1, 1, 1, 9]))) == [[3, 2, 4], [0, 1]]


def test_words_that_say_what_is_asked_decide() -> None:
    questions = [
        "What does a night guard cost?",
        "How much is a night guard?",
        "How much is a porcelain crown?",
        "???",
        "is it?",
    ]
    alike = similarity_by_words("en")(questions)
    assert np.allclose(alike, alike.T) and (alike[0, 1] >= 0.35) and alike[1, 2] < 0.35
    assert alike[3, 4] == 0 and list(np.diag(alike)) == [1] * 5


@pytest.mark.parametrize(
    ("questions", "title"),
    [
        (["Do you deliver bicycles to a hotel?"], "Deliver bicycles to a hotel"),
        (["Is there parking?", "Where is parking?"], "Parking"),
        (["What?"], "What"),
        (["Hello.\nWhat does an iPhone 15 cost?"], "iPhone 15 cost"),
        (["¿?"], "New document"),
    ],
)
def test_a_title_from_the_questions_words(questions: list[str], title: str) -> None:
    assert title_from(questions).lower() == title.lower()


def test_near_and_far_by_words_on_a_machine_without_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    events = refused(
        "Do you repair scooters?",
        "What is the fee for a replacement card?",
        "what is the fee for a replacement card?",
    )
    with searched_documents(DOCUMENTS, "en", Silent()) as search:
        assert search.by == WORDS
        card, scooter = group_questions(events, search)
        assert group_questions([], search) == []
        cited = (CitedDocument("hire.md", "Hire > Scooters"),)
        disliked = replace(events[0], kind="answer", sources=cited, rating="down")
        [named] = group_questions([disliked], search)
    assert len(card.events) == 2 and card.questions == (card.question,)
    assert card.nearest.is_near and card.nearest.document == "price-list.md"
    assert not scooter.nearest.is_near and scooter.title == "Repair scooters"
    assert named.nearest.is_near, "what answered is to be extended"
    assert (named.nearest.document, named.nearest.heading) == ("hire.md", "Hire > Scooters")


def test_an_encoder_that_is_here_decides_by_its_vectors(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "cat.md").write_text("# The cat\n\nThe cat sat on the mat.\n")
    encoder = save_encoder(tmp_path / "encoder")
    seen: list[Sequence[str]] = []
    with searched_documents(tmp_path / "documents", "en", Silent(), encoder=str(encoder)) as search:
        similarity = search.similarity

        def watched(texts: Sequence[str]) -> Matrix:
            seen.append(texts)
            return similarity(texts)

        search.similarity = watched
        [group] = group_questions(refused("is the cat on the mat", "is the cat on the mat"), search)
        assert not any("rows-" in path for path in in_use())  # Windows could not remove it
    assert search.by == "vectors" and group.nearest.document == "cat.md"
    assert seen == [["is the cat on the mat"]]
