"""Times or days near a refused one with which an action would go on: "Possible: 18:00 or 20:30"."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence

from groundup.actions.definition import Slot
from groundup.actions.state import HeldValue

MOST = 3
_STEPS_MINUTES = (30, 10)  # between two times that are tried; the second where the first has none
_NEAR_MINUTES = 240
_NEAR_DAYS = 14


def alternatives(
    slots: Sequence[Slot],
    held: Mapping[str, HeldValue],
    today: datetime.date,
    goes_on: Callable[[Mapping[str, HeldValue]], bool],
) -> tuple[Slot, tuple[str, ...]] | None:
    """Return a slot and at most MOST of its values, the nearest to the refused one, in their order.

    Times are tried before days; none is before `today`, and a slot for a day that is past has no
    alternatives. `slots`: those that are asked again; `held`: what was said, the refused values
    with it; `goes_on`: whether the action would go on with other values.
    None: no time or day of them was said, or fewer than two near it are possible. One alone may be
    what the action knows and asks for as a proof ("On which day is your appointment?").

    >>> time = Slot("time", "time", ask="At what time?", most="20:30")
    >>> held, today = {"time": HeldValue("19:00", "message")}, datetime.date(2026, 12, 4)
    >>> slot, times = alternatives([time], held, today, lambda held: held["time"].value > "18:30")
    >>> times
    ('19:30', '20:00', '20:30')
    >>> alternatives([time], held, today, lambda held: held["time"].value == "20:30")
    >>> date, held = Slot("date", "date", ask="When?"), {"date": HeldValue("9999-12-31", "message")}
    >>> alternatives([date], held, today, lambda held: True)[1]
    ('9999-12-28', '9999-12-29', '9999-12-30')
    """
    for slot in sorted(slots, key=lambda slot: slot.type != "time"):
        if slot.name not in held or slot.past:
            continue
        for values in _candidates(slot, str(held[slot.name].value), today):
            found: list[str] = []
            for value in values:
                tried = HeldValue(value, "asked", shown=value)
                if slot.accepts(value) and goes_on({**held, slot.name: tried}):
                    found.append(value)
                if len(found) == MOST:
                    break
            if len(found) > 1:
                return slot, tuple(sorted(found))
    return None


def _candidates(slot: Slot, refused: str, today: datetime.date) -> Iterator[list[str]]:
    """Values by their distance from the refused one, of two as near the later first."""
    if slot.type == "time":
        at = int(refused[:2]) * 60 + int(refused[3:5])
        for step in _STEPS_MINUTES:
            near = [each for each in range(0, 1440, step) if 0 < abs(each - at) <= _NEAR_MINUTES]
            near.sort(key=lambda minute: (abs(minute - at), minute < at))
            yield [f"{minute // 60:02}:{minute % 60:02}" for minute in near]
    if slot.type == "date":
        distances = sorted(range(-_NEAR_DAYS, _NEAR_DAYS + 1), key=lambda days: (abs(days), -days))
        day = datetime.date.fromisoformat(refused).toordinal()
        possible = range(today.toordinal(), datetime.date.max.toordinal() + 1)
        days = [day + each for each in distances if each and day + each in possible]
        yield [datetime.date.fromordinal(each).isoformat() for each in days]
