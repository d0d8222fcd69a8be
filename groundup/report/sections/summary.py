"""The head of the page: what was built in one sentence, what it writes, and each stage with its
figure.
"""

import shlex
from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import Chapter, StageCard, note, notes_of
from groundup.report.formatting import count, duration, parameters
from groundup.report.report_data import CONTINUED, OWN_STAGE, ReportData, StageRecord
from groundup.report.sections.data import DATA_CARD
from groundup.report.sections.export import exported
from groundup.report.sections.headlines import headline
from groundup.report.sections.shown_texts import shown_texts
from groundup.report.sections.tokens import TOKENIZER_REPORT
from groundup.report.source_parts import kept
from groundup.report.values import number, table, tables, text


def opening(report: ReportData, contents: Node, chapters: Sequence[Chapter]) -> Node:
    """The overview, within one screen: what was built, what it writes, each stage with its figure,
    the contents; then warnings.
    """
    name = node(
        "p",
        "groundup · ",
        "build " if report.is_build else "run ",
        foreign(report.name),
        class_="kicker",
    )
    told = [name, node("h1", _title(report)), node("p", _sentence(report), class_="lead")]
    told += _commands(report) if report.is_build else []
    overview = node("div", node("div", told), shown_texts(report), class_="overview")
    stages = _stages(report, chapters) if report.is_build else None
    return node("header", overview, stages, contents, _warnings(report), id="top")


def _title(report: ReportData) -> str:
    if not report.is_build:
        return "One training run"
    if report.of_kind("index"):
        return "An assistant that answers from documents"
    return (
        "From raw text to a model that answers"
        if report.of_kind("chat")
        else "From texts to a model of them"
    )


def _sentence(report: ReportData) -> Child:
    if not report.is_build:
        return "This page shows one training run, from the files of its folder."
    parts = [part for part in (_own(report), _pulled(report), _exported(report)) if part]
    spent = f"In {duration(report.elapsed_s)} this" if report.elapsed_s is not None else "This"
    if not parts:
        return f"{spent} build has trained and exported no model yet; the finished stages are shown below."
    return f"{spent} build " + (parts[0] if len(parts) == 1 else "; it ".join(parts)) + "."


def _own(report: ReportData) -> str:
    characters = kept(tables(report.json(DATA_CARD), "sources"), "characters")
    vocabulary = number(report.json(TOKENIZER_REPORT), "vocab_size")
    results = report.run("pretrain").results
    size = number(results, "parameters")
    parts = []
    if characters is not None:
        parts.append(f"read {parameters(characters)} characters of text")
    if vocabulary is not None:
        parts.append(f"trained a tokenizer with {count(vocabulary)} tokens")
    if results:
        parts.append(
            f"trained a model{f' of {parameters(size)} parameters' if size is not None else ''} from scratch"
        )
    return _listed(parts)


def _pulled(report: ReportData) -> str:
    goals = {"classifier": "to classify {}", "chat": "to follow instructions"}
    kinds = ((goals[kind], name) for kind in goals for name in report.of_kind(kind))
    tuned = list(
        dict.fromkeys(goal.format(name) for goal, name in kinds if report.run(name).results)
    )
    taught = f"had {report.base_name} read {report.texts} and " if report.stage(CONTINUED) else ""
    return (
        f"{taught}fine-tuned {'it' if taught else report.base_name} {_listed(tuned)}"
        if tuned
        else ""
    )


def _exported(report: ReportData) -> str:
    record = exported(report)
    files, gates = tables(record, "files"), tables(record, "gates")
    passed = sum(gate.get("passed") is True for gate in gates)
    if not gates:
        return f"wrote {count(len(files))} files for other programs" if files else ""
    if passed == len(gates):
        return f"exported {len(gates)} model files, each of which agrees with its original in real llama.cpp"
    return f"exported {len(gates)} model files, of which only {passed} agree with their originals in real llama.cpp"


def _listed(parts: list[str]) -> str:
    return (
        parts[0]
        if len(parts) == 1
        else ", ".join(parts[:-1]) + (" and " if parts else "") + "".join(parts[-1:])
    )


def _stages(report: ReportData, chapters: Sequence[Chapter]) -> Node:
    """Every stage with its one figure, its time, and a link to its chapter; the evaluation's
    figures are those of the models.
    """
    cards = {card.stage: (card, chapter.key) for chapter in chapters for card in chapter.cards}
    names = list(dict.fromkeys([*report.kinds, *(stage.name for stage in report.stages)]))
    shown = [
        cards.get(name, (StageCard(name, name, ""), "lineage"))
        for name in names
        if name != OWN_STAGE
    ]
    return node("ol", [_stage(report, card, target) for card, target in shown], class_="stages")


def _stage(report: ReportData, card: StageCard, target: str) -> Node | None:
    stage = report.stage(card.stage) or StageRecord(card.stage, {})
    state = {
        "done": duration(stage.elapsed_s),
        "failed": f"failed after {duration(stage.elapsed_s)}",
    }.get(stage.status, "not reached" if not stage.record else stage.status)
    figure, what = headline(report, card.stage) or ("", "")
    if stage.status == "done" and card.stage == "evaluate":
        return None
    link = node("a", foreign(card.title), href=f"#{target}")
    counted = node("p", figure, class_="headline") if figure else None
    told = node("p", foreign(what or card.what), class_="what") if what or card.what else None
    class_ = f"stage {stage.status if stage.status in ('done', 'failed') else 'open'}"
    return node(
        "li", node("h3", link), counted, told, node("p", state, class_="time"), class_=class_
    )


def _commands(report: ReportData) -> list[Node]:
    """What to type next, for the folder as it lies below where builds are written."""
    whole = report.folder.resolve()
    folder = f"{whole.parent.name}/{whole.name}"
    lines = [f"groundup serve {folder}"]
    if report.of_kind("chat"):
        lines.insert(0, f"groundup chat {folder}")
    elif report.of_kind("pretrain"):
        facts = table(report.build, "stages", "evaluate", "facts")
        words = shlex.quote(text(facts, "example") or "Once upon a time")
        lines.insert(0, f"groundup generate {folder} {words}")
    return [node("pre", node("code", line), class_="typed") for line in lines]


def _warnings(report: ReportData) -> list[Node]:
    failed = [stage for stage in report.stages if stage.status == "failed"]
    notes = [
        note(f"The stage '{stage.name}' failed. ", foreign(stage.line), kind="warning")
        for stage in failed
    ]
    left_out = "A file of this folder could not be read and is left out: "
    notes += [note(left_out, foreign(what), kind="warning") for what in report.damaged]
    thin = [sentence for stage in report.stages for sentence in stage.thin]
    if len(thin) > 1:
        thin = [
            f"{count(len(thin))} figures on this page are measured on little data; each is marked."
        ]
    return [*notes, *notes_of(thin)]
