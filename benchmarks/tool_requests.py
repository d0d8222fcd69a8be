"""Sixty requests over ten pairs of tools: of each pair, three that ask for the first tool and three for the second, with their arguments.

Every argument is in the request's words (a number, a name, a title), so that it can be compared; upper case, articles and outer spaces don't count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NUMBER = {"type": "integer"}
TEXT = {"type": "string"}
Arguments = dict[str, str | int]


@dataclass(frozen=True)
class Asked:
    """A request, the two tools that it comes with, and the right call."""

    text: str
    tools: tuple[dict[str, Any], dict[str, Any]]
    name: str
    arguments: Arguments


def tool(name: str, description: str, /, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return a tool whose arguments are all required."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


# Two tools; then (request, index of the right tool, its arguments).
PAIRS: tuple[
    tuple[tuple[dict[str, Any], dict[str, Any]], tuple[tuple[str, int, Arguments], ...]], ...
] = (
    (
        (
            tool("get_weather", "Get the weather in a city.", city=TEXT),
            tool("get_time", "Get the local time in a city.", city=TEXT),
        ),
        (
            ("What is the weather like in Paris?", 0, {"city": "Paris"}),
            ("Do I need an umbrella in Hamburg today?", 0, {"city": "Hamburg"}),
            ("How warm is it in Madrid?", 0, {"city": "Madrid"}),
            ("What time is it in Tokyo?", 1, {"city": "Tokyo"}),
            ("Tell me the local time in Chicago.", 1, {"city": "Chicago"}),
            ("Is it already evening in Sydney? What does the clock say?", 1, {"city": "Sydney"}),
        ),
    ),
    (
        (
            tool("add_event", "Add an event to the calendar.", title=TEXT, day=TEXT),
            tool("delete_event", "Remove an event from the calendar.", title=TEXT),
        ),
        (
            ("Put the dentist on Monday in my calendar.", 0, {"title": "dentist", "day": "Monday"}),
            ("Add lunch on Friday to the calendar.", 0, {"title": "lunch", "day": "Friday"}),
            ("I have choir on Tuesday, please note it.", 0, {"title": "choir", "day": "Tuesday"}),
            ("Cancel the dentist.", 1, {"title": "dentist"}),
            ("Remove yoga from my calendar.", 1, {"title": "yoga"}),
            ("The picnic is off, please delete it.", 1, {"title": "picnic"}),
        ),
    ),
    (
        (
            tool(
                "convert_currency",
                "Convert an amount of money.",
                amount=NUMBER,
                source=TEXT,
                target=TEXT,
            ),
            tool(
                "convert_length",
                "Convert a length to another unit.",
                value=NUMBER,
                source=TEXT,
                target=TEXT,
            ),
        ),
        (
            (
                "How many euros are 50 dollars?",
                0,
                {"amount": 50, "source": "dollars", "target": "euros"},
            ),
            ("Convert 200 yen to pounds.", 0, {"amount": 200, "source": "yen", "target": "pounds"}),
            (
                "Change 75 francs into dollars.",
                0,
                {"amount": 75, "source": "francs", "target": "dollars"},
            ),
            (
                "How many metres are 12 feet?",
                1,
                {"value": 12, "source": "feet", "target": "metres"},
            ),
            (
                "Convert 30 miles to kilometres.",
                1,
                {"value": 30, "source": "miles", "target": "kilometres"},
            ),
            (
                "What are 8 inches in centimetres?",
                1,
                {"value": 8, "source": "inches", "target": "centimetres"},
            ),
        ),
    ),
    (
        (
            tool("play_song", "Play a song.", title=TEXT),
            tool("set_volume", "Set the loudness of the music in percent.", level=NUMBER),
        ),
        (
            ("Play Yesterday.", 0, {"title": "Yesterday"}),
            ("I want to hear Imagine.", 0, {"title": "Imagine"}),
            ("Put on Hallelujah, please.", 0, {"title": "Hallelujah"}),
            ("Set the volume to 40 percent.", 1, {"level": 40}),
            ("Make it quieter, 15 percent.", 1, {"level": 15}),
            ("Turn it up to 90.", 1, {"level": 90}),
        ),
    ),
    (
        (
            tool("send_email", "Send an email.", to=TEXT, subject=TEXT),
            tool("call_phone", "Call somebody by phone.", name=TEXT),
        ),
        (
            ("Write an email to Anna about the budget.", 0, {"to": "Anna", "subject": "budget"}),
            ("Mail Peter, the subject is holidays.", 0, {"to": "Peter", "subject": "holidays"}),
            (
                "Send Maria an email with the subject invoice.",
                0,
                {"to": "Maria", "subject": "invoice"},
            ),
            ("Call Thomas.", 1, {"name": "Thomas"}),
            ("Ring Julia, please.", 1, {"name": "Julia"}),
            ("I want to talk to Ben on the phone.", 1, {"name": "Ben"}),
        ),
    ),
    (
        (
            tool(
                "switch_light",
                "Switch the light in a room on or off.",
                room=TEXT,
                state={"enum": ["on", "off"]},
            ),
            tool(
                "set_heating",
                "Set the temperature of a room in degrees.",
                room=TEXT,
                degrees=NUMBER,
            ),
        ),
        (
            ("Turn on the light in the kitchen.", 0, {"room": "kitchen", "state": "on"}),
            ("Lights off in the bedroom.", 0, {"room": "bedroom", "state": "off"}),
            ("It is dark in the hall, switch the light on.", 0, {"room": "hall", "state": "on"}),
            ("Heat the kitchen to 21 degrees.", 1, {"room": "kitchen", "degrees": 21}),
            ("Set the bedroom to 17 degrees.", 1, {"room": "bedroom", "degrees": 17}),
            ("I would like 23 degrees in the bathroom.", 1, {"room": "bathroom", "degrees": 23}),
        ),
    ),
    (
        (
            tool(
                "search_flights", "Find flights between two cities.", origin=TEXT, destination=TEXT
            ),
            tool("search_hotels", "Find hotels in a city.", city=TEXT, nights=NUMBER),
        ),
        (
            ("Find a flight from Berlin to Rome.", 0, {"origin": "Berlin", "destination": "Rome"}),
            ("How can I fly from Oslo to Lisbon?", 0, {"origin": "Oslo", "destination": "Lisbon"}),
            (
                "I need a plane from Vienna to Dublin.",
                0,
                {"origin": "Vienna", "destination": "Dublin"},
            ),
            ("Find a hotel in Prague for 3 nights.", 1, {"city": "Prague", "nights": 3}),
            ("I need a room in Athens for 5 nights.", 1, {"city": "Athens", "nights": 5}),
            ("Where can I stay in Warsaw for 2 nights?", 1, {"city": "Warsaw", "nights": 2}),
        ),
    ),
    (
        (
            tool("translate", "Translate a text into a language.", text=TEXT, language=TEXT),
            tool("define_word", "Look up the meaning of a word in the dictionary.", word=TEXT),
        ),
        (
            (
                "Translate good morning into French.",
                0,
                {"text": "good morning", "language": "French"},
            ),
            ("How do I say thank you in Spanish?", 0, {"text": "thank you", "language": "Spanish"}),
            ("What is goodbye in Italian?", 0, {"text": "goodbye", "language": "Italian"}),
            ("What does serendipity mean?", 1, {"word": "serendipity"}),
            ("Define entropy.", 1, {"word": "entropy"}),
            ("Look up the meaning of ephemeral.", 1, {"word": "ephemeral"}),
        ),
    ),
    (
        (
            tool(
                "add_to_cart", "Put articles into the shopping cart.", article=TEXT, quantity=NUMBER
            ),
            tool("track_order", "Find out where an order is.", number=NUMBER),
        ),
        (
            ("Put 3 candles into my cart.", 0, {"article": "candles", "quantity": 3}),
            ("I would like to buy 2 lamps.", 0, {"article": "lamps", "quantity": 2}),
            ("Add 10 pencils to the shopping cart.", 0, {"article": "pencils", "quantity": 10}),
            ("Where is my order 4711?", 1, {"number": 4711}),
            ("Has order 1234 been shipped?", 1, {"number": 1234}),
            ("Track order 9087.", 1, {"number": 9087}),
        ),
    ),
    (
        (
            tool("start_timer", "Start a timer of some minutes.", minutes=NUMBER),
            tool("set_alarm", "Set an alarm for a time of day, such as 06:30.", time=TEXT),
        ),
        (
            ("Set a timer for 10 minutes.", 0, {"minutes": 10}),
            ("The eggs need 6 minutes, start a timer.", 0, {"minutes": 6}),
            ("Count down 25 minutes.", 0, {"minutes": 25}),
            ("Wake me at 06:45.", 1, {"time": "06:45"}),
            ("Set an alarm for 14:30.", 1, {"time": "14:30"}),
            ("I have to get up at 05:15, set the alarm.", 1, {"time": "05:15"}),
        ),
    ),
)


def requests() -> Iterator[Asked]:
    """Yield all sixty; every other pair has its tools in the other order, so that "the first one" is right in half of them."""
    for place, (tools, rows) in enumerate(PAIRS):
        shown = tools if place % 2 == 0 else (tools[1], tools[0])
        for text, right, arguments in rows:
            yield Asked(text, shown, tools[right]["function"]["name"], arguments)


def same(found: Any, right: Arguments) -> bool:
    """Whether the arguments of a call are the right ones."""
    return isinstance(found, dict) and {name: _plain(value) for name, value in found.items()} == {
        name: _plain(value) for name, value in right.items()
    }


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.strip(" .").casefold().removeprefix("the ").removeprefix("a ")
