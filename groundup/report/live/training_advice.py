"""Training advice: remarks on the figures of a run, for somebody who trains for the first time.
Each rule is a pure function.

A rule needs some evaluations or steps before it applies; the reason for each threshold is next to
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import NamedTuple

from groundup.language.page_texts import say
from groundup.report.downsampling import Curves
from groundup.report.values import (
    JsonObject,
    count,
    first_letters,
    fixed,
    number,
    text,
    three_decimals,
    whole_percent,
)

# Levels of a remark, most urgent first.
LEVELS = WARNING, NOTE, GOOD = "warning", "note", "good"


class Remark(NamedTuple):
    """One or two sentences; `what` is its title."""

    level: str
    what: str
    text: str


class EvaluationPoint(NamedTuple):
    """Validation loss after a step, and the mean of the training losses just before it; nats per
    token.
    """

    step: float
    train: float | None
    validation: float


@dataclass(frozen=True)
class RunView:
    """The input of the rules: curves, evaluations in order, the latest samples, number of
    skipped steps and rollbacks, steps done.
    """

    curves: Curves = field(default_factory=Curves)
    evaluations: Sequence[EvaluationPoint] = ()
    written: Sequence[JsonObject] = ()
    skipped: int = 0
    rolled_back: int = 0
    step: int = 0


def remarks(run: RunView) -> list[Remark]:
    """All remarks, most urgent first; without a warning, one on the general state of the run is
    among them.
    """
    found = [remark for rule in RULES if (remark := rule(run)) is not None]
    if not any(remark.level == WARNING for remark in found):
        found.append(in_order(run))
    return sorted(found, key=lambda remark: LEVELS.index(remark.level))


# The fewest evaluations of a trend.
MIN_EVALUATIONS = 3
# A gap of less than a tenth of the loss occurs in every run; it grows when it is 1.5 times as wide
# as before.
WIDE, GROWN = 0.1, 1.5


def overfitting(run: RunView) -> Remark | None:
    """Overfitting: the gap between training and validation loss grows."""
    seen = [
        (each.step, each.train, each.validation)
        for each in run.evaluations
        if each.train is not None
    ]
    if len(seen) < MIN_EVALUATIONS:
        return None
    (step, then, held_out), (_, now, last) = seen[len(seen) // 2 - 1], seen[-1]
    before, gap = max(held_out - then, 0.0), last - now
    if gap < WIDE * last or gap < GROWN * before or now >= then:
        return None
    return Remark(
        WARNING,
        say("overfitting"),
        say(
            "The training loss fell to {now}, on held-out text it is {last}: the gap grew from "
            "{before} at step {step} to {gap}. The model memorises its training text. More text, "
            "fewer epochs or a smaller model would help.",
            now=fixed(now),
            last=fixed(last),
            before=fixed(before),
            step=count(step),
            gap=fixed(gap),
        ),
    )


# A rise of less than a hundredth is noise.
RISEN = 0.01


def rising(run: RunView) -> Remark | None:
    """Validation loss was lower some evaluations ago."""
    evaluations = run.evaluations
    if len(evaluations) < MIN_EVALUATIONS:
        return None
    best = min(range(len(evaluations)), key=lambda index: evaluations[index].validation)
    ago, low, last = len(evaluations) - 1 - best, evaluations[best], evaluations[-1]
    if ago < 2 or last.validation < (1 + RISEN) * low.validation:
        return None
    return Remark(
        WARNING,
        say("past its best"),
        say(
            "The validation loss was best {ago} evaluations ago, at step {step}: {low}, now "
            "{last}. The weights of that step are kept at the end, so you can stop the run now.",
            ago=ago,
            step=count(low.step),
            low=three_decimals(low.validation),
            last=three_decimals(last.validation),
        ),
    )


# The mean of the last tenth of the points against the lowest tenth before it.
CLIMBED = 0.1
MIN_POINTS = 20


def climbing(run: RunView) -> Remark | None:
    """Training loss rose and stayed there."""
    losses = run.curves.means("loss")
    if len(losses) < MIN_POINTS:
        return None
    window = max(3, len(losses) // 10)
    low = min(
        mean(losses[start : start + window])
        for start in range(0, len(losses) - 2 * window + 1, window)
    )
    now = mean(losses[-window:])
    if now < (1 + CLIMBED) * low:
        return None
    return Remark(
        WARNING,
        say("loss went up"),
        say(
            "The training loss was down to {low} and is at {now}. The steps are too large: half or "
            "a third of this learning rate, or a longer warm-up, usually fixes it.",
            low=fixed(low),
            now=fixed(now),
        ),
    )


# A spike is 1.5 times the median before it, and a rise by a quarter of what was learned until then;
# if more than a twentieth of the steps are that high, the batches just differ that much.
SPIKE, UNDONE, ORDINARY = 1.5, 0.25, 0.05
NEIGHBOURS = 10


def spiking(run: RunView) -> Remark | None:
    """Loss spikes: single steps far above their neighbours."""
    buckets = [bucket for bucket in run.curves.buckets if "loss" in bucket.cells]
    losses = [bucket.cells["loss"] for bucket in buckets]
    steps = []
    for index in range(NEIGHBOURS, len(losses)):
        usual = median(cell.mean for cell in losses[index - NEIGHBOURS : index])
        learned = losses[0].mean - usual
        if learned > 0 and losses[index].high > max(SPIKE * usual, usual + UNDONE * learned):
            steps.append(buckets[index].axes.get("step", 0))
    if len(steps) < 2 or len(steps) > ORDINARY * len(losses):
        return None
    return Remark(
        NOTE,
        say("spikes"),
        say(
            "The loss jumped {times} times, the last time near step {step}. A few spikes can come "
            "from unusual text; more often the learning rate is too high: lower it, or let "
            "fit.stability.spike_factor skip such steps.",
            times=len(steps),
            step=count(steps[-1]),
        ),
    )


# One skipped step in a hundred is harmless; more means that the learning rate is too high.
OFTEN = 0.01


def skipping(run: RunView) -> Remark | None:
    """Steps were skipped because of a non-finite loss or gradient, or a spike."""
    if not run.skipped:
        return None
    said = say(
        "Steps skipped: {times}. The loss or the gradient was non-finite or far too large.",
        times=count(run.skipped),
    )
    level, means = NOTE, say("This does not harm the run.")
    if run.skipped > max(3.0, OFTEN * run.step):
        level, means = WARNING, say("That is too often: lower the learning rate.")
    return Remark(level, say("skipped steps"), f"{said} {means}")


def rolling_back(run: RunView) -> Remark | None:
    """The loss rose and stayed high, and the run was rolled back to an earlier checkpoint."""
    if not run.rolled_back:
        return None
    level = WARNING
    if run.rolled_back == 1:
        level = NOTE
    return Remark(
        level,
        say("rolled back"),
        say(
            "Rolled back: {times}. The loss rose and stayed high; the run went back to earlier "
            "weights and skipped the text where it happened. If that happens again, the learning "
            "rate is too high.",
            times=count(run.rolled_back),
        ),
    )


# A change of less than 0.5 % of the loss over the last third of the evaluations.
FLAT = 0.005
MIN_FOR_FLAT = 6


def plateau(run: RunView) -> Remark | None:
    """Validation loss has reached a plateau."""
    evaluations = run.evaluations
    if len(evaluations) < MIN_FOR_FLAT:
        return None
    third = [each.validation for each in evaluations[-max(3, len(evaluations) // 3) :]]
    if third[0] - min(third) > FLAT * third[0] or max(third) > (1 + RISEN) * third[0]:
        return None
    return Remark(
        NOTE,
        say("plateau"),
        say(
            "The validation loss has stayed at {loss} for {times} evaluations. If the learning "
            "rate is still falling, a last gain is possible; after that, more steps change little, "
            "but a larger model or more text would help.",
            loss=three_decimals(third[-1]),
            times=len(third),
        ),
    )


# Prose repeats a few percent of its 4-grams; a looping text soon repeats most of them.
REPEATS = 0.3


def repeating(run: RunView) -> Remark | None:
    found = (number(each, "repetition") for each in run.written)
    shares = [share for share in found if share is not None]
    if not shares or mean(shares) < REPEATS:
        return None
    return Remark(
        NOTE,
        say("repetition"),
        say(
            "{share} of the 4-grams in its last samples are repetitions. That is usual early in "
            "training and for small models, above all with greedy decoding: train longer, or "
            "generate with a temperature above 0.",
            share=whole_percent(mean(shares)),
        ),
    )


# A sentence has some 20 tokens; shorter pieces are shared by chance.
LONG_COPY = 20


def copying(run: RunView) -> Remark | None:
    found = ((number(each, "longest_copy"), text(each, "copied_text")) for each in run.written)
    copies = [(tokens, copied) for tokens, copied in found if tokens]
    longest, copied = max(copies, default=(0.0, ""))
    if longest < LONG_COPY:
        return None
    quoted = ""
    if copied:
        quoted = f": “{first_letters(' '.join(copied.split()), 120)}”"
    return Remark(
        WARNING,
        say("copying"),
        say(
            "{tokens} tokens in a row of its last samples occur in the training text{quoted}. The "
            "model has memorised passages and may reveal private text.",
            tokens=count(longest),
            quoted=quoted,
        ),
    )


# At half of the median speed, something else uses the machine.
SLOWER = 0.5


def slowing(run: RunView) -> Remark | None:
    speeds = run.curves.means("tokens_per_s")
    window = max(MIN_POINTS, len(speeds) // 10)
    if len(speeds) < 3 * window:
        return None
    usual, now = median(speeds), median(speeds[-window:])
    if now > SLOWER * usual:
        return None
    return Remark(
        NOTE,
        say("slower"),
        say(
            "The run is at {now} tokens per second; {usual} was usual. Possible causes: another "
            "program, thermal throttling, full memory. The result is not affected.",
            now=count(now),
            usual=count(usual),
        ),
    )


def in_order(run: RunView) -> Remark:
    """The remark on the general state of a run without warnings."""
    if len(run.evaluations) < MIN_EVALUATIONS:
        few = say("A few more evaluations are needed to see a trend.")
        return Remark(NOTE, say("too early"), few)
    first, last = run.evaluations[0].validation, run.evaluations[-1].validation
    losses = {"first": fixed(first), "last": fixed(last)}
    if last >= first:
        words = "The validation loss was {first} at the first evaluation and is {last} now."
        return Remark(NOTE, say("nothing learned yet"), say(words, **losses))
    words = (
        "The validation loss went from {first} to {last}: the model generalises to text that it "
        "has not seen."
    )
    return Remark(GOOD, say("in order"), say(words, **losses))


RULES = (
    overfitting,
    rising,
    climbing,
    spiking,
    skipping,
    rolling_back,
    plateau,
    repeating,
    copying,
    slowing,
)
