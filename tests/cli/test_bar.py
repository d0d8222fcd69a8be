"""One line of progress: it fits, it ends at its end, it says the time left."""

import pytest

from groundup.cli.panel import Bar, BarLine


def test_a_bar_ends_at_its_end_whatever_is_counted() -> None:
    bar = Bar("measuring a step", 4.0, "s", started=0.0)
    bar.advance(8.0)
    assert bar.counted == "4.0/4.0 s" and bar.share == 1.0
    assert bar.line(80, 2.0) == f"measuring a step  {'━' * 24}  4.0/4.0 s  0:00 left"


def test_small_amounts_are_counted_with_a_decimal() -> None:
    bar = Bar("measuring", 0.8, "s")
    bar.advance(0.4)
    assert bar.counted == "0.4/0.8 s"
    assert Bar("reading", 0.032, "MB", done=0.014).counted == "0.01/0.03 MB"
    assert Bar("training", 94, "steps", done=23).counted == "23/94 steps"
    assert Bar("tokens", 24_000, "tokens", done=1_500).counted == "1,500/24,000 tokens"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_the_line_never_exceeds_its_width_and_gives_up_its_end_first(width: int) -> None:
    bar = Bar("training", 94, "steps", started=0.0, done=47, note="loss 2.105")
    line = bar.line(width, 60.0)
    assert len(line) <= width and line.startswith("training")
    assert ("47/94 steps" in line) == (width >= 40) and ("1:00 left" in line) == (width >= 60)
    assert ("loss 2.105" in line) == (width >= 60)


def test_work_of_unknown_amount_and_a_stage_without_work_show_no_bar_that_is_full() -> None:
    assert Bar("reading", 0.0, "files", done=3).line(80, 5.0) == "reading  3 files"
    now = 0.0
    stage = BarLine("[2/6] tokenizer", lambda: now)
    now = 65.0
    assert stage.text(80) == "[2/6] tokenizer  1:05"
    stage.bar = Bar("Encoding", 10, "MB", started=0.0, done=5)
    assert (
        stage.text(80, ascii_only=True)
        == f"[2/6] tokenizer  Encoding  {'#' * 12}{'.' * 12}  5/10 MB  1:05 left"
    )
