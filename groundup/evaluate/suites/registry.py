"""All suites by name."""

from collections.abc import Sequence

from groundup.errors import ConfigError, did_you_mean
from groundup.evaluate.suite import Suite
from groundup.evaluate.suites.real import REAL
from groundup.evaluate.suites.written import WRITTEN

SUITES: dict[str, Suite] = {suite.name: suite for suite in (*WRITTEN, *REAL)}


def suites_named(names: Sequence[str]) -> list[Suite]:
    """Return suites by name; "written" stands for all that are packaged.

    Raises ConfigError for an unknown one.
    """
    found: dict[str, Suite] = {}
    for name in names:
        if name == "written":
            found.update({suite.name: suite for suite in WRITTEN})
        elif name in SUITES:
            found[name] = SUITES[name]
        else:
            fix = did_you_mean(name, [*SUITES, "written"])
            raise ConfigError(f"`tasks` {name!r} is unknown.", fix=fix)
    return list(found.values())
