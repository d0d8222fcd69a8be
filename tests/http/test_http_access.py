"""Access control: names, origins and keys, and that no server is opened to other machines by mistake."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.errors import ConfigError
from groundup.http.access import Access, access_for, host_name, is_same_origin

LOOPBACK = access_for("127.0.0.1")
OPEN = access_for("0.0.0.0", is_open=True, hosts=["Models.Example"])


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8765",
        "127.9.9.9",
        "[::1]:8765",
        "a.localhost",
        "localhost.",
    ],
)
def test_this_machine_is_called_by_its_own_names(name: str) -> None:
    assert LOOPBACK.admits_host(name)
    assert OPEN.admits_host(name)


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "",
        "a b",
        "localhost:x",
        "[::1",
    ],
)
def test_a_name_that_can_be_made_to_point_here_is_refused(name: str) -> None:
    assert not LOOPBACK.admits_host(name)
    assert not OPEN.admits_host(name)


def test_addresses_of_the_network_are_names_only_of_a_server_bound_to_it() -> None:
    assert not LOOPBACK.admits_host("192.168.1.5:8765")
    assert OPEN.admits_host("192.168.1.5:8765")
    assert OPEN.admits_host("models.example")


@given(st.text(max_size=40))
def test_any_host_header_gets_a_yes_or_a_no(authority: str) -> None:
    assert LOOPBACK.admits_host(authority) in (True, False)
    assert OPEN.admits_host(authority) in (True, False)


def test_own_origin_is_host_and_port() -> None:
    assert is_same_origin("http://localhost:8765", "localhost:8765")
    assert is_same_origin("https://models.example", "models.example:443")
    assert not is_same_origin("http://localhost:3000", "localhost:8765")
    assert not is_same_origin("null", "localhost:8765")
    assert not is_same_origin("file://", "localhost")
    assert host_name("[FE80::1]:80") == "fe80::1"


def test_a_link_from_elsewhere_may_be_followed_and_nothing_else() -> None:
    assert LOOPBACK.admits_site("cross-site", navigation=True)
    assert not LOOPBACK.admits_site("cross-site", navigation=False)
    assert not LOOPBACK.admits_site("same-site", navigation=False)
    assert LOOPBACK.admits_site("same-origin", navigation=False)
    assert LOOPBACK.admits_site("", navigation=False)


def test_key_comes_as_bearer_or_as_the_password_that_a_browser_asks_for() -> None:
    access = Access(loopback=True, api_key="sésame")
    basic = base64.b64encode("anyone:sésame".encode()).decode()
    for right in ("Bearer " + "sésame".encode().decode("latin-1"), f"Basic {basic}"):
        assert access.key_of(right) is access.operator
    for wrong in (
        "",
        "Bearer",
        "Bearer sesame",
        "sésame",
        f"Basic {basic[:-4]}",
        "Basic ***",
        "Digest x",
        "Bearer sésame x",
    ):
        assert access.key_of(wrong) is None, wrong
    assert LOOPBACK.key_of("Bearer whatever") is LOOPBACK.operator  # none is asked for


def test_beyond_loopback_a_key_or_open_is_required() -> None:
    with pytest.raises(
        ConfigError, match=r"`host` 0\.0\.0\.0 lets other machines connect.*`api_key`"
    ):
        access_for("0.0.0.0")
    with pytest.raises(ConfigError, match="`is_open`"):
        access_for("a-name.example")
    with pytest.raises(ConfigError, match=r"`api_key` has 1 characters.*guess.*openssl rand"):
        access_for("0.0.0.0", api_key="k")
    assert not access_for("0.0.0.0", api_key="k" * 16).loopback
    assert access_for("localhost").loopback
    assert access_for("::1").loopback


def test_an_origin_that_no_browser_would_send_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"'example\.org' is not an origin"):
        access_for("127.0.0.1", origins=["example.org"])
    assert access_for("127.0.0.1", origins=["https://a.example"]).lists("https://a.example")
    for name in ("https://a.example", "a.example:80", "a/b", ""):
        with pytest.raises(ConfigError, match="is not a host name"):
            access_for("127.0.0.1", hosts=[name])


@pytest.mark.parametrize(
    "origin", ["https://*.example", "https://*", "*", "app://*", "http://a.*:80"]
)
def test_an_origin_with_a_star_is_refused_as_it_would_match_none(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"has a \*: origins are compared whole.*List each"):
        access_for("127.0.0.1", origins=[origin])


@pytest.mark.parametrize(
    "origin", ["https://a b", "https://é.example", "https://a.example:x", "https://", "https://a/"]
)
def test_an_origin_of_no_host_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="is not an origin"):
        access_for("127.0.0.1", origins=[origin])


@pytest.mark.parametrize(
    ("key", "what"),
    [("", "is blank"), (" ", "is blank"), ("\t\n", "is blank"), (" k", "begins or ends"), ("k\n", "begins or ends"),
     ("a\0b", "control character")],
    ids=repr,
)  # fmt: skip
def test_a_key_that_no_client_could_send_is_refused(key: str, what: str) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(ConfigError, match=f"API key.*{what}"):
            access_for(host, api_key=key)
