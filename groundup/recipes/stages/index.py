"""An index: the documents are made searchable, as by `groundup index`."""

from collections.abc import Mapping
from pathlib import Path

from groundup.data.reading.source_files import Source, content_hash
from groundup.finetune.reader_tuning import AskedQuestion, tune_reader
from groundup.language.stop_words import UNKNOWN
from groundup.packs.pack import document_questions, pack_rows
from groundup.recipes.downloads import Download, of_models, of_sources
from groundup.recipes.named_stages import IndexStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult, source_content
from groundup.retrieve.answer import PASSAGES
from groundup.retrieve.calibration import (
    Calibration,
    CalibrationQuestions,
    calibrate,
    few_note,
    promise_note,
)
from groundup.retrieve.database import VERSION
from groundup.retrieve.index import (
    INDEX_FILE,
    SECOND_READER_FILE,
    TUNED,
    VECTORS_FOLDER,
    Index,
    IndexConfig,
)
from groundup.retrieve.known_questions import QUESTIONS_FILE, KnownQuestion, read_known_questions
from groundup.retrieve.operating_points import EVIDENCE_FILE
from groundup.retrieve.rankings import AUTO, vectors_for
from groundup.retrieve.second_reader import second_encoders, set_second
from groundup.retrieve.updated_vectors import is_here, update_with_vectors
from groundup.retrieve.vectors_info import NO_VECTORS
from groundup.weights.catalog import DEFAULT_ENCODER

# Of the budget, for all indexes of a build together.
SHARE = 0.02
# On which the evidence is chosen.
QUESTIONS = 60


def run(context: StageContext) -> StageResult:
    table = context.table(IndexStage)
    report, made = update_with_vectors(
        context.folder,
        [table.source],
        IndexConfig(table.passage_tokens),
        table.vectors or None,
        is_required=False,
        device=context.compute.device.type,
        progress=context.progress,
    )
    by, chosen = "words", None
    if made.encoder:
        by = f"words and vectors ({made.encoder})"
        if table.tune:
            tune(context, table)
    device, progress = context.compute.device.type, context.progress
    second, alone = second_encoder(table.encoder, made.encoder, context)
    set_second(context.folder, second, device, progress)
    if second != NO_VECTORS:
        by += f", read by the reader of {second}, too"
    with Index(context.folder) as index:
        counts, languages = index.counts(), index.languages
        if table.questions or table.known_answers:
            vectors = vectors_for(AUTO, context.folder, device, progress)
            asked = questions_of(table)
            chosen = calibrate(index, asked, PASSAGES, vectors, progress=progress)
    line = (
        f"{counts.documents:,} documents, {counts.passages:,} passages, "
        f"searched by {by}; read in {report.elapsed_s:.1f} s"
    )
    facts = {
        "documents": counts.documents,
        "passages": counts.passages,
        "languages": languages,
        "by": by,
        "least_evidence": dict(chosen.least) if chosen else {},
        "promise": promise_of(chosen),
    }
    few = ""
    if chosen:
        few = few_note(chosen.questions)
    lack = ""
    if made.note:
        way = f"redo {context.name}"
        if not table.vectors:
            way = f"set {context.name}.vectors to {DEFAULT_ENCODER}, then {way}"
        lack = f"The documents are {made.note}. With vectors: {way}."
    notes = [note for note in (lack, alone, few) if note]
    return StageResult(line, facts, (*notes, *other_languages(languages, table.language)))


def second_encoder(wanted: str, made: str, context: StageContext) -> tuple[str, str]:
    """Return the encoder of the second reader (or "none"), and what is to be said of that; `made`:
    the encoder of the vectors.
    """
    if wanted != AUTO and (made == DEFAULT_ENCODER or not wanted):
        return wanted or NO_VECTORS, ""
    if wanted != AUTO:
        return NO_VECTORS, f"{wanted} reads nothing: it does so beside {DEFAULT_ENCODER} only."
    [larger] = second_encoders()
    if made != DEFAULT_ENCODER or not context.compute.has_bf16:
        return NO_VECTORS, ""
    if is_here(larger):
        return larger, ""
    return NO_VECTORS, (
        f"More first answers are right with a second reader (docs/retrieve.md): "
        f"groundup pull {larger}, then redo {context.name}."
    )


def tune(context: StageContext, table: IndexStage) -> None:
    """Train the reader on the documents and what was asked of them, and keep it if it is better on
    the questions with known answers.
    """
    rows = pack_rows(Path(table.questions)) if table.questions else []
    asked = [
        AskedQuestion(row["instruction"], row["output"], row["document"])
        for row in rows
        if row["document"] and not row["input"]
    ]
    known = read_known_questions(Path(table.known_answers)) if table.known_answers else []
    with Index(context.folder) as index:
        found = tune_reader(index, known, asked, compute=context.compute, progress=context.progress)
    context.progress.say(found.text)


def questions_of(table: IndexStage) -> CalibrationQuestions:
    """Return up to QUESTIONS of the instructions that a document answers, spread over all, and the
    questions with known answers.
    """
    asked = document_questions(pack_rows(Path(table.questions))) if table.questions else []
    places = sorted({place * len(asked) // QUESTIONS for place in range(QUESTIONS)})
    chosen = tuple(dict.fromkeys(asked[place] for place in places if asked))
    return CalibrationQuestions(chosen, tuple(known_questions(table)))


def known_questions(table: IndexStage) -> list[KnownQuestion]:
    """Return the questions with known answers; [] where the table has none."""
    return read_known_questions(Path(table.known_answers)) if table.known_answers else []


def promise_of(chosen: Calibration | None) -> str:
    """Return the promise by the best ranking there is, and what a better one wants; "" without
    questions with known answers.
    """
    if chosen is None or not chosen.known:
        return ""
    *_, by = chosen.least
    promise = chosen.promises.get(by)
    return f"{promise.text if promise else ''} {promise_note(chosen, by)}".strip()


def other_languages(languages: Mapping[str, int], expected: str) -> list[str]:
    """Return a note on passages in other languages than the models know; nothing where there are
    none.

    >>> other_languages({"en": 90, "de": 10, "unknown": 2}, "en")
    ['10 of 102 passages are in another language than en (de): the models here hardly know it.']
    """
    others = {code: count for code, count in languages.items() if code not in (expected, UNKNOWN)}
    if not others:
        return []
    found = (
        f"{sum(others.values()):,} of {sum(languages.values()):,} passages are in another language "
        f"than {expected}"
    )
    return [f"{found} ({', '.join(others)}): the models here hardly know it."]


def downloads(table: IndexStage) -> list[Download]:
    return [*of_sources([table.source]), *of_models(table.vectors, table.encoder)]


def stage(name: str, share: float) -> Stage:
    def outside(recipe: Recipe) -> Mapping[str, str]:
        table = recipe.of_kind(IndexStage)[name]
        read = source_content(table.source)
        for file in filter(None, (table.questions, table.known_answers)):
            read[file] = content_hash(Source(file))
        return read | {"format of the index": str(VERSION)}

    return Stage(
        name,
        1,
        run,
        share,
        describe=lambda recipe: f"{recipe.of_kind(IndexStage)[name].source.spec} made searchable",
        outputs=(
            INDEX_FILE,
            f"{VECTORS_FOLDER}/*",
            SECOND_READER_FILE,
            f"{TUNED}/*",
            EVIDENCE_FILE,
            QUESTIONS_FILE,
        ),
        outside=outside,
        downloads=lambda recipe: downloads(recipe.of_kind(IndexStage)[name]),
        kind="index",
    )
