"""A model that learned from rewards: the score before and after, how reward, length and divergence
went, what was sampled, and signs that the reward was earned otherwise than meant.
"""

from collections.abc import Sequence
from itertools import groupby

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    before_and_after,
    cards,
    expected,
    facts,
    figure,
    more,
    note,
    paired_points,
    sentence,
    side,
)
from groundup.report.drawing import Point, Series, line_chart
from groundup.report.report_data import ReportData, RunRecord
from groundup.report.sections.answers import answer_cards
from groundup.report.sections.pretrain import evaluation_points
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    JsonObject,
    count,
    first_letters,
    fixed,
    interval,
    number,
    numbers,
    percent,
    span,
    table,
    tables,
    text,
    texts,
    three_decimals,
)

CARDS_SHOWN = 6
ANSWER_CHARACTERS = 400
VERDICTS = {
    "better": ("Held-out prompts, which were not trained on, earn more than before.", "good"),
    "worse": ("Held-out prompts earn less than before.", "warning"),
    "unclear": (
        "Whether held-out prompts earn more than before is not clear: the interval contains 0.",
        "note",
    ),
}


def parts(report: ReportData) -> Sequence[Child] | str:
    run = report.run("reward")
    if not run.results and not run.rounds:
        return "no model has learned from rewards"
    said, kind = VERDICTS.get(text(run.results, "score", "difference", "verdict"), ("", ""))
    verdict = note(said, kind=kind) if said else None
    return [
        _figures(run.results),
        verdict,
        *_gamed(table(run.results, "gamed")),
        *_curves(run),
        *_rounds(run),
        *_answers(run.results),
    ]


def _figures(results: JsonObject) -> Node | None:
    score, rounds = table(results, "score"), table(results, "rounds")
    form = percent if text(score, "metric") == "accuracy" else three_decimals
    sides = {name: table(score, name) for name in ("before", "after")}
    held_out = count(sides["after"], "n")
    tokens = span(
        *(fixed(results, "answer_tokens", name, decimals=1) for name in ("before", "after"))
    )
    rules = [f"{name}: {rule}" for name, rule in table(results, "rewards").items()]
    return facts(
        *(
            (
                f"{form(found, 'value')} ({interval(found, form)})",
                say(
                    "{name}: score of {count} held-out prompts, with its 95 % interval",
                    name=say(name),
                    count=held_out,
                ),
            )
            for name, found in sides.items()
            if found
        ),
        (
            paired_points(table(score, "difference")) if form is percent else "",
            "points gained, paired",
        ),
        (
            before_and_after(table(results, "forgetting", "general")),
            "general text before and after, bits per byte: what was forgotten",
        ),
        ("; ".join(rules), "what earns the reward"),
        (tokens if results else "", "tokens of an answer to a held-out prompt before and after"),
        (three_decimals(rounds, "kl"), "KL to the model as it was, nats a token, at the end"),
        (percent(rounds, "informative"), "of the groups had answers of different reward"),
        (count(rounds, "answers"), "answers sampled"),
        (count(results, "steps"), "rounds"),
    )


def _gamed(gamed: JsonObject) -> list[Child]:
    if not gamed:
        return []
    found = texts(gamed, "lines")
    if not found:
        return [
            note(
                "No sign of reward hacking among the held-out answers: not one answer for "
                "everything, no guesses of several numbers, no right answers of unusual length."
            )
        ]
    suspects = [_sample(each) for name in ("several", "long") for each in tables(gamed, name)]
    return [
        *(
            note(*sentence("Perhaps gamed: {what}", what=as_stored(line)), kind="warning")
            for line in found
        ),
        answer_cards("Answers that earned the reward so", suspects),
    ]


def _curves(run: RunRecord) -> list[Node | None]:
    rewards = [
        Series("sampled answers of each round", _points(run, "reward")),
        Series("validation, greedy", evaluation_points(run, "validation_reward"), "marked"),
    ]
    return [
        figure(
            "The mean reward of a round's sampled answers, and of other prompts' most probable ones.",
            line_chart("Reward over rounds", "mean reward", rewards),
        ),
        figure(
            "Answers that grow without earning more, or shrink to nothing, are a sign of reward "
            "hacking.",
            line_chart(
                "Length over rounds",
                "tokens of an answer",
                [Series("sampled answers", _points(run, "answer_tokens"))],
            ),
        ),
        figure(
            "How far the model has moved from what it was: the estimated KL divergence of a token.",
            line_chart(
                "Divergence over rounds",
                "KL to the start, nats a token",
                [Series("sampled answers", _points(run, "kl"))],
            ),
        ),
    ]


def _points(run: RunRecord, name: str) -> list[Point]:
    pairs = [numbers(line, "step", name) for line in run.rounds]
    return [(step, value) for step, value in pairs if step is not None and value is not None]


def _rounds(run: RunRecord) -> list[Child]:
    """Sampled answers of each evaluation, round by round; the last is open."""
    by_step = [
        (step, list(found))
        for step, found in groupby(run.samples, key=lambda line: number(line, "step"))
    ]
    if not by_step:
        return []
    last = by_step[-1][0]
    shown = [
        more(
            say(
                "After round {step}: {count} answers, mean reward {reward}",
                step=count(step),
                count=count(len(found)),
                reward=fixed(sum(number(each, "reward") or 0.0 for each in found) / len(found)),
            ),
            cards(*_by_prompt(found)),
            is_open=step == last,
        )
        for step, found in by_step
    ]
    return [node("h3", say("Sampled answers and their rewards")), *shown]


def _by_prompt(found: Sequence[JsonObject]) -> list[Node]:
    return [
        node(
            "article",
            foreign(prompt, "p", "instruction"),
            node("ul", [_sampled(each) for each in answers]),
            class_="answer",
        )
        for prompt, answers in groupby(found, key=lambda line: text(line, "prompt"))
    ]


def _sampled(line: JsonObject) -> Node:
    earned = say(
        "{reward}, advantage {advantage}: ",
        reward=fixed(line, "reward"),
        advantage=fixed(line, "advantage"),
    )
    return node("li", earned, foreign(_cut(text(line, "text"))))


def _cut(words: str) -> str:
    return first_letters(words, ANSWER_CHARACTERS) or say("(nothing)")


def _sample(line: JsonObject) -> Node:
    return node(
        "article",
        foreign(text(line, "prompt"), "p", "instruction"),
        foreign(_cut(text(line, "text")), "p", "said"),
        expected(foreign(text(line, "wanted"))),
        class_="answer",
    )


def _answers(results: JsonObject) -> list[Child]:
    shown = [_card(each) for each in tables(results, "answers")]
    if not shown:
        return []
    return [
        node("h3", say("Held-out prompts, those that earn less than before or nothing first")),
        cards(*shown[:CARDS_SHOWN]),
        answer_cards(
            say("{count} more", count=count(len(shown[CARDS_SHOWN:]))), shown[CARDS_SHOWN:]
        ),
    ]


def _card(answer: JsonObject) -> Node:
    sides = [
        side(
            f"{say(name)}: {fixed(answer, f'earned_{name}')}",
            foreign(_cut(text(answer, name)), "p", "said"),
            name,
        )
        for name in ("before", "after")
    ]
    wanted = text(answer, "wanted")
    return node(
        "article",
        foreign(text(answer, "prompt"), "h4", "instruction"),
        node("div", sides, class_="sides"),
        expected(foreign(wanted)) if wanted else None,
        class_="answer",
    )


REWARD = Chapter(
    "reward",
    "Fine-tuning · reward",
    "Learning from rewards",
    "In each round the model answers a prompt several times; answers with more reward than the "
    "others of their group become more probable (GRPO). Look at the answers, too: a reward that "
    "can be earned otherwise than meant will be.",
    parts,
    runs=["reward"],
    stages=["reward"],
)
