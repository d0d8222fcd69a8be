"""Questions made from the documents of an index, each with the sentence that answers it.

    passages -> `question_drafts` -> near-repeats left out -> asked as `ask` asks: is the sentence
        among the first FEW that are found? -> JSON lines

    {"question": "How long does an appointment last?", "answer": "An appointment lasts 45 minutes.",
     "document": "contact-us.md", "start": 118, "end": 151, "kind": "duration", "rank": 1, ...}

The answer is never written: it is a span of its document, [start, end) of the decoded text. What
the check is worth: a question that the index answers with another sentence is unclear, or asks what
stands elsewhere too. It keeps questions that are easy to answer, so nothing is promised on them
(`known_questions.py` refuses them): customers ask in other words.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from groundup.packs.repeats import Text, repeats
from groundup.progress import Progress
from groundup.retrieve.answer import PASSAGES
from groundup.retrieve.cite import statements
from groundup.retrieve.evidence import no_evidence, read_passages
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import MADE
from groundup.retrieve.passages import Passage
from groundup.retrieve.question_drafts import QuestionDraft, drafts
from groundup.retrieve.question_kinds import KINDS
from groundup.retrieve.questions_config import QuestionsConfig
from groundup.retrieve.rankings import AUTO, ranking_of
from groundup.retrieve.search import every

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

READ_AT_ONCE = 1000
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class MadeQuestion:
    """A question, and the sentence of a document that answers it."""

    question: str
    answer: str
    """As `ask` shows it: a sentence in one line, a row of a table in words."""
    document: str
    """Its name within its source."""
    start: int
    """The answer's first character in the document's decoded text."""
    end: int
    kind: str
    """One of `question_kinds.KINDS`."""
    rank: int
    """The place of the answer among the sentences that are found, from 1."""
    evidence: float
    """What speaks for the best passage, 0 to 1."""
    context: str
    """The passage that it stands in, below its headings."""
    value: str = ""
    """Of a row of a table the cell that is asked for; else ""."""

    def to_plain(self) -> JsonObject:
        """Return a line of the file."""
        plain = asdict(self) | {"evidence": round(self.evidence, 3), MADE: True}
        return {name: value for name, value in plain.items() if value != ""}


@dataclass(frozen=True)
class MadeQuestions:
    """What was made of documents, and what was left out."""

    questions: tuple[MadeQuestion, ...]
    by: str
    """What the check read by: "words", "both" or "reader"."""
    passages: int
    drafts: int
    """Sentences that a rule has a question for."""
    repeats: int
    """Questions left out that nearly repeat another."""
    not_found: int
    """Questions left out whose sentence was not among the first few."""
    not_tried: int
    """Questions that were not asked, since there were enough."""
    is_stopped: bool = False
    """Whether it was interrupted before there were enough."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What was written: "pairs" and "page"."""

    @property
    def kinds(self) -> dict[str, int]:
        """The number of each kind, in the order of KINDS."""
        counts = Counter(each.kind for each in self.questions)
        return {name: counts[name] for name in KINDS if counts[name]}

    @property
    def documents(self) -> int:
        """The number of documents that answer one."""
        return len({each.document for each in self.questions})

    def to_plain(self) -> JsonObject:
        """Return JSON values."""
        plain = {name: value for name, value in vars(self).items() if name != "questions"}
        total = len(self.questions)
        return {
            **plain,
            "count": total,
            "documents": self.documents,
            "kinds": [
                {"kind": name, "about": KINDS[name].about, "count": count, "share": count / total}
                for name, count in self.kinds.items()
            ],
            "questions": [each.to_plain() for each in self.questions],
        }

    def lines(self) -> str:
        """Return the contents of the file: a line of JSON for each."""
        rows = (json.dumps(each.to_plain(), ensure_ascii=False) for each in self.questions)
        return "".join(f"{row}\n" for row in rows)


def make_questions(
    index: Index, config: QuestionsConfig, vectors: "Vectors | None", *, progress: Progress
) -> MadeQuestions:
    """Return questions made from the documents of an index, none where no rule has one for any of
    their sentences; Ctrl-C ends with those that there are. Raises FormatError.
    """
    passages = list(passages_of(index))
    made = [each for passage in passages for each in drafts(passage)]
    if config.kinds:
        made = [each for each in made if each.kind in config.kinds]
    chosen = distinct(_in_turns(made, random.Random(config.seed)))
    found: list[MadeQuestion] = []
    tried, is_stopped = 0, False
    with progress.track("questions", min(config.count, len(chosen)), "questions") as advance:
        try:
            for draft in chosen:
                if len(found) == config.count:
                    break
                one = checked(index, draft, config.few, vectors)
                tried += 1
                if one is not None:
                    found.append(one)
                left = len(chosen) - tried
                expected = len(found) + round(left * len(found) / tried)
                advance(one is not None, total=max(1, min(config.count, expected)))
        except KeyboardInterrupt:
            is_stopped = True
    return MadeQuestions(
        tuple(found),
        no_evidence(vectors).by,
        len(passages),
        len(made),
        len(made) - len(chosen),
        tried - len(found),
        len(chosen) - tried,
        is_stopped,
    )


def passages_of(index: Index) -> Iterator[Passage]:
    """Yield all passages of an index. Raises FormatError."""
    last = 0
    while batch := index.all_passages(last, READ_AT_ONCE):
        yield from batch
        last = batch[-1].id


def _in_turns(made: Sequence[QuestionDraft], draw: random.Random) -> list[QuestionDraft]:
    """Return drafts so that any beginning of the list has all kinds, each from many documents."""
    shuffled = draw.sample(made, len(made))
    of_document: Counter[tuple[str, int]] = Counter()
    of_kind: dict[str, list[tuple[int, int, QuestionDraft]]] = defaultdict(list)
    for place, each in enumerate(shuffled):
        key = (each.kind, each.passage.document_id)
        of_kind[each.kind].append((of_document[key], place, each))
        of_document[key] += 1
    turns = [
        (turn, place, each)
        for listed in of_kind.values()
        for turn, (_, place, each) in enumerate(sorted(listed, key=lambda row: row[:2]))
    ]
    return [each for _, _, each in sorted(turns, key=lambda row: row[:2])]


def distinct(made: Sequence[QuestionDraft]) -> list[QuestionDraft]:
    """Return the drafts without those whose question nearly repeats that of an earlier one
    (`packs/repeats.py`), as `groundup pack check` wants them.
    """
    texts = [Text(str(place), each.question) for place, each in enumerate(made)]
    repeated = {int(text.place) for text, _, _ in repeats(texts)}
    return [each for place, each in enumerate(made) if place not in repeated]


def checked(
    index: Index, draft: QuestionDraft, few: int, vectors: "Vectors | None"
) -> MadeQuestion | None:
    """Return the question of a draft, if its sentence is among the first `few` that are found for
    it; None: it is not.
    """
    ranking = ranking_of(AUTO, vectors)
    found, known = read_passages(index, draft.question, PASSAGES, every, ranking, vectors)
    right = {statements(draft.passage)[place].text for place in draft.places}
    rows = [
        (value, passage.id == draft.passage.id and place in draft.places, said.text in right)
        for passage, values in zip(found.passages, known.sentences, strict=True)
        for place, (value, said) in enumerate(zip(values, statements(passage), strict=True))
    ]
    rows.sort(key=lambda row: -row[0])
    ranks = [rank for rank, row in enumerate(rows[:few], start=1) if row[0] > 0 and any(row[1:])]
    if not ranks:
        return None
    passage = draft.passage
    return MadeQuestion(
        draft.question,
        draft.said,
        passage.document,
        passage.start + draft.start,
        passage.start + draft.end,
        draft.kind,
        ranks[0],
        known.best,
        f"{passage.title}\n{passage.text}".strip(),
        draft.value,
    )
