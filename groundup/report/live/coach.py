"""What the figures of a run mean, said to somebody who trains for the first time. Values in, sentences out: each rule a pure function.

A rule is silent rather than wrong: it needs some evaluations or steps before it speaks, and each threshold has its reason beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from groundup.report.live.curves import Curves
from groundup.report.values import JsonObject, number, text
from groundup.report.words import count, first_letters, fixed, percent

# Levels of a remark, most urgent first.
LEVELS = WARNING, NOTE, GOOD = "warning", "note", "good"


@dataclass(frozen=True)
class Remark:
    """One or two sentences. `what` names the matter in two or three words."""

    level: str
    what: str
    text: str


@dataclass(frozen=True)
class Evaluation:
    """Loss on held-out text after a step, and the mean of the training losses just before it; nats a token."""

    step: float
    train: float | None
    validation: float


@dataclass(frozen=True)
class RunView:
    """What the coach looks at: curves, evaluations in order, what was written at the last one, steps skipped, times rolled back, steps done."""

    curves: Curves = field(default_factory=Curves)
    evaluations: Sequence[Evaluation] = ()
    written: Sequence[JsonObject] = ()
    skipped: int = 0
    rolled_back: int = 0
    step: int = 0


Rule = Callable[[RunView], "Remark | None"]


def remarks(lesson: RunView) -> list[Remark]:
    """All that is to be said, most urgent first; a word of comfort where nothing is wrong, or of patience where it is too early."""
    said = [remark for rule in RULES if (remark := rule(lesson)) is not None]
    if not any(remark.level == WARNING for remark in said):
        said.append(in_order(lesson))
    return sorted(said, key=lambda remark: LEVELS.index(remark.level))


# Evaluations before a trend is one.
MIN_EVALUATIONS = 3
# A gap of less than a tenth of the loss is seen in every run; half as wide again as it was, it grows.
WIDE, GROWN = 0.1, 1.5


def memorising(lesson: RunView) -> Remark | None:
    """Training loss falls away from validation loss."""
    seen = [(each.step, each.train, each.validation) for each in lesson.evaluations if each.train is not None]
    if len(seen) < MIN_EVALUATIONS:
        return None
    (step, then, held_out), (_, now, last) = seen[len(seen) // 2 - 1], seen[-1]
    before, gap = max(held_out - then, 0.0), last - now
    if gap < WIDE * last or gap < GROWN * before or now >= then:
        return None
    return Remark(
        WARNING,
        "learning by heart",
        f"The loss on its training text fell to {fixed(now)}, on held-out text it is {fixed(last)}: the gap grew from {fixed(before)} at step "
        f"{count(step)} to {fixed(gap)}. The model remembers more than it learns. More text, fewer passes over it or a smaller model would help.",
    )


# A rise of less than a hundredth comes and goes by itself.
RISEN = 0.01


def risen(lesson: RunView) -> Remark | None:
    """Validation loss was better some evaluations ago."""
    evaluations = lesson.evaluations
    if len(evaluations) < MIN_EVALUATIONS:
        return None
    best = min(range(len(evaluations)), key=lambda index: evaluations[index].validation)
    ago, low, last = len(evaluations) - 1 - best, evaluations[best], evaluations[-1]
    if ago < 2 or last.validation < (1 + RISEN) * low.validation:
        return None
    return Remark(
        WARNING,
        "past its best",
        f"Held-out text was guessed best {ago} evaluations ago, at step {count(low.step)}: {fixed(low.validation, 3)}, now "
        f"{fixed(last.validation, 3)}. Those weights are kept at the end; to stop now would lose nothing.",
    )


# The mean of the last tenth of the points against the lowest tenth before it.
CLIMBED = 0.1
MIN_POINTS = 20


def climbing(lesson: RunView) -> Remark | None:
    """Training loss went up again, and stayed there."""
    losses = lesson.curves.means("loss")
    if len(losses) < MIN_POINTS:
        return None
    window = max(3, len(losses) // 10)
    low = min(mean(losses[start : start + window]) for start in range(0, len(losses) - 2 * window + 1, window))
    now = mean(losses[-window:])
    if now < (1 + CLIMBED) * low:
        return None
    return Remark(
        WARNING,
        "loss went up",
        f"The training loss was down to {fixed(low)} and is at {fixed(now)}. Its steps are too long: half or a third of this learning rate, or more "
        "warm-up, usually mends it.",
    )


# A spike is half as high again as what came before it, and undoes a quarter of all that was learned till then; if more than a twentieth of
# the steps do that, single batches are simply that different.
SPIKE, UNDONE, ORDINARY = 1.5, 0.25, 0.05
NEIGHBOURS = 10


def spiking(lesson: RunView) -> Remark | None:
    """Single steps stand out far above their neighbours."""
    buckets = [bucket for bucket in lesson.curves.buckets if "loss" in bucket.cells]
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
        "spikes",
        f"The loss jumped {len(steps)} times, the last time near step {count(steps[-1])}. Now and then that is an odd text; often the learning rate "
        "is near the edge: lower it, or let fit.spike_factor skip such steps.",
    )


# A step in a hundred may be odd; more is a rate that is too high.
OFTEN = 0.01


def skipping(lesson: RunView) -> Remark | None:
    """Steps were skipped, for their loss or gradient was no number or a spike."""
    if not lesson.skipped:
        return None
    many = lesson.skipped > max(3.0, OFTEN * lesson.step)
    times = "One step" if lesson.skipped == 1 else f"{count(lesson.skipped)} steps"
    verdict = "That is too often: lower the learning rate." if many else "The run is unharmed."
    why = "changed nothing, for the loss or the gradient was no number or far too large"
    return Remark(WARNING if many else NOTE, "skipped steps", f"{times} {why}. {verdict}")


def rolling_back(lesson: RunView) -> Remark | None:
    """The loss rose and stayed, and earlier weights were taken up again."""
    if not lesson.rolled_back:
        return None
    times = "Once" if lesson.rolled_back == 1 else f"{count(lesson.rolled_back)} times"
    return Remark(
        NOTE if lesson.rolled_back == 1 else WARNING,
        "rolled back",
        f"{times} the loss rose and stayed up, and the run was rolled back to earlier weights, past the text where it happened. If it comes again, "
        "the learning rate is too high.",
    )


# Less than half a hundredth of the loss over the last third of the evaluations.
FLAT = 0.005
MIN_FOR_FLAT = 6


def standing(lesson: RunView) -> Remark | None:
    """Validation loss no longer moves."""
    evaluations = lesson.evaluations
    if len(evaluations) < MIN_FOR_FLAT:
        return None
    third = [each.validation for each in evaluations[-max(3, len(evaluations) // 3) :]]
    if third[0] - min(third) > FLAT * third[0] or max(third) > (1 + RISEN) * third[0]:
        return None
    return Remark(
        NOTE,
        "standing still",
        f"Held-out loss has stayed at {fixed(third[-1], 3)} for {len(third)} evaluations. A learning rate that still falls may bring a last gain; "
        "beyond it, more steps change little, and a larger model or more text would.",
    )


# Prose repeats a few 4-grams in a hundred; a text in a loop soon has most of them twice.
REPEATS = 0.3


def repeating(lesson: RunView) -> Remark | None:
    """What it writes goes round in circles."""
    shares = [found for each in lesson.written if (found := number(each, "repetition")) is not None]
    if not shares or mean(shares) < REPEATS:
        return None
    return Remark(
        NOTE,
        "going in circles",
        f"{percent(mean(shares), 0)} of the groups of four tokens in its last samples were there before. Young and small models do that, above all "
        "when they always take the likeliest token: train longer, or generate with a temperature above 0.",
    )


# A sentence has some 20 tokens; shorter pieces are shared by chance.
LONG_COPY = 20


def copying(lesson: RunView) -> Remark | None:
    """What it writes stands in the training text."""
    copies = [(found, text(each, "copied_text")) for each in lesson.written if (found := number(each, "longest_copy"))]
    longest, copied = max(copies, default=(0.0, ""))
    if longest < LONG_COPY:
        return None
    quoted = f": “{first_letters(' '.join(copied.split()), 120)}”" if copied else ""
    return Remark(
        WARNING,
        "copying",
        f"{count(longest)} tokens in a row of its last samples stand in the training text{quoted}. It recites, and may give away what is in there.",
    )


# At half of its median speed something else has the machine.
SLOWER = 0.5


def slowing(lesson: RunView) -> Remark | None:
    """The machine has become slower than it was."""
    speeds = lesson.curves.means("tokens_per_s")
    window = max(MIN_POINTS, len(speeds) // 10)
    if len(speeds) < 3 * window:
        return None
    usual, now = median(speeds), median(speeds[-window:])
    if now > SLOWER * usual:
        return None
    return Remark(
        NOTE,
        "slower",
        f"It reads {count(now)} tokens a second; {count(usual)} was usual. Another program, heat or a full memory takes the rest. The result stays "
        "as it is.",
    )


def in_order(lesson: RunView) -> Remark:
    """What there is to say when no rule warned."""
    if len(lesson.evaluations) < MIN_EVALUATIONS:
        return Remark(NOTE, "too early", "A few more evaluations are needed to see where this goes.")
    first, last = lesson.evaluations[0].validation, lesson.evaluations[-1].validation
    if last >= first:
        return Remark(
            NOTE, "nothing learned yet", f"Held-out loss was {fixed(first)} at the beginning and is {fixed(last)} now."
        )
    return Remark(
        GOOD,
        "in order",
        f"Held-out loss went from {fixed(first)} to {fixed(last)}: what it learns holds for text that it has not read.",
    )


RULES: tuple[Rule, ...] = (
    memorising,
    risen,
    climbing,
    spiking,
    skipping,
    rolling_back,
    standing,
    repeating,
    copying,
    slowing,
)
