"""The Modelfile's Go template makes of a conversation what render() makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import ModelError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.modelfile import recognise_chatml, turn_tokens, write_modelfile

DEFAULT = 'You are a helpful AI assistant named {{ SmolLM }}, trained by "Hugging Face"'
# As the published template of SmolLM2-135M-Instruct puts its default text.
WITH_DEFAULT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nDEFAULT<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
).replace("DEFAULT", DEFAULT.replace('"', '\\"'))
# Ten conversations and their texts by a plain f-string per turn, written once: {"name", "messages", "text", "text_with_default"}.
GOLDEN = json.loads((Path(__file__).parent / "ollama_conversations.json").read_text())
NAMES = [golden["name"] for golden in GOLDEN]
GO_PROGRAM = Path(__file__).parent / "ollama_template.go"


def template_of(file: Path) -> str:
    found = re.search(r'^TEMPLATE """(.*?)"""$', file.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def system_of(file: Path) -> str:
    found = re.search(r'^SYSTEM """(.*?)"""$', file.read_text(), re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


@pytest.fixture(params=["text", "text_with_default"])
def chatting(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path: Path
) -> tuple[Tokenizer, str]:
    """A tokenizer with our template, or with one that has a default system prompt; which of the golden texts is its."""
    expected: str = request.param
    return (
        tokenizer if expected == "text" else with_template(tokenizer, WITH_DEFAULT, tmp_path)
    ), expected


def with_template(tokenizer: Tokenizer, template: str | None, folder: Path) -> Tokenizer:
    tokenizer.save(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": template}))
    return Tokenizer.load(folder)


@pytest.mark.parametrize("golden", GOLDEN, ids=NAMES)
def test_the_golden_texts_are_what_render_makes(
    golden: dict[str, Any], chatting: tuple[Tokenizer, str]
) -> None:
    tokenizer, expected = chatting
    conversation = Conversation(tuple(Message(**message) for message in golden["messages"]))
    assert render(conversation, tokenizer, add_generation_prompt=True).text == golden[expected]


@pytest.mark.go
@pytest.mark.skipif(
    shutil.which("go") is None, reason="needs Go: apt-get install --no-install-recommends golang-go"
)
def test_go_renders_the_template_to_the_golden_texts(
    chatting: tuple[Tokenizer, str], tmp_path: Path
) -> None:
    tokenizer, expected = chatting
    file = write_modelfile(tmp_path, "m.gguf", tokenizer)
    asked = {"template": template_of(file), "system": system_of(file)}
    rendered = go_renders({**asked, "conversations": [golden["messages"] for golden in GOLDEN]})
    for golden, forms in zip(GOLDEN, rendered, strict=True):
        assert forms["messages"] == golden[expected], golden["name"]
    whole_exchanges = {
        golden["name"]: forms for golden, forms in zip(GOLDEN, rendered, strict=True)
    }
    for name in (
        NAMES[:5] + NAMES[6:8]
    ):  # the others have what one exchange can't say: empty texts, a tool, an answer to go on with
        assert whole_exchanges[name]["exchanges"] == whole_exchanges[name]["messages"], name


def go_renders(asked: dict[str, Any]) -> list[dict[str, str]]:
    """Both forms of each conversation, from Go's own text/template."""
    done = subprocess.run(
        ["go", "run", GO_PROGRAM],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_default_system_text_is_ollamas_to_put_in(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with_default = with_template(tokenizer, WITH_DEFAULT, tmp_path)
    assert system_of(write_modelfile(tmp_path, "m.gguf", with_default)) == DEFAULT
    assert system_of(write_modelfile(tmp_path, "m.gguf", with_default, "Mine.")) == "Mine."


def test_every_turn_token_stops(tokenizer: Tokenizer, tmp_path: Path) -> None:
    lines = write_modelfile(tmp_path, "m.gguf", tokenizer).read_text().splitlines()
    assert lines[0] == "FROM ./m.gguf"
    assert turn_tokens(tokenizer) == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    stops = [line for line in lines if line.startswith("PARAMETER")]
    assert stops == [f'PARAMETER stop "{text}"' for text in turn_tokens(tokenizer)]
    assert not any(line.startswith("SYSTEM") for line in lines)


def test_a_system_text_is_written_only_when_given(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = write_modelfile(tmp_path, "m.gguf", tokenizer, system='Say "yes".\nAlways.').read_text()
    assert text.endswith('SYSTEM """Say "yes".\nAlways."""\n')
    with pytest.raises(ModelError, match="can't hold"):
        write_modelfile(tmp_path, "m.gguf", tokenizer, system='a """ b')


def test_a_template_that_is_not_chatml_is_left_to_ollama(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    other = with_template(
        tokenizer,
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}",
        tmp_path,
    )
    trimming = with_template(
        tokenizer,
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        tmp_path,
    )
    for tokenizer_of_another in (other, trimming):
        assert recognise_chatml(tokenizer_of_another) is None
        text = write_modelfile(tmp_path, "m.gguf", tokenizer_of_another).read_text()
        assert "TEMPLATE" not in text
        assert "not ChatML" in text


def test_a_model_without_template_only_continues(tokenizer: Tokenizer, tmp_path: Path) -> None:
    plain = with_template(tokenizer, None, tmp_path)
    assert 'TEMPLATE """{{ .Prompt }}"""' in write_modelfile(tmp_path, "m.gguf", plain).read_text()
