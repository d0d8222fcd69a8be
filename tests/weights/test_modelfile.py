"""The Modelfile's Go template makes of a conversation what render() makes of it."""

import json
import re
from pathlib import Path

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
CONVERSATIONS = (
    (Message("user", "Hello"),),
    (Message("system", "Be short."), Message("user", "Hello {{ .Role }}\n")),
    (Message("user", "1"), Message("assistant", "  2\n"), Message("user", "<|im_end|>")),
    (
        Message("system", "s"),
        Message("user", "1"),
        Message("assistant", "2"),
        Message("tool", "3"),
        Message("user", "4"),
    ),
)


def go(template: str, messages: tuple[Message, ...]) -> str:
    """The part of Go's text/template that the Modelfile uses: if not, range, fields, quoted texts."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    conditional = r"\{\{ if not \.System \}\}(.*?)\{\{ end \}\}(?=\{\{ range)"
    template = re.sub(conditional, lambda found: "" if system else found[1], template, flags=re.DOTALL)
    before, loop, after = re.split(r"\{\{ range \.Messages \}\}|\{\{ end \}\}", template)
    turns = [re.sub(r"\{\{ \.(Role|Content) \}\}", lambda f, m=m: getattr(m, f[1].lower()), loop) for m in messages]
    return before.replace('{{ "{{" }}', "{{") + "".join(turns) + after


def template_of(file: Path) -> str:
    found = re.search(r'^TEMPLATE """(.*?)"""$', file.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(params=["own", "with a default system text"])
def chatting(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path: Path) -> Tokenizer:
    return tokenizer if request.param == "own" else with_template(tokenizer, WITH_DEFAULT, tmp_path)


def with_template(tokenizer: Tokenizer, template: str | None, folder: Path) -> Tokenizer:
    tokenizer.save(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": template}))
    return Tokenizer.load(folder)


@pytest.mark.parametrize("messages", CONVERSATIONS, ids=range(len(CONVERSATIONS)))
def test_the_go_template_equals_render(messages: tuple[Message, ...], chatting: Tokenizer, tmp_path: Path) -> None:
    template = template_of(write_modelfile(tmp_path, "m.gguf", chatting))
    assert go(template, messages) == render(Conversation(messages), chatting, add_generation_prompt=True).text


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


def test_a_template_that_is_not_chatml_is_left_to_ollama(tokenizer: Tokenizer, tmp_path: Path) -> None:
    other = with_template(
        tokenizer, "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}", tmp_path
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
