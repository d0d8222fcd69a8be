"""LazyRoutes: routes that are imported by the first request that no other route answers."""

import asyncio
from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

from groundup.serve.worker import in_own_thread


class LazyRoutes(BaseRoute):
    """The last route of an app. A path with other methods than this one is refused as everywhere,
    since all routes are looked at once more.
    """

    def __init__(
        self, others: Sequence[BaseRoute], load: Callable[[], Sequence[BaseRoute]]
    ) -> None:
        self.routes: Sequence[BaseRoute] = ()
        """Once they are imported."""
        self._others, self._load = tuple(others), load
        self._router: Router | None = None
        self._loading = asyncio.Lock()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._loading:
            if self._router is None:
                self.routes = await in_own_thread(self._load)
                whole = [*self._others, *self.routes]
                self._router = Router(whole, redirect_slashes=False)
        await self._router(scope, receive, send)


def plain_paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    """Return the paths without a path parameter, of `LazyRoutes` those that are imported."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, LazyRoutes):
            found |= plain_paths(route.routes)
        elif isinstance(route, Route) and "{" not in route.path:
            found.add(route.path)
    return frozenset(found)
