"""A plugin that makes every page slow: `pytest -m browser -p tests.slow_pages`.

Whatever comes late in a browser (a fetched document, an event that is told in a later turn, an observer's call) comes
0.4 s later here, so a test that reads before it waits fails each time and not once in fifty runs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

DELAY_MS = 400
TIMEOUT_MS = 40_000
"""A wait that nothing ends fails within it: pages are slow here, the machine is not."""

SCRIPT = """(() => {
  const late = new Set(["toggle", "beforetoggle", "message", "hashchange", "popstate", "resize", "close", "scroll", "storage"]);
  const later = (act) => setTimeout(act, DELAY);
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const slowed = new WeakMap();
  const slow = (handler) => {
    if (!slowed.has(handler)) slowed.set(handler, function (event) { later(() => handler.handleEvent?.(event) ?? handler.call(this, event)); });
    return slowed.get(handler);
  };
  EventTarget.prototype.addEventListener = function (kind, handler, ...rest) {
    return addEventListener.call(this, kind, handler && late.has(kind) ? slow(handler) : handler, ...rest);
  };
  EventTarget.prototype.removeEventListener = function (kind, handler, ...rest) {
    return removeEventListener.call(this, kind, slowed.get(handler) ?? handler, ...rest);
  };
  for (const name of ["IntersectionObserver", "ResizeObserver", "MutationObserver"]) {
    const observer = window[name];
    window[name] = class extends observer { constructor(act, ...rest) { super((...all) => later(() => act(...all)), ...rest); } };
  }
  const { fetch } = window;
  window.fetch = async (...all) => {
    const got = await fetch(...all);
    await new Promise(later);
    return got;
  };
})()""".replace("DELAY", str(DELAY_MS))


def _slow(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(self: Any, **options: Any) -> Any:
        found = make(self, **options)
        getattr(found, "context", found).add_init_script(SCRIPT)
        return found

    return made


def _short(set_timeout: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, timeout: set_timeout(self, min(timeout, TIMEOUT_MS))


@pytest.fixture(scope="session", autouse=True)
def slow_pages() -> Iterator[None]:
    from playwright.sync_api import Browser, BrowserContext, Page

    with pytest.MonkeyPatch.context() as patch:
        for name in ("new_context", "new_page"):
            patch.setattr(Browser, name, _slow(getattr(Browser, name)))
        for kind in (BrowserContext, Page):
            patch.setattr(kind, "set_default_timeout", _short(kind.set_default_timeout))
        yield
