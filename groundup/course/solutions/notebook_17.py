"""Notebook 17, speed."""

from collections.abc import Sequence

from groundup.course.exercises import Exercise


def _limit(parameters: float, bits: float, bandwidth: float) -> float:
    return bandwidth / (parameters * bits / 8)


def _accepted(guesses: Sequence[str], wanted: Sequence[str]) -> int:
    right = 0
    while right < len(guesses) and guesses[right] == wanted[right]:
        right += 1
    return right + 1


def _matching(guesses: Sequence[str], wanted: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(guesses, wanted, strict=False)) + 1


def _without_own(guesses: Sequence[str], wanted: Sequence[str]) -> int:
    return _accepted(guesses, wanted) - 1


_GUESSED: tuple[tuple[list[str], list[str]], ...] = (
    (["a", "b", "c"], ["a", "b", "c", "d"]),
    (["a", "x", "c"], ["a", "b", "c", "d"]),
    (["x", "y"], ["a", "b", "c"]),
    ([], ["a"]),
)

EXERCISES = {
    "17.1": Exercise(
        _limit,
        (
            (
                lambda parameters, bits, bandwidth: bandwidth / (parameters * bits),
                "The bandwidth is in bytes, the weights are in bits: a byte has eight.",
            ),
            (
                lambda parameters, bits, bandwidth: parameters * bits / 8 / bandwidth,
                "Those are the seconds of a token. Tokens a second are the inverse.",
            ),
            (
                lambda parameters, bits, bandwidth: bandwidth / (2 * parameters * bits / 8),
                "A weight is read once for a token: its multiplication and its addition share it.",
            ),
        ),
        hint="Bytes of a token: parameters times bits over 8. How many of these come in a second?",
        cases=((135e6, 8.5, 10e9), (1e9, 16, 20e9), (7e9, 4.5, 50e9)),
    ),
    "17.2": Exercise(
        100e6 / 8 + 10e6,
        (
            (
                110e6,
                "The weights are read once for all eight, so each token has an eighth of them.",
            ),
            (
                (100e6 + 10e6) / 8,
                "Each conversation reads a cache of its own; only the weights are shared.",
            ),
            (100e6 + 80e6, "That is the whole pass, which gives eight tokens."),
        ),
        hint="An eighth of the weights, and one cache.",
    ),
    "17.3": Exercise(
        500e6 / 1500e6,
        (
            (0.5, "That is cache over weights. The share is of all bytes, both together."),
            (2 / 3, "That is the share of the weights."),
            (
                50_000 / (1000e6 + 50_000),
                "That is the cache of a single token before it; there are 10,000.",
            ),
        ),
        hint="The cache has 10,000 times 50,000 bytes. Divide by the sum of cache and weights.",
    ),
    "17.4": Exercise(
        (1 - 0.8**5) / (1 - 0.8),
        (
            (
                (1 - 0.8**4) / (1 - 0.8),
                "The power is k + 1: the model's own token comes on top of four guesses.",
            ),
            (
                (1 - 0.8**5) / (1 - 0.8) - 1,
                "Those are the guesses that are accepted; the model's own token comes on top.",
            ),
            (
                1 + 4 * 0.8,
                "A guess is only of use if all before it were right: a, a squared and so on.",
            ),
            (5.0, "That would be with guesses that are always right."),
        ),
        hint="1 + 0.8 + 0.64 and so on, up to the fourth power.",
    ),
    "17.5": Exercise(
        _accepted,
        (
            (
                _matching,
                "After the first wrong guess the following ones stand behind another text: they "
                "do not count, even where they are equal.",
            ),
            (_without_own, "At the first wrong guess the model's own token is taken: one more."),
        ),
        hint="Count equal tokens from the left up to the first that differs, and add one.",
        cases=_GUESSED,
    ),
}
