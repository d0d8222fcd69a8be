"""Stage 1: the sources, what was kept, what was dropped and why, what cleaning changed, and samples
of the text; and which models were trained on these texts
"""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    StageCard,
    data_table,
    facts,
    note,
    sentence,
)
from groundup.report.report_data import CONTINUED, ReportData
from groundup.report.sections.classifier import split_count
from groundup.report.source_parts import kept, languages_missing, process_parts, source_parts
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    JsonObject,
    count,
    fill,
    fixed,
    number,
    numbers,
    parameters,
    table,
    tables,
    text,
)


def parts(report: ReportData) -> Sequence[Child] | str:
    card = report.data_card
    if not card:
        return "no text has been prepared"
    sources = tables(card, "sources")
    return [
        _figures(card),
        *[_cut(cut) for cut in tables(card, "cuts")],
        _sources(sources),
        *source_parts(sources),
        *process_parts(table(card, "steps")),
        languages_missing(sources),
    ]


def _figures(card: JsonObject) -> Node | None:
    sources, splits = tables(card, "sources"), table(card, "splits")
    return facts(
        (count(kept(sources, "documents")), "documents kept"),
        (count(kept(sources, "characters")), "characters"),
        (count(splits, "train", "characters"), "of them for training"),
        (count(splits, "validation", "characters"), "held out for validation"),
        (count(number(splits, "test", "characters") or None), "held out for test"),
    )


def _cut(cut: JsonObject) -> Node:
    """A note on a document whose end went to another split."""
    said = (
        "The split is by document, but here the end of {name} (from character {start}) "
        "was held out for {split}, since {why}."
    )
    return note(
        *sentence(
            said,
            name=foreign(text(cut, "name")),
            start=count(cut, "at_character"),
            split=say(text(cut, "split") or "validation"),
            why=as_stored(text(cut, "why")),
        )
    )


def _sources(sources: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = [
        [
            foreign(text(each, "source", "spec")),
            foreign(text(each, "source", "licence") or say("not stated")),
            count(each, "kept_documents"),
            count(each, "kept_characters"),
        ]
        for each in sources
    ]
    head = ["source", "licence", "documents", "characters"]
    return data_table("Where the text comes from", head, rows, figures=(2, 3))


DATA = Chapter(
    "data",
    "",
    "The text, and what was dropped",
    "Everything a language model knows comes from its training text: "
    "where it is from, what was dropped, and why.",
    parts,
    cards=[StageCard("data", "Text", "cleans raw files into documents")],
)


BASE_CARD = StageCard("base", "Pulled model", "fetches a public model")


def readers(report: ReportData) -> Sequence[Child] | str:
    rows = [_own(report), *[_tuned_row(report, *model) for model in _tuned(report)]]
    rows = [row for row in rows if row]
    if not rows:
        return "no model has been trained yet"
    columns = [
        "model",
        "started from",
        "trained here on",
        say("has seen {texts}", texts=report.texts),
    ]
    return [data_table("Training data of each model", columns, rows), _consequence(report)]


def _own(report: ReportData) -> list[Child]:
    run = report.run("pretrain")
    if not run.results and not run.run:
        return []
    size, tokens, epochs = numbers(run.results, "parameters", "tokens", "epochs")
    last = number(run.last_step, "tokens")
    if last is not None:
        tokens = last
    source = text(run.run, "inputs", "start", "cut_from")
    began = say("random weights")
    if source:
        began = say("weights cut from {source}", source=source)
    began += fill(", {} parameters", size, parameters)
    read = say("the train part of {texts}", texts=report.texts) + fill(", {} tokens", tokens)
    read += fill(" ({} epochs)", epochs, partial(fixed, decimals=1))
    return [say("the pretrained model"), began, read, _seen(True)]


def _seen(seen: bool) -> Node:
    word = {True: "yes", False: "no"}[seen]
    return node("strong", say(word), class_=word)


def _tuned(report: ReportData) -> list[tuple[str, str, str]]:
    """The models fine-tuned from the pulled one: name, stage, what they were trained on here."""
    models = [
        (say("the {name} classifier", name=name), name, say("labelled messages"))
        for name in report.of_kind("classifier")
    ]
    for name in report.of_kind("chat"):
        title = say("the chat model")
        if name != "chat":
            title += f" {name}"
        models.append((title, name, say("instructions with their answers")))
    return models


def _tuned_row(report: ReportData, model: str, stage: str, data: str) -> list[Child]:
    """The row of a model fine-tuned from the pulled one; [] before it is trained."""
    results = report.run(stage).results
    if not results:
        return []
    used = number(results, "examples", "train")
    if used is None:
        used = split_count(table(results, "splits"), "train")
    taught, began = stage in report.of_kind("chat") and _taught(report), ""
    if taught:
        began = say(", trained further here")
    base = node("span", foreign(report.base_name), began)
    return [model, base, fill("{} ", used) + data, _seen(taught)]


def _taught(report: ReportData) -> bool:
    """Whether the public model read the texts before it learned to chat."""
    return report.stage(CONTINUED) is not None


def _consequence(report: ReportData) -> Node | None:
    tuned = [model for model, stage, _ in _tuned(report) if report.run(stage).results]
    if not tuned:
        return None
    if _taught(report):
        read = count(report.run(CONTINUED).results, "tokens")
        return note(
            *sentence(
                "{model} read {count} tokens, nearly all of {texts}, before it was made into the "
                "chat model. So it takes up their words and their turns. Single facts that stand "
                "there once or twice are not learned that way; for these the way is retrieval. "
                "A classifier is made from the public model as it is.",
                model=foreign(report.base_name),
                count=read,
                texts=report.texts,
            )
        )
    made = "{models} was fine-tuned from {base}"
    if len(tuned) > 1:
        made = "{models} were fine-tuned from {base}"
    models = say(" and ").join(tuned)
    elsewhere = (
        ", which was trained elsewhere on other texts. Asked about {texts}, it can only guess. The "
        "model pretrained here has seen only {texts}: it imitates their style, but knows no facts "
        "and follows no instructions."
    )
    return note(
        *sentence(made, models=models[:1].upper() + models[1:], base=foreign(report.base_name)),
        say(elsewhere, texts=report.texts),
    )


READERS = Chapter(
    "readers",
    "Training data",
    "Which model was trained on {texts}",
    "This build makes two kinds of models: one is pretrained here, on the texts of stage 1, "
    "the others are made from a public one.",
    readers,
    stages=["pretrain"],
    cards=[BASE_CARD],
)
