"""Summaries of held-out texts by a chat model and its base, beside the first three sentences of
each text: ROUGE and the key facts.

NAME/results.json    texts: how many; arms: of each ROUGE-L and the share of the key facts; items:
                     every summary
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.data.documents import ConversationExample
from groundup.evaluate.metrics import ratio_interval
from groundup.evaluate.paired import ratio_difference
from groundup.evaluate.suites.scores import rouge_l
from groundup.evaluate.tasks.answers import write_answers
from groundup.files import atomic_folder, write_json
from groundup.packs.pack import PackRow, pack_rows
from groundup.packs.repeats import normalise
from groundup.progress import Progress, Silent
from groundup.recipes.downloads import of_sources
from groundup.recipes.named_stages import SummariesStage
from groundup.recipes.stage import BASE, Stage, StageContext, StageResult, source_content
from groundup.retrieve.sentences import sentence_spans
from groundup.retrieve.support import question_conversation
from groundup.tokenizer.chat import Message
from groundup.weights.model_io import OpenModel

# Of the budget, for all of a build together.
SHARE = 0.08
FIRST_SENTENCES = 3
INSTRUCTION = "Summarise this text in two sentences."
BESIDE_S = 4.0
MIN_TEXTS = 4
FIRST = "first three sentences"


def run(context: StageContext) -> StageResult:
    table = context.table(SummariesStage)
    rows, models = pack_rows(Path(table.source.spec)), context.models(table.chat)

    def affordable() -> float:
        started = time.monotonic()
        for opened in models.values():
            summaries(opened, rows[:1], table, context, Silent())
        return min(
            len(rows), max(MIN_TEXTS, (context.seconds - BESIDE_S) / (time.monotonic() - started))
        )

    chosen = rows[: context.fix("texts", affordable)]
    arms = {FIRST: [first_sentences(row["text"]) for row in chosen]}
    for name, opened in models.items():
        arms[name] = summaries(opened, chosen, table, context, context.progress)
    results = {
        **figures(arms, chosen),
        "of": len(rows),
        "chat": table.chat,
        "instruction": INSTRUCTION,
    }
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", results)
    return describe(results)


def first_sentences(text: str) -> str:
    """Return the first three sentences of a text: what a summary has to beat.

    >>> first_sentences("One. Two. Three. Four.")
    'One. Two. Three.'
    """
    spans = list(sentence_spans(text))[:FIRST_SENTENCES]
    if not spans:
        return ""
    return text[spans[0][0] : spans[-1][1]]


def summaries(
    opened: OpenModel,
    rows: Sequence[PackRow],
    table: SummariesStage,
    context: StageContext,
    progress: Progress,
) -> list[str]:
    """The texts are asked for in the form in which the chat model learned."""
    examples = [
        ConversationExample(
            (
                *question_conversation(f"{INSTRUCTION}\n\n{row['text']}", []).messages,
                Message("assistant", ""),
            ),
            row.place,
        )
        for row in rows
    ]
    return write_answers(
        opened, examples, table.summary_tokens, compute=context.compute, progress=progress
    )


def figures(arms: Mapping[str, Sequence[str]], rows: Sequence[PackRow]) -> dict[str, Any]:
    scored = {"rouge_l": rouge_of, "facts": facts_of}
    found = []
    for name, texts in arms.items():
        arm: dict[str, Any] = {"name": name}
        for metric, score in scored.items():
            totals, counts = zip(*map(score, rows, texts), strict=True)
            base = [score(row, text)[0] for row, text in zip(rows, arms[BASE], strict=True)]
            change = ratio_difference(base, totals, counts).plain("higher")
            arm[metric] = {**vars(ratio_interval(totals, counts)), "n": len(rows), "change": change}
        found.append(arm)
    items = [
        {
            "text": row["text"],
            "summary": row["summary"],
            "answers": {name: texts[place] for name, texts in arms.items()},
        }
        for place, row in enumerate(rows)
    ]
    return {"texts": len(rows), "arms": found, "items": items}


def rouge_of(row: PackRow, summary: str) -> tuple[float, float]:
    return rouge_l(row["summary"], summary), 1.0


def facts_of(row: PackRow, summary: str) -> tuple[float, float]:
    facts = row["key_facts"]
    return float(sum(normalise(fact) in normalise(summary) for fact in facts)), float(len(facts))


def describe(results: Mapping[str, Any]) -> StageResult:
    arms = results["arms"]
    said = [
        f"{a['name']} {a['rouge_l']['value']:.2f}, {100 * a['facts']['value']:.0f} % of the facts"
        for a in arms
    ]
    thin = (f"{results['texts']} summaries: the intervals are wide.",)
    facts = {
        a["name"]: {"rouge_l": a["rouge_l"]["value"], "facts": a["facts"]["value"]} for a in arms
    }
    return StageResult(f"ROUGE-L of {results['texts']} texts: {'; '.join(said)}", facts, thin)


def stage(name: str, share: float, chat: str) -> Stage:
    return Stage(
        name,
        1,
        run,
        share,
        describe=lambda recipe: (
            f"the texts of {recipe.of_kind(SummariesStage)[name].source.spec} summarised"
        ),
        needs=("base", chat),
        outputs=("results.json",),
        sized_by_budget=True,
        outside=lambda recipe: source_content(recipe.of_kind(SummariesStage)[name].source),
        downloads=lambda recipe: of_sources([recipe.of_kind(SummariesStage)[name].source]),
        kind="summaries",
    )
