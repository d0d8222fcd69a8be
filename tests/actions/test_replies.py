"""Short replies: yes, no, leave it and undo, each only where nothing else is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from groundup.actions.replies import agrees, reads_cancel, reads_no, reads_undo, reads_yes

SAID: dict[Callable[[str], bool], str] = {
    reads_yes: "Yes; yes please; yep; ok; Okay, go ahead; ye go ahead; sure; That's right; book it; 👍; perfect,"
    " thank you; please do; yes do it; Yes, freeze it.; Yes, cancel the booking; yeah thats fine; YES OBVIOUSLY; yes and good riddance;"
    " please; by all means; spot on; that's fine by me; looks right; that's what I want;"
    " alright then; that'll do; let's do it; That is correct. I thank you.; quite so; Yes, I take it.;"
    " You have understood me correctly.; Everything is as it should be, thank you kindly; thats fine ty",
    reads_no: "No; nope; better not; I don't think so; on reflection, no; no thanks; No, that's wrong; no don't book it; not now; that's not right;"
    " 👎",
    reads_cancel: "Leave it; never mind; forget it; no, leave it; stop; I changed my mind; cancel it;"
    " sorry, never mind; I don't want it any more; leave it as it is;"
    " on second thoughts, leave it; I'll keep it; I'll think about it",
    reads_undo: "Undo; undo that; cancel that; take it back; please undo it; undo my booking",
}
OTHERS = (
    "yes, but at 8; no, Saturday; ok?; make it five; I don't know; not sure; how late can I cancel?;"
    " cancel my booking on Friday; yesterday; none; no milk please; stop my card; the 3rd;"
    " right on the 3rd; sure, 4 people; OK Oliver; no nuts; yes for 5 people"
)


@pytest.mark.parametrize("reads", SAID)
def test_what_is_said_is_read_and_nothing_longer(reads: Callable[[str], bool]) -> None:
    assert [text for text in SAID[reads].split(";") if not reads(text)] == []
    assert [text for text in OTHERS.split(";") if reads(text)] == []


def test_no_reply_is_both_yes_and_no_or_leave() -> None:
    for text in ";".join(SAID.values()).split(";"):
        assert reads_yes(text) + (reads_no(text) or reads_cancel(text)) <= 1, text
    assert not any(
        map(reads_yes, ("cancel it", "cancel my table", "yes leave it", "sure forget it"))
    )


AGREED = (
    "yep thats fine; yes thats the one, go for it; yes send it off, we both agree; brilliant, yes;"
    " lol fair. yes book me on that; ok. yes book it; yes 50; yes. and answer your bloody phone;"
    " Yes, that would be lovely, thank you; yes please. Sorry for the trouble"
)
NOT_AGREED = (
    "yes 60; yes but wait; yes, I don't want it; yes how do I get there; ok cool what about parking;"
    " my boss said yes; do it ten times; yes if it's free; pretend I said yes; yes and change it; yes for Okoro; yes on Saturday;"
    " that would be lovely; yes would be wrong; yes, sorry for that, not mine"
)


def test_a_yes_beside_other_words_agrees_where_nothing_takes_it_back() -> None:
    assert [text for text in AGREED.split(";") if not agrees(text, "£50 a day?")] == []
    assert [text for text in NOT_AGREED.split(";") if agrees(text, "£50 a day?")] == []
    frozen = "Card 4417. Shall I freeze it?"
    assert agrees("YES, freeze it, how often must I say it?", frozen)
    assert not agrees("yes, freeze it, how often must I pay?", frozen)
    assert agrees("freeze it please", frozen) and not agrees("freeze my card 8052", frozen)
    assert not agrees("cancel it", "Table 5. Shall I cancel it?")
    messages = (Path(__file__).parent / "adversarial.txt").read_text(encoding="utf-8")
    assert [text for text in messages.splitlines() if agrees(text)] == []
