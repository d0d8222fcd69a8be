"""The airline of tau2-bench as a world of groundup's actions, and back.

database()                      the benchmark's db.json
fill_world(file, database)      its rows into the tables of tau2_firm/world.sql
state_of(file, database)        the tables as db.json has them
right_state(database, actions)  db.json after the actions that the benchmark names, by the benchmark's own tools

The tools are the package's (inspect_evals), run as they are; of inspect_ai, which they import and which is heavy, three names are put in
their place: an exception and the base of a model.
"""

import contextlib
import gzip
import hashlib
import json
import sqlite3
import sys
import types
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from retrieve_sets import INSPECT_EVALS

from groundup.fetch import fetch_package, members

AIRLINE = "inspect_evals/tau2/data/domains/airline/"
CODE = ("environment/db.py", "airline/data_model.py", "airline/AirlineAgentTools.py")
Json = dict[str, Any]


def part(pattern: str) -> bytes:
    """Return the one file of the package whose path fits a pattern."""
    return b"".join(found.read() for found in members(fetch_package(*INSPECT_EVALS), pattern))


def tasks(split: str) -> list[Json]:
    """Return the cases of a split ("train", "test"), in the order of the split."""
    listed = {case["id"]: case for case in json.loads(part(f"*{AIRLINE}tasks.json"))}
    return [listed[name] for name in json.loads(part(f"*{AIRLINE}split_tasks.json"))[split]]


def database() -> Json:
    """Return db.json."""
    found: Json = json.loads(gzip.decompress(part(f"*{AIRLINE}db.json.gz")))
    return found


def policy() -> str:
    """Return the policy that the rules keep."""
    return part(f"*{AIRLINE}policy.txt").decode()


def fill_world(file: Path, found: Json, cities: dict[str, str]) -> None:
    """Write the rows of a database into an empty world. `cities`: of each airport."""
    with sqlite3.connect(file) as base:

        def put(table: str, rows: list[tuple[Any, ...]]) -> None:
            marks = ",".join("?" * len(rows[0]))
            base.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

        put("airports", list(cities.items()))
        put("places", [(name, code) for code, city in cities.items() for name in (code, city)])
        _put_flights(put, found["flights"])
        people, methods, saved = [], [], []
        for name, user in found["users"].items():
            own = user["name"]
            people.append(
                (name, own["first_name"], own["last_name"], user["dob"], user["membership"])
            )
            saved += [
                (name, p["first_name"], p["last_name"], p["dob"]) for p in user["saved_passengers"]
            ]
            for place, (key, method) in enumerate(user["payment_methods"].items()):
                more = (method.get("amount"), method.get("brand", ""), method.get("last_four", ""))
                methods.append((name, key, method["source"], *more, place))
        put("users", people)
        put("methods", methods)
        put("saved_passengers", saved)
        places = {
            key: n for user in found["users"].values() for n, key in enumerate(user["reservations"])
        }
        for name, each in found["reservations"].items():
            _put_reservation(put, name, each, places.get(name, 0))
    base.close()


def _put_flights(put: Any, flights: Json) -> None:
    rows, days, seats = [], [], []
    for name, each in flights.items():
        departs, arrives = each["scheduled_departure_time_est"], each["scheduled_arrival_time_est"]
        rows.append(
            (name, each["origin"], each["destination"], departs, arrives[:8], int("+1" in arrives))
        )
        for day, state in each["dates"].items():
            days.append((name, day, state["status"]))
            for cabin, left in state.get("available_seats", {}).items():
                seats.append((name, day, cabin, left, state["prices"][cabin]))
    put("flights", rows)
    put("flight_days", days)
    put("seats", seats)


def _put_reservation(put: Any, name: str, each: Json, place: int) -> None:
    bags = (each["total_baggages"], each["nonfree_baggages"])
    route = (each["origin"], each["destination"], each["flight_type"], each["cabin"])
    put(
        "reservations",
        [
            (
                name,
                each["user_id"],
                *route,
                each["created_at"],
                *bags,
                each["insurance"],
                each.get("status"),
                place,
            )
        ],
    )
    legs = [
        (
            name,
            n,
            leg["flight_number"],
            leg["date"],
            leg["price"],
            leg["origin"],
            leg["destination"],
        )
        for n, leg in enumerate(each["flights"])
    ]
    put("legs", legs)
    put(
        "passengers",
        [
            (name, n, p["first_name"], p["last_name"], p["dob"])
            for n, p in enumerate(each["passengers"])
        ],
    )
    if each["payment_history"]:
        put(
            "payments",
            [(None, name, paid["payment_id"], paid["amount"]) for paid in each["payment_history"]],
        )


def state_of(file: Path, found: Json) -> Json:
    """Return the tables of a world as db.json has them; what no action can change is as in `found`."""
    made: Json = json.loads(json.dumps(found))
    base = sqlite3.connect(file)
    base.row_factory = sqlite3.Row
    for row in base.execute("SELECT * FROM seats"):
        made["flights"][row["flight"]]["dates"][row["day"]]["available_seats"][row["cabin"]] = row[
            "free"
        ]
    for user in made["users"].values():
        user["payment_methods"], user["reservations"] = {}, []
    for row in base.execute("SELECT * FROM methods ORDER BY user, place"):
        method = {"source": row["source"], "id": row["id"]}
        if row["source"] == "credit_card":
            method |= {"brand": row["brand"], "last_four": row["last_four"]}
        else:
            method["amount"] = row["amount"]
        made["users"][row["user"]]["payment_methods"][row["id"]] = method
    made["reservations"] = {}
    for row in base.execute("SELECT * FROM reservations ORDER BY user, place"):
        made["users"][row["user"]]["reservations"].append(row["id"])
        names = {
            "reservation_id": "id",
            "user_id": "user",
            "origin": "origin",
            "destination": "destination",
            "flight_type": "trip",
            "cabin": "cabin",
        }
        more = {
            "created_at": "made",
            "total_baggages": "bags",
            "nonfree_baggages": "paid_bags",
            "insurance": "insurance",
            "status": "status",
        }
        made["reservations"][row["id"]] = {
            key: row[column] for key, column in (names | more).items()
        }
        made["reservations"][row["id"]] |= {"flights": [], "passengers": [], "payment_history": []}
    for row in base.execute("SELECT * FROM legs ORDER BY reservation, number"):
        leg = {
            "origin": row["origin"],
            "destination": row["destination"],
            "flight_number": row["flight"],
            "date": row["day"],
            "price": row["price"],
        }
        made["reservations"][row["reservation"]]["flights"].append(leg)
    for row in base.execute("SELECT * FROM passengers ORDER BY reservation, number"):
        person = {"first_name": row["first"], "last_name": row["last"], "dob": row["born"]}
        made["reservations"][row["reservation"]]["passengers"].append(person)
    for row in base.execute("SELECT * FROM payments ORDER BY id"):
        made["reservations"][row["reservation"]]["payment_history"].append(
            {"payment_id": row["method"], "amount": row["amount"]}
        )
    base.close()
    return made


def right_state(found: Json, actions: list[Json]) -> Json:
    """Return db.json after the actions of a case, as the benchmark's scorer makes it."""
    tools, error = _tools()
    own = tools.AirlineAgentTools()
    own.db = tools.FlightDB.model_validate(found)
    for action in actions:
        if action["name"] in ("calculate", "transfer_to_human_agents"):
            continue
        with contextlib.suppress(error):  # as the benchmark does
            getattr(own, action["name"])(**action["arguments"])
    made: Json = own.db.model_dump()
    return made


def hash_of(state: Json) -> str:
    """Return the hash by which the benchmark's scorer compares databases, of what its models dump."""
    text = json.dumps(state, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _tools() -> tuple[Any, type[Exception]]:
    """Return the package's module of tools, and the exception that it raises."""
    name = "inspect_evals.tau2.airline.AirlineAgentTools"
    if name not in sys.modules:
        _module("inspect_ai")
        _module("inspect_ai.tool").ToolError = type("ToolError", (Exception,), {})
        _module("inspect_ai.util").__dict__.update(StoreModel=BaseModel, store_as=None)
        for package in ("", ".tau2", ".tau2.airline", ".tau2.environment"):
            _module(f"inspect_evals{package}").__path__ = []
        unused = ("TAU2_DATA_DIR", "dump_file", "load_file", "get_pydantic_hash")
        _module("inspect_evals.tau2.utils").__dict__.update(dict.fromkeys(unused))
        for code in CODE:
            made = _module(f"inspect_evals.tau2.{code.removesuffix('.py').replace('/', '.')}")
            exec(compile(part(f"*tau2/{code}"), code, "exec"), made.__dict__)  # of a fixed hash
    return sys.modules[name], sys.modules["inspect_ai.tool"].ToolError


def _module(name: str) -> Any:
    made = types.ModuleType(name)
    sys.modules[name] = made
    return made


def cities() -> dict[str, str]:
    """Return the city of each airport, as the benchmark's tools list them."""
    tools, _ = _tools()
    return {
        each["iata"]: each["city"]
        for each in json.loads(tools.AirlineAgentTools().list_all_airports())
    }
