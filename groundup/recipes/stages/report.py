"""Stage 9: one HTML page about every stage, made from the build folder alone; beside it, of an own
model that is small enough, a page with the model inside (`lab/live`), which the first one links.
"""

import os
import time
from pathlib import Path

from groundup.device import select_compute
from groundup.errors import ModelError
from groundup.evaluate.memorisation import memorised_of
from groundup.lab.live.contents import page_contents
from groundup.lab.live.live_page import START, write_live_page
from groundup.language.messages import system_language
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.report.pages.build_page import REPORT_NAME, write_page
from groundup.report.report_data import read_report_data
from groundup.report.values import text
from groundup.runs import LIVE_NAME
from groundup.weights.model_io import OpenModel, open_model

# A page of 27 MB.
MOST_PARAMETERS = 5_000_000
# Of measuring what a model repeats of its texts, on one thread of an AMD EPYC.
SECONDS_A_PARAMETER = 2.5e-6


def run(context: StageContext) -> StageResult:
    live = write_live(context)
    page = write_page(context.build, language=system_language(os.environ))
    pages = [page, live] if live else [page]
    sizes = (f"{each} ({each.stat().st_size / 1e6:.1f} MB)" for each in pages)
    return StageResult(", ".join(sizes))


def write_live(context: StageContext) -> Path | None:
    """None: no own model, or none that the page can hold, which is said."""
    path, own = context.build / LIVE_NAME, context.build / "pretrain"
    path.unlink(missing_ok=True)  # of another model, where the recipe has changed
    if not own.is_dir():
        return None
    opened = open_model(own, select_compute("cpu"))
    parameters = sum(weight.numel() for weight in opened.model.parameters())
    if parameters > MOST_PARAMETERS:
        why = f"the own model has {parameters:,} parameters, over {MOST_PARAMETERS:,}"
        way = f"groundup lab {context.build} --live"
        context.progress.say(f"      note: no page with the model inside: {why}. With it: {way}")
        return None
    beginning = text(read_report_data(context.build).facts("evaluate"), "example") or START
    try:
        contents = page_contents(opened)  # refused before the texts are read
        memorised = _memorised(context, opened, contents.parameters)
        write_live_page(opened, path, text=beginning, contents=contents, memorised=memorised)
    except ModelError as error:
        context.progress.say(f"      note: no page with the model inside: {error.message}")
        return None
    return path


def _memorised(
    context: StageContext, opened: OpenModel, parameters: int
) -> dict[str, object] | None:
    """What it repeats of its texts; None: there is no time to measure it, or the texts are gone,
    and the page says how it is measured.
    """
    needed_s = SECONDS_A_PARAMETER * parameters
    if context.lack_of_time("memorised", needed_s, time.monotonic()):
        return None
    found = memorised_of(opened, context.progress)
    if found is None:
        return None
    return found.to_plain()


STAGE = Stage(
    "report",
    3,
    run,
    share=0.01,
    describe=lambda recipe: "one HTML page; of a small own model one with the model inside",
    outputs=(REPORT_NAME,),
    has_folder=False,
)
