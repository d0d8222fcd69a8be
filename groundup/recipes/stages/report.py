"""Stage 9: one HTML page about every stage, made from the build folder alone."""

from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.report.pages.build_page import REPORT_NAME, write_page


def run(context: StageContext) -> StageResult:
    page = write_page(context.build)
    return StageResult(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")


STAGE = Stage(
    "report",
    1,
    run,
    share=0.01,
    describe=lambda recipe: "one HTML page",
    outputs=(REPORT_NAME,),
    has_folder=False,
)
