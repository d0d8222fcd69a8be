"""`context` of /api/generate: the ids of a prompt and its answer, and a later prompt that goes on
from them.

The ids end with the answer's text. What lies between it and the next answer (the end of the turn,
the new messages, the assistant's opening) is what the chat template writes there after any answer.
So a conversation held by `context` has the same prompts as one held by /api/chat, where the
answers' ids are those of their text.
"""

from collections.abc import Sequence
from dataclasses import replace

from groundup.engine.events import ChatEvent
from groundup.serve.requests import ContinuedPrompt, RequestError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer

# Any exchange: only what the template writes after it is used.
_EXCHANGE = (Message("user", "-"), Message("assistant", "-"))


class ContextRecorder:
    """The ids of one prompt, and the text of its answer as it grows."""

    def __init__(self, prompt_ids: Sequence[int], tokenizer: Tokenizer) -> None:
        self.prompt_ids = tuple(prompt_ids)
        self.tokenizer = tokenizer
        self.text = ""

    def record(self, event: ChatEvent) -> ChatEvent:
        """Add the text of an event; return it, the last one with the ids."""
        self.text += event.text
        if event.finish_reason is None:
            return event
        starts = self.tokenizer.starts_after(self.prompt_ids)
        ids = self.tokenizer.encode(self.text, starts=starts)
        return replace(event, context=(*self.prompt_ids, *ids))


def ids_after_context(prompt: ContinuedPrompt, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a prompt that goes on from a context.

    Raises RequestError, ModelError (from the chat template).
    """
    rendered = render(
        Conversation((*_EXCHANGE, *prompt.conversation.messages)),
        tokenizer,
        add_generation_prompt=True,
    )
    if not rendered.turns:
        raise RequestError(
            "context: this model's chat template drops earlier answers", param="context"
        )
    answer = rendered.turns[0]
    return [*prompt.ids, *rendered.ids[answer.end - answer.ended :]]
