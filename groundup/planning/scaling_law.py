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
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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
