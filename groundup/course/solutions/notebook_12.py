"""Notebook 12, what emerges."""

import math

from groundup.course.exercises import Exercise

EXERCISES = {
    "12.1": Exercise(
        1.96**2 * 0.25 / 0.05**2,
        (
            (1.96**2 * 0.25 / 0.1**2, "That is for ± 10 points, an interval of 20 points."),
            (
                1.96**2 * 0.25 / 0.025**2,
                "That is for ± 2.5 points: the whole interval has 5. It should have 10.",
            ),
            (1.96 * 0.5 / 0.05, "That is the root of n. Square it."),
        ),
        hint="Set z times the root of p (1 - p) / n to 0.05, with p = 0.5, and solve for n.",
        tolerance=0.05,
    ),
    "12.2": Exercise(
        34 - 31,
        (
            (
                34 - 100 / 7,
                "Who always says joy is right more often than 1 in 7.",
            ),
            (34, "That is the share of right answers; take off what the best guesser reaches."),
            (0.03, "In percent points: 34 less 31."),
            (31, "That is the chance. How far is 34 above it?"),
        ),
        hint="62 of 200 are joy: what does somebody reach who always says joy?",
    ),
    "12.3": Exercise(
        2**1.75,
        (
            (1.75, "That is the mean surprise in bits. The perplexity is 2 to that."),
            (math.exp(1.75), "1.75 is in bits, so it is 2 to that; e belongs to nats."),
            (
                4,
                "That is the mean of 1 / p. The logarithms are averaged.",
            ),
            (
                4 * 4 / 5.5,
                "That is 1 / (mean of p). The logarithms are averaged, not the probabilities.",
            ),
        ),
        hint="The surprise of each token in bits is 1, 2, 3 and 1. Take the mean, and 2 to that.",
        tolerance=5e-3,
    ),
    "12.4": Exercise(
        2 * (1 + 10 + 45) / 2**10,
        (
            (
                (1 + 10 + 45) / 2**10,
                "That is one direction. A result as uneven the other way counts, too.",
            ),
            (
                2 * 45 / 2**10,
                "That is exactly 2 of 10. Results that are more uneven, 1 and 0 of 10, count, too.",
            ),
            (2 * (10 + 45) / 2**10, "The sum begins with k = 0."),
            (2 * (1 + 10) / 2**10, "The sum ends with the smaller number itself, k = 2."),
        ),
        hint="Ten places count: b = 2 and c = 8. Add the binomial coefficients of 10 for "
        "k = 0, 1, 2; twice that, over 2 to the 10.",
        tolerance=5e-3,
    ),
    "12.5": Exercise(
        0.5**0.1,
        (
            (
                0.5**10,
                "That is how often all are right, if each is at 0.5. Here the "
                "result is known and a is not.",
            ),
            (0.05, "Probabilities of independent tokens are multiplied, not added."),
            (0.95, "Ten times 5 % are not half: a to the power of 10 must be 0.5."),
            (0.9, "0.9 to the power of 10 is 0.35: too little."),
        ),
        hint="Solve a to the power of 10 = 0.5.",
    ),
}
