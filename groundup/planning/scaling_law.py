"""A scaling law: the final loss of a model of N parameters trained on D bytes of text, and its fit
to a few runs.

    L(N, D) = floor + of_parameters / N^a + of_text / D^b
            (Hoffmann et al. 2022, eq. 2; N in millions, D in megabytes)

L is in bits per byte of held-out text and D in bytes, so that neither depends on the tokenizer. N
and D are corrected first:

    repeats   repeated text teaches less: D' = U + U R* (1 - exp(-(D / U - 1) / R*)) of U bytes of
              unique text, R* = 15.4 (Muennighoff et al. 2023, eq. 5); parameters above what U can
              teach count less, likewise with 5.3 (eq. 6)
    batch     a batch above the critical size B* wastes text: D / (1 + B / B*) (McCandlish et al.
              2018, eq. 5.2, at a fixed number of steps), and B* grows with the square root of the
              text (Zhang et al. 2024: D^0.47)

The parameters are fitted as by Hoffmann et al., with the Huber loss of the logarithms. A few runs
can't determine five parameters, so each has a prior: its initial value, with the standard deviation
in `LOOSENESS`.

At the end stand the numbers of the planner: those measured with the current defaults of training,
to be measured again when these change, and published ones. The learning-rate rule comes from the
reference run (quickstart's), the critical batch from runs over one text in several batch sizes
(docs/log.md). The law:

    groundup sweep runs/quickstart/tokenizer/shards --out runs/law --sizes 4 --budget 15m
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from groundup.train.steps.config import InitialTables, pretraining_config

# Muennighoff et al. 2023, section 5: R*_D and R*_N.
LASTING_REPEATS, LASTING_EXCESS = 15.39, 5.31
BATCH_GROWTH = 0.5
# Standard deviation of ln(bits per byte) between runs that differ in their seed alone
# (docs/log.md).
NOISE = 0.01
HUBER = 2.0
"""Deviations above this many NOISE count linearly instead of squared."""
# Prior standard deviations of the logarithms of floor, of_parameters, a, of_text, b.
LOOSENESS = (0.15, 0.5, 0.3, 0.5, 0.3)
ITERATIONS = 80
FREE = ("floor", "of_parameters", "parameters_power", "of_text", "text_power")


@dataclass(frozen=True)
class LossPoint:
    """One run: its size, its text and its final loss."""

    parameters: int
    read_bytes: float
    """UTF-8 bytes of text read, repeats counted."""
    unique_bytes: float
    """Of the train split."""
    batch_bytes: float = 0.0
    bits_per_byte: float = math.nan
    """NaN: unknown."""


@dataclass(frozen=True)
class Law:
    """The parameters of the formula, and the accuracy and range of the fit."""

    floor: float
    """Bits per byte that remain with any model and any amount of text."""
    of_parameters: float
    """Excess loss of a model of a million parameters, bits per byte."""
    parameters_power: float
    of_text: float
    """Excess loss after a megabyte of text, bits per byte."""
    text_power: float
    critical_batch_bytes: float
    """At a megabyte of text read."""
    spread: float
    """Standard deviation of ln(actual / expected) on runs left out of the fit."""
    parameters: tuple[float, float]
    """The smallest and largest model it was fitted on."""
    read_bytes: tuple[float, float]
    """The least and most text."""

    def expected(self, point: LossPoint) -> float:
        """Expected bits per byte of held-out text."""
        size, text = self.effective(point)
        return (
            self.floor
            + self.of_parameters / size**self.parameters_power
            + self.of_text / text**self.text_power
        )

    def effective(self, point: LossPoint) -> tuple[float, float]:
        """N' in millions and D' in megabytes: size and text after the corrections."""
        unique = min(point.unique_bytes, point.read_bytes)
        size = effective_parameters(
            point.parameters, self.fitting_parameters(unique), epochs=point.read_bytes / unique
        )
        critical = self.critical_batch_bytes * (point.read_bytes / 1e6) ** BATCH_GROWTH
        text = effective_bytes(point.read_bytes, unique) / (1 + point.batch_bytes / critical)
        return size / 1e6, text / 1e6

    def fitting_parameters(self, read_bytes: float) -> float:
        """The compute-optimal size for so much text: at the same N D, neither more parameters nor
        more text would be better (eq. 4 there).
        """
        a, b = self.parameters_power, self.text_power
        slope = a * self.of_parameters / (b * self.of_text)  # where a A / N^a = b B / D^b
        return 1e6 * float(slope * (read_bytes / 1e6) ** b) ** (1 / a)

    def words(self) -> str:
        """The formula with its parameters' values."""
        of_size = f"{self.of_parameters:.3f} / N^{self.parameters_power:.3f}"
        of_text = f"{self.of_text:.3f} / D^{self.text_power:.3f}"
        return f"L = {self.floor:.3f} + {of_size} + {of_text} bits per byte (N in millions of parameters, D in megabytes of text)"

    def range(
        self, parameters: int | float, read_bytes: float, loss: float, *, more: float = 0.0
    ) -> tuple[float, float]:
        """The range of the actual loss in 19 of 20 cases: two spreads either way, and one more for
        each decade beyond the fitted runs.

        `more`: the spread of another uncertainty beside the law's own.
        """
        ranges = ((parameters, *self.parameters), (read_bytes, *self.read_bytes))
        decades = sum(
            max(0.0, math.log10(low / value), math.log10(value / high))
            for value, low, high in ranges
        )
        wide = 2 * math.hypot(self.spread, more) + decades * self.spread
        return loss * math.exp(-wide), loss * math.exp(wide)


def effective_bytes(read_bytes: float, unique_bytes: float) -> float:
    """D': the amount of new text that is worth as much as `read_bytes` of `unique_bytes` of
    text.
    """
    repeats = max(0.0, read_bytes / unique_bytes - 1)
    return min(read_bytes, unique_bytes) + unique_bytes * LASTING_REPEATS * -math.expm1(
        -repeats / LASTING_REPEATS
    )


def effective_parameters(parameters: int | float, fitting: float, epochs: float) -> float:
    """N': the effective number of parameters where `fitting` is optimal for the text, which is read
    `epochs` times.

    Without repeats all count, since the law was fitted on such runs; the correction grows to the
    paper's as repeats teach less.
    """
    excess = max(0.0, parameters / fitting - 1)
    if excess == 0:
        return float(parameters)
    lasting = LASTING_EXCESS * -math.expm1(-excess / LASTING_EXCESS) / excess
    worn = -math.expm1(-max(0.0, epochs - 1) / LASTING_REPEATS)
    return fitting * (1 + excess * (1 - worn * (1 - lasting)))


def fit_law(
    points: Sequence[LossPoint], start: Law, *, looseness: Sequence[float] = LOOSENESS
) -> Law:
    """The law fitted to the runs, with `start` as prior; its spread is that of leave-one-out
    predictions, or start's for fewer than three runs.
    """
    fitted = _fit(points, start, looseness)
    spread = start.spread if len(points) < 3 else _left_out_spread(points, start, looseness)
    sizes = [float(point.parameters) for point in points]
    texts = [point.read_bytes for point in points]
    return replace(
        fitted,
        spread=spread,
        parameters=(min(sizes), max(sizes)),
        read_bytes=(min(texts), max(texts)),
    )


def _left_out_spread(points: Sequence[LossPoint], start: Law, looseness: Sequence[float]) -> float:
    """Root mean square of ln(actual / expected), each run left out once; at least the noise of one
    run.
    """
    squares = []
    for left_out in range(len(points)):
        law = _fit([p for i, p in enumerate(points) if i != left_out], start, looseness)
        squares.append(
            math.log(points[left_out].bits_per_byte / law.expected(points[left_out])) ** 2
        )
    return max(NOISE, math.sqrt(sum(squares) / len(squares)))


def _fit(points: Sequence[LossPoint], start: Law, looseness: Sequence[float]) -> Law:
    """Least squares by the Levenberg-Marquardt method, with Huber weights for outliers."""
    begin = np.log([getattr(start, name) for name in FREE])
    rows = np.array([(*start.effective(point), math.log(point.bits_per_byte)) for point in points])
    held = np.diag(1 / np.array(looseness))
    free, damping = begin, 1.0

    def off(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        deviations, slopes = _deviations(values, rows)
        return np.concatenate([deviations, held @ (values - begin)]), np.concatenate([slopes, held])

    for _ in range(ITERATIONS):
        deviations, slopes = off(free)
        weights = np.minimum(1.0, HUBER / np.maximum(np.abs(deviations), 1e-12))
        weights[len(points) :] = 1.0
        square = (slopes.T * weights) @ slopes
        step = np.linalg.solve(
            square + damping * np.diag(np.diag(square)), -(slopes.T * weights) @ deviations
        )
        better = _huber(off(free + step)[0], len(points)) < _huber(deviations, len(points))
        if better:
            free, damping = free + step, damping / 3
        else:
            damping *= 4
    return replace(start, **dict(zip(FREE, np.exp(free).tolist(), strict=True)))


def _deviations(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ln L - ln actual) / NOISE of each run, and its derivative by the logarithm of each
    parameter.
    """
    floor, of_size, a, of_text, b = np.exp(values)
    sizes, texts, actual = rows.T
    size_part, text_part = of_size / sizes**a, of_text / texts**b
    loss = floor + size_part + text_part
    slopes = [
        np.full_like(loss, floor), size_part, -a * np.log(sizes) * size_part, text_part, -b * np.log(texts) * text_part
    ]  # fmt: skip
    return (np.log(loss) - actual) / NOISE, (np.array(slopes) / loss).T / NOISE


def _huber(deviations: np.ndarray, runs: int) -> float:
    """The Huber loss: half the squares, linear above HUBER for runs."""
    far = np.abs(deviations[:runs])
    of_runs = np.where(far < HUBER, far**2 / 2, HUBER * (far - HUBER / 2))
    return float(of_runs.sum() + (deviations[runs:] ** 2).sum() / 2)


# The runs that the defaults (`train/steps/config.py`) were tuned on: quickstart, 8 windows of 128 tokens.
REFERENCE_WIDTH, REFERENCE_BATCH_TOKENS = 128, 1_024
# Highest learning rate ~ width^(-2/3): from AdamW's 2e-3 at width 128 it leads to 6.1e-4 at 768 and
# 2.0e-4 at 4,096, where GPT-3's table 2.1 has 6e-4 and 1.2e-4, and Llama's table 2 has 3e-4 (Brown
# et al. 2020, Touvron et al. 2023).
RATE_POWER = 2 / 3
# A rate this many times above the rule's is called too high; quickstart's loss was worse from 3 times
# on (docs/log.md).
TOO_HIGH = 3.0
# The rate does not rise with the batch: at four times the batch, twice the rate ended at 2.89 bits
# per byte, the same at 2.75 (docs/log.md).

LAW = Law(
    floor=0.696,
    of_parameters=0.206,
    parameters_power=0.362,
    of_text=1.357,
    text_power=0.144,
    critical_batch_bytes=8.5e3,  # of Muon; AdamW's was 3e3
    spread=0.022,  # 0.013 by leaving runs out; AdamW's runs gave 0.019, with two of eleven just beyond two of those
    parameters=(164e3, 2.816e6),
    read_bytes=(0.2e6, 4.17e6),
)
# Standard deviation of ln(loss) between texts of one kind, here English prose and verse: the
# uncertainty about a text before a probe or a sweep.
TEXT_SPREAD = 0.1
# One step of Muon is worth this many of AdamW: quickstart's runs of 1,200 and 3,251 steps with AdamW
# ended where the law with Muon is after 680 and 1,780 (docs/log.md: 2.123 and 1.951 bits per byte).
# In shorter ones Muon gains more, 2.6 times at 400 steps.
MUON_WORTH = 1.8
# Tables by bigrams are worth about this much more text read: 290 steps of quickstart's; its runs of
# 183, 382 and 982 steps with them ended where the recipe without is after some 490, 770 and 1,290
# (docs/log.md).
BIGRAMS_WORTH_BYTES = 1e6

# Of the highest rate for random weights, where the training of a model is continued: it goes on at
# the rate at which a cosine schedule has ended (Parmar et al. 2024, "Reuse, Don't Retrain").
CONTINUED_RATE_SHARE = 0.1
# Share of replayed text where none is given: enough where the new text is of the same language
# (Ibrahim et al. 2024).
REPLAY_SHARE = 0.05

# Compute-optimal training reads about 20 tokens per parameter (Hoffmann et al. 2022, "Chinchilla",
# table 3).
OPTIMAL_TOKENS_PER_PARAMETER = 20
# Small models are trained on far more for cheap inference (Llama 3 8B: 1,900); above this a larger
# one would be better for the same computation.
MANY_TOKENS_PER_PARAMETER = 500
# Up to 4 epochs repeated text is nearly as good as new text; later ones teach less and less
# (Muennighoff et al. 2023, figure 1).
HARMLESS_EPOCHS = 4
# At the highest learning rate the loss on other text is lowest after so many epochs of a text with as
# many tokens as the model has parameters, and later with fewer parameters: 6, 4 and 3 epochs of
# 75,000 tokens with 164,000, 410,000 and 1.3 million parameters (docs/log.md).
LOWEST_EPOCHS, LOWEST_POWER, FEWEST_EPOCHS = 7.8, 1 / 3, 3.0
# More parameters for each token of the text made no lower loss (ibid.).
MOST_PARAMETERS_PER_TOKEN = 6.0
# Warm-up and Adam's running means need some hundred updates.
FEW_STEPS = 100
# Below this a step's gradient is mostly noise, and matrices are too small to keep the machine busy.
FEW_BATCH_TOKENS = 256


def epochs_of_lowest_loss(parameters: int, tokens: int) -> float:
    """After how many epochs of a text of so many tokens a model of random weights begins to learn
    it by heart, and the loss on other text rises.

    >>> [round(epochs_of_lowest_loss(1_300_000, tokens), 1) for tokens in (300_000, 20_000_000)]
    [4.8, 19.4]
    """
    return max(FEWEST_EPOCHS, LOWEST_EPOCHS * (tokens / parameters) ** LOWEST_POWER)


def learning_rate_for(
    width: int, optimizer: str, initial_tables: InitialTables = "random"
) -> float:
    """The highest learning rate for a width; never above the reference's where the model is
    narrower.

    With Muon that of tables, head and vectors: its own, of the matrices, suits all widths, as their
    updates are made equally long.
    """
    fields = {"optimizer": optimizer, "initial_tables": initial_tables}
    reference = pretraining_config(1, fields).optimizer.learning_rate
    return float(f"{reference * min(1.0, (REFERENCE_WIDTH / width) ** RATE_POWER):.2g}")
