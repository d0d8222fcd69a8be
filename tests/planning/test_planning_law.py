"""The scaling law: its formula against hand-made numbers, its fit against numbers that are known."""

import dataclasses
import math

import pytest

from groundup.planning.scaling_law import (
    LAW,
    NOISE,
    Law,
    LossPoint,
    effective_bytes,
    effective_parameters,
    fit_law,
)

KNOWN = Law(0.8, 0.3, 0.35, 1.2, 0.4, 50e3, 0.02, (1e5, 1e8), (1e5, 1e9))
LOOSE = (3.0,) * 5


def points(law: Law, sizes: tuple[int, ...], megabytes: tuple[float, ...]) -> list[LossPoint]:
    made = [LossPoint(size, 1e6 * read, 1e12, 1e3) for size in sizes for read in megabytes]
    return [dataclasses.replace(point, bits_per_byte=law.expected(point)) for point in made]


def test_the_formula_is_that_of_the_paper() -> None:
    plain = dataclasses.replace(KNOWN, critical_batch_bytes=1e18)
    loss = plain.expected(LossPoint(4_000_000, 9e6, 1e12))
    assert loss == pytest.approx(0.8 + 0.3 / 4**0.35 + 1.2 / 9**0.4)


def test_a_fit_on_many_points_finds_the_numbers_they_were_made_with() -> None:
    made = points(KNOWN, (100_000, 1_000_000, 10_000_000, 100_000_000), (0.3, 3.0, 30.0, 300.0))
    start = dataclasses.replace(
        KNOWN, floor=0.5, of_parameters=0.5, parameters_power=0.25, of_text=1.8, text_power=0.3
    )
    found = fit_law(made, start, looseness=LOOSE)
    for name in ("floor", "of_parameters", "parameters_power", "of_text", "text_power"):
        assert getattr(found, name) == pytest.approx(getattr(KNOWN, name), rel=0.03), name
    assert found.spread == NOISE and found.parameters == (100_000, 100_000_000)


def test_a_few_points_move_the_law_towards_them_and_one_wild_run_does_not_spoil_it() -> None:
    made = points(KNOWN, (200_000, 1_000_000, 3_000_000), (1.0, 2.0, 4.0))
    far = dataclasses.replace(KNOWN, floor=0.7, of_text=1.6)
    near = [LossPoint(1_000_000, 3e6, 1e12, 1e3), LossPoint(3_000_000, 8e6, 1e12, 1e3)]
    for point in near:
        before, after = abs(math.log(far.expected(point) / KNOWN.expected(point))), 0.015
        assert (
            before
            > 2 * after
            > 2 * abs(math.log(fit_law(made, far).expected(point) / KNOWN.expected(point)))
        )
    wild = [*made[:-1], dataclasses.replace(made[-1], bits_per_byte=2 * made[-1].bits_per_byte)]
    assert fit_law(wild, far).expected(near[0]) == pytest.approx(KNOWN.expected(near[0]), rel=0.04)


def test_repeats_teach_less_and_less() -> None:
    assert effective_bytes(500.0, 1e3) == 500
    worth = [effective_bytes(1e3 * times, 1e3) for times in (1, 2, 4, 40, 4_000)]
    assert worth[0] == 1_000 and worth == sorted(worth)
    assert worth[2] == pytest.approx(
        1_000 + 15_390 * (1 - math.exp(-3 / 15.39))
    )  # eq. 5: nearly as good as new
    assert worth[-1] == pytest.approx(1_000 * (1 + 15.39))


def test_parameters_beyond_the_text_count_less_only_as_it_is_repeated() -> None:
    assert effective_parameters(5e6, 1e6, epochs=1.0) == 5e6
    assert effective_parameters(5e5, 1e6, epochs=50.0) == 5e5
    once, often = (effective_parameters(5e6, 1e6, epochs=epochs) for epochs in (2.0, 200.0))
    assert 1e6 < often < once < 5e6
    assert often == pytest.approx(1e6 * (1 + 5.31 * (1 - math.exp(-4 / 5.31))), rel=1e-3)  # eq. 6


def test_the_fitting_size_is_where_both_parts_weigh_alike() -> None:
    read, work = 5e6, None
    size = KNOWN.fitting_parameters(read)
    work = size * read
    losses = {
        f: KNOWN.expected(LossPoint(int(size * f), work / (size * f), 1e15))
        for f in (0.8, 1.0, 1.25)
    }
    assert min(losses, key=lambda f: losses[f]) == 1.0


def test_a_batch_above_the_critical_one_wastes_text() -> None:
    critical = LAW.critical_batch_bytes * 4**0.5
    halved = LAW.expected(LossPoint(1_000_000, 4e6, 1e12, critical))
    assert halved == pytest.approx(LAW.expected(LossPoint(1_000_000, 2e6, 1e12)))


def test_a_range_widens_beyond_what_was_fitted() -> None:
    inside, outside = KNOWN.range(1e6, 1e6, 2.0), KNOWN.range(1e6, 1e11, 2.0)
    assert inside == pytest.approx((2 * math.exp(-0.04), 2 * math.exp(0.04)))
    assert KNOWN.range(1e6, 1e6, 2.0, more=0.0375)[1] == pytest.approx(2 * math.exp(2 * 0.0425))
    assert outside == pytest.approx((2 * math.exp(-0.08), 2 * math.exp(0.08)))
