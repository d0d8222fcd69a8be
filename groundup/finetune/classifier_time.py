"""`budget` of a classifier: how many texts there is time to read and to learn from."""

from collections.abc import Collection
from functools import cache, partial

from groundup.device import shortest, timed
from groundup.engine.padded_batch import batches_by_length
from groundup.files import make_folder
from groundup.finetune.classifier_training import LEARNING_RATES, ClassifierJob, fit_config_of
from groundup.finetune.features import FEATURE_BATCH_TOKENS, FrozenBlocks
from groundup.finetune.time_limit import TimeLimit, Workload
from groundup.runs import RunFolder
from groundup.train.steps.losses import finetune_loss
from groundup.train.steps.precision import MEASURED_S, StepClock, measure_steps, open_kinds

# Of the time of a text, its way through the frozen blocks; the rest is what learns from it, an
# encoder's vectors and the baselines.
READING_SHARE = 0.4
FEWEST_TEXTS = 30


def texts_within(
    limit: TimeLimit, job: ClassifierJob, run: RunFolder, given: Collection[str]
) -> int:
    """Return how many texts there is time for, beside those of the splits `given`, which are used
    whole. Raises ConfigError, DiskError.
    """
    sizes = {name: len(rows) for name, rows in job.messages.rows.items()}
    divided = sum(size for name, size in sizes.items() if name not in given)
    make_folder(run.path)
    measured = cache(lambda: text_s(job))
    if given and run.read_plan() is None:
        limit.after_s += measured() * (sum(sizes.values()) - divided)
    work = Workload("texts", divided, 1.0, FEWEST_TEXTS)
    return limit.plan(run, work, measured, job.progress).examples


def text_s(job: ClassifierJob) -> float:
    """Measure the seconds of a text, on a batch of them: in the frozen blocks, or where none is
    frozen in the steps of all trainings.
    """
    model = job.classifier()
    frozen = job.frozen(model)
    if frozen is not None:
        return _reading_s(job, frozen) / READING_SHARE
    config = job.config
    batches, part = job.batches(job.id_inputs(model)), job.learning_part(model)
    rates = LEARNING_RATES[config.train]
    fit_config = fit_config_of(batches, config, rates[0])
    loss = finetune_loss(job.messages.kind, config.loss)
    clock = StepClock(part, [batches.batch(0)], loss, fit_config, compute=job.compute)
    kinds = open_kinds(config.precision, model.config.width, compute=job.compute)
    taken = measure_steps(clock, kinds, seconds=MEASURED_S, progress=job.progress)
    trainings = 1 if config.learning_rate else len(rates) + 1
    trained = len(job.messages.rows["train"]) / len(job.messages.examples)
    return trained * trainings * config.epochs * min(taken.values()) / config.batch_size


def _reading_s(job: ClassifierJob, frozen: FrozenBlocks) -> float:
    rows = [row for windows in job.texts for row in windows]
    first = next(batches_by_length([len(row) for row in rows], FEATURE_BATCH_TOKENS))
    batch = [rows[place] for place in first]
    bf16 = frozen.takes_bf16(batch, job.config.precision)
    read = partial(timed, partial(frozen.run, batch, bf16=bf16))
    taken = shortest({bf16: read}, seconds=MEASURED_S, progress=job.progress)[bf16]
    return taken * sum(map(len, rows)) / sum(map(len, batch)) / len(job.texts)
