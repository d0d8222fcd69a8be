"""Several keys: what a file of them may hold, which one was sent, from which pages, and how often."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_http_guard import ABROAD, ask, echo

from groundup.errors import ConfigError, FormatError
from groundup.http.access import Access, access_for
from groundup.http.guard import KEY, Guard, Rates, network_of
from groundup.http.keys import ClientKey, public_keys, read_keys

SITE, OTHER = "https://bank.example", "https://school.example"
DESK, PUBLIC = "desk-0123456789abcdef", "pk-0123456789abcdef0"
DIGEST = hashlib.sha256(DESK.encode()).hexdigest()
TABLES = f"""
[desk]
sha256 = "{DIGEST}"
models = ["bank:chat"]
requests_per_minute = 2

[site]
key = "{PUBLIC}"
public = true
assistants = ["bank"]
origins = ["{SITE}"]
requests_per_minute_and_address = 1
"""


def written(tmp_path: Path, text: str, name: str = "keys.toml", mode: int = 0o600) -> Path:
    file = tmp_path / name
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.fixture
def access(tmp_path: Path) -> Access:
    keys = read_keys(written(tmp_path, TABLES))
    return access_for("127.0.0.1", api_key="operator", keys=keys, local_pages=True, origins=[OTHER])


def bearer(key: str, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", **headers}


def test_a_file_in_toml_or_json(tmp_path: Path) -> None:
    desk, site = read_keys(written(tmp_path, TABLES))
    assert (desk.name, desk.sha256, desk.models) == ("desk", DIGEST, {"bank:chat"})
    assert desk.requests_per_minute == 2 and desk.requests_per_minute_and_address is None
    assert site.public and site.requests_per_minute == 300 and PUBLIC not in repr(site)
    plain = {"desk": {"key": DESK, "models": ["bank:chat"], "requests_per_minute": 2}}
    assert read_keys(written(tmp_path, json.dumps(plain), "keys.json")) == (desk,)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o660])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="can be read by other users") as refused:
        read_keys(written(tmp_path, TABLES, mode=mode))
    assert "chmod 600" in refused.value.fix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1 to 256 tables"),
        ("key = 3", "1 to 256 tables"),
        ("[a", "not TOML"),
        ("[a]\nkey = 'short'\nmodels = ['m']", "fewer than 16"),
        (f"[a]\nkey = ' {DESK}'\nmodels = ['m']", "begins or ends with a blank"),
        (f"[a]\nkey = '{DESK}'\nsha256 = '{DIGEST}'", "both"),
        (f"[a]\nsha256 = '{DIGEST[1:]}'\nmodels = ['m']", "64 hexadecimal"),
        ("[a]\nmodels = ['m']", "no `key`"),
        (f"[a]\nkey = '{DESK}'", "may use nothing"),
        (f"[a]\nkey = '{DESK}'\nmodel = ['m']", "Unknown field 'a.model'"),
        (f"[a]\nkey = '{DESK}'\nmodels = 'm'", "a.models"),
        (f"[a]\nkey = '{DESK}'\nmodels = ['m']\nrequests_per_minute = 0", "less than one"),
        (f"[a]\nkey = '{DESK}'\npublic = true\nassistants = ['m']\nmodels = ['m']", "lists models"),
        (f"[a]\nkey = '{DESK}'\npublic = true\nassistants = ['*']", "for all assistants"),
        (f"['../a']\nkey = '{DESK}'\nmodels = ['m']", "../a"),
        (
            f"[a]\nkey = '{DESK}'\nmodels = ['m']\n[b]\nkey = '{DESK}'\nmodels = ['m']",
            "are the sam",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises((ConfigError, FormatError), match=says.replace("*", ".")) as refused:
        read_keys(written(tmp_path, text))
    assert DESK not in refused.value.message


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(ConfigError, match="--keys"):
            read_keys(path)


def test_keys_need_an_operators_one_that_is_different(tmp_path: Path) -> None:
    keys = read_keys(written(tmp_path, TABLES))
    with pytest.raises(ConfigError, match="none of the operator"):
        access_for("127.0.0.1", keys=keys, is_open=True)
    with pytest.raises(ConfigError, match="are the same"):
        access_for("127.0.0.1", api_key=DESK, keys=keys)
    public = ClientKey("site", DIGEST, public=True, assistants=frozenset("b"))
    with pytest.raises(ConfigError, match="pages of no site"):
        access_for("127.0.0.1", api_key="k", keys=[public], local_pages=True)
    with pytest.raises(ConfigError, match="not an origin"):
        key = ClientKey("a", DIGEST, models=frozenset("m"), origins=frozenset(["bank.example"]))
        access_for("127.0.0.1", api_key="k", keys=[key])


def test_public_keys_are_given_or_derived_from_the_operators() -> None:
    operator = "operator-0123456"
    found = public_keys([f"bank={PUBLIC}", "school"], operator)
    assert found["bank"] == PUBLIC and len(found["school"]) == 35
    assert public_keys(["school"], operator)["school"] == found["school"]
    others = {public_keys(["bank"], operator)["bank"], *public_keys(["school"], DESK).values()}
    assert found["school"] not in others and len(others) == 2
    wrong = ((["bank=pk"], "fewer than 16"), (["bank", f"bank={PUBLIC}"], "twice"))
    for given, says in wrong:
        with pytest.raises(ConfigError, match=says):
            public_keys(given, operator)


def test_nobody_guesses_a_short_operators_key_by_a_public_one() -> None:
    with pytest.raises(ConfigError, match="that has fewer than 16"):
        public_keys(["bank"], "secret")
    assert public_keys([f"bank={PUBLIC}"], "secret") == {"bank": PUBLIC}


def test_the_app_learns_whose_key_it_was(access: Access) -> None:
    seen: list[str] = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        seen.append(scope[KEY].name)
        await echo(scope, receive, send)

    guard = Guard(app, access)
    for key in ("operator", DESK):
        assert ask(guard, headers=bearer(key)).status == 200
    assert ask(guard, headers=bearer(PUBLIC, origin=SITE)).status == 200
    assert seen == ["", "desk", "site"]
    for wrong in (DIGEST, "", "pk", f"{PUBLIC}x", PUBLIC[:-1]):
        assert ask(guard, headers=bearer(wrong)).status == 401


def test_a_wrong_key_of_a_script_makes_no_browser_ask_for_a_password(access: Access) -> None:
    answer = ask(Guard(echo, access), headers=bearer("wrong", origin="http://localhost:8765"))
    assert answer.status == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    assert ask(Guard(echo, access)).headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        (PUBLIC, SITE, 200),
        (PUBLIC, "http://localhost:8765", 200),  # its own frame
        (PUBLIC, OTHER, 403),
        (PUBLIC, ABROAD, 403),
        (PUBLIC, "http://localhost:3000", 403),  # a page of this machine
        (PUBLIC, "null", 403),
        (PUBLIC, "https://bank.example.evil.example", 403),
        (PUBLIC, "http://bank.example", 403),
        (PUBLIC, "https://bank.example:8443", 403),
        ("operator", SITE, 403),  # listed for the public key alone
        ("operator", OTHER, 200),
        ("operator", "http://localhost:3000", 200),
        (DESK, SITE, 403),
        (DESK, OTHER, 200),
    ],
)
def test_from_which_pages_a_key_may_be_used(
    access: Access, key: str, origin: str, status: int
) -> None:
    answer = ask(Guard(echo, access), headers=bearer(key, origin=origin))
    assert answer.status == status
    readable = status == 200 and origin != "http://localhost:8765"
    assert answer.headers.get("access-control-allow-origin") == (origin if readable else None)


def test_a_public_key_without_a_page_is_refused(access: Access) -> None:
    guard = Guard(echo, access)
    assert ask(guard, headers=bearer(PUBLIC)).status == 403
    assert ask(guard, headers=bearer(PUBLIC, **{"sec-fetch-site": "none"})).status == 403
    assert ask(guard, headers=bearer(PUBLIC, **{"sec-fetch-site": "same-origin"})).status == 200


def test_a_page_that_is_listed_for_a_key_may_ask_before_it_sends_it(access: Access) -> None:
    asked = {"access-control-request-headers": "authorization"}
    for origin, status in ((SITE, 204), (OTHER, 204), (ABROAD, 403)):
        answer = ask(Guard(echo, access), method="OPTIONS", headers={"origin": origin, **asked})
        assert answer.status == status


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_key_and_each_address_have_a_rate() -> None:
    clock = Clock()
    rates = Rates(clock)
    key = ClientKey("a", DIGEST, True, assistants=frozenset("b"), requests_per_minute=6)
    assert key.requests_per_minute_and_address == 6
    slow = ClientKey("s", DIGEST, models=frozenset("m"), requests_per_minute_and_address=2)
    free = ClientKey("f", DIGEST, models=frozenset("m"))
    assert [rates.wait_s(slow, "192.0.2.1") for _ in range(3)] == [0, 0, 30]
    assert rates.wait_s(slow, "192.0.2.2") == 0  # another client
    assert [rates.wait_s(key, f"192.0.2.{n}") for n in range(7)] == [0] * 6 + [10]
    assert rates.wait_s(free, "192.0.2.1") == 0
    clock.now_s += 9
    assert rates.wait_s(key, "192.0.2.9") == 1
    clock.now_s += 1  # refused requests count for nothing
    assert [rates.wait_s(key, "192.0.2.9") for _ in range(2)] == [0, 10]
    clock.now_s += 3600
    assert [rates.wait_s(key, f"192.0.2.{n}") for n in range(7)] == [0] * 6 + [10]


def test_one_network_is_one_client() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1")
    assert network_of("2001:db8:1:2::") != network_of("2001:db8:1:3::")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"


def test_too_many_requests_are_429_with_a_time(access: Access) -> None:
    guard = Guard(echo, access, rates=Rates(Clock()))
    headers = bearer(PUBLIC, origin=SITE)
    assert ask(guard, headers=headers).status == 200
    answer = ask(guard, headers=headers)
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert answer.headers["access-control-allow-origin"] == SITE
    assert [ask(guard, headers=bearer(DESK)).status for _ in range(3)] == [200, 200, 429]
    assert all(ask(guard, headers=bearer("operator")).status == 200 for _ in range(10))
    assert ask(guard, headers=bearer("wrong")).status == 401


def test_addresses_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundup.http.guard.MAX_COUNTS", 3)
    rates = Rates(Clock())
    key = ClientKey("s", DIGEST, models=frozenset("m"), requests_per_minute_and_address=1)
    for number in range(5):
        assert rates.wait_s(key, f"192.0.2.{number}") == 0
    assert rates.wait_s(key, "192.0.2.4") == 60 and rates.wait_s(key, "192.0.2.0") == 0
