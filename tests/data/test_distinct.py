"""The same text on both sides of a split is impossible, for every kind of example, whatever its id and layout."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.documents import (
    ChatExample,
    ConversationExample,
    InstructionExample,
    PreferenceExample,
)
from groundup.data.reading.example_splits import (
    TrainAndHeldOut,
    groups_of,
    hold_out,
    user_turns,
    without_repeats,
)
from groundup.errors import DataError
from groundup.tokenizer.chat import Message


def talk(id: str, *said: str, system: str = "", held_out: bool = False) -> ConversationExample:
    """A conversation in which the user says this, each time answered."""
    turns = [Message("system", system)] if system else []
    for text in said:
        turns += [Message("user", text), Message("assistant", f"{id} says")]
    return ConversationExample(tuple(turns), id, held_out=held_out)


def ask(id: str, instruction: str, input: str = "", held_out: bool = False) -> InstructionExample:
    return InstructionExample(instruction, input, f"{id} says", id, held_out=held_out)


def pair(id: str, prompt: str) -> PreferenceExample:
    return PreferenceExample((Message("user", prompt),), f"{id} better", f"{id} worse", id)


def ids(examples: list[ChatExample]) -> list[str]:
    return [example.id for example in examples]


def test_a_repeated_instruction_under_two_ids_is_one() -> None:
    examples = [
        ask("a", "Say hi"),
        ask("b", " SAY\n hi "),
        ask("c", "Say ho"),
        talk("d", "say hi"),
        talk("e", "say", "hi"),
    ]
    found = without_repeats(examples)
    assert ids(found.examples) == ["a", "c", "e"] and (
        found.repeats,
        found.conflicts,
        found.empty,
    ) == (2, 0, 0)
    assert user_turns(ask("a", "Correct this.", "I is.")) == user_turns(
        talk("b", "Correct this.\n\nI is.")
    )
    pairs = without_repeats([pair("a", "Hi?"), pair("b", "hi?"), pair("c", "Ho?")])
    assert [each.id for each in pairs.examples] == ["a", "c"] and pairs.repeats == 1


def test_another_system_text_makes_another_example_on_the_same_side() -> None:
    examples = [
        talk("a", "Hi", system="Be brief."),
        talk("b", "Hi", system="Be long."),
        talk("c", "Ho"),
    ]
    assert len(without_repeats(examples).examples) == 3
    one, other, third = groups_of(examples)
    assert one == other != third


def test_a_repeat_of_a_held_out_instruction_is_not_trained_on() -> None:
    examples = [
        ask("a", "Say hi"),
        ask("b", "say hi", held_out=True),
        ask("c", "Say ho"),
        talk("d", "Say hi", "More"),
    ]
    sides = hold_out(examples, seed=0)
    assert (ids(sides.train), ids(sides.held_out), sides.repeats) == (["c"], ["b"], 2)


def test_what_can_not_be_divided_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"1 distinct instruction is too few \(1 repeats left out\)"
    ):
        hold_out([ask("a", "Say hi"), ask("b", "SAY HI")], seed=0)
    with pytest.raises(DataError, match="3 conversations with one beginning are too few"):
        hold_out([talk("a", "Hi"), talk("b", "Hi", "Ho"), talk("c", "Hi", "Ha")], seed=0)


def test_a_large_group_is_not_held_out_while_there_are_small_ones() -> None:
    examples = [
        talk("hi", "Hi"),
        *(talk(f"hi{n}", "Hi", str(n)) for n in range(60)),
        *(ask(f"{n}", f"Q{n}") for n in range(39)),
    ]
    for seed in range(20):
        sides = hold_out(examples, seed)
        assert len(sides.held_out) == 10 and not any(
            id.startswith("hi") for id in ids(sides.held_out)
        )


WORDS = st.sampled_from(["Hi", "hi ", "Ho", "What?", " WHAT?", "More"])
EXAMPLES = st.lists(
    st.one_of(
        st.tuples(st.just("talk"), st.lists(WORDS, min_size=1, max_size=3), st.booleans()),
        st.tuples(st.just("ask"), st.lists(WORDS, min_size=1, max_size=1), st.booleans()),
        st.tuples(
            st.just("number"),
            st.lists(st.integers(0, 30).map(str), min_size=1, max_size=2),
            st.just(False),
        ),
    ),
    min_size=2,
    max_size=30,
)


def crossing(sides: TrainAndHeldOut[ChatExample]) -> list[tuple[str, str]]:
    """Pairs of a training and a held-out example, of which one begins with all that the user says in the other."""
    found = []
    for train, held_out in product(sides.train, sides.held_out):
        one, other = user_turns(train), user_turns(held_out)
        shorter = min(len(one), len(other))
        if one[:shorter] == other[:shorter]:
            found.append((train.id, held_out.id))
    return found


@given(EXAMPLES, st.integers(0, 5), st.booleans())
def test_nothing_that_a_user_says_is_on_both_sides(
    made: list[tuple[str, list[str], bool]], seed: int, marks: bool
) -> None:
    examples: list[ChatExample] = [
        ask(f"{n}", said[0], held_out=marks and aside)
        if kind == "ask"
        else talk(f"{n}", *said, held_out=marks and aside)
        for n, (kind, said, aside) in enumerate(made)
    ]
    try:
        sides = hold_out(examples, seed)
    except DataError:
        return
    assert crossing(sides) == []
    assert len(sides.train) + len(sides.held_out) + sides.repeats == len(examples)
