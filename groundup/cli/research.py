"""`groundup research`: which change of the recipe lowers the loss in the same time."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.api.training import run_research
from groundup.cli import options, plan
from groundup.cli.console import console_progress, in_browser, print_result, table
from groundup.cli.fields import ConfigFields, grouped
from groundup.cli.plan import NO_DATA, prepared_by, read_as
from groundup.errors import ConfigError
from groundup.planning.pretrain_config import ModelShape, TextPreparation
from groundup.research.research_config import ResearchConfig

if TYPE_CHECKING:
    from groundup.research.results import ResearchResults

Tries = Annotated[
    ResearchConfig,
    ConfigFields(
        "seconds",
        "budget",
        "steps",
        "switches",
        "seeds",
        "rounds",
        "threads",
        steps={"min": 1, "max": 10**9},
        switches={"show_default": "all"},
    ),
]


@grouped()
def command(
    data: Annotated[
        list[str] | None,
        Argument(help="Token shards, a data folder, or texts: one address or more."),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        Option("--out", callback=options.folder_to_write, help="The folder to write."),
    ] = None,
    known: Annotated[bool, Option("--list", help="List the switches and do nothing else.")] = False,
    config: Tries = ResearchConfig(),
    shape: plan.Shape = ModelShape(),
    reading: plan.Reading = NO_DATA,
    texts: plan.Preparation = TextPreparation(),
    processing: options.ProcessOptions = options.ProcessOptions(),
    settings: options.SetOption = None,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = "auto",
    records: Annotated[
        Path | None,
        Option(
            "--records",
            callback=options.file_to_write,
            help="Append a row to this table of records (docs/records.md).",
        ),
    ] = None,
    fresh: options.FreshOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Try switches, each a change of the pretraining recipe, beside the baseline: the same
    processor time, the same seeds, in rounds of which the better half goes on with twice the time.

    The last round has all seeds, and the best switches together. Differences are paired by seed, on
    validation text; the test split is measured once, on the best and the baseline. What counts is
    processor time of this program, which other programs change little; on a GPU it is the clock's.

    The same command again goes on where it was stopped. OUT/research.html shows the tree of tries,
    OUT/research.jsonl has a line for each.

    Examples:
        groundup research --list
        groundup research my-texts/ --out runs/recipe --switches untied,cosine,packing --seconds 30
        groundup research my-texts/ --out runs/recipe --budget 1h --records records.md
    """
    from groundup.research.records import append_record, record_row, require_records
    from groundup.research.research import PAGE_FILE

    if known:
        _print_switches(as_json)
        return
    if not data or out is None:
        raise ConfigError("Research needs texts and a folder.", fix="Name DATA and --out OUT.")
    if records is not None:
        require_records(records)
    asked = replace(
        config,
        model=shape,
        texts=prepared_by(texts, processing),
        settings=settings,
        seed=seed,
    )
    named = read_as(data, reading)
    found = run_research(named, out, asked, device=device, fresh=fresh, progress=console_progress())
    row = record_row(found)
    if records is not None:
        row = append_record(records, found)
    page = out / PAGE_FILE
    value = {**found.to_plain(), "record": row, "page": str(page)}
    print_result([*_lines(found), "", row, "", f"page: {in_browser(page)}"], value, as_json)


def _print_switches(as_json: bool) -> None:
    from dataclasses import asdict

    from groundup.research.switches import SWITCHES

    rows = [[each.name, each.changes, " ".join(each.settings)] for each in SWITCHES.values()]
    value = [asdict(each) for each in SWITCHES.values()]
    print_result(table(["switch", "what it changes", "settings"], rows), value, as_json)


def _lines(found: "ResearchResults") -> list[str]:
    from groundup.research.results import difference_words

    last = found.rounds[-1]
    base = sum(last.baseline) / len(last.baseline)
    rows = [["baseline", f"{last.steps:,}", f"{base:.3f}", ""]]
    for each in last.tried:
        mean = sum(each.bits_per_byte) / len(each.bits_per_byte)
        rows.append(
            [
                each.name,
                f"{each.steps:,}",
                f"{mean:.3f}",
                difference_words(each.difference) or "failed",
            ]
        )
    lines = [
        *table(["last round", "steps", "bits per byte of validation", "difference"], rows),
        "",
    ]
    winner = found.winner
    if winner is None:
        return [*lines, "No switch was better than the baseline in the last round."]
    lines.append(f"best: {winner.name} ({winner.changes})")
    if found.test is not None:
        tokens = f"n = {found.test.tokens:,} tokens"
        lines.append(f"on test text, once ({tokens}): {difference_words(found.test.difference)}")
    settings = " ".join(f"--set {each}" for each in found.settings)
    return [*lines, f"settings: {settings}"]
