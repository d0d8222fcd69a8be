"""The builder: text stays text, whatever is in it."""

from html.parser import HTMLParser

import pytest

from groundup.html_nodes import foreign, node, to_html, visible


class Seen(HTMLParser):
    """What a reader of HTML finds: tags with attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "</p></body><img src=x onerror=alert(1)>",
        "&lt;b&gt; & &amp;",
        "]]><!-- --><?php ?>",
        "\"' onmouseover='x' ",
    ],
)
def test_text_and_attributes_come_back_as_they_went_in(hostile: str) -> None:
    seen = Seen(to_html(node("p", hostile, title=hostile)))
    assert seen.tags == [("p", {"title": hostile})]
    assert seen.text.removesuffix("\n") == "\n" + hostile


def test_control_characters_become_visible() -> None:
    assert visible("a\x00b\x1b[31m\x7f\x85") == "a␀b␛[31m␡�"
    assert visible("tab\tline\n") == "tab\tline\n"
    assert visible("a\r\nb\rc") == "a\nb␍c"


def test_broken_unicode_can_be_written() -> None:
    assert to_html(node("p", "\ud800 \uffff")).encode("utf-8")


def test_foreign_text_keeps_its_direction_to_itself() -> None:
    made = foreign("\u202eabc שלום")
    assert (made.tag, made.get("dir")) == ("bdi", "auto")


def test_children_may_be_nested_and_missing() -> None:
    made = node("ul", [node("li", "a"), None, [node("li", "b", " c")]], "tail")
    assert "".join(made.itertext()) == "ab ctail"


def test_attribute_names_and_numbers_are_written_as_html_has_them() -> None:
    made = node("svg", class_="chart", aria_label="x", stroke_width=1.50, height=20.0, hidden=None)
    assert dict(made.attrib) == {
        "class": "chart",
        "aria-label": "x",
        "stroke-width": "1.5",
        "height": "20",
    }
