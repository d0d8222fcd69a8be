"""Questions that readers asked in vain, in groups, each with what to write about it.

    events of feedback.jsonl -> groups of questions that ask the same    the biggest group first
                             -> of each the nearest document and heading: extend that; or none is
                                near: write one, with a title from the questions' words

With the sentence encoder two questions ask the same from a cosine of SAME_COSINE on, else by the
words that say what they are about (`packs/repeats.py`). The question with the most others around it
is the centre of the next group, which has all of them (star clustering: Aslam, Pelekhov and Rus
2004), so that a group is no chain from one subject to another. The numbers are chosen on written
questions and on two packs' held-out ones (docs/log.md).
"""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from groundup.data.reading.source_files import Source
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.packs.feedback import FeedbackEvent
from groundup.packs.repeats import ASKS_THE_SAME, content_words, shared
from groundup.progress import Progress, Silent
from groundup.retrieve.evidence import question_words
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import find
from groundup.retrieve.update import update_index
from groundup.retrieve.updated_vectors import is_here
from groundup.weights.catalog import DEFAULT_ENCODER

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

Matrix = NDArray[np.float32]
Similarity = Callable[[Sequence[str]], Matrix]
"""A function of n texts that returns how alike each two are, (n, n)."""
WORDS, VECTORS = "words", "vectors"
SAME_COSINE = 0.65
# From here on a passage is near a question: its cosine, or the share of the question's words.
NEAR = {VECTORS: 0.42, WORDS: 0.41}
# That are looked at: the first one is named, the nearest one says whether any is near.
PASSAGES = 3
# Different questions that are grouped, the latest ones: the time grows with their square.
MAX_QUESTIONS = 2000
# That are shown: each is searched for.
MAX_GROUPS = 200
# What is read of a question in its context, in characters.
MAX_CHARACTERS = 1000
MAX_TITLE_WORDS = 8
UNTITLED = "New document"


@dataclass(frozen=True)
class Nearest:
    """The passage that is nearest to a question."""

    document: str = ""
    """Its file; "" where there is no passage at all."""
    heading: str = ""
    """The headings that it stands under, joined by " > "."""
    nearness: float = 0.0
    """The cosine, or the share of the question's words that it has."""
    is_near: bool = False
    """Whether the document is about what is asked; else one has to be written."""


@dataclass(frozen=True)
class QuestionGroup:
    """Questions that ask the same."""

    question: str
    """The one that the others are nearest to."""
    questions: tuple[str, ...]
    """All different ones, the centre first."""
    events: tuple[FeedbackEvent, ...]
    nearest: Nearest = field(default_factory=Nearest)
    title: str = ""
    """Of a document that could be written."""

    @property
    def unanswered(self) -> int:
        return sum(each.is_unanswered for each in self.events)

    @property
    def disliked(self) -> int:
        return sum(each.is_disliked for each in self.events)

    @property
    def comments(self) -> tuple[str, ...]:
        """What readers wrote, each text once."""
        return tuple(dict.fromkeys(each.text for each in self.events if each.text))

    @property
    def cited(self) -> tuple[str, ...]:
        """The documents that replies cited, the most frequent first."""
        found = Counter(source.document for each in self.events for source in each.sources)
        return tuple(name for name, _ in found.most_common())


class PackSearch:
    """The documents of a pack, open to be searched by words, and where the sentence encoder is on
    this machine by vectors.
    """

    def __init__(self, index: Index, similarity: Similarity, vectors: "Vectors | None" = None):
        self.index, self.similarity, self._vectors = index, similarity, vectors
        self.by = WORDS if vectors is None else VECTORS
        self._ranking = ranking_of(AUTO, vectors)

    def nearest(self, question: str) -> Nearest:
        """Return the passage that is nearest. Raises FormatError."""
        found = find(self.index, question, PASSAGES, self._ranking).passages
        if not found:
            return Nearest()
        if self._vectors is not None:
            rows = self._vectors.rows_of(found)
            near = float((rows @ self._vectors.embed_again([question])[0]).max())
        else:
            asked = question_words(self.index, question)
            texts = [f"{each.title}\n{each.text}" for each in found]
            near = max(asked.share(each, found[0].language) for each in texts)
        return Nearest(found[0].document, found[0].title, near, near >= NEAR[self.by])


@contextmanager
def searched_documents(
    documents: Path, language: str, progress: Progress, *, encoder: str = DEFAULT_ENCODER
) -> Iterator[PackSearch]:
    """Yield the search of a pack's documents as they are now, by an index that is then deleted.

    `encoder`: used where it is on this machine. Raises as `update_index` and `open_encoder` do.
    """
    with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
        place = Path(folder) / "index"
        update_index(place, [Source(str(documents))], progress=Silent())
        with Index(place) as index:
            if not is_here(encoder):
                yield PackSearch(index, similarity_by_words(language))
                return
            from groundup.device import select_compute
            from groundup.retrieve.vector_store import MappedVectors
            from groundup.retrieve.vectors import Vectors, embed_with, make_vectors
            from groundup.retrieve.vectors_info import read_vectors_info

            embed = embed_with(encoder, select_compute("cpu"), progress)
            make_vectors(place, embed, encoder, progress=progress)
            known = read_vectors_info(place)
            assert known is not None  # just made
            vectors = Vectors(known, embed)
            if isinstance(vectors.store, MappedVectors):
                vectors.store.load()

            def cosines(texts: Sequence[str]) -> Matrix:
                rows = np.asarray(embed(texts), dtype=np.float32)
                return rows @ rows.T

            yield PackSearch(index, cosines, vectors)


def similarity_by_words(language: str) -> Similarity:
    """Return how alike questions are by the words that say what they are about."""

    def similarity(texts: Sequence[str]) -> Matrix:
        found = [content_words(text, language) for text in texts]
        alike = np.eye(len(found), dtype=np.float32)
        places: dict[str, list[int]] = defaultdict(list)
        for place, own in enumerate(found):
            for other in {other for word in own for other in places[word]}:
                alike[place, other] = alike[other, place] = shared(own, found[other])
            for word in own:
                places[word].append(place)
        return alike

    return similarity


def _place(group: QuestionGroup, search: PackSearch) -> Nearest:
    """Return the passage that is nearest; where none is near, what the replies cited."""
    nearest = search.nearest(group.question)
    cited = Counter(
        (source.document, source.title) for each in group.events for source in each.sources
    )
    if nearest.is_near or not cited:
        return nearest
    (document, heading), _ = cited.most_common(1)[0]
    return Nearest(document, heading, nearest.nearness, is_near=True)


def group_questions(
    events: Sequence[FeedbackEvent], search: PackSearch, language: str = "en"
) -> list[QuestionGroup]:
    """Return the groups of the questions that found no answer or whose answer was disliked, each
    with its nearest document; the MAX_GROUPS with the most events, these first. Raises FormatError.
    """
    as_written: dict[str, str] = {}
    of_question: dict[str, list[FeedbackEvent]] = {}
    for event in events:
        if event.is_unanswered or event.is_disliked:
            text = " ".join(event.question.split())[-MAX_CHARACTERS:]
            written = as_written.setdefault(text.lower(), text)
            of_question.setdefault(written, []).append(event)
    latest = list(of_question)[-MAX_QUESTIONS:]
    if not latest:
        return []
    least = SAME_COSINE if search.by == VECTORS else ASKS_THE_SAME
    weights = np.array([len(of_question[each]) for each in latest])
    groups: list[QuestionGroup] = []
    for members in stars(search.similarity(latest) >= least, weights):
        questions = [latest[place] for place in members]
        kept = [event for each in questions for event in of_question[each]]
        groups.append(QuestionGroup(questions[0], tuple(questions), tuple(kept)))
    groups.sort(key=lambda each: (-len(each.events), each.question))
    return [
        replace(
            each,
            nearest=_place(each, search),
            title=title_from(each.questions, language),
        )
        for each in groups[:MAX_GROUPS]
    ]


def stars(alike: NDArray[np.bool_], weights: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield groups of places, the centre of each first: the place with the most weight around it
    that is left, with all that is left and like it.

    >>> alike = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)
    >>> list(stars(alike, np.array([1, 1, 1])))
    [[1, 0, 2]]
    """
    left = np.ones(len(alike), dtype=bool)
    while left.any():
        around = np.where(left, alike[:, left] @ weights[left], -1)
        centre = int(around.argmax())
        members = alike[centre] & left
        members[centre] = False
        yield [centre, *map(int, np.flatnonzero(members))]
        left &= ~members
        left[centre] = False


def title_from(questions: Sequence[str], language: str = "en") -> str:
    """Return a title from the words of questions that ask the same, as the first one has them.

    >>> title_from(["Do you deliver hired bicycles to a hotel?", "Can you deliver to my hotel?"])
    'Deliver hired bicycles to a hotel'
    """
    written = re.findall(r"[^\W_]+(?:['’.-][^\W_]+)*", questions[0].splitlines()[-1])
    stop = STOP_WORDS.get(language, ())
    folded = [words(each) for each in written]
    kept = [place for place, each in enumerate(folded) if each and each[0] not in stop]
    counts = Counter(stem for each in questions for stem in content_words(each, language))
    often = [
        place
        for place in kept
        if 3 * max(counts[stem] for stem in stems(folded[place], language)) > len(questions)
    ]
    if len(often) < 2:  # one word is no title
        often = kept
    if not often:
        return " ".join(written) or UNTITLED
    title = " ".join(written[often[0] : often[-1] + 1][:MAX_TITLE_WORDS])
    return title[:1].upper() + title[1:]
