"""114 documents and archives that ask for time, memory or depth, each made anew from a few lines: `HOSTILE[name]()` returns the bytes.

    python tests/data/hostile.py FOLDER      writes all of them

Names end with the suffix by which they are read. None is larger than a few MiB; what they would take without limits is far more.
"""

import base64
import bz2
import gzip
import io
import random
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import openpyxl

Maker = Callable[[], bytes]
HOSTILE: dict[str, Maker] = {}


def _add(name: str, make: Maker) -> None:
    assert name not in HOSTILE
    HOSTILE[name] = make


# Mail.
ENCODED_WORD = b"=?utf-8?b?" + base64.b64encode(b"word " * 5) + b"?="


def _mail(headers: bytes = b"Subject: s", body: bytes = b"text") -> bytes:
    return b"From: a@example.org\n" + headers + b"\n\n" + body


def _parts(count: int) -> bytes:
    part = b"--b\nContent-Type: text/plain\n\nx\n"
    return _mail(b'Content-Type: multipart/mixed; boundary="b"', part * count + b"--b--\n")


def _nested_parts(depth: int) -> bytes:
    made = b"Content-Type: text/plain\n\nx\n"
    for level in range(depth):
        made = b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n%s\n--%d--\n' % (
            level,
            level,
            made,
            level,
        )
    return b"Subject: s\n" + made


def _nested_messages(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * depth + b"Subject: s\n\nx"


def _attachments(count: int, name: bytes) -> bytes:
    part = b"--b\nContent-Disposition: attachment; filename=%s\n\nx\n" % name
    return _mail(b'Content-Type: multipart/mixed; boundary="b"', part * count + b"--b--\n")


_add("subject-of-encoded-words.eml", lambda: _mail(b"Subject: " + (ENCODED_WORD + b" ") * 4000))
_add(
    "subject-of-folded-words.eml",
    lambda: _mail(b"Subject:" + (b" " + ENCODED_WORD + b"\n") * 4000 + b"X: y"),
)
_add("subject-of-parentheses.eml", lambda: _mail(b"Subject: " + b"(" * 100_000))
_add("type-of-parentheses.eml", lambda: _mail(b"Content-Type: text/plain " + b"(" * 50_000))
_add("type-with-parameters.eml", lambda: _mail(b"Content-Type: text/plain" + b"; a=b" * 50_000))
_add(
    "type-with-numbered-parameters.eml",
    lambda: _mail(b"Content-Type: text/plain" + b"".join(b"; a*%d*=x" % n for n in range(20_000))),
)
_add(
    "name-of-encoded-words.eml", lambda: _attachments(1, b'"' + (ENCODED_WORD + b" ") * 4000 + b'"')
)
_add("disposition-of-comments.eml", lambda: _attachments(1, b"(a(b)" * 20_000))
_add("address-list.eml", lambda: _mail(b"To: " + b"a@example.org, " * 50_000 + b"b@example.org"))
_add("references.eml", lambda: _mail(b"References: " + b"<a@b> " * 200_000))
_add(
    "headers.eml", lambda: _mail(b"".join(b"X-%d: y\n" % n for n in range(100_000)) + b"Subject: s")
)
_add("parts.eml", lambda: _parts(50_000))
_add("nested-parts.eml", lambda: _nested_parts(1500))
_add("nested-messages.eml", lambda: _nested_messages(5000))
_add("attachments.eml", lambda: _attachments(50_000, b"a.png"))
_add(
    "boundary-without-end.eml",
    lambda: _mail(b'Content-Type: multipart/mixed; boundary="b"', b"--b\n" * 200_000),
)
_add(
    "unknown-charset.eml",
    lambda: _mail(b"Content-Type: text/plain; charset=nothing", b"\xff" * 1000),
)
_add(
    "torn-base64.eml",
    lambda: _mail(b"Content-Type: text/plain\nContent-Transfer-Encoding: base64", b"A" * 1_000_001),
)
_add("html-attributes.eml", lambda: _mail(b"Content-Type: text/html", _attributes(40_000)))
_add("empty-messages.mbox", lambda: b"From a\n\n" * 20_000)
_add(
    "subjects.mbox",
    lambda: (b"From a\nSubject: " + (ENCODED_WORD + b" ") * 1000 + b"\n\nx\n\n") * 20,
)
_add(
    "bad-among-good.mbox",
    lambda: (
        b"From a\nX: y\n\none\n\nFrom b\n" + _nested_parts(1200) + b"\n\nFrom c\nX: y\n\nthree\n"
    ),
)


# Word.
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org"
TYPES = (
    f'<Types xmlns="{OFFICE}/package/2006/content-types"><Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml"'
    ' ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>{more}</Types>'
)
RELATIONS = (
    f'<Relationships xmlns="{OFFICE}/package/2006/relationships"><Relationship Id="r1"'
    f' Type="{OFFICE}/officeDocument/2006/relationships/officeDocument" Target="{{target}}"/>{{more}}</Relationships>'
)
PARAGRAPH = "<w:p><w:r><w:t>text</w:t></w:r></w:p>"
CELL = f"<w:tc>{PARAGRAPH}</w:tc>"


def _zip(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _padded(files: dict[str, bytes]) -> bytes:
    """A zip with so much noise that the bound on its expansion does not refuse it."""
    noise = random.Random(0).randbytes(sum(map(len, files.values())) // 150)
    return _zip({**files, "noise.bin": noise})


def _word(
    body: str,
    *,
    before: str = "",
    types: str = "",
    target: str = "word/document.xml",
    relations: str = "",
) -> bytes:
    return _padded(
        {
            "[Content_Types].xml": TYPES.replace("{more}", types).encode(),
            "_rels/.rels": RELATIONS.format(target=target, more=relations).encode(),
            "word/document.xml": f'{before}<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'.encode(),
        }
    )


def _span(value: str) -> str:
    return f'<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="{value}"/></w:tcPr>{PARAGRAPH}</w:tc></w:tr></w:tbl>'


def _merged(rows: int) -> str:
    continued = f"<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr>{PARAGRAPH}</w:tc></w:tr>"
    return f'<w:tbl><w:tr><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr>{PARAGRAPH}</w:tc></w:tr>{continued * rows}</w:tbl>'


def _nested_tables(depth: int) -> str:
    return "<w:tbl><w:tr><w:tc>" * depth + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * depth


def _entities(levels: int) -> str:
    named = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE d [<!ENTITY e0 "lol">{named}]>'


def _styled(count: int) -> str:
    return "".join(
        f'<w:p><w:pPr><w:pStyle w:val="s{n}"/></w:pPr><w:r><w:t>x</w:t></w:r></w:p>'
        for n in range(count)
    )


_add("span-of-a-million.docx", lambda: _word(_span("1000000")))
_add("span-of-a-trillion.docx", lambda: _word(_span("1000000000000")))
_add("span-below-zero.docx", lambda: _word(_span("-5")))
_add("span-that-is-no-number.docx", lambda: _word(_span("many")))
_add("spans.docx", lambda: _word(_span("100000") * 500))
_add("merged-rows.docx", lambda: _word(_merged(20_000)))
_add("empty-paragraphs.docx", lambda: _word("<w:p/>" * 250_000))
_add("more-empty-paragraphs.docx", lambda: _word("<w:p/>" * 4_000_000))
_add("paragraphs-without-text.docx", lambda: _word("<w:p><w:pPr/></w:p>" * 300_000))
_add("runs.docx", lambda: _word("<w:p>" + "<w:r><w:t>x</w:t></w:r>" * 200_000 + "</w:p>"))
_add("tabs.docx", lambda: _word("<w:p><w:r>" + "<w:tab/>" * 500_000 + "</w:r></w:p>"))
_add("styles.docx", lambda: _word(_styled(20_000)))
_add("nested-tables.docx", lambda: _word(_nested_tables(1000)))
_add("nested-elements.docx", lambda: _word("<w:ins>" * 100_000 + "</w:ins>" * 100_000))
_add("cells.docx", lambda: _word(f"<w:tbl>{f'<w:tr>{CELL * 100}</w:tr>' * 300}</w:tbl>"))
_add("entities.docx", lambda: _word("<w:p><w:r><w:t>&e9;</w:t></w:r></w:p>", before=_entities(10)))
_add(
    "entity-of-a-file.docx",
    lambda: _word(
        "<w:p><w:r><w:t>&e;</w:t></w:r></w:p>",
        before='<!DOCTYPE d [<!ENTITY e SYSTEM "/etc/passwd">]>',
    ),
)
_add(
    "attributes.docx",
    lambda: _word("<w:p " + " ".join(f'w:a{n}="x"' for n in range(50_000)) + "/>"),
)
_add(
    "namespaces.docx",
    lambda: _word("<w:p " + " ".join(f'xmlns:a{n}="u:{n}"' for n in range(50_000)) + "/>"),
)
_add("relation-to-itself.docx", lambda: _word(PARAGRAPH, target="_rels/.rels"))
_add(
    "relations.docx",
    lambda: _word(
        PARAGRAPH,
        relations="".join(
            f'<Relationship Id="x{n}" Type="t" Target="word/document.xml"/>' for n in range(30_000)
        ),
    ),
)
_add(
    "content-types.docx",
    lambda: _word(PARAGRAPH, types='<Override PartName="/a" ContentType="b"/>' * 30_000),
)
_add("zeros.docx", lambda: _zip({"word/document.xml": b"\0" * 2**26}))
_add("not-a-zip.docx", lambda: b"PK\x03\x04" + b"\0" * 10_000)


# Sheets, slides and LibreOffice's files.
_OASIS = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
    for name, space in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("presentation", "presentation"),
    )
)


def opendocument(kind: str, body: str, *, before: str = "") -> bytes:
    """The least that an .odt, .ods or .odp has."""
    return _padded(
        {
            "content.xml": f"{before}<office:document-content {_OASIS}><office:body><office:{kind}>{body}"
            f"</office:{kind}></office:body></office:document-content>".encode()
        }
    )


def _sheet(rows: str, *, before: str = "", more: str = "") -> bytes:
    made = io.BytesIO()
    openpyxl.Workbook().save(made)
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    files["xl/worksheets/sheet1.xml"] = (
        f'{before}<worksheet xmlns="{main}">{more}<sheetData>{rows}</sheetData></worksheet>'.encode()
    )
    return _padded(files)


_WORD_CELL = '<c r="{at}" t="inlineStr"><is><t>x</t></is></c>'
_FILLED = (
    "<table:table-row{}><table:table-cell{}><text:p>x</text:p></table:table-cell></table:table-row>"
)
_REPEATED_ROWS, _REPEATED_COLUMNS = (
    f' table:number-{what}-repeated="1000000000"' for what in ("rows", "columns")
)

_add("rows.xlsx", lambda: _sheet(f"<row>{_WORD_CELL.format(at='A1')}</row>" * 300_000))
_add(
    "far-cell.xlsx", lambda: _sheet(f'<row r="1048576">{_WORD_CELL.format(at="XFD1048576")}</row>')
)
_add("no-such-cell.xlsx", lambda: _sheet(f"<row>{_WORD_CELL.format(at='ZZZZZZ999999999')}</row>"))
_add("dimension.xlsx", lambda: _sheet("", more='<dimension ref="A1:XFD1048576"/>'))
_add("strings-that-are-missing.xlsx", lambda: _sheet('<row><c t="s"><v>7</v></c></row>'))
_add(
    "entities.xlsx",
    lambda: _sheet('<row><c t="inlineStr"><is><t>&e9;</t></is></c></row>', before=_entities(10)),
)
_add("not-a-workbook.xlsx", lambda: _zip({"a": b"b"}))
_add("not-a-presentation.pptx", lambda: _zip({"a": b"b"}))
_add("word-in-it.pptx", lambda: _word(PARAGRAPH))
_add("no-content.odt", lambda: _zip({"a": b"b"}))
_add(
    "spaces.odt",
    lambda: opendocument("text", '<text:p>a<text:s text:c="9999999999"/></text:p>' * 3000),
)
_add(
    "nested-lists.odt",
    lambda: opendocument("text", "<text:list>" * 50_000 + "</text:list>" * 50_000),
)
_add("entities.odt", lambda: opendocument("text", "<text:p>&e9;</text:p>", before=_entities(10)))
_add(
    "rows-and-columns.ods",
    lambda: opendocument(
        "spreadsheet",
        f"<table:table>{_FILLED.format(_REPEATED_ROWS, _REPEATED_COLUMNS) * 2000}</table:table>",
    ),
)


# Books.
def _book(
    spine: str, manifest: str, pages: dict[str, bytes], *, before: str = "", opf: str = "b.opf"
) -> bytes:
    container = f"<container><rootfiles><rootfile full-path='{opf}'/></rootfiles></container>"
    package = f"{before}<package><manifest>{manifest}</manifest><spine>{spine}</spine></package>"
    return _padded(
        {"META-INF/container.xml": container.encode(), "b.opf": package.encode(), **pages}
    )


ITEM = "<item id='a' href='a.xhtml'/>"
PAGE = b"<html><body><p>" + b"A sentence of the book. " * 400 + b"</p></body></html>"


def _chapters(count: int) -> bytes:
    manifest = "".join(f"<item id='a{n}' href='{n}.xhtml'/>" for n in range(count))
    spine = "".join(f"<itemref idref='a{n}'/>" for n in range(count))
    return _book(spine, manifest, {f"{n}.xhtml": b"<p>x</p>" for n in range(count)})


_add(
    "spine-that-repeats.epub",
    lambda: _book("<itemref idref='a'/>" * 20_000, ITEM, {"a.xhtml": PAGE}),
)
_add("chapters.epub", lambda: _chapters(3000))
_add("package-is-container.epub", lambda: _book("", ITEM, {}, opf="META-INF/container.xml"))
_add(
    "no-package.epub",
    lambda: _book("<itemref idref='a'/>", ITEM, {"a.xhtml": PAGE}, opf="../../etc/passwd"),
)
_add(
    "entities.epub",
    lambda: _book("<itemref idref='a'/>", ITEM + "&e9;", {"a.xhtml": PAGE}, before=_entities(10)),
)
_add("zeros.epub", lambda: _book("<itemref idref='a'/>", ITEM, {"a.xhtml": b"\0" * 2**25}))
_add("nested-package.epub", lambda: _book("<x>" * 200_000 + "</x>" * 200_000, ITEM, {}))
_add(
    "attributes.epub", lambda: _book("<itemref idref='a'/>", ITEM, {"a.xhtml": _attributes(40_000)})
)


# Pages.
def _attributes(count: int) -> bytes:
    return (
        b"<html><body><p "
        + b" ".join(b"a%d=x" % n for n in range(count))
        + b">text</p></body></html>"
    )


def _page(body: bytes) -> bytes:
    return b"<html><head><title>t</title></head><body>" + body + b"</body></html>"


_add("attributes.html", lambda: _attributes(60_000))
_add("paragraphs.html", lambda: _page(b"<p>x" * 600_000))
_add("tags.html", lambda: _page(b"<b>" * 2_500_000))
_add("brackets.html", lambda: _page(b"<" * 1_500_000))
_add("nested-blocks.html", lambda: _page(b"<div>" * 100_000 + b"x"))
_add("nested-lists.html", lambda: _page(b"<ul><li>x" * 5000))
_add("nested-tables.html", lambda: _page(b"<table><tr><td>" * 3000 + b"x"))
_add("entities.html", lambda: _page(b"&amp;" * 1_000_000))
_add("open-comment.html", lambda: _page(b"<!--" * 300_000))
_add("open-quotes.html", lambda: _page(b'<a href="' * 100_000))
_add("title.html", lambda: b"<title>" + b"word " * 400_000 + b"</title><p>x</p>")
_add("links.html", lambda: _page(b"<a href='/x'>y</a> " * 60_000))
_add("one-word.html", lambda: _page(b"<p>" + b"x" * 4_000_000))
_add("rows.html", lambda: _page(b"<table>" + b"<tr><td>a<td>b" * 60_000))
_add("nul-characters.html", lambda: b"<p>" + b"\0" * 2_000_000)
_add("dates.html", lambda: _page(b"<p>2020-01-01 " * 50_000))
_add("scripts.html", lambda: _page(b"<script type='application/ld+json'>{\"a\":[" * 30_000))


# PDF.
def _pdf(objects: dict[int, bytes], trailer: bytes = b"") -> bytes:
    made, offsets = b"%PDF-1.7\n", {}
    for number, content in objects.items():
        offsets[number] = len(made)
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = max(objects) + 1
    table = b"".join(
        b"%010d 00000 %s \n" % (offsets.get(n, 0), b"n" if n in offsets else b"f")
        for n in range(size)
    )
    end = b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        trailer,
        len(made),
    )
    return made + b"xref\n0 %d\n" % size + table + end


def pdf_stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), entries, data)


def _flate(data: bytes) -> bytes:
    return pdf_stream(zlib.compress(data, 9), b"/Filter/FlateDecode")


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
RESOURCES = b"/Resources<</Font<</F1 4 0 R>>/XObject<</X0 10 0 R>>>>"
TEXT = b"BT /F1 12 Tf 72 720 Td (A line of text.) Tj ET\n"


def pdf_document(
    contents: bytes, *, pages: int = 1, more: dict[int, bytes] | None = None, font: bytes = FONT
) -> bytes:
    kids = b" ".join(b"%d 0 R" % (100 + n) for n in range(pages))
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Count %d/Kids[%s]%s>>" % (pages, kids, RESOURCES),
        4: font,
        5: contents,
    }
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 5 0 R>>"
    return _pdf({**objects, **(more or {}), **{100 + n: page for n in range(pages)}})


def _forms(levels: int) -> dict[int, bytes]:
    """Forms that each draw the next one ten times."""
    made = {}
    for n in range(levels):
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F1 4 0 R>>/XObject<</X%d %d 0 R>>>>"
        drawn = b"/X%d Do " % (n + 1) * 10 if n < levels - 1 else TEXT
        made[10 + n] = pdf_stream(drawn, entries % (n + 1, 11 + n))
    return made


def _page_tree(levels: int) -> bytes:
    """A tree whose nodes each name the next one ten times."""
    nodes = {
        10 + n: b"<</Type/Pages/Count 9999/Kids[%s]>>" % (b"%d 0 R " % (11 + n) * 10)
        for n in range(levels)
    }
    leaf = {10 + levels: b"<</Type/Page/Contents 5 0 R/MediaBox[0 0 9 9]>>"}
    root = {1: b"<</Type/Catalog/Pages 10 0 R>>", 4: FONT, 5: pdf_stream(TEXT)}
    return _pdf({**root, **nodes, **leaf})


def _nested_flate(times: int) -> bytes:
    data = b"\0" * 2**26
    for _ in range(times):
        data = zlib.compress(data, 9)
    return pdf_stream(data, b"/Filter[%s]" % (b"/FlateDecode " * times))


def _mapped(cmap: bytes) -> bytes:
    font = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/ToUnicode 6 0 R>>"
    return pdf_document(
        pdf_stream(TEXT), font=font, more={6: pdf_stream(b"begincmap\n" + cmap + b"\nendcmap")}
    )


def _widths(last: int) -> bytes:
    return pdf_document(
        pdf_stream(TEXT), font=FONT[:-2] + b"/FirstChar 0/LastChar %d/Widths[1]>>" % last
    )


_add("pages-of-one-stream.pdf", lambda: pdf_document(_flate(TEXT * 5000), pages=300))
_add("zeros.pdf", lambda: pdf_document(_flate(b"\0" * 2**26)))
_add("nested-filters.pdf", lambda: pdf_document(_nested_flate(3)))
_add(
    "long-line.pdf", lambda: pdf_document(_flate(b"BT /F1 12 Tf (" + b"x" * 3_000_000 + b") Tj ET"))
)
_add("lines.pdf", lambda: pdf_document(_flate(TEXT * 60_000)))
_add("open-brackets.pdf", lambda: pdf_document(pdf_stream(b"[" * 200_000)))
_add(
    "nested-array.pdf",
    lambda: pdf_document(pdf_stream(TEXT), more={7: b"[" * 100_000 + b"]" * 100_000}),
)
_add("forms.pdf", lambda: pdf_document(pdf_stream(b"/X0 Do " * 10), more=_forms(9)))
_add(
    "form-of-itself.pdf",
    lambda: pdf_document(pdf_stream(b"/X0 Do"), more={10: _forms(2)[10].replace(b"11 0", b"10 0")}),
)
_add("page-tree.pdf", lambda: _page_tree(9))
_add(
    "page-tree-loop.pdf",
    lambda: _pdf({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Count 1/Kids[2 0 R]>>"}),
)
_add(
    "previous-of-itself.pdf",
    lambda: _pdf({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<<>>"}, b"/Prev 9"),
)
_add("length-of-itself.pdf", lambda: pdf_document(b"<</Length 5 0 R>>stream\nx\nendstream"))
_add(
    "character-map.pdf",
    lambda: _mapped(b"1 beginbfrange\n<00000000> <FFFFFFFF> <0000>\nendbfrange"),
)
_add("widths.pdf", lambda: _widths(2_000_000_000))
_add(
    "ascii-hex.pdf",
    lambda: pdf_document(pdf_stream(b"41" * 1_000_000 + b">", b"/Filter/ASCIIHexDecode")),
)
_add(
    "run-length.pdf",
    lambda: pdf_document(pdf_stream(b"\x81A" * 500_000, b"/Filter/RunLengthDecode")),
)
_add(
    "predictor.pdf",
    lambda: pdf_document(
        pdf_stream(
            zlib.compress(b"\0" * 2**22),
            b"/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 1>>",
        )
    ),
)


# Archives.
def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def _extended(kind: bytes, data: bytes, size_bytes: int = 0) -> bytes:
    """An extended header of a tar with this content, which may say that it has another size, and an empty file."""
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, size_bytes or len(data)
    padding = b"\0" * (-len(data) % 512)
    return (
        info.tobuf(tarfile.USTAR_FORMAT)
        + data
        + padding
        + tarfile.TarInfo("a.txt").tobuf(tarfile.USTAR_FORMAT)
    )


def _directory(entries: int) -> bytes:
    """A zip whose directory names one empty file `entries` times."""
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"a.txt"
    entry = (
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
        + b"a.txt"
    )
    listed = entry * entries
    count = min(entries, 0xFFFF)
    return (
        local
        + listed
        + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(listed), len(local), 0)
    )


def _false_size(method: int, compressed: bytes) -> bytes:
    """A zip with a member that says that it is small and expands to far more."""
    head = (
        struct.pack("<H", 20)
        + struct.pack("<4H", 0, method, 0, 33)
        + struct.pack("<3I", 0, len(compressed), 1000)
    )
    local = b"PK\x03\x04" + head + struct.pack("<2H", 5, 0) + b"a.txt" + compressed
    entry = (
        b"PK\x01\x02"
        + struct.pack("<H", 20)
        + head
        + struct.pack("<5H2I", 5, 0, 0, 0, 0, 0, 0)
        + b"a.txt"
    )
    return (
        local
        + entry
        + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)
    )


_add("members.zip", lambda: _directory(250_000))
_add("zeros.zip", lambda: _zip({"a.txt": b"\0" * 2**26}))
_add("false-size-bzip2.zip", lambda: _false_size(12, bz2.compress(b"\0" * 2**23)))
_add("documents.zip", lambda: _zip({f"{n}.docx": _word(_span("1000000000")) for n in range(20)}))
_add("zeros.tar.gz", lambda: gzip.compress(_tar((tarfile.TarInfo("a.txt"), b"\0" * 2**26))))
_add("members.tar.gz", lambda: gzip.compress(tarfile.TarInfo("a.txt").tobuf() * 210_000))
_add(
    "global-headers.tar",
    lambda: _extended(tarfile.XGLTYPE, b"".join(b"13 k%06d=v\n" % n for n in range(70_000))) * 2,
)
_add("number-in-header.tar", lambda: _extended(tarfile.XHDTYPE, b"1" * 900_000))
_add("size-of-header.tar", lambda: _extended(tarfile.XHDTYPE, b"", size_bytes=8**11 - 1))
_add("zeros.txt.gz", lambda: gzip.compress(b"\0" * 2**26))
_add("letters.txt.gz", lambda: gzip.compress(b"a" * 2**26))


def write_all(folder: Path) -> None:
    """Write all files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in HOSTILE.items():
        (folder / name).write_bytes(make())


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
