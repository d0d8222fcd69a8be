"""Which model is chosen in which time, on machines that are a function; what a plan advises."""

import dataclasses
import functools
from types import SimpleNamespace

import pytest
import torch

from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.planning.cluster import DEVICES, SIZES, cluster_plan, parse_machine
from groundup.planning.measure import Candidate, Measured, run_seconds, steps_within
from groundup.planning.plan import RunPlan, forecast, plan_warnings, probe_steps
from groundup.planning.planner import (
    TextStats,
    batch_windows,
    best_optimizer,
    choose,
    choose_model,
    choose_tables,
    expected_loss,
    family,
    family_candidate,
    fitting_context,
    optimizer_reason,
    used_up,
    useful_steps,
)
from groundup.planning.pretrain_config import Length, ModelShape, PretrainConfig
from groundup.planning.pretrain_options import pretrain_options
from groundup.planning.scaling_law import BIGRAMS_WORTH_BYTES, LAW, learning_rate_for
from groundup.train.steps.config import BIGRAM_RATE_SHARE, pretraining_config

TEXT = TextStats(
    tokens=30_000_000,
    num_bytes=100_000_000,
    validation_tokens=1_000_000,
    typical_document_tokens=5_000,
)
FIT = pretraining_config(1)
RATE = FIT.optimizer.learning_rate


@functools.cache
def candidates() -> list[Candidate]:
    return [family_candidate(shape, FIT, {}) for shape in family(4_096, 30e9)][:14]


class Machine:
    """So many operations a second, and a start of a step that takes its time, as a GPU's does."""

    def __init__(self, flops_per_s: float, start_s: float = 0.0) -> None:
        self.flops_per_s, self.start_s = flops_per_s, start_s
        self.asked: list[Candidate] = []

    def __call__(self, candidate: Candidate) -> Measured:
        self.asked.append(candidate)
        return Measured(self.start_s + candidate.step_flops / self.flops_per_s, 0.1)


def test_more_time_and_a_faster_machine_choose_larger_models() -> None:
    sizes = {
        (seconds, speed): choose(seconds, candidates(), TEXT, LAW, Machine(speed))[
            0
        ].candidate.parameters
        for seconds in (60.0, 3_600.0)
        for speed in (1e11, 1e13)
    }
    assert sizes[60.0, 1e11] < sizes[3_600, 1e11] < sizes[3_600, 1e13]
    assert sizes[60.0, 1e11] < sizes[60, 1e13]


@pytest.mark.parametrize(("seconds", "better"), [(20.0, "small"), (36_000.0, "large")])
def test_the_better_of_two_sizes_is_taken_for_short_and_for_long_times(
    seconds: float, better: str
) -> None:
    pair = {"small": candidates()[1], "large": candidates()[4]}
    chosen = choose(seconds, list(pair.values()), TEXT, LAW, Machine(1e11))[0].candidate
    assert chosen is pair[better]


@pytest.mark.parametrize(
    ("megabytes", "seconds", "blocks", "used"),
    [
        (1, 300, 4, True), (1, 900, 4, True), (1, 7_200, 4, True), (1, 28_800, 4, True),
        (10, 300, 3, False), (10, 900, 4, False), (10, 7_200, 6, True), (10, 28_800, 8, True),
        (100, 300, 3, False), (100, 900, 3, False), (100, 7_200, 4, False), (100, 28_800, 5, False),
    ],
)  # fmt: skip
def test_time_is_used_as_far_as_the_text_teaches(
    megabytes: int, seconds: float, blocks: int, used: bool
) -> None:
    """On a machine with the speed of the two hours of docs/howto/own-texts.md: 14,200 tokens a
    second with 1.3 million parameters.
    """
    tokens = 270_000 * megabytes
    text = TextStats(tokens, 900_000 * megabytes, tokens // 20, 2_000)
    reference = candidates()[2]
    machine = Machine(14_200 * reference.step_flops / reference.step_tokens, start_s=0.003)
    benchmark = SimpleNamespace(
        tokenizer=SimpleNamespace(vocab_size=4_096),
        processes=1,
        compute=Compute(torch.device("cpu")),
        trial=machine,
    )
    options = pretrain_options("texts", PretrainConfig(minutes=seconds / 60))
    candidate, _ = choose_model(options, text, LAW, benchmark)  # type: ignore[arg-type]
    assert candidate.shape.num_layers == blocks
    measured, most = machine(candidate), useful_steps(candidate, text.tokens)
    steps = min(steps_within(seconds, measured), most)
    note = used_up(candidate, steps, seconds, measured, text.tokens)
    assert bool(note) == used == (steps == most)
    longer = expected_loss(candidate, 2 * most, text, LAW)
    assert longer == pytest.approx(expected_loss(candidate, most, text, LAW), rel=0.001)
    if not used:  # the time is used but for the rounding of a step
        assert run_seconds(steps, seconds, measured) == pytest.approx(seconds, rel=0.02)


def test_the_law_forecasts_runs_that_learned_their_text_by_heart() -> None:
    """Measured on 75,000 tokens of plays, which were read 8 to 16 times (docs/log.md)."""
    text = TextStats(75_087, 244_000, 4_000, 1_500)
    for place, epochs, bits in ((0, 16, 2.461), (1, 8, 2.398), (2, 8, 2.406)):
        candidate = candidates()[place]
        steps = int(epochs * text.tokens / candidate.step_tokens)
        assert expected_loss(candidate, steps, text, LAW) == pytest.approx(bits, rel=0.02)


def test_few_candidates_are_measured_and_the_choice_is_the_best_of_all() -> None:
    for machine, seconds in (
        (Machine(1e11), 600.0),
        (Machine(1e14, start_s=0.01), 600.0),
        (Machine(1e10, start_s=0.2), 60.0),
    ):
        looks = choose(seconds, candidates(), TEXT, LAW, machine)
        assert len(machine.asked) <= 7
        everywhere = [
            choose(seconds, [candidate], TEXT, LAW, machine)[0].bits_per_byte
            for candidate in candidates()
        ]
        assert looks[0].bits_per_byte == pytest.approx(min(everywhere), rel=0.01)


def test_a_machine_that_waits_between_steps_is_given_larger_batches() -> None:
    shape = family(4_096, 30e9)[4]
    batches = [family_candidate(shape, FIT, {}, factor) for factor in (1.0, 2.0, 4.0, 8.0, 16.0)]
    idle, busy = Machine(1e14, start_s=0.05), Machine(1e11)
    chosen = [
        choose(600.0, batches, TEXT, LAW, machine)[0].candidate.step_tokens
        for machine in (idle, busy)
    ]
    assert chosen[0] > chosen[1] == 1_024


def test_tables_by_bigrams_are_planned_for_short_runs_where_nothing_else_is_said() -> None:
    def chosen(steps: int, text: TextStats = TEXT, **asked: object) -> Candidate:
        options = pretrain_options("texts", PretrainConfig(minutes=1, **asked))  # type: ignore[arg-type]
        candidate, reasons = choose_tables(options, candidates()[2], steps, text)
        assert bool(reasons) == (candidate.fit.initial_tables == "bigrams")
        return candidate

    short = chosen(499)
    assert short.fit.initial_tables == "bigrams" and not short.shape.tied_head
    assert short.fit.optimizer.learning_rate == RATE * BIGRAM_RATE_SHARE
    given = chosen(499, settings={"fit.optimizer.learning_rate": 0.001})
    assert given.fit.initial_tables == "bigrams"
    assert given.fit.optimizer.learning_rate == candidates()[2].fit.optimizer.learning_rate
    twice_read = dataclasses.replace(TEXT, tokens=400_000)
    for candidate in (
        chosen(99),
        chosen(500),
        chosen(499, twice_read),
        chosen(499, settings={"model.tied_head": True}),
        chosen(499, settings={"fit.initial_tables": "random"}),
        chosen(499, model=ModelShape(size="1M")),
    ):
        assert candidate == candidates()[2]
    large = candidates()[-1]
    options = pretrain_options("texts", PretrainConfig(minutes=1))
    assert choose_tables(options, large, 100, TEXT)[0] == large


def test_adamw_is_planned_where_muon_takes_more_time_than_its_steps_are_worth() -> None:
    assert best_optimizer({"muon": 0.17, "adamw": 0.1}) == "muon"
    assert best_optimizer({"muon": 0.19, "adamw": 0.1}) == "adamw"
    assert (
        "adamw: a step takes 190 ms with Muon and 100 ms with AdamW, 1.9 times"
        in optimizer_reason({"muon": 0.19, "adamw": 0.1})
    )
    muon, adamw = (
        candidates()[2],
        dataclasses.replace(candidates()[2], fit=pretraining_config(1, {"optimizer": "adamw"})),
    )
    adamw = dataclasses.replace(
        adamw, fit=dataclasses.replace(adamw.fit, batch_size=muon.fit.batch_size)
    )
    assert expected_loss(adamw, 1_800, TEXT, LAW) == pytest.approx(
        expected_loss(muon, 1_000, TEXT, LAW)
    )


def test_tables_by_bigrams_count_as_text_that_was_read_and_have_a_lower_rate() -> None:
    shape, text = candidates()[2].shape, dataclasses.replace(TEXT, num_bytes=10**12)
    plain, by_bigrams = (
        family_candidate(shape, pretraining_config(1, fields), {})
        for fields in ({}, {"initial_tables": "bigrams"})
    )
    more = BIGRAMS_WORTH_BYTES / (plain.step_tokens * text.bytes_per_token)
    expected = expected_loss(plain, round(1_000 + more), text, LAW)
    assert expected_loss(by_bigrams, 1_000, text, LAW) == pytest.approx(expected, rel=1e-4)
    rates = [each.fit.optimizer.learning_rate for each in (plain, by_bigrams)]
    assert rates[1] == pytest.approx(BIGRAM_RATE_SHARE * rates[0], rel=0.05)


def test_context_and_batch_follow_the_text_and_the_reference() -> None:
    shape = family(4_096, 30e9)[6]
    assert shape.context_tokens == 512 and batch_windows(512) == 2
    assert fitting_context(shape, TEXT) == 512
    assert fitting_context(shape, dataclasses.replace(TEXT, typical_document_tokens=200)) == 128
    assert fitting_context(shape, dataclasses.replace(TEXT, validation_tokens=70)) == 64
    said = family_candidate(
        shape,
        FIT.with_fields({"batch_size": 5, "optimizer.learning_rate": 0.1}),
        {"batch_size": 5, "optimizer": {"learning_rate": 0.1}},
    )
    assert (said.fit.batch_size, said.fit.optimizer.learning_rate) == (5, 0.1)


def test_the_learning_rate_falls_with_width() -> None:
    rates = [learning_rate_for(width, FIT.optimizer.name) for width in (64, 128, 768, 4_096)]
    assert rates[0] == rates[1] == RATE
    assert rates[2] == pytest.approx(
        0.3 * RATE, rel=0.05
    )  # GPT-3's table 2.1, where the reference is 2e-3
    assert rates == sorted(rates, reverse=True)


def test_a_probe_moves_the_forecast_and_narrows_it() -> None:
    candidate = candidates()[2]
    plain = forecast(candidate, 2_000, TEXT, LAW)
    assert plain.low < plain.bits_per_byte < plain.high and plain.probe_steps == 0
    harder = 1.1 * expected_loss(candidate, 200, TEXT, LAW)
    probed = forecast(candidate, 2_000, TEXT, LAW, probed=(200, harder))
    assert probed.bits_per_byte == pytest.approx(1.1 * plain.bits_per_byte)
    own = forecast(candidate, 2_000, TEXT, LAW, own_text=True)
    assert own.high / own.low < probed.high / probed.low < plain.high / plain.low


def test_a_probe_is_made_only_where_it_is_worth_its_time() -> None:
    candidate, large = candidates()[2], family_candidate(family(4_096, 30e9)[12], FIT, {})
    assert probe_steps(candidate, 1_000, Measured(0.05, 0.1), TEXT, LAW) == 0, "a run of 50 s"
    assert probe_steps(candidate, 36_000, Measured(0.05, 0.1), TEXT, LAW) == 300
    assert probe_steps(candidate, 36_000, Measured(1.0, 0.1), TEXT, LAW) == 0, (
        "15 steps tell nothing"
    )
    assert probe_steps(large, 36_000, Measured(0.05, 0.1), TEXT, LAW) == 0, "too large to try"


@pytest.mark.parametrize(
    ("said", "steps"),
    [
        ({"steps": 7}, 7),
        ({"tokens": 10_000}, 10),
        ({"epochs": 0.5}, 50),
        ({"seconds": 60.0}, None),
        ({"tokens": 1}, 1),
    ],
)
def test_a_length_in_every_unit(said: dict[str, float], steps: int | None) -> None:
    assert Length(**said).steps_of(1_000, 100_000) == steps  # type: ignore[arg-type]


def test_a_length_is_said_once_and_possible() -> None:
    assert PretrainConfig(minutes=90.0).length.seconds == 5_400
    assert PretrainConfig().length.seconds == 180
    with pytest.raises(ConfigError, match="given once"):
        Length()
    for said in (
        {"minutes": 1.0, "steps": 3},
        {"tokens": 5, "epochs": 1.0},
    ):
        with pytest.raises(ConfigError, match="given once"):
            PretrainConfig(**said).length  # type: ignore[arg-type]  # noqa: B018
    for wrong, word in (
        ({"minutes": 0.01}, "too short"),
        ({"epochs": 0.0}, "above 0"),
    ):
        with pytest.raises(ConfigError, match=word):
            PretrainConfig(**wrong).length  # type: ignore[arg-type]  # noqa: B018


SOUND = RunPlan(
    1_000_000, 5_000, 40_000_000, 30_000_000, 0, 0, None, width=128, context_tokens=128, batch_tokens=8_000,
    learning_rate=RATE, optimizer=FIT.optimizer.name, typical_document_tokens=500,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"tokens": 3_000_000}, "tokens per parameter; about 20"),
        ({"tokens": 100_000}, "gains most from another start"),
        ({"tokens": 200_000, "data_tokens": 50_000}, "So small a text"),
        ({"tokens": 900_000_000, "data_tokens": 900_000_000}, "a larger model would learn more"),
        ({"data_tokens": 5_000_000}, "reads the same text 8 times"),
        ({"data_tokens": 900_000, "tokens": 20_000_000}, "can memorise the text"),
        ({"data_tokens": 5_000, "tokens": 20_000_000}, "every step reads all of it"),
        ({"learning_rate": 10 * RATE}, "probably too high for width 128"),
        ({"width": 2_048}, "probably too high for width 2048"),
        ({"batch_tokens": 64}, "its gradient is mostly noise"),
        ({"context_tokens": 1_024}, "longer than a typical document"),
        ({"steps": 20}, "steps are too few"),
    ],
)
def test_a_plan_warns_of_what_is_wrong_and_of_nothing_else(
    changed: dict[str, int], words: str | None
) -> None:
    found = plan_warnings(dataclasses.replace(SOUND, **changed))  # type: ignore[arg-type]
    assert not found if words is None else any(words in sentence for sentence in found), found


def test_large_models_in_days_and_memory() -> None:
    small, middle, large = (cluster_plan(size, "h100", 8) for size in SIZES)
    assert small.days < middle.days < large.days
    seven = 6 * large.parameters * large.tokens / (8 * 989e12 * 0.4) / 86_400
    assert seven < large.days < 1.15 * seven, "6 N D, and attention"
    assert cluster_plan("7B", "h100", 16).days == pytest.approx(large.days / 2)
    assert large.ddp_bytes > large.memory_bytes > large.fsdp_bytes > large.fsdp_recomputed_bytes
    assert "too much" in large.cells()["DDP"] and "too much" not in small.cells()["DDP"]
    assert (
        18 * large.parameters > large.ddp_bytes > 14 * large.parameters
    )  # weights, gradients, Muon's one number, activations
    assert large.fsdp_bytes > large.ddp_bytes / 8
    assert parse_machine("RTX4090") == parse_machine("rtx4090x1") == ("rtx4090", 1) and set(
        DEVICES
    ) >= {
        "h100",
        "a100",
        "rtx4090",
    }
    for wrong in ("h10x8", "h100x0", "x8", ""):
        with pytest.raises(ConfigError, match="is not a known device"):
            parse_machine(wrong)
