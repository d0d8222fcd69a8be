"""`Data`: where texts or examples are, and how they are read, for Python, recipes and the command
line alike. What a source is stands in `source_files`, how it is read in `sources`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_fields

if TYPE_CHECKING:
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions


@checked_fields
@dataclass(frozen=True)
class Data:
    """Texts or examples, and how they are read. A plain path stands for `Data(path)` everywhere.

    Raises ConfigError for an unknown field, layout, role or charset.

    >>> reviews = groundup.Data("reviews.csv", text="review", label="stars")
    >>> reviews.label
    'stars'
    """

    path: str | Path
    """A file, folder, glob, or an address: https:, hf:, s3:, gs:, pypi: (docs/data.md)."""
    text: str = ""
    """Field or column with the text; default: recognised."""
    label: str = ""
    """Field or column with the label; default: recognised."""
    label_from: str = ""
    """Where the label is: column, or name (of the folder or the .mbox file); default:
    recognised.
    """
    label_separator: str = ""
    """What divides the labels of a text that has several: ';'."""
    columns: str | Mapping[str, str] = field(default_factory=dict)
    """Other columns by role: prompt=question,completion=answer, or {"prompt": "question"}."""
    layout: str = ""
    """text, labelled, multi-labelled, instruction, conversation, prompt-completion or preference;
    default: recognised.
    """
    charset: str = "auto"
    """Character set of text files that are not UTF-8: auto, or a name such as cp1251 or shift_jis;
    FILE=NAME forces it.
    """
    follow_links: bool = False
    """Follow links that leave the folder."""
    sha256: str = ""
    """SHA-256 of the file at a pypi: or https: address."""

    def source(self) -> "Source":
        """Where it is. Raises ConfigError."""
        from groundup.data.reading.source_files import Source

        return Source(str(self.path), self.sha256, follow_links=self.follow_links)

    def options(self) -> "SourceOptions":
        """How it is read. Raises ConfigError."""
        from groundup.data.reading.description import parse_columns
        from groundup.data.reading.sources import SourceOptions

        return SourceOptions(
            self.text,
            label_column=self.label,
            label_from=self.label_from,
            label_separator=self.label_separator,
            columns=parse_columns(self.columns),
            layout=self.layout,
            encoding=self.charset,
        )


def as_data(data: str | Path | Data) -> Data:
    """Return a path as `Data`; `Data` as it is."""
    return data if isinstance(data, Data) else Data(data)
