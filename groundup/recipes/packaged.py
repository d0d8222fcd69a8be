"""What the package brings: recipes that go by a name, and the starter set of instructions; and
where builds are written.
"""

from pathlib import Path

PACKAGED = Path(__file__).parent
STARTER = "starter"
RUNS = Path("runs")
"""Where builds are written, below the working directory."""


def packaged_recipes() -> dict[str, Path]:
    """Recipes that go by a name."""
    return {path.stem: path for path in sorted(PACKAGED.glob("*.toml"))}


def instructions_source(spec: str) -> str:
    """Where instructions are read: the packaged set for "starter", else `spec` itself."""
    if spec == STARTER:
        return str(PACKAGED / STARTER)
    return spec


def licence_of(spec: str) -> str:
    """The licence of instructions, as a model card gives it."""
    if spec == STARTER:
        return "Apache-2.0, written for groundup"
    return "the user's own"
