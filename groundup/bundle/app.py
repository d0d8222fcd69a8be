"""A finished model or assistant for someone without Python: `groundup app RUN --out FOLDER`.

FOLDER/model.html    form "page", for a small language model: it runs in any browser
FOLDER/start.sh      form "program", for all others: serves it and opens its page (start.py)
FOLDER/python/       Python, its libraries and the packages (interpreter.py)
FOLDER/model/        the weights and the tokenizer; of an assistant what assistant.py lists
FOLDER/app.json      the name, the packages' versions, the C library that is needed
FOLDER/README.txt    how it is started and what it needs
FOLDER/manifest.json sizes and hashes of all these: groundup verify FOLDER
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from groundup.actions.world import WORLD_FILE
from groundup.bundle import start
from groundup.bundle.assistant import (
    CACHE,
    PLACE,
    AssistantParts,
    assistant_parts,
    carry,
)
from groundup.bundle.interpreter import (
    copy_interpreter,
    copy_libraries,
    copy_packages,
    least_glibc,
    packages_bytes,
    require_linux,
)
from groundup.bundle.wheels import folder_bytes
from groundup.device import select_compute
from groundup.errors import ConfigError, ModelError
from groundup.evaluate.memorisation import memorised_of
from groundup.files import atomic_folder, write_json, write_text
from groundup.lab.live.contents import MAX_PARAMETERS, page_contents
from groundup.lab.live.live_page import write_live_page
from groundup.progress import Progress, Silent
from groundup.retrieve.rankings import WORDS_ALONE
from groundup.weights.hf import HF
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_format import (
    ExportOptions,
    OpenModel,
    is_free,
    manifest_value,
    model_name,
)
from groundup.weights.model_io import open_model

PAGE, PROGRAM = "page", "program"
FORMS = (PAGE, PROGRAM)
EXTRAS = ("serve",)
# What the manifest of an app says it is, which may be replaced.
APP = "app"
START = """#!/bin/sh
# Serves the model on this machine and opens its page; all that it needs is in this folder.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 1
LD_LIBRARY_PATH="$here/python/libs" exec "$here/python/bin/python3" -I "$here/start.py" "$@"
"""
CHECK_S = 300
ASSISTANT = "assistant"
NEEDS = """
Start it:   ./start.sh      (in a terminal; a browser opens with its page, Ctrl-C ends it)

Needs: Linux on {machine} with the GNU C library {glibc} or newer, and a browser. Python is in the
folder. Nothing is installed and no other machine is asked; only this machine reaches the page.
Licences of Python and the packages stand beside their files.
"""
README = {
    PAGE: """{name}: a language model in one file.

Open model.html in a browser (double-click it). It needs no program, no account and no network:
the model is in the page, and what you write stays on this machine.
""",
    PROGRAM: f"""{{name}}: a language model with all that it needs to run.
{NEEDS}""",
    ASSISTANT: f"""{{name}}: an assistant for documents, with all that it needs to run.
{NEEDS}
It answers with sentences of its {{documents}} documents, each with its source; they are in
assistant/, all of them, for whoever has this folder. One that is altered is not quoted any more.
""",
}
ACTS = """What its actions do is kept in assistant/world.sqlite: delete that file to begin again.
"""


@dataclass(frozen=True)
class AppFacts:
    """What README.txt and app.json say."""

    name: str
    parameters: int = 0
    """Of its language model or classifier, if it has one."""
    documents: int = 0
    """Files that an assistant answers from."""
    model: str = ""
    """Its folder or file in the app."""
    machine: str = field(default_factory=platform.machine)
    glibc: str = ""
    """The least version of the C library."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Name -> version."""


@dataclass(frozen=True)
class ModelApp:
    """What was written."""

    folder: Path
    form: str
    size_bytes: int
    about: AppFacts


WriteServed = Callable[[Path], str]
"""A function that writes what is served into the app's folder and returns its name there."""


def write_app(
    model: str | Path,
    out: Path,
    *,
    form: str = "",
    with_model: bool = False,
    progress: Progress | None = None,
) -> ModelApp:
    """Write a folder that runs a model, or the assistant of a build or an index, without Python: of
    `form` "page" or "program", by default a page where a language model fits into one.
    `with_model`: an assistant with its build's model, which writes answers of its own.

    The program is started once for a check. Raises ModelError (an encoder, or what a page can't
    run), ConfigError, FormatError and DiskError.
    """
    progress = progress or Silent()
    if form and form not in FORMS:
        raise ConfigError(f"`form` {form!r} is not known.", fix=f"Forms: {', '.join(FORMS)}.")
    if not is_free(out) and manifest_value(out, APP) is None:
        raise ConfigError(
            f"{out} has files in it, and is not an earlier app.", fix="Give a new or empty folder."
        )
    if form == PROGRAM:
        require_linux()
    assistant = assistant_parts(Path(model), with_model=with_model)
    if assistant is not None:
        return _write_assistant(assistant, out, form, progress)
    if with_model:
        progress.say(
            f"{model} has no documents to answer from, so --with-model changes nothing: "
            "the model is all that is carried."
        )
    opened = open_model(model, select_compute("cpu"), progress=progress)
    if opened.kind == "encoder":
        raise ModelError(
            f"{opened.path} is {KIND_NAMES[opened.kind]}; an app writes or classifies.",
            fix="Give the folder of a language model or a classifier, or a build with documents.",
        )
    parameters = sum(weight.numel() for weight in opened.model.parameters())
    if not form:
        form = PROGRAM
        if opened.kind == "language" and parameters <= MAX_PARAMETERS:
            form = PAGE
    about = AppFacts(model_name(opened), parameters)
    with atomic_folder(out, extra={APP: form}) as folder:
        if form == PAGE:
            contents, found = page_contents(opened), memorised_of(opened, progress)
            page = folder / "model.html"
            memorised: Mapping[str, Any] | None = None
            if found is not None:
                memorised = found.to_plain()
            write_live_page(opened, page, contents=contents, memorised=memorised)
        else:
            about = _write_program(lambda into: _carry_model(opened, into), about, folder, progress)
        return _finish(out, folder, form, README[form], about)


def _finish(out: Path, folder: Path, form: str, readme: str, about: AppFacts) -> ModelApp:
    write_text(folder / "README.txt", readme.format(**asdict(about)))
    return ModelApp(out, form, folder_bytes(folder), about)


def _write_assistant(parts: AssistantParts, out: Path, form: str, progress: Progress) -> ModelApp:
    """Raises ConfigError for a page, which can't search."""
    if form == PAGE:
        raise ConfigError(
            f"{parts.source} answers from documents, which a page without a program can't search.",
            fix="Leave --form out, or give the folder of its model alone.",
        )
    require_linux()
    sizes = {**parts.sizes(), "Python with its packages": packages_bytes("groundup", EXTRAS)}
    said = ", ".join(f"{what} {size / 1e6:,.1f} MB" for what, size in sizes.items())
    total = sum(sizes.values())
    progress.say(f"{parts.name}: {said}; about {total / 1e6:,.0f} MB together.")
    if parts.left_out_bytes:
        size = f"{parts.left_out_bytes / 1e6:,.1f} MB"
        progress.say(f"Left out: the model that can write ({size}; --with-model: carried, too).")
    opened, parameters = None, 0
    if parts.model is not None:
        opened = open_model(parts.model, select_compute("cpu"), progress=progress)
        parameters = sum(weight.numel() for weight in opened.model.parameters())
    about = AppFacts(parts.name, parameters, parts.documents)
    with atomic_folder(out, needed_bytes=total, extra={APP: PROGRAM}) as folder:
        about = _write_program(
            lambda into: carry(parts, into, opened, progress), about, folder, progress
        )
        readme = README[ASSISTANT]
        if parts.actions is not None:
            readme += ACTS
        return _finish(out, folder, PROGRAM, readme, about)


def _carry_model(opened: OpenModel, folder: Path) -> str:
    name = "model"
    if opened.path.is_file():
        name = f"model{opened.path.suffix}"
        shutil.copyfile(opened.path, folder / name)
    else:
        HF.write(opened, folder / name, ExportOptions(HF.default_quantization))
    return name


def _write_program(
    write_served: WriteServed, about: AppFacts, folder: Path, progress: Progress
) -> AppFacts:
    """Raises ConfigError where the folder's Python does not start the model."""
    python = folder / "python"
    with progress.track("app", 5, "parts") as advance:
        copy_interpreter(python)
        advance(1)
        packages = copy_packages(python, "groundup", EXTRAS)
        advance(1)
        copy_libraries(python)
        advance(1)
        name = write_served(folder)
        advance(1)
        about = replace(about, model=name, packages=packages, glibc=least_glibc(python))
        write_json(folder / "app.json", asdict(about))
        assert start.__file__
        shutil.copyfile(start.__file__, folder / "start.py")
        write_text(folder / "start.sh", START)
        (folder / "start.sh").chmod(0o755)
        _require_start(folder)
        advance(1)
    return about


def _require_start(folder: Path) -> None:
    """Start it as its reader will, without the settings of this environment."""
    settings = {"PATH": os.defpath, "HOME": str(folder / "home"), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [folder / "start.sh", "--check"], env=settings, capture_output=True,
            encoding="utf-8", timeout=CHECK_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"The program did not start within {CHECK_S} s, so it was not written.",
            fix="Try again when the machine is less busy.",
        ) from error
    _remove_written(folder)
    if done.returncode or WORDS_ALONE in done.stderr:
        said = " ".join((done.stderr or done.stdout or "no message").split())
        raise ConfigError(
            f"The copied Python did not start it: ... {said[-300:]}",
            fix="Make the app with a Python of its own (pyenv, uv, python.org), not the system's.",
        )


def _remove_written(folder: Path) -> None:
    """Remove what a start writes: it begins anew where the app is used."""
    shutil.rmtree(folder / "home", ignore_errors=True)
    for file in (folder / PLACE).glob(f"{WORLD_FILE}*"):
        file.unlink()
    for each in (folder / CACHE).glob("*"):
        if each.name != "models":
            shutil.rmtree(each)
