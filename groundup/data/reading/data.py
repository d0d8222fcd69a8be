"""`Data`: where texts or examples are, and how they are read, for Python, recipes and the command
line alike. `sources` makes of it what readers take.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from groundup.config import checked_fields
from groundup.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ReadingFields:
    """How files and their rows are read: which column is what, their layout, their charset."""

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
    """Charset of text files that are not UTF-8: auto, or a name such as cp1251 or shift_jis;
    FILE=NAME forces it.
    """


@checked_fields
@dataclass(frozen=True)
class Data(ReadingFields):
    """Texts or examples, and how they are read. A plain path stands for `Data(path)` everywhere.

    Raises ConfigError for an unknown field.

    >>> reviews = groundup.Data("reviews.csv", text="review", label="stars")
    >>> reviews.label
    'stars'
    """

    path: str | Path
    """A file, folder, glob, or an address: https:, hf:, s3:, gs:, pypi: (docs/data.md)."""
    follow_links: bool = False
    """Follow links that leave the folder."""
    sha256: str = ""
    """SHA-256 of the file at a pypi: or https: address."""


def as_data(data: str | Path | Data) -> Data:
    if isinstance(data, Data):
        return data
    return Data(data)


def address_and_share(text: str, default: float) -> tuple[str, float]:
    """Return address and share of a text that is replayed; what stands behind the last = is the
    address's own where it is no number. Raises ConfigError.

    >>> address_and_share("hf:me/books=0.2", 0.05), address_and_share("general.txt", 0.05)
    (('hf:me/books', 0.2), ('general.txt', 0.05))
    """
    spec, equals, number = text.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        return text, default
    if not equals:
        return text, default
    if not 0 < share < 1:
        raise ConfigError(
            f"The share of {spec} in the replay must be above 0 and below 1 (got {number}).",
            fix="Write 0.1 for a tenth.",
        )
    return spec, share
