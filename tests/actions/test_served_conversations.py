"""The scripted conversations through the whole served assistant, over OpenAI's API: the states at the end are those of the desk alone.

By default one of each kind of one pack with a tiny model; nightly all of them with SmolLM2, which also writes sentences of its own
(`--own-words`): a language model has no part in what is done. The figures with what documents answer, of an index as a build makes it (without
a second reader):

    PYTHONPATH=tests:tests/serve python tests/actions/test_served_conversations.py FILE.jsonl ...
"""

import argparse
import datetime
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from small_models import save_language
from starlette.testclient import TestClient
from test_conversations import ALL, FILES, OPEN, Conversation, Played, conversations, faults

import groundup.actions.world
from groundup.actions.desk import ActionDesk
from groundup.actions.intent import ActionChooser
from groundup.actions.state import ActionTurn
from groundup.cli.serve import ServerOptions, registry_of, server_of
from groundup.data.reading.source_files import Source
from groundup.device import select_compute
from groundup.errors import ModelError, NetworkError
from groundup.http.limits import Limits
from groundup.packs.pack import packaged_packs
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import build as make
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.recipe import load_recipe
from groundup.retrieve.update import update_index
from groundup.runs import BuildResults, provenance
from groundup.serve.app.application import app_of
from groundup.serve.indexes import ServedIndexes
from groundup.serve.server import ModelServer
from groundup.weights.model_io import find_model

SMOLLM2 = "smollm2-135m-instruct"
PACKS = [file.stem for file in FILES]


class DatedDesk(ActionDesk):
    """A desk on the day of a conversation."""

    day: datetime.date
    heard: list[ActionChooser]
    """What chooses its actions by meaning, made by the first desk of a pack."""

    def hear_by_meaning(self, *encoder: Any) -> None:
        if not self.heard:
            super().hear_by_meaning(*encoder)
            self.heard.append(self.chooser)
        self.chooser = self.heard[0]

    def turn(self, conversation: str, user_turns: Any, *_: Any, **who: Any) -> ActionTurn | None:
        return super().turn(conversation, user_turns, self.day, **who)


def make_index(build: Path, pack: str, *, as_built: bool) -> None:
    """Make the index of a pack's build."""
    if as_built:
        recipe = load_recipe(pack, BuildConfig(settings=["index.encoder=none"]))
        only = [stage for stage in stages_of(recipe) if stage.kind == "index"]
        make(recipe, build, only, compute=select_compute("cpu"), progress=Silent())
    else:
        documents = Source(str(packaged_packs()[pack] / "documents"))
        update_index(build / "index", [documents], progress=Silent())


class ServedAssistant:
    """A pack's assistant, served in this process."""

    def __init__(
        self,
        folder: Path,
        pack: str,
        model: Path,
        *,
        own_words: bool = False,
        as_built: bool = False,
    ) -> None:
        """`as_built`: the index has vectors, the reader and the pack's limit, as that of a build;
        otherwise words alone.
        """
        build = folder / pack
        make_index(build, pack, as_built=as_built)
        kinds = {"index": "index", "chat": "chat"}
        BuildResults(**asdict(provenance()), recipe=pack, kinds=kinds).write(build)
        (build / "chat").symlink_to(model)
        self.heard: list[ActionChooser] = []
        self.pack, self.indexes = pack, ServedIndexes({pack: build / "index"})
        self.indexes.own_words = own_words
        registry = registry_of([str(build)], None, Silent(), assistants={pack: pack})
        options = ServerOptions(device="cpu", precision="float32")
        self.server: ModelServer = server_of(registry, options, Limits(), self.indexes)
        self.server.customer_header = "X-Customer"
        if as_built:
            self.indexes.open_vectors(self.server.worker, Silent())
        self.client = TestClient(app_of(self.server), base_url="http://127.0.0.1")

    def play(self, script: Conversation, folder: Path) -> dict[str, str]:
        """Return what is wrong with a conversation's end."""
        assistant = self

        class PlayedHere(Played):
            def __post_init__(self) -> None:
                super().__post_init__()
                desk = DatedDesk(packaged_packs()[script.pack], world=self.world)
                desk.heard = assistant.heard
                desk.day = datetime.date.fromisoformat(script.today)
                desk.trial_customer = desk.actions.trial_customer or None
                assistant.indexes.desks[assistant.pack] = desk
                self.messages: list[dict[str, str]] = []

            def say(self, *messages: str) -> Played:
                for message in messages:
                    self.said.append(message)
                    self.messages.append({"role": "user", "content": message})
                    self.replies.append(assistant.reply(script, self.messages))
                    self.messages.append({"role": "assistant", "content": self.replies[-1]})
                return self

        return faults(script, folder, play=PlayedHere)

    def reply(self, script: Conversation, messages: list[dict[str, str]]) -> str:
        body = {"model": self.pack, "messages": messages}
        body["metadata"] = {"conversation_id": script.id}
        headers = {"X-Customer": script.customer} if script.customer else {}
        answer = self.client.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])


def wrong_ends(assistant: ServedAssistant, scripts: list[Conversation], folder: Path) -> Any:
    """Return the conversations whose end is another one than they should have."""
    found = {}
    with assistant.client:
        for script in scripts:
            (folder / script.id).mkdir()
            wrong = assistant.play(script, folder / script.id)
            if {"world", "audit", "forbidden"} & wrong.keys() and script.id not in OPEN:
                found[script.id] = wrong
    return found


def one_of_each_kind(pack: str) -> Iterator[Conversation]:
    seen: set[str] = set()
    for script in ALL:
        if script.pack == pack and script.kind not in seen and script.id not in OPEN:
            seen.add(script.kind)
            yield script


def test_a_served_assistant_ends_conversations_as_the_desk_does(tmp_path: Path) -> None:
    pack, tiny = "restaurant", save_language(tmp_path / "tiny")
    assistant = ServedAssistant(tmp_path / "builds", pack, tiny, own_words=False)
    assert wrong_ends(assistant, list(one_of_each_kind(pack)), tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize("pack", PACKS)
def test_all_conversations_end_the_same_where_smollm2_writes_beside(
    pack: str, tmp_path: Path
) -> None:
    try:
        model = find_model(SMOLLM2, progress=Silent())
    except (NetworkError, ModelError) as error:
        pytest.skip(f"groundup pull {SMOLLM2}: {error}")
    assistant = ServedAssistant(tmp_path / "builds", pack, model, own_words=True)
    scripts = [script for script in ALL if script.pack == pack]
    assert len(scripts) >= 40 and wrong_ends(assistant, scripts, tmp_path) == {}


def main() -> None:
    """Print each conversation that is not right, and how many of each file are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=FILES)
    groundup.actions.world.SYNCHRONOUS = "OFF"
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        folder = Path(name)
        tiny, assistants = save_language(folder / "tiny"), {}
        for script in conversations(parser.parse_args().files):
            if script.pack not in assistants:
                assistants[script.pack] = ServedAssistant(
                    folder / "builds", script.pack, tiny, as_built=True
                )
                opened.enter_context(assistants[script.pack].client)
            (folder / script.id).mkdir()
            found = assistants[script.pack].play(script, folder / script.id)
            counts = set(found) - {"conversation"} or {"right"}
            total.update([*counts, "of"], state="world" not in found)
            if found:
                print(
                    script.id,
                    f"({script.kind})",
                    json.dumps(found, ensure_ascii=False, indent=1),
                    flush=True,
                )
    print(
        f"right final states {total['state']} of {total['of']}, right in all {total['right']}; faults {dict(total)}"
    )


if __name__ == "__main__":
    main()
