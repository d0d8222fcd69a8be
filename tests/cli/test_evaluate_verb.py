"""What `groundup evaluate` measures on."""

from groundup.cli.evaluate import answer_tasks
from groundup.cli.finetune import STARTER
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers


def test_each_figure_is_measured_on_as_many_items_as_asked_for_of_all_kinds() -> None:
    loss, checked, shown = answer_tasks(STARTER, 10)
    assert isinstance(loss, AnswerLoss) and isinstance(checked, CheckedAnswers) and isinstance(shown, ShownAnswers)
    assert [len(task.examples) for task in (loss, checked, shown)] == [10, 10, 4]
    assert len({example.kind for example in loss.examples}) > 5
    assert len({example.kind for example in checked.examples}) > 2
    assert [len(task.examples) for task in answer_tasks(STARTER, 2) if isinstance(task, ShownAnswers)] == [2]
