"""The registry of switches: each is a change that `groundup pretrain --set` accepts, and what can't be one is a sentence."""

import pytest

from groundup.config import build_config, to_plain
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.presets import preset
from groundup.planning.pretrain_config import set_tables
from groundup.research.switches import _KNOWN, SWITCHES, Switch, chosen_switches, joined
from groundup.train.steps.config import pretraining_config


def test_no_name_stands_twice_in_the_registry() -> None:
    assert len(SWITCHES) == len(_KNOWN)


@pytest.mark.parametrize("switch", _KNOWN, ids=lambda switch: switch.name)
def test_a_switch_changes_the_recipe_by_settings_that_pretraining_knows(switch: Switch) -> None:
    tables = set_tables(switch.settings)
    base, shape = pretraining_config(1000), preset("quickstart")
    values = {**to_plain(shape), "head_width": 0, **tables["model"]}
    changed = (pretraining_config(1000, tables["fit"]), build_config(ModelConfig, values))
    assert changed != (base, shape)


def test_an_unknown_switch_is_told_with_the_nearest_and_none_is_given_twice() -> None:
    with pytest.raises(ConfigError, match="no switch 'untide'. Did you mean 'untied'"):
        chosen_switches(["untide"])
    with pytest.raises(ConfigError, match="'cosine' is given twice"):
        chosen_switches(["cosine", "untied", Switch("cosine", "x", settings=("fit.seed=1",))])
    assert chosen_switches(()) == _KNOWN


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("Two Words", ("fit.seed=1",), "must be of lower case letters, digits and hyphens"),
        ("baseline", ("fit.seed=1",), "and not 'baseline'"),
        ("../up", ("fit.seed=1",), "must be of lower case letters"),
        ("none", (), "must be one or more"),
        ("texts", ("data.test_fraction=0",), "with a field of fit. or model."),
        ("bare", ("fit.seed",), "must be FIELD=VALUE"),
    ],
)
def test_what_is_no_switch_is_refused(name: str, settings: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Switch(name, "x", settings=settings)


def test_switches_of_one_field_do_not_go_together() -> None:
    low, high = SWITCHES["matrix-rate-low"], SWITCHES["matrix-rate-high"]
    adamw, untied = SWITCHES["adamw"], SWITCHES["untied"]
    assert joined([high, low, untied]) == (high, untied)
    assert joined([adamw, high]) == (adamw,)
    assert joined([high, adamw]) == (high,)
