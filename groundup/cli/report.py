"""`groundup report`: the page of a build or of one training run, from its folder alone."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from groundup.cli.console import in_browser, print_result
from groundup.cli.options import JsonOption, LanguageOption, file_to_write
from groundup.language.messages import SOURCE
from groundup.runs import require_place


def command(
    run: Annotated[
        Path, Argument(help="A build folder (runs/NAME), or the folder of one training run.")
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out", callback=file_to_write, help="The file to write; default: RUN/report.html."
        ),
    ] = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page about every stage: one HTML file that opens from disk and makes no requests.

    It is made from the files in RUN alone, without opening a model. Missing results of a stage are
    noted. The page is in English, German, French or Spanish; what a stage, a model or a text says
    stays as it is.

    Examples:
        groundup report runs/quickstart
        groundup report runs/quickstart/pretrain --out pretrain.html
        groundup report runs/quickstart --language de
    """
    from groundup.report.pages.build_page import write_page
    from groundup.runs import record_page

    require_place(run, "Give the folder of a build (runs/NAME) or of one of its training stages.")
    page = write_page(run, out, language=language or SOURCE)
    if out is None:
        record_page(run, page)
    print_result([in_browser(page)], {"page": str(page), "bytes": page.stat().st_size}, as_json)
