"""A chain of signatures over a build, a run or an export, by OpenSSF Model Signing with a local key:
`groundup sign`, `groundup verify --key`. No network is used.

    FOLDER/chain.json   this link: its number, its name, and of the link before the name and the
                        SHA-256 of its signature
    FOLDER/model.sig    a Sigstore bundle (DSSE, in-toto) over every other file below FOLDER

The links of a build are its finished stages in their order, data, tokenizer, pretrain and on to
export, then the build itself, whose signature covers all of them; of a run its data and shards,
then the run. Another folder is a chain of one link, or goes on from one (`after`). A single file,
such as a GGUF, has FILE.sig beside it, and no chain. Each signature is checked by the project's own
tool, too: `model_signing verify key FOLDER --signature FOLDER/model.sig --public_key PUB`.

Format: https://github.com/ossf/model-signing-spec
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, FormatError, GroundupError, require_extra
from groundup.files import MANIFEST, disk_errors, read_json_object, sha256_file, write_json
from groundup.progress import Progress, Silent
from groundup.runs import BUILD_FILE, RunFolder, read_build
from groundup.weights.verify import files_below

CHAIN_FILE, SIGNATURE_FILE, SUFFIX = "chain.json", "model.sig", ".sig"
FORMAT_VERSION = 1
# Folders of a run that are links before it, in their order.
OF_A_RUN = ("data", "shards")
# In the library's messages, of a file whose name stands before.
_DIGESTS = re.compile(r": Expected 'Digest\(.*?\)', Actual 'Digest\(.*?\)'")
NEW_KEY = (
    "Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; "
    "openssl ec -in key.pem -pubout -out pub.pem"
)


@dataclass(frozen=True)
class ChainLink:
    """One signed folder or file."""

    number: int
    """From 1 on."""
    name: str
    signature_sha256: str
    before: str = ""
    """The name of the link before."""
    before_sha256: str = ""
    """Of its signature."""


def sign_chain(
    path: Path, key: Path, *, after: Path | None = None, progress: Progress | None = None
) -> list[ChainLink]:
    """Sign the links of a folder in their order, or one file, with an unencrypted private key
    (PEM, curve P-256, P-384 or P-521); earlier signatures are replaced.

    `after`: a signed folder that the first link goes on from. Raises MissingExtra, ConfigError (no
    such key), FormatError (`after` is not signed; a link inside), DiskError.
    """
    config = signing_config(key)
    progress, links = progress or Silent(), list[ChainLink]()
    folders = link_folders(path)
    before = None
    if after:
        before = _link_of(after)
        if after.resolve() in [folder.resolve() for folder in folders]:
            raise ConfigError(
                f"{after} can't be the folder before, since it is signed now.",
                fix="Name another folder, or leave --after out.",
            )
    if path.is_file() and after:
        raise ConfigError(
            f"{path} is one file, which has no place for what it goes on from.",
            fix="Sign the folder that it lies in.",
        )
    with progress.track("sign", len(folders), "links") as advance:
        for folder in folders:
            name = folder.resolve().name
            if folder.is_dir():
                _write_link(folder, name, before)
            with _library_errors(folder, "could not be signed"), disk_errors(folder):
                config.set_hashing_config(_hashing(folder))
                config.sign(folder, signature_of(folder))
            before = _link_of(folder)
            links.append(before)
            advance(1)
    return links


def verify_chain(
    path: Path, key: Path, *, after: Path | None = None, progress: Progress | None = None
) -> list[ChainLink]:
    """Check the signature of each link with a public key (PEM), that each names the one before, and
    that none is missing; return the links.

    Without `after` the first may name a link that is not here. Raises MissingExtra, ConfigError
    (no such key) and FormatError, which names the first link that is wrong and what is.
    """
    config = verifying_config(key)
    progress, links = progress or Silent(), list[ChainLink]()
    before = None
    if after:
        before = _link_of(after)
    folders = link_folders(path)
    with progress.track("verify", len(folders), "links") as advance:
        for folder in folders:
            signature = signature_of(folder)
            if not signature.is_file():
                raise FormatError(
                    signature, "signature", "is missing: this link of the chain is not signed",
                    fix=f"Sign it: groundup sign {path} --key KEY",
                )  # fmt: skip
            link = _link_of(folder)
            if before or len(folders) > 1:
                _require_order(folder, link, before)
            read_json_object(signature)
            with _library_errors(folder, "is not what was signed with this key"):
                config.set_hashing_config(_hashing(folder))
                config.verify(folder, signature)
            links.append(link)
            before = link
            advance(1)
    return links


def signing_config(key: Path) -> Any:
    """Return the library's settings with a private key. Raises MissingExtra and ConfigError."""
    require_extra("sign", "model_signing")
    from model_signing import signing

    return _with_key(key, lambda: signing.Config().use_elliptic_key_signer(private_key=key))


def verifying_config(key: Path) -> Any:
    """Return the library's settings with a public key. Raises MissingExtra and ConfigError."""
    require_extra("sign", "model_signing")
    from model_signing import verifying

    return _with_key(key, lambda: verifying.Config().use_elliptic_key_verifier(public_key=key))


def link_folders(path: Path) -> list[Path]:
    """Return the folders that are links, in their order, the path itself last."""
    names: Sequence[str] = ()
    if (path / BUILD_FILE).is_file():
        names = list(read_build(path).kinds)
    elif RunFolder(path).run_file.is_file():
        names = OF_A_RUN
    return [*(path / name for name in names if (path / name / MANIFEST).is_file()), path]


def signature_of(path: Path) -> Path:
    """Return where the signature of a folder or a file lies."""
    if path.is_dir():
        return path / SIGNATURE_FILE
    return path.with_name(path.name + SUFFIX)


def _write_link(folder: Path, name: str, before: ChainLink | None) -> None:
    link = ChainLink(1, name, "")
    if before:
        link = ChainLink(before.number + 1, name, "", before.name, before.signature_sha256)
    content = {"format_version": FORMAT_VERSION, **asdict(link)}
    del content["signature_sha256"]
    write_json(folder / CHAIN_FILE, content)


def _link_of(path: Path) -> ChainLink:
    """Return a signed folder or file as a link. Raises FormatError."""
    signature, file = signature_of(path), path / CHAIN_FILE
    if not signature.is_file():
        raise FormatError(
            signature, "signature", "is missing", fix=f"Sign it: groundup sign {path} --key KEY"
        )
    signed = sha256_file(signature)
    if path.is_file():
        return ChainLink(1, path.name, signed)
    content = read_json_object(file)
    if content.pop("format_version", None) != FORMAT_VERSION:
        raise FormatError(file, "format_version", f"is not {FORMAT_VERSION}")
    expected = {"number": int, "name": str, "before": str, "before_sha256": str}
    for name, kind in expected.items():
        if not isinstance(content.get(name), kind):
            raise FormatError(file, name, "is missing or of another type")
    return ChainLink(signature_sha256=signed, **{name: content[name] for name in expected})


def _require_order(folder: Path, link: ChainLink, before: ChainLink | None) -> None:
    """Raises FormatError unless the link names the one before as it is here."""
    file = folder / CHAIN_FILE
    wanted = (1, "")
    if before:
        wanted = (before.number + 1, before.signature_sha256)
    named = (link.number, link.before_sha256)
    if named == wanted or not folder.is_dir():
        return
    reason = "begins a chain, but is not its first link"
    if link.before:
        reason = f"names another signature of {link.before} ({link.before_sha256[:12]}...)"
    here = "none is before it here"
    if before:
        here = f"here {before.name} is before it ({before.signature_sha256[:12]}...)"
    raise FormatError(
        file, "before", f"{reason}; {here}: a link was altered, exchanged or left out",
        fix="Take the whole folder again from who signed it.",
    )  # fmt: skip


def _hashing(path: Path) -> Any:
    """Every file is hashed but the signature, and those that are made anew by reading."""
    from model_signing import hashing

    ignored = [signature_of(path)]
    if path.is_dir():
        seen = set(files_below(path))
        ignored += [file for file in path.rglob("*") if file.is_file() and file not in seen]
        ignored = [file.relative_to(path) for file in ignored]
    return hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)


def _with_key(key: Path, load: Callable[[], Any]) -> Any:
    """Raises ConfigError for what is no such key."""
    if not key.is_file():
        raise ConfigError(f"There is no key {key}.", fix=NEW_KEY)
    try:
        return load()
    except AttributeError as error:  # the library asks each key for its curve
        raise ConfigError(f"{key} is not an elliptic-curve key.", fix=NEW_KEY) from error
    except Exception as error:  # the library raises what its parsers do
        reason = str(error).partition("\n")[0][:200].rstrip("?.")
        raise ConfigError(f"{key} is not a key for this: {reason}.", fix=NEW_KEY) from error


@contextmanager
def _library_errors(path: Path, what: str) -> Iterator[None]:
    """Turn what the library raises into a FormatError."""
    try:
        yield
    except GroundupError:
        raise
    except Exception as error:  # the library raises what its parsers do
        said = _DIGESTS.sub("", str(error).replace("\\'", "'"))
        reason = said[:500].rstrip(" .") or type(error).__name__
        if isinstance(error, (LookupError, TypeError, AttributeError)):
            reason = f"a part is missing or of another type ({reason})"
        raise FormatError(
            path, signature_of(path).name, f"{what}: {reason}",
            fix="Take it again from who signed it, or ask for the right key.",
        ) from error  # fmt: skip
