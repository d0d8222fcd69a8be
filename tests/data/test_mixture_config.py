"""Shares of sources: by weights, by temperature, as they come; what can't be meant is one sentence."""

import pytest

from groundup.data.batches.mixture_config import (
    MixtureConfig,
    mixture_config,
    parse_mixture,
    short_names,
    weights_of,
)
from groundup.data.reading.source_files import Source
from groundup.errors import ConfigError

THERE = {"texts/letters": 100, "hf:me/books": 10_000, "songs.txt": 900}


def test_shares_by_weight_do_not_depend_on_sizes() -> None:
    shares = MixtureConfig({"letters": 2, "hf:me/books": 1, "songs": 1}).shares(THERE)
    assert shares == {"texts/letters": 0.5, "hf:me/books": 0.25, "songs.txt": 0.25}


def test_temperature_goes_from_proportional_to_equal() -> None:
    one, two, many = (MixtureConfig(temperature=value).shares(THERE) for value in (1.0, 2.0, 1e9))
    assert [round(share, 4) for share in one.values()] == [0.0091, 0.9091, 0.0818]
    assert [share / two["texts/letters"] for share in two.values()] == pytest.approx(
        [1, 10, 3]
    )  # square roots
    assert list(many.values()) == pytest.approx([1 / 3] * 3)
    assert sum(MixtureConfig(temperature=1e-3).shares({"a": 10**12, "b": 1}).values()) == 1, (
        "nothing overflows"
    )


def test_sources_are_called_by_the_last_part_of_their_address() -> None:
    assert short_names(THERE) == {
        "texts/letters": "letters",
        "hf:me/books": "books",
        "songs.txt": "songs",
    }
    assert short_names(["a/x", "b/x", "."]) == {"a/x": "a/x", "b/x": "b/x", ".": "."}, (
        "where that tells them apart"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("letters", "no mixture 'letters'"),
        ("letters=much", "'letters=much' in the mixture gives no number"),
        ("letters=1,letters=2", "names 'letters' twice"),
        ("letters=-1", "weight of letters must be 0 or more, and finite"),
        ("letters=inf", "weight of letters must be 0 or more, and finite"),
        ("letters=0,books=0", "All weights of the mixture are 0"),
        ("temperature=0", "temperature must be above 0 and finite"),
        ("", "no mixture ''"),
    ],
)
def test_a_mixture_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_mixture(text)


def test_weights_must_be_of_the_sources_that_are_there() -> None:
    with pytest.raises(ConfigError, match="no source 'leters'") as raised:
        weights_of({"leters": 1}, THERE)
    assert raised.value.fix == "Did you mean 'letters'?"
    with pytest.raises(ConfigError, match="gives no weight to songs"):
        weights_of({"letters": 1, "books": 1}, THERE)
    with pytest.raises(ConfigError, match="names 'letters' twice"):
        weights_of({"letters": 1, "texts/letters": 2}, THERE)
    with pytest.raises(ConfigError, match="weights or a temperature, not both"):
        MixtureConfig({"letters": 1}, temperature=2)


def test_the_weights_of_a_list_are_the_mixture_unless_another_is_asked_for() -> None:
    plain, listed = [Source("a"), Source("b")], [Source("a", weight=3), Source("b", name="poems")]
    assert mixture_config(None, None, plain).as_they_come
    assert mixture_config(None, None, listed) == MixtureConfig({"a": 3, "poems": 1})
    assert mixture_config("proportional", None, listed).as_they_come
    assert mixture_config({"a": 1, "poems": 1}, 4, listed) == MixtureConfig(
        {"a": 1, "poems": 1}, max_epochs=4
    )
    with pytest.raises(ConfigError, match="no source 'poem'"):  # before any text is read
        mixture_config("a=1,poem=1", None, listed)
    with pytest.raises(ConfigError, match="max_epochs_per_source must be above 0"):
        mixture_config(None, 0, plain)
