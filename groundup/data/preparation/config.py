"""The configuration of reading, processing and splitting texts."""

from dataclasses import dataclass, field

from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.decoding import AUTO, CharsetErrors, check_charset
from groundup.data.reading.options import SourceOptions
from groundup.data.split import TEST, VALIDATION
from groundup.errors import ConfigError, require

# Of the documents, by hash: the largest share that is not trained on.
MAX_HELD_OUT = 0.8


@dataclass(frozen=True)
class DataConfig:
    text: str = ""
    """The field or column with the text, in .jsonl, .json, .csv and .parquet; "": it is
    recognised.
    """
    charset_errors: CharsetErrors = "replace"
    """Invalid bytes: "replace" (by U+FFFD) or "drop"; both are counted."""
    strict: bool = False
    """Raise an error at the first bad line."""
    validation_fraction: float = 0.08
    """Share of the documents, by hash, used for validation. 0.08: three of the forty of quickstart;
    of 0.05, it might be one.
    """
    test_fraction: float = 0.08
    """Share of the documents, by hash, on which the published figures are measured; 0: none."""
    follow_links: bool = False
    """Read links that leave the folder of the texts, and links to folders (pretrain, plan, sweep; a
    recipe sets it for each source).
    """
    charset: str = AUTO
    """The charset of text files without a byte order mark, or "auto"."""
    keep_dropped: bool = False
    """Write the dropped documents to `dropped.jsonl`."""
    process: ProcessConfig = field(default_factory=ProcessConfig)
    """What is done with documents after cleaning."""

    def __post_init__(self) -> None:
        share = self.validation_fraction
        require(0 < share <= 0.5, "validation_fraction", share, "above 0 and at most 0.5")
        if not 0 <= self.test_fraction <= 0.5 or share + self.test_fraction > MAX_HELD_OUT:
            both = f"validation_fraction is {share} and test_fraction {self.test_fraction}"
            raise ConfigError(
                f"{both}; the latter must be 0 to 0.5, and both together at most {MAX_HELD_OUT}."
            )
        check_charset(self.charset)

    @property
    def fractions(self) -> dict[str, float]:
        """The shares of the splits beside train."""
        fractions = {VALIDATION: self.validation_fraction}
        if self.test_fraction:
            fractions[TEST] = self.test_fraction
        return fractions

    @property
    def source_options(self) -> SourceOptions:
        return SourceOptions(
            text=self.text,
            charset=self.charset,
            charset_errors=self.charset_errors,
            strict=self.strict,
        )
