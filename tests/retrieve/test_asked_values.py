"""Which texts have the kind of value that a question asks for; of sentences beside one another the
one that has it comes first.
"""

import pytest

from groundup.retrieve.asked_values import has_asked_value
from groundup.retrieve.evidence import READER_WEIGHTS, Nearness


@pytest.mark.parametrize(
    ("question", "has", "lacks"),
    [
        ("how much is a filling", "A filling is £85.", "Fillings are white."),
        ("what's the surcharge for a wicker one", "Wicker adds £390.", "Wicker is woven here."),
        ("do you charge for the wifi", "The wifi is free.", "The wifi reaches the garden."),
        ("how long may an abstract be?", "Keep to 200 words.", "It states the main result."),
        ("how long till the urn is ready", "Allow five weeks.", "An urn is turned from oak."),
        ("how wide is the door", "The entrance is 95 cm wide.", "The door has a bell."),
        ("how many guests fit in", "It seats 24 guests.", "The room looks on the orchard."),
        ("how late can i order", "The kitchen takes orders until 9:45 pm.", "We cook to order."),
        ("when do you close for the winter", "We close on 2 November.", "We close for the winter."),
        ("what share of readers came back", "Of these 37 % came back.", "Most came back."),
        ("wie lange dauert es", "Es dauert drei Wochen.", "Es dauert, bis es fertig ist."),
        ("combien ça coûte", "L'entrée est gratuite.", "L'entrée est au nord."),
    ],
)
def test_of_two_sentences_one_has_what_is_asked_for(question: str, has: str, lacks: str) -> None:
    assert has_asked_value(question, has) and not has_asked_value(question, lacks)


def test_a_question_for_no_kind_of_value_gets_none() -> None:
    assert not has_asked_value("may i bring my dog", "Dogs may come in until 6 pm for £2.")


def test_a_sentence_with_the_value_fits_better_by_its_weight() -> None:
    near = Nearness((0.5, 0.5), (0.6, 0.6), 0.6, 0.0, (False, True))
    without, with_value = near.with_scores([0.4, 0.4])
    assert with_value - without == pytest.approx(READER_WEIGHTS[-1])
