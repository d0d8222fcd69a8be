"""The head of the page: what was built in one sentence, what it writes, and each stage with its one
figure
"""

import shlex
from collections.abc import Callable, Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say, written
from groundup.report.chapter import Chapter, StageCard, mark, note, notes_of, sentence
from groundup.report.report_data import CONTINUED, OWN_STAGE, ReportData, StageRecord
from groundup.report.sections.pretrain import evenly, written_samples
from groundup.report.source_parts import kept
from groundup.report.stored_sentences import as_stored
from groundup.report.values import (
    MISSING,
    count,
    duration,
    fill,
    first_letters,
    fixed,
    measured,
    number,
    numbers,
    parameters,
    percent,
    table,
    tables,
    text,
    whole_percent,
)
from groundup.runs import LIVE_NAME


def opening(
    report: ReportData, contents: Node, chapters: Sequence[Chapter], *, beside: bool = True
) -> Node:
    """The overview, within one screen, and the contents; then warnings. `beside`: files of the
    folder are linked.
    """
    what, stages, commands = "run {name}", None, []
    if report.is_build:
        what, stages, commands = "build {name}", _stages(report, chapters), _commands(report)
    if beside and (report.folder / LIVE_NAME).is_file():
        commands.append(_live_link())
    said = [
        node("p", "groundup · ", sentence(what, name=foreign(report.name)), class_="kicker"),
        node("h1", say(_title(report))),
        node("p", _sentence(report), class_="lead"),
    ]
    parts = [node("div", said), shown_texts(report)]
    if commands:
        parts.append(node("div", commands, class_="next"))
    overview = node("div", parts, class_="overview")
    return node("header", overview, stages, contents, _warnings(report), id="top")


def _title(report: ReportData) -> str:
    if not report.is_build:
        return "One training run"
    if report.of_kind("index"):
        return "An assistant that answers from documents"
    if report.of_kind("chat"):
        return "From raw text to a model that answers"
    return "From texts to a model of them"


def _sentence(report: ReportData) -> Child:
    if not report.is_build:
        return say("This page shows one training run, from the files of its folder.")
    parts = [part for part in (_own(report), _pulled(report), _exported(report)) if part]
    if not parts:
        parts = [say("This build has trained and exported no model yet")]
    if report.elapsed_s is not None:
        parts.append(say("All of it took {time}", time=duration(report.elapsed_s)))
    return f"{'. '.join(parts)}."


def _own(report: ReportData) -> str:
    characters = kept(tables(report.data_card, "sources"), "characters")
    vocabulary = number(report.tokenizer, "vocab_size")
    results = report.run("pretrain").results
    if results:
        size = fill(" of {} parameters", number(results, "parameters"), parameters)
        text_read = fill(" from {} characters of text", characters, parameters)
        source, began = text(results, "start", "cut_from"), say("starting from random numbers")
        if source:
            began = say("cut from {source}", source=source)
        learned = "A model{size} learned to write{text}, {began}"
        return say(learned, size=size, text=text_read, began=began)
    parts = []
    if characters is not None:
        parts.append(say("read {characters} characters of text", characters=parameters(characters)))
    if vocabulary is not None:
        parts.append(
            say("trained a tokenizer with {vocabulary} tokens", vocabulary=count(vocabulary))
        )
    if not parts:
        return ""
    return say("This build {parts}", parts=_enumerate(parts))


def _pulled(report: ReportData) -> str:
    goals = {"classifier": "to classify {name}", "chat": "to follow instructions"}
    kinds = ((goals[kind], name) for kind in goals for name in report.of_kind(kind))
    tuned = list(
        dict.fromkeys(say(goal, name=name) for goal, name in kinds if report.run(name).results)
    )
    if not tuned:
        return ""
    whole = "The public model {model} was fine-tuned {aims}"
    if report.stage(CONTINUED):
        whole = "The public model {model} was trained further on {texts} and then fine-tuned {aims}"
    return say(whole, model=report.base_name, texts=report.texts, aims=_enumerate(tuned))


def _exported(report: ReportData) -> str:
    files, gates = tables(report.export, "files"), tables(report.export, "gates")
    passed = sum(gate.get("passed") is True for gate in gates)
    if not gates and not files:
        return ""
    if not gates:
        return say("{files} files were written for other programs", files=count(len(files)))
    all_or_some = "All {count} exported files agree with their originals in llama.cpp"
    if passed < len(gates):
        all_or_some = (
            "Only {passed} of {count} exported files agree with their originals in llama.cpp"
        )
    return say(all_or_some, passed=passed, count=len(gates))


def _enumerate(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return say("{first} and {last}", first=", ".join(parts[:-1]), last=parts[-1])


LINE_CHARACTERS, QUESTION_CHARACTERS = 72, 80
# A text of a play is shown in its lines.
LINES = 3
MOST = 2


def shown_texts(report: ReportData) -> Node | None:
    """At most two examples as one card; None before a model is trained that writes."""
    examples = (_continued(report), _asked(report), _answered(report))
    found = [part for part in examples if part is not None]
    if not found:
        return None
    return node("div", found[:MOST], class_="shown-texts")


def _continued(report: ReportData) -> Node | None:
    _, samples = written_samples(report.run("pretrain"))
    if not samples:
        if not report.run("pretrain").results:
            return None
        return _nothing("The own model", "Its run stored no samples.")
    rows: list[tuple[Child, str]] = [
        (say("step {step}", step=count(sample, "step")), text(sample, "text"))
        for sample in evenly(samples, 2)
    ]
    prompt = text(samples[0], "prompt")
    return _example("The own model goes on from", prompt, rows)


def _asked(report: ReportData) -> Node | None:
    """The first answer that became right, else the first that is right after, else the first."""
    names = [*report.of_kind("chat"), *report.of_kind("preference")]
    runs = [report.run(name).results for name in names]
    answers = tables(report.evaluation, "answers")
    answers = answers or [answer for results in runs for answer in tables(results, "answers")]
    answers = [answer for answer in answers if text(answer, "after").strip()]
    if not answers:
        if not any(runs):
            return None
        return _nothing("The chat model", "No answers before and after were stored.")
    right = [each for each in answers if each.get("after_right") is True]
    mended = [each for each in right if each.get("before_right") is False]
    chosen = (mended or right or answers)[0]
    rows: list[tuple[Child, str]] = []
    for name in ("before", "after"):
        judged = chosen.get(f"{name}_right")
        head: list[Child] = [f"{say(name)} "]
        if isinstance(judged, bool):
            head.append(mark(judged))
        rows.append((head, text(chosen, name)))
    asked = [question_alone(text(chosen, "instruction")), text(chosen, "input")]
    shown = first_letters(" ".join(filter(None, asked)), QUESTION_CHARACTERS)
    return _example("The chat model is asked", shown, rows)


def question_alone(instruction: str) -> str:
    """An instruction without the passages before it (`retrieve.support`).

    >>> question_alone("<source>\\nHours\\nAt 9.\\n</source>\\n\\nQuestion: When do you open?")
    'When do you open?'"""
    return instruction.rpartition("</source>")[2].strip().removeprefix("Question: ")


def _answered(report: ReportData) -> Node | None:
    for stage in report.of_kind("answers"):
        for item in tables(report.json(f"{stage}/results.json"), "items"):
            said = text(table(item, "answers", "quotations"), "text")
            if said.strip() and text(item, "answer"):
                question = first_letters(text(item, "question"), QUESTION_CHARACTERS)
                rows: list[tuple[Child, str]] = [(say("quoted"), said)]
                return _example("The documents are asked", question, rows)
    return None


def _nothing(title: str, words: str) -> Node:
    return node("article", node("h2", say(title)), node("p", say(words), class_="quiet"))


def _example(title: str, quoted: str, rows: Sequence[tuple[Child, str]]) -> Node:
    names = [node("dt", name) for name, _ in rows]
    said = [node("dd", foreign(beginning(words))) for _, words in rows]
    heading = node("h2", f"{say(title)} ", foreign(quoted, "q"))
    return node("article", heading, node("dl", zip(names, said, strict=True)))


def beginning(words: str) -> str:
    """The first lines of what a model wrote, without the empty ones; control characters as dots.

    >>> beginning("  Yes.\\n\\nTITUS.\\nNo,   sir.\\nOh.")
    'Yes.\\nTITUS.\\nNo, sir. …'"""
    lines = [" ".join(line.split()) for line in words.splitlines() if line.strip()]
    lines = ["".join(each if each.isprintable() else "·" for each in line) for line in lines]
    shown = first_letters("\n".join(lines[:LINES]), LINE_CHARACTERS)
    if len(lines) > LINES and not shown.endswith("…"):
        shown += " …"
    return shown


def _stages(report: ReportData, chapters: Sequence[Chapter]) -> Node:
    """Every stage with its one figure, its time, and a link to its chapter."""
    cards = {card.stage: (card, chapter.key) for chapter in chapters for card in chapter.cards}
    names = dict.fromkeys([*report.kinds, *(stage.name for stage in report.stages)])
    shown = [
        _stage(report, *cards.get(name, (_untitled(name), "lineage")))
        for name in names
        if name != OWN_STAGE
    ]
    return node("ol", shown, class_="stages")


def _untitled(name: str) -> StageCard:
    """The card of a stage of which no chapter speaks."""
    return StageCard(name, name[:1].upper() + name[1:], "")


def _stage(report: ReportData, card: StageCard, target: str) -> Node | None:
    """None for the evaluation, whose figures are those of the models."""
    stage = report.stage(card.stage) or StageRecord(card.stage, {})
    if stage.status == "done" and card.stage == "evaluate":
        return None
    look, state = "open", say(stage.status)
    if stage.status == "done":
        look, state = "done", duration(stage.elapsed_s)
    elif stage.status == "failed":
        look, state = "failed", say("failed after {time}", time=duration(stage.elapsed_s))
    elif not stage.record:
        state = say("not reached")
    parts = [node("h3", node("a", foreign(say(card.title)), href=f"#{target}"))]
    figure, what = headline(report, card.stage) or ("", card.what)
    if figure:
        parts.append(node("p", figure, class_="headline"))
    if what:
        parts.append(node("p", foreign(say(what)), class_="what"))
    return node("li", parts, node("p", state, class_="time"), class_=f"stage {look}")


def _commands(report: ReportData) -> list[Node]:
    """What to type next, for the folder as it lies below where builds are written."""
    whole = report.folder.resolve()
    folder = f"{whole.parent.name}/{whole.name}"
    lines = [f"groundup serve {folder}"]
    if report.of_kind("chat"):
        lines.insert(0, f"groundup chat {folder}")
    elif report.of_kind("pretrain"):
        words = shlex.quote(text(report.facts("evaluate"), "example") or "Once upon a time")
        lines.insert(0, f"groundup generate {folder} {words}")
    return [node("pre", node("code", line), class_="typed") for line in lines]


def _live_link() -> Node:
    words = "Open the own model in a page: let it write, and see every step of a guess"
    return node("p", node("a", say(words), href=LIVE_NAME))


def _warnings(report: ReportData) -> list[Node]:
    notes = [
        note(
            *sentence("The stage '{name}' failed. ", name=stage.name),
            as_stored(stage.line),
            kind="warning",
        )
        for stage in report.stages
        if stage.status == "failed"
    ]
    left_out = "A file of this folder could not be read and is left out: "
    notes += [note(left_out, foreign(what), kind="warning") for what in report.damaged]
    thin = [words for stage in report.stages for words in stage.thin]
    if len(thin) > 1:
        figures = "{count} figures on this page are measured on little data; each is marked."
        return [*notes, note(say(figures, count=count(len(thin))), kind="thin")]
    return [*notes, *notes_of(thin)]


Headline = tuple[str, str]


def headline(report: ReportData, stage: str) -> Headline | None:
    """The figure of a stage and what it counts ("2.64", "bits per byte"); None where it has
    none: it is shown by its state alone.
    """
    find = OF_KIND.get(report.kinds.get(stage, stage), lambda report, stage: ("", ""))
    figure, what = find(report, stage)
    if figure in ("", MISSING):
        return None
    return figure, what


def short(value: float | None) -> str:
    """A count in at most three digits: 5.05M, 135M, 4,096."""
    for divisor, form in ((1e9, "{short}B"), (1e6, "{short}M")):
        if value is not None and value >= divisor:
            return say(form, short=written(f"{value / divisor:.3g}"))
    return count(value)


def _pretrained(report: ReportData, stage: str) -> Headline:
    results = report.run(stage).results
    bits = number(results, "test", "bits_per_byte")
    if bits is None:
        bits = number(results, "bits_per_byte")
    return fixed(bits), "bits per byte"


def _classifier(report: ReportData, stage: str) -> Headline:
    best = next(iter(tables(report.run(stage).results, "models")), {})
    return percent(best, "accuracy", "value"), "accuracy"


def _chat(report: ReportData, stage: str) -> Headline:
    checked = table(report.chat_evaluation(stage), "checked")
    before, after = measured(checked, "before"), measured(checked, "after")
    if not before or not after or after.items is None:
        return fixed(report.run(stage).results, "held_out_loss", "after"), "loss on answers"
    right = [count(found.value * after.items) for found in (before, after)]
    return " → ".join(right), say("of {items} right", items=count(after.items))


def _taught(report: ReportData, stage: str) -> Headline:
    gained = table(report.run(stage).results, "forgetting", "texts")
    before, after = numbers(gained, "before", "after")
    if before is None or after is None:
        return "", ""
    return f"{fixed(before)} → {fixed(after)}", "bits per byte"


def _actions(report: ReportData, stage: str) -> Headline:
    titles = report.facts(stage).get("actions")
    if not isinstance(titles, list):
        return "", ""
    return count(len(titles)), "it can do"


def _answers(report: ReportData, stage: str) -> Headline:
    arms = tables(report.json(f"{stage}/results.json"), "arms")
    quoted = next((arm for arm in arms if arm.get("name") == "quotations"), {})
    return whole_percent(quoted, "contains", "value"), "answered by quotations"


def _export(report: ReportData, stage: str) -> Headline:
    files = len(tables(report.export, "files"))
    if not files:
        return "", ""
    return say("{files} files", files=count(files)), "for llama.cpp"


OF_KIND: dict[str, Callable[[ReportData, str], Headline]] = {
    "data": lambda report, stage: (
        short(kept(tables(report.data_card, "sources"), "characters")),
        "characters",
    ),
    "tokenizer": lambda report, stage: (count(report.tokenizer, "vocab_size"), "tokens"),
    "pretrain": _pretrained,
    "base": lambda report, stage: (
        short(number(report.facts(stage), "parameters")),
        "parameters",
    ),
    "classifier": _classifier,
    "chat": _chat,
    CONTINUED: _taught,
    "actions": _actions,
    "index": lambda report, stage: (count(report.facts(stage), "passages"), "passages"),
    "answers": _answers,
    "export": _export,
}
