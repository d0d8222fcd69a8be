"""Distillation by answers (Kim & Rush 2016, sequence level): a teacher answers prompts, and what it
says becomes the examples of a chat model.

    prompts -> Teacher -> answers.jsonl (each as soon as it is there) -> FAULTS left out
        -> examples.jsonl (chat data), and provenance.json

The same call again asks only for what is not answered yet.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.data.documents import PromptExample
from groundup.errors import ConfigError, DataError, GroundupError
from groundup.evaluate.tasks.answers import passes
from groundup.files import (
    make_folder,
    read_json_object,
    sha256_file,
    sha256_text,
    sync_file,
    write_json,
    write_text,
)
from groundup.finetune.teacher import TaughtAnswer, Teacher, TeacherIdentity
from groundup.locks import only_one
from groundup.progress import Progress
from groundup.retrieve.cite import misplaced_names, missing_facts
from groundup.retrieve.given_passages import given_passage

ANSWERS, EXAMPLES, PROVENANCE = "answers.jsonl", "examples.jsonl", "provenance.json"
# The asking ends where so many first prompts have no answer, or an empty one.
SILENCE_LIMIT = 8
UNANSWERED = "not answered"
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class TaughtData:
    """What a teacher's answers came to."""

    file: Path
    """The examples."""
    identity: TeacherIdentity
    provenance: JsonObject

    @property
    def title(self) -> str:
        """For the model card."""
        found, who = self.provenance, self.identity
        return (
            f"{found['kept']} answers of the teacher {who.teacher}{who.place} to the prompts of "
            f"{found['prompts']} ({found['date']}, temperature {who.temperature:g}, at most "
            f"{who.max_tokens} tokens; {EXAMPLES}, SHA-256 {found['sha256'][:16]}...)"
        )

    @property
    def line(self) -> str:
        found = self.provenance
        line = f"{self.identity.teacher}: {found['kept']:,} of {found['asked']:,} answers are kept"
        if not found["left_out"]:
            return f"{line}."
        return f"{line}; left out: {_counted(found['left_out'])}."


def teach(
    teacher: Teacher,
    prompts: Sequence[PromptExample],
    source: str,
    folder: Path,
    *,
    progress: Progress,
) -> TaughtData:
    """Ask for what is not answered yet, and write the examples. Ctrl-C keeps the answers that there
    are. Raises DataError where nothing is kept, FormatError, and what the teacher raises.
    """
    identity, file = teacher.identity, make_folder(folder) / ANSWERS
    keys = [sha256_text(f"{identity} {each.prompt}") for each in prompts]
    known = _read_answers(file)
    missing = [place for place, key in enumerate(keys) if key not in known]
    if len(missing) < len(prompts):
        there = len(prompts) - len(missing)
        progress.say(f"{there:,} of {len(prompts):,} prompts are answered already.")
    if missing:
        asked = {keys[place]: prompts[place] for place in missing}
        try:
            with only_one(folder):
                _ask(teacher, asked, known, file, progress)
        finally:
            _remove_if_empty(file)
    given = [known.get(key) for key in keys]
    rows, left_out = _examples(prompts, given, identity.teacher)
    if not rows:
        raise DataError(
            f"None of the answers of {identity.teacher} is kept: {_counted(left_out)}.",
            fix="Raise `teacher_tokens`, give other prompts, or name another teacher.",
        )
    examples = folder / EXAMPLES
    write_text(examples, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    provenance = {
        **asdict(identity),
        "prompts": source,
        "date": datetime.now(UTC).date().isoformat(),
        "asked": len(prompts),
        "kept": len(rows),
        "left_out": left_out,
        "prompts_sha256": sha256_text("\n".join(keys)),
        "sha256": sha256_file(examples),
    }
    if not missing and (folder / PROVENANCE).is_file():
        provenance["date"] = read_json_object(folder / PROVENANCE).get("date", provenance["date"])
    write_json(folder / PROVENANCE, provenance)
    found = TaughtData(examples, identity, provenance)
    progress.say(found.line)
    return found


def require_same_teacher(folder: Path, identity: TeacherIdentity) -> None:
    """Refuse to ask another teacher for a run that has begun. Raises ConfigError, FormatError."""
    if not (folder / PROVENANCE).is_file():
        return
    before = read_json_object(folder / PROVENANCE)
    changed = [name for name, value in asdict(identity).items() if before.get(name) != value]
    if changed:
        raise ConfigError(
            f"{folder.parent} has begun with another teacher ({', '.join(changed)}).",
            fix="Choose another folder for `out`, or `fresh` to start again.",
        )


def _read_answers(file: Path) -> dict[str, TaughtAnswer]:
    """A last line that was not written to its end is no answer."""
    found: dict[str, TaughtAnswer] = {}
    if not file.is_file():
        return found
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
            found[row["key"]] = TaughtAnswer(row["text"], row["is_whole"])
        except (ValueError, LookupError, TypeError):
            continue
    return found


def _ask(
    teacher: Teacher,
    asked: Mapping[str, PromptExample],
    known: dict[str, TaughtAnswer],
    file: Path,
    progress: Progress,
) -> None:
    """Ask, and append each answer to the file. Raises DataError, or the error of the first prompt,
    where the teacher says nothing at all.
    """
    keys, silent = list(asked), list[GroundupError]()
    nothing = DataError(
        f"The teacher {teacher.identity.teacher} says nothing.",
        fix="Name a model that was made for chat, and look at what it answers.",
    )
    answers = teacher.answers([each.prompt for each in asked.values()])
    with (
        progress.track("answers of the teacher", len(asked), "answers") as advance,
        file.open("a", encoding="utf-8") as handle,
        closing(answers),
    ):
        if handle.tell():
            handle.write("\n")  # behind a line that was not written to its end
        try:
            for place, answer in answers:
                advance()
                if isinstance(answer, GroundupError):
                    silent.append(answer)
                else:
                    known[keys[place]] = answer
                    row = {"key": keys[place], **asdict(answer)}
                    handle.write(json.dumps(row, ensure_ascii=False) + "\n")
                    handle.flush()
                    if not answer.text:
                        silent.append(nothing)
                is_silent = len(silent) >= min(SILENCE_LIMIT, len(asked))
                if is_silent and not any(each.text for each in known.values()):
                    raise silent[0]
        except KeyboardInterrupt:
            progress.say(f"Stopped: {len(known):,} answers are kept, the same command goes on.")
            raise
    sync_file(file)


def _remove_if_empty(file: Path) -> None:
    """With the folders that were made for it."""
    if file.is_file() and not file.stat().st_size:
        file.unlink()
        with suppress(OSError):  # they have other files
            file.parent.rmdir()
            file.parent.parent.rmdir()


def _examples(
    prompts: Sequence[PromptExample], given: Sequence[TaughtAnswer | None], teacher: str
) -> tuple[list[JsonObject], dict[str, int]]:
    """Return rows of chat data, and how many answers were left out why."""
    left_out: Counter[str] = Counter()
    rows = []
    for prompt, answer in zip(prompts, given, strict=True):
        if answer is None:
            left_out[UNANSWERED] += 1
            continue
        fault = next((why for why, is_bad in FAULTS.items() if is_bad(prompt, answer)), "")
        if fault:
            left_out[fault] += 1
        else:
            rows.append(_example(prompt, answer.text, teacher))
    return rows, dict(left_out)


def _is_unsupported(prompt: PromptExample, answer: TaughtAnswer) -> bool:
    """Whether a number or name of it is missing in the context, or the value in the answer."""
    if not prompt.context:
        return False
    passage = given_passage(0, prompt.context, prompt.id)
    missing = missing_facts(answer.text, passage) or misplaced_names(answer.text, passage)
    return bool(missing) or prompt.value.lower() not in answer.text.lower()


# Why an answer is left out.
FAULTS: Mapping[str, Callable[[PromptExample, TaughtAnswer], bool]] = {
    "cut at the limit of tokens": lambda prompt, answer: not answer.is_whole,
    "empty": lambda prompt, answer: not answer.text,
    "not supported by their context": _is_unsupported,
    "failing their check": lambda prompt, answer: (
        prompt.check is not None and not passes(answer.text, prompt.check)
    ),
}


def _example(prompt: PromptExample, text: str, teacher: str) -> JsonObject:
    turns = [{"role": each.role, "content": each.content} for each in prompt.prompt]
    row: JsonObject = {
        "messages": [*turns, {"role": "assistant", "content": text}],
        "id": prompt.id,
        "teacher": teacher,
    }
    known = {"kind": prompt.kind, "held_out": prompt.held_out, "check": prompt.check}
    return row | {name: value for name, value in known.items() if value}


def _counted(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in left_out.items())
