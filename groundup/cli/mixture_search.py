"""`groundup plan --mixture search`: which shares of the sources, and which processing steps, lower
the loss on a target.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli import options
from groundup.cli.console import console_progress, in_browser, print_result, table
from groundup.errors import ConfigError
from groundup.planning.pretrain_config import PretrainConfig
from groundup.research.mixture.config import MixtureSearchConfig

if TYPE_CHECKING:
    from groundup.planning.pretrain_options import AnyData
    from groundup.research.mixture.results import MixtureResults

SEARCH = "search"


@dataclass(frozen=True)
class SearchOptions:
    """What a search takes beside the options of a plan."""

    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=options.folder_to_write,
            help="With --mixture search: the folder to write.",
        ),
    ] = None
    target: Annotated[
        str | None,
        Option(
            "--target",
            metavar="SOURCE",
            help="With --mixture search: the source, or other text, whose loss is to fall; "
            "default: the validation text of all.",
        ),
    ] = None
    proxies: Annotated[
        int | None, Option("--proxies", help="With --mixture search: number of proxy runs.")
    ] = None
    proxy_steps: Annotated[
        int | None,
        Option(
            "--proxy-steps",
            help="With --mixture search: steps of a proxy run, instead of --budget.",
        ),
    ] = None
    seeds: Annotated[
        int, Option("--seeds", help="With --mixture search: seeds of the last comparison.")
    ] = MixtureSearchConfig.seeds
    fresh: Annotated[
        bool, Option("--fresh", help="With --mixture search: start again from the beginning.")
    ] = False

    def config(self, budget: str | None, asked: PretrainConfig) -> MixtureSearchConfig:
        """Raises ConfigError for options of a plan that a search does not take."""
        length = {"minutes": asked.minutes, "steps": asked.steps, "tokens": asked.tokens}
        given = {
            **length,
            "epochs": asked.epochs,
            "law": asked.law,
            "packing or stride": asked.rows,
        }
        given |= {"from": asked.start.init_from, "cut-from": asked.start.cut_from}
        others = [f"--{name}" for name, value in given.items() if value is not None]
        if others:
            raise ConfigError(
                f"--mixture search does not take {others[0]}.",
                fix="Give the time of search and training together: --budget 30m.",
            )
        return MixtureSearchConfig(
            budget=budget,
            target=self.target,
            proxies=self.proxies,
            proxy_steps=self.proxy_steps,
            seeds=self.seeds,
            max_epochs_per_source=asked.mixture.max_epochs_per_source,
            model=asked.model,
            texts=asked.texts,
            settings=asked.settings,
            seed=asked.seed,
        )

    def require_search(self) -> None:
        """Raises ConfigError where one is given without a search."""
        given = [
            name for name, value in vars(self).items() if value != getattr(SearchOptions, name)
        ]
        if given:
            raise ConfigError(
                f"--{given[0].replace('_', '-')} is for --mixture search.",
                fix="Leave it out, or add --mixture search.",
            )


def show_search(
    data: "AnyData", config: MixtureSearchConfig, options: SearchOptions, device: str, as_json: bool
) -> None:
    """Search and print what was found. Raises ConfigError."""
    from groundup.api.training import search_mixture
    from groundup.research.mixture.search import PAGE_FILE

    if options.out is None:
        raise ConfigError("A search keeps its runs in a folder.", fix="Name it: --out runs/mixture")
    found = search_mixture(
        data, options.out, config, device=device, fresh=options.fresh, progress=console_progress()
    )
    page = options.out / PAGE_FILE
    value = {**found.to_plain(), "page": str(page)}
    print_result([*_lines(found), "", f"page: {in_browser(page)}"], value, as_json)


def _lines(found: "MixtureResults") -> list[str]:
    from groundup.research.results import difference_words

    rows = [
        [
            each.name,
            f"{each.tokens:,}",
            *(f"{share:.1%}" for share in (each.proportional, each.found, each.most)),
            f"{each.epochs:.2f}",
        ]
        for each in found.sources
    ]
    head = ["source", "tokens", "proportional", "found", "at most", "epochs"]
    lines = [*table(head, rows), ""]
    lines.append(
        f"surface: {found.form}, leave-one-out error {found.leave_one_out:.3f} bits per byte "
        f"({len(found.proxies)} runs with a standard deviation of {found.spread:.3f})"
    )
    taken = {True: "taken", False: "not taken"}
    for step in found.steps:
        effect = difference_words(step.effect)
        lines.append(f"step {step.name}: {effect}, {taken[step.chosen]}")
    comparison = found.comparison
    assert comparison is not None
    said = difference_words(comparison.difference)
    lines.append(f"found against proportional ({len(comparison.seeds)} seeds): {said}")
    if not found.better:
        lines.append("Proportional shares are kept: the interval of the difference is not below 0.")
    return [*lines, "", f"next: {found.next_command}", "", "In a recipe:", found.recipe]
