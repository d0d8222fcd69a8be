"""Every kind of page by axe-core, on a desktop in the light and on a phone in the dark: no fault of a serious or critical kind.

The program is fetched (`axe.py`), so the tests are marked network. The site's pages want the extra `docs`.
"""

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from groundup.lab.live.live_page import write_live_page
from groundup.lab.page import write_lab_page
from groundup.lab.views import look_inside
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.report.pages.build_page import write_page
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import OpenModel
from tests.axe import violations
from tests.page_faults import page_faults, print_faults
from tests.report.conftest import write_build
from tests.report.live_runs import Writer
from tests.serve.clients.conftest import Serving, servers
from tests.serve.clients.test_serve_assistant import QUESTION, make_build
from tests.serve.small_models import save_classifier, save_language
from tests.test_docs import script

pytestmark = [pytest.mark.network, pytest.mark.browser]

LAB_VIEWS = ("tokens", "neighbours", "positions", "heads", "attention", "ablation")
TEXT = "To be, or not to be. To suffer the mind."
SCREENS = pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
Show = Callable[[str], Any]


@pytest.fixture
def show(browser: Any, width: int, scheme: str) -> Iterator[Show]:
    """show(address) -> the page."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)

    def opened(address: str) -> Any:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(address)
        return page

    yield opened
    context.close()


def serious(page: Any) -> list[Any]:
    return violations(page, "serious", "critical")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def opened_model() -> OpenModel:
    tokenizer = train_tokenizer([TEXT * 3], 320)
    shape = {"width": 32, "num_layers": 2, "num_heads": 4, "feedforward_width": 64}
    config = ModelConfig(vocab_size=tokenizer.vocab_size, context_tokens=32, **shape)
    model = LanguageModel(config).eval()
    initialise(model, torch.Generator().manual_seed(0))
    return OpenModel(model, tokenizer, config, Path("tiny"), "language")


@SCREENS
def test_the_report_with_every_chapter_open(show: Show, folder: Path, width: int) -> None:
    build = write_build(folder / f"quickstart-{width}")
    page = show(write_page(build).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert serious(page) == []


@pytest.fixture(scope="module")
def watched(folder: Path) -> Iterator[str]:
    for name, steps in (("one", 200), ("two", 100)):
        run = Writer(folder / "runs" / name, steps=steps, skips=(30,))
        run.begin()
        run.write(last=60)
    command = [sys.executable, "-m", "groundup", "watch", str(folder / "runs"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    yield process.stdout.readline().split("  ")[0].split()[-1]
    process.terminate()
    process.communicate()


@SCREENS
def test_watch(show: Show, watched: str) -> None:
    page = show(watched)
    page.locator("svg").first.wait_for()
    assert serious(page) == []


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Serving]:
    save_language(folder / "models" / "tiny")
    save_language(folder / "models" / "other", seed=5)
    save_classifier(folder / "models" / "sorter")
    with servers() as start:
        yield start("--models", str(folder / "models"))


@SCREENS
@pytest.mark.parametrize("view", ["chat", "classify", "compare", "inside", "models"])
def test_the_views_of_serve(show: Show, served: Serving, view: str) -> None:
    page = show(f"{served.address}/#{view}")
    models = f"#{view} option:not([disabled]), #{view} .card"
    page.locator(models).first.wait_for(state="attached")
    if view == "classify":
        page.get_by_label("Messages").fill(TEXT)
        page.get_by_role("button", name="Classify").click()
        page.locator("#verdicts").get_by_role("button", name="Which words?").click()
        page.locator("#verdicts").locator(".for, .against").first.wait_for()
    assert serious(page) == []


@pytest.fixture(scope="module")
def clinic(folder: Path) -> Iterator[Serving]:
    with servers() as start:
        yield start(str(make_build(folder / "clinic")))


@SCREENS
def test_the_page_of_an_assistant_with_an_answer(show: Show, clinic: Serving) -> None:
    page = show(clinic.address)
    page.locator("#assistant-question").fill(QUESTION)
    page.keyboard.press("Enter")
    page.locator("#assistant-thread .asked:not([aria-busy])").wait_for()
    assert serious(page) == []


@pytest.mark.filterwarnings("ignore:Glyph")  # an untrained model predicts control characters
@SCREENS
def test_the_lab(show: Show, opened_model: OpenModel, folder: Path) -> None:
    file = folder / "inside.html"
    if not file.exists():
        write_lab_page(look_inside(opened_model, TEXT, only=LAB_VIEWS), file)
    assert serious(show(file.as_uri())) == []


@SCREENS
def test_the_live_page_in_a_frame(show: Show, opened_model: OpenModel, folder: Path) -> None:
    """Whole: `lab/test_live_explained.py`."""
    file = folder / "model.html"
    write_live_page(opened_model, file, text="To be, or not")
    page = show(f"{file.as_uri()}?alone=at-scores")
    page.evaluate("document.getElementById('inside').scrollIntoView()")
    page.wait_for_selector("#inside:not([aria-busy])")
    assert serious(page) == []


@pytest.fixture(scope="module")
def site(folder: Path) -> Path:
    """Some pages of the site, and all that they load."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs Zensical: pip install 'groundup[docs]'")
    sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "site"))
    try:
        build = script("build")
    finally:
        sys.path.pop(0)
    build.OUT, build.PAGES = folder / "site", folder / "site" / "pages"
    build.copy_pages()
    for page in build.PAGES.rglob("*.md"):
        if page.relative_to(build.PAGES).with_suffix("").as_posix() not in SITE_PAGES:
            page.unlink()
    build.with_dark_pictures(build.PAGES)
    build.write_assets()
    build.write_configuration({"COURSE": [], "REFERENCE": []})
    file = build.OUT / "zensical.toml"
    settings = tomllib.loads(file.read_text())
    settings["project"]["nav"] = NAVIGATION
    del settings["project"]["plugins"]
    file.write_text(tomli_w.dumps(settings))
    command = [sys.executable, "-m", "zensical", "build", "--config-file", str(file)]
    subprocess.run(command, cwd=build.OUT, check=True, capture_output=True)
    build.mark_language(folder / "site" / "html")
    build.typeset(folder / "site" / "html")
    return folder / "site" / "html"


SITE_PAGES = ("README", "concepts/attention", "concepts/de/attention", "glossary")
# Pages below a tab have the list of its pages beside them.
NAVIGATION = [
    "README.md",
    {"Concepts": ["concepts/attention.md", {"Deutsch": ["concepts/de/attention.md"]}]},
    "glossary.md",
]


@SCREENS
@pytest.mark.parametrize(
    "name", ["index", "concepts/attention", "concepts/de/attention", "glossary"]
)
def test_the_site(show: Show, site: Path, name: str) -> None:
    page = show((site / f"{name}.html").as_uri())
    assert serious(page) == []
    assert page_faults(page) == []
    assert print_faults(page) == []
