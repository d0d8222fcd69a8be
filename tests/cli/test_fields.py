"""Options that are derived from the fields of a config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from groundup.cli.fields import ConfigFields, field_docstrings, grouped
from groundup.cli.usage import name_options
from groundup.config import checked_arguments, checked_fields
from groundup.errors import ConfigError


@checked_fields
@dataclass(frozen=True)
class Training:
    """A config."""

    epochs: float = 3.0
    """How often the whole
    set is read.
    """
    train: Literal["lora", "all"] = "lora"
    targets: tuple[str, ...] = ("query", "value")
    """Matrices with adapters."""
    columns: str | Mapping[str, str] = field(default_factory=dict)
    merge: bool = False
    rate: float | None = None


NAMES = ("epochs", "train", "targets", "columns", "merge")
HIDDEN = Training(rate=0.5)


def run(*words: str) -> tuple[int, list[Training], str]:
    made: list[Training] = []
    app = typer.Typer()

    @app.command()
    @grouped()
    def command(
        training: Annotated[Training, ConfigFields(*NAMES, train={"option": "--learns"})] = HIDDEN,
    ) -> None:
        made.append(training)

    result = CliRunner().invoke(app, words)
    return result.exit_code, made, result.output


def test_options_have_the_fields_names_types_and_defaults() -> None:
    assert run()[1] == [HIDDEN]
    words = ("--epochs", "2", "--learns", "all", "--targets", "key, up", "--merge")
    (made,) = run(*words, "--columns", "prompt=question")[1]
    assert made == Training(2.0, "all", ("key", "up"), "prompt=question", merge=True, rate=0.5)
    assert run("--learns", "none")[0] == 2
    assert run("--rate", "1")[0] == 2


def test_help_is_the_docstring_below_the_field() -> None:
    assert field_docstrings(Training)["epochs"] == "How often the whole set is read."
    assert "How often the whole set is read." in " ".join(run("--help")[2].split())


def test_messages_name_the_options_of_the_verb() -> None:
    options = {"epochs": "--epochs", "train": "--learns"}
    text = "epochs must be above 0, or `train` and `rate` say otherwise."
    assert (
        name_options(text, options)
        == "--epochs must be above 0, or --learns and `rate` say otherwise."
    )


def test_unknown_and_wrong_fields_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"Training has no argument 'epoch'. Did you mean 'epochs'"
    ):
        Training(epoch=2)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"Training: merge must be True or False \(got 3\)"):
        Training(merge=3)  # type: ignore[arg-type]


def test_a_field_given_as_an_argument_is_answered_with_its_config() -> None:
    @checked_arguments
    def train(config: Training = HIDDEN) -> None: ...

    with pytest.raises(ConfigError) as error:
        train(epochs=2)  # type: ignore[call-arg]
    assert error.value.fix == "Write config=Training(epochs=...)."
    with pytest.raises(ConfigError, match="train: config must be a?"):
        train({"epochs": 2})  # type: ignore[arg-type]
