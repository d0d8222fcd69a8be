"""The config of questions that are made from documents: `QuestionsConfig`. Comes without torch."""

from dataclasses import dataclass

from groundup.config import checked_fields
from groundup.errors import ConfigError, did_you_mean, require
from groundup.retrieve.question_kinds import KINDS

# The sentence that answers must be among so many.
FEW = 3
QUESTIONS = 200


@checked_fields
@dataclass(frozen=True)
class QuestionsConfig:
    """Which questions are made. Raises ConfigError.

    >>> config = groundup.QuestionsConfig(count=50)
    >>> config.few
    3
    """

    count: int = QUESTIONS
    """At most this many are kept."""
    kinds: tuple[str, ...] = ()
    """Only these kinds (docs/questions.md lists them); default: all."""
    few: int = FEW
    """The sentence that answers must be among the first so many that are found."""
    seed: int = 0
    """Draws which sentences are asked about, where there are more than enough."""

    def __post_init__(self) -> None:
        require(1 <= self.count <= 100_000, "count", self.count, "1 to 100,000")
        require(1 <= self.few <= 50, "few", self.few, "1 to 50")
        for name in self.kinds:
            if name not in KINDS:
                fix = did_you_mean(name, KINDS)
                raise ConfigError(f"There is no kind of question {name!r}.", fix=fix)
