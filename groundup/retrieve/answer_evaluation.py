"""Evaluation of an index's answers on questions with known answers: right, partly right, wrong,
refused; the promised and the found error; beside baselines that check nothing.

    ask                      as `groundup ask` answers, at the default operating point
    ask, promised            at the promised one, of an index that has one (`risk.py`)
    BM25's first passage     its best sentence by words, whatever it is
    MODEL with the passages  a model given the same passages by LangChain's prompt for documents,
                             its text as it is (`create_stuff_documents_chain`)

Outcomes are those of `known_questions.py`; the intervals are exact (Clopper and Pearson).

Citation recall and precision are ALCE's (Gao et al. 2023, arXiv:2305.14627, section 3): whether a
sentence is supported by what it cites, and whether each citation supports it. A quotation is by
construction; that it stands in its source is counted all the same. For the answers, support is
judged by the questions' own documents: *recall* is the share of answers whose first sentence cites
a document that answers the question, *precision* the share of all citations that do, both of
answered questions that name such a document.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from groundup.engine.engine import Engine
from groundup.engine.sampling import Sampling
from groundup.progress import Progress
from groundup.retrieve.answer import Answer, AskConfig, ask, read
from groundup.retrieve.calibration import (
    cited_documents,
    kept_questions,
    outcome_of_answer,
    shown_sentences,
)
from groundup.retrieve.cite import Quote
from groundup.retrieve.index import Index
from groundup.retrieve.known_questions import (
    OUTCOMES,
    REFUSED,
    KnownQuestion,
    Outcome,
    declines,
    outcome_of,
    same_document,
)
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import Ranking
from groundup.retrieve.sentences import sentence_spans
from groundup.risk import Promise, exact_interval
from groundup.tokenizer.chat import Conversation, Message

if TYPE_CHECKING:
    from groundup.retrieve.vectors import Vectors

ASK, ASK_PROMISED, FIRST_PASSAGE = "ask", "ask, promised", "BM25's first passage"
WITH_PASSAGES = "{} with the passages"
CHAIN_TOKENS = 128
CHAIN_PROMPT = (
    "Use the following pieces of context to answer the question at the end. If you don't know the "
    "answer, just say that you don't know, don't try to make up an answer.\n\n"
)


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer as it is read, and what came of it."""

    sentences: tuple[str, ...]
    cited: tuple[str, ...]
    """The document of each sentence; (): it cites nothing."""
    outcome: Outcome
    evidence: float | None = None

    def to_plain(self) -> dict[str, str | list[str] | float | None]:
        """Return JSON values."""
        return {
            "outcome": self.outcome.name,
            "error": self.outcome.is_error,
            "sentences": list(self.sentences),
            "cited": list(self.cited),
            "evidence": self.evidence,
        }


@dataclass(frozen=True)
class Answerer:
    """The answers of one way to all questions."""

    name: str
    answers: tuple[JudgedAnswer, ...]
    promise: Promise | None = None
    """Of ASK_PROMISED: what was promised."""


@dataclass(frozen=True)
class ExactShare:
    """A share with its exact 95 % interval."""

    value: float | None
    """None: of nothing."""
    low: float
    high: float
    hits: int
    n: int


@dataclass(frozen=True)
class AnswererFigures:
    """The figures of one way to answer."""

    name: str
    outcomes: dict[str, int]
    """Of the questions that documents answer."""
    right: ExactShare
    false_refusals: ExactShare
    unanswerable_refused: ExactShare
    shown: int
    error: ExactShare
    """Of those shown."""
    promise: Promise | None
    citation_recall: ExactShare
    citation_precision: ExactShare


@dataclass(frozen=True)
class AnswerEvaluation:
    """What an index's answers to some questions are worth."""

    questions: tuple[KnownQuestion, ...]
    answerers: tuple[Answerer, ...]
    quotes: tuple[int, int]
    """Of ASK the quotations that stand in their source, and all."""
    calibrated: int
    """Questions that the index was calibrated on, too."""

    @property
    def figures(self) -> list[AnswererFigures]:
        return [figures_of(each, self.questions) for each in self.answerers]

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values: the figures, and of each question every answer."""
        answerable = sum(bool(each.answers) for each in self.questions)
        return {
            "questions": {
                "answerable": answerable,
                "unanswerable": len(self.questions) - answerable,
                "calibrated_on": self.calibrated,
            },
            "answerers": [asdict(each) for each in self.figures],
            "kinds": self.kinds(),
            "quotations": dict(zip(("in_their_source", "of"), self.quotes, strict=True)),
            "items": [
                {
                    "question": known.question,
                    "answers": list(known.answers),
                    "documents": list(known.documents),
                    "kind": known.kind,
                    "given": {each.name: each.answers[place].to_plain() for each in self.answerers},
                }
                for place, known in enumerate(self.questions)
            ],
        }

    def kinds(self) -> dict[str, dict[str, int]]:
        """Return of each kind of question the outcomes of ASK; {} where the questions have none."""
        found: dict[str, dict[str, int]] = {}
        for known, answer in zip(self.questions, self.answerers[0].answers, strict=True):
            if known.kind:
                counts = found.setdefault(known.kind, dict.fromkeys(OUTCOMES, 0))
                counts[answer.outcome.name] += 1
        return found


def evaluate_answers(
    index: Index,
    questions: Sequence[KnownQuestion],
    config: AskConfig,
    *,
    rank_by: Ranking | None,
    vectors: "Vectors | None",
    model: tuple[str, Engine] | None = None,
    progress: Progress,
) -> AnswerEvaluation:
    """Ask all questions in every way. `model`: a name and the model, which then also writes in
    `ask`, as with `--model`. Raises FormatError, ModelError.
    """
    asked = _Asked(index, config, rank_by, vectors, model[1] if model else None)
    answers: list[Answer] = []
    by_name: dict[str, list[JudgedAnswer]] = {}
    promise: Promise | None = None
    with progress.track("questions", len(questions), "questions") as advance:
        for known in questions:
            answer = asked.answer(known.question)
            answers.append(answer)
            promise = answer.point.promise
            given = {ASK: shown(known, answer)}
            if promise and config.min_evidence is None and not config.promised:
                given[ASK_PROMISED] = shown(known, asked.promised(known.question, answer))
            given[FIRST_PASSAGE] = first_passage(index, known)
            if model:
                given[WITH_PASSAGES.format(model[0])] = chain(model[1], known, answer.sources)
            for name, each in given.items():
                by_name.setdefault(name, []).append(each)
            advance()
    answerers = tuple(
        Answerer(name, tuple(each), promise if name == ASK_PROMISED or config.promised else None)
        for name, each in by_name.items()
    )
    kept = {each.question for each in kept_questions(index.folder)}
    calibrated = sum(known.question in kept for known in questions)
    return AnswerEvaluation(tuple(questions), answerers, in_their_source(answers), calibrated)


@dataclass(frozen=True)
class _Asked:
    """What is asked, and how."""

    index: Index
    config: AskConfig
    rank_by: Ranking | None
    vectors: "Vectors | None"
    engine: Engine | None

    def answer(self, question: str, promised: bool = False) -> Answer:
        config = replace(self.config, promised=promised or self.config.promised)
        *_, answer = ask(
            self.index, question, self.engine, config, rank_by=self.rank_by, vectors=self.vectors
        )
        assert isinstance(answer, Answer)
        return answer

    def promised(self, question: str, answer: Answer) -> Answer:
        """Return the answer at the promised operating point."""
        assert answer.point.promise is not None
        if answer.evidence < answer.point.promise.least:
            return replace(answer, found=False)
        if answer.found:
            return answer
        return self.answer(question, promised=True)


def shown(known: KnownQuestion, answer: Answer) -> JudgedAnswer:
    """Return an answer of `ask` as it is read."""
    outcome = outcome_of_answer(known, answer)
    cited = cited_documents(answer)
    return JudgedAnswer(tuple(shown_sentences(answer)), tuple(cited), outcome, answer.evidence)


def first_passage(index: Index, known: KnownQuestion) -> JudgedAnswer:
    """Return the best sentence by words of the passage that BM25 ranks first."""
    answer = read(index, known.question, AskConfig(1, min_evidence=0.0)).answer()
    if not answer.found:
        return JudgedAnswer((), (), Outcome(REFUSED))
    sentences, cited = shown_sentences(answer)[:1], cited_documents(answer)[:1]
    return JudgedAnswer(tuple(sentences), tuple(cited), outcome_of(known, sentences, cited))


def chain(engine: Engine, known: KnownQuestion, passages: Sequence[Passage]) -> JudgedAnswer:
    """Return the text that a model writes after the passages, as many as fit its context; one that
    says that it does not know refuses.
    """
    room = max(0, engine.config.context_tokens - CHAIN_TOKENS)
    given = list(passages)
    while given and len(engine.tokenizer.encode(_chain_text(known, given))) > room - 64:
        given.pop()
    conversation = Conversation((Message("user", _chain_text(known, given)),))
    sampling = Sampling(temperature=0.0, max_tokens=CHAIN_TOKENS)
    text = "".join(event.text for event in engine.chat(conversation, sampling)).strip()
    sentences = []
    if not declines(text):
        sentences = [text[a:b] for a, b in sentence_spans(text)]
    return JudgedAnswer(tuple(sentences), (), outcome_of(known, sentences))


def _chain_text(known: KnownQuestion, passages: Sequence[Passage]) -> str:
    context = "\n\n".join(each.text for each in passages)
    return f"{CHAIN_PROMPT}{context}\n\nQuestion: {known.question}\nHelpful Answer:"


def in_their_source(answers: Sequence[Answer]) -> tuple[int, int]:
    """Return how many quotations stand in their source word for word, and all."""
    right = total = 0
    for answer in answers:
        for quote in answer.quotes if answer.found else ():
            total += 1
            right += _stands(quote, answer.sources[quote.source - 1])
    return right, total


def _stands(quote: Quote, source: Passage) -> bool:
    return source.text[quote.start - source.start : quote.end - source.start] == quote.text


def figures_of(answerer: Answerer, questions: Sequence[KnownQuestion]) -> AnswererFigures:
    pairs = list(zip(questions, answerer.answers, strict=True))
    answerable = [each.outcome for known, each in pairs if known.answers]
    others = [each.outcome for known, each in pairs if not known.answers]
    shown_ones = [each.outcome for _, each in pairs if each.outcome.name != REFUSED]
    counts = {name: sum(outcome.name == name for outcome in answerable) for name in OUTCOMES}
    named = [(known, each) for known, each in pairs if known.answers and known.documents]
    firsts = [same_document(known, each.cited[0]) for known, each in named if each.cited]
    all_cited = [same_document(known, cited) for known, each in named for cited in each.cited]
    return AnswererFigures(
        name=answerer.name,
        outcomes=counts,
        right=share(counts["right"], len(answerable)),
        false_refusals=share(counts[REFUSED], len(answerable)),
        unanswerable_refused=share(sum(each.name == REFUSED for each in others), len(others)),
        shown=len(shown_ones),
        error=share(sum(each.is_error for each in shown_ones), len(shown_ones)),
        promise=answerer.promise,
        citation_recall=share(sum(firsts), len(firsts)),
        citation_precision=share(sum(all_cited), len(all_cited)),
    )


def share(hits: int, n: int) -> ExactShare:
    return ExactShare(hits / n if n else None, *exact_interval(hits, n), hits, n)
