"""The head of the page: what was built in one sentence, and each stage with its result."""

from collections.abc import Sequence

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Chapter, StageCard, note, notes_of
from groundup.report.formatting import count, duration, parameters
from groundup.report.report_data import CONTINUED, ReportData, StageRecord
from groundup.report.sections.data import DATA_CARD
from groundup.report.sections.export import exported
from groundup.report.sections.readers import BASE_CARD
from groundup.report.sections.tokens import TOKENIZER_REPORT
from groundup.report.source_parts import kept
from groundup.report.values import number, tables

# The cards of the stages, in rows: title, and the class that draws the row.
LANES = {
    "own": ("From scratch, on {texts}", "chain"),
    "public": ("From a public model", "fork"),
    "both": ("Both", "both"),
}


def opening(report: ReportData, contents: Node, chapters: Sequence[Chapter]) -> Node:
    """Name, sentence, contents, the stages that `chapters` show, warnings."""
    title = node("h1", "From raw text to a model that answers" if report.is_build else "One training run")
    name = node("p", "groundup · ", "build " if report.is_build else "run ", foreign(report.name), class_="kicker")
    lead = node("p", _sentence(report), class_="lead")
    path = _path(report, chapters) if report.is_build else None
    return node("header", name, title, lead, contents, path, _warnings(report), id="top")


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
        parts.append(f"trained a model{f' of {parameters(size)} parameters' if size is not None else ''} from scratch")
    return _listed(parts)


def _pulled(report: ReportData) -> str:
    goals = {"classifier": "to classify {}", "chat": "to follow instructions"}
    kinds = ((goals[kind], name) for kind in goals for name in report.of_kind(kind))
    tuned = list(dict.fromkeys(goal.format(name) for goal, name in kinds if report.run(name).results))
    taught = f"had {report.base_name} read {report.texts} and " if report.stage(CONTINUED) else ""
    return f"{taught}fine-tuned {'it' if taught else report.base_name} {_listed(tuned)}" if tuned else ""


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
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + (" and " if parts else "") + "".join(parts[-1:])


def _path(report: ReportData, chapters: Sequence[Chapter]) -> Node:
    cards = [(card, chapter.key) for chapter in chapters for card in chapter.cards if card.stage in report.kinds]
    known = {card.stage for card, _ in cards}
    others = [stage.name for stage in report.stages if stage.name not in known]
    cards = [*((_plain_card(name), "lineage") for name in others if name == BASE_CARD.stage), *cards]
    cards += [(_plain_card(name), "lineage") for name in others if name != BASE_CARD.stage]
    rows = []
    for lane, (title, shape) in LANES.items():
        shown = [_card(report, card, target) for card, target in cards if card.lane == lane]
        if not shown:
            continue
        rows.append(node("h2", title.format(texts=report.texts), class_="lane-title"))
        rows.append(node("ol", shown, class_=f"lane {shape}"))
    return node("nav", rows, aria_label="The stages of the build and their results")


def _plain_card(stage: str) -> StageCard:
    """The card of a stage that no chapter shows; the pulled model comes before those that are made from it."""
    return BASE_CARD if stage == BASE_CARD.stage else StageCard(stage, stage, "", "both", "")


def _card(report: ReportData, card: StageCard, target: str) -> Node:
    stage = report.stage(card.stage) or StageRecord(card.stage, {})
    state = {"done": duration(stage.elapsed_s), "failed": f"failed after {duration(stage.elapsed_s)}"}.get(
        stage.status, "not reached" if not stage.record else stage.status
    )
    ring = node("circle", cx=20, cy=20, r=12)  # of a stage that no chapter shows
    shapes = card.icon() if callable(card.icon) else node("path", d=card.icon) if card.icon else ring
    icon = node("svg", shapes, viewBox="0 0 40 40", class_="icon", aria_hidden="true")
    head = node("h3", node("a", foreign(card.title), href=f"#{target}"))
    result = foreign(stage.line, "p", "result") if stage.line else node("p", card.what, class_="result")
    class_ = f"stage {stage.status if stage.status in ('done', 'failed') else 'open'}"
    return node("li", icon, head, result, node("p", state, class_="time"), class_=class_)


def _warnings(report: ReportData) -> list[Node]:
    failed = [stage for stage in report.stages if stage.status == "failed"]
    notes = [note(f"The stage '{stage.name}' failed. ", foreign(stage.line), kind="warning") for stage in failed]
    left_out = "A file of this folder could not be read and is left out: "
    notes += [note(left_out, foreign(what), kind="warning") for what in report.damaged]
    thin = [sentence for stage in report.stages for sentence in stage.thin]
    if len(thin) > 1:
        thin = [f"{count(len(thin))} figures on this page are measured on little data; each is marked."]
    return [*notes, *notes_of(thin)]
