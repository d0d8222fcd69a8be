"""Steps over documents, opt-in: each keeps a document, changes it, or drops it with a reason. Those
of a kind run as they are named (the table of steps: docs/processing.md).

RAW_STEPS see a document as it is read, before cleaning removes what they look for; CLEAN_STEPS see
it cleaned; FILE_STEPS run when all documents are read (`file_steps`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from groundup.data.clean import clean
from groundup.data.processing.decontamination import DecontaminationConfig
from groundup.data.processing.languages import UNKNOWN, can_detect, language_of, parse_languages
from groundup.data.processing.languages import reason_to_drop as other_language
from groundup.data.processing.near_duplicates import NearDuplicateConfig
from groundup.data.processing.personal_data import KINDS, check_kinds, reason_to_drop, replace
from groundup.data.processing.quality_rules import judge, rules_named
from groundup.data.processing.repair import remove_repeated_lines, repair
from groundup.errors import ConfigError, did_you_mean

REPAIR, REPEATED_LINES = RAW_STEPS = ("repair", "repeated-lines")
LANGUAGES, RULES, PERSONAL_DATA = CLEAN_STEPS = ("languages", "rules", "personal-data")
NEAR_DUPLICATES, DECONTAMINATE = FILE_STEPS = ("near-duplicates", "decontaminate")
STEPS = (*RAW_STEPS, *CLEAN_STEPS, *FILE_STEPS)
# What the steps need that go by an option.
EXAMPLES = {
    RULES: "`rules` web",
    LANGUAGES: "`languages` en",
    DECONTAMINATE: "`decontaminate` questions.jsonl",
}


@dataclass(frozen=True)
class ProcessConfig:
    """The steps and their options.

    An option of `rules`, `languages` or `decontaminate` alone turns its step on.
    """

    steps: tuple[str, ...] = ()
    """Names, in the order in which they run; those over all documents are after the others."""
    rules: tuple[str, ...] = ()
    """Sets of quality rules (web, books, code) or single ones."""
    languages: tuple[str, ...] = ()
    """Languages that are kept, as two-letter codes; documents of unknown language are kept, too."""
    personal_data: Literal["replace", "drop"] = "replace"
    """Personal data is replaced by a mark, or its document is dropped."""
    personal_data_kinds: tuple[str, ...] = KINDS
    """Kinds of personal data that are looked for."""
    decontaminate: tuple[str, ...] = ()
    """Files of what will be evaluated on."""
    near_duplicates: NearDuplicateConfig = field(default_factory=NearDuplicateConfig)
    decontamination: DecontaminationConfig = field(default_factory=DecontaminationConfig)

    def __post_init__(self) -> None:
        for name in self.steps:
            if name not in STEPS:
                raise ConfigError(
                    f"There is no step {name!r}.",
                    fix=f"{did_you_mean(name, STEPS)} They are {', '.join(STEPS)}.",
                )
            if self.steps.count(name) > 1:
                raise ConfigError(f"The step {name} is named twice.", fix="Name it once.")
        for name, example in EXAMPLES.items():
            if name in self.steps and not self._given[name]:
                raise ConfigError(
                    f"The step {name} has nothing to go by.", fix=f"Say what: {example}."
                )
        rules_named(self.rules)
        if self.languages:
            parse_languages(",".join(self.languages))
        check_kinds(self.personal_data_kinds)

    @property
    def _given(self) -> dict[str, tuple[str, ...]]:
        """The options that turn their step on."""
        return {RULES: self.rules, LANGUAGES: self.languages, DECONTAMINATE: self.decontaminate}

    @property
    def names(self) -> tuple[str, ...]:
        """The steps that run, in order."""
        given = [name for name, values in self._given.items() if values and name not in self.steps]
        named = [*self.steps, *sorted(given, key=STEPS.index)]
        groups = (RAW_STEPS, CLEAN_STEPS, FILE_STEPS)
        return tuple(name for group in groups for name in named if name in group)

    @property
    def file_steps(self) -> tuple[str, ...]:
        """Those that see all documents."""
        return tuple(name for name in self.names if name in FILE_STEPS)


def process_fields(
    process: str | Sequence[str] = (),
    rules: str | Sequence[str] = (),
    languages: str | Sequence[str] = (),
    decontaminate: Sequence[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Return the fields of ProcessConfig that a user gives, those that are named as one text split
    at commas.

    >>> process_fields("repair, near-duplicates", languages=["en"])
    {'steps': ('repair', 'near-duplicates'), 'languages': ('en',)}
    """
    given = {
        "steps": _split_names(process),
        "rules": _split_names(rules),
        "languages": _split_names(languages),
        "decontaminate": tuple(map(str, decontaminate or ())),
    }
    return {name: value for name, value in given.items() if value}


def _split_names(names: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        names = names.split(",")
    return tuple(filter(None, map(str.strip, names)))


def depends_on(config: ProcessConfig) -> dict[str, str]:
    """Return what beside the config the result of these steps depends on: rules for English pass
    over texts known to be in another language.
    """
    if not config.rules:
        return {}
    return {"languages detected": str(can_detect())}


@dataclass(frozen=True)
class Processed:
    text: str
    changes: Counter[str] = field(default_factory=Counter)
    """What was changed: kind -> number."""
    reason: str | None = None
    """Why the document is dropped; None: it is kept."""


Step = Callable[[str], Processed]


def document_steps(config: ProcessConfig) -> list[Step]:
    """Return the steps that see one document at a time, cleaning among them.

    Raises MissingExtra (extra `clean`).
    """
    makers: dict[str, Callable[[ProcessConfig], Step]] = {
        REPAIR: lambda _: _repair,
        REPEATED_LINES: lambda _: _repeated_lines,
        LANGUAGES: _languages,
        RULES: _rules,
        PERSONAL_DATA: _personal_data,
    }
    before, after = (
        [makers[name](config) for name in config.names if name in names]
        for names in (RAW_STEPS, CLEAN_STEPS)
    )
    return [*before, cleaning, *after]


def run_steps(
    text: str, steps: Sequence[Step], changed: Callable[[Counter[str], str, str], None]
) -> Processed:
    """Return what the steps make of a text; `changed` gets the changes of each, the text before and
    the text after.
    """
    changes: Counter[str] = Counter()
    for step in steps:
        made = step(text)
        if made.changes:
            changed(made.changes, text, made.text)
            changes += made.changes
            text = made.text
        if made.reason:
            return Processed(text, changes, made.reason)
    return Processed(text, changes)


def cleaning(text: str) -> Processed:
    cleaned = clean(text)
    return Processed(cleaned.text, cleaned.changes)


def _repair(text: str) -> Processed:
    repaired = repair(text)
    return Processed(repaired.text, repaired.changes)


def _repeated_lines(text: str) -> Processed:
    return Processed(*remove_repeated_lines(text))


def _languages(config: ProcessConfig) -> Step:
    return lambda text: Processed(text, reason=other_language(text, config.languages))


def _rules(config: ProcessConfig) -> Step:
    rules, detects = rules_named(config.rules), can_detect()

    def step(text: str) -> Processed:
        language, reason = UNKNOWN, None
        if detects:
            language = language_of(text)
        judged = judge(text, rules, language=language)
        removed = judged.removed_lines.items()
        changes = Counter({f"lines removed by {rule}": count for rule, count in removed})
        if judged.reason:
            reason = f"rule {judged.reason}"
        return Processed(judged.text, changes, reason)

    return step


def _personal_data(config: ProcessConfig) -> Step:
    def step(text: str) -> Processed:
        if config.personal_data == "drop":
            return Processed(text, reason=reason_to_drop(text, config.personal_data_kinds))
        replaced = replace(text, config.personal_data_kinds)
        counts = {f"{kind} replaced": count for kind, count in replaced.counts.items()}
        return Processed(replaced.text, Counter(counts))

    return step
