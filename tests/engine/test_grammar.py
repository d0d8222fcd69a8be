"""Answers kept to a form: every one of them has it, and one of a finite language ends by itself."""

import json
import re
from collections.abc import Callable

import pytest
from processor_time import at_most_cpu_s

from groundup.device import Compute
from groundup.engine.batch import BatchEngine
from groundup.engine.generate import generate_ids
from groundup.engine.grammar import MAX_BLANKS, Grammars
from groundup.engine.request import Request
from groundup.engine.sampling import Sampling
from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint
from groundup.errors import ConfigError, ModelError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer

HARD = ["a", "ab", 'q"\\', "x/y", "1.5*", "\t\n", "é😀", "<|im_start|>"]
FINITE: list[tuple[OutputConstraint, list[str]]] = [
    (OutputConstraint.schema({"const": {"a": [1, None]}}), ['{"a": [1, null]}']),
    (OutputConstraint.schema({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), ["null", "true", "false"]),
    (OutputConstraint.schema({"enum": ["é", 5]}), ['"é"', "5"]),
    (OutputConstraint.schema({"type": "array", "items": {"enum": [0]}, "minItems": 1, "maxItems": 2}), ["[0]", "[0, 0]"]),
    (OutputConstraint.schema({"$ref": "#/$defs/x", "$defs": {"x": {"const": "y"}}}), ['"y"']),
    (
        OutputConstraint.schema(
            {
                "type": "object",
                "properties": {"k": {"enum": ["a", "b"]}},
                "required": ["k"],
                "additionalProperties": False,
            }
        ),
        ['{"k": "a"}', '{"k": "b"}'],
    ),
    (OutputConstraint.regex("(to|or) be?"), ["to b", "to be", "or b", "or be"]),
    (OutputConstraint.regex("a/b\n[c-e]"), ["a/b\nc", "a/b\nd", "a/b\ne"]),
    (OutputConstraint.choice(["ham", "spam"]), ["ham", "spam"]),
    (OutputConstraint.choice(HARD), HARD),
    (OutputConstraint.grammar('start: x x?\nx: "a" | /b[12]/'), ["a", "b1", "b2", "aa", "ab1", "ab2", "b1a", "b2a", "b1b1", "b1b2", "b2b1", "b2b2"]),
    (OutputConstraint.grammar('# of llama.cpp\nroot ::= x ("," x)?\nx ::= [01] | "é"'), [f"{a}{b}" for a in "01é" for b in ("", ",0", ",1", ",é")]),
]  # fmt: skip


@pytest.fixture(scope="module")
def grammars(tokenizer: Tokenizer, model: LanguageModel) -> Grammars:
    return Grammars(tokenizer, model.config.vocab_size)


Answers = Callable[[OutputConstraint, int], list[tuple[str, str]]]


@pytest.fixture
def answers(
    model: LanguageModel, tokenizer: Tokenizer, compute: Compute, grammars: Grammars
) -> Answers:
    """answers(form, count) -> (text, reason) of several answers at once, hot."""

    def ask(form: OutputConstraint, count: int) -> list[tuple[str, str]]:
        engine = BatchEngine(model, tokenizer, compute)
        prompt, stops = tuple(tokenizer.encode("To be")), tokenizer.special.stop_ids
        for seed in range(count):
            sampling = Sampling(temperature=3.0, seed=seed, max_tokens=40)
            engine.submit(
                Request(str(seed), prompt, sampling, stops, constraint=grammars.constraint(form))
            )
        texts: dict[str, str] = dict.fromkeys(map(str, range(count)), "")
        reasons: dict[str, str] = {}
        while engine.busy:
            for id, event in engine.step():
                if isinstance(event, ModelError):
                    raise event
                texts[id] += event.text  # type: ignore[union-attr]
                reasons[id] = event.finish_reason  # type: ignore[union-attr]
        return [(texts[id], reasons[id]) for id in texts]

    return ask


@pytest.mark.parametrize(("form", "language"), FINITE, ids=lambda value: str(value)[:60])
def test_an_answer_of_a_finite_language_is_one_of_its_texts_and_stops(
    answers: Answers, form: OutputConstraint, language: list[str]
) -> None:
    found = answers(form, 8)
    assert {text for text, _ in found} <= set(language)
    assert {reason for _, reason in found} == {"stop"}


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z ]{3,9}\.",
        r"\d{4}-(0[1-9]|1[0-2])",
        "(?i)(ham|eggs)(, (ham|eggs))*;",
        r"[^\x00-\x7f]{2}",
    ],
)
def test_an_answer_matches_the_expression_as_a_whole(answers: Answers, pattern: str) -> None:
    found = answers(OutputConstraint.regex(pattern), 8)
    ended = [text for text, reason in found if reason == "stop"]
    assert len(ended) >= 4 and len(set(ended)) > 1
    for text in ended:
        assert re.fullmatch(pattern, text), text


def test_json_can_not_go_on_with_blanks_for_ever_unless_its_schema_wants_them(
    tokenizer: Tokenizer, grammars: Grammars
) -> None:
    def written(form: OutputConstraint, text: str) -> str:
        """As much of `text`, letter for letter, as the form lets through."""
        constraint, said = grammars.constraint(form), ""
        for letter in text:
            [id] = tokenizer.encode(letter)
            if not constraint.mask()[id]:
                break
            constraint.accept(id)
            said += letter
        return said

    for blank in (" ", "\\n", "\\t"):
        said = written(ANY_OBJECT, '{"a": "' + blank * 100)
        assert MAX_BLANKS <= said.removeprefix('{"a": "').count(blank) <= MAX_BLANKS + 1
    assert written(ANY_OBJECT, '{"a": "' + (" " * 30 + "b") * 5 + '"}').endswith('"}')
    wanted = '{"a": "' + " " * 100 + '"}'
    assert written(OutputConstraint.schema({"const": {"a": " " * 100}}), wanted) == wanted


def test_a_grammar_that_refers_to_itself_is_followed(answers: Answers) -> None:
    lark = 'start: "[" (item ("," item)*)? "]"\nitem: start | /[0-9]/'
    gbnf = 'root ::= "[" (item ("," item)*)? "]"\nitem ::= root | [0-9]'
    for text in (lark, gbnf):
        ended = [
            text for text, reason in answers(OutputConstraint.grammar(text), 12) if reason == "stop"
        ]
        assert len(ended) >= 4
        assert all(isinstance(json.loads(text), list) for text in ended)


def test_a_grammar_with_a_wide_class_and_imports_has_room(answers: Answers) -> None:
    imports = "%import common.NUMBER\n%import common.ESCAPED_STRING\n"
    grammar = OutputConstraint.grammar(
        imports + "start: NAME (NUMBER | ESCAPED_STRING)\nNAME: /[a-zA-Z_]\\w*/"
    )
    assert all(re.match(r"[a-zA-Z_]", text) for text, _ in answers(grammar, 4))


def test_alone_and_token_by_token_it_is_the_same_answer(
    model: LanguageModel,
    tokenizer: Tokenizer,
    compute: Compute,
    grammars: Grammars,
    answers: Answers,
) -> None:
    form, stops = OutputConstraint.regex("[a-z]{2,12}[.!]"), tokenizer.special.stop_ids
    for seed, (text, reason) in enumerate(answers(form, 4)):
        sampling = Sampling(temperature=3.0, seed=seed, max_tokens=40)
        constraint = grammars.constraint(form)
        ids = list(
            generate_ids(
                model,
                tokenizer.encode("To be"),
                sampling,
                stops,
                compute=compute,
                constraint=constraint,
            )
        )
        assert ids[-1] in stops and reason == "stop"
        assert tokenizer.decode(ids[:-1]) == text


def test_no_control_token_stands_inside_a_text(tokenizer: Tokenizer, grammars: Grammars) -> None:
    constraint = grammars.constraint(OutputConstraint.schema({"type": "string"}))
    [quote] = tokenizer.encode('"')
    constraint.accept(quote)
    mask = constraint.mask()
    assert not mask[list(tokenizer.special.tokens.values())].any()
    assert mask[tokenizer.encode("a")[0]]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        *(
            (OutputConstraint.schema(each), "JSON schema")
            for each in ({"type": "nonsense"}, {"not": {}}, {"type": 5})
        ),
        (OutputConstraint.schema({"$ref": "http://127.0.0.1:9/x"}), "JSON schema"),
        (OutputConstraint("JSON schema", "{"), "JSON schema can't be read"),
        (OutputConstraint.regex("(a"), "regular expression can't be followed: unclosed group"),
        (OutputConstraint.regex("a(?=b)"), "look-around"),
        (OutputConstraint.regex("[z-a]"), "the start must be <= the end"),
        (OutputConstraint.regex("\ud800"), "regular expression can't be read"),
        (OutputConstraint.choice(["\ud800"]), "choice can't be read"),
        (OutputConstraint.regex("[^\\x00-\\x{10FFFF}]"), "there is no text that fits it"),
        (OutputConstraint.grammar("start: start"), "there is no text that fits it"),
        (OutputConstraint.grammar("start: y"), 'unknown name: "y"'),
        (OutputConstraint.grammar("root ::= y"), "Rule 'y' not found"),
        (OutputConstraint.grammar("root ::= ("), "Expected"),
        (OutputConstraint.grammar("root ::= " + "(" * 3000), "recursion"),
        (OutputConstraint.grammar('root ::= "\\u00e9"'), "the character itself"),
        (OutputConstraint.grammar("yes or no"), "neither a rule start: (Lark) nor root ::= (GBNF)"),
        (OutputConstraint.grammar(""), "neither"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_form_that_can_not_be_followed_is_refused_in_one_sentence(
    grammars: Grammars, form: OutputConstraint, words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        grammars.constraint(form)
    assert refused.value.message.startswith(f"The {form.kind} can't be")
    assert "\n" not in refused.value.message and len(refused.value.message) < 400


# Each stands for what would cost an engine that tries everything more than all time, or all memory.
CATASTROPHES = [
    OutputConstraint.regex("(a{1,1000}){1,1000}"),
    OutputConstraint.regex("a{1000000000}"),
    OutputConstraint.regex("(a*)*(a|aa)*b"),
    OutputConstraint.regex("([ab]*a[ab]{20})+"),
    OutputConstraint.regex("(((a{0,50}){0,50}){0,50}){0,50}"),
    OutputConstraint.grammar('start: (("a"|"b"){1,1000}){1,1000}'),
    OutputConstraint.grammar(
        "start: T6\nT0: /.*/\n" + "\n".join(f"T{i + 1}: " + f"T{i} " * 8 for i in range(6))
    ),
    OutputConstraint.grammar('start: s\ns: s s s | s s | "a" | "b" | ""'),
]


@pytest.mark.parametrize("form", CATASTROPHES, ids=lambda form: form.text[:40])
def test_a_catastrophic_form_is_answered_or_given_up_in_bounded_time(
    answers: Answers, form: OutputConstraint
) -> None:
    with at_most_cpu_s(20):
        try:
            for text, _ in answers(form, 1):
                assert set(text) <= {"a", "b"}
        except (ConfigError, ModelError) as error:
            assert "\n" not in error.message and len(error.message) < 400
