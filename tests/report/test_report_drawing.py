"""Charts: the right place for every value."""

import math

import pytest

from groundup.html_nodes import Node
from groundup.report.drawing import NARROW, WIDE, Frame, Scale, Series, bar, line_chart, whisker
from groundup.report.sections.attention import heat_map
from groundup.report.values import MeasuredFraction


def chart(*series: Series) -> list[Node]:
    return line_chart("Loss", "nats", series)


def points_of(drawing: Node) -> list[tuple[float, float]]:
    line = next(drawing.iter("polyline"))
    return [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]  # type: ignore[misc]


def test_scale_maps_its_ends_to_its_ends() -> None:
    scale = Scale(2, 4, 100, 300)
    assert (scale(2), scale(3), scale(4)) == (100, 200, 300)
    assert Scale(5, 5, 0, 10)(5) == 5


def test_a_line_is_drawn_wide_and_narrow_and_falls_where_the_loss_falls() -> None:
    legend, wide, narrow = chart(Series("training", [(0, 8.0), (50, 5.0), (100, 4.0)]))
    assert "training" in "".join(legend.itertext())
    for drawing, size in ((wide, WIDE), (narrow, NARROW)):
        places = points_of(drawing)
        assert [y for _, y in places] == sorted(y for _, y in places)  # y grows downwards
        assert all(0 < x < size.width and 0 < y < size.height for x, y in places)


def test_a_chart_says_in_words_what_it_shows() -> None:
    _, wide, _ = chart(Series("training", [(0, 8.0), (100, 4.0)]))
    assert (wide.get("role"), wide.get("aria-label")) == (
        "img",
        "Loss: training from 8.00 to 4.00.",
    )


def test_marked_points_tell_their_value() -> None:
    _, wide, _ = chart(Series("validation", [(0, 8.0), (100, 4.0)], "marked"))
    assert [title.text for title in wide.iter("title")] == [
        "validation at 0: 8.000",
        "validation at 100: 4.000",
    ]


@pytest.mark.parametrize(
    "points", [[(0, 1.0)], [(5, 2.0), (6, 2.0)], [(0, 0.0), (0, 1.0)], [(1, 1e-9), (2, 1e9)]]
)
def test_odd_curves_are_drawn_with_finite_places(points: list[tuple[float, float]]) -> None:
    _, wide, _ = chart(Series("training", points))
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in points_of(wide))


def test_nothing_is_drawn_of_nothing() -> None:
    assert chart(Series("training", [])) == []


def test_frame_puts_larger_values_higher() -> None:
    box = Frame(WIDE, (0, 10), (0, 1))
    assert box.y(1) < box.y(0)
    assert box.x(10) > box.x(0)


def test_bar_and_plan_are_shares_of_the_longest() -> None:
    drawing = bar(5.0, 20.0, planned=10.0)
    assert next(drawing.iter("rect")).get("width") == "25.00%"
    assert next(drawing.iter("line")).get("x1") == "50.00%"
    assert next(bar(50.0, 20.0).iter("rect")).get("width") == "100.00%"
    assert next(bar(0.0, 0.0).iter("rect")).get("width") == "0.00%"


def test_whisker_places_value_interval_and_chance() -> None:
    chance, span = whisker(MeasuredFraction(0.9, 0.8, 1.0, 20, 0.85), (0.5, 1.0)).iter("line")
    assert chance.get("x1") == "70.00%"
    assert (span.get("x1"), span.get("x2")) == ("60.00%", "100.00%")
    assert (
        next(whisker(MeasuredFraction(0.9, 0.8, 1.0, 20, None), (0.5, 1.0)).iter("circle")).get(
            "cx"
        )
        == "80.00%"
    )


def test_heat_map_has_a_cell_for_each_weight_and_its_share_as_opacity() -> None:
    drawing = heat_map(["a", "b"], [[1.0, 0.0], [0.25, 0.75]], "a head")
    cells = list(drawing.iter("rect"))
    assert [cell.get("fill-opacity") for cell in cells] == ["1", "0.25", "0.75"]
    assert [title.text for title in drawing.iter("title")] == [
        "a → a: 100\u00a0%",
        "b → a: 25\u00a0%",
        "b → b: 75\u00a0%",
    ]
