"""Files from https: addresses, fetched into the cache and known by their SHA-256.

    path = fetch_url("https://host/texts.jsonl.gz", sha256, progress=progress)

    CACHE/downloads/SHA256[:32]-NAME         a complete file, its hash checked
    CACHE/downloads/url-KEY/                 of one address: what has arrived (`part`, with the
                                             server's validator), and the hash of the whole

With a hash, a file with another one is not used. Without one the hash is printed, and the file that
was fetched is used from then on. What has arrived is kept: a broken connection is taken up where it
broke (RFC 9110, Range and If-Range), by the same command or a later one. Neither an address nor a
redirection with http: is followed, since its bytes could be altered on the way.
"""

import http.client
import mimetypes
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from groundup.errors import ConfigError, FormatError, NetworkError
from groundup.fetch import require_sha256
from groundup.files import (
    cache_folder,
    disk_errors,
    read_json_object,
    require_free_bytes,
    sha256_file,
    sha256_text,
    sync_file,
    sync_folder,
    write_json,
)
from groundup.locks import hold, only_one
from groundup.operating_system import replace
from groundup.progress import Progress, Silent

HTTPS = "https://"
DOWNLOADS = "downloads"
# Bounds a server that never ends. The largest single text dumps have some 30 GB.
MAX_DOWNLOAD_BYTES = 64 * 2**30
TIMEOUT_S = 30
WAITS_S = (1, 4)
"""Seconds before the second and third attempt."""
PIECE_BYTES = 2**18
HASH_CHARACTERS = 32
# The fixed part of an address stays as it is written.
URL_CHARACTERS = "%/:=&?~+!$,;'@()*[]"
NOT_SATISFIABLE, TOO_MANY = 416, 429

_verified: set[tuple[str, str, int]] = set()
"""(path, hash, time of change) of the files whose hash this process has checked."""


def fetch_url(url: str, sha256: str = "", *, progress: Progress | None = None) -> Path:
    """Return the file of an https: address, from the cache or else fetched. With `sha256` it is
    that one; without, its hash is printed.

    Raises ConfigError (no https: address, no hash), FormatError (another hash, too large),
    NetworkError and DiskError.
    """
    progress = progress or Silent()
    if not urlsplit(url).hostname or not url.startswith(HTTPS):
        raise ConfigError(f"{url} is not an https: address.", fix="Write it as https://HOST/FILE.")
    if sha256:
        require_sha256(sha256, url)
    downloads = cache_folder(DOWNLOADS)
    own = downloads / f"url-{sha256_text(url)[:HASH_CHARACTERS]}"
    known = sha256 or _recorded_hash(own)
    if known:
        cached = _find_cached(downloads, known, url, progress)
        if cached:
            return cached
    with only_one(own):
        return _fetch(url, sha256, own, progress)


def name_of(path: Path) -> str:
    return path.name[HASH_CHARACTERS + 1 :]


def _recorded_hash(own: Path) -> str:
    """Return the hash that the file of this address had when it was fetched; "" for none."""
    return _noted(own / "file.json", "sha256")


def _noted(file: Path, name: str) -> str:
    """Return a value of what was noted in a file, "" where there is none."""
    if not file.is_file():
        return ""
    return str(read_json_object(file).get(name, ""))


def _find_cached(downloads: Path, sha256: str, url: str, progress: Progress) -> Path | None:
    """Return the complete file with that hash."""
    for path in downloads.glob(f"{sha256[:HASH_CHARACTERS]}-*"):
        if _key(path, sha256) in _verified:
            return path
        if hold(path) and sha256_file(path) == sha256:
            _verified.add(_key(path, sha256))
            progress.say(f"{url}: as it was fetched before (kept in {path}).")
            return path
    return None


def _key(path: Path, sha256: str) -> tuple[str, str, int]:
    return str(path), sha256, path.stat().st_mtime_ns


def _fetch(url: str, sha256: str, own: Path, progress: Progress) -> Path:
    name = _download(url, own, progress, is_pinned=bool(sha256))
    part = own / "part"
    found = sha256_file(part)
    if sha256 and found != sha256:
        part.unlink()
        reason = f"the file has {found}, expected {sha256}; it was not used"
        raise FormatError(
            url, "sha256", reason, fix="Correct the hash, or find out why the file was changed."
        )
    path = own.parent / f"{found[:HASH_CHARACTERS]}-{name}"
    with disk_errors(path):
        sync_file(part)
        replace(part, path)
        sync_folder(path.parent)
    write_json(own / "file.json", {"url": url, "sha256": found})
    hold(path)
    _verified.add(_key(path, found))
    size = f"Fetched {url}: {path.stat().st_size / 1e6:.1f} MB (kept in {path})"
    if sha256:
        progress.say(f"{size}, SHA-256 as given.")
    else:
        pin = f"write {url}#sha256={found}"
        progress.say(f"{size}; its SHA-256 is {found}; to be sure of the same file again, {pin}")
    return path


def _download(url: str, own: Path, progress: Progress, *, is_pinned: bool) -> str:
    """Write the file to `part`, in several attempts; return its name. Raises NetworkError."""
    for wait_s in (*WAITS_S, None):
        try:
            return _attempt(url, own, progress, is_pinned=is_pinned)
        except (OSError, http.client.HTTPException) as error:  # urllib's are OSErrors
            code = 0
            if isinstance(error, urllib.error.HTTPError):
                code = error.code
            if code == NOT_SATISFIABLE:
                (own / "part").unlink(missing_ok=True)
            elif wait_s is None or (400 <= code < 500 and code != TOO_MANY):
                raise _network_error(url, own, error) from error
            time.sleep(wait_s or 0)
    raise NetworkError(f"{url} can't be fetched: the server does not send the rest of the file.")


def _attempt(url: str, own: Path, progress: Progress, *, is_pinned: bool) -> str:
    """Fetch what is missing of `part`; return the file's name.

    Raises OSError, HTTPException, FormatError (too large), DiskError.
    """
    part, note = own / "part", own / "part.json"
    validator, have = _noted(note, "validator"), 0
    if part.is_file() and (validator or is_pinned):
        have = part.stat().st_size
    headers = {"User-Agent": "groundup", "Accept-Charset": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    request = urllib.request.Request(quote(url, safe=URL_CHARACTERS), headers=headers)
    with urllib.request.build_opener(_HttpsOnly).open(request, timeout=TIMEOUT_S) as answer:
        is_partial = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        continues = is_partial and _range_start(answer.headers) == have
        if not continues:
            have = 0
            part.unlink(missing_ok=True)  # before the validator of the new file is noted
            write_json(note, {"url": url, "validator": _validator(answer.headers)})
        length, total = answer.headers.get("Content-Length", ""), None
        if length.isdigit():
            total = have + int(length)
        _write(url, answer, part, have, total, progress)
        return _name(url, answer.headers)


def _write(
    url: str, answer: Any, part: Path, have: int, total: int | None, progress: Progress
) -> None:
    """Append the answer's bytes to the `have` bytes of `part`; `total`: what the server promises in
    all.
    """
    _refuse_large(url, total or 0)
    require_free_bytes(part, (total or have) - have)
    with (
        disk_errors(part),
        part.open("ab") as out,
        progress.track(f"Fetching {url}", (total or 0) / 1e6, "MB") as advance,
    ):
        advance(have / 1e6)
        while piece := answer.read(PIECE_BYTES):
            have += len(piece)
            _refuse_large(url, have)
            out.write(piece)
            advance(len(piece) / 1e6)
    if total is not None and have != total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _refuse_large(url: str, size_bytes: int) -> None:
    if size_bytes > MAX_DOWNLOAD_BYTES:
        reason = f"is more than {MAX_DOWNLOAD_BYTES:,} bytes, the limit for one file"
        raise FormatError(url, "size", reason)


def _range_start(headers: Mapping[str, str]) -> int:
    """Return the first byte that a partial answer holds, -1 for none."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    if not found:
        return -1
    return int(found[1])


def _validator(headers: Mapping[str, str]) -> str:
    """Return what tells this version of a file from others: a strong entity tag, else its date,
    else "".
    """
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("Last-Modified", "")


def _name(url: str, headers: http.client.HTTPMessage) -> str:
    """Return a safe name for the file: the server's, else that of the address; without a suffix,
    with that of the content's type.
    """
    name = (headers.get_filename() or unquote(urlsplit(url).path)).rpartition("/")[2]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-100:].strip(".") or "download"
    if "." in name:
        return name
    return name + (mimetypes.guess_extension(headers.get_content_type()) or "")


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not newurl.startswith(HTTPS):
            raise NetworkError(
                f"{req.full_url} leads to {newurl}, which is not https:, so it was not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _network_error(url: str, own: Path, error: Exception) -> NetworkError:
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answers {error.code} {error.reason}"
    else:
        reason = str(getattr(error, "reason", "") or error) or type(error).__name__
    part = own / "part"
    fix = "Check the address and the network"
    if part.is_file() and part.stat().st_size:
        fix += (
            f"; the {part.stat().st_size / 1e6:.1f} MB that have arrived are kept, "
            "and the same command goes on from there"
        )
    return NetworkError(f"{url} can't be fetched: {reason[:300]}.", fix=f"{fix}.")
