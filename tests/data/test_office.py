"""Office files: what a sheet, a slide and a page show is the text, with marks of headings, lists and tables for an index."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.styles.styles import Styles
from hostile import opendocument
from pptx.util import Inches

import groundup
from groundup.data.reading.extract import EXTRACTORS, extract_documents
from groundup.data.reading.extracted import table_blocks
from groundup.data.reading.office import shown_value
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.progress import Silent
from groundup.retrieve.passages import split
from groundup.retrieve.update import update_index

TABLE = "| Class | Price | Day |\n| --- | --- | --- |\n| Aqua fit | £8.50 | Monday |\n| Yoga \\| slow | £12.00 |  |"


def text_of(path: Path, headings: bool = True) -> str:
    (found,) = EXTRACTORS[path.suffix].read(path, headings)
    assert not found.fault
    return found.text


def write_xlsx(path: Path) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Classes"
    for row in (
        ["Swimming pool, winter", None],
        [None, None],
        ["Class", None, "Price", "Day"],
        ["Aqua fit", None, 8.5, "Monday"],
        ["Yoga | slow", None, 12, None],
        [None],
        ["Ask at the desk."],
    ):
        sheet.append(row)
    for cell in ("C4", "C5"):
        sheet[cell].number_format = "[$£-809]#,##0.00"
    hidden = book.create_sheet("Salaries")
    hidden.append(["Ann", 30_000])
    hidden.sheet_state = "hidden"
    book.create_sheet("Empty")
    book.save(path)
    return path


def test_a_sheet_is_its_tables_as_it_shows_them(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx")
    above, below = "Swimming pool, winter", "Ask at the desk."
    assert text_of(path) == f"## Classes\n{above}\n\n{TABLE}\n\n{below}"
    rows = "Class\tPrice\tDay\n\nAqua fit\t£8.50\tMonday\n\nYoga | slow\t£12.00"
    assert text_of(path, headings=False) == f"{above}\n\n{rows}\n\n{below}"


def test_lines_above_the_table_of_a_sheet_are_no_headings(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Frames"
    larger = "Larger frames: ask the desk"
    for line in ("Frames", "Prices from 1 May", larger):
        book.active.append([line])
    for row in [[None], ["Size", "Oak"], ["A4", 14], [None], ["Glass"], ["Size", "Oak"], ["A4", 5]]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    text = text_of(tmp_path / "a.xlsx")
    assert (
        text.startswith(f"## Frames\nPrices from 1 May\n{larger}\n\n| Size")
        and "\n\nGlass\n\n|" in text
    )
    titles = [each.title for each in split(text, max_tokens=30)]
    assert set(titles) == {"Frames", "Frames > Glass"}


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (690, "General", "690"),
        (0.1 + 0.2, "General", "0.3"),
        (-1234.5, '#,##0.00\\ "EUR";[Red]-#,##0.00', "-1,234.50 EUR"),
        (1500, '_-"£"* #,##0_-', "£1,500"),
        (0.035, "0.0%", "3.5%"),
        (7, '0 "days"', "7 days"),
        (1e21, "0.00E+00", "1e+21"),
        (dt.datetime(2026, 3, 1), "d mmm yyyy", "2026-03-01"),
        (dt.datetime(2026, 3, 1, 9, 30), "d mmm yyyy h:mm", "2026-03-01 09:30"),
        (dt.time(9, 30), "h:mm", "09:30"),
        (True, "General", "True"),
        ("  by hand ", "@", "by hand"),
        (None, "General", ""),
    ],
)
def test_a_value_is_shown_by_its_number_format(
    value: object, number_format: str, shown: str
) -> None:
    assert shown_value(value, number_format) == shown


def test_the_head_of_a_long_table_stands_above_each_part(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [("Part", "Price"), *((f"bolt {n}", n) for n in range(30))]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    text = text_of(tmp_path / "a.xlsx")
    assert text.count("| Part | Price |\n| --- | --- |\n| bolt") == 3
    assert [f"| bolt {n} | {n} |" in text for n in range(30)] == [True] * 30


PRICES = [
    ["Boat", "Weekdays", "", "Weekend", ""],
    ["", "1 hour", "per day", "1 hour", "per day"],
    ["Canoe", "12", "48", "15", "60"],
    ["Kayak", "9", "35", "11", "42"],
]
JOINED_PRICES = (
    "| Boat | Weekdays, 1 hour | Weekdays, per day | Weekend, 1 hour | Weekend, per day |\n"
    "| --- | --- | --- | --- | --- |\n| Canoe | 12 | 48 | 15 | 60 |\n| Kayak | 9 | 35 | 11 | 42 |"
)


def test_two_rows_of_a_head_are_one_in_excel_and_word(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in PRICES:
        book.active.append([cell or None for cell in row])
    for span in ("A1:A2", "B1:C1", "D1:E1"):
        book.active.merge_cells(span)
    book.save(tmp_path / "a.xlsx")
    assert text_of(tmp_path / "a.xlsx") == f"## Sheet\n\n{JOINED_PRICES}"
    made = docx.Document()
    table = made.add_table(4, 5)
    for row, texts in zip(table.rows, PRICES, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    for (top, left), (bottom, right) in (((0, 0), (1, 0)), ((0, 1), (0, 2)), ((0, 3), (0, 4))):
        merged = table.cell(top, left).merge(table.cell(bottom, right))
        merged.text = PRICES[top][left]
    made.save(str(tmp_path / "a.docx"))
    assert text_of(tmp_path / "a.docx") == JOINED_PRICES


def test_a_cell_over_several_rows_is_in_each_and_a_password_is_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Boat", "Time", "Price"], ["Canoe", "hour", 12], [None, "day", 48]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "a.xlsx")
    assert text_of(tmp_path / "a.xlsx").endswith("| Canoe | hour | 12 |\n| Canoe | day | 48 |")
    cell, covered = (
        "<table:table-cell{}><text:p>{}</text:p></table:table-cell>",
        "<table:covered-table-cell/>",
    )
    rows = [
        [cell.format("", "Boat"), cell.format("", "Price")],
        [cell.format(' table:number-rows-spanned="3"', "Canoe"), cell.format("", "12")],
        [covered, cell.format("", "48")],
        [covered, cell.format("", "90")],
        [covered, cell.format("", "at night")],
    ]
    filled = "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in rows)
    table = f'<table:table table:name="Boats">{filled}</table:table>'
    (tmp_path / "a.ods").write_bytes(opendocument("spreadsheet", table))
    shown = "| Canoe | 12 |\n| Canoe | 48 |\n| Canoe | 90 |\n|  | at night |"
    assert text_of(tmp_path / "a.ods").endswith(shown)
    (tmp_path / "b.xlsx").write_bytes(b"\xd0\xcf\x11\xe0 as Office encrypts")
    (found,) = extract_documents(tmp_path / "b.xlsx", ".xlsx", headings=True)
    assert "it is protected by a password: save a copy without one" in found.fault


@pytest.mark.parametrize(
    "rows",
    [
        [["Dish", "Price", ""], ["Soup", "£5", "hot"], ["Pie", "£7", ""]],
        [["Dish", "Price", ""], ["", "£5", "hot"], ["Pie", "£7", ""]],
        [["", "Monday", "Sunday"], ["Café", "open", "shut"], ["Boats", "shut", "open"]],
    ],
)
def test_a_first_row_of_values_is_no_head(rows: list[list[str]]) -> None:
    assert table_blocks(rows, True)[0].splitlines()[0] == f"| {' | '.join(rows[0])} |"


def write_docx(path: Path) -> Path:
    made = docx.Document()
    made.add_heading("Pool rules", 1)
    made.add_paragraph("Bring:")
    for item in ("a towel", "a lock"):
        made.add_paragraph(item, style="List Bullet")
    table = made.add_table(3, 3)
    cells = ("Class", "Price", "Day", "Aqua fit", "£8.50", "Monday", "Yoga | slow", "£12.00", "")
    for cell, text in zip((c for row in table.rows for c in row.cells), cells, strict=True):
        cell.text = text
    made.add_table(1, 2).rows[0].cells[0].text = "a frame for layout"
    made.save(str(path))
    return path


def test_lists_and_tables_of_word_are_marked_for_an_index_only(tmp_path: Path) -> None:
    path = write_docx(tmp_path / "a.docx")
    assert text_of(path) == (
        f"# Pool rules\n\nBring:\n\n- a towel\n- a lock\n\n{TABLE}\n\na frame for layout"
    )
    plain = text_of(path, headings=False)
    assert plain.startswith("Pool rules\n\nBring:\n\na towel\n\na lock\n\nClass\tPrice\tDay")


def test_slides_are_titles_points_tables_and_notes(tmp_path: Path) -> None:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = "Pool rules"
    slide.placeholders[1].text = "No running\nNo diving"
    slide.notes_slide.notes_text_frame.text = "Say it twice."
    second = made.slides.add_slide(made.slide_layouts[6])
    table = second.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(2)).table
    for place, text in enumerate(("Class", "Price", "Yoga", "£9")):
        table.cell(*divmod(place, 2)).text = text
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "in a group"
    made.save(str(tmp_path / "a.pptx"))
    table_text = "| Class | Price |\n| --- | --- |\n| Yoga | £9 |"
    said = "## Pool rules\n\n- No running\n- No diving\n\nSay it twice."
    assert text_of(tmp_path / "a.pptx") == f"{said}\n\n{table_text}\n\nin a group"


PARAGRAPHS = (
    '<text:h text:outline-level="2">Pool<text:s text:c="2"/>rules</text:h>'
    "<text:p>Bring a <text:span>towel</text:span><text:note><text:p>or two</text:p></text:note>.</text:p>"
    "<text:list><text:list-item><text:p>a lock</text:p><text:list><text:list-item>"
    "<text:p>or a coin</text:p></text:list-item></text:list></text:list-item></text:list>"
)
CELLS = (
    '<table:table table:name="Classes"><table:table-row><table:table-cell><text:p>Class</text:p></table:table-cell>'
    '<table:table-cell table:number-columns-repeated="2"/><table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row>'
    "<table:table-row><table:table-cell><text:p>Yoga</text:p></table:table-cell><table:covered-table-cell/><table:table-cell/>"
    '<table:table-cell office:value="9"><text:p>£9.00</text:p></table:table-cell></table:table-row>'
    '<table:table-row table:number-rows-repeated="1048573"><table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table>'
)
SHOWN_CELLS = "| Class | Price |\n| --- | --- |\n| Yoga | £9.00 |"


def test_libreoffices_texts_sheets_and_slides(tmp_path: Path) -> None:
    (tmp_path / "a.odt").write_bytes(opendocument("text", PARAGRAPHS + CELLS))
    shown = "Bring a towel.\n\n- a lock\n- or a coin"
    assert text_of(tmp_path / "a.odt") == f"## Pool rules\n\n{shown}\n\n{SHOWN_CELLS}"
    (tmp_path / "a.ods").write_bytes(opendocument("spreadsheet", CELLS))
    assert text_of(tmp_path / "a.ods") == f"## Classes\n\n{SHOWN_CELLS}"
    assert text_of(tmp_path / "a.ods", headings=False) == "Class\tPrice\n\nYoga\t£9.00"
    frame = '<draw:frame presentation:class="{}"><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>'
    slide = f"<draw:page>{frame.format('title', 'Fees')}{frame.format('outline', 'Pay by card.')}</draw:page>"
    (tmp_path / "a.odp").write_bytes(opendocument("presentation", slide))
    assert text_of(tmp_path / "a.odp") == "## Fees\n\nPay by card."


def test_an_old_format_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some text to read.")
    (tmp_path / "prices.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    report = SourceReport()
    assert len(list(read_source(Source(str(tmp_path)), SourceOptions(), report))) == 1
    assert [(reason, tally.shown()) for reason, tally in report.skipped.items()] == [
        ("an old Office format, which must be saved as .docx, .xlsx or .pptx", "prices.xls")
    ]


def test_a_price_list_in_a_sheet_answers(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    write_xlsx(tmp_path / "docs" / "prices.xlsx")
    update_index(tmp_path / "index", [Source(str(tmp_path / "docs"))], progress=Silent())
    answer = groundup.ask(tmp_path / "index", "How much is the aqua fit class?")
    assert "Aqua fit: £8.50" in answer.text


def numbered(document: Any) -> Callable[[str, int], None]:
    """Give a document a list of "1.", "1.1", "(a)"; return what adds a paragraph of a level."""
    root = document.part.numbering_part.element
    kind, number = OxmlElement("w:abstractNum"), OxmlElement("w:num")
    kind.set(qn("w:abstractNumId"), "77")
    number.set(qn("w:numId"), "77")
    for level, (form, text) in enumerate(
        (("decimal", "%1."), ("decimal", "%1.%2"), ("lowerLetter", "(%3)"))
    ):
        made = OxmlElement("w:lvl")
        made.set(qn("w:ilvl"), str(level))
        kind.append(made)
        for tag, value in (("w:start", "1"), ("w:numFmt", form), ("w:lvlText", text)):
            made.append(with_value(tag, value))
    root.insert(0, kind)
    number.append(with_value("w:abstractNumId", "77"))
    root.append(number)

    def add(text: str, level: int) -> None:
        paragraph = document.add_paragraph(text, style="Heading 1" if level == 0 else None)
        placed = OxmlElement("w:numPr")
        placed.append(with_value("w:ilvl", str(level)))
        placed.append(with_value("w:numId", "77"))
        paragraph._p.get_or_add_pPr().append(placed)

    return add


def with_value(tag: str, value: str) -> Any:
    element = OxmlElement(tag)
    element.set(qn("w:val"), value)
    return element


def test_numbers_that_word_counts_are_in_the_text_of_an_index(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("Terms", style="Title")
    add = numbered(document)
    for text, level in (("Hire", 0), ("It begins.", 1), ("Duties", 0), ("You must", 1)):
        add(text, level)
    add("wash it", 2)
    add("bring it back", 2)
    add("See 2.1(b).", 1)
    document.save(str(tmp_path / "a.docx"))
    assert text_of(tmp_path / "a.docx") == (
        "# Terms\n\n## 1. Hire\n\n1.1 It begins.\n\n## 2. Duties\n\n2.1 You must\n"
        "- (a) wash it\n- (b) bring it back\n\n2.2 See 2.1(b)."
    )
    assert "(a)" not in text_of(tmp_path / "a.docx", headings=False)


def test_a_style_of_word_is_searched_once_for_all_its_paragraphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = docx.Document()
    for _ in range(50):
        document.add_paragraph("Sign here.", style="List Bullet")
        document.add_paragraph("")
    document.save(str(tmp_path / "form.docx"))
    searched = []
    get_by_id = Styles.get_by_id

    def counted(*given: Any) -> Any:
        searched.append(given)
        return get_by_id(*given)

    monkeypatch.setattr(Styles, "get_by_id", counted)
    assert text_of(tmp_path / "form.docx").splitlines() == ["- Sign here."] * 50
    assert len(searched) <= 4


def test_short_paragraphs_that_are_all_bold_are_headings_of_word(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Visit", 1)
    document.add_paragraph().add_run("Parking").bold = True
    document.add_paragraph("Behind the barn.")
    document.add_paragraph().add_run("Please close the gate.").bold = True
    document.save(str(tmp_path / "a.docx"))
    assert text_of(tmp_path / "a.docx") == (
        "# Visit\n\n## Parking\n\nBehind the barn.\n\nPlease close the gate."
    )
