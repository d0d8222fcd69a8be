"""IndexConfig: how documents become passages."""

from dataclasses import dataclass

from groundup.data.reading.decoding import AUTO
from groundup.data.reading.layouts import LAYOUTS
from groundup.data.reading.options import SourceOptions
from groundup.errors import require
from groundup.retrieve.passages import MAX_TOKENS


@dataclass(frozen=True)
class IndexConfig:
    """How documents become passages; kept with the index, so that later updates do the same."""

    max_tokens: int = MAX_TOKENS
    """The longest passage, in tokens (estimated by its bytes)."""
    text: str = ""
    """The field or column with the text of tables; "": it is recognised."""
    charset: str = AUTO
    """The charset of text files without a byte order mark."""

    def __post_init__(self) -> None:
        require(
            16 <= self.max_tokens <= 4096,
            "The longest passage",
            self.max_tokens,
            "16 to 4096 tokens",
        )

    @property
    def options(self) -> SourceOptions:
        """How files are read; whatever rows they have, they are texts here."""
        return SourceOptions(text=self.text, charset=self.charset, wanted=LAYOUTS, headings=True)
