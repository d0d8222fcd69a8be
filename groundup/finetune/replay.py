"""General text that is read beside the examples of a chat model, so that less is forgotten: every
token of it is learned, and none of what forgetting is measured on is read.
"""

from dataclasses import dataclass

from groundup.data.reading.data import address_and_share
from groundup.data.reading.options import options_of
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import describe_source, read_source, source_of
from groundup.errors import DataError
from groundup.evaluate.comparison.forgetting import general_texts, named_text
from groundup.evaluate.tasks.text import sample_texts, text_windows
from groundup.finetune.config import REPLAY_SHARE, ChatConfig
from groundup.progress import Progress
from groundup.tokenizer.chat import Rendered
from groundup.tokenizer.fast import Tokenizer

# Characters of text that are read for a token of it, at most: enough in any script.
CHARACTERS_A_TOKEN = 8
# Of a text that is measured, what it is known by.
BEGINNING = 200


@dataclass(frozen=True)
class Replay:
    rows: tuple[Rendered, ...] = ()
    """Pieces of texts, of which every token is learned but for the first."""
    source: str = ""
    share: float = 0.0
    """Of the tokens of an epoch; less than was asked for where there is too little text."""

    def plain(self) -> dict[str, str | float | int]:
        tokens = sum(len(row.ids) for row in self.rows)
        return {"source": self.source, "share": self.share, "tokens": tokens}


def read_replay(
    config: ChatConfig, tokens: int, tokenizer: Tokenizer, limit: int, progress: Progress
) -> Replay:
    """`tokens`: of the examples; `limit`: of a row. Raises DataError, ConfigError."""
    if not config.replay:
        return Replay()
    spec, share = address_and_share(config.replay, REPLAY_SHARE)
    wanted = max(1, round(tokens * share / (1 - share)))
    rows, read = list[Rendered](), 0
    texts = _texts(spec, wanted * CHARACTERS_A_TOKEN, config, progress)
    for context, ids in text_windows(texts, tokenizer, limit - 1):
        row = [*context, *ids[: wanted - read]]
        rows.append(Rendered("", row, [False, *[True] * (len(row) - 1)]))
        read += len(row) - 1
        if read >= wanted:
            break
    if not rows:
        raise DataError(
            f"{spec} has no general text that is not measured, too.", fix="Give other text."
        )
    replay = Replay(tuple(rows), spec, round(read / (read + tokens), 3))
    said = f"Replay: {read:,} tokens of {spec} an epoch, {replay.share:.1%} of what is read"
    if read < wanted:
        said += f" (all that it has; {share:.1%} were wanted)"
    progress.say(f"{said}.")
    return replay


def _texts(spec: str, characters: int, config: ChatConfig, progress: Progress) -> list[str]:
    """A random sample of passages."""
    data = named_text(spec)
    source, options = source_of(data), options_of(data)
    describe_source(source, options, progress=progress)
    measured = tuple(text[:BEGINNING] for text in general_texts(config.general, progress))
    found = read_source(source, options, SourceReport(), progress=progress)
    texts = (each.text for each in found if not each.text.startswith(measured))
    return sample_texts(texts, seed=config.seed, max_characters=characters)
