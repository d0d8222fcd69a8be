"""Prompts of samples are first words of sentences: no heading, no word cut, in any script."""

import pytest

from groundup.train.monitor.samples import prompts_of, sentence_starts

WINTER = "Now is the winter of our discontent made glorious summer by this sun."


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        (f"THE RAPE OF LUCRECE\n\n{WINTER}", ["Now is the winter"]),
        (f"GLOUCESTER.\n{WINTER} and so it went on and on for many years.", ["Now is the winter"]),
        ("# A heading of seven or more words in Markdown.\n\n| a | table | of | more | than | seven | words |.", []),
        ("FROM THE AUTHOR of many other books that nobody has ever read.", []),
        ("Was ist das nur f\u00fcr eine seltsame Geschichte? Er wusste es selbst nicht mehr so recht.",
         ["Was ist das nur", "Er wusste es selbst"]),
        ("Incomprehensibilities counterrevolutionaries were seldom seen in the old town hall.", ["Incomprehensibilities"]),
        ("\u6211\u4eec\u4eca\u5929\u53bb\u5317\u4eac\u5927\u5b66\u770b\u4e86\u5f88\u591a\u6709\u610f\u601d\u7684\u4e1c\u897f\u3002",
         ["\u6211\u4eec\u4eca\u5929\u53bb\u5317\u4eac\u5927"]),
        ("\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645 \u0641\u064a \u0647\u0630\u0627 \u0627\u0644\u0643\u062a\u0627\u0628 "
         "\u0627\u0644\u0630\u064a \u064a\u062a\u062d\u062f\u062b \u0639\u0646 \u0627\u0644\u0639\u0627\u0644\u0645.",
         ["\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645 \u0641\u064a \u0647\u0630\u0627"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_prompt_is_the_beginning_of_a_sentence(text: str, starts: list[str]) -> None:
    assert list(sentence_starts(text)) == starts


def test_prompts_come_in_turn_from_all_texts_each_once() -> None:
    one = "The first of all the tales is rather short. It begins with a fox and ends with a hen."
    other = f"{WINTER} {WINTER}"
    assert prompts_of([one, other], 3) == [
        "It begins with a",
        "Now is the winter",
        "The first of all",
    ]
    assert prompts_of(["no sentence"], 3) == []
