"""Chat templates that clients send, for one request or a name of their own: jinja, run in the
sandbox of `tokenizer/template.py`.

Ollama's templates are in Go's language. They are recognised, and translated where they use the part
of it that templates of chat models commonly use:

    {{ if .System }}<s>{{ .System }}</s>{{ end }}{{ .Prompt }}|{{ .Response }}
            one turn after the other, each with these three
    {{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}                       or all messages

Also `else`, `else if`, `eq`, `ne`, `and`, `or`, `not`, texts, comments, and `-` at an action's
ends. Anything else is refused.

As in Ollama (template/template.go), a template of turns is cut off after the last turn's
`.Response`, which is what the model then writes, and `.Response` is appended where it is missing.
What only other models have (`.Tools`, `.Thinking`, `.Suffix`) is empty. Literal text becomes texts
of jinja, so nothing in it is an instruction there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from groundup.errors import ModelError
from groundup.http.limits import Limits
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer

MAX_DEPTH = 32
_OTHER = re.compile(r"(range|with|template|define|block|break|continue|else)\b|\$\w+\s*(,|:?=)")
_WORD = re.compile(r'\s*("(?:[^"\\\n]|\\.)*"|`[^`]*`|[()]|\$?[A-Za-z_.$][\w.]*)')
_RANGE = re.compile(r"range\s+(?:\$\w+\s*,\s*(\$\w+)\s*:=\s*)?\$?\.Messages")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
_OPERATORS = {"eq": " == ", "ne": " != ", "and": " and ", "or": " or "}
_EMPTY = ("Tools", "ToolCalls", "Thinking", "Suffix", "Images", "Think", "IsThinkSet")
_OF_TURNS = {"System": "system", "Prompt": "prompt", "Response": "response"}
_OF_MESSAGES = {"System": "system", "Prompt": '""', "Response": '""', "Messages": "messages"}
_OF_MESSAGE = {"Role": "message.role", "Content": "message.content"}
KNOWN = (
    ".System, .Prompt, .Response, .Messages, .Role, .Content, if, else, range, eq, ne, and, or, not"
)
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


class UnknownAction(ValueError):
    """An action that is not translated; its text is the argument."""


@dataclass
class _Text:
    """Literal text."""

    text: str


@dataclass
class _Value:
    """An action that writes a value."""

    source: str


@dataclass
class _Branches:
    """`if` with its conditions; the last may be "", which is `else`."""

    parts: list[tuple[str, "_Nodes"]]


@dataclass
class _Messages:
    """`range .Messages`."""

    variable: str
    body: "_Nodes"


_Nodes = list[_Text | _Value | _Branches | _Messages]


def jinja_of(template: str) -> str:
    """Return the template in jinja. Raises UnknownAction."""
    nodes = _Parser(template).parse()
    if any(isinstance(node, _Messages) for node in _all(nodes)):
        body = "".join(_jinja(nodes, _Scope(_OF_MESSAGES)))
        return _SYSTEM_OF_MESSAGES + body
    if not any(_is_response(node) for node in _all(nodes)):
        nodes.append(_Value(".Response"))
    whole, (cut, _) = _jinja(nodes, _Scope(_OF_TURNS)), _up_to_response(nodes)
    last = _jinja(cut, _Scope(_OF_TURNS))
    return "".join([_macro("turn", whole), _macro("last", last), _EACH_TURN])


def _macro(name: str, body: Iterator[str]) -> str:
    return (
        "{%- macro " + name + "(system, prompt, response) -%}" + "".join(body) + "{%- endmacro -%}"
    )


_SYSTEM_OF_MESSAGES = """
{%- set ns = namespace(system="") -%}
{%- for message in messages if message.role == "system" -%}
    {%- set ns.system = ns.system ~ ("\\n\\n" if ns.system else "") ~ message.content -%}
{%- endfor -%}
{%- set system = ns.system -%}
""".strip()
# Consecutive messages of a role are joined, and a turn ends where the next begins. What is no
# system message and no answer is a prompt.
_EACH_TURN = """
{%- set ns = namespace(system="", prompt="", response="") -%}
{%- for message in messages -%}
    {%- set is_system, is_response = message.role == "system", message.role == "assistant" -%}
    {%- if (ns.response and not is_response) or (ns.prompt and is_system) -%}
        {{ turn(ns.system, ns.prompt, ns.response) }}
        {%- set ns.system = "" -%}
        {%- set ns.prompt = "" -%}
        {%- set ns.response = "" -%}
    {%- endif -%}
    {%- if is_system -%}
        {%- set ns.system = ns.system ~ ("\\n\\n" if ns.system else "") ~ message.content -%}
    {%- elif is_response -%}
        {%- set ns.response = ns.response ~ ("\\n\\n" if ns.response else "") ~ message.content -%}
    {%- else -%}
        {%- set ns.prompt = ns.prompt ~ ("\\n\\n" if ns.prompt else "") ~ message.content -%}
    {%- endif -%}
{%- endfor -%}
{{ last(ns.system, ns.prompt, ns.response) }}
""".strip()


class _Parser:
    """A template as a list of texts and actions, which are read once from start to end."""

    def __init__(self, template: str) -> None:
        self._pieces = list(_pieces(template))
        self._place = 0
        self._depth = 0

    def parse(self) -> _Nodes:
        """Return the nodes of the template. Raises UnknownAction."""
        nodes, end = self._until_end()
        if end:
            raise UnknownAction(end)
        return nodes

    def _until_end(self) -> tuple[_Nodes, str]:
        """Return the nodes before the next `end` or `else` of this level, and that action; "" at
        the end of the template.
        """
        nodes: _Nodes = []
        while self._place < len(self._pieces):
            is_action, text = self._pieces[self._place]
            self._place += 1
            if not is_action:
                nodes.append(_Text(text))
            elif text == "end" or text == "else" or text.startswith("else if "):
                return nodes, text
            elif not text.startswith("/*"):
                nodes.append(self._node(text))
        return nodes, ""

    def _node(self, action: str) -> _Value | _Branches | _Messages:
        found = _RANGE.fullmatch(action)
        if found is None and not action.startswith("if "):
            if _OTHER.match(action):
                raise UnknownAction(action)
            return _Value(action)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnknownAction(action)
        node: _Branches | _Messages
        if found is None:
            node = self._branches(action)
        else:
            node = self._messages(action, found[1] or "")
        self._depth -= 1
        return node

    def _messages(self, action: str, variable: str) -> _Messages:
        body, end = self._until_end()
        if end != "end":
            raise UnknownAction(end or action)
        return _Messages(variable, body)

    def _branches(self, action: str) -> _Branches:
        parts: list[tuple[str, _Nodes]] = []
        condition, end = action.removeprefix("if "), "else"
        while end != "end":
            body, end = self._until_end()
            parts.append((condition, body))
            if not end or (not condition and end != "end"):
                raise UnknownAction(end or action)
            condition = end.removeprefix("else").strip().removeprefix("if").strip()
        return _Branches(parts)


def _pieces(template: str) -> Iterator[tuple[bool, str]]:
    """Yield texts (False) and actions (True), with the white space that actions trim removed."""
    place, trims = 0, False
    for start, action in _actions(template):
        text = template[place:start]
        if trims:
            text = text.lstrip()
        if re.match(r"-\s", action):
            text = text.rstrip()
        yield False, text
        trims, place = re.search(r"\s-\Z", action) is not None, start + len(action) + 4
        if trims:
            action = action.removesuffix("-")
        yield True, action.removeprefix("-").strip()
    text = template[place:]
    yield False, text.lstrip() if trims else text


def _actions(template: str) -> Iterator[tuple[int, str]]:
    """Yield where each action begins, and what stands between its braces, in linear time: where no
    end follows there is no further action.
    """
    start = template.find("{{")
    while start >= 0 and (end := template.find("}}", start + 2)) >= 0:
        yield start, template[start + 2 : end]
        start = template.find("{{", end + 2)


@dataclass(frozen=True)
class _Scope:
    """What names mean: of the whole template, and of the message within `range`."""

    names: Mapping[str, str]
    message: Mapping[str, str] = field(default_factory=dict)
    variable: str = ""

    def value(self, word: str) -> str:
        """Return a name or text in jinja. Raises UnknownAction."""
        if word[0] == '"':
            return _literal(
                re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), word[1:-1])
            )
        if word[0] == "`":
            return _literal(word[1:-1])
        first, _, name = word.partition(".")
        names: Mapping[str, str] = {}
        if first == "$" or (first == "" and not self.message):
            names = self.names
        elif first in ("", self.variable):
            names = self.message
        if name in names:
            return names[name]
        if name in _EMPTY and (names or first == "$"):
            return '""'
        raise UnknownAction(word)


def _jinja(nodes: Sequence[_Text | _Value | _Branches | _Messages], scope: _Scope) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, _Text):
            if node.text:
                yield f"{{{{ {_literal(node.text)} }}}}"
        elif isinstance(node, _Value):
            if ".Messages" in node.source:  # a condition only
                raise UnknownAction(node.source)
            yield f"{{{{ {_expression(node.source, scope)} }}}}"
        elif isinstance(node, _Branches):
            for place, (condition, body) in enumerate(node.parts):
                word = "elif" if place else "if"
                if condition:
                    yield f"{{%- {word} {_expression(condition, scope)} -%}}"
                else:
                    yield "{%- else -%}"
                yield from _jinja(body, scope)
            yield "{%- endif -%}"
        elif scope.message:
            raise UnknownAction("range .Messages")
        else:
            yield "{%- for message in messages -%}"
            yield from _jinja(node.body, _Scope(scope.names, _OF_MESSAGE, node.variable))
            yield "{%- endfor -%}"


def _literal(text: str) -> str:
    escaped = text.encode("unicode_escape", "surrogatepass").decode("ascii")
    return '"' + escaped.replace('"', '\\"') + '"'


def _expression(source: str, scope: _Scope) -> str:
    """Return an action's expression in jinja. Raises UnknownAction."""
    words, place = [], 0
    while place < len(source):
        found = _WORD.match(source, place)
        if found is None:
            raise UnknownAction(source)
        words.append(found[1])
        place = found.end()
    try:
        return _call(iter([*words, ")"]), scope, depth=0)
    except UnknownAction as error:
        raise UnknownAction(source) from error


def _call(words: Iterator[str], scope: _Scope, depth: int) -> str:
    """Return what stands before the next closing bracket: a value, or a function with its
    arguments.
    """
    if depth > MAX_DEPTH:
        raise UnknownAction("(")
    function = ""
    arguments: list[str] = []
    for word in words:
        if word == ")":
            return _apply(function, arguments)
        if word == "(":
            arguments.append(_call(words, scope, depth + 1))
        elif not function and not arguments and (word in _OPERATORS or word == "not"):
            function = word
        else:
            arguments.append(scope.value(word))
    raise UnknownAction("(")


def _apply(function: str, arguments: Sequence[str]) -> str:
    wanted = {"": 1, "not": 1, "eq": 2, "ne": 2}.get(function, max(2, len(arguments)))
    if len(arguments) != wanted:
        raise UnknownAction(function)
    if not function:
        return arguments[0]
    if function == "not":
        return f"(not {arguments[0]})"
    return f"({_OPERATORS[function].join(arguments)})"


def _all(nodes: _Nodes) -> Iterator[_Text | _Value | _Branches | _Messages]:
    """Yield every node, at any depth."""
    for node in nodes:
        yield node
        if isinstance(node, _Messages):
            yield from _all(node.body)
        elif isinstance(node, _Branches):
            for _, body in node.parts:
                yield from _all(body)


def _is_response(node: _Text | _Value | _Branches | _Messages) -> bool:
    return isinstance(node, _Value) and re.search(r"\.Response\b", node.source) is not None


def _up_to_response(nodes: _Nodes, *, is_cut: bool = False) -> tuple[_Nodes, bool]:
    """Return the nodes up to the value that has `.Response`, and whether it was found."""
    kept: _Nodes = []
    for node in nodes:
        if is_cut:
            break
        if isinstance(node, _Branches):
            parts = []
            for condition, body in node.parts:
                inner, is_cut = _up_to_response(body, is_cut=is_cut)
                parts.append((condition, inner))
            node = _Branches(parts)
        kept.append(node)
        is_cut = is_cut or _is_response(node)
    return kept, is_cut
