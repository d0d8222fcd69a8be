"""What a later prompt adds to a `context`, by the chat template; and the ids that an answer returns."""

import pytest
from small_models import TOOL_TEMPLATES, tokenizer

from groundup.engine.events import ChatEvent
from groundup.serve.requests import ContextRecorder, ContinuedPrompt, ids_after_context
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.special import CHATML_TEMPLATE

TEMPLATES = {
    "chatml": CHATML_TEMPLATE,
    "hermes": TOOL_TEMPLATES["tagged"],
    "with a default system message": "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nBe.<|im_end|>\n' }}{% endif %}" + CHATML_TEMPLATE,
    "without control tokens": "{% for each in messages %}{{ '### ' + each.role + '\n' + each.content + '\n\n' }}{% endfor %}{{ '### assistant\n' }}",
}  # fmt: skip
ASKED, SAID, NEXT = Message("user", "To be"), "or not to be", Message("user", "Why?")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_context_and_its_next_turn_are_the_conversation(name: str) -> None:
    words = tokenizer(TEMPLATES[name])
    first = render(Conversation((ASKED,)), words, add_generation_prompt=True).ids
    recorder = ContextRecorder(first, words)
    events = [ChatEvent("or not", None, 9, 2), ChatEvent(" to be", "stop", 9, 5)]
    assert [bool(recorder.record(event).context) for event in events[:1]] == [False]
    context = recorder.record(events[1]).context
    assert context[: len(first)] == tuple(first) and words.decode(context).endswith(SAID)
    found = ids_after_context(ContinuedPrompt(context, Conversation((NEXT,))), words)
    whole = render(
        Conversation((ASKED, Message("assistant", SAID), NEXT)), words, add_generation_prompt=True
    )
    assert words.decode(found) == whole.text
