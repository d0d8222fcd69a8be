"""The head of the page: what was built in one sentence, and each stage with its result."""

from collections.abc import Sequence

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import note, notes_of
from groundup.report.report_data import ReportData, Stage
from groundup.report.sections.data import kept
from groundup.report.values import count, duration, number, parameters, tables, text

# The stages of a build in order: title on the page, what it does, and the id of its chapter.
STAGES: dict[str, tuple[str, str, str]] = {
    "data": ("Text", "cleans raw files into documents", "data"),
    "tokenizer": ("Tokens", "turns text into token ids", "tokens"),
    "pretrain": ("Pretrained model", "learns to predict the next token", "pretrain"),
    "base": ("Pulled model", "fetches a public model", "readers"),
    "spam": ("Spam classifier", "fine-tunes the pulled model to classify", "spam"),
    "chat": ("Chat model", "fine-tunes the pulled model to follow instructions", "chat"),
    "evaluate": ("Evaluation", "measures before and after, on the same data", "chat"),
    "export": ("Export", "writes files for other programs", "export"),
}

# The stages in rows: the model that is pretrained here, the models from a public one, then the stages for both.
LANES = (
    ("From scratch, on {texts}", "chain", ("data", "tokenizer", "pretrain")),
    ("From a public model", "fork", ("base", "spam", "chat")),
    ("Both", "both", ("evaluate", "export")),
)


def opening(report: ReportData, contents: Node) -> Node:
    """Name, sentence, contents, stages, warnings."""
    title = node("h1", "From raw text to a model that answers" if report.is_build else "One training run")
    name = node("p", "groundup · ", "build " if report.is_build else "run ", foreign(report.name), class_="kicker")
    lead = node("p", _sentence(report), class_="lead")
    return node("header", name, title, lead, contents, _path(report), _warnings(report), id="top")


def _sentence(report: ReportData) -> Child:
    if not report.is_build:
        return "This page shows one training run, from the files of its folder."
    parts = [part for part in (_own(report), _pulled(report), _exported(report)) if part]
    spent = f"In {duration(report.elapsed_s)} this" if report.elapsed_s is not None else "This"
    if not parts:
        return f"{spent} build has not got far yet; the finished stages are shown below."
    return f"{spent} build " + (parts[0] if len(parts) == 1 else "; it ".join(parts)) + "."


def _own(report: ReportData) -> str:
    characters, vocabulary = kept(report.data, "characters"), number(report.tokenizer, "vocab_size")
    size = number(report.pretrain.results, "parameters")
    parts = []
    if characters is not None:
        parts.append(f"read {parameters(characters)} characters of text")
    if vocabulary is not None:
        parts.append(f"trained a tokenizer with {count(vocabulary)} tokens")
    if report.pretrain.results:
        parts.append(
            "trained a model" + (f" of {parameters(size)} parameters" if size is not None else "") + " from scratch"
        )
    return _listed(parts)


def _pulled(report: ReportData) -> str:
    goals = (("to classify spam", report.spam), ("to follow instructions", report.chat))
    tuned = [goal for goal, run in goals if run.results]
    return f"fine-tuned {base_name(report)} {_listed(tuned)}" if tuned else ""


def _exported(report: ReportData) -> str:
    files, gates = tables(report.export, "files"), tables(report.export, "gates")
    passed = sum(gate.get("passed") is True for gate in gates)
    if not gates:
        return f"wrote {count(len(files))} files for other programs" if files else ""
    if passed == len(gates):
        return f"exported {len(gates)} model files, each of which agrees with its original in real llama.cpp"
    return f"exported {len(gates)} model files, of which only {passed} agree with their originals in real llama.cpp"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + (" and " if parts else "") + "".join(parts[-1:])


def base_name(report: ReportData) -> str:
    """Return the name of the pulled model, or "a public model"."""
    return text(report.base, "pulled") or text(report.recipe, "base", "model") or "a public model"


def _path(report: ReportData) -> Node | None:
    if not report.is_build:
        return None
    others = [stage.name for stage in report.stages if stage.name not in STAGES]
    lanes = [
        (title.format(texts=report.texts), shape, [*names, *(others if shape == "both" else [])])
        for title, shape, names in LANES
    ]
    label = "The stages of the build and their results"
    return node("nav", [_lane(report, title, shape, names) for title, shape, names in lanes], aria_label=label)


def _lane(report: ReportData, title: str, shape: str, names: Sequence[str]) -> list[Node]:
    cards = [_card(report.stage(name) or Stage(name, {})) for name in names]
    return [node("h2", title, class_="lane-title"), node("ol", cards, class_=f"lane {shape}")]


def _card(stage: Stage) -> Node:
    title, what, target = STAGES.get(stage.name, (stage.name, "", "lineage"))
    state = {"done": duration(stage.elapsed_s), "failed": f"failed after {duration(stage.elapsed_s)}"}.get(
        stage.status, "not reached" if not stage.record else stage.status
    )
    head = node("h3", node("a", foreign(title), href=f"#{target}"))
    result = foreign(stage.line, "p", "result") if stage.line else node("p", what, class_="result")
    class_ = f"stage {stage.status if stage.status in ('done', 'failed') else 'open'}"
    return node("li", icon(stage.name), head, result, node("p", state, class_="time"), class_=class_)


def _warnings(report: ReportData) -> list[Node]:
    failed = [
        note(f"The stage '{stage.name}' failed. ", foreign(stage.line), kind="warning")
        for stage in report.stages
        if stage.status == "failed"
    ]
    damaged = [
        note("A file of this folder could not be read and is left out: ", foreign(what), kind="warning")
        for what in report.damaged
    ]
    thin = [sentence for stage in report.stages for sentence in stage.thin]
    if len(thin) > 1:
        thin = [f"{count(len(thin))} figures on this page are measured on little data; each is marked."]
    return [*failed, *damaged, *notes_of(thin)]


# The icons of the stages: drawn in a square of 40 x 40, coloured by the style sheet.
LINES = "M6 10H34 M6 17H30 M6 24H33 M6 31H22"
CURVE = "M6 6V34H35 M8 9C12 26 18 29 34 30"
TRAY = "M20 5V25 M12 18L20 26L28 18 M7 27V34H33V27"
BUBBLES = "M5 7H27V20H14L9 25V20H5Z M31 15H35V28H32V33L26 28H16V25"
SCALES = "M6 33H34 M10 12V24 M7 12H13 M7 24H13 M20 7V19 M17 7H23 M17 19H23 M30 15V28 M27 15H33 M27 28H33"
BOX = "M6 13L20 6L34 13V28L20 35L6 28Z M6 13L20 20L34 13 M20 20V35"
PAGE = "M9 5H25L31 11V35H9Z M14 17H26 M14 23H26 M14 29H21"


def icon(stage: str) -> Node:
    """The icon of a stage; a ring for a stage that has none."""
    drawing = ICONS[stage]() if stage in ICONS else [node("circle", cx=20, cy=20, r=12)]
    return node("svg", drawing, viewBox="0 0 40 40", class_="icon", aria_hidden="true")


def _stroke(path: str) -> list[Node]:
    return [node("path", d=path)]


def _pieces() -> list[Node]:
    boxes = ((5, 8, 9), (16, 8, 13), (31, 8, 5), (5, 17, 15), (22, 17, 8), (5, 26, 6), (13, 26, 10), (25, 26, 11))
    return [
        node("rect", x=x, y=y, width=width, height=6, class_=f"piece-{index % 4}")
        for index, (x, y, width) in enumerate(boxes)
    ]


def _matrix() -> list[Node]:
    cells = ((7, 7, "full"), (21, 7, "faint"), (7, 21, "faint"), (21, 21, "full"))
    return [node("rect", x=x, y=y, width=12, height=12, class_=class_) for x, y, class_ in cells]


ICONS = {
    "data": lambda: _stroke(LINES),
    "tokenizer": _pieces,
    "pretrain": lambda: _stroke(CURVE),
    "base": lambda: _stroke(TRAY),
    "pull": lambda: _stroke(TRAY),
    "spam": _matrix,
    "chat": lambda: _stroke(BUBBLES),
    "evaluate": lambda: _stroke(SCALES),
    "export": lambda: _stroke(BOX),
    "report": lambda: _stroke(PAGE),
}
