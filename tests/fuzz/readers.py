"""Every reader of foreign bytes: the files that it is tried with, made by the tree itself, how it is called, which errors are its own answer.

`READERS[name].prepare(folder)` writes the files that stand beside the damaged one and returns sound contents (seeds) of that;
`read(path)` reads it as a verb does, and does the first things with what was read. Its own errors are GroundupError, said in one line.
A document is read in this process, without the limits of its child process, so that what takes long is seen.
"""

import asyncio
import functools
import gzip
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))
sys.path.insert(0, str(Path(__file__).parents[1] / "serve" / "clients"))

from mutations import zipped

from groundup.data.clean import clean
from groundup.data.reading import extract, sources
from groundup.data.reading.examples import read_examples
from groundup.data.reading.extracted import Extracted
from groundup.data.reading.layouts import CHAT_LAYOUTS, LABELLED, LAYOUTS, PREFERENCE
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.errors import GroundupError

TESTS = Path(__file__).parents[1]
Seeds = Sequence[bytes]
STORY = b"The mill by the river ground flour for the bread of the town, year after year.\n"


@dataclass(frozen=True)
class Reader:
    file: str
    """The name of the damaged file."""
    prepare: Callable[[Path], Seeds]
    read: Callable[[Path], object]
    forks: bool = True
    """Whether it can be called before a fork: it starts no threads."""


READERS: dict[str, Reader] = {}


def reader(name: str, file: str, prepare: Callable[[Path], Seeds], *, forks: bool = True) -> Any:
    """Add a function of a path to the registry."""

    def add(read: Callable[[Path], object]) -> Callable[[Path], object]:
        READERS[name] = Reader(file, prepare, read, forks)
        return read

    return add


def try_one(reader: Reader, path: Path, data: bytes) -> bool:
    """Whether the reader takes these bytes; False: it refuses them. Anything else that it raises is a finding."""
    path.write_bytes(data)
    try:
        reader.read(path)
    except GroundupError as error:
        require_one_line(error)
        return False
    return True


def require_one_line(error: GroundupError) -> None:
    """What a user is told."""
    assert error.message and len(error.message.splitlines()) == 1, error.message


# Models and tokenizers.
@functools.cache
def _words(kind: str = "bytes") -> Any:
    from groundup.tokenizer.fast import train_tokenizer

    if kind == "wordpiece":
        from tiny_encoder import wordpiece

        return wordpiece()
    return train_tokenizer([STORY.decode() * 3], 280)


def _save_model(folder: Path, file: str) -> Seeds:
    import torch

    from groundup.model.config import ModelConfig
    from groundup.model.heads import LanguageModel, initialise
    from groundup.weights.gguf import write_gguf
    from groundup.weights.model_io import save_model

    model = LanguageModel(ModelConfig(_words().vocab_size, 32, 8, 1, 1, 8))
    initialise(model, torch.Generator().manual_seed(1))
    if file.endswith(".gguf"):
        write_gguf(model, _words(), folder / file, quantization="f16", name="tiny")
    else:
        save_model(model, folder, _words())
    return [(folder / file).read_bytes()]


def _open_model(path: Path) -> None:
    import torch

    from groundup.device import Compute
    from groundup.weights.model_io import open_model, read_model_summary

    read_model_summary(str(path))
    opened = open_model(path, Compute(torch.device("cpu")))
    if opened.tokenizer is not None:
        opened.tokenizer.decode(opened.tokenizer.encode("Hello <|im_end|> wörld"))


@reader("gguf", "a.gguf", functools.partial(_save_model, file="a.gguf"))
def _gguf(path: Path) -> None:
    _open_model(path)


for _file in ("model.safetensors", "config.json"):

    @reader(_file.removeprefix("model."), _file, functools.partial(_save_model, file=_file))
    def _folder(path: Path) -> None:
        _open_model(path.parent)


def _save_tokenizer(folder: Path, file: str, kind: str) -> Seeds:
    _words(kind).save(folder)
    return [(folder / file).read_bytes()]


for _name, _file, _kind in (
    ("tokenizer.json", "tokenizer.json", "bytes"),
    ("tokenizer_config.json", "tokenizer_config.json", "bytes"),
    ("wordpiece", "tokenizer.json", "wordpiece"),
):

    @reader(_name, _file, functools.partial(_save_tokenizer, file=_file, kind=_kind))
    def _tokenizer(path: Path) -> None:
        from groundup.tokenizer.fast import Tokenizer

        loaded = Tokenizer.load(path.parent)
        loaded.decode(loaded.encode("Hello 123 <|im_end|> wörld 😀"))
        loaded.encode_control("a<|im_end|>b")


def _ranks(folder: Path) -> Seeds:
    import base64

    tokens = [*(bytes([byte]) for byte in range(256)), b"th", b"the", b"mi", b"mill", b" mill"]
    lines = [b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens)]
    return [b"".join(lines)]


@reader("tiktoken", "gpt2.tiktoken", _ranks)
def _tiktoken(path: Path) -> None:
    from groundup.tokenizer.tiktoken_ranks import tiktoken_encoding, tokenizer_of_encoding

    loaded = tokenizer_of_encoding(tiktoken_encoding(str(path)), source=path)
    assert loaded.decode(loaded.encode("the mill 😀")) == "the mill 😀"


def _templates(folder: Path) -> Seeds:
    from groundup.tokenizer.special import CHATML_TEMPLATE

    files = (TESTS / "tool_templates").glob("*.jinja")
    go = b"{{ if .System }}<s>{{ .System }}</s>{{ end }}{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}"
    return [*(file.read_bytes() for file in sorted(files)), CHATML_TEMPLATE.encode() + b" ", go]


@reader("jinja", "chat_template.jinja", _templates)
def _jinja(path: Path) -> None:
    """Rendered in this process as its child process does; what it does not catch there ends that process."""
    from groundup.errors import ModelError
    from groundup.serve.templates import UnknownAction, jinja_of
    from groundup.tokenizer import sandbox, template
    from groundup.tokenizer.chat import Conversation, Message, render
    from groundup.tokenizer.fast import Tokenizer

    def ask(text: str, request: dict[str, Any]) -> Any:
        start = {"template": text, "max_characters": template.MAX_TEXT_CHARACTERS}
        (answer,) = sandbox._begin(start)(json.loads(json.dumps(request)))
        return answer

    text = path.read_bytes().decode("utf-8", "replace")
    asked = Conversation((Message("system", "Be brief."), Message("user", "Hi {{ 1 }}")))
    with mock.patch.object(template, "_ask", ask):
        for each in (text, _go(text, jinja_of, UnknownAction)):
            tokenizer = Tokenizer(_words().table, {**_words().config(), "chat_template": each})
            try:
                render(asked, tokenizer, add_generation_prompt=True)
            except ModelError as error:
                require_one_line(error)


def _go(text: str, jinja_of: Callable[[str], str], unknown: type[Exception]) -> str:
    try:
        return jinja_of(text)
    except unknown:
        return "{{ messages[0].content }}"


# Rows, archives and documents.
def _read_texts(path: Path) -> None:
    def extract_here(path: Path, suffix: str, headings: bool) -> Iterator[Extracted]:
        asked = {"path": str(path), "suffix": suffix, "headings": headings}
        for answer in extract._answers(extract.LIMITS, asked):
            json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
            if answer["kind"] == "document":
                yield Extracted(**answer["document"])

    options, report = SourceOptions(wanted=LAYOUTS), SourceReport()
    with mock.patch.object(sources, "extract_documents", extract_here):
        for document in sources.read_source(Source(str(path)), options, report):
            clean(document.text).text.encode()


def _read_rows(path: Path) -> None:
    for wanted in (LABELLED, CHAT_LAYOUTS, PREFERENCE, None):
        try:
            if wanted is None:
                _read_texts(path)
            else:
                read_examples(Source(str(path)), SourceOptions(), wanted)
        except GroundupError as error:
            require_one_line(error)


def _layouts(folder: Path, suffix: str) -> Seeds:
    return [file.read_bytes() for file in sorted((TESTS / "data/layouts").glob(f"*.{suffix}"))]


for _suffix in ("jsonl", "json", "csv", "parquet"):
    reader(_suffix, f"a.{_suffix}", functools.partial(_layouts, suffix=_suffix))(_read_rows)


def _hostile(suffix: str) -> list[bytes]:
    """Documents that ask for time or depth, of which damages ask for more."""
    from hostile import HOSTILE

    made = (HOSTILE[name]() for name in QUICK if name.endswith(suffix))
    return [data for data in made if len(data) < 2**14]


# Of tests/data/hostile.py: those that are small and answered at once.
QUICK = (
    *("span-of-a-million.docx", "entities.docx"),
    *("form-of-itself.pdf", "character-map.pdf", "length-of-itself.pdf", "page-tree-loop.pdf"),
    *("unknown-charset.eml", "false-size-bzip2.zip", "number-in-header.tar"),
)
EML = b"""From: a@example.org\nSubject: =?utf-8?q?M=C3=BChle?=\nMIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable\n\nDie M=FChle.\n--b\nContent-Type: text/html\n\n<p>The mill</p>
--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''m%C3%BChle.pdf
Content-Transfer-Encoding: base64\n\nJVBERi0=\n--b--\n"""
HTML = b"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Mill</title><script>x = "</b>"</script>
</head><body><nav><a href="/">Home</a></nav><article><h1>The mill</h1><p>The mill by the river &amp; its <b>wheel</b>.</p>
<ul><li>one<li>two</ul><table><tr><th>a<td colspan=2>b</table><pre>x &lt; y</pre></article></body></html>"""


def _office(suffix: str) -> list[bytes]:
    made = io.BytesIO()
    if suffix == ".docx":
        import docx

        document = docx.Document()
        document.add_heading("The mill", 1)
        document.add_paragraph(STORY.decode())
        document.add_table(2, 2).cell(0, 0).text = "a"
        document.save(made)
    elif suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for row in (["price", "day"], [7.5, "=A1"], [True, None]):
            book.active.append(row)
        book.save(made)
    else:
        import pptx

        slide = (show := pptx.Presentation()).slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = "The mill"
        show.save(made)
    return [made.getvalue()]


def _pdfs() -> list[bytes]:
    from hostile import TEXT, pdf_document, pdf_stream

    return [pdf_document(pdf_stream(TEXT), pages=2)]


def _epubs() -> list[bytes]:
    container = b'<container><rootfiles><rootfile full-path="o/b.opf"/></rootfiles></container>'
    package = (
        b'<package><manifest><item id="a" href="a.xhtml"/></manifest>'
        b'<spine><itemref idref="a"/></spine></package>'
    )
    return [zipped({"META-INF/container.xml": container, "o/b.opf": package, "o/a.xhtml": HTML})]


def _odts() -> list[bytes]:
    from hostile import opendocument

    table = "<table:table><table:table-row><table:table-cell table:number-columns-repeated='3'/></table:table-row></table:table>"
    return [opendocument("text", f"<text:h>The mill</text:h><text:p>river</text:p>{table}")]


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (("a.txt", STORY), ("mühle/b.jsonl", b'{"text": "a"}\n')):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


DOCUMENTS: dict[str, Callable[[], list[bytes]]] = {
    ".zip": lambda: [zipped({"a.txt": STORY, "b/c.jsonl": b'{"text": "a"}\n', "d.eml": EML})],
    ".tar": lambda: [_tar()],
    ".eml": lambda: [EML],
    ".mbox": lambda: [b"From a\n" + EML + b"\nFrom b\nSubject: s\n\ntext\n"],
    ".html": lambda: [HTML],
    ".md": lambda: [b"# The mill\n\n" + STORY + b"\n| a | b |\n|---|---|\n| 1 | 2 |\n"],
    ".rst": lambda: [b"The mill\n========\n\n" + STORY + b"\n.. note:: x\n\n   * a\n"],
    ".tex": lambda: [
        b"\\section{The mill}\n" + STORY + b"$x^2$ \\emph{a} % b\n\\begin{a}\nb\n\\end{a}\n"
    ],
    ".org": lambda: [b"* The mill\n:PROPERTIES:\n:END:\n" + STORY + b"#+BEGIN_SRC\nx\n#+END_SRC\n"],
    ".adoc": lambda: [b"= The mill\n:a: b\n\n" + STORY + b"----\nx\n----\n|===\n|a |b\n|===\n"],
    ".jsonl.gz": lambda: [gzip.compress(b'{"text": "The mill"}\n' * 9)],
    ".pdf": _pdfs,
    ".epub": _epubs,
    ".odt": _odts,
    **{suffix: functools.partial(_office, suffix) for suffix in (".docx", ".xlsx", ".pptx")},
}


def _documents(folder: Path, suffix: str) -> Seeds:
    return DOCUMENTS[suffix]() + _hostile(suffix)


for _suffix in DOCUMENTS:
    _prepare = functools.partial(_documents, suffix=_suffix)
    reader(_suffix[1:], f"a{_suffix}", _prepare)(_read_texts)


# An index, a recipe, a pack.
def _make_index(folder: Path) -> Seeds:
    from groundup.files import MANIFEST
    from groundup.progress import Silent
    from groundup.retrieve.index import INDEX_FILE
    from groundup.retrieve.update import update_index

    (folder / "docs").mkdir()
    (folder / "docs/a.md").write_bytes(b"# Prices\n\nThe blue kettle is 7.50.\n\n" + STORY * 9)
    made = folder / "a.index"
    report = update_index(made, [Source(str(folder / "docs"))], progress=Silent())
    assert report.files_read == 1
    (made / MANIFEST).unlink()  # who damages an index may write its manifest anew
    return [(made / INDEX_FILE).read_bytes()]


@reader("index", "a.index/index.sqlite", _make_index)
def _index(path: Path) -> None:
    from groundup.retrieve.answer import AskConfig, ask
    from groundup.retrieve.index import Index
    from groundup.retrieve.search import find

    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    with Index(path.parent) as index:
        assert index.counts() and index.config
        find(index, "blue kettle", 5)
        list(ask(index, "How much is the blue kettle?", config=AskConfig(3)))


def _recipes(folder: Path) -> Seeds:
    from groundup.recipes.recipe import packaged_recipes

    return [file.read_bytes() for file in packaged_recipes().values()]


@reader("recipe", "a.toml", _recipes)
def _recipe(path: Path) -> None:
    from groundup.recipes.recipe import load_recipe, write_recipe

    write_recipe(load_recipe(str(path)))


def _copy_pack(folder: Path, file: str) -> Seeds:
    from groundup.packs.pack import PACKAGED

    shutil.copytree(PACKAGED / "skeleton", folder, dirs_exist_ok=True)
    for name in ("messages.jsonl", "questions.jsonl", "instructions.jsonl"):
        lines = (folder / name).read_bytes().split(b"\n")
        (folder / name).write_bytes(b"\n".join(lines[:6]))
    for more in sorted((folder / "documents").glob("*.md"))[1:]:
        more.unlink()
    return [(folder / file).read_bytes()]


for _file in ("pack.toml", "facts.toml", "instructions.jsonl"):
    _prepare = functools.partial(_copy_pack, file=_file)

    @reader(_file.replace("instructions", "pack"), _file, _prepare)
    def _pack(path: Path) -> None:
        from groundup.packs.check import check_pack

        json.dumps(check_pack(path.parent).to_plain())


for _file in ("actions.toml", "world.sql"):

    @reader(_file, _file, functools.partial(_copy_pack, file=_file))
    def _actions(path: Path) -> None:
        from groundup.actions.action_file import read_actions

        read_actions(path.parent)


# Bodies of HTTP requests: a line with the path, then the body.
@functools.cache
def _app(folder: Path) -> Any:
    from small_models import save_language

    from groundup.http.access import access_for
    from groundup.http.guard import Guard
    from groundup.http.limits import Limits
    from groundup.serve.app.application import app_of
    from groundup.serve.local_server import local_server

    local = local_server(save_language(folder / "tiny", ends=True, context_tokens=64))
    app = Guard(app_of(local.server), access_for("127.0.0.1"), Limits())
    # In a thread of its own: Playwright's tests leave a loop running in that of the suite.
    return app, asyncio.new_event_loop(), ThreadPoolExecutor(1), local


def _bodies(folder: Path) -> Seeds:
    from test_serve_malformed import ENDPOINTS

    return [
        path.encode() + b"\n" + json.dumps(good).replace('"tiny"', '"local"').encode()
        for path, (good, _) in ENDPOINTS.items()
    ]


@reader("http", "body", _bodies, forks=False)
def _http(path: Path) -> None:
    app, loop, thread, _ = _app(path.parent)
    place, _, body = path.read_bytes().partition(b"\n")
    answered = _status(app, place.decode("latin-1"), body)
    status = thread.submit(loop.run_until_complete, answered).result()
    assert 200 <= status < 500 or status == 503, status


async def _status(app: Any, path: str, body: bytes) -> int:
    sent: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    headers = [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
    scope |= {"raw_path": path.encode("latin-1"), "query_string": b"", "root_path": "", "asgi": {}}
    scope |= {"client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80)}
    scope |= {"scheme": "http", "http_version": "1.1"}

    async def receive() -> dict[str, Any]:
        if parts:
            return parts.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])
