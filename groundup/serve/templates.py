"""Chat templates that clients send, for one request or a name of their own: jinja, run in the
sandbox of `tokenizer/template.py`.

Ollama's templates are in Go's language. They are recognised, and translated (`go_templates.py`) or
refused with a sentence.
"""

import re

from groundup.errors import ModelError
from groundup.http.limits import Limits
from groundup.serve.go_templates import KNOWN, UnknownAction, jinja_of
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer

# An action as Go's language has them: {{ .Prompt }}, {{- range .Messages }}, {{ end }}, {{ $x :=
# ... }}, {{/* ... */}}.
_GO_ACTION = re.compile(
    r"\{\{-?\s*(?:\.|\$|/\*|(?:if|range|with|else|end|template|define|block|break|continue)\b)"
)
_QUESTION = "Which way to the sea?"


def to_jinja_template(template: str, tokenizer: Tokenizer, limits: Limits) -> str:
    """Return the template in jinja.

    Raises RequestError unless it renders a question, with its text, within the limits.
    """
    if len(template) > limits.template_characters:
        most = limits.template_characters
        raise _refusal(f"at most {most} characters are allowed, this one has {len(template)}")
    problem = _problem(template, tokenizer)
    # Jinja may have these words, too, as in {{ range(3) }}; Go has no "{%".
    if problem and "{%" not in template and _GO_ACTION.search(template):
        template = _translate(template)
        problem = _problem(template, tokenizer)
    if problem:
        raise _refusal(problem)
    return template


def _translate(template: str) -> str:
    try:
        return jinja_of(template)
    except UnknownAction as error:
        action = " ".join(str(error).split())[:60]
        raise _refusal(
            f"of Go's template language only {KNOWN} are understood here, not {{{{ {action} }}}}; "
            "send the model's chat template in jinja"
        ) from error


def _refusal(problem: str) -> RequestError:
    return RequestError(f"template: {problem}", param="template")


def _problem(template: str, tokenizer: Tokenizer) -> str:
    question = Conversation((Message("user", _QUESTION),))
    try:
        text = render(question, tokenizer.with_template(template), add_generation_prompt=True).text
    except ModelError as error:
        return error.message[:1].lower() + error.message[1:300]
    return "" if _QUESTION in text else "it leaves out the user's message"
