"""The order of a conversation about an action: a state machine over slots and rules.

    a message -> an action is asked for? its values are read from the message
              -> lookups, rules (`progress.py`): refused? a slot is asked for, one after another
              -> all known: one confirmation with the values
              -> yes: the same rules once more, then the effect (`desk.py` carries it out)

Language reading says which action, which values, yes and no (`intent.py`, `values.py`,
`replies.py`); all else is decided here by code, so the same messages have the same result, and no
wording alters a rule. An effect follows only on a plain yes to a confirmation that showed the very
values that are written: where a value or a lookup has changed since, it is shown again.
"""

from dataclasses import replace

from groundup.actions.choice_replies import title_meant, value_meant
from groundup.actions.definition import Action, Slot
from groundup.actions.endings import (
    Step,
    fingerprint_of,
    undo_of,
    undo_refusal,
    with_offer,
)
from groundup.actions.message_form import asks_in_words, asks_something
from groundup.actions.message_values import MessageValues, said_anew
from groundup.actions.own_words import own_words
from groundup.actions.pending import is_two_sided, pending, waiting_action
from groundup.actions.progress import (
    advance,
    rows_of,
)
from groundup.actions.replies import (
    agrees,
    begins_with_no,
    begins_with_yes,
    beside_undo,
    denies,
    reads_cancel,
    reads_courtesy,
    reads_no,
    reads_undo,
    reads_wait,
    reads_yes,
    refuses,
)
from groundup.actions.rows import names_none
from groundup.actions.set_apart import SettingApart
from groundup.actions.side_questions import asks_beside
from groundup.actions.state import (
    ActionState,
    ActionTurn,
    HeldValue,
    LastDone,
    Wish,
)
from groundup.actions.templates import fill
from groundup.actions.told_options import told_option
from groundup.actions.wishes import (
    MAX_WISHES,
    by_codes,
    wishes_of,
)
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import words

# So many words of a yes ask for nothing else.
SHORT = 8


class Dialogue(SettingApart):
    """One message of a conversation, and what it leads to."""

    def step(self) -> Step:
        """Return what the message leads to."""
        state = self.state
        if self.actions.action(waiting_action(state)) is None:
            state = self.state = replace(state, waits="", action="", wishes=())
        is_after = state.waits in ("", "offer") or self._undoes_before()
        if state.last is not None and is_after and self._asks_undo():
            return self._ask_undo(state.last)
        question, before = self._without_questions(), self.state
        made = self._replied()
        if question and made.is_none:
            self.state, self.message = before, self.heard.message
            self.own, question = own_words(self.message), ""
            made = self._replied()
        if question:
            made = made.beside(question)
        return made

    def _replied(self) -> Step:
        second = self._with_second()
        if second is not None:
            return second
        noted = self._set_apart()
        made = self._answered()
        if noted:
            made = self._first_this(made)
        return made

    def _answered(self) -> Step:
        state = self.state
        if state.waits == "which":
            return self._which_answer()
        if state.waits == "undo":
            return self._undo_answer()
        if state.waits == "offer":
            return self._offer_answer()
        if state.waits:
            return self._answer()
        if not self.heard.is_unsure and self._may_be_question():
            return Step(state)
        made = self._begin()
        return self._begin_likely() if made.is_none and not self.heard.is_unsure else made

    def _asks_undo(self) -> bool:
        """Whether a message says that what was just done is to be undone, perhaps with a reason."""
        if reads_undo(self.own):
            return True
        beside = beside_undo(self.own)
        other = None if beside == self.own else self.chooser.choose(beside)
        is_other = other is not None and other != (self.state.last and self.state.last.action)
        return beside != self.own and not is_other

    def _undoes_before(self) -> bool:
        """Whether a message can't mean the wish that was just taken up, only what was done before."""
        return self.state.taken_up and not reads_cancel(self.message)

    def _which_answer(self) -> Step:
        wishes = self.state.wishes
        named = [self.actions.action(each.action) for each in wishes]
        action = named[0]
        assert action is not None
        before, says_yes = self.state, self._says_yes()
        self.state = replace(self.state, waits="", wishes=(), said_yes=False)
        if reads_no(self.message) or reads_cancel(self.message) or denies(self.message):
            return Step(self.state, ActionTurn("cancelled", action.say("cancelled"), action))
        titles, place, giving = [each.title for each in named if each], None, list[int]()
        if len(wishes) == 1 and (says_yes or self._gives_values(action)):
            place = 0
        elif len(wishes) > 1 and not asks_something(self.message):
            place = title_meant(self.message, titles)
            giving = [n for n, each in enumerate(named) if each and self._gives_values(each)]
            place = giving[0] if place is None and len(giving) == 1 else place
        if place is None and says_yes:
            if not before.said_yes:
                self.state = replace(before, said_yes=True)
                return self._again()
            return self._first_taken(self._start(wishes[0], (), MessageValues()), titles[0])
        if place is None:
            made = self._begin()
            if not made.is_none or not giving:
                return made
            more = (replace(each, message=f"{each.message}. {self.message}") for each in wishes)
            self.state = replace(before, wishes=tuple(more))
            return self._again()
        chosen = self.actions.action(wishes[place].action)
        assert chosen is not None
        return self._start(wishes[place], (), self._read(chosen, self.message))

    def _says_yes(self) -> bool:
        """Whether a message says yes, perhaps with more, where nothing is done on it."""
        return any(says(self.message) for says in (reads_yes, begins_with_yes, agrees))

    def _of_either(self, action: Action, asked: Slot) -> Step | None:
        """Return what follows where a reply names one of the values that were asked about. A yes
        tells none: it is asked again, and said once more it means the first. On a no the
        value is asked for. None: it has another value, or is no answer.
        """
        either = self.state.either
        place = value_meant(self.message, [each.shown for each in either])
        if place is None:
            read = self._read(action, self.message, 0, asked)
            is_more = read.values or read.unclear or "?" in self.message
            if not is_more and reads_no(self.message):
                return self._go_on(action, self.state.values, MessageValues())
            if is_more or not self._says_yes():
                return None
            if not self.state.said_yes:
                self.state = replace(self.state, said_yes=True)
                return self._again()
        value = replace(either[place or 0], source="asked")
        read = MessageValues({asked.name: value})
        made = self._go_on(action, {**self.state.values, **read.values}, read)
        return made if place is not None else self._first_taken(made, value.shown)

    def _first_taken(self, made: Step, first: str) -> Step:
        """Return a step with the sentence that the first of several was taken."""
        if made.turn is None:
            return made
        text = made.turn.text
        if not text.startswith(first):
            text = f"{first}. {text}"
        text = f"{made.turn.action.say('first_taken')} {text}"
        return replace(made, turn=replace(made.turn, text=text))

    def _answer(self) -> Step:
        action = self.actions.action(self.state.action)
        assert action is not None
        if is_two_sided(self.state, self.message):
            return self._again()
        says_yes = self.state.waits == "confirm" and reads_yes(self.message)
        if not says_yes and (reads_cancel(self.message) or reads_undo(self.message)):
            return self._ended("cancelled", self._nothing_more(action), action)
        held, asked = self.state.values, action.slot(self.state.asked)
        is_unasked = self.state.guessed or self.state.taken_up
        if is_unasked and asked is not None and self._is_wrong_guess(asked):
            return self._ended("cancelled", self._nothing_more(action), action)
        if self.state.either and asked and (chosen := self._of_either(action, asked)):
            return chosen
        is_words = asked is not None and asked.type in ("name", "text")
        if asked is not None and self._looks_it_up():
            return self._no_hurry(action)
        if is_words and any(reads(self.message) for reads in (reads_yes, reads_no, reads_wait)):
            return self._again()
        if asked is not None and asked.type == "text" and reads_courtesy(self.message):
            return self._again()
        if asked is not None and asked.type == "text" and asks_something(self.message):
            return self._other_wish(action)
        # A choice may have "yes" among its wordings.
        read = MessageValues() if says_yes else self._read_answer(action)
        if self.state.waits == "confirm" and not read.values and not read.unclear:
            read = said_anew(action, held, self.message)
        if not self.state.set_aside.keys().isdisjoint(read.values):
            held = {**self.state.set_aside, **held}
        changes = any(
            name not in held or held[name].value != each.value for name, each in read.values.items()
        )
        is_shown = self.state.waits == "confirm"
        if is_shown and changes and asks_beside(self.own):
            return self._other_wish(action)
        if is_shown and not changes and not read.unclear:
            if says_yes:
                return self._confirmed(action)
            if reads_no(self.message) or self._says_no():
                return self._ended("cancelled", self._nothing_more(action), action)
            made = self._other_wish(action)
            if made.turn is not None and refuses(self.message):
                return self._in_place(action, made)
            says_yes = agrees(self.message, self.state.question)
            if made.turn is not None and not (says_yes and self._is_short()):
                return made
            if says_yes:
                return self._confirmed(action)
        if read.values or read.unclear:
            return self._go_on(action, {**held, **read.values}, read)
        if reads_yes(self.message) or reads_no(self.message):
            return self._again()
        if self.state.guessed:
            self.state = ActionState(last=self.state.last, unsettled=self.state.unsettled)
            return self._begin()
        made = self._other_wish(action)
        if made.turn is None and asked is not None and not asks_something(self.message):
            return self._told_reply(action, asked) or made
        return made

    def _in_place(self, action: Action, made: Step) -> Step:
        """Begin what is asked for in place of what was to be confirmed: "don't cancel, make it 3".
        What it needs and was said for the other holds.
        """
        ended, (first, *others) = self._nothing_more(action), made.state.wishes
        chosen = self.actions.action(first.action)
        assert chosen is not None
        shared = {slot.name for slot in action.askable if chosen.slot(slot.name) == slot}
        shared -= self._read_wish(chosen, first.message).values.keys()
        held = {name: each for name, each in self.state.values.items() if name in shared}
        begun = self._start(first, others, MessageValues(held))
        if begun.turn is None:
            return begun
        return replace(begun, turn=replace(begun.turn, text=f"{ended} {begun.turn.text}"))

    def _nothing_more(self, action: Action) -> str:
        """Return what is said to a no: that nothing was done, but right behind something that was."""
        is_behind = self.state.taken_up or not self.state.action
        key = ("cancelled", "stays")[is_behind and self.state.last is not None]
        return action.say(key)

    def _is_wrong_guess(self, asked: Slot) -> bool:
        is_words = asked.type in ("name", "text") and begins_with_no(self.message)
        return is_words or reads_no(self.message)

    def _is_short(self) -> bool:
        return len(self.message.split()) <= SHORT

    def _says_no(self) -> bool:
        """Whether a message without values of its own denies: "oh hang on, don't cancel it"."""
        wishes = wishes_of(self.message, self.chooser)
        return refuses(self.message) and {each.action for each in wishes} <= {self.state.action}

    def _read_answer(self, action: Action) -> MessageValues:
        """Return the values of a reply: of several codes for the asked slot the first one, and the
        others as wishes; the row that it describes.
        """
        asked = action.slot(self.state.asked)
        if asked is not None and (other := self._of_other_slot(action, asked)).values:
            return other
        read = self._read(action, self.message, 0, asked)
        if asked is not None and asked.name in read.unclear:
            first, *others = by_codes(action, self.message)
            if others:
                wishes = (*self.state.wishes, *others)[:MAX_WISHES]
                self.state = replace(self.state, wishes=wishes)
                read = self._read(action, first.message, 0, asked)
        if asked is None or not asked.rows:
            return read
        held = {name: each for name, each in read.values.items() if name != asked.name}
        progress = advance(action, self.world, {**self.state.values, **held}, self.known)
        known = [row[0] for row in rows_of(asked, self.world, progress.bound)]
        if asked.name in read.values and read.values[asked.name].value in known:
            return read
        chosen = self._chosen_row(asked, progress)
        last = self.state.last
        value = last and last.values.get(asked.name)
        if not chosen and value in known and names_none(self.message):
            chosen = {asked.name: HeldValue(str(value), "known", shown=str(value))}
        return replace(read, values={**read.values, **chosen})

    def _of_other_slot(self, action: Action, asked: Slot) -> MessageValues:
        """Return the value of another slot that has none yet, where the reply to the question for a
        name is nothing else: the branch "Thornleigh" is no pet's name. Said again, it is.
        """
        if asked.type != "name" or asked.among:
            return MessageValues()
        read = self._read(action, self.message)

        def is_all(name: str) -> bool:
            slot, value = action.slot(name), read.values.get(name)
            if slot is None or value is None or name in self.state.values:
                return False
            rest = f"{self.message[: value.start]} {self.message[value.end :]}"
            return slot.type not in ("name", "number") and not set(words(rest)) - STOP_WORDS["en"]

        return read.only(is_all)

    def _told_reply(self, action: Action, asked: Slot) -> Step | None:
        """Take the option that a reply tells, or ask which one of the two that are nearest."""
        if asked.type != "choice" or self.chooser.meanings is None:
            return None
        told = told_option(action, asked, self.message, self.chooser.meanings, least_words=1)
        if told is None or not (told.is_clear or told.is_either):
            return None
        held, names = self.state.values, (told.option, told.next_one)
        place = told.start, told.end
        options = [HeldValue(name, "asked", *place, name) for name in names]
        chosen = {**held, asked.name: options[0]}
        if told.is_clear and advance(action, self.world, chosen, self.known).refused is None:
            return self._go_on(action, chosen, MessageValues())
        question = action.say("unclear", values=f" {action.say('or')} ".join(names))
        if self.state.question != asked.ask:  # two were named before
            return None
        read = MessageValues({}, {asked.name: question}, {asked.name: tuple(options)})
        return self._go_on(action, held, read)

    def _again(self) -> Step:
        """Ask the question that waits once more, with what an answer looks like."""
        waiting = pending(self.actions, self.state)
        assert waiting is not None
        return Step(self.state, replace(waiting, text=waiting.unread))

    def _looks_it_up(self) -> bool:
        """Whether an answer is to follow; of "no idea" none is."""
        is_none = names_none(self.message) and not {"yet", "let"} & set(words(self.message))
        return reads_wait(self.message) and not is_none

    def _no_hurry(self, action: Action) -> Step:
        """Ask the question that waits once more."""
        waiting = pending(self.actions, self.state)
        assert waiting is not None
        return Step(self.state, replace(waiting, text=f"{action.say('no_hurry')} {waiting.text}"))

    def _other_wish(self, action: Action) -> Step:
        """Note another action that is asked for meanwhile."""
        noted = [action.name, *(each.action for each in self.state.wishes)]
        found = wishes_of(self.message, self.chooser)
        wishes = [each for each in found if each.action not in noted]
        waiting = pending(self.actions, self.state)
        if not wishes or waiting is None:
            return Step(self.state)
        kept = (*self.state.wishes, *wishes)[:MAX_WISHES]
        turn = replace(waiting, text=f"{action.say('first_this')} {waiting.text}")
        return Step(replace(self.state, wishes=kept), turn)

    def _confirmed(self, action: Action) -> Step:
        """Perform what was confirmed, if it still is what was shown."""
        progress = advance(action, self.world, self.state.values, self.known)
        stops = progress.refused or progress.missing or progress.needed
        as_shown = self.state.fingerprint == fingerprint_of(action, progress.bound)
        if stops or not as_shown or not self.heard.is_answer:
            return self._after(action, progress, MessageValues())
        return self._perform(action, progress, self.state.key)

    def _offer_answer(self) -> Step:
        first, *others = self.state.wishes
        action = self.actions.action(first.action)
        assert action is not None
        if reads_yes(self.message) or begins_with_yes(self.message):
            # A choice may have "yes" among its wordings.
            read = MessageValues()
            if not reads_yes(self.message):
                read = self._read(action, self.message)
            return self._start(first, others, read)
        self.state = replace(self.state, waits="", wishes=())
        if reads_no(self.message) or reads_cancel(self.message):
            return Step(self.state, ActionTurn("cancelled", self._nothing_more(action), action))
        made = self._begin()
        if not made.is_none:
            return made
        self.state = replace(self.state, waits="offer", wishes=(first, *others))
        if not self._gives_values(action):
            return replace(made, state=self.state)
        return self._start(first, others, self._read(action, self.message))

    def _gives_values(self, action: Action) -> bool:
        """Whether a message says what an offered action needs, in place of a yes."""
        if asks_in_words(self.message) or wishes_of(self.message, self.chooser):
            return False
        return bool(self._read(action, self.message).values)

    def _ask_undo(self, last: LastDone) -> Step:
        action = self.actions.action(last.action)
        if action is None:
            return Step(self.state)
        turn = ActionTurn("refused", action.say("not_undoable"), action, reference=last.reference)
        if action.undo is None:
            made = self._begin()  # "cancel that" may ask for an action that cancels
            if not made.is_none:
                return made
            return Step(self.state, turn)
        refusal = undo_refusal(self.world, action.undo, last, self.known)
        if refusal:
            return Step(self.state, replace(turn, text=refusal))
        text = fill(action.undo.confirm, last.said)
        wishes = self.state.wishes
        if self.state.taken_up:
            wishes = (Wish(self.state.action, self.state.message), *wishes)
        state = replace(self.state, waits="undo", question=text, wishes=wishes, taken_up=False)
        return Step(state, replace(turn, kind="confirm", text=text))

    def _undo_answer(self) -> Step:
        last = self.state.last
        assert last is not None
        action = self.actions.action(last.action)
        assert action is not None and action.undo is not None
        if is_two_sided(self.state, self.message):
            return self._again()
        says_yes = agrees(self.message, self.state.question) and self._is_short()
        if says_yes or reads_yes(self.message):
            refusal = undo_refusal(self.world, action.undo, last, self.known)
            if refusal or not self.heard.is_answer:
                self.state = replace(self.state, waits="")
                return self._ask_undo(last)
            return Step(self.state, performance=undo_of(action, last, self.state))
        if reads_no(self.message) or reads_cancel(self.message):
            state = replace(self.state, waits="")
            made = Step(state, ActionTurn("cancelled", action.say("stays"), action))
            return with_offer(self.actions, made)
        before = self.state
        self.state = replace(self.state, waits="")
        made = self._begin()
        if made.is_none:
            return Step(before)
        return made
