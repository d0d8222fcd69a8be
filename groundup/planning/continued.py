"""Continued pretraining: the defaults that a starting model brings, what can't be asked for beside
it, and the shares of replayed text.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.data.batches.shards import ShardSet
from groundup.data.reading.sources import read_sources
from groundup.errors import ConfigError
from groundup.planning.scaling_law import (
    CONTINUED_RATE_SHARE,
    REPLAY_SHARE,
    learning_rate_for,
)
from groundup.train.starting_model import StartingModel
from groundup.train.steps.config import optimizer_fields, pretraining_config

# Public models were trained with it, and Muon gains nothing on them (Liu et al. 2025, "Muon is
# scalable for LLM training", section 3.5).
OPTIMIZER = "adamw"
# The only field of the shape that can be set: rows may be shorter than the model's context.
OWN_FIELD = "context_tokens"


def start_fields(start: StartingModel, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `fields` of FitConfig that are set, with those that follow from the starting
    model. Raises ConfigError.

    The learning rate is a tenth of that for random weights (see `scaling.CONTINUED_RATE_SHARE`).
    """
    given = optimizer_fields(fields)
    name = given.get("name", OPTIMIZER)
    rate = CONTINUED_RATE_SHARE * learning_rate_for(start.config.width, name)
    optimizer = {
        "name": name,
        "learning_rate": float(f"{rate:.2g}"),
        **pretraining_config(1, {"optimizer": name}).optimizer.continued(CONTINUED_RATE_SHARE),
        **given,
    }
    return {"initial_weights": start.weights, **fields, "optimizer": optimizer}


def require_own_parts(
    start: StartingModel, given: Sequence[str], model_fields: Mapping[str, Any]
) -> None:
    """Refuse options and fields of the shape that the starting model decides.

    Raises ConfigError.
    """
    named = [f"`{name}`" for name in given]
    found = [*named, *(f"model.{name}" for name in model_fields if name != OWN_FIELD)]
    if found:
        raise ConfigError(
            f"{found[0]} can't be given beside `init_from`: "
            f"{start.name} has its own tokenizer and shape.",
            fix="Leave it out, or `init_from` to train a new model; of the shape only "
            f"model.{OWN_FIELD} can be set.",
        )
    rows, most = model_fields.get(OWN_FIELD, 1), start.config.context_tokens
    if not isinstance(rows, int) or not 1 <= rows <= most:
        raise ConfigError(
            f"model.{OWN_FIELD} must be 1 to {most:,}, the context of {start.name} (got {rows})."
        )


def require_its_tokens(start: StartingModel, shards: ShardSet) -> None:
    """Refuse shards of another tokenizer than the model's. Raises ConfigError."""
    if shards.tokenizer_fingerprint != start.tokenizer.fingerprint:
        raise ConfigError(
            f"The shards in {shards.folder} were made with another tokenizer than that of {start.name}.",
            fix="Name the texts or the data folder that they were made of: they are then encoded anew.",
        )


def replay_shares(replay: str | Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    """Return the share of each replayed source, by its address. Raises ConfigError for a source
    named twice.

    >>> replay_shares("hf:me/books=0.2"), replay_shares("general.txt")
    ({'hf:me/books': 0.2}, {'general.txt': 0.05})
    """
    if isinstance(replay, Mapping):
        return {str(name): float(share) for name, share in replay.items()}
    found: dict[str, float] = {}
    for each in [replay] if isinstance(replay, str) else replay:
        spec, share = _parse(str(each))
        if spec in found:
            raise ConfigError(f"{spec} is replayed twice.", fix="Give each source one share.")
        found[spec] = share
    return found


def _parse(text: str) -> tuple[str, float]:
    """Return address and share; what stands behind the last = is the address's own where it is no
    number.
    """
    spec, equals, number = text.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        return text, REPLAY_SHARE
    if not equals:
        return text, REPLAY_SHARE
    if not 0 < share < 1 or math.isnan(share):
        raise ConfigError(
            f"The share of {spec} in the replay must be above 0 and below 1 (got {number}).",
            fix="Write 0.1 for a tenth.",
        )
    return spec, share


def shares_by_title(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the shares by the names that the sources have in shards; those listed in a .toml share
    evenly. Raises ConfigError.
    """
    found: dict[str, float] = {}
    for spec, share in shares.items():
        sources = read_sources([spec])
        found |= {source.title: share / len(sources) for source in sources}
    return found
