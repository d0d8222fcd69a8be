"""The head of the page: what was built in one sentence, and the picture of the path with each stage's result."""

from collections.abc import Sequence

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import note, notes_of
from groundup.report.drawing.icons import icon
from groundup.report.report_data import ReportData, Stage
from groundup.report.sections.data import kept
from groundup.report.values import number, tables, text
from groundup.report.words import count, duration, parameters

# The stages of a build in order: what it is called on the page, what it makes out of what, and the chapter that shows it.
STAGES: dict[str, tuple[str, str, str]] = {
    "data": ("Text", "raw files become clean documents", "data"),
    "tokenizer": ("Tokens", "text becomes numbers", "tokens"),
    "pretrain": ("A model of its own", "numbers teach it to guess the next one", "pretrain"),
    "base": ("A pulled model", "a public model joins", "readers"),
    "spam": ("Spam classifier", "the pulled model learns to sort", "spam"),
    "chat": ("Chat model", "the pulled model learns to answer", "chat"),
    "evaluate": ("Measured", "before and after, on the same data", "chat"),
    "export": ("Exported", "files that other programs open", "export"),
}

# The path as it is drawn: two models with a life of their own, then what happens to both.
LANES = (
    ("From nothing, on {texts}", "chain", ("data", "tokenizer", "pretrain")),
    ("From a public model", "fork", ("base", "spam", "chat")),
    ("Both", "both", ("evaluate", "export")),
)


def opening(story: ReportData, contents: Node) -> Node:
    """Name, sentence, contents, path, and what to take with care."""
    title = node("h1", "From raw text to a model that answers" if story.is_build else "One training run")
    name = node("p", "groundup · ", "build " if story.is_build else "run ", foreign(story.name), class_="kicker")
    lead = node("p", _sentence(story), class_="lead")
    return node("header", name, title, lead, contents, _path(story), _warnings(story), id="top")


def _sentence(story: ReportData) -> Child:
    if not story.is_build:
        return "This page shows one training run, made again from its folder alone."
    parts = [part for part in (_own(story), _pulled(story), _exported(story)) if part]
    spent = f"In {duration(story.elapsed_s)} this" if story.elapsed_s is not None else "This"
    if not parts:
        return f"{spent} build has not come far yet; what there is of it is shown below."
    return f"{spent} build " + (parts[0] if len(parts) == 1 else "; it ".join(parts)) + "."


def _own(story: ReportData) -> str:
    characters, vocabulary = kept(story.data, "characters"), number(story.tokenizer, "vocab_size")
    size = number(story.pretrain.results, "parameters")
    parts = []
    if characters is not None:
        parts.append(f"read {parameters(characters)} characters of text")
    if vocabulary is not None:
        parts.append(f"learned to cut it into {count(vocabulary)} kinds of pieces")
    if story.pretrain.results:
        parts.append(
            "trained a model"
            + (f" of {parameters(size)} parameters" if size is not None else "")
            + " on them from nothing"
        )
    return _listed(parts)


def _pulled(story: ReportData) -> str:
    taught = [
        what for what, run in (("to sort spam", story.spam), ("to follow instructions", story.chat)) if run.results
    ]
    return f"taught {base_name(story)} {_listed(taught)}" if taught else ""


def _exported(story: ReportData) -> str:
    files, gates = tables(story.export, "files"), tables(story.export, "gates")
    passed = sum(gate.get("passed") is True for gate in gates)
    if not gates:
        return f"wrote {count(len(files))} files for other programs" if files else ""
    if passed == len(gates):
        return f"exported {len(gates)} model files, and each agrees with its original in real llama.cpp"
    return f"exported {len(gates)} model files, of which only {passed} agree with their originals in real llama.cpp"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + (" and " if parts else "") + "".join(parts[-1:])


def base_name(story: ReportData) -> str:
    """The name of the pulled model, or a phrase for it."""
    return text(story.base, "pulled") or text(story.recipe, "base", "model") or "a public model"


def _path(story: ReportData) -> Node | None:
    if not story.is_build:
        return None
    others = [stage.name for stage in story.stages if stage.name not in STAGES]
    lanes = [
        (title.format(texts=story.texts), shape, [*names, *(others if shape == "both" else [])])
        for title, shape, names in LANES
    ]
    label = "The path from raw text to answers: each stage and its result"
    return node("nav", [_lane(story, title, shape, names) for title, shape, names in lanes], aria_label=label)


def _lane(story: ReportData, title: str, shape: str, names: Sequence[str]) -> list[Node]:
    cards = [_card(story.stage(name) or Stage(name, {})) for name in names]
    return [node("h2", title, class_="lane-title"), node("ol", cards, class_=f"lane {shape}")]


def _card(stage: Stage) -> Node:
    title, what, target = STAGES.get(stage.name, (stage.name, "", "lineage"))
    state = {"done": duration(stage.elapsed_s), "failed": f"failed after {duration(stage.elapsed_s)}"}.get(
        stage.status, "not reached" if not stage.record else stage.status
    )
    head = node("a", foreign(title), href=f"#{target}")
    result = foreign(stage.line, "p", "result") if stage.line else node("p", what, class_="result")
    return node(
        "li",
        icon(stage.name),
        node("h3", head),
        result,
        node("p", state, class_="time"),
        class_=f"stage {_state_class(stage)}",
    )


def _state_class(stage: Stage) -> str:
    return {"done": "done", "failed": "failed"}.get(stage.status, "open")


def _warnings(story: ReportData) -> list[Node]:
    failed = [
        note(f"The stage '{stage.name}' failed. ", foreign(stage.line), kind="warning")
        for stage in story.stages
        if stage.status == "failed"
    ]
    damaged = [
        note("A file of this folder could not be read and is left out: ", foreign(what), kind="warning")
        for what in story.damaged
    ]
    thin = [sentence for stage in story.stages for sentence in stage.thin]
    care = (
        [note(f"{count(len(thin))} figures on this page rest on little and are marked where they stand.", kind="thin")]
        if len(thin) > 1
        else notes_of(thin)
    )
    return [*failed, *damaged, *care]
