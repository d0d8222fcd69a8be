"""How good a planned run will be: what the scaling law says, corrected by a small run of the same model on the same text.

A probe is a whole training of a few seconds, its learning rate risen and fallen, since the law speaks of ends of runs only. The logarithm of
its loss over the law's is how much harder or easier the user's text is than the one that the law was fitted on.
"""

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from groundup.data.shards import ShardSet
from groundup.device import Compute
from groundup.planning.law import Law
from groundup.planning.plan import Measured
from groundup.planning.planner import Candidate, TextStats, expected_loss
from groundup.planning.scaling import TEXT_SPREAD
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.pretrain import pretrain

PROBE_S = 15.0
# A probe is worth its time, and takes a twentieth of it at most, in runs from here on,
PROBE_FROM_S = 300.0
# and tells something where it reads about as much text as the shortest runs that the law was fitted on: this share of it.
MIN_PROBE_SHARE = 0.8
# Weights and optimizer of a probe go to the disk: not for large models.
MAX_PROBE_PARAMETERS = 50_000_000


@dataclass(frozen=True)
class Expected:
    """The loss that a run should end with, bits per byte of held-out text."""

    bits_per_byte: float
    low: float
    high: float
    """In 19 of 20 runs it should lie between them."""
    probe_steps: int = 0
    """0: nothing was tried, the law alone speaks."""
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
    """The law's word, times what a probe (its steps, bits per byte) found. `own_text`: the law was fitted on this text."""
    loss, read = expected_loss(candidate, steps, text, law), steps * candidate.step_tokens * text.bytes_per_token
    if probed is None:
        return Expected(loss, *law.range(candidate.parameters, read, loss, more=0.0 if own_text else TEXT_SPREAD))
    probe_steps, bits = probed
    offset = math.log(bits / expected_loss(candidate, probe_steps, text, law))
    loss *= math.exp(offset)
    # the probe's own loss is as uncertain as the run's
    return Expected(loss, *law.range(candidate.parameters, read, loss, more=law.spread), probe_steps, offset)


def probe_steps(candidate: Candidate, steps: int, measured: Measured, text: TextStats, law: Law) -> int:
    """Steps that a probe of this run takes; 0: none is worth it."""
    if steps * measured.step_s < PROBE_FROM_S or candidate.parameters > MAX_PROBE_PARAMETERS:
        return 0
    fitting = min(int(PROBE_S / measured.step_s), steps // 4)
    read = fitting * candidate.step_tokens * text.bytes_per_token
    return fitting if read >= MIN_PROBE_SHARE * law.read_bytes[0] else 0


def probe(
    shards: ShardSet, tokenizer: Tokenizer, candidate: Candidate, steps: int, *, compute: Compute, progress: Progress
) -> float:
    """Train so many steps in a folder that goes again; bits per byte of held-out text."""
    progress.say(f"Trying {steps} steps, to see how hard this text is.")
    fit = dataclasses.replace(
        candidate.fit, steps=steps, evaluate_every=steps, checkpoint_every=steps, snapshots=0, warmup_steps=None,
        decay_steps=None, compile="off", precision="float32" if candidate.fit.precision == "auto" else candidate.fit.precision,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "probe")
        results = pretrain(shards, tokenizer, candidate.shape, fit, run, compute=compute, progress=_Bar(progress))
    return float(results["bits_per_byte"])


class _Bar:
    """How far a probe is, and nothing of what its training says."""

    def __init__(self, progress: Progress) -> None:
        self.track = progress.track

    def say(self, text: str) -> None:
        pass
