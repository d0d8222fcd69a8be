"""What share of the tokens that a model reads comes from each source: as they come, by weights, or
by temperature (docs/processing.md; Raffel et al. 2019, "Exploring the limits of transfer learning",
section 3.5.2). Of continued training, `replay` names sources that have a share of their own; the
other sources share the rest as above.

A source is called by its name, or by the last part of its address without ending: `letters` for
my-texts/letters/, letters.txt and hf:me/letters.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError, did_you_mean, require

PROPORTIONAL, TEMPERATURE = "proportional", "temperature"
FORMS = f"Write {PROPORTIONAL}, {TEMPERATURE}=2, or a weight for each source: letters=2,books=1."


@dataclass(frozen=True)
class MixtureConfig:
    """The shares of the sources in what a run reads. Raises ConfigError."""

    weights: dict[str, float] = field(default_factory=dict)
    """The share of each source, in any unit; 0: the source is not read. {}: the shares follow from
    the temperature.
    """
    temperature: float = 1.0
    """Shares ~ tokens^(1/temperature); 1: as they come."""
    max_epochs: float | None = None
    """How often a source is read at most; the others then share its part. None: without end."""
    replay: dict[str, float] = field(default_factory=dict)
    """The share of each replayed source, by its whole name; the other sources share what is
    left.
    """

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            require(
                0 <= weight < math.inf, f"the weight of {name}", weight, "0 or more, and finite"
            )
        if self.weights and not any(self.weights.values()):
            raise ConfigError(
                "All weights of the mixture are 0: nothing would be read.", fix="Give one a weight."
            )
        require(
            0 < self.temperature < math.inf, TEMPERATURE, self.temperature, "above 0 and finite"
        )
        if self.weights and self.temperature != 1:
            raise ConfigError("A mixture has weights or a temperature, not both.", fix=FORMS)
        for name, share in self.replay.items():
            require(
                0 < share < 1, f"the share of {name} in the replay", share, "above 0 and below 1"
            )
        require(
            sum(self.replay.values()) < 1,
            "the shares of the replay",
            sum(self.replay.values()),
            "below 1 together",
        )
        most = self.max_epochs
        require(
            most is None or 0 < most < math.inf, "max_epochs_per_source", most, "above 0 and finite"
        )

    @property
    def as_they_come(self) -> bool:
        """Whether the text is read in one order, whatever source it is of."""
        return self == MixtureConfig()

    def describe(self) -> str:
        if self.replay:
            names = short_names(self.replay)
            shares = ", ".join(
                f"{100 * share:g} % {names[source]}" for source, share in self.replay.items()
            )
            return f"{replace(self, replay={}).describe()}, with a replay of {shares}"
        if self.weights:
            return "by weights"
        if self.temperature == 1:
            return "as they come"
        return f"by temperature {self.temperature:g}"

    def shares(self, tokens: Mapping[str, int]) -> dict[str, float]:
        """Return the share wanted of each source, of its tokens; they add up to 1.

        Raises ConfigError for weights of other sources.
        """
        if self.replay:
            return self._with_replay(tokens)
        if self.weights:
            weights = weights_of(self.weights, tokens)
        else:
            largest = max(tokens.values())  # so that no power overflows
            weights = {
                source: (count / largest) ** (1 / self.temperature)
                for source, count in tokens.items()
            }
        total = sum(weights.values())
        return {source: weight / total for source, weight in weights.items()}

    def _with_replay(self, tokens: Mapping[str, int]) -> dict[str, float]:
        """Return the shares of the replay, and for the other sources those of the mixture in what
        is left. Raises ConfigError.
        """
        others = {source: count for source, count in tokens.items() if source not in self.replay}
        missing = [name for name in self.replay if name not in tokens]
        if missing or not others:
            what = "All text is replayed"
            if missing:
                what = f"{missing[0]} has no training text to be replayed"
            raise ConfigError(
                f"{what}.", fix="Name the texts to learn from, and others for `replay`."
            )
        left = 1 - sum(self.replay.values())
        shares = replace(self, replay={}).shares(others)
        return {**{source: left * share for source, share in shares.items()}, **self.replay}


def parse_mixture(text: str) -> MixtureConfig:
    """Return the mixture that a command's option names. Raises ConfigError.

    >>> parse_mixture("letters=2, books=1").weights, parse_mixture("temperature=2").temperature
    ({'letters': 2.0, 'books': 1.0}, 2.0)
    """
    if text.strip() == PROPORTIONAL:
        return MixtureConfig()
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.rpartition("=")
        if not equals and "=" not in text:
            raise ConfigError(f"There is no mixture {text!r}.", fix=FORMS)
        try:
            value = float(number)
        except ValueError as error:
            raise ConfigError(
                f"{part.strip()!r} in the mixture gives no number.", fix=FORMS
            ) from error
        if name.strip() in found:
            raise ConfigError(
                f"The mixture names {name.strip()!r} twice.", fix="Give each source one weight."
            )
        found[name.strip()] = value
    if list(found) == [TEMPERATURE]:
        return MixtureConfig(temperature=found[TEMPERATURE])
    return MixtureConfig(found)


def mixture_config(
    mixture: str | Mapping[str, float] | None,
    max_epochs: float | None,
    sources: Sequence[Source] = (),
    replay: Mapping[str, float] | None = None,
) -> MixtureConfig:
    """Return the mixture of a run: as asked for, or by the weights of its sources.

    Raises ConfigError, also for weights of other `sources`.
    """
    if isinstance(mixture, str):
        found = parse_mixture(mixture)
    elif mixture is not None:
        found = MixtureConfig({name: float(weight) for name, weight in mixture.items()})
    else:
        found = MixtureConfig(source_weights(sources))
    if len(sources) > 1 and found.weights:
        weights_of(found.weights, [source.title for source in sources])
    return MixtureConfig(found.weights, found.temperature, max_epochs, dict(replay or {}))


def source_weights(sources: Sequence[Source]) -> dict[str, float]:
    """Return the weights of the sources; {} where none has one, so that they are read as they
    come.
    """
    weights = {source.title: source.weight for source in sources}
    if all(weight == Source.weight for weight in weights.values()):
        return {}
    return weights


def short_names(sources: Iterable[str]) -> dict[str, str]:
    """Return how each source is called: the last part of its address without ending, where no other
    has the same.

    >>> short_names(["texts/letters/", "hf:me/books", "tales.txt"])
    {'texts/letters/': 'letters', 'hf:me/books': 'books', 'tales.txt': 'tales'}
    """
    last_parts = {source: source.rstrip("/").rpartition("/")[2] for source in sources}
    short = {source: part.partition(".")[0] or source for source, part in last_parts.items()}
    last = list(short.values())
    for source, name in short.items():
        if last.count(name) > 1:
            short[source] = source
    return short


def weights_of(weights: Mapping[str, float], sources: Iterable[str]) -> dict[str, float]:
    """Return the weight of each source by its whole name.

    Raises ConfigError for an unknown name, and for a source without a weight.
    """
    names = short_names(sources)
    whole = {short: source for source, short in names.items()} | dict(
        zip(names, names, strict=True)
    )
    found: dict[str, float] = {}
    for name, weight in weights.items():
        if name not in whole:
            known = list(names.values())
            raise ConfigError(
                f"There is no source {name!r} to be mixed.", fix=did_you_mean(name, known)
            )
        if whole[name] in found:
            raise ConfigError(
                f"The mixture names {names[whole[name]]!r} twice.",
                fix="Give each source one weight.",
            )
        found[whole[name]] = weight
    missing = [short for source, short in names.items() if source not in found]
    if missing:
        fix = f"Give it one, or leave it out: {missing[0]}=0."
        raise ConfigError(f"The mixture gives no weight to {', '.join(missing[:5])}.", fix=fix)
    return {source: found[source] for source in names}
