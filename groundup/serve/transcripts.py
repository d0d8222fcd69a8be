"""TranscriptStore: conversations with assistants, kept only where the operator says so
(`groundup serve --transcripts FOLDER`), each in a file of its own, so that it can be deleted.

    FOLDER/HASH.jsonl    a line for each reply, with the fields of feedback.jsonl
                         (`packs/feedback.py`)

HASH is the SHA-256 of whose conversation it is (`Caller.owner`) and of its id, which the page draws at random
and no file here has: who has the id may delete the conversation, and nobody can list them. Without
an id nothing is kept, since it could not be deleted. Personal data is masked; of messages of danger
and self-harm it is kept that there was one, and not what it said. Files that had no line for `days`
days are removed, and the oldest where all together are larger than MAX_TOTAL_BYTES.
"""

import asyncio
import hashlib
import logging
import re
import time
from dataclasses import replace
from pathlib import Path

from groundup.errors import GroundupError
from groundup.files import disk_errors, make_folder
from groundup.packs.feedback import FeedbackFile
from groundup.retrieve.answer import Answer
from groundup.retrieve.scope import urgent
from groundup.serve.feedback import MINUTE_S, RateLimit, event_of, kind_of

DAYS = 30
DAY_S = 86_400.0
# A longer conversation is kept up to here.
MAX_BYTES = 2**20
# Of all conversations; beyond it the oldest go, down to KEPT_SHARE of it.
MAX_TOTAL_BYTES, KEPT_SHARE = 2**30, 0.9
# The least that a file takes on a disk.
BLOCK_BYTES = 4096
# Replies of all conversations in a minute: so a script can't fill the disk within hours.
PER_MINUTE = 600
NOT_KEPT = "(not kept)"
log = logging.getLogger(__name__)


class TranscriptStore:
    """The kept conversations. `keep` runs in the event loop, what it writes in threads."""

    def __init__(self, folder: Path, days: int = DAYS) -> None:
        """Make the folder where it is missing, for its owner alone, and remove what is too old.

        Raises DiskError.
        """
        self.folder, self.days = folder, days
        if not folder.exists():
            make_folder(folder).chmod(0o700)
        make_folder(folder)  # raises where it is something else
        self._limit = RateLimit(PER_MINUTE, MINUTE_S)
        self._cleaned, self._bytes = 0.0, 0
        self.remove_old()

    async def keep(
        self, client: str, conversation: str, index: str, reply: Answer, shapes: tuple[str, ...]
    ) -> None:
        """Write a reply. What can't be written is logged: the reply goes on."""
        if not conversation or not self._limit.admits():
            return
        event = event_of(index, reply, shapes)
        if kind_of(reply) in ("emergency", "self_harm") or urgent(reply.question):
            event = replace(event, question=NOT_KEPT, answer=NOT_KEPT, sources=())
        file = self.file_of(client, conversation)

        def write() -> None:
            if time.time() - self._cleaned > DAY_S:
                self.remove_old()
            before = file.stat().st_size if file.exists() else -BLOCK_BYTES
            if before < MAX_BYTES:
                FeedbackFile(file, max_bytes=2 * MAX_BYTES).append(event)
                self._bytes += file.stat().st_size - before
            if self._bytes > MAX_TOTAL_BYTES:
                self.remove_old()

        try:
            await asyncio.to_thread(write)
        except (GroundupError, OSError) as error:
            log.error("a conversation could not be kept: %s", error)

    def forget(self, client: str, conversation: str) -> bool:
        """Delete a conversation; return whether there was one. Raises DiskError."""
        file = self.file_of(client, conversation)
        with disk_errors(file):
            try:
                file.unlink()
            except FileNotFoundError:
                return False
        return True

    def remove_old(self) -> int:
        """Delete the conversations without a line for `days` days, and the oldest where all are too
        large; return how many.
        """
        self._cleaned, removed = time.time(), 0
        states = {file: file.stat() for file in self.folder.iterdir() if _is_ours(file)}
        self._bytes = sum(max(BLOCK_BYTES, each.st_size) for each in states.values())
        most = KEPT_SHARE * MAX_TOTAL_BYTES if self._bytes > MAX_TOTAL_BYTES else MAX_TOTAL_BYTES
        for file, state in sorted(states.items(), key=lambda each: each[1].st_mtime):
            if self._cleaned - state.st_mtime <= self.days * DAY_S and self._bytes <= most:
                break
            try:
                file.unlink()
                removed += 1
                self._bytes -= max(BLOCK_BYTES, state.st_size)
            except OSError as error:  # deleted just now, or no file of ours
                log.warning("%s was not removed: %s", file.name, error.strerror)
        return removed

    def file_of(self, client: str, conversation: str) -> Path:
        """Return where a conversation is kept; no part of its id is in the name."""
        name = hashlib.sha256(f"{client}\n{conversation}".encode("utf-8", "surrogatepass"))
        return self.folder / f"{name.hexdigest()}.jsonl"


def _is_ours(file: Path) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}(\.[0-9]+)?\.jsonl", file.name) is not None
