"""`groundup evaluate INDEX --questions FILE`: an index's answers to questions with known ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.api.evaluation import run_questions
from groundup.cli.console import console_progress, print_result, table
from groundup.cli.plain import plain
from groundup.errors import ConfigError
from groundup.files import write_json
from groundup.retrieve.database import INDEX_FILE

if TYPE_CHECKING:
    from groundup.retrieve.answer_evaluation import (
        AnswererFigures,
        AnswerEvaluation,
        ExactShare,
    )


def evaluate_index(
    index: str, questions: Path, model: str | None, *, device: str, out: Path | None, as_json: bool
) -> None:
    """Ask the questions and print the figures; `out` gets every answer, too."""
    found = run_questions(index, questions, model=model, device=device, progress=console_progress())
    written = found.to_plain()
    if out is not None:
        write_json(out, written)
    print_result(result_lines(found, written), written, as_json)


def require_no_index(models: Sequence[str], writer: str | None) -> None:
    """Raise ConfigError for an index without questions, and for --model without them."""
    for each in models:
        if (Path(each) / INDEX_FILE).is_file():
            fix = f"Write: groundup evaluate {each} --questions FILE (docs/evaluate.md)."
            raise ConfigError(f"{each} is an index: its answers need questions.", fix=fix)
    if writer is not None:
        raise ConfigError("--model writes the answers of an index.", fix="Give --questions, too.")


def result_lines(found: "AnswerEvaluation", written: Mapping[str, Any]) -> list[str]:
    """Return the figures as tables, and what they mean."""
    counts = written["questions"]
    lines = [
        f"{counts['answerable']:,} questions that a document answers, "
        f"{counts['unanswerable']:,} that none answers",
        "",
        *table(
            [
                "",
                "right",
                "partly",
                "wrong",
                "refused",
                "unanswerable refused",
                "error of shown",
                "n",
            ],
            [_row(each) for each in found.figures],
        ),
        "",
        *_kind_lines(written["kinds"]),
        *_promise_lines(found),
        *_citation_lines(found),
        "right: an accepted answer stands in the first sentence; partly: in a further one, or the "
        "right document is cited; error: no sentence that is shown has an accepted answer.",
    ]
    if counts["calibrated_on"]:
        lines.append(
            f"{counts['calibrated_on']:,} of the questions are those that the index was calibrated on: "
            "the error found on them is not a test of its promise."
        )
    return lines


def _row(figures: "AnswererFigures") -> list[str]:
    return [
        plain(figures.name),
        with_interval(figures.right),
        *(str(figures.outcomes[name]) for name in ("partly", "wrong", "refused")),
        with_interval(figures.unanswerable_refused),
        with_interval(figures.error),
        f"{figures.error.n:,} shown",
    ]


def with_interval(share: "ExactShare") -> str:
    """Return a share in percent with its interval; "" of nothing."""
    if share.value is None:
        return ""
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _kind_lines(kinds: Mapping[str, Mapping[str, int]]) -> list[str]:
    if not kinds:
        return []
    names = ["right", "partly", "wrong", "refused"]
    rows = [
        [plain(kind), *(str(counts[name]) for name in names), f"{sum(counts.values()):,}"]
        for kind, counts in kinds.items()
    ]
    return [*table(["kind, by ask", *names, "n"], rows), ""]


def _promise_lines(found: "AnswerEvaluation") -> list[str]:
    promises = [each.promise for each in found.answerers if each.promise]
    if not promises:
        return ["The index promises no error rate: groundup index --out INDEX --questions FILE", ""]
    return [f"Promised: {promises[0].text}", ""]


def _citation_lines(found: "AnswerEvaluation") -> list[str]:
    (right, quotes), ask = found.quotes, found.figures[0]
    lines = []
    if quotes:
        lines.append(
            f"Citations of ask (ALCE): {right:,} of {quotes:,} quotations "
            "stand in their source word for word, by construction."
        )
    recall, precision = ask.citation_recall, ask.citation_precision
    if recall.n:
        lines.append(
            f"By the questions' documents: recall {with_interval(recall)} of {recall.n:,} answers, "
            f"precision {with_interval(precision)} of {precision.n:,} citations."
        )
    if lines:
        lines.append("")
    return lines
