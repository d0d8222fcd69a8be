"""The formats of models, and an open model written in one of them: `export`.

A format is added by a file here with its `ModelFormat`, a line in FORMATS, and a round trip in
tests/weights. Folders are written whole or not at all, with a manifest; a folder that holds
something else is never replaced.
"""

from pathlib import Path

from groundup.errors import ConfigError
from groundup.progress import Progress
from groundup.weights.adapter import ADAPTER_READER
from groundup.weights.gguf import GGUF, GGUF_READER
from groundup.weights.gguf_adapter import GGUF_ADAPTER
from groundup.weights.hf import HF
from groundup.weights.model_format import Check, ExportOptions, ModelFormat, ModelReader, OpenModel
from groundup.weights.modelfile import OLLAMA
from groundup.weights.one_file import ONE_FILE_READER, ONE_FILE_SUFFIX
from groundup.weights.packed import PACKED, PACKED_READER
from groundup.weights.packed_files import packed_bits
from groundup.weights.tuned import TUNED_READER, has_no_weights
from groundup.weights.verify import is_adapter

FORMATS: dict[str, ModelFormat] = {
    "hf": HF,
    "gguf": GGUF,
    "ollama": OLLAMA,
    "gguf-adapter": GGUF_ADAPTER,
    "packed": PACKED,
}


def file_suffixes() -> tuple[str, ...]:
    """Of models that are one file."""
    known = (each.suffix for each in FORMATS.values() if each.reader and each.suffix)
    return (*known, ONE_FILE_SUFFIX)


def reader_of(path: Path) -> ModelReader:
    """How the model at a path that exists is read; a file of no known suffix is taken for GGUF."""
    if path.is_dir() and is_adapter(path):
        return ADAPTER_READER
    if path.is_dir() and packed_bits(path):
        return PACKED_READER
    if path.is_dir() and has_no_weights(path):
        return TUNED_READER
    suffix = ""
    if not path.is_dir():
        suffix = path.suffix
    if suffix == ONE_FILE_SUFFIX:
        return ONE_FILE_READER
    readers = (each.reader for each in FORMATS.values() if each.reader and each.suffix == suffix)
    return next(readers, GGUF_READER)


def check_target(to: str, out: Path, quantization: str | None) -> str:
    """Refuse what can't be written before a model is read; returns the quantization. Raises
    ConfigError, ModelError.
    """
    if to not in FORMATS:
        raise ConfigError(f"`to` {to!r} is not one of {', '.join(FORMATS)}.")
    target = FORMATS[to]
    quantization = quantization or target.default_quantization
    if quantization not in target.quantizations:
        known = ", ".join(target.quantizations)
        raise ConfigError(f"`quantization` {quantization!r} is not one of {known} (for {to}).")
    target.require_writable(out)
    return quantization


def export(
    opened: OpenModel,
    to: str,
    out: Path,
    *,
    quantization: str | None = None,
    system: str | None = None,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write `opened` in the format `to` at `out`; returns `out`. Raises ConfigError, ModelError
    (can't be held, or `out` holds something else), DiskError.
    """
    options = ExportOptions(check_target(to, out, quantization), system, check, progress)
    FORMATS[to].write(opened, out, options)
    return out
