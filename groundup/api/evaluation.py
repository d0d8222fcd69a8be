"""`run_evaluation` and `run_suites`: models measured on held-out data, and on suites by name;
`run_questions`: an index's answers, on questions with known answers; `run_memorised`: what a model
repeats of its training text.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments, require_instance
from groundup.data.reading.data import Data, as_data
from groundup.errors import ConfigError
from groundup.evaluate.config import ITEMS, EvaluationConfig
from groundup.progress import Progress, Silent
from groundup.recipes.build_config import STARTER, instructions_source

if TYPE_CHECKING:
    from groundup.evaluate.memorisation import MemorisationResults
    from groundup.evaluate.results import EvaluationResults
    from groundup.retrieve.answer import AskConfig
    from groundup.retrieve.answer_evaluation import AnswerEvaluation

AnyPath = str | Path


@checked_arguments
def run_evaluation(
    models: AnyPath | Sequence[AnyPath],
    data: AnyPath | Data = STARTER,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "EvaluationResults":
    """Measure models on the same held-out data: each figure with its 95 % interval.

    Items that one of the models was trained on, as far as its folder records that, are left out and
    counted. Of `config`, items, kind, question and seed are used. Raises ConfigError, DataError,
    ModelError.

    >>> config = groundup.EvaluationConfig(kind="text")
    >>> results = groundup.run_evaluation("runs/mine", "my-texts", config)
    >>> [row.metric for row in results.rows]
    ['bits_per_byte']
    """
    from groundup.data.preparation.trained_on import read_trained_on
    from groundup.device import select_compute
    from groundup.evaluate.comparison.run import evaluate_on, kind_of, task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.weights.model_io import open_model

    names, data = distinct_names(models), as_data(data)
    data = replace(data, path=instructions_source(str(data.path)))
    if config.kind:
        kind = task_kind(config.kind)
    else:
        kind = kind_of(data)
    compute, progress = select_compute(device), progress or Silent()
    opened = {
        name: open_model(name, compute, prefer=kind.prefer, progress=progress) for name in names
    }
    trained_on = {name: read_trained_on(model.path) for name, model in opened.items()}
    held_out = HeldOut(
        data,
        config.items or ITEMS,
        config.question,
        config.seed,
        {name: known for name, known in trained_on.items() if known},
    )
    return evaluate_on(kind, held_out, opened, compute=compute, progress=progress)


@checked_arguments
def run_suites(
    models: AnyPath | Sequence[AnyPath],
    tasks: str | Sequence[str] = "written",
    config: EvaluationConfig = EvaluationConfig(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "EvaluationResults":
    """Measure language models on evaluation suites by name; "written" stands for all packaged ones,
    "text" for the bits per byte of the held-out text of the first model's run.

    Of `config`, items, shots, template, over and seed are used. Raises ConfigError, DataError,
    ModelError.

    >>> config = groundup.EvaluationConfig(items=100)
    >>> results = groundup.run_suites("runs/mine", "grammar", config)
    >>> [row.metric for row in results.rows]
    ['accuracy']
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.suite_evaluation import evaluate_suites

    names = [tasks] if isinstance(tasks, str) else list(tasks)
    return evaluate_suites(
        distinct_names(models),
        names,
        config,
        compute=select_compute(device),
        progress=progress or Silent(),
    )


@checked_arguments
def run_questions(
    index: AnyPath,
    questions: AnyPath,
    *,
    model: AnyPath | None = None,
    by: str = "auto",
    config: "AskConfig | None" = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> "AnswerEvaluation":
    """Evaluate the answers of an index on questions with known answers: right, partly right, wrong
    or refused, the promised and the found error, beside baselines without checks.

    `questions`: a file of JSON lines (`retrieve/known_questions.py`). `model`: one that also writes
    its own sentences, and as a baseline answers from the same passages without checks. `by` and
    `config`: as in `ask`. Raises ConfigError, DataError, FormatError, ModelError.

    >>> made = groundup.index("my-texts", "texts.index")
    >>> found = groundup.run_questions("texts.index", "questions.jsonl")
    >>> [answerer.name for answerer in found.answerers]
    ['ask', "BM25's first passage"]
    """
    from groundup.device import select_compute
    from groundup.engine.engine import Engine
    from groundup.engine.precision import open_to_write
    from groundup.retrieve.answer import AskConfig
    from groundup.retrieve.answer_evaluation import evaluate_answers
    from groundup.retrieve.index import Index
    from groundup.retrieve.known_questions import read_known_questions
    from groundup.retrieve.rankings import ranking_of, vectors_for

    require_instance("run_questions", "config", config, AskConfig)
    progress, known = progress or Silent(), read_known_questions(Path(questions))
    with Index(index) as opened:
        if opened.note:
            progress.say(f"note: {opened.note}")
        vectors = vectors_for(by, opened.folder, device, progress)
        writer = None
        if model is not None:
            compute = select_compute(device)
            writer = (Path(model).name, Engine(*open_to_write(model, compute, progress=progress)))
        return evaluate_answers(
            opened,
            known,
            config or AskConfig(),
            rank_by=ranking_of(by, vectors),
            vectors=vectors,
            model=writer,
            progress=progress,
        )


@checked_arguments
def run_memorised(
    model: AnyPath,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "MemorisationResults":
    """Measure what a pretraining run (or a build's own model) repeats of its training text word for
    word, personal data first, with held-out text as the control.

    Of `config`, items (passages, and pieces of each kind of personal data) and seed are used.
    Raises ConfigError, DataError where the training text is not there, ModelError.

    >>> made = groundup.pretrain("my-texts", "runs/read", groundup.PretrainConfig(steps=2))
    >>> results = groundup.run_memorised("runs/read")
    >>> [row.split for row in results.rows if row.kind == "passages"]
    ['train', 'validation']
    """
    from groundup.device import select_compute
    from groundup.evaluate.memorisation import find_memorised
    from groundup.weights.model_io import open_model

    compute, progress = select_compute(device), progress or Silent()
    opened = open_model(model, compute, prefer="pretrain", progress=progress)
    items = config.items or ITEMS
    return find_memorised(opened, items=items, seed=config.seed, compute=compute, progress=progress)


def distinct_names(models: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Raises ConfigError for one that is named twice."""
    if isinstance(models, str | Path):
        return [str(models)]
    names = [str(name) for name in models]
    if len(set(names)) < len(names):
        raise ConfigError("A model is named twice.", fix="Name each once.")
    return names
