"""Forecast of a run's loss: the scaling law, corrected by a probe, a short run of the same model on the same text.

A probe is a whole training of a few seconds with its own learning-rate schedule, since the law is about the end of runs only. The logarithm of
its loss over the law's says how much harder or easier the user's text is than the one that the law was fitted on.
"""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.planning.law import Law
from groundup.planning.measure import Benchmark, Candidate, Measured
from groundup.planning.planner import TextStats, expected_loss
from groundup.planning.scaling import TEXT_SPREAD
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.pretrain import pretrain

PROBE_S = 15.0
# Runs shorter than this get no probe, so that it takes a twentieth of a run at most,
PROBE_FROM_S = 300.0
# nor do those in which it would read less text than this share of the shortest runs that the law was fitted on.
MIN_PROBE_SHARE = 0.8
# A probe writes weights and optimizer state to the disk: not for large models.
MAX_PROBE_PARAMETERS = 50_000_000


@dataclass(frozen=True)
class Expected:
    """The expected loss at the end of a run, in bits per byte of held-out text."""

    bits_per_byte: float
    low: float
    high: float
    """19 of 20 runs should end between them."""
    probe_steps: int = 0
    """0: no probe, the law alone."""
    probe_offset: float = 0.0
    """ln(the probe's loss / the law's)."""


def forecast(
    candidate: Candidate,
    steps: int,
    text: TextStats,
    law: Law,
    *,
    probed: tuple[int, float] | None = None,
    own_text: bool = False,
) -> Expected:
    """The law's loss, corrected by a probe (its steps, bits per byte). `own_text`: the law was fitted on this text."""
    loss, read = expected_loss(candidate, steps, text, law), steps * candidate.step_tokens * text.bytes_per_token
    if probed is None:
        return Expected(loss, *law.range(candidate.parameters, read, loss, more=0.0 if own_text else TEXT_SPREAD))
    probe_steps, bits = probed
    offset = math.log(bits / expected_loss(candidate, probe_steps, text, law))
    loss *= math.exp(offset)
    # the probe's own loss is as uncertain as the run's
    return Expected(loss, *law.range(candidate.parameters, read, loss, more=law.spread), probe_steps, offset)


def probe_steps(candidate: Candidate, steps: int, measured: Measured, text: TextStats, law: Law) -> int:
    """Steps of a probe for a run of so many steps; 0: a probe is not worth its time."""
    if steps * measured.step_s < PROBE_FROM_S or candidate.parameters > MAX_PROBE_PARAMETERS:
        return 0
    fitting = min(int(PROBE_S / measured.step_s), steps // 4)
    read = fitting * candidate.step_tokens * text.bytes_per_token
    return fitting if read >= MIN_PROBE_SHARE * law.read_bytes[0] else 0


def probe(benchmark: Benchmark, candidate: Candidate, steps: int) -> float:
    """Train so many steps in a temporary folder; returns bits per byte of held-out text."""
    benchmark.progress.say(f"Training {steps} steps as a probe of how hard this text is.")
    precision = "float32" if candidate.fit.precision == "auto" else candidate.fit.precision
    fit = replace(
        candidate.fit, steps=steps, evaluate_every=steps, checkpoint_every=steps, snapshots=0, warmup_steps=None,
        decay_steps=None, compile="off", precision=precision,
    )  # fmt: skip
    parts = (benchmark.shards, benchmark.tokenizer, candidate.shape, fit)
    with tempfile.TemporaryDirectory() as folder:
        run, progress = RunFolder(Path(folder) / "probe"), _BarOnly(benchmark.progress)
        return float(pretrain(*parts, run, compute=benchmark.compute, progress=progress)["bits_per_byte"])


class _BarOnly:
    """A Progress that shows the bar of a training and none of its messages."""

    def __init__(self, progress: Progress) -> None:
        self.track = progress.track

    def say(self, text: str) -> None:
        pass
