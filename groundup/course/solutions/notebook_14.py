"""Notebook 14, out into the world."""

from collections.abc import Sequence

from groundup.course.exercises import Exercise

Row = Sequence[float]


def _numbers(row: Row, levels: float) -> list[int]:
    scale = max(map(abs, row)) / levels
    return [round(weight / scale) for weight in row]


def _quantise(row: Row, bits: int) -> list[int]:
    return _numbers(row, 2 ** (bits - 1) - 1)


def _cut_down(row: Row, bits: int) -> list[int]:
    levels = 2 ** (bits - 1) - 1
    return [int(weight / (max(map(abs, row)) / levels)) for weight in row]


def _largest_signed(row: Row, bits: int) -> list[int]:
    scale = max(row) / (2 ** (bits - 1) - 1)
    return [round(weight / scale) for weight in row]


def _back(row: Row, bits: int) -> list[float]:
    scale = max(map(abs, row)) / (2 ** (bits - 1) - 1)
    return [scale * number for number in _quantise(row, bits)]


def _price(
    parameters: float, tokens: float, devices: int, peak: float, share: float, hourly: float
) -> float:
    return 6 * parameters * tokens / (peak * share) / 3600 * hourly


FLOPS = 6 * 405e9 * 15.6e12

EXERCISES = {
    "14.1": Exercise(
        300,
        (
            (
                45,
                "Each byte counts 256 times as much as the one before it; they are not simply added.",
            ),
            (11_265, "That reads the highest byte first. Little-endian has the lowest first."),
            (
                44 * 256**7 + 256**6,
                "That reads the highest byte first. Little-endian has the lowest first.",
            ),
            (54, "A byte has 256 values, not 10: the second one counts 256."),
            (44 + 16, "A byte has 256 values: the second one counts 256, not 16."),
        ),
        hint="The first byte once, the second 256 times, the third 256 × 256 times.",
    ),
    "14.2": Exercise(
        _quantise,
        (
            (
                lambda row, bits: _numbers(row, 2**bits - 1),
                "One bit is for the sign: the largest whole number is 2 to the (bits − 1), less 1.",
            ),
            (
                lambda row, bits: _numbers(row, 2 ** (bits - 1)),
                "The largest whole number is one less than that, so that it fits into the bits.",
            ),
            (
                lambda row, bits: _numbers(row, 127),
                "127 is for 8 bits. Here their number is given.",
            ),
            (_cut_down, "That cuts off towards 0. Round to the nearest whole number."),
            (
                _largest_signed,
                "The scale comes from the largest absolute value: here a negative weight is the largest.",
            ),
            (_back, "These are the weights afterwards. The whole numbers are asked for."),
        ),
        hint="The scale is the largest absolute value divided by the largest whole number; divide each weight by it, and round.",
        cases=(
            ([0.5, -1.27, 0.02, 0.876], 8),
            ([0.3, -0.7, 0.24, -0.16], 4),
            ([1.1, -2.0, 0.7, 1.6], 2),
        ),
    ),
    "14.3": Exercise(
        7e9 * 4.5 / 8,
        (
            (7e9 * 4 / 8, "The scales take room, too: 16 bits for every 32 weights."),
            (7e9 * 4.5, "That is the number of bits. A byte has 8."),
            (7e9 * 20 / 8, "One scale is shared by 32 weights: that is half a bit for each."),
            (7e9 * 2, "That is 16 bits for each weight."),
        ),
        hint="32 weights take 32 × 4 + 16 bits. How many bits is that for one, and how many bytes for all?",
    ),
    "14.4": Exercise(
        FLOPS,
        (
            (FLOPS / 6, "Each parameter takes 6 operations for each token, not one."),
            (FLOPS / 3, "That is the forward pass. The gradients take twice as much again."),
            (FLOPS * 1e-3, "That is a factor of 1,000 off: a billion is 10⁹, a trillion 10¹²."),
            (
                6 * 405e9 * 20 * 405e9,
                "That is for 20 tokens a parameter. Here the number of tokens is given.",
            ),
        ),
        hint="Six times the parameters times the tokens.",
        tolerance=0.01,
    ),
    "14.5": Exercise(
        _price,
        (
            (
                lambda *given: _price(*given) / given[2],
                "Each of the devices is paid for; with more of them each is paid for a shorter time.",
            ),
            (
                lambda *given: _price(*given) * given[2],
                "More devices take less time: divide the operations by the speed of all.",
            ),
            (
                lambda n, d, devices, peak, share, hourly: _price(n, d, devices, peak, 1, hourly),
                "The peak is not reached: multiply it with the share.",
            ),
            (
                lambda *given: _price(*given) * 3600,
                "That takes the price for each second. An hour has 3,600.",
            ),
            (
                lambda *given: _price(*given) / 3,
                "That is the forward pass only: training takes 6 operations for each parameter and token.",
            ),
        ),
        hint="Seconds: 6 N D divided by devices, peak and share. Hours: that divided by 3,600. Then times devices and the price.",
        cases=((1e9, 20e9, 8, 989e12, 0.4, 3.0), (124e6, 2.5e9, 1, 165e12, 0.5, 0.5)),
    ),
}
