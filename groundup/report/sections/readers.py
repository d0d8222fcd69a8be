"""Which model has read the texts of stage 1 and which has not, said plainly."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, note
from groundup.report.report_data import ReportData
from groundup.report.sections.opening import base_name
from groundup.report.sections.spam import split_count
from groundup.report.values import number, table
from groundup.report.words import count, fixed, parameters

KEY, KICKER, TITLE = "readers", "Two lives, not one", "Who has read {texts}, and who has not"
SEE = "Two families of models leave this build. Only one of them has seen the texts that went in at stage 1."


def readers(story: ReportData) -> Node:
    """The chapter that keeps apart what each model was trained on."""
    title = TITLE.format(texts=story.texts)
    rows = [row for row in (_own(story), _spam(story), _chat(story)) if row]
    if not rows:
        return absent(KEY, KICKER, title, "no model has been trained yet")
    shown = data_table(
        "What each model has read", ["model", "began as", "trained here on", f"has read {story.texts}"], rows
    )
    return chapter(KEY, KICKER, title, SEE, shown, _consequence(story))


def _own(story: ReportData) -> list[Child]:
    if not story.pretrain.results and not story.pretrain.run:
        return []
    size, tokens = number(story.pretrain.results, "parameters"), _tokens_read(story)
    began = "random numbers" + (f", {parameters(size)} of them" if size is not None else "")
    read = f"the train part of {story.texts}" + (f", {count(tokens)} tokens" if tokens is not None else "")
    epochs = number(story.pretrain.results, "epochs")
    again = f" ({fixed(epochs, 1)} times through)" if epochs is not None else ""
    return ["the model of its own", began, read + again, _verdict(True)]


def _tokens_read(story: ReportData) -> float | None:
    last = number(story.pretrain.last_step, "tokens")
    return last if last is not None else number(story.pretrain.results, "tokens")


def _spam(story: ReportData) -> list[Child]:
    if not story.spam.results:
        return []
    messages = split_count(table(story.spam.results, "splits"), "train")
    read = (f"{count(messages)} " if messages is not None else "") + "labelled text messages (SMS)"
    return ["the spam classifier", foreign(base_name(story)), read, _verdict(False)]


def _chat(story: ReportData) -> list[Child]:
    if not story.chat.results:
        return []
    entries = number(story.chat.results, "examples", "train")
    read = (f"{count(entries)} " if entries is not None else "") + "instructions with their answers"
    return ["the chat model", foreign(base_name(story)), read, _verdict(False)]


def _verdict(has_read: bool) -> Node:
    return node("strong", "yes", class_="yes") if has_read else node("strong", "no", class_="no")


def _consequence(story: ReportData) -> Node | None:
    grown = [name for name, run in (("the spam classifier", story.spam), ("the chat model", story.chat)) if run.results]
    if not grown:
        return None
    return note(
        f"{' and '.join(grown)} grew out of ".capitalize(),
        foreign(base_name(story)),
        f", which others trained on other texts. Asked about {story.texts}, what comes from it can only guess. "
        f"The model of its own has read nothing but {story.texts}: "
        "it writes in their manner, but knows no facts and follows no instructions.",
    )
