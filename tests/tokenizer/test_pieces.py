"""SentencePiece vocabularies: the merging, spaces, bytes, the forms of tokenizer.json, and what is refused."""

import copy
import dataclasses
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models

from groundup.errors import FormatError
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import CONFIG_FILE, TOKENIZER_FILE, Tokenizer
from groundup.tokenizer.formats import tokenizer_from_gguf
from groundup.tokenizer.sentencepiece import (
    BYTE_TOKENS,
    SPACE,
    Prefix,
    SentencePiece,
    join_by_score,
    made_of_unknown,
    merges_of,
    metaspace,
    scores_of,
    unsayable,
)
from groundup.tokenizer.spec import AddedToken, table_from_json

FORMS = (
    SentencePiece("always"),
    SentencePiece("never"),
    SentencePiece("first", metaspace=True),
    SentencePiece("always", metaspace=True),
)
ANY_TEXT = st.text(
    alphabet=st.one_of(
        st.characters(codec="utf-8", exclude_characters=SPACE), st.sampled_from("the a1  \n-\t<|>")
    ),
    max_size=60,
)
PIECE_TEXT = st.text(alphabet="theo  -\n é日", max_size=60)


def in_form(tokenizer: Tokenizer, style: SentencePiece) -> Tokenizer:
    return Tokenizer(dataclasses.replace(tokenizer.table, style=style), tokenizer.config())


def joined_plainly(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of `text`, with its space before it, by the readable way."""
    vocabulary = tokenizer.table.vocabulary
    whole = {each.text for each in tokenizer.table.added.values()}
    ordinary = {
        token: -float(id)
        for token, id in vocabulary.items()
        if token not in whole and token not in BYTE_TOKENS
    }
    ids: list[int] = []
    for piece in join_by_score((" " + text).replace(" ", SPACE) if text else "", ordinary):
        ids += [vocabulary[piece]] if piece in ordinary else [3 + byte for byte in piece.encode()]
    return ids


@settings(deadline=None)
@given(text=st.one_of(PIECE_TEXT, ANY_TEXT.filter(lambda text: "<think>" not in text)))
def test_the_readable_way_gives_the_same_ids(pieces: Tokenizer, text: str) -> None:
    assert pieces.encode(text) == joined_plainly(pieces, text)


AB = st.text(alphabet="ab", min_size=1, max_size=6)


@given(
    tokens=st.lists(AB, max_size=10, unique=True),
    probes=st.lists(st.text("ab", max_size=25), min_size=1),
)
def test_random_scores_and_their_merges_join_the_same(tokens: list[str], probes: list[str]) -> None:
    scores = {token: -float(rank) for rank, token in enumerate(dict.fromkeys([*tokens, "a", "b"]))}
    library = models.BPE(
        vocab={token: id for id, token in enumerate(scores)}, merges=merges_of(scores)
    )
    for probe in probes:
        assert [token.value for token in library.tokenize(probe)] == join_by_score(probe, scores)


def test_merging_as_a_worked_example() -> None:
    # in (-1) before nn (-2); then ing (-5): the first n stays alone, since nn was never made.
    scores = {"n": -9.0, "i": -9.0, "g": -9.0, "in": -1.0, "nn": -2.0, "ing": -5.0}
    assert merges_of(scores) == [("i", "n"), ("n", "n"), ("in", "g")]
    assert join_by_score("nning", scores) == ["nn", "ing"]
    assert scores_of(merges_of(scores)) == {"in": 0.0, "nn": -1.0, "ing": -2.0}


@settings(deadline=None)
@given(text=ANY_TEXT.filter(lambda text: "<think>" not in text), form=st.sampled_from(FORMS))
def test_decoding_gives_the_text_back(pieces: Tokenizer, text: str, form: SentencePiece) -> None:
    ours = in_form(pieces, form)
    lost = (
        " " if form.metaspace and text.startswith(" ") else ""
    )  # that form takes a space of the text for the prefix
    assert ours.decode(ours.encode(text)) == text.removeprefix(lost)
    assert ours.decode(ours.encode(text, starts=False), starts=False) == text
    assert ours.encode_batch([text]) == [ours.encode(text)] == [ours.encode_offsets(text)[0]]


@pytest.mark.parametrize("form", FORMS)
def test_text_never_becomes_structure(
    pieces: Tokenizer, piece_strings: tuple[str, ...], form: SentencePiece
) -> None:
    ours = in_form(pieces, form)
    structure = set(ours.special.tokens.values())
    for text in piece_strings:
        for ids in (
            ours.encode(text),
            ours.encode_batch([text])[0],
            ours.encode(text, starts=False),
        ):
            assert not structure & set(ids), text[:60]
    assert pieces.encode("<0x0A>") != pieces.encode("\n")


def test_what_is_no_token_is_spelled_in_bytes(pieces: Tokenizer) -> None:
    ids = pieces.encode("日")
    assert [pieces.token_bytes(id) for id in ids[1:]] == [b"\xe6", b"\x97", b"\xa5"]
    assert b"".join(map(pieces.token_bytes, ids)).decode() == " 日"
    assert pieces.encode_offsets("日x")[1][-4:-1] == [(0, 1)] * 3


def test_every_character_has_a_token_over_it(
    pieces: Tokenizer, piece_strings: tuple[str, ...]
) -> None:
    for text in filter(None, piece_strings):
        _, offsets = pieces.encode_offsets(text)
        assert offsets[0][0] == 0 and offsets[-1][1] == len(text)
        assert all(first[1] >= second[0] for first, second in itertools.pairwise(offsets))


@pytest.mark.parametrize(
    ("prefix", "metaspace", "start", "after"),
    [
        ("always", False, " ", " "),
        ("always", True, " ", " "),
        ("first", True, " ", ""),
        ("never", False, "", ""),
    ],
)
def test_where_a_space_is_read(
    pieces: Tokenizer, prefix: Prefix, metaspace: bool, start: str, after: str
) -> None:
    ours = in_form(pieces, SentencePiece(prefix, metaspace))
    plain = in_form(pieces, SentencePiece("never"))
    end = ours.special.eos_id
    assert ours.encode_control("the</s>the") == [
        *plain.encode(start + "the"),
        end,
        *plain.encode(after + "the"),
    ]
    assert ours.encode_control("</s>the") == [end, *plain.encode(after + "the")]
    assert ours.encode("") == []


def test_a_space_before_a_text_is_doubled_but_by_metaspace(pieces: Tokenizer) -> None:
    plain = in_form(pieces, SentencePiece("never"))
    assert pieces.encode(" the") == plain.encode("  the")
    assert in_form(pieces, SentencePiece("first", metaspace=True)).encode(" the") == plain.encode(
        " the"
    )


def test_the_first_word_goes_on_with_its_space(pieces: Tokenizer) -> None:
    ids = pieces.encode("the reader")
    assert pieces.decode(ids) == "the reader"
    assert pieces.decode(ids, starts=False) == " the reader"
    assert pieces.decode([pieces.special.eos_id, *ids]) == "</s> the reader"  # as transformers does
    assert pieces.decode([pieces.special.eos_id, *ids], skip_control=True) == "the reader"


def test_a_turn_is_rendered_as_its_text_is_encoded(pieces: Tokenizer) -> None:
    conversation = Conversation(
        (Message("user", " Hi </s> you"), Message("assistant", "the answer\n"))
    )
    for form in FORMS:
        ours = in_form(pieces, form)
        rendered = render(conversation, ours, add_generation_prompt=True)
        said = [id for id, counts in zip(rendered.ids, rendered.mask, strict=True) if counts]
        assert ours.decode(said, starts=False) == "the answer\n<|end|>"
        assert rendered.ids[0] == ours.special.bos_id
        assert ours.special.eos_id not in rendered.ids


def test_tokens_that_take_spaces_take_them(pieces: Tokenizer) -> None:
    added = {
        id: each._replace(takes_spaces=each.text.startswith("<|"))
        for id, each in pieces.table.added.items()
    }
    ours = Tokenizer(dataclasses.replace(pieces.table, added=added), pieces.config())
    user, end = (ours.special.tokens[text] for text in ("<|user|>", "<|end|>"))
    assert ours.encode_control("<|user|>\n  Hi <|end|>\n") == [user, *ours.encode("Hi "), end]
    rendered = render(Conversation((Message("user", " Hi"), Message("assistant", "the"))), ours)
    assert rendered.ids[1:] == ours.encode_control(rendered.text)
    assert sum(rendered.mask) == len(ours.encode("the")) + 1


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_tokenizer_is_the_same_when_loaded(
    pieces: Tokenizer, tmp_path: Path, form: SentencePiece
) -> None:
    ours = in_form(pieces, form)
    ours.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.fingerprint == ours.fingerprint
    assert (loaded.table, loaded.special, loaded.pre) == (ours.table, ours.special, "default")


def test_added_tokens_beyond_the_rows_of_a_model_are_left_out(pieces: Tokenizer) -> None:
    rows = pieces.vocab_size
    table = dataclasses.replace(
        pieces.table, added={**pieces.table.added, rows: AddedToken("<image>", True)}
    )
    ours = Tokenizer(table, pieces.config())
    assert ours.vocab_size == rows + 1
    assert ours.without_ids_from(rows).table == pieces.table
    assert ours.without_ids_from(rows + 1) is ours
    assert ours.without_ids_from(5).vocab_size == len(
        pieces.table.vocabulary
    )  # what merging makes can't be left out
    as_eos = Tokenizer(table, {**pieces.config(), "eos_token": "<image>"})
    assert as_eos.without_ids_from(rows) is as_eos


@pytest.fixture
def spec(pieces: Tokenizer) -> dict[str, Any]:
    return copy.deepcopy(pieces.table.to_json())


def opened(spec: dict[str, Any]) -> Tokenizer:
    return Tokenizer(
        table_from_json(spec, "foreign.json"), {"eos_token": "</s>"}, source="foreign.json"
    )


def test_a_split_that_gemma_writes_changes_nothing(spec: dict[str, Any], pieces: Tokenizer) -> None:
    spec["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    spec["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    assert opened(spec).encode("the  reader") == in_form(pieces, SentencePiece("never")).encode(
        "the  reader"
    )


def test_merges_that_spell_structure_are_left_out(pieces_metadata: dict[str, Any]) -> None:
    tokens = [
        "/s>" if token == "----" else token for token in pieces_metadata["tokenizer.ggml.tokens"]
    ]
    read = tokenizer_from_gguf({**pieces_metadata, "tokenizer.ggml.tokens": tokens})
    spec = read.table.to_json()
    spec["model"]["merges"] += [["/", "s>"], ["<", "/s>"], ["<0x0", "A>"]]
    spec["model"]["merges"] = [merge for merge in spec["model"]["merges"] if "s>" not in merge]
    for ours in (read, opened(spec)):  # llama.cpp joins "<" and "/s>" to the token that ends a text
        assert ours.special.eos_id not in ours.encode("a</s>")
        assert ours.decode(ours.encode("a</s>")) == "a</s>"


def test_a_byte_that_is_missing_is_named(spec: dict[str, Any]) -> None:
    vocabulary = spec["model"]["vocab"]
    vocabulary["<xE6>"] = vocabulary.pop("<0xE6>")
    with pytest.raises(FormatError, match="the byte 230, '<0xE6>'"):
        opened(spec)
    vocabulary["<0xE6>"] = vocabulary.pop("<xE6>")
    vocabulary["<x41>"] = vocabulary.pop(
        "<0x41>"
    )  # Gemma lacks the tab's, which is a token by itself
    assert "A" in vocabulary and opened(spec).decode(opened(spec).encode("A")) == "A"


def test_a_control_token_that_text_would_become_is_refused(spec: dict[str, Any]) -> None:
    spec["added_tokens"].append(
        {"id": spec["model"]["vocab"]["<0x00>"], "content": "<0x00>", "special": True}
    )
    with pytest.raises(FormatError, match="ordinary text can become"):
        opened(spec)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("normalizer", {"type": "NFKC"}, "mark spaces in an unknown way"),
        ("normalizer", {"type": "Sequence", "normalizers": []}, "mark spaces"),
        ("normalizer", None, "mark spaces"),
        ("pre_tokenizer", metaspace("always") | {"split": True}, "mark spaces"),
        (
            "pre_tokenizer",
            {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"},
            "mark spaces",
        ),
        ("model.ignore_merges", True, "does not support"),
        ("model.type", "Unigram", "supported are BPE"),
        ("model.type", "WordPiece", "has no unk_token"),
        ("model.merges", [["the", "zzz"]], "is not a pair of tokens that makes a token"),
    ],
)
def test_what_is_not_known_is_refused(
    spec: dict[str, Any], place: str, value: object, reason: str
) -> None:
    *parents, last = place.split(".")
    (spec[parents[0]] if parents else spec)[last] = value
    with pytest.raises(FormatError, match=r"foreign\.json") as refused:
        opened(spec)
    assert reason in str(refused.value)


def test_scores_can_not_say_every_list_of_merges() -> None:
    tokens = dict.fromkeys(["a", "b", "c", "ab", "bc", "abc"])
    assert unsayable([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")], tokens) is None
    missing = unsayable([("a", "b"), ("b", "c"), ("ab", "c")], tokens)
    assert missing is not None and "'a' and 'bc'" in missing
    parted = unsayable([("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc")], tokens)
    assert parted is not None and "1 tokens" in parted


def test_a_character_that_is_no_token_is_found() -> None:
    assert made_of_unknown(dict.fromkeys(["a", "b", "ab"])) is None
    assert made_of_unknown(dict.fromkeys(["a", "ab"])) == "ab"


def mutants(text: str, count: int) -> list[str]:
    """The JSON `text` with one part of it replaced or taken out."""
    odd = [
        None,
        0,
        -1,
        10**9,
        1.5,
        "",
        [],
        {},
        "x",
        SPACE,
        True,
        ["a"],
        [["x"]],
        "\ud800",
        "</s>",
        "<0x41>",
        metaspace("first"),
    ]
    chance = random.Random(2)
    made = []
    for _ in range(count):
        value = json.loads(text)
        inner: Any = value
        while True:
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            key = chance.choice(keys)
            if not isinstance(inner[key], dict | list) or not inner[key] or chance.random() < 0.2:
                break
            inner = inner[key]
        if chance.random() < 0.3:
            del inner[key]
        else:
            inner[key] = chance.choice(odd)
        made.append(json.dumps(value))
    return made


def test_six_hundred_mutants_load_or_are_refused(pieces: Tokenizer, tmp_path: Path) -> None:
    pieces.save(tmp_path)
    outcomes = {"loaded": 0, "refused": 0}
    for name, count in ((TOKENIZER_FILE, 500), (CONFIG_FILE, 100)):
        whole = (tmp_path / name).read_text(encoding="utf-8")
        for mutant in mutants(whole, count):
            (tmp_path / name).write_text(mutant, encoding="utf-8")
            try:
                loaded = Tokenizer.load(tmp_path)
                loaded.decode(loaded.encode("Hello 123 </s> wörld 😀"))
                loaded.encode_control("a</s>b")
                outcomes["loaded"] += 1
            except FormatError:
                outcomes["refused"] += 1
        (tmp_path / name).write_text(whole, encoding="utf-8")
    assert min(outcomes.values()) > 50
