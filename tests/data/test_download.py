"""Files from https: addresses, fetched from a real TLS server on this machine: pinned, resumed, bounded, and never by http:."""

import hashlib
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.cache import entries, remove
from groundup.data.reading import download
from groundup.data.reading.download import fetch_url, name_of
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source, content_hash, disk_bytes
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.errors import ConfigError, DataError, FormatError, NetworkError
from groundup.progress import Silent

TEXT = "".join(f"line {number} of a text that is fetched\n" for number in range(40_000)).encode()
SHA256 = hashlib.sha256(TEXT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Files by path, with ranges; `cut`: the bytes after which each answer ends, as a broken connection does."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.leads: dict[str, str] = {}
        self.tag, self.cut, self.type = '"1"', 0, ""
        self.ranges: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    def address(self, name: str) -> str:
        return f"https://localhost:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path, asked = self.path[1:], self.headers.get("Range", "")
        self.server.ranges.append(asked)
        if path in self.server.leads:
            self.send_response(302)
            self.send_header("Location", self.server.leads[path])
            self.end_headers()
            return
        if path not in self.server.files:
            self.send_error(404)
            return
        body, same = (
            self.server.files[path],
            self.headers.get("If-Range") in (None, self.server.tag),
        )
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and same else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if self.server.type:
            self.send_header("Content-Type", self.server.type)
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[: self.server.cut or len(rest)])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for localhost."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not installed")
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*make, *names, "-keyout", str(file), "-out", f"{file}.crt"],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def server(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAITS_S", (0, 0))
    made = Server(certificate)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_pinned_file_is_fetched_once_and_read_as_one_on_disk(server: Server) -> None:
    server.files["a/texts.txt"] = TEXT
    source = Source(f"{server.address('a/texts.txt')}#sha256={SHA256}")
    report = SourceReport()
    documents = list(read_source(source, SourceOptions(), report))
    assert "".join(each.text for each in documents).encode() == TEXT
    assert documents[0].name == "texts.txt" and documents[0].source == source.spec
    assert disk_bytes(source) == len(TEXT) and content_hash(source) == SHA256
    assert server.ranges == [""]


def test_what_is_read_is_not_removed_from_the_cache(server: Server) -> None:
    server.files["texts.txt"] = TEXT
    said, address = Said(), server.address("texts.txt")
    path = fetch_url(address, SHA256)
    assert remove(entries()) and path.is_file()
    assert (
        fetch_url(address, SHA256, progress=said) == path and said.lines == []
    )  # its hash is not computed again
    assert [(entry.kind, entry.in_use) for entry in entries()] == [("download", True)]


def test_archives_and_compressed_rows_are_read_from_https_too(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.jsonl").write_text(json.dumps({"text": "one"}) + "\n")
    server.files["x.zip"] = Path(
        shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "in")
    ).read_bytes()
    found = list(read_source(Source(server.address("x.zip")), SourceOptions(), SourceReport()))
    assert [(each.name, each.text) for each in found] == [("x.zip!rows.jsonl:1", "one")]


def test_without_a_hash_it_is_printed_and_the_file_kept(server: Server) -> None:
    server.files["texts.txt"] = TEXT
    said = Said()
    first = fetch_url(server.address("texts.txt"), progress=said)
    assert said.lines[-1].endswith(f"write {server.address('texts.txt')}#sha256={SHA256}")
    server.files["texts.txt"] = b"other"
    assert (
        fetch_url(server.address("texts.txt"), progress=said) == first
        and name_of(first) == "texts.txt"
    )
    with pytest.raises(ConfigError, match="needs the SHA-256 of its file in a recipe"):
        content_hash(Source(server.address("texts.txt")))


def test_another_hash_is_one_sentence_and_the_file_is_not_used(
    server: Server, tmp_path: Path
) -> None:
    server.files["texts.txt"] = TEXT
    with pytest.raises(
        FormatError, match=f"the file has {SHA256}, expected {'0' * 64}; it was not used"
    ):
        fetch_url(server.address("texts.txt"), "0" * 64)
    assert not [
        path
        for path in (tmp_path / "cache").rglob("*")
        if path.name == "part" or "texts.txt" in path.name
    ]


def test_a_cached_file_that_was_altered_is_fetched_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["texts.txt"] = TEXT
    path = fetch_url(server.address("texts.txt"), SHA256)
    path.write_bytes(b"altered")
    assert fetch_url(server.address("texts.txt"), SHA256).read_bytes() == TEXT


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server) -> None:
    server.files["texts.txt"], server.cut = TEXT, 100_000
    with pytest.raises(NetworkError, match="the connection ended after 300,000 of") as caught:
        fetch_url(server.address("texts.txt"), SHA256)
    assert "0.3 MB that have arrived are kept" in caught.value.fix
    server.cut = 0
    assert fetch_url(server.address("texts.txt"), SHA256).read_bytes() == TEXT
    assert server.ranges == ["", "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_the_rest_of_a_file_that_was_replaced_is_not_joined_to_its_beginning(
    server: Server,
) -> None:
    server.files["texts.txt"], server.cut = TEXT, 100_000
    with pytest.raises(NetworkError):
        fetch_url(server.address("texts.txt"))
    server.files["texts.txt"], server.tag, server.cut = TEXT[::-1], '"2"', 0
    assert fetch_url(server.address("texts.txt")).read_bytes() == TEXT[::-1]


@pytest.mark.parametrize(("sha256", "resumed"), [("", ""), (SHA256, "bytes=100000-")])
def test_without_a_validator_only_a_pinned_file_is_resumed(
    server: Server, sha256: str, resumed: str
) -> None:
    server.files["texts.txt"], server.tag, server.cut = TEXT, "", 100_000
    with pytest.raises(NetworkError):
        fetch_url(server.address("texts.txt"), sha256)
    assert server.ranges[:2] == ["", resumed]
    server.cut = 0
    assert fetch_url(server.address("texts.txt"), sha256).read_bytes() == TEXT


def test_a_file_is_bounded_before_it_arrives_and_while_it_does(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["texts.txt"] = TEXT
    monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 1000)
    with pytest.raises(FormatError, match="is more than 1,000 bytes"):
        fetch_url(server.address("texts.txt"))


def test_http_is_refused_in_an_address_and_a_redirection(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"http://localhost/a\.txt is not fetched"):
        list(read_source(Source("http://localhost/a.txt"), SourceOptions(), SourceReport()))
    server.leads["a.txt"] = "http://localhost/a.txt"
    with pytest.raises(NetworkError, match="is not https:, so it was not followed"):
        fetch_url(server.address("a.txt"))


def test_a_redirection_to_https_is_followed(server: Server) -> None:
    server.files["b.txt"], server.leads["a.txt"] = TEXT, server.address("b.txt")
    assert fetch_url(server.address("a.txt"), SHA256).read_bytes() == TEXT


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("get?id=3", "text/csv", "get.csv"),
        ("", "text/html; charset=utf-8", "download.html"),
        ("a%20b/.c.txt", "", "c.txt"),
    ],
)
def test_a_file_without_a_suffix_has_that_of_its_type(
    server: Server, path: str, kind: str, name: str
) -> None:
    server.files[path], server.type = b"text,label\na,b\n", kind
    assert name_of(fetch_url(server.address(path))) == name


def test_what_the_server_lacks_is_said_at_once(server: Server) -> None:
    with pytest.raises(NetworkError, match="the server answers 404 Not Found"):
        fetch_url(server.address("none.txt"))
    assert server.ranges == [""]


def test_a_server_that_does_not_answer_or_has_another_certificate_is_a_network_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["texts.txt"] = TEXT
    with pytest.raises(NetworkError, match="refused"):
        fetch_url("https://localhost:1/a.txt")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NetworkError, match="(?i)certificate verify failed"):
        fetch_url(server.address("texts.txt"))


@pytest.mark.parametrize("url", ["https://", "https:///a.txt", "https://user:name@localhost:1/a"])
def test_an_address_that_is_none_is_refused(server: Server, url: str) -> None:
    with pytest.raises((ConfigError, NetworkError)):
        fetch_url(url)


def test_the_two_places_of_a_hash_must_agree() -> None:
    address = "https://localhost/a.txt"
    assert Source(f"{address}#sha256={SHA256}").pin == Source(address, SHA256).pin == SHA256
    assert Source(f"{address}#sha256={SHA256}").address == address
    with pytest.raises(ConfigError, match="has another SHA-256"):
        Source(f"{address}#sha256={SHA256}", "0" * 64)
    for spec in ("hf:a/b", "s3://a/b"):
        with pytest.raises(ConfigError, match="would not be compared"):
            Source(spec, SHA256)
    with pytest.raises(ConfigError, match="64 digits"):
        fetch_url(address, "abc")
    with pytest.raises(
        DataError, match="does not exist"
    ):  # of a file on disk, "#" is part of its name
        list(read_source(Source(f"a.txt#sha256={SHA256}"), SourceOptions(), SourceReport()))
