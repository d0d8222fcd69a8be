"""Stage 9: one page that shows every stage, made from the build folder alone."""

from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.report.page import write_page

PAGE = "report.html"


def run(context: StageContext) -> StageResult:
    """Write the page."""
    page = write_page(context.build, context.build / PAGE)
    return StageResult(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")


STAGE = Stage(
    "report",
    1,
    run,
    share=0.01,
    describe=lambda recipe: "one HTML page",
    needs=("data", "tokenizer", "pretrain", "base", "spam", "chat", "evaluate", "export"),
    outputs=(PAGE,),
    has_folder=False,
)
