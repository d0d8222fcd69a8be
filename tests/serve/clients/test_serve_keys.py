"""Several keys on a real server: each sees its own packs and indexes, a public one asks its assistant and nothing else."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_models import save_language
from test_serve_assistant import FIRM, QUESTION, RECIPE, TEXT, make_build, turn

from groundup.cli.main import run
from groundup.cli.serve_options import AccessOptions, script_tags
from groundup.data.reading.source_files import Source
from groundup.http.keys import public_keys
from groundup.progress import Silent
from groundup.retrieve.update import update_index

SITE, ELSEWHERE = "https://clinic.example", "https://elsewhere.example"
OPERATOR, CLINIC, SHOP = "operator", "clinic-0123456789abcdef", "shop-0123456789abcdef"
PUBLIC, NARROW = "pk-clinic-0123456789", "pk-narrow-0123456789"
LISTED = ["--api-key", SHOP, "--cors", SITE]
KEYS = f"""
[clinic]
key = "{CLINIC}"
models = ["clinic:chat"]
assistants = ["clinic"]

[shop]
sha256 = "{hashlib.sha256(SHOP.encode()).hexdigest()}"
models = ["tiny"]
assistants = ["shop"]
indexes = ["manuals"]

[site]
key = "{PUBLIC}"
public = true
assistants = ["clinic"]
requests_per_minute = 100000
requests_per_minute_and_address = 100000

[narrow]
key = "{NARROW}"
public = true
assistants = ["shop"]
origins = ["{SITE}"]
requests_per_minute = 2
"""
STAFF_TEXT = "# For staff\n\nThe safe behind the desk opens with 480517.\n"
SAFE = "What opens the safe behind the desk?"
# A minute of an hour: the third question comes within it, however busy the machine is.
LONG_MINUTE = "from groundup.http import guard; guard.MINUTE_S = 3600.0"
SHOP_TEXT = "# Hours\n\nThe shop for kites opens at 7:15.\n"


class Keyed:
    """A server of two packs, a model and an index, for the operator and four further keys."""

    def __init__(self, folder: Path, serve: Callable[..., Any], *options: str) -> None:
        firm = Path(shutil.copytree(FIRM, folder / "firm"))
        (firm / "staff-safe.md").write_text(STAFF_TEXT)
        self.clinic = make_build(folder / "clinic", firm)
        (self.clinic / "recipe.toml").write_text(f'{RECIPE}staff_documents = ["Staff-*"]\n')
        for name in ("kites", "manuals"):
            (folder / name).mkdir()
            (folder / name / "hours.md").write_text(SHOP_TEXT)
        self.shop = make_build(folder / "shop", folder / "kites")
        (self.shop / "recipe.toml").write_text(RECIPE.replace("Pebblegate", "Kiteworks"))
        manuals = folder / "manuals.index"
        update_index(manuals, [Source(str(folder / "manuals"))], progress=Silent())
        self.keys = folder / "keys.toml"
        self.keys.write_text(KEYS)
        self.keys.chmod(0o600)
        models = [str(self.clinic), str(self.shop), str(save_language(folder / "tiny"))]
        access = ["--api-key", OPERATOR, "--keys", str(self.keys), "--cors", SITE]
        indexes = ["--index", str(manuals)]
        self.server = serve(*models, *indexes, *access, *options, first=LONG_MINUTE)

    def ask(self, key: str, path: str, body: Any = None, **options: Any) -> Any:
        method = options.pop("method", "GET" if body is None else "POST")
        headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
        address = self.server.address + path
        return httpx.request(method, address, json=body, headers=headers, timeout=60)

    def page(self, path: str, body: Any = None, *, key: str = PUBLIC, origin: str = "") -> Any:
        """A request of a page: of the frame, or of a site."""
        return self.ask(key, path, body, headers={"origin": origin or self.server.address})


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]) -> Keyed:
    return Keyed(tmp_path_factory.mktemp("keyed"), serve)


def lists(keyed: Keyed, key: str) -> dict[str, list[str]]:
    """What each list of each API names to a key."""

    def read(path: str, field: str, name: str) -> list[str]:
        return sorted(each[name] for each in keyed.ask(key, path).json()[field])

    return {
        "v1": read("/v1/models", "data", "id"),
        "tags": read("/api/tags", "models", "name"),
        "page": read("/groundup/models", "models", "name"),
        "assistants": read("/groundup/assistants", "assistants", "name"),
        "indexes": read("/groundup/indexes", "indexes", "name"),
    }


@pytest.mark.parametrize(
    ("key", "models", "assistants", "indexes"),
    [
        (CLINIC, ["clinic:chat", "clinic:latest"], ["clinic:latest"], ["clinic"]),
        (SHOP, ["shop:latest", "tiny:latest"], ["shop:latest"], ["manuals", "shop"]),
    ],
)
def test_lists_have_what_the_key_may_use(
    keyed: Keyed, key: str, models: list[str], assistants: list[str], indexes: list[str]
) -> None:
    found = lists(keyed, key)
    assert found["v1"] == found["tags"] == found["page"] == models
    assert (found["assistants"], found["indexes"]) == (assistants, indexes)
    everything = lists(keyed, OPERATOR)
    assert len(everything["v1"]) == 5 and everything["indexes"] == ["clinic", "manuals", "shop"]


def test_what_is_in_memory_is_shown_to_its_own_clients(keyed: Keyed) -> None:
    body = {"model": "tiny", "prompt": "a", "options": {"num_predict": 1}, "stream": False}
    assert keyed.ask(SHOP, "/api/generate", body).status_code == 200
    names = {key: keyed.ask(key, "/api/ps").json()["models"] for key in (SHOP, CLINIC)}
    assert [each["name"] for each in names[SHOP]] == ["tiny:latest"] and names[CLINIC] == []


def requests_for(model: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every route of the three APIs and of the page that takes a model."""
    chat, text = {"messages": turn("hi")}, {"input": "hi"}
    names = {"source": model, "destination": "mine"}
    found = [
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/completions", {"prompt": "hi"}),
        ("POST", "/v1/embeddings", text),
        ("POST", "/v1/classify", text),
        ("POST", "/v1/responses", text),
        ("GET", f"/v1/models/{model}", {}),
        ("POST", "/api/generate", {"prompt": "hi"}),
        ("POST", "/api/generate", {}),
        ("POST", "/api/chat", chat),
        ("POST", "/api/embed", text),
        ("POST", "/api/embeddings", {"prompt": "hi"}),
        ("POST", "/api/show", {}),
        ("POST", "/api/pull", {}),
        ("POST", "/chat/completions", chat),
        ("POST", "/v1/sonar", chat),
        ("POST", "/groundup/ask", {"assistant": model, "question": "hi"}),
        ("POST", "/groundup/ask", {"question": "hi"}),
        ("POST", "/groundup/inside", {"text": "hi"}),
        ("POST", "/groundup/heads", {}),
        ("POST", "/groundup/why", {"text": "hi"}),
        ("POST", "/api/copy", names),
        ("POST", "/api/create", {"from": model}),
        ("DELETE", "/api/delete", {}),
    ]
    return [(method, path, {"model": model, **body}) for method, path, body in found]


@pytest.mark.parametrize("model", ["shop", "shop:chat", "SHOP", "tiny"])
def test_another_packs_models_are_unknown_on_every_route(keyed: Keyed, model: str) -> None:
    for method, path, body in requests_for(model):
        options = {"method": method}
        answer = keyed.ask(CLINIC, path, None if method == "GET" else body, **options)
        by_operator = path in ("/api/copy", "/api/create", "/api/delete")
        assert answer.status_code == (403 if by_operator else 404), (path, answer.text)
        assert "Kiteworks" not in answer.text and "tiny:" not in answer.text
    assert "shop:latest" in lists(keyed, OPERATOR)["v1"]


def test_another_packs_documents_are_not_found(keyed: Keyed) -> None:
    chat = {"messages": turn("When does the shop open?"), "model": "clinic:chat"}
    for index in ("shop", "manuals", "../shop", "clinic2"):
        asked = [
            ("/search", {"query": "kites", "index": index}),
            ("/chat/completions", {**chat, "index": index}),
            ("/groundup/ask", {"question": "When does the shop open?", "index": index}),
        ]
        for path, body in asked:
            answer = keyed.ask(CLINIC, path, body)
            assert answer.status_code == 404 and "7:15" not in answer.text, (path, answer.text)
    for id in range(1, 4):
        for key in (CLINIC, PUBLIC):
            for index in ("shop", "manuals"):
                headers = {"origin": keyed.server.address}
                answer = keyed.ask(key, f"/groundup/passages/{index}/{id}", headers=headers)
                assert answer.status_code == 404 and "7:15" not in answer.text
    found = keyed.ask(CLINIC, "/search", {"query": "kites opens"}).json()["results"]
    assert all("/groundup/passages/clinic/" in each["url"] for each in found)
    found = keyed.ask(SHOP, "/search", {"query": "kites opens"}).json()["results"]
    assert found and all("/groundup/passages/manuals/" in each["url"] for each in found)


def test_the_key_of_a_pack_may_use_it_in_every_api(keyed: Keyed) -> None:
    body = {"model": "clinic", "messages": turn(QUESTION), "stream": False}
    said = keyed.ask(CLINIC, "/v1/chat/completions", body).json()["choices"][0]["message"]
    assert said["content"].startswith(TEXT)
    assert keyed.ask(CLINIC, "/api/chat", body).json()["message"]["content"].startswith(TEXT)
    for model in ("clinic", "sonar"):  # Perplexity's name stands for the key's first model
        said = keyed.ask(CLINIC, "/chat/completions", {**body, "model": model}).json()
        assert said["choices"][0]["message"]["content"] == TEXT
    url = said["search_results"][0]["url"].removeprefix(keyed.server.address)
    assert "£690" in keyed.ask(CLINIC, url).json()["text"]
    assert keyed.ask(SHOP, url).status_code == 404


def test_responses_are_found_with_the_key_that_asked(keyed: Keyed) -> None:
    body = {"model": "clinic", "input": QUESTION}
    id = keyed.ask(CLINIC, "/v1/responses", body).json()["id"]
    assert keyed.ask(CLINIC, f"/v1/responses/{id}").status_code == 200
    for key in (SHOP, OPERATOR):
        assert keyed.ask(key, f"/v1/responses/{id}").status_code == 404
        assert keyed.ask(key, f"/v1/responses/{id}", method="DELETE").status_code == 404
    follows = {"model": "shop", "input": "And?", "previous_response_id": id}
    assert keyed.ask(SHOP, "/v1/responses", follows).status_code == 404


def test_what_all_do_together_is_for_the_operator(keyed: Keyed) -> None:
    assert keyed.ask(OPERATOR, "/metrics").status_code == 200
    assert keyed.ask(CLINIC, "/metrics").status_code == 404
    assert keyed.ask(CLINIC, "/healthz").status_code == 200


def test_a_public_key_asks_its_assistant(keyed: Keyed) -> None:
    for origin in ("", SITE):
        answer = keyed.page(
            "/groundup/ask", {"assistant": "clinic", "question": QUESTION}, origin=origin
        )
        *_, last = map(json.loads, answer.text.splitlines())
        assert answer.status_code == 200 and last["answer"] == TEXT
        assert answer.headers.get("access-control-allow-origin") == (origin or None)
        assert "set-cookie" not in answer.headers
    first = json.loads(answer.text.splitlines()[0])
    assert "£690" in keyed.page(first["sources"][0]["url"]).json()["text"]
    rated = keyed.page("/groundup/feedback", {"reply": "1", "rating": "up"})
    assert rated.status_code == 404 and "--feedback" in rated.text  # which this server lacks
    [entry] = keyed.page("/groundup/assistants").json()["assistants"]
    assert entry["organisation"] == "Pebblegate"


def test_a_public_key_sees_no_document_for_staff_neither_by_a_question_nor_by_number(
    keyed: Keyed,
) -> None:
    body = {"assistant": "clinic", "question": SAFE}
    found = keyed.ask(CLINIC, "/groundup/ask", body)
    assert "480517" in found.text
    [place] = {each["url"] for each in json.loads(found.text.splitlines()[0])["sources"]
               if each["document"] == "staff-safe.md"}  # fmt: skip
    assert "480517" in keyed.ask(CLINIC, place).text
    hidden = keyed.page(place)
    gone = keyed.page("/groundup/passages/clinic/999999")
    assert (hidden.status_code, hidden.text) == (gone.status_code, gone.text)
    assert gone.status_code == 404
    for question in (SAFE, "safe desk opens", "staff rules", "I want to speak to a person"):
        answer = keyed.page("/groundup/ask", {**body, "question": question})
        assert answer.status_code == 200
        assert "480517" not in answer.text and "staff-safe" not in answer.text


def test_a_public_key_does_nothing_else(keyed: Keyed) -> None:
    others = [(method, path) for method, path, _ in requests_for("clinic")]
    others += [("POST", "/search"), ("GET", "/v1/models"), ("GET", "/api/tags")]
    others += [("GET", "/api/version"), ("GET", "/api/ps"), ("GET", "/"), ("GET", "/metrics")]
    others += [("GET", "/healthz"), ("GET", "/groundup/models"), ("GET", "/groundup/indexes")]
    others += [("GET", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1")]
    others += [("POST", "/page/../v1/models"), ("GET", "/embed.js/../v1/models")]
    others += [("POST", "/api/push"), ("POST", "/nothing"), ("GET", "/groundup/passages")]
    for method, path in {each for each in others if each[1] != "/groundup/ask"}:
        options = {"method": method, "headers": {"origin": keyed.server.address}}
        body = {"model": "clinic", "input": "a", "prompt": "a", "messages": turn("a")}
        answer = keyed.ask(PUBLIC, path, None if method == "GET" else body, **options)
        assert answer.status_code == 403 and "nothing else" in answer.text, (path, answer.text)
    for body in (
        {"question": QUESTION},
        {"question": QUESTION, "index": "clinic"},
        {"question": QUESTION, "index": "clinic", "model": "clinic:chat"},
    ):
        assert keyed.page("/groundup/ask", body).status_code == 403
    for other in ("shop", "clinic:chat", "tiny"):
        answer = keyed.page("/groundup/ask", {"assistant": other, "question": QUESTION})
        assert answer.status_code == 404 and "shop:" not in answer.text


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        (PUBLIC, ELSEWHERE, 403),
        (PUBLIC, "http://localhost:1", 403),
        (PUBLIC, "null", 403),
        (PUBLIC, None, 403),
        ("pk-clinic-012345678", SITE, 401),
        ("pk", SITE, 401),
    ],
)
def test_a_public_key_of_another_page_or_of_none(
    keyed: Keyed, key: str, origin: str | None, status: int
) -> None:
    headers = {"origin": origin} if origin else {}
    body = {"assistant": "clinic", "question": QUESTION}
    answer = keyed.ask(key, "/groundup/ask", body, headers=headers)
    assert answer.status_code == status and "690" not in answer.text
    readable = answer.headers.get("access-control-allow-origin")
    assert readable in (None, SITE)


def test_too_many_questions_of_a_public_key(keyed: Keyed) -> None:
    body = {"assistant": "shop", "question": "When does the shop for kites open?"}
    answers = [keyed.page("/groundup/ask", body, key=NARROW, origin=SITE) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 1800
    assert "try again in" in answers[-1].json()["error"]["message"]
    assert keyed.page("/groundup/assistants").status_code == 200  # another key


def test_a_site_may_load_the_script_and_the_listed_ones_show_the_frame(keyed: Keyed) -> None:
    cross = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "no-cors",
        "sec-fetch-dest": "script",
    }
    script = keyed.server.get("/embed.js", headers=cross)
    assert script.status_code == 200 and "javascript" in script.headers["content-type"]
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"
    framed = {**cross, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    for assistant in ("clinic", "shop"):
        frame = keyed.server.get(f"/embed/{assistant}", headers=framed)
        policy = frame.headers["content-security-policy"]
        assert frame.status_code == 200 and f"frame-ancestors {SITE}" in policy
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "x-frame-options" not in frame.headers and "set-cookie" not in frame.headers
        assert 'id="assistant-question"' in frame.text and 'id="chat"' not in frame.text
        assert "Pebblegate" not in frame.text
    for path in ("/embed/tiny", "/embed/clinic:chat", "/embed/", "/embed/a/b", "/page/none.js"):
        answer = keyed.server.get(path, headers=framed)
        assert answer.status_code in (401, 403, 404)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert keyed.server.get("/page/embedded.js").status_code == 200
    refused = ("/", "/groundup/assistants", "/page", "/page/a/b", "/embed", "/v1/models")
    assert {keyed.server.get(path).status_code for path in refused} == {401}
    assert keyed.server.post("/embed/clinic").status_code == 401
    foreign = keyed.server.get("/embed.js", headers={"host": "evil.example"})
    assert foreign.status_code == 403


def test_without_public_keys_nothing_is_open(guarded: Any) -> None:
    for path in ("/embed.js", "/embed/tiny", "/page/embedded.js"):
        assert guarded.get(path).status_code == 401
        known = guarded.get(path, headers={"authorization": "Bearer secret"}).status_code
        assert known == (200 if path.startswith("/page/") else 404)


def test_behind_a_proxy_each_client_has_its_own_rate(
    keyed: Keyed, serve: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "keys.toml"
    rates = "requests_per_minute = 100\nrequests_per_minute_and_address = 1"
    file.write_text(KEYS.replace("requests_per_minute = 2", rates))
    file.chmod(0o600)
    proxied = ["--server-name", "assistant.example", "--proxy", "127.0.0.1"]
    access = ["--api-key", OPERATOR, "--keys", str(file), "--cors", SITE]
    served = [str(keyed.clinic), str(keyed.shop), str(keyed.shop.parent / "tiny")]
    manuals = keyed.shop.parent / "manuals.index"
    server = serve(*served, "--index", str(manuals), *access, *proxied, first=LONG_MINUTE)

    def status(address: str) -> int:
        headers = {"host": "assistant.example", "origin": "https://assistant.example"}
        headers |= {"authorization": f"Bearer {NARROW}", "x-forwarded-for": address}
        return int(server.get("/groundup/assistants", headers=headers).status_code)

    assert [status("192.0.2.1"), status("192.0.2.1"), status("192.0.2.2")] == [200, 429, 200]
    assert status("192.0.2.9, 192.0.2.1") == 429  # what a client writes itself counts for nothing


def test_a_derived_key_is_the_public_key_of_the_assistant(
    keyed: Keyed, serve: Callable[..., Any]
) -> None:
    public = ["--api-key", CLINIC, "--public-key", "clinic", "--cors", SITE]
    server = serve(str(keyed.clinic), *public)
    key = public_keys(["clinic"], CLINIC)["clinic"]
    headers = {"authorization": f"Bearer {key}", "origin": SITE}
    assert server.get("/groundup/assistants", headers=headers).status_code == 200
    assert server.get("/v1/models", headers=headers).status_code == 403


def test_the_tag_has_the_name_that_the_proxy_has() -> None:
    listen = AccessOptions(hosts=["assistant.example"])
    tag = '<script src="https://assistant.example/embed.js" data-assistant="a" data-key="k" async>'
    assert script_tags(listen, "http://127.0.0.1:1", {"a": "k"}, {"a": ""}) == f"{tag}</script>"
    tag = '<script src="http://127.0.0.1:1/embed.js"'
    german = script_tags(AccessOptions(), "http://127.0.0.1:1", {"a": "k"}, {"a": "de"})
    assert german.startswith(tag) and ' data-language="de" async>' in german


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--public-key", f"clinic={PUBLIC}"], "none of the operator"),
        (["--api-key", SHOP, "--public-key", "clinic"], "pages of no site"),
        (["--api-key", "k", "--public-key", "clinic"], "fewer than 16"),
        ([*LISTED, "--public-key", "clinick"], "assistant 'clinick'"),
        ([*LISTED, "--public-key", "clinic:chat"], "assistant 'clinic:chat'"),
        (["--api-key", "k", "--public-key", "clinic=pk-1"], "fewer than 16"),
        (["--api-key", "k", "--keys", "none.toml"], "none.toml"),
        (["--server-name", "assistant.example"], "no key was given"),
        (["--api-key", "k", "--server-name", "https://a.example"], "not a host name"),
        (["--api-key", "k", "--proxy", "*"], "'*' is not an address"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    keyed: Keyed, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(keyed.clinic), "--port", "0", *options]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('models = ["tiny2"]', "model 'tiny2'"),
        ('indexes = ["manual"]', "index 'manual'"),
        ('assistants = ["clinic:chat"]', "assistant 'clinic:chat'"),
    ],
)
def test_a_key_of_what_is_not_served_is_refused(
    keyed: Keyed, tmp_path: Path, line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[a]\nkey = "{CLINIC}"\n{line}\n')
    file.chmod(0o600)
    given = ["--port", "0", "--api-key", "k", "--keys", str(file)]
    assert run(["serve", str(keyed.clinic), *given]) == 2
    assert says in capsys.readouterr().err
