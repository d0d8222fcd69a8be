"""The run that a mixture is for: its command, and what a recipe says for it."""

import shlex

from groundup.data.processing.steps import RULES, ProcessConfig
from groundup.data.reading.data import Data
from groundup.planning.pretrain_options import PretrainOptions
from groundup.research.mixture.results import MixtureResults

OUT = "runs/mine"


def next_command(options: PretrainOptions, results: MixtureResults, tokens: int) -> str:
    """`groundup pretrain` for what is left of the budget, or for so many tokens."""
    words = ["groundup", "pretrain", *options.data, "--out", OUT]
    if results.budget_s is None:
        words += ["--tokens", str(tokens)]
    else:
        left_s = max(results.budget_s - results.processor_s, 3.0)
        words += ["--minutes", f"{left_s / 60:.1f}"]
    words += ["--mixture", results.mixture]
    return shlex.join([*words, *_processing(options, results), *_reading(options)])


def _processing(options: PretrainOptions, results: MixtureResults) -> list[str]:
    """What was asked for, and the steps that were found."""
    texts, words = options.config.texts, []
    steps = [each for each in results.process if each != RULES]
    rules = ["web"] * (RULES in results.process)
    given = {
        "process": [*_names(texts.process), *steps],
        "rules": [*_names(texts.rules), *rules],
        "languages": _names(texts.languages),
    }
    for option, names in given.items():
        if names:
            words += [f"--{option}", ",".join(names)]
    for file in texts.decontaminate or ():
        words += ["--decontaminate", str(file)]
    if texts.tokenizer is not None:
        words += ["--tokenizer", str(texts.tokenizer)]
    if texts.test_fraction is not None:
        words += ["--test-fraction", f"{texts.test_fraction:g}"]
    return words


def _names(given: object) -> list[str]:
    if isinstance(given, str):
        given = given.split(",")
    return [str(name).strip() for name in given or () if str(name).strip()]  # type: ignore[attr-defined]


def _reading(options: PretrainOptions) -> list[str]:
    data, words = options.tables["data"], []
    for name, option in (("text", "--text-column"), ("charset", "--charset")):
        if data.get(name, getattr(Data, name)) != getattr(Data, name):
            words += [option, str(data[name])]
    if data.get("follow_links"):
        words.append("--follow-links")
    settings = options.config.settings or ()
    if isinstance(settings, dict):
        settings = [f"{name}={value}" for name, value in settings.items()]
    for setting in settings:
        words += ["--set", str(setting)]
    return words


def recipe_tables(process: ProcessConfig, mixture: str) -> str:
    """As TOML."""
    lines = ["[pretrain]", f'mixture = "{mixture}"']
    named = {"steps": process.steps, "rules": process.rules}
    if any(named.values()):
        lines += ["", "[data.process]"]
    for name, values in named.items():
        if values:
            listed = ", ".join(f'"{value}"' for value in values)
            lines.append(f"{name} = [{listed}]")
    return "\n".join(lines)
