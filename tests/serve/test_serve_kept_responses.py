"""Kept responses: bounded in number and size, the oldest first to go, with their items."""

from dataclasses import replace
from typing import Any

import pytest

from groundup.http.limits import Limits
from groundup.serve.requests import RequestError
from groundup.serve.responses.kept import KeptResponses

ASKED = [{"role": "user", "content": "Hello"}]


def response(number: int, text: str = "Good day") -> dict[str, Any]:
    return {
        "id": f"resp_{number}",
        "output": [{"type": "message", "id": f"msg_{number}", "content": text}],
    }


def test_the_oldest_responses_go_first_with_their_items() -> None:
    kept = KeptResponses(replace(Limits(), kept_responses=2))
    for number in range(3):
        kept.keep(response(number), ASKED)
    assert kept.item("msg_0") is None and kept.item("msg_2") == response(2)["output"][0]
    assert kept.find("resp_2").items == (*ASKED, *response(2)["output"])
    with pytest.raises(RequestError, match="not found") as error:
        kept.find("resp_0", "previous_response_id")
    assert (error.value.status, error.value.param) == (404, "previous_response_id")


def test_their_size_is_bounded_together_and_each() -> None:
    kept = KeptResponses(replace(Limits(), kept_characters=1000))
    for number in range(50):
        kept.keep(response(number, "a" * 300), ASKED)
    held = [number for number in range(50) if kept.item(f"msg_{number}") is not None]
    assert held == [48, 49]
    kept.keep(response(99, "a" * 2000), ASKED)
    assert kept.item("msg_99") is None and kept.item("msg_49") is not None


def test_what_is_removed_makes_room() -> None:
    kept = KeptResponses(replace(Limits(), kept_characters=1000))
    for number in range(50):
        kept.keep(response(number, "a" * 300), ASKED)
        kept.remove(f"resp_{number}")
    kept.keep(response(50), ASKED)
    assert kept.item("msg_50") is not None
