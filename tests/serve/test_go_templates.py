"""Ollama's templates say in jinja what they say in Go, or are refused by the action that is not known."""

from collections.abc import Sequence

import pytest

from groundup.serve.templates import UnknownAction, jinja_of
from groundup.tokenizer.sandbox import renderer
from groundup.weights.modelfile import GO_TEMPLATE

CHATML = """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
LLAMA2 = "[INST] <<SYS>>{{ .System }}<</SYS>>\n\n{{ .Prompt }} [/INST]"
MESSAGES = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
ROLES = """{{ if .System }}S:{{ .System }}
{{ end -}}
{{- range $i, $m := .Messages }}
{{- if eq $m.Role "user" }}[{{ $m.Content }}]
{{- else if and (eq .Role "assistant") (not $.Tools) }}({{ .Content }})
{{- else }}{{/* the system is above */}}{{ end }}
{{- end }}A:"""
SAID = (("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"))
TURN = "<|im_start|>{}\n{}<|im_end|>\n"
OPEN = "<|im_start|>assistant\n"
WHOLE = (
    TURN.format("system", "S")
    + TURN.format("user", "a")
    + TURN.format("assistant", "b")
    + TURN.format("user", "c")
)


def rendered(template: str, turns: Sequence[tuple[str, str]] = SAID) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    [text] = renderer(jinja_of(template), 100_000)(
        [{"messages": messages, "add_generation_prompt": True}]
    )
    return text


@pytest.mark.parametrize(
    ("template", "turns", "expected"),
    [
        (CHATML, SAID, WHOLE + OPEN),
        (MESSAGES, SAID, WHOLE + OPEN),
        (GO_TEMPLATE, SAID, WHOLE + OPEN),  # of the Modelfiles that are exported here
        (CHATML, SAID[1:], WHOLE.removeprefix(TURN.format("system", "S")) + OPEN),
        (CHATML, (("user", "a"), ("user", "b")), TURN.format("user", "a\n\nb") + OPEN),
        (CHATML, (("user", "a"), ("tool", "5")), TURN.format("user", "a\n\n5") + OPEN),
        (CHATML, (("user", "a"), ("system", "S"), ("user", "b")),
         TURN.format("user", "a") + TURN.format("assistant", "") + TURN.format("system", "S") + TURN.format("user", "b") + OPEN),
        (CHATML, (("user", "a"), ("assistant", "b")), TURN.format("user", "a") + OPEN + "b"),
        (LLAMA2, SAID, "[INST] <<SYS>>S<</SYS>>\n\na [/INST]b[INST] <<SYS>><</SYS>>\n\nc [/INST]"),
        (ROLES, SAID, "S:S\n[a](b)[c]A:"),
        ("{{ .Prompt }}", (("user", "x"),), "x"),
        ("  {{- .Prompt -}}  \n|", (("user", "x"),), "x|"),
        ("{{ if or .System .Prompt }}{{ if ne .Prompt `x` }}n{{ else }}e{{ end }}{{ end }}{{ .Prompt }}", (("user", "x"),), "ex"),
        ('{{ if .Tools }}T{{ end }}{{ .Suffix }}{{ .Prompt }}{{ "\\n\\"" }}', (("user", "x"),), 'x\n"'),
    ],
    ids=range(14),
)  # fmt: skip
def test_a_template_says_what_it_says_in_ollama(
    template: str, turns: Sequence[tuple[str, str]], expected: str
) -> None:
    assert rendered(template, turns) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{% raw %}",
        "{# no #}",
        '"}} {{ "',
        "\\n \\",
        "é😀\u2028\ud800",
        "{{'x' * 9}}".replace("{{", "{ {"),
        "\r\n",
    ],
)
def test_literal_text_and_contents_stay_what_they_are(text: str) -> None:
    if "{{" not in text:
        assert rendered(text + "{{ .Prompt }}", (("user", "x"),)) == text + "x"
    assert rendered("{{ .Prompt }}", (("user", text),)) == text
    assert rendered("{{ range .Messages }}{{ .Content }}{{ end }}", (("user", text),)) == text


@pytest.mark.parametrize(
    ("template", "action"),
    [
        ('{{ template "x" . }}', "template"),
        ("{{ $last := 1 }}", r"\$last := 1"),
        ("{{ if .System }}", r"if \.System"),
        ("{{ end }}", "end"),
        ("{{ range .Messages }}", r"range \.Messages"),
        ("{{ range .Tools }}{{ end }}", r"range \.Tools"),
        ("{{ with .System }}x{{ end }}", r"with \.System"),
        ("{{ .Unknown }}", r"\.Unknown"),
        ("{{ .Prompt | upper }}", "upper"),
        ("{{ if eq (len (slice $.Messages $i)) 1 }}{{ end }}", "len"),
        ("{{ if .System }}a{{ else }}b{{ else }}c{{ end }}", "else"),
        ("{{ range .Messages }}{{ else }}{{ end }}", "else"),
        ("{{ range .Messages }}{{ range .Messages }}{{ end }}{{ end }}", "range"),
        ("{{ range .Messages }}{{ .Prompt }}{{ end }}", r"\.Prompt"),
        ("{{ .Role }}", r"\.Role"),
        ("{{ range .Messages }}{{ end }}{{ .Messages }}", r"\.Messages"),
        ("{{ eq .System }}", "eq"),
        ("{{ __class__ }}", "__class__"),
        ("{{ .System.__class__ }}", "__class__"),
        ("{{ 5 }}", "5"),
        ("{{ (.System }}", "System"),
        ("{{ }}", "^$"),
        ("{{ if .System }}" * 1000 + "{{ end }}" * 1000, "if"),
        ("{{ " + "(" * 1000 + ".System" + ")" * 1000 + " }}", "System"),
    ],
    ids=lambda value: value[:40],
)
def test_another_action_is_refused_by_its_text(template: str, action: str) -> None:
    with pytest.raises(UnknownAction, match=action):
        jinja_of(template)


PARTS = (
    "{{",
    "{{ ",
    "}}",
    "{{-",
    "-}}",
    '{{ "',
    "{{ if .System }}{{ else if .Prompt }}",
    "{{ $",
    "\n ",
    "{{ .Prompt }}",
    "{{ ((",
)


@pytest.mark.parametrize("part", PARTS)
def test_whatever_is_repeated_is_translated_or_refused_by_one_kind_of_error(part: str) -> None:
    try:
        assert jinja_of(part * (32_768 // len(part))).startswith("{%- macro")
    except UnknownAction as error:
        assert str(error) in part * (32_768 // len(part))
