"""What is asked of a build besides its recipe, `groundup.build(recipe, out, BuildConfig(...))`; what the
package brings: recipes that go by a name, and the starter set of instructions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.config import Settings, checked_fields


@checked_fields
@dataclass(frozen=True)
class BuildConfig:
    """What is asked of a build besides its recipe. Raises ConfigError for an unknown field.

    >>> config = groundup.BuildConfig(budget="30m", added=["chat"])
    >>> config.budget
    '30m'
    """

    budget: str | None = None
    """Wall time of the whole build: 3m, 10m, 1h; default: the recipe's."""
    seed: int | None = None
    """Random seed; default: the recipe's."""
    base: str | None = None
    """The public model that is fine-tuned: a name that `groundup pull` knows, or a model folder;
    default: the recipe's."""
    added: Sequence[str] = ()
    """Stages of quickstart that are made of a public model besides: spam (a filter of SMS), chat."""
    teach: bool = False
    """Continue the training of the public model on the texts before it learns to chat."""
    follow_links: bool = False
    """Follow links that leave the folder of texts."""
    redo: Sequence[str] = ()
    """Stages that are done again."""
    settings: Settings | None = None
    """Fields of the recipe: {"pretrain.learning_rate": 0.002}, or as --set takes them."""


PACKAGED = Path(__file__).parent
STARTER = "starter"
RUNS = Path("runs")
"""Where builds are written, below the working directory."""


def packaged_recipes() -> dict[str, Path]:
    """Recipes that go by a name."""
    return {path.stem: path for path in sorted(PACKAGED.glob("*.toml"))}


def instructions_source(spec: str) -> str:
    if spec == STARTER:
        return str(PACKAGED / STARTER)
    return spec


def licence_of(spec: str) -> str:
    if spec == STARTER:
        return "Apache-2.0, written for groundup"
    return "the user's own"
