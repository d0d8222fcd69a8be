"""The sources in a plan: of each what is there, what is wanted and what is read, as a table for
people, and which will be memorised.
"""

from collections.abc import Sequence

from groundup.data.batches.mixture import SourceReading
from groundup.data.batches.mixture_config import MixtureConfig
from groundup.planning import scaling_constants

# More lines would hide the rest of a plan: of the others, the sum.
SHOWN = 20
# A source that is read this many times as often as the whole text has its own warning; below, that
# of the whole says it.
MORE_OFTEN = 1.5
HEAD = ("", "tokens", "there", "wanted", "read", "epochs")


def mixture_line(config: MixtureConfig) -> str:
    """Return the mixture in a few words."""
    if config.max_epochs is None:
        return config.describe()
    return f"{config.describe()}, each read {config.max_epochs:g} times at most"


def source_lines(sources: Sequence[SourceReading]) -> list[str]:
    """Return the table of the sources; no lines for none. Of many, those that are read most."""
    if not sources:
        return []
    total = max(1, sum(each.read_tokens for each in sources))
    shown = sorted(sources, key=lambda each: -each.read_tokens)[:SHOWN]
    rows = [
        (
            each.name,
            f"{each.tokens:,}",
            *map(_percent, (each.share, each.wanted, each.read_tokens / total)),
            f"{each.epochs:.2f}",
        )
        for each in shown
    ]
    widths = [max(len(row[column]) for row in (HEAD, *rows)) for column in range(len(HEAD))]
    lines = []
    for name, *numbers in (HEAD, *rows):
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    if len(sources) > SHOWN:
        lines.append(f"and {len(sources) - SHOWN} more")
    return [" " * 12 + line for line in lines]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def source_warnings(sources: Sequence[SourceReading], epochs: float) -> list[str]:
    """Return a warning for the sources that are read much more often than the whole text
    (`epochs`).
    """
    often = [
        each
        for each in sources
        if each.epochs > max(scaling_constants.HARMLESS_EPOCHS, MORE_OFTEN * epochs)
    ]
    if not often:
        return []
    named = ", ".join(
        f"{each.name} ({each.tokens:,} tokens) {each.epochs:.0f} times" for each in often[:SHOWN]
    )
    return [
        f"The run reads {named}: after about {scaling_constants.HARMLESS_EPOCHS} times repeated "
        "text teaches little (Muennighoff et al. 2023), and a source this small will be "
        "memorised. Lower its weight, limit it with --max-epochs-per-source, or add text of its "
        "kind."
    ]
