"""Files as firms have them: a web site's banner and footer, columns made of <div>, headings of a PDF, an e-mail with its date."""

from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from groundup.data.reading.extract import EXTRACTORS, html_text

ARTICLE = (
    "<p>Two hours for up to ten children. Each child brushes, plaits and rides a pony of its own.</p>"
    * 3
)
FOOTER = (
    '<div class="site-footer"><div><h4>Links</h4><ul><li><a href="a">Lessons</a></li></ul></div>'
    "<div><p>The Yard<br>Mill Lane, LW7 4QT<br>01632 960 418</p></div><p>All rights reserved.</p></div>"
)


def page(body: str = ARTICLE) -> str:
    return (
        '<html><body><div class="hero"><h1>Pony <em>parties</em></h1></div>'
        f'<div class="content">{body}</div>{FOOTER}</body></html>'
    )


def text_of(path: Path, headings: bool = True) -> str:
    (found,) = EXTRACTORS[path.suffix].read(path, headings)
    return found.text


def test_a_page_has_its_heading_from_the_banner() -> None:
    assert html_text(page(), headings=True).startswith("# Pony parties\n\nTwo hours")
    assert "Pony parties" not in html_text(page(), headings=False)


def test_one_page_of_a_site_says_how_the_firm_is_reached(tmp_path: Path) -> None:
    for name in ("index.html", "parties.html"):
        (tmp_path / name).write_text(page())
    contact = "## Contact\n\nThe Yard\nMill Lane, LW7 4QT\n01632 960 418"
    assert text_of(tmp_path / "index.html").endswith(contact)
    assert "01632" not in text_of(tmp_path / "parties.html")
    assert "01632" not in text_of(tmp_path / "index.html", headings=False)
    (tmp_path / "index.html").unlink()
    assert text_of(tmp_path / "parties.html").endswith(contact)


def test_the_contacts_of_several_branches_stand_below_their_names(tmp_path: Path) -> None:
    second = "<div><h4>The Barn</h4><p>9 Quay Road<br>01632 960 478</p></div>"
    (tmp_path / "a.html").write_text(
        page()
        .replace("<div><p>The Yard<br>", "<div><h4>The Yard</h4><p>")
        .replace("</p></div><p>All", f"</p></div>{second}<p>All")
    )
    assert text_of(tmp_path / "a.html").endswith(
        "## Contact\n\n\n### The Yard\n\nMill Lane, LW7 4QT\n01632 960 418\n"
        "\n### The Barn\n\n9 Quay Road\n01632 960 478"
    )


def test_a_row_of_a_name_and_values_is_no_head() -> None:
    hours = (("Monday – Friday", "8.00 am – 7.00 pm"), ("Saturday", "8.30 am – 4.00 pm"))
    rows = "".join(f"<tr><th>{days}</th><td>{open}</td></tr>" for days, open in hours)
    text = html_text(page(f"{ARTICLE}<table>{rows}</table>"), headings=True)
    assert "| Saturday | 8.30 am – 4.00 pm |" in text and "---" not in text


def test_rows_of_div_are_a_table_and_labels_keep_apart() -> None:
    rows = "".join(
        f"<div class='row {number}'><div>{players}</div><div>{price}</div></div>"
        for number, (players, price) in enumerate(
            (("Players", "Mon-Thu"), ("2", "£52"), ("6 or 7", "£114"))
        )
    )
    labels = (
        "<p><span>Difficulty</span><span>3 of 5</span></p><p><span>W</span><span>elcome</span></p>"
    )
    text = html_text(page(f"{ARTICLE}{rows}{labels}"), headings=True)
    table = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert [row for row in table if "---" not in row[0]] == [
        ["Players", "Mon-Thu"],
        ["2", "£52"],
        ["6 or 7", "£114"],
    ]
    assert "Difficulty 3 of 5" in text and "Welcome" in text


def write_pdf(path: Path, *pages: list[tuple[float, str]]) -> Path:
    """A PDF whose lines have the given sizes."""
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject(f"/{k}"): NameObject(f"/{v}")
            for k, v in (("Type", "Font"), ("Subtype", "Type1"), ("BaseFont", "Helvetica"))
        }
    )
    for lines in pages:
        made = writer.add_blank_page(612, 792)
        stream = DecodedStreamObject()
        shown = (
            f"BT /F1 {size} Tf 72 {720 - 30 * row} Td ({text}) Tj ET"
            for row, (size, text) in enumerate(lines)
        )
        stream.set_data("\n".join(shown).encode())
        made[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): font})
        made[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    writer.write(path)
    return path


def test_larger_lines_of_a_pdf_are_headings_and_running_lines_are_left_out(tmp_path: Path) -> None:
    path = write_pdf(
        tmp_path / "a.pdf",
        [
            (11, "Page 1 of 2"),
            (20, "The Herald"),
            (14, "Winter"),
            (11, "From 26 October the last lesson starts at 7 pm."),
        ],
        [
            (11, "Page 2 of 2"),
            (14, "Prices"),
            (11, "Prices of lessons stay as they are until the spring."),
        ],
    )
    assert text_of(path).split("\n\n") == [
        "# The Herald",
        "## Winter",
        "From 26 October the last lesson starts at 7 pm.",
        "## Prices",
        "Prices of lessons stay as they are until the spring.",
    ]
    assert text_of(path, headings=False).startswith("Page 1 of 2\nThe Herald\nWinter\n")


@pytest.mark.parametrize("headings", [True, False])
def test_an_email_of_an_index_begins_with_its_date_and_repeats_no_other(
    tmp_path: Path, headings: bool
) -> None:
    (tmp_path / "a.eml").write_text(
        "Subject: Re: Party\nDate: Tue, 24 Nov 2026 09:12:00 +0000\n\nYes, bring your cake.\n\n"
        "On 23 Nov 2026, Grace wrote:\n> Could we bring our cake?\n"
    )
    whole = "Re: Party\n\nYes, bring your cake.\n\nOn 23 Nov 2026, Grace wrote:\n> Could we bring our cake?"
    shown = "# 24 November 2026: Re: Party\n\nYes, bring your cake."
    assert text_of(tmp_path / "a.eml", headings) == (shown if headings else whole)


def test_a_wider_gap_of_a_pdf_parts_paragraphs(tmp_path: Path) -> None:
    writer = pypdf.PdfReader(write_pdf(tmp_path / "a.pdf", [(11, "A")]))
    made = pypdf.PdfWriter(clone_from=writer)
    lines = (
        (700, "We are open from Monday"),
        (686, "to Friday."),
        (660, "Quiz evening on Tuesday,"),
        (646, "at 7 pm."),
    )
    stream = DecodedStreamObject()
    stream.set_data(
        "\n".join(f"BT /F1 11 Tf 72 {y} Td ({text}) Tj ET" for y, text in lines).encode()
    )
    made.pages[0][NameObject("/Contents")] = made._add_object(stream)
    made.write(tmp_path / "b.pdf")
    assert (
        text_of(tmp_path / "b.pdf")
        == "We are open from Monday\nto Friday.\n\nQuiz evening on Tuesday,\nat 7 pm."
    )


COLUMNS = [
    [("Package", 72), ("Each child paints", 150), ("Per child", 290)],
    [("Dinosaur", 72), ("a figure", 150), ("17.50", 300)],
    [("Mug", 72), ("a mug of 300 ml", 150), ("21", 309)],
]
BOLD_WORDS = [
    [("A sum of", 72), ("50", 119), ("holds it", 136)],
    [("The rest", 72), ("is paid", 116), ("later", 155)],
    [("We also", 72), ("take", 113), ("cards", 138)],
]


def columns_pdf(path: Path, rows: list[list[tuple[str, int]]], behind: str = "") -> Path:
    """A page with each row's texts at their distance from the left; `behind`: an operator after each
    of them.
    """
    write_pdf(path, [(11, "x")])
    made = pypdf.PdfWriter(path)
    drawn = (
        f"BT /F1 11 Tf {left} {700 - 20 * number} Td ({text}) Tj {behind} ET"
        for number, row in enumerate(rows)
        for text, left in row
    )
    stream = DecodedStreamObject()
    stream.set_data("\n".join(drawn).encode())
    made.pages[0][NameObject("/Contents")] = made._add_object(stream)
    made.write(path)
    return path


def test_columns_of_a_pdf_are_a_table_and_words_in_another_type_are_none(tmp_path: Path) -> None:
    assert text_of(columns_pdf(tmp_path / "a.pdf", COLUMNS)) == (
        "| Package | Each child paints | Per child |\n| --- | --- | --- |\n"
        "| Dinosaur | a figure | 17.50 |\n| Mug | a mug of 300 ml | 21 |"
    )
    assert "|" not in text_of(columns_pdf(tmp_path / "b.pdf", BOLD_WORDS))
    assert "|" not in text_of(columns_pdf(tmp_path / "c.pdf", COLUMNS[:2])), "two rows are none"
    assert "|" not in text_of(tmp_path / "a.pdf", headings=False)


def test_cells_that_a_library_draws_one_after_the_other_are_rows(tmp_path: Path) -> None:
    """ReportLab ends a line behind each cell; a name above the names of the rows is often missing."""
    rows = [
        [("Basic", 200), ("Plus", 260)],
        [("Annual booster", 72), ("yes", 200), ("yes", 260)],
        [("Consultations", 72), ("10 % off", 200), ("two free a year", 260)],
    ]
    assert text_of(columns_pdf(tmp_path / "a.pdf", rows, behind="14 TL T*")) == (
        "|  | Basic | Plus |\n| --- | --- | --- |\n| Annual booster | yes | yes |\n"
        "| Consultations | 10 % off | two free a year |"
    )


def test_names_in_the_middle_of_their_columns_are_the_head_of_the_table(tmp_path: Path) -> None:
    """Browsers draw the names of `<th>` so."""
    rows = [
        [("Size", 100), ("Oak", 165)],
        [("A4", 72), ("17.50", 160)],
        [("30 x 30 cm", 72), ("21", 160)],
    ]
    assert text_of(columns_pdf(tmp_path / "a.pdf", rows)) == (
        "| Size | Oak |\n| --- | --- |\n| A4 | 17.50 |\n| 30 x 30 cm | 21 |"
    )
