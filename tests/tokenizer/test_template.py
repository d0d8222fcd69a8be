"""A template from a model can't reach out, can't take all time or memory, and its own words are passed on."""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groundup.errors import ModelError
from groundup.limited_process import child_command
from groundup.tokenizer import sandbox, template
from groundup.tokenizer.special import CHATML_TEMPLATE
from groundup.tokenizer.template import close_templates, render_template, start_template

MESSAGES = [{"role": "user", "content": "Hi"}]


def rendered(text: str) -> str:
    return render_template(text, [{"messages": MESSAGES}])[0]


def test_a_template_is_rendered_for_each_variant() -> None:
    variants = [
        {"messages": MESSAGES},
        {"messages": [{"role": "user", "content": "日本 \N{GRINNING FACE}"}]},
    ]
    assert render_template("<{{ messages[0].content }}>", variants) == [
        "<Hi>",
        "<日本 \N{GRINNING FACE}>",
    ]


def test_what_models_expect_is_there() -> None:
    assert rendered("{{ messages | tojson }}") == json.dumps(MESSAGES)
    assert rendered("{{ strftime_now('%Y') | length }}") == "4"
    assert (
        rendered("{% for m in messages %}{% if loop.first %}1{% endif %}{% break %}{% endfor %}")
        == "1"
    )
    assert rendered("  {% if true %}\nyes\n  {% endif %}\n") == "yes\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for %}", "Expected an expression"),
        ("{{ nothing.at_all }}", "'nothing' is undefined"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "append"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages + 1 }}", "can only concatenate"),
        ("{{ 'x' * 10000000000 }}", "memory limit"),
        ("{{ '%9999999999d' | format(1) }}", "memory limit"),
        ("{{ 'x' * 5000000 }}", "more than 4,000,000 characters"),
        ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        (
            "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "memory limit",
        ),
    ],
)
def test_a_failing_template_is_told_in_its_own_words(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "MEMORY_BYTES", 2**28)  # sooner reached
    with pytest.raises(ModelError, match="chat template raised an error") as failure:
        rendered(text)
    assert words in failure.value.message
    assert failure.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 7 ** (10 ** 9) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}",
    ],
)
def test_a_template_that_takes_too_long_is_stopped(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "CPU_SECONDS", 0.3)
    with pytest.raises(ModelError, match="was stopped"):
        rendered(text)
    assert rendered("{{ messages[0].role }}") == "user"


def test_a_template_that_is_too_long_is_not_run() -> None:
    with pytest.raises(ModelError, match="200,001 characters"):
        rendered("x" * 200_001)


def test_a_process_that_was_killed_is_told_and_then_replaced() -> None:
    text = "{{ messages[0].content }}!"
    assert rendered(text) == "Hi!"
    os.kill(template._processes[(os.getpid(), text)].limited.process.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="was stopped"):
        rendered(text)
    assert rendered(text) == "Hi!"


def test_a_slow_template_holds_up_no_other_one_and_its_own_waiters_get_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(template, "CPU_SECONDS", 1.0)
    slow = "{% if messages %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}ok"

    def stopped() -> bool:
        with pytest.raises(ModelError, match="was stopped"):
            render_template(slow, [{"messages": MESSAGES}])
        return True

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(stopped)
        while not (started := template._processes.get((os.getpid(), slow))):
            time.sleep(0.01)
        while not started.limited.process:
            time.sleep(0.01)
        started.limited.process.send_signal(signal.SIGSTOP)  # it is not done before the other one
        behind = threads.submit(render_template, slow, [{"messages": []}])
        assert rendered("{{ messages[0].role }} at once") == "user at once"
        assert not first.done()
        started.limited.process.send_signal(signal.SIGCONT)
        assert first.result() and behind.result() == ["ok"]


def test_few_processes_are_kept_and_none_is_left() -> None:
    for number in range(template.KEPT_PROCESSES + 3):
        assert rendered(f"{number}") == str(number)
    kept = [kept.limited.process for kept in template._processes.values()]
    assert len(kept) == template.KEPT_PROCESSES
    template.close_templates()
    assert all(process.poll() is not None for process in kept)
    assert not template._processes


def test_our_own_template_needs_no_process() -> None:
    template.close_templates()
    assert rendered(CHATML_TEMPLATE) == "<|im_start|>user\nHi<|im_end|>\n"
    assert not template._processes


def test_the_process_gets_no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    template.close_templates()
    rendered("x")
    (process,) = template._processes.values()
    environment = Path(f"/proc/{process.limited.process.pid}/environ")
    if not environment.exists():
        pytest.skip("this system has no /proc")
    assert b"SOME_API_KEY" not in environment.read_bytes()


def test_the_process_ends_when_its_parent_is_gone() -> None:
    command = child_command(sandbox.__name__)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    first = {"memory_bytes": 2**30, "start": {"template": "x", "max_characters": 100}}
    out, _ = process.communicate(json.dumps(first).encode() + b"\n", timeout=120)
    assert (process.returncode, out) == (0, b"")


def test_a_process_is_started_before_it_is_asked_and_none_for_our_own_template() -> None:
    close_templates()
    own = "<<{{ messages[0].content }}>>"
    for each in (None, CHATML_TEMPLATE, own):
        start_template(each)
    for thread in threading.enumerate():
        if thread.name == "template":
            thread.join(timeout=120)
    assert [key[1] for key in template._processes] == [own]
    assert rendered(own) == "<<Hi>>"
