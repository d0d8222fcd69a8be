"""KeptOptions: what `groundup serve` keeps of what readers write; by default nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from groundup.cli.options import file_to_write, folder_to_write
from groundup.errors import ConfigError
from groundup.progress import Progress

if TYPE_CHECKING:
    from groundup.serve.server import ModelServer


@dataclass(frozen=True)
class KeptOptions:
    """What is kept of readers' words; the page says it."""

    feedback: Annotated[
        Path | None,
        Option(
            "--feedback",
            metavar="FILE",
            callback=file_to_write,
            help="Keep readers' ratings, and questions that found no answer, in FILE "
            "(JSON lines; personal data masked); the page says so.",
            show_default="nothing is kept",
        ),
    ] = None
    transcripts: Annotated[
        Path | None,
        Option(
            "--transcripts",
            metavar="FOLDER",
            callback=folder_to_write,
            help="Keep conversations with assistants in FOLDER (personal data masked; each can be "
            "deleted); the page says so.",
            show_default="none is kept",
        ),
    ] = None
    transcript_days: Annotated[
        int, Option("--transcript-days", min=1, max=3650, help="Days that they are kept.")
    ] = 30


def open_kept(server: "ModelServer", options: KeptOptions, progress: Progress) -> None:
    """Let a server keep it. Raises ConfigError without an index, whose answers could be rated;
    DiskError where it can't be written.
    """
    from groundup.packs.feedback import FeedbackFile
    from groundup.serve.feedback import FeedbackRecorder
    from groundup.serve.transcripts import TranscriptStore

    given = {"--feedback": options.feedback, "--transcripts": options.transcripts}
    for name, path in given.items():
        if path is not None and not server.indexes.names:
            fix = "Serve a build with an index, or name one: --index INDEX"
            raise ConfigError(f"{name}: no documents are served, so nothing is asked.", fix=fix)
    if options.feedback is not None:
        server.feedback = FeedbackRecorder(FeedbackFile(options.feedback))
        progress.say(f"Ratings, and questions without an answer, are kept in {options.feedback}.")
    if options.transcripts is not None:
        server.transcripts = TranscriptStore(options.transcripts, options.transcript_days)
        days = f"{options.transcript_days} days"
        progress.say(f"Conversations are kept in {options.transcripts} for {days}.")
