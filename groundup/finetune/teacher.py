"""Distillation by answers (Kim & Rush 2016, sequence level): a teacher answers prompts, and what it
says becomes the examples of a chat model.

    prompts -> the teacher, a folder's model or an OpenAI-compatible address -> answers.jsonl (all,
        each line as soon as it is there) -> cut, empty, unsupported and repeated ones left out ->
        examples.jsonl, and provenance.json beside it

An answer to a question with a `context` is kept where no number or name of it is missing in the
context, one with a `check` where it passes. The same call again asks only what is not answered yet.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from groundup.device import Compute
from groundup.engine.batch import BatchEngine, BatchSettings
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.errors import DataError, GroundupError
from groundup.evaluate.task import language_model
from groundup.evaluate.tasks.answers import passes
from groundup.files import make_folder, sha256_file, sha256_text, sync_file, write_json, write_text
from groundup.finetune.teacher_prompts import TeacherPrompt
from groundup.finetune.teacher_server import RemoteTeacher
from groundup.packs.repeats import Text, repeats
from groundup.progress import Progress
from groundup.retrieve.cite import misplaced_names, missing_facts
from groundup.tokenizer.chat import Conversation, render
from groundup.train.checkpoint.identity import frozen_fingerprint
from groundup.weights.model_io import OpenModel

ANSWERS, EXAMPLES, PROVENANCE = "answers.jsonl", "examples.jsonl", "provenance.json"
# So many first answers without a word end the asking.
EMPTY_LIMIT = 8
# Requests to a server, and prompts of a batch, at once.
AT_ONCE, BATCH = 4, 16
JsonObject = dict[str, Any]


@dataclass(frozen=True)
class TaughtAnswer:
    text: str
    is_whole: bool
    """False: it was cut at the limit of tokens."""


class Teacher(Protocol):
    @property
    def identity(self) -> JsonObject:
        """Who answers, and how: name, address or hash, settings."""

    def answers(self, prompts: Sequence[TeacherPrompt]) -> Iterator[tuple[int, TaughtAnswer]]:
        """Yield place and answer as they come, in any order."""


@dataclass(frozen=True)
class LocalTeacher:
    """A model of ours."""

    opened: OpenModel
    compute: Compute
    max_tokens: int
    temperature: float

    @property
    def identity(self) -> JsonObject:
        model, _ = language_model(self.opened)
        settings = {"max_tokens": self.max_tokens, "temperature": self.temperature}
        weights = frozen_fingerprint(model.requires_grad_(False))
        return {"teacher": self.opened.path.resolve().name, "weights": weights, **settings}

    def answers(self, prompts: Sequence[TeacherPrompt]) -> Iterator[tuple[int, TaughtAnswer]]:
        """Raises ModelError."""
        model, tokenizer = language_model(self.opened)
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=0)
        for start in range(0, len(prompts), BATCH):
            settings = BatchSettings(max_waiting=BATCH)
            engine = BatchEngine(model.eval(), tokenizer, self.compute, settings)
            for place, prompt in enumerate(prompts[start : start + BATCH], start):
                talk = Conversation(prompt.messages)
                ids = render(talk, tokenizer, add_generation_prompt=True).ids
                stops = tokenizer.special.stop_ids
                engine.submit(Request(str(place), tuple(ids), sampling, stops))
            texts: dict[str, str] = {}
            while engine.busy:
                for name, output in engine.step():
                    if isinstance(output, GroundupError):
                        raise output
                    texts[name] = texts.get(name, "") + output.text
                    if output.finish_reason is not None:
                        is_whole = output.finish_reason == "stop"
                        yield int(name), TaughtAnswer(texts[name].strip(), is_whole)


@dataclass(frozen=True)
class ServedTeacher:
    """A model behind an OpenAI-compatible address."""

    remote: RemoteTeacher

    @property
    def identity(self) -> JsonObject:
        return self.remote.identity

    def answers(self, prompts: Sequence[TeacherPrompt]) -> Iterator[tuple[int, TaughtAnswer]]:
        """Raises ConfigError, NetworkError."""
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            asked = {
                pool.submit(self.remote.ask, prompt.plain_messages): place
                for place, prompt in enumerate(prompts)
            }
            for done in as_completed(asked):
                text, is_whole = done.result()
                yield asked[done], TaughtAnswer(text, is_whole)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class TaughtData:
    """What a teacher's answers came to."""

    file: Path
    """The examples."""
    provenance: JsonObject

    @property
    def title(self) -> str:
        """For the model card."""
        found = self.provenance
        where = f" at {found['address']}" if "address" in found else ""
        return (
            f"{found['kept']} answers of the teacher {found['teacher']}{where} to the prompts of "
            f"{found['prompts']} ({found['date']}, temperature {found['temperature']:g}, at most "
            f"{found['max_tokens']} tokens; examples.jsonl, SHA-256 {found['sha256'][:16]}...)"
        )

    @property
    def line(self) -> str:
        found = self.provenance
        left = [f"{count:,} {why}" for why, count in found["left_out"].items() if count]
        line = f"{found['teacher']} answered {found['asked']:,} prompts, {found['kept']:,} are kept"
        return f"{line}; left out: {', '.join(left)}." if left else f"{line}."


def teach(
    teacher: Teacher,
    prompts: Sequence[TeacherPrompt],
    source: str,
    folder: Path,
    *,
    progress: Progress,
) -> TaughtData:
    """Ask what is not answered yet, and write the examples. Ctrl-C keeps the answers that there are.
    Raises DataError where the teacher says nothing or nothing is kept, and what `answers` raises.
    """
    identity = teacher.identity
    answers_file = make_folder(folder) / ANSWERS
    keys = [sha256_text(f"{json.dumps(identity, sort_keys=True)} {p.messages}") for p in prompts]
    known = _read_answers(answers_file)
    missing = [place for place, key in enumerate(keys) if key not in known]
    if len(missing) < len(prompts):
        count = len(prompts) - len(missing)
        progress.say(f"{count:,} of {len(prompts):,} answers are there already.")
    if missing:
        _ask(teacher, prompts, keys, missing, known, answers_file, progress)
    given = [known[key] for key in keys]
    if not any(each.text for each in given):
        raise _silent(identity, len(given))
    kept, left_out = _kept(prompts, given)
    if not kept:
        why = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
        raise DataError(
            f"None of the {len(given):,} answers of {identity['teacher']} is kept: {why}.",
            fix="Raise teacher_tokens, give other prompts, or name another teacher.",
        )
    file = folder / EXAMPLES
    rows = (_example(prompts[place], given[place], identity) for place in kept)
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    provenance = {
        **identity,
        "prompts": source,
        "date": datetime.now(UTC).date().isoformat(),
        "asked": len(prompts),
        "kept": len(kept),
        "left_out": dict(left_out),
        "prompts_sha256": sha256_text("\n".join(keys)),
        "sha256": sha256_file(file),
    }
    earlier = _read_provenance(folder / PROVENANCE)
    if earlier.get("sha256") == provenance["sha256"]:
        provenance["date"] = earlier["date"]  # nothing new was asked
    write_json(folder / PROVENANCE, provenance)
    found = TaughtData(file, provenance)
    progress.say(found.line)
    return found


def _read_provenance(file: Path) -> JsonObject:
    if not file.is_file():
        return {}
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _read_answers(file: Path) -> dict[str, TaughtAnswer]:
    """A last line that was not written to its end is no answer."""
    found: dict[str, TaughtAnswer] = {}
    if not file.is_file():
        return found
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"]] = TaughtAnswer(row["text"], row["is_whole"])
    return found


def _ask(
    teacher: Teacher,
    prompts: Sequence[TeacherPrompt],
    keys: Sequence[str],
    missing: Sequence[int],
    known: dict[str, TaughtAnswer],
    file: Path,
    progress: Progress,
) -> None:
    """Ask, and append each answer to the file."""
    asked, empty = [prompts[place] for place in missing], 0
    with (
        progress.track("answers of the teacher", len(missing), "answers") as advance,
        file.open("a", encoding="utf-8") as handle,
        closing(teacher.answers(asked)) as answers,  # type: ignore[type-var]
    ):
        if file.stat().st_size:
            handle.write("\n")  # behind a line that was not written to its end
        for place, answer in answers:
            key = keys[missing[place]]
            known[key] = answer
            row = {"key": key, **asdict(answer)}
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
            handle.flush()
            advance()
            empty += not answer.text
            if empty == EMPTY_LIMIT and not any(each.text for each in known.values()):
                raise _silent(teacher.identity, empty)
    sync_file(file)


def _silent(identity: Mapping[str, Any], count: int) -> DataError:
    return DataError(
        f"The teacher {identity['teacher']} said nothing to {count:,} prompts.",
        fix="Name a model that was made for chat, and look at what it answers.",
    )


def _kept(
    prompts: Sequence[TeacherPrompt], given: Sequence[TaughtAnswer]
) -> tuple[list[int], Mapping[str, int]]:
    """Return the places of what is kept, and how many were left out why."""
    left_out: Counter[str] = Counter()
    good = []
    for place, (prompt, answer) in enumerate(zip(prompts, given, strict=True)):
        why = next((why for why, is_bad in FAULTS.items() if is_bad(prompt, answer)), "")
        if why:
            left_out[why] += 1
        else:
            good.append(place)
    texts = [
        Text(str(place), f"{prompts[place].messages[-1].content} {given[place].text}")
        for place in good
    ]
    again = {int(text.place) for text, _, _ in repeats(texts)}
    left_out["near-repeats"] = len(again)
    return [place for place in good if place not in again], left_out


def _is_unsupported(prompt: TeacherPrompt, answer: TaughtAnswer) -> bool:
    """Whether a number or name of it is missing in the context, or the value that was asked for in
    the answer.
    """
    passage = prompt.passage
    if passage is None:
        return False
    missing = missing_facts(answer.text, passage) or misplaced_names(answer.text, passage)
    return bool(missing) or prompt.value.lower() not in answer.text.lower()


FAULTS: Mapping[str, Callable[[TeacherPrompt, TaughtAnswer], bool]] = {
    "empty": lambda prompt, answer: not answer.text,
    "cut at the limit of tokens": lambda prompt, answer: not answer.is_whole,
    "not supported by their text": _is_unsupported,
    "failing their check": lambda prompt, answer: (
        prompt.check is not None and not passes(answer.text, prompt.check)
    ),
}


def _example(
    prompt: TeacherPrompt, answer: TaughtAnswer, identity: Mapping[str, Any]
) -> JsonObject:
    """A row of the chat data."""
    turn = {"role": "assistant", "content": answer.text}
    row = {"messages": [*prompt.plain_messages, turn], "id": prompt.id, **prompt.kept}
    return {**row, "teacher": identity["teacher"]}
