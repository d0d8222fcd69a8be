"""The configurations of fine-tuning: `ClassifierConfig`, `ChatConfig`, `PreferenceConfig`,
`EncoderConfig`; `RewardConfig` is in `reward_config`. Options of the command line have the
docstrings below the fields as their help. Comes without torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from groundup.config import budget_s, checked_fields, to_plain
from groundup.data.reading.data import address_and_share
from groundup.errors import ConfigError, require, require_choices, require_counts
from groundup.risk import HIGHEST_ERROR
from groundup.train.steps.config import FINETUNE_LEARNING_RATE, TrainPrecision

Trained = Literal["auto", "last-block", "head", "lora", "all", "stacked"]
NO_ENCODER = "none"
_OF_ONE_LABEL = "costs are those of one label to detect; each label has a threshold of its own"
# Fields that must have their defaults where a text may have several labels, and why.
ONE_LABEL_FIELDS: Mapping[str, str] = {
    "positive": "each label is detected for itself",
    "cost_false_alarm": _OF_ONE_LABEL,
    "cost_miss": _OF_ONE_LABEL,
    "abstain": "a text may have no label, which says as much",
    "max_error": "a text may have no label, which says as much",
    "learning_curve": "the curve is that of an accuracy",
    "find_wrong_labels": "confident learning compares labels of which a text has one",
    "few_shot": "the base model is asked of each label alone",
}
# They say what is read and what is measured beside the training: another value is no other run.
OUTSIDE_FIELDS = (
    "texts",
    "min_per_class",
    "merge_rare",
    "validation",
    "test",
    "question",
    "ask_base",
    "few_shot",
    "general",
    "answers",
)
MAX_EPOCHS = 1000
# Share of general text that is replayed in instruction tuning where none is given, and that is
# proposed where a model has forgotten.
REPLAY_SHARE = 0.1


@checked_fields
@dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is trained, and what it is compared with. The defaults suit some 1,600 short
    texts. Raises ConfigError.

    >>> config = groundup.ClassifierConfig(train="lora")
    >>> config.epochs
    4
    """

    texts: int = 2400
    """At most this many texts: two thirds train, an eighth validates, the rest tests."""
    min_per_class: int = 0
    """Leave out labels of fewer distinct texts."""
    merge_rare: str = ""
    """Call labels that are too rare so, all of them: those of fewer texts than min_per_class, or
    without it as few as it takes to have every label in every split.
    """
    validation: str | Path | None = None
    """Own texts to choose on, instead of a part of the data; all of the data is then trained on,
    but for what stands in them too.
    """
    test: str | Path | None = None
    """Own texts to measure on, instead of a part of the data."""
    train: Trained = "auto"
    """What is trained: head, last-block (and head), lora (adapters of all blocks, and head), all;
    stacked: regressions on hidden states and TF-IDF of letters; auto: last-block, stacked and
    stacked with an encoder, of which the validation texts choose one.
    """
    epochs: int = 4
    """Times through the training texts."""
    batch_size: int = 16
    """Texts of one step."""
    learning_rate: float | None = None
    """The highest learning rate, after the warm-up; default: of three rates the one with the lowest
    validation loss.
    """
    weight_decay: float = 0.1
    """AdamW's weight decay."""
    max_tokens: int | None = None
    """Tokens of a window; default: the shortest of 64, 128, 256 and 512 that holds 95 of 100
    training texts whole.
    """
    windows: int = 8
    """Windows that are read of a longer text; their scores are averaged."""
    class_weights: Literal["none", "balanced"] = "none"
    """none, or balanced: rare labels weigh as much as common ones."""
    positive: str | None = None
    """The label to detect, whose F1 is reported where there are two (of more: macro F1); default:
    the rarest.
    """
    cost_false_alarm: float = 1.0
    """What it costs to say the label to detect where it is wrong."""
    cost_miss: float = 1.0
    """What it costs not to say the label to detect where it is right."""
    abstain: float | None = None
    """Say 'unsure' so that the others of the validation texts have this accuracy: 0.99. Nothing is
    promised of other texts: see max_error. Default: never.
    """
    max_error: float | None = None
    """Say 'unsure' so that of the texts that get a label at most this share is wrong, with 95 %
    confidence: 0.05. Half of the validation texts are kept for it; few support a higher one only,
    which is said. Default: never.
    """
    encoder: str = ""
    """An encoder, by its name or path, whose vectors of the texts a stacked classifier reads,
    too; none: none. Default: none, with train = auto all-minilm-l6-v2.
    """
    learning_curve: bool = False
    """Also train on 50, 100, 200, ... texts: what would more texts bring?"""
    find_wrong_labels: bool = False
    """List the texts whose labels are probably wrong; four trainings more."""
    question: str | None = None
    """Question to the base model; default: which label fits."""
    ask_base: bool = True
    """Ask the base model about the test texts, too, to compare with it; --no-base: do not."""
    few_shot: int | None = None
    """Also ask the base model after this many examples of each label; 0: not. Default: 1, 2 or 4,
    if within 60 s.
    """
    budget: str | None = None
    """The time from the start, in which it ends: 10m, 1h30m. Fewer texts are used where all would
    take longer.
    """
    precision: TrainPrecision = "auto"
    """Precision of the matrix products of the frozen blocks, or of the whole model where it is
    trained; auto: the faster one. Trained on cached states is in float32.
    """
    loss: str | None = None
    """Name of the loss in `train.steps.losses.FINETUNE_LOSSES`; default: cross-entropy, with
    several labels a text binary cross-entropy.
    """
    seed: int = 0
    """Random seed of the splits, of the score head and of the order of texts."""

    def __post_init__(self) -> None:
        require_counts(self, "texts", "epochs", "batch_size", "windows", "max_tokens")
        require_choices(self)
        self._require_budget()
        for name in ("cost_false_alarm", "cost_miss"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name} must be a positive number (got {getattr(self, name)}).",
                    fix="Give 1 for the cheaper of the two.",
                )
        if self.abstain is not None and not 0 < self.abstain < 1:
            raise ConfigError(
                f"abstain must be an accuracy between 0 and 1 (got {self.abstain}).",
                fix="For example 0.99.",
            )
        if self.max_error is not None:
            allowed = f"above 0 and at most {HIGHEST_ERROR:g}"
            require(0 < self.max_error <= HIGHEST_ERROR, "max_error", self.max_error, allowed)
            if self.abstain is not None:
                raise ConfigError(
                    f"abstain = {self.abstain} and max_error = {self.max_error} both say where the "
                    "classifier abstains.",
                    fix="Leave out abstain, which promises nothing.",
                )
        if self.encoder not in ("", NO_ENCODER) and self.train not in ("stacked", "auto"):
            raise ConfigError(
                f"train = {self.train} reads no encoder (got {self.encoder!r}).",
                fix="Leave it out, or train stacked or auto.",
            )
        if self.few_shot is not None and self.few_shot < 0:
            raise ConfigError(
                f"few_shot must be 0 or more (got {self.few_shot}).",
                fix="Give the examples of each label, as 2.",
            )
        if self.few_shot and not self.ask_base:
            raise ConfigError(
                f"few_shot asks the base model (got {self.few_shot}), and ask_base says not to.",
                fix="Leave one of them out.",
            )
        if self.loss is not None and self.train == "stacked":
            raise ConfigError(
                "train = stacked solves regressions and has no loss to choose "
                f"(got {self.loss!r}).",
                fix="Leave it out.",
            )
        require_loss(self.loss, "classifier", "multi-label")

    def _require_budget(self) -> None:
        if self.budget is None:
            return
        budget_s(self.budget)
        for name in ("learning_curve", "find_wrong_labels"):
            if getattr(self, name):
                raise ConfigError(
                    f"`{name}` trains many times, which `budget` does not count.",
                    fix="Leave one of them out.",
                )

    def require_several_labels(self) -> None:
        """Raise ConfigError for a field that does not apply to texts with several labels."""
        default = type(self)()
        for name, why in ONE_LABEL_FIELDS.items():
            if (getattr(self, name) or None) != (getattr(default, name) or None):
                raise ConfigError(
                    f"{name} does not apply to texts with several labels: {why}.",
                    fix="Leave it out.",
                )


@dataclass(frozen=True)
class ChatTraining:
    """What is common to every training of a chat model. Raises ConfigError."""

    longest_tokens: ClassVar[int]
    """The limit of an example where `max_tokens` is None."""
    # All weights of a pretrained model would forget at LoRA's rate what they know.
    learning_rates: ClassVar[Mapping[str, float]] = {"lora": FINETUNE_LEARNING_RATE, "all": 2e-5}
    """What is trained -> the learning rate where `learning_rate` is None."""
    method: ClassVar[str]
    """The kind of the run, and of its losses in `train.steps.losses.FINETUNE_LOSSES`, the first of
    which is the default.
    """

    epochs: float = 1.0
    """How often the whole set is read."""
    tokens: int | None = None
    """At most this many tokens are read, prompts and repeats included."""
    max_tokens: int | None = None
    """Examples are cut to this many tokens; one whose answer lies wholly behind is left out."""
    train: Literal["lora", "all"] = "lora"
    """What is trained: lora (adapters around the matrices of the blocks), or all weights."""
    rank: int = 8
    """Rank of the LoRA adapters."""
    alpha: float = 16.0
    """LoRA's scale is alpha / rank."""
    targets: tuple[str, ...] = ()
    """Matrices with adapters: query, key, value, output, gate, up, down (or PEFT's q_proj, ...);
    default: all.
    """
    merge: bool = False
    """Save the whole model with the adapters in it, not the adapters alone."""
    batch_size: int = 8
    """Examples of one step."""
    learning_rate: float | None = None
    """The highest learning rate, after the warm-up; default: by what is trained."""
    precision: TrainPrecision = "auto"
    """Precision of the matrix products; auto: the faster one."""
    recompute: bool = False
    """Recompute activations in the backward pass: the same gradients, slower, in less memory."""
    general: str | Path | None = None
    """What forgetting is measured on: texts and suites, between commas (wikipedia, a file;
    common_knowledge, sciq=200); default: a packaged text, 40 questions.
    """
    budget: str | None = None
    """The time from the start, in which it ends: 10m, 1h30m. Fewer epochs are read, or fewer
    examples, where all would take longer.
    """
    patience: int = 2
    """The training ends after this many evaluations in a row without a lower held-out loss; 0: after
    the last step. The weights with the lowest are kept in any case.
    """
    answers: int = 4
    """Held-out prompts that are answered before and after the training, to be read."""
    loss: str | None = None
    """Name of the loss in `train.steps.losses.FINETUNE_LOSSES`; default: the method's own."""
    seed: int = 0
    """Random seed of LoRA's weights, of the held-out part and of the order of examples."""

    def __post_init__(self) -> None:
        require_counts(self, "tokens", "max_tokens", "rank", "batch_size")
        for name in ("patience", "answers"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require_choices(self)
        allowed = f"above 0 and at most {MAX_EPOCHS:,}"
        require(0 < self.epochs <= MAX_EPOCHS, "epochs", self.epochs, allowed)
        require_loss(self.loss, self.method)
        if self.budget is not None:
            budget_s(self.budget)

    @property
    def highest_rate(self) -> float:
        return self.learning_rate or self.learning_rates[self.train]

    def limit(self, context_tokens: int) -> int:
        return min(self.max_tokens or self.longest_tokens, context_tokens)


@checked_fields
@dataclass(frozen=True)
class ChatConfig(ChatTraining):
    """How a model is trained on instructions and conversations: the learning rate is 5e-4 for LoRA
    and 2e-5 for all weights, examples have at most 1,024 tokens. Raises ConfigError.

    >>> config = groundup.ChatConfig(train="all")
    >>> config.highest_rate
    2e-05
    """

    # Longer examples are rare, and a few of them decide the memory.
    longest_tokens = 1024
    method = "chat"

    epochs: float = 3.0
    """How often the whole set is read."""
    replay: str = ""
    """General text to be read, too, so that less is forgotten: a file, an address or wikipedia,
    with its share of what is read (wikipedia=0.1).
    """
    teacher: str = ""
    """A model that answers the prompts of DATA, whose own answers are not read: a folder, a name,
    or the address of an OpenAI-compatible server, as https://HOST/v1.
    """
    teacher_model: str = ""
    """The name of the model at that address; its key is in GROUNDUP_TEACHER_KEY."""
    teacher_tokens: int = 512
    """A longer answer of the teacher is left out."""
    teacher_temperature: float = 0.0
    """Temperature of the teacher's answers; 0: the most probable ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_counts(self, "teacher_tokens")
        temperature = self.teacher_temperature
        require(0 <= temperature <= 2, "teacher_temperature", temperature, "0 to 2")
        if self.teacher_model and "://" not in self.teacher:
            raise ConfigError(
                f"`teacher_model` {self.teacher_model} is the name of a model at an address, and "
                f"`teacher` is {self.teacher or 'not given'}.",
                fix="Give `teacher` an address, as https://HOST/v1, or leave `teacher_model` out.",
            )
        if self.replay:
            address_and_share(self.replay, REPLAY_SHARE)


@checked_fields
@dataclass(frozen=True)
class PreferenceConfig(ChatTraining):
    """How a model is trained on pairs of answers: the learning rate is 5e-4 for LoRA and 2e-5 for
    all weights (of rated answers 5e-5 and 1e-6), texts have at most 512 tokens. Raises ConfigError.

    >>> config = groundup.PreferenceConfig(beta=0.3)
    >>> config.highest_rate
    0.0005
    """

    # A pair has two texts, and both are kept for the backward pass.
    longest_tokens = 512
    method = "preference"

    beta: float = 0.1
    """How strongly the model is held to what it was: the higher, the less it moves."""
    sft_weight: float = 1.0
    """Weight of the chosen answers' own loss (nats a token) beside that of a pair; 0: the model
    learns which answer is better, not to write it.
    """
    answers: int = 12
    """Held-out prompts that are answered before and after the training, to be read, and to see
    whether answers become longer or shorter.
    """
    batch_size: int = 4
    """Pairs of one step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.beta < math.inf, "beta", self.beta, "above 0")
        require(0 <= self.sft_weight < math.inf, "sft_weight", self.sft_weight, "0 or more")


@checked_fields
@dataclass(frozen=True)
class EncoderConfig:
    """How an encoder of sentences is tuned on pairs of texts: the learning rate is 5e-4 for LoRA and
    2e-5 for all weights. Raises ConfigError.

    >>> config = groundup.EncoderConfig(train="all")
    >>> config.highest_rate
    2e-05
    """

    learning_rates: ClassVar[Mapping[str, float]] = {"lora": FINETUNE_LEARNING_RATE, "all": 2e-5}

    epochs: float = 3.0
    """How often all pairs are read."""
    max_tokens: int = 160
    """Texts are cut to this many tokens while training; the model reads up to its context."""
    train: Literal["lora", "all"] = "lora"
    """What is trained: lora (adapters around the matrices of the blocks, merged at the end), or all
    weights.
    """
    rank: int = 16
    """Rank of the LoRA adapters."""
    alpha: float = 32.0
    """LoRA's scale is alpha / rank."""
    pooling: Literal["", "mean", "cls"] = ""
    """What makes a vector of a text's tokens: their mean, or the first one; default: what the
    model's folder says, else mean.
    """
    query_prefix: str | None = None
    """What stands before each question or first text ("query: "); default: what the model's folder
    says, else nothing.
    """
    text_prefix: str | None = None
    """The same before each text that is found ("passage: ")."""
    batch_size: int = 32
    """Pairs of one step: the texts of the others are those that do not fit."""
    drawn: int = 16
    """Further texts of a step that do not fit, at most; those that were given for it come first."""
    learning_rate: float | None = None
    """The highest learning rate, after the warm-up; default: by what is trained."""
    precision: TrainPrecision = "auto"
    """Precision of the matrix products; auto: the faster one."""
    budget: str | None = None
    """The time from the start, in which it ends: 10m, 1h30m. Fewer pairs are read where all would
    take longer.
    """
    seed: int = 0
    """Random seed of LoRA's weights, of the held-out part and of the order of pairs."""

    def __post_init__(self) -> None:
        require_counts(self, "max_tokens", "rank")
        require(self.max_tokens >= 8, "max_tokens", self.max_tokens, "8 or more")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "2 or more")
        require(self.drawn >= 0, "drawn", self.drawn, "0 or more")
        if self.budget is not None:
            budget_s(self.budget)
        require_choices(self)
        allowed = f"above 0 and at most {MAX_EPOCHS:,}"
        require(0 < self.epochs <= MAX_EPOCHS, "epochs", self.epochs, allowed)

    @property
    def highest_rate(self) -> float:
        return self.learning_rate or self.learning_rates[self.train]


def require_loss(name: str | None, *kinds: str) -> None:
    if name is None:
        return
    from groundup.train.steps.losses import FINETUNE_LOSSES, finetune_loss

    if name not in FINETUNE_LOSSES or FINETUNE_LOSSES[name].kind not in kinds:
        finetune_loss(kinds[0], name)


def training_fields(config: Any) -> dict[str, Any]:
    """Return the fields that make a run another one, for run.json."""
    plain = to_plain(config)
    return {name: value for name, value in plain.items() if name not in OUTSIDE_FIELDS}
