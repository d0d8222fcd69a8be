"""Pretraining's own defaults: each optimizer's, and what is said goes before them."""

import pytest

from groundup.errors import ConfigError
from groundup.train.optimizers.adamw import AdamW
from groundup.train.optimizers.muon import Muon
from groundup.train.steps.config import (
    BIGRAM_RATE_SHARE,
    FitConfig,
    Schedule,
    pretraining_config,
)


def test_an_optimizer_brings_its_own_rates_and_schedule_and_what_is_said_goes_first() -> None:
    assert pretraining_config(10, {"optimizer": "adamw"}) == FitConfig(10)
    muon = pretraining_config(10, {"optimizer": {"momentum": 0.5}})
    assert muon.optimizer == Muon(momentum=0.5)
    assert muon.schedule == Schedule("wsd", min_learning_rate=0.0)
    assert pretraining_config(10, {"schedule": "cosine"}).schedule.name == "cosine"


def test_tables_by_bigrams_are_changed_more_slowly_by_muon_unless_a_rate_is_given() -> None:
    fields = {"initial_tables": "bigrams"}
    assert pretraining_config(10, fields).optimizer == Muon(
        learning_rate=BIGRAM_RATE_SHARE * Muon.learning_rate
    )
    given = pretraining_config(10, {**fields, "optimizer": {"learning_rate": 0.5}})
    assert given.optimizer.learning_rate == 0.5
    adamw = pretraining_config(10, {**fields, "optimizer": "adamw"})  # its rate is that of all
    assert adamw.optimizer == AdamW()


def test_an_unknown_optimizer_or_field_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="optimizer"):
        pretraining_config(10, {"optimizer": "adam"})
    with pytest.raises(ConfigError, match="learning_rat"):
        pretraining_config(10, {"learning_rat": 1.0})
