"""Notebook 11, a chatbot."""

import math
from collections.abc import Sequence

from groundup.course.exercises import Exercise
from groundup.tokenizer.special import TURN_END, TURN_START

Talk = Sequence[tuple[str, str]]


def _turns(talk: Talk) -> str:
    return "".join(f"{TURN_START}{role}\n{content}{TURN_END}\n" for role, content in talk)


def _prompt_text(talk: Talk) -> str:
    return f"{_turns(talk)}{TURN_START}assistant\n"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _masked_loss(logprobs: Sequence[float], mask: Sequence[bool]) -> float:
    return -_mean([each for each, counts in zip(logprobs, mask[1:], strict=True) if counts])


def _not_shifted(logprobs: Sequence[float], mask: Sequence[bool]) -> float:
    return -_mean([each for each, counts in zip(logprobs, mask, strict=False) if counts])


def _mean_of_all(logprobs: Sequence[float], mask: Sequence[bool]) -> float:
    return -sum(each for each, counts in zip(logprobs, mask[1:], strict=True) if counts) / len(
        logprobs
    )


def _summed(logprobs: Sequence[float], mask: Sequence[bool]) -> float:
    return -sum(each for each, counts in zip(logprobs, mask[1:], strict=True) if counts)


def _loss(margin: float) -> float:
    return math.log(1 + math.exp(-margin))


EXERCISES = {
    "11.1": Exercise(
        10,
        (
            (
                9,
                "The end token after the answer is learned, too: without it the model would not stop.",
            ),
            (
                11,
                "The line end after the end token belongs to the template; only the end token is learned.",
            ),
            (13, "What the user says is read, and not learned."),
            (21, "The head of the turn is written by the program, not by the model."),
        ),
        hint="The bytes of the answer, and one token more.",
    ),
    "11.2": Exercise(
        _prompt_text,
        (
            (
                _turns,
                "The assistant's turn has to be opened: its start token, its role and a line end.",
            ),
            (
                lambda talk: f"{_turns(talk)}{TURN_START}assistant\n{TURN_END}\n",
                "The turn must stay open: the end token is for the model to write.",
            ),
            (
                lambda talk: _prompt_text(talk).replace(f"{TURN_END}\n", TURN_END),
                "Each turn ends with the end token and a line end.",
            ),
        ),
        hint="All turns, complete, then the head of the assistant's.",
        cases=(
            ([("user", "Hi")],),
            (
                [
                    ("system", "Be brief."),
                    ("user", "Hi"),
                    ("assistant", "Good day!"),
                    ("user", "Why?"),
                ],
            ),
        ),
    ),
    "11.3": Exercise(
        _masked_loss,
        (
            (
                _not_shifted,
                "The mask is one place off: the first number is about token 2, so it belongs to mask[1].",
            ),
            (
                _mean_of_all,
                "That divides by all predictions. Only those that count are in the mean.",
            ),
            (_summed, "That is the sum. The loss is the mean over the tokens that count."),
            (
                lambda logprobs, mask: -_masked_loss(logprobs, mask),
                "A loss is minus ln p, so it is not negative.",
            ),
            (
                lambda logprobs, mask: -_mean(logprobs),
                "That counts the question, too: the mask is not used.",
            ),
        ),
        hint="Pair logprobs with mask[1:], keep those where the mask is True, and take minus the mean.",
        cases=(
            ([-3.0, -2.0, -1.0, -0.5], [False, False, False, True, True]),
            ([-3.0, -2.0, -1.0, -0.25, -4.0], [False, True, True, False, False, True]),
        ),
    ),
    "11.4": Exercise(
        0.7,
        (
            (21 / 24, "That is of the goods on the list. How many prices did it name in all?"),
            (21 / 22, "The invented prices were named, too."),
            (21 / 44, "That is of all questions. To some it named no price."),
            (
                33 / 44,
                "That counts what was answered well. The question is how many of the named prices are right.",
            ),
            (21 / 32, 'To 2 of the 24 it named no price but said "I do not know."'),
        ),
        hint="Right prices, divided by right, wrong and invented ones.",
    ),
    "11.5": Exercise(
        lambda pw, pl, rw, rl, beta: _loss(beta * ((pw - rw) - (pl - rl))),
        (
            (
                lambda pw, pl, rw, rl, beta: _loss(beta * (pw - pl)),
                "The reference is missing: what counts is the gain.",
            ),
            (
                lambda pw, pl, rw, rl, beta: _loss(-beta * ((pw - rw) - (pl - rl))),
                "The sign is reversed: the loss falls as the chosen answer gains.",
            ),
            (
                lambda pw, pl, rw, rl, beta: _loss((pw - rw) - (pl - rl)),
                "Beta is missing: the difference of the gains is multiplied by it.",
            ),
            (
                lambda pw, pl, rw, rl, beta: 1 / (1 + math.exp(-beta * ((pw - rw) - (pl - rl)))),
                "That is sigma, the probability of the choice. The loss is minus its logarithm.",
            ),
            (
                lambda pw, pl, rw, rl, beta: beta * ((pw - rw) - (pl - rl)),
                "That is the margin. Its loss is minus ln sigma of it.",
            ),
        ),
        hint="A ratio of probabilities is a difference of logarithms: both gains, their difference times beta, then minus ln sigma.",
        cases=(
            (-4.0, -9.0, -6.0, -8.0, 0.1),
            (-20.0, -12.0, -20.0, -12.0, 0.1),
            (-7.0, -3.0, -5.0, -4.0, 0.5),
        ),
    ),
}
