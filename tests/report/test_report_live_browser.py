"""The page of `groundup watch` in a real browser, on runs that are written while it looks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_runs import Writer

from tests.page_faults import page_faults, print_faults

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
)
Watch = Callable[..., str]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """watch(folder, ...) -> the address of a real `groundup watch` over them."""
    started: list[subprocess.Popen[str]] = []

    def start(*folders: Path) -> str:
        command = [
            sys.executable,
            "-m",
            "groundup",
            "watch",
            "--wait",
            *map(str, folders),
            "--port",
            "0",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split("  ")[0].split()[-1]

    yield start
    for process in started:
        process.terminate()
        process.communicate()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """opened(address, ...) -> a page at it; whatever it complains of, or loads from elsewhere, fails the test."""
    pages: list[Any] = []
    complaints: list[str] = []

    def open_page(
        address: str,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        locale: str = "en",
    ) -> Any:
        screen = {"width": width, "height": height}
        page = browser.new_page(viewport=screen, color_scheme=scheme, locale=locale)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url) if not request.url.startswith(address) else None
            ),
        )
        page.goto(address)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def fact(page: Any, run: str, name: str) -> str:
    row = page.locator(".run", has_text=run)
    return str(
        row.locator(".facts > div", has=page.locator("dt", has_text=name))
        .locator("dd")
        .inner_text()
    )


def test_a_run_is_followed_while_it_is_written(
    watch: Watch, opened: Callable[..., Any], tmp_path: Path
) -> None:
    writer = Writer(tmp_path / "run", skips=(50,))
    page = opened(watch(writer.folder))
    page.get_by_text("No run yet. This page shows runs").wait_for()
    assert not page.locator("main").is_visible() and page_faults(page) == []
    writer.begin()
    writer.write(last=60)
    page.get_by_text("60 of 200").wait_for()
    assert page.locator(".badge").inner_text() == "running"
    points = page.locator("polyline.curve").first.get_attribute("points")
    writer.write(61, 200)
    writer.end()
    page.get_by_text("200 of 200").wait_for()
    page.get_by_text("finished").wait_for()
    assert page.locator("polyline.curve").first.get_attribute("points") != points
    assert page.locator("figure.chart:visible").count() == 5
    assert page.locator("path.event").count() == 1
    assert fact(page, "run", "validation loss") == f"{writer.loss(200) + 0.1:.4g}"
    assert page.locator("polygon.band").count() == 1
    clearly = "The validation loss at step 200 is clearly lower than at step 180"
    page.locator("figure.chart li", has_text=clearly).wait_for()


@pytest.mark.parametrize(
    ("locale", "heading", "chart", "remark"),
    [
        ("de-AT", "Trainingsläufe, live", "Lernrate", "In Ordnung. Der Validierungs-Loss fiel von"),
        ("fr", "Entraînements en direct", "Taux d'apprentissage", "En ordre. La perte de valid"),
        ("es", "Entrenamientos en directo", "Tasa de aprendizaje", "En orden. La pérdida de"),
    ],
)
def test_the_page_speaks_the_browsers_language(
    watch: Watch,
    opened: Callable[..., Any],
    tmp_path: Path,
    locale: str,
    heading: str,
    chart: str,
    remark: str,
) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write(last=100)
    page = opened(watch(writer.folder), locale=locale)
    page.locator(".remark", has_text=remark).wait_for()
    assert page.locator("html").get_attribute("lang") == locale.split("-")[0]
    assert page.locator("h1").inner_text() == heading
    assert chart in page.locator("figure.chart h3").all_inner_texts()
    loss = f"{writer.loss(100) + 0.1:.4g}".replace(".", ",")
    assert loss in page.locator(".facts dd").all_inner_texts()


def test_a_log_that_was_cut_is_drawn_as_it_is_now(
    watch: Watch, opened: Callable[..., Any], tmp_path: Path
) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write(last=100)
    page = opened(watch(writer.folder))
    page.get_by_text("100 of 200").wait_for()
    log = writer.folder / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:30]))
    page.get_by_text("28 of 200").wait_for()
    writer.write(29, 45)
    page.get_by_text("45 of 200").wait_for()


@pytest.fixture(scope="module")
def compared(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page over two finished runs, the second of which learns its text by heart."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    for name, seed in (("first", 1), ("second", 2)):
        writer = Writer(folder / name, seed=seed, turn=0.4 if seed == 2 else 2.0, floor=2.0)
        writer.begin()
        writer.write()
        writer.end()
    return watch(folder)


def test_runs_are_compared_by_steps_tokens_and_time_and_can_be_hidden(
    compared: str, opened: Callable[..., Any]
) -> None:
    page = opened(compared)
    loss = page.locator("figure.chart").first
    loss.locator("polyline.curve").nth(1).wait_for(state="attached")
    for axis, tick in (("tokens", "200K"), ("time", "10 s"), ("steps", "200")):
        page.get_by_role("radio", name=axis).check()
        assert tick in loss.locator(".axes text").all_text_contents()
    page.get_by_role("checkbox", name="first").uncheck()
    assert loss.locator("polyline.curve").count() == 1
    assert page.locator("#coach h3").all_inner_texts() == ["runs/second"]
    page.get_by_role("checkbox", name="first").check()
    assert loss.locator("polyline.curve").count() == 2


def test_smoothing_and_logarithmic_height_change_the_curve(
    compared: str, opened: Callable[..., Any]
) -> None:
    page = opened(compared)
    curve = page.locator("polyline.curve").first
    curve.wait_for(state="attached")
    seen = {curve.get_attribute("points")}
    page.locator("#smoothing").fill("0")
    seen.add(curve.get_attribute("points"))
    assert page.locator("polyline.raw").count() == 0
    page.get_by_label("logarithmic scale").check()
    seen.add(curve.get_attribute("points"))
    assert len(seen) == 3


def test_values_are_read_by_pointer_and_by_keys(compared: str, opened: Callable[..., Any]) -> None:
    page = opened(compared)
    chart = page.locator("figure.chart").first
    chart.locator("svg").wait_for()
    chart.locator(".canvas").hover()
    readout = chart.locator(".readout")
    assert readout.locator("p").inner_text().startswith("step ")
    assert "first, training" in readout.inner_text()
    page.mouse.move(5, 5)
    assert not readout.is_visible()
    chart.locator("svg").focus()
    page.keyboard.press("End")
    assert "step 200" in readout.inner_text()
    page.keyboard.press("ArrowLeft")
    assert "step 196" in readout.inner_text()
    page.keyboard.press("Escape")
    assert not readout.is_visible()


def test_the_figure_of_the_evaluations_can_be_chosen(
    compared: str, opened: Callable[..., Any]
) -> None:
    page = opened(compared)
    choice = page.get_by_label("Figure of the evaluations")
    choice.locator("option").first.wait_for(state="attached")
    offered = choice.locator("option").all_inner_texts()
    assert offered == [
        "bits per byte",
        "bits per byte: plays",
        "bits per byte: sonnets",
        "validation loss",
    ]
    line = page.locator("figure.chart").nth(1).locator("polyline").first
    before = page.locator("figure.chart").nth(1).locator(".axes text").all_text_contents()
    choice.select_option("validation_loss")
    line.wait_for(state="attached")
    assert page.locator("figure.chart").nth(1).locator(".axes text").all_text_contents() != before


def test_the_coach_warns_and_samples_are_walked_through(
    compared: str, opened: Callable[..., Any]
) -> None:
    page = opened(compared)
    page.get_by_text("Overfitting.").wait_for()
    assert page.get_by_text("In order.").is_visible()
    assert (
        page.locator("#samples blockquote")
        .inner_text()
        .startswith("Enter the KING. The king is come")
    )
    slider = page.locator("#sample-slider")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("#sample-step").inner_text() == "0"
    assert "q zk the the" in page.locator("#samples blockquote").inner_text()
    page.locator("#sample-run").select_option(label="runs/second")
    assert page.locator("#sample-step").inner_text() == "200"


def test_what_a_model_wrote_stays_text(
    watch: Watch, opened: Callable[..., Any], tmp_path: Path
) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write()
    (writer.folder / "samples.jsonl").write_text(
        '{"step": 1, "prompt": ' + json.dumps(HOSTILE) + ', "text": ' + json.dumps(HOSTILE) + "}\n"
    )
    page = opened(watch(writer.folder))
    page.locator("#samples blockquote").wait_for()
    assert page.locator("#samples blockquote").inner_text() == HOSTILE * 2
    assert page.locator("#samples img").count() == 0
    assert page.title() != "run"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 800)])
def test_the_page_fits_and_everything_on_it_has_a_name(
    compared: str, opened: Callable[..., Any], scheme: str, width: int, height: int
) -> None:
    page = opened(compared, width=width, height=height, scheme=scheme)
    page.locator("figure.chart svg").first.wait_for()
    assert page_faults(page) == print_faults(page) == []
    for part in page.locator("input, select, progress, svg[role]").all():
        if part.is_visible():
            name = part.evaluate(
                "e => e.ariaLabel || e.getAttribute('aria-label') || [...(e.labels ?? [])].map(l => l.textContent).join('')"
            )
            assert name.strip(), part.evaluate("e => e.outerHTML.slice(0, 80)")


def test_a_server_that_is_gone_is_said(watch: Watch, browser: Any, tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    page = browser.new_page()
    page.goto(watch(writer.folder))
    page.get_by_text("Runs: 1, of them running: 1.").wait_for()
    page.route("**/runs.json", lambda route: route.abort())
    page.get_by_text("No answer from groundup watch").wait_for()
    page.unroute("**/runs.json")
    page.get_by_text("Runs: 1, of them running: 1.").wait_for()
    page.close()
