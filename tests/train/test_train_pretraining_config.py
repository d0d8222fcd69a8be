"""Pretraining's own defaults: each optimizer's, and what is said goes before them."""

import pytest

from groundup.errors import ConfigError
from groundup.train.steps.config import FitConfig, pretraining_config


def test_an_optimizer_brings_its_own_rates_and_schedule_and_what_is_said_goes_first() -> None:
    assert pretraining_config(10, {"optimizer": "adamw"}) == FitConfig(10)
    muon = pretraining_config(10, {"muon_momentum": 0.5})
    assert (muon.optimizer, muon.schedule, muon.lowest_learning_rate, muon.muon_momentum) == (
        "muon",
        "wsd",
        0.0,
        0.5,
    )
    assert pretraining_config(10, {"schedule": "cosine"}).learning_rate == muon.learning_rate


def test_an_unknown_optimizer_or_field_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="optimizer"):
        pretraining_config(10, {"optimizer": "adam"})
    with pytest.raises(ConfigError, match="learning_rat"):
        pretraining_config(10, {"learning_rat": 1.0})
