"""Chat templates that clients send, for one request or a name of their own: jinja, run in the sandbox of `tokenizer/template.py`.

Ollama's templates are in Go's language, which nothing here can run. They are recognised, and refused with a sentence.
"""

import re

from groundup.errors import ModelError
from groundup.http.limits import Limits
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer

# An action as Go's language has them: {{ .Prompt }}, {{- range .Messages }}, {{ end }}, {{ $x := ... }}, {{/* ... */}}.
_GO_ACTION = re.compile(r"\{\{-?\s*(?:\.|\$|/\*|(?:if|range|with|else|end|template|define|block|break|continue)\b)")
_QUESTION = "Which way to the sea?"


def require_template(template: str, tokenizer: Tokenizer, limits: Limits) -> None:
    """Raise RequestError unless `template` is one of jinja that renders a question, with its text, within the limits."""
    problem = _problem(template, tokenizer, limits)
    if problem:
        raise RequestError(f"template: {problem}", param="template")


def _problem(template: str, tokenizer: Tokenizer, limits: Limits) -> str:
    if len(template) > limits.template_characters:
        return f"at most {limits.template_characters} characters are allowed, this one has {len(template)}"
    problem = _problem_in_jinja(template, tokenizer)
    # Jinja may have these words, too, as in {{ range(3) }}; Go has no "{%".
    if problem and "{%" not in template and _GO_ACTION.search(template):
        return "this is in Go's template language, which can't be run here; send the model's chat template in jinja"
    return problem


def _problem_in_jinja(template: str, tokenizer: Tokenizer) -> str:
    asked = Conversation((Message("user", _QUESTION),))
    try:
        text = render(asked, tokenizer.with_template(template), add_generation_prompt=True).text
    except ModelError as error:
        return error.message[:1].lower() + error.message[1:300]
    return "" if _QUESTION in text else "it leaves out the user's message"
