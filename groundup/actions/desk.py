"""ActionDesk: what a server, a terminal or a program asks for actions.

    desk = ActionDesk(Path("runs/cafe/actions"), world=Path("runs/cafe/world.sqlite"))
    turn = desk.turn("conversation-7", ["I'd like to book a table"])

Nothing is held in memory: each call reads the conversation's state from the world's file and writes
the next one in the same transaction as what was done. So any number of threads and processes may
use one world, a page that is closed is resumed, and the same messages again get the same reply
without being carried out again.
"""

import contextlib
import datetime
import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from groundup.actions import conversations, ledger
from groundup.actions.action_file import ACTIONS_FILE, read_actions
from groundup.actions.conversations import KEPT_WITHOUT_ID_S, KnownTalk, Talk, talk_of
from groundup.actions.definition import REFERENCE, Action, SlotValue
from groundup.actions.effects import TIMEOUT_S, allowed_effects, call
from groundup.actions.endings import (
    Step,
    done_elsewhere,
    finished,
    hash_of,
    undo_of,
    undo_refusal,
)
from groundup.actions.intent import ActionChooser
from groundup.actions.intent_meaning import MessageEncoder
from groundup.actions.ledger import Party
from groundup.actions.pending import pending
from groundup.actions.progress import in_sentences, known_values, shown
from groundup.actions.state import (
    ActionState,
    ActionTurn,
    EffectOutcome,
    Heard,
    HeldValue,
    LastDone,
    Performance,
)
from groundup.actions.steps import filled, read_beside, step, take_up
from groundup.actions.world import WORLD_FILE, World, WorldReader
from groundup.errors import ConfigError, FormatError

# Above an effect's timeout: until then another process may still write how its call ended.
GRACE_S, POLL_S = 2.0, 0.05
# The message by which a program confirms.
CONFIRMED = "Yes"


class ActionDesk:
    """The actions of a folder with their world. Raises ConfigError where actions are wrong or need
    what was not allowed, FormatError where the world does not fit them, DiskError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        world: Path | None = None,
        allow_http: Sequence[str] = (),
        python_modules: Sequence[str] = (),
        mcp_tools: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
        today: datetime.date | None = None,
        language: str = "",
    ) -> None:
        """Open them.

        `folder` has actions.toml and world.sql; `world`: the file (default: world.sqlite there).
        `allow_http`: addresses that effects may send to, and what is below them; `python_modules`:
        modules whose functions they may call; `mcp_tools`: tools of MCP servers, each as
        "SERVER:TOOL=COMMAND" or "SERVER:TOOL=URL". `timeout_s` bounds a call outside of the world.
        `today`: of a world that is made now; `language`: of the sentences that actions have not.
        """
        found = read_actions(folder)
        if found is None:
            raise ConfigError(f"{folder} has no {ACTIONS_FILE}.", fix="See docs/actions.md.")
        spoken = tuple(replace(each, language=language) for each in found.actions)
        found = replace(found, actions=spoken)
        self._allowed = allowed_effects(found, allow_http, python_modules, mcp_tools)
        self.actions = found
        self.trial_customer: str | None = None
        """Who is signed in where nobody is, as long as actions are only tried."""
        self.world = World(world or folder / WORLD_FILE, found, today)
        self.chooser, self.by_meaning = ActionChooser(found.actions), False
        self._timeout_s = timeout_s

    def hear_by_meaning(self, encoder: MessageEncoder) -> None:
        """Compare messages with examples by their vectors, too, from now on, and read names by the
        encoder. The first call makes the vectors of the examples, some 20 ms each.
        """
        self.chooser, self.by_meaning = ActionChooser(self.actions.actions, encoder), True

    def turn(
        self,
        conversation: str,
        user_turns: Sequence[str],
        today: datetime.date | None = None,
        customer: str | None = None,
        client: str = "",
        *,
        is_unsure: bool = False,
    ) -> ActionTurn | None:
        """Return what is replied to the last message of a user; None: it is for no action (one may
        be under way: `pending`). `is_unsure`: it was None without, and an
        action that the message may ask for is offered.

        `conversation`: an id that no other conversation has; without one ("") two conversations
        with the same words are the same for an hour, unless their `client` (such as a key's name)
        or `customer` (who is signed in) differs.
        Raises FormatError, also for a rule that can't be checked, and DiskError; nothing was done
        then.
        """
        if not user_turns:
            return None
        talk = talk_of(conversation, customer, client, user_turns)
        heard = replace(self._heard(talk, today, customer), is_unsure=is_unsure)
        known, idle = self._look(talk, heard)
        if known.replied:
            was_unsure = known.reply is not None and known.reply.is_unsure
            return None if was_unsure and not is_unsure else known.reply
        if idle:
            return None
        party = Party(conversation, customer, _utc())

        def take(known: KnownTalk) -> Step:
            with self.world.reader() as reader:
                made = self._step(reader, known, talk, heard)
            turn = made.turn and replace(made.turn, is_unsure=is_unsure)
            return replace(made, turn=turn)

        return self._reply(talk, party, heard, take)

    def fill(
        self,
        conversation: str,
        action: str,
        values: Mapping[str, SlotValue],
        today: datetime.date | None = None,
        customer: str | None = None,
        client: str = "",
    ) -> ActionTurn:
        """Return what an action comes to whose values a program gives: its confirmation, why not,
        or what it reads. No language is read; all else is as of `turn`.

        Raises ConfigError for an unknown action, and what `turn` does.
        """
        found = self.actions.action(action)
        if found is None:
            raise ConfigError(f"There is no action '{action}'.")
        talk = talk_of(conversation, customer, client, _given(action, values))
        heard = self._heard(talk, today, customer)

        def begin(known: KnownTalk) -> Step:
            with self.world.reader() as reader:
                return filled(self.actions, reader, found, values, heard)

        turn = self._reply(talk, Party(conversation, customer, _utc()), heard, begin)
        assert turn is not None
        return turn

    def confirm(
        self,
        conversation: str,
        action: str,
        values: Mapping[str, SlotValue],
        today: datetime.date | None = None,
        customer: str | None = None,
        client: str = "",
    ) -> ActionTurn | None:
        """Return what follows on a yes to the confirmation that `fill` returned of the very same;
        None: there is none.
        """
        turns = _given(action, values)
        waiting = self.pending(conversation, turns, customer, client)
        if waiting is None or waiting.kind != "confirm":
            return None
        return self.turn(conversation, [*turns, CONFIRMED], today, customer, client)

    def _reply(
        self, talk: Talk, party: Party, heard: Heard, step_of: Callable[[KnownTalk], Step]
    ) -> ActionTurn | None:
        """Take a step, with what is to be done, unless it was taken before."""
        with self.world.writing() as database:
            known = self._find(database, talk)
            if known.replied:
                return known.reply
            made = step_of(known)
            if made.turn is not None or made.performance is not None:
                made = self._elsewhere(database, known.state, made) or made
            what = made.performance
            if what is None:
                return self._keep(database, talk, made)
            what = self._with_own_key(database, what, party)
            if not what.is_outside:
                outcome = self._perform(database, what, party)
                return self._keep(
                    database, talk, self._finished(database, what, outcome, heard, party)
                )
            outcome_or_start = self._begin(database, what, party)
        outcome = self._call(what, party, outcome_or_start)
        with self.world.writing() as database:
            return self._keep(database, talk, self._finished(database, what, outcome, heard, party))

    def _finished(
        self,
        database: sqlite3.Connection,
        what: Performance,
        outcome: EffectOutcome,
        heard: Heard,
        party: Party,
    ) -> Step:
        """Return the step after a performance, within the transaction that keeps it; a wish that
        can't be looked up is offered, and one that only reads is done, too.
        """
        made = finished(self.actions, what, outcome)
        if not made.state.wishes:
            return made
        try:
            with contextlib.suppress(FormatError):
                reader = self.world.reader_of(database)
                made = take_up(self.actions, reader, made, heard, self.chooser)
        finally:
            database.set_authorizer(None)
        if made.performance is None:
            return made
        return read_beside(self.actions, made, self._perform(database, made.performance, party))

    def pending(
        self,
        conversation: str,
        user_turns: Sequence[str],
        customer: str | None = None,
        client: str = "",
    ) -> ActionTurn | None:
        """Return the turn whose question waits after these messages; None: no action is under way."""
        talk = talk_of(conversation, customer, client, user_turns)
        with self.world.connection(read_only=True) as database:
            return pending(self.actions, self._find(database, talk).state)

    def handled(
        self,
        conversation: str,
        user_turns: Sequence[str],
        customer: str | None = None,
        client: str = "",
    ) -> list[bool]:
        """Return of each message whether an action took it."""
        talk = talk_of(conversation, customer, client, user_turns)
        with self.world.connection(read_only=True) as database:
            return conversations.handled(database, talk, time.time())

    def forget(self, conversation: str, customer: str | None = None, client: str = "") -> int:
        """Remove the states and replies of a conversation with an id, of this client and customer;
        return their number. What was done, and its audit, stays.
        """
        owned = talk_of(conversation, customer, client, ()).owned_id
        if not owned:
            return 0
        with self.world.writing() as database:
            sql = "DELETE FROM conversations WHERE conversation = ?"
            return database.execute(sql, (owned,)).rowcount

    def undo(self, reference: str) -> ActionTurn:
        """Take back what has a reference, as its user could: for the operator.

        Raises ConfigError where nothing has it, or it was taken back already.
        """
        sql = (
            'SELECT key, action, "values", conversation, customer FROM audit'
            " WHERE reference = ? AND result = 'done' AND effect != 'undo'"
        )
        with self.world.writing() as database:
            row = database.execute(sql, (reference,)).fetchone()
            action = row and self.actions.action(row[1])
            if row is None or action is None:
                fix = "See what was done: groundup actions."
                raise ConfigError(f"Nothing that was done has the reference {reference}.", fix=fix)
            if action.undo is None:
                raise ConfigError(f"The action '{action.name}' has no undo.")
            last = _last_done(action, row[0], reference, row[2])
            what = undo_of(action, last, ActionState())
            if ledger.done_reference(database, what.key):
                raise ConfigError(f"{reference} was taken back already.")
            heard = known_values(datetime.date.today(), _now(), row[4] or self.trial_customer)
            with self.world.reader() as reader:
                refusal = undo_refusal(reader, action.undo, last, heard)
            if refusal:
                return ActionTurn("refused", refusal, action, reference=reference)
            outcome = self._perform(database, what, Party(row[3], row[4], _utc()))
            turn = finished(self.actions, what, outcome).turn
            assert turn is not None
            return turn

    def _heard(self, talk: Talk, today: datetime.date | None, customer: str | None) -> Heard:
        day = today or datetime.date.today()
        customer = customer or self.trial_customer
        return Heard(talk.message, talk.key, day, _now(), customer)

    def _find(self, database: sqlite3.Connection, talk: Talk) -> KnownTalk:
        return conversations.find(database, talk, self.actions, time.time())

    def _look(self, talk: Talk, heard: Heard) -> tuple[KnownTalk, bool]:
        """Return what is known, and whether the message is for no action: most are not, and need
        not hold the file.
        """
        with self.world.connection(read_only=True) as database:
            known = self._find(database, talk)
            if known.replied or known.state.waits:
                return known, False
            made = self._step(self.world.reader_of(database), known, talk, heard)
        return known, made.turn is None and made.performance is None

    def _step(self, reader: WorldReader, known: KnownTalk, talk: Talk, heard: Heard) -> Step:
        told = replace(heard, is_answer=known.turns == len(talk.keys) - 2)
        return step(self.actions, reader, known.state, told, self.chooser)

    def _elsewhere(
        self, database: sqlite3.Connection, state: ActionState, made: Step
    ) -> Step | None:
        """Return what is replied where the confirmation that waits here was said yes to in another
        window: that nothing was done would be false.
        """
        says_yes = made.performance is not None and made.performance.key == state.key
        action = self.actions.action(state.action)
        if state.waits != "confirm" or says_yes or action is None:
            return None
        sql = "SELECT reference, \"values\" FROM audit WHERE key = ? AND result = 'done'"
        row = database.execute(sql, (state.key,)).fetchone()
        if row is None:
            return None
        return done_elsewhere(state, action, _last_done(action, state.key, *row))

    def _keep(self, database: sqlite3.Connection, talk: Talk, made: Step) -> ActionTurn | None:
        conversations.store(database, talk, made.state, made.turn, time.time())
        return made.turn

    def _with_own_key(
        self, database: sqlite3.Connection, what: Performance, party: Party
    ) -> Performance:
        """Give what was done with the same words by another conversation without id, an hour ago or
        more, another key.
        """
        key, number = what.key, 0
        while not party.conversation:
            done = ledger.done_reference(database, key)
            if done is None or (party.at - done[1]).total_seconds() < KEPT_WITHOUT_ID_S:
                break
            number += 1
            key = hash_of(what.key, str(number))
        return replace(what, key=key)

    def _perform(
        self, database: sqlite3.Connection, what: Performance, party: Party
    ) -> EffectOutcome:
        done = ledger.done_reference(database, what.key)
        if done is not None:  # by another window, with another word for yes
            return EffectOutcome("done", done[0])
        return ledger.perform(database, what, in_sentences(what.held, what.values), party)

    def _begin(
        self, database: sqlite3.Connection, what: Performance, party: Party
    ) -> EffectOutcome | datetime.datetime | None:
        """Write that a call begins; None. Return its outcome where it is known, or since when
        another process makes it.
        """
        done = ledger.done_reference(database, what.key)
        if done is not None:
            return EffectOutcome("done", done[0])
        line = ledger.last_line(database, what.key)
        if line is not None and line[0].result == "pending":
            return line[1]
        begun = EffectOutcome("pending", ledger.reference_of(database, what))
        ledger.write_line(database, what, party, begun)
        return None

    def _call(
        self, what: Performance, party: Party, begun: EffectOutcome | datetime.datetime | None
    ) -> EffectOutcome:
        """Call what is outside of the world, unless another process does, and write how it ended."""
        if isinstance(begun, EffectOutcome):
            return begun
        if begun is not None:
            return self._await(what, party, begun)
        with self.world.connection(read_only=True) as database:
            reference = ledger.reference_of(database, what)
        values = {**what.values, REFERENCE: reference}
        outcome = call(what.action, values, what.key, self._allowed, self._timeout_s)
        outcome = replace(outcome, reference=reference)
        with (
            self.world.writing() as database,
            contextlib.suppress(sqlite3.IntegrityError),
        ):  # done once by its key
            ledger.write_line(database, what, replace(party, at=_utc()), outcome)
        return outcome

    def _await(self, what: Performance, party: Party, begun: datetime.datetime) -> EffectOutcome:
        """Return how the call of another process ends; where that has ended, nobody can tell."""
        ends = begun + datetime.timedelta(seconds=self._timeout_s + GRACE_S)
        while True:
            with self.world.connection(read_only=True) as database:
                line = ledger.last_line(database, what.key)
            assert line is not None
            if line[0].result != "pending":
                return line[0]
            if _utc() > ends:
                break
            time.sleep(POLL_S)
        reason = "the process that made the call has ended"
        outcome = EffectOutcome("unknown", line[0].reference, reason)
        with self.world.writing() as database:
            ledger.write_line(database, what, replace(party, at=_utc()), outcome)
        return outcome


def _given(action: str, values: Mapping[str, SlotValue]) -> list[str]:
    """Return the messages of a conversation in which a program gives values."""
    given = json.dumps([action, dict(values)], sort_keys=True, ensure_ascii=False)
    return [hash_of(given)]


def _last_done(action: Action, key: str, reference: str, values_json: str) -> LastDone:
    values = json.loads(values_json)
    held = {
        name: HeldValue("", "lookup", shown=shown(action, action.slot(name), value))
        for name, value in values.items()
    }
    told = {**in_sentences(held, values), REFERENCE: reference}
    return LastDone(action.name, key, reference, values, told)


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _now() -> str:
    return f"{datetime.datetime.now():%H:%M}"
