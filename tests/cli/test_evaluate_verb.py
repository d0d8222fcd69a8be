"""What `groundup evaluate` measures on."""

from groundup.data.reading.data import Data
from groundup.evaluate.comparison.run import kind_of
from groundup.evaluate.task import EvaluationTask, HeldOut
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers
from groundup.progress import Silent
from groundup.recipes.build_config import STARTER, instructions_source

PACKAGED = instructions_source(STARTER)


def answer_tasks(items: int) -> list[EvaluationTask]:
    return kind_of(Data(PACKAGED)).tasks(HeldOut(Data(PACKAGED), items), "language", Silent())


def test_each_figure_is_measured_on_as_many_items_as_asked_for_of_all_kinds() -> None:
    loss, checked, shown = answer_tasks(10)
    assert (
        isinstance(loss, AnswerLoss)
        and isinstance(checked, CheckedAnswers)
        and isinstance(shown, ShownAnswers)
    )
    assert [len(task.examples) for task in (loss, checked, shown)] == [10, 10, 4]
    assert len({example.kind for example in loss.examples}) > 5
    assert len({example.kind for example in checked.examples}) > 2
    assert [len(task.examples) for task in answer_tasks(2) if isinstance(task, ShownAnswers)] == [2]
