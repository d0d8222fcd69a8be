"""`groundup app`: a finished model or assistant for someone without Python."""

from dataclasses import asdict
from typing import Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result
from groundup.cli.options import JsonOption, OutOption


def command(
    model: Annotated[
        str,
        Argument(
            help="A model (name, folder, .gguf), a build (its assistant or chat model), an index."
        ),
    ],
    out: OutOption,
    form: Annotated[
        str,
        Option(
            "--form",
            help="page (one file for any browser, small language models) or program (Linux); "
            "default: a page where the model fits into one.",
        ),
    ] = "",
    with_model: Annotated[
        bool,
        Option("--with-model", help="Of a build with documents: carry its model that writes, too."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a finished model or assistant as a folder for someone who has no Python: it runs
    offline, and nothing is installed.

    A language model of up to 20 million parameters becomes a page, model.html, with the model
    inside: any browser runs it. A larger one, or a classifier, becomes a program: a folder with the
    weights, Python, the packages that are needed, and start.sh, which serves the model on that
    machine and opens its page. It is started once before it is written, and runs on Linux with the
    same kind of processor.

    A build with an index of documents, or an index, becomes such a program, too: its assistant,
    with the documents, their index, the actions, and the encoders that the index was made with. It
    answers in quotations, which need no model that writes; --with-model carries that, too. How
    large each part is, is said first.

    Examples:
        groundup app runs/quickstart/pretrain --out my-model
        groundup app runs/quickstart/chat --out my-chat
        groundup app runs/quickstart/spam --out spam-filter
        groundup app runs/bank --out bank-assistant
        groundup app manuals.index --out manuals
    """
    from groundup.bundle.app import PAGE, write_app

    progress = console_progress()
    made = write_app(model, out, form=form, with_model=with_model, progress=progress)
    has = f"{made.about.parameters:,} parameters"
    if made.about.documents:
        has = f"{made.about.documents} documents, which whoever has the folder can read"
    size = f"{made.size_bytes / 1e6:,.1f} MB, {has}"
    if made.form == PAGE:
        lines = [f"{out} ({size}): model.html opens in any browser."]
    else:
        about = made.about
        lines = [
            f"{out} ({size}): ./start.sh serves it and opens its page.",
            f"It needs Linux on {about.machine} with glibc {about.glibc} or newer, and no Python.",
        ]
    lines.append("What it needs and how it is started stands in its README.txt.")
    values = {**asdict(made), "folder": str(made.folder)}
    print_result(lines, values, as_json)
