"""The actions of assistants as tools of MCP, with the official client: typed values, rules, and nothing
done that was not confirmed, nor twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acting_build import make_acting_build
from lazy_module import LazyModule
from test_serve_keys import CLINIC, OPERATOR, SHOP
from test_serve_mcp import with_client

mcp = LazyModule("mcp")

VISIT = {"kind": "check-up", "date": "2031-03-05", "time": "11:00", "name": "Ada Brook"}
BOOK = "book_appointment"


class Acting:
    """A clinic that acts, for the operator and two keys, of which one may use the assistant."""

    def __init__(self, folder: Path, serve: Callable[..., Any]) -> None:
        self.build = make_acting_build(folder / "clinic")
        keys = folder / "keys.toml"
        keys.write_text(
            f'[desk]\nkey = "{CLINIC}"\nassistants = ["clinic"]\n'
            f'[reader]\nkey = "{SHOP}"\nindexes = ["clinic"]\n'
        )
        keys.chmod(0o600)
        access = ("--api-key", OPERATOR, "--keys", str(keys))
        self.server = serve(
            str(self.build), "--mcp", "http", "--customer-header", "X-Customer", *access
        )

    def rows(self, where: str = "date > '2031'") -> int:
        with contextlib.closing(sqlite3.connect(self.build / "world.sqlite")) as database:
            found = f"SELECT count(*) FROM appointment WHERE {where}"
            return int(database.execute(found).fetchone()[0])

    def calls(
        self, *calls: dict[str, Any], key: str = CLINIC, tool: str = BOOK, **headers: str
    ) -> list[Any]:
        """The results of calls, one after another; True for a confirmation is that of the call before."""

        async def use(client: mcp.Client) -> list[Any]:
            results: list[Any] = []
            for call in calls:
                if call.get("confirmation") is True:
                    call = {**call, "confirmation": results[-1].structured_content["confirmation"]}
                results.append(await client.call_tool(tool, call))
            return results

        return list(with_client(self, key, use, **headers))


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]) -> Acting:
    return Acting(tmp_path_factory.mktemp("acting"), serve)


def tools(acting: Acting, key: str) -> dict[str, Any]:
    async def use(client: mcp.Client) -> Any:
        return (await client.list_tools()).tools

    return {tool.name: tool for tool in with_client(acting, key, use)}


def test_each_action_is_a_tool_of_those_who_may_use_the_assistant(acting: Acting) -> None:
    found = tools(acting, CLINIC)
    assert (
        set(found) == {"search", "ask", BOOK, "cancel_appointment"} == set(tools(acting, OPERATOR))
    )
    schema = found[BOOK].input_schema
    assert schema["required"] == ["kind", "date", "time", "name"]
    assert schema["properties"]["kind"]["enum"] == ["check-up", "hygiene visit"]
    assert schema["properties"]["date"]["format"] == "date"
    assert "Only once they agree" in found[BOOK].description
    assert not found[BOOK].annotations.read_only_hint
    assert set(tools(acting, SHOP)) == {"search", "ask"}
    [refused] = acting.calls(VISIT, key=SHOP)
    assert refused.is_error and "there is no tool" in refused.content[0].text


def test_first_shown_then_done_and_once(acting: Acting) -> None:
    shown, done, again = acting.calls(
        VISIT, {**VISIT, "confirmation": True}, {**VISIT, "confirmation": "later"}
    )
    sentence = (
        "A check-up on Wednesday 5 March 2031 at 11:00 in the name of Ada Brook: shall I book it?"
    )
    assert shown.structured_content["text"] == sentence and not shown.is_error
    assert shown.structured_content["values"]["date"] == "Wednesday 5 March 2031"
    assert shown.structured_content["confirmation"] in shown.content[0].text
    assert done.structured_content["state"] == "done" and acting.rows() == 1
    assert done.structured_content["reference"] in done.content[0].text
    assert again.structured_content["text"].startswith("That time is taken")
    confirmed = {**VISIT, "confirmation": shown.structured_content["confirmation"]}
    [repeated] = acting.calls(confirmed)
    assert repeated.structured_content == done.structured_content and acting.rows() == 1


def test_who_is_signed_in_is_what_the_front_end_says(acting: Acting) -> None:
    visit = {**VISIT, "time": "16:00"}
    [shown] = acting.calls(visit, **{"X-Customer": "7"})
    yes = {**visit, "confirmation": shown.structured_content["confirmation"]}
    [other] = acting.calls(yes, **{"X-Customer": "8"})
    assert other.structured_content["state"] == "confirm"
    [done] = acting.calls(yes, **{"X-Customer": "7"})
    reference = done.structured_content["reference"]
    with contextlib.closing(sqlite3.connect(acting.build / "world.sqlite")) as database:
        found = "SELECT customer FROM audit WHERE reference = ?"
        assert database.execute(found, (reference,)).fetchall() == [("7",)]


@pytest.mark.parametrize("confirmation", ["forged", "mcp forged", "Yes", "x" * 64])
def test_nothing_is_done_without_the_confirmation_of_these_values(
    acting: Acting, confirmation: str
) -> None:
    other = {**VISIT, "time": "12:00"}
    before = acting.rows()
    forged, again = acting.calls(*2 * [{**other, "confirmation": confirmation}])
    for result in (forged, again):
        assert result.structured_content["state"] == "confirm"
        assert result.structured_content["confirmation"] != confirmation
    shown, changed = acting.calls(other, {**other, "name": "Eve", "confirmation": True})
    assert shown.structured_content["state"] == changed.structured_content["state"] == "confirm"
    assert "Eve" in changed.structured_content["text"]
    stolen = {**other, "confirmation": shown.structured_content["confirmation"]}
    [foreign] = acting.calls(stolen, key=OPERATOR)
    assert foreign.structured_content["state"] == "confirm" and acting.rows() == before


def test_a_rule_refuses_whatever_is_confirmed(acting: Acting) -> None:
    sunday = {**VISIT, "date": "2031-03-09"}
    refused, again = acting.calls(sunday, {**sunday, "confirmation": "Yes"})
    for result in (refused, again):
        assert result.structured_content["state"] == "refused"
        assert result.structured_content["rule"]["document"] == "opening-hours.md"
        assert "confirmation" not in result.structured_content
    assert acting.rows("date = '2031-03-09'") == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "surgery"}, "kind: "),
        ({"date": "5 March 2031"}, "date: "),
        ({"date": "2031-02-30"}, "date: "),
        ({"time": "25:00"}, "time: "),
        ({"name": ""}, "name: "),
        ({"name": "a" * 100}, "name: "),
        ({"name": ["Ada"]}, "name: "),
        ({"name": None}, "name: is missing"),
        ({"reference": "KB2M7Q"}, "reference: is unknown"),
        ({"customer": "someone"}, "customer: is unknown"),
        ({"confirmation": 3}, "confirmation: "),
        ({"confirmation": "x" * 100}, "confirmation: "),
    ],
)
def test_a_value_that_is_none_is_refused(acting: Acting, change: dict[str, Any], says: str) -> None:
    before = acting.rows()
    [result] = acting.calls({**VISIT, "time": "14:00", **change})
    assert result.is_error and says in result.content[0].text and acting.rows() == before


def test_asking_does_nothing(acting: Acting) -> None:
    before = acting.rows("1")

    async def use(client: mcp.Client) -> list[str]:
        asked = "Book a check-up on 6 March 2031 at 11:00 in the name of Ada Brook"
        first = await client.call_tool("ask", {"question": asked})
        second = await client.call_tool("ask", {"question": "Yes", "earlier": [asked]})
        return [each.content[0].text for each in (first, second)]  # type: ignore[union-attr]

    said = with_client(acting, CLINIC, use)
    assert not any("shall I book it" in each for each in said) and acting.rows("1") == before
