"""Which models were trained on the texts of stage 1 and which were not."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, note
from groundup.report.report_data import ReportData
from groundup.report.sections.opening import base_name
from groundup.report.sections.spam import split_count
from groundup.report.values import count, fixed, number, parameters, table

HEADING = Heading(
    "readers",
    "Training data",
    "Which model was trained on {texts}",
    "This build makes two kinds of models. Only the one that is pretrained here has seen the texts of stage 1.",
)


def readers(report: ReportData) -> Node:
    """The chapter on what each model was trained on."""
    heading = HEADING._replace(title=HEADING.title.format(texts=report.texts))
    rows = [row for row in (_own(report), _spam(report), _chat(report)) if row]
    if not rows:
        return absent(heading, "no model has been trained yet")
    columns = ["model", "started from", "trained here on", f"has seen {report.texts}"]
    shown = data_table("Training data of each model", columns, rows)
    return chapter(heading, shown, _consequence(report))


def _own(report: ReportData) -> list[Child]:
    if not report.pretrain.results and not report.pretrain.run:
        return []
    size, tokens = number(report.pretrain.results, "parameters"), _tokens_read(report)
    began = "random weights" + (f", {parameters(size)} parameters" if size is not None else "")
    read = f"the train part of {report.texts}" + (f", {count(tokens)} tokens" if tokens is not None else "")
    epochs = number(report.pretrain.results, "epochs")
    again = f" ({fixed(epochs, 1)} epochs)" if epochs is not None else ""
    return ["the pretrained model", began, read + again, _verdict(True)]


def _tokens_read(report: ReportData) -> float | None:
    last = number(report.pretrain.last_step, "tokens")
    return last if last is not None else number(report.pretrain.results, "tokens")


def _spam(report: ReportData) -> list[Child]:
    if not report.spam.results:
        return []
    messages = split_count(table(report.spam.results, "splits"), "train")
    read = (f"{count(messages)} " if messages is not None else "") + "labelled text messages (SMS)"
    return ["the spam classifier", foreign(base_name(report)), read, _verdict(False)]


def _chat(report: ReportData) -> list[Child]:
    if not report.chat.results:
        return []
    entries = number(report.chat.results, "examples", "train")
    read = (f"{count(entries)} " if entries is not None else "") + "instructions with their answers"
    return ["the chat model", foreign(base_name(report)), read, _verdict(False)]


def _verdict(has_read: bool) -> Node:
    word = "yes" if has_read else "no"
    return node("strong", word, class_=word)


def _consequence(report: ReportData) -> Node | None:
    runs = (("the spam classifier", report.spam), ("the chat model", report.chat))
    tuned = [name for name, run in runs if run.results]
    if not tuned:
        return None
    return note(
        f"{' and '.join(tuned)} {'were' if len(tuned) > 1 else 'was'} fine-tuned from ".capitalize(),
        foreign(base_name(report)),
        f", which was trained elsewhere on other texts. Asked about {report.texts}, it can only guess. "
        f"The model pretrained here has seen only {report.texts}: it imitates their style, but knows no facts and follows no instructions.",
    )
