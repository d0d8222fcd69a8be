"""Questions that open their answers on a page are read with them, in the forms that sites have."""

import pytest

from groundup.data.reading.extract import html_text

FAQ = {
    "Do I have to book a table?": "On weekends and in school holidays yes, otherwise just drop in.",
    "Are dogs allowed?": "At Mill Lane well-behaved dogs may lie under the table while you paint.",
    "Parking": "There is no car park. The pay and display in Weir Street is three minutes away.",
}
FORMS = {
    "button in a heading": "<h2><button>{}</button></h2><div><p>{}</p></div>",
    "bootstrap": '<div class="accordion-item"><h2><button aria-expanded="false">{}</button></h2>'
    '<div class="collapse"><div>{}</div></div></div>',
    "button": '<button class="accordion">{}</button><div class="panel"><p>{}</p></div>',
    "wrapped button": '<div><button aria-controls="x"><span>{}</span></button></div><p>{}</p>',
    "tab": '<div class="elementor-tab-title" role="tab" aria-controls="x"><a href="">{}</a></div>'
    '<div class="elementor-tab-content"><p>{}</p></div>',
    "details": "<details><summary><h3>{}</h3></summary><div>{}</div></details>",
}


def _page(main: str, above: str = "") -> str:
    menu = "<nav><ul><li><a href='/'>Home</a></li></ul><button>Menu</button></nav>"
    banner = "<div>We use cookies. <button>Accept all?</button><button>Reject</button></div>"
    return f"<html><body>{banner}{menu}<main>{above}<h1>Painting</h1>{main}</main></body></html>"


@pytest.mark.parametrize("form", FORMS)
def test_a_question_is_the_heading_of_the_answer_that_it_opens(form: str) -> None:
    page = _page("".join(FORMS[form].format(*each) for each in FAQ.items()))
    parts = [part for part in html_text(page, headings=True).split("\n") if part]
    assert parts == ["# Painting", *(part for q, a in FAQ.items() for part in (f"## {q}", a))]


def test_a_button_that_does_something_is_no_text() -> None:
    answers = "".join(f"<p>{answer}</p>" for answer in FAQ.values())
    shop = "<div><button>Add to basket</button><p>A mug of 300 ml.</p></div>"
    shop += '<button aria-expanded="false">More</button>'
    text = html_text(_page(answers + shop), headings=True)
    assert "A mug of 300 ml." in text and "basket" not in text and "More" not in text


@pytest.mark.parametrize(
    "path",
    [
        '<p><a href="/">Home</a> &raquo; <a href="/shop">Shop</a> &raquo; Painting</p>',
        '<ol class="breadcrumb"><li><a href="/">Home</a></li><li>Painting</li></ol>',
        '<div aria-label="Breadcrumbs"><a href="/">Home</a> <span>Painting</span></div>',
    ],
)
def test_the_path_of_links_to_a_page_is_no_title(path: str) -> None:
    page = _page("".join(f"<p>{answer}</p>" for answer in FAQ.values()), path)
    text = html_text(page, headings=True)
    assert text.startswith("# Painting") and "Home" not in text


def test_a_paragraph_that_begins_with_links_stays() -> None:
    links = '<p><a href="/a">Mugs</a> and <a href="/b">plates</a> can be washed by hand.</p>'
    text = html_text(_page(links + "".join(f"<p>{each}</p>" for each in FAQ.values())), True)
    assert "Mugs and plates can be washed by hand." in text
