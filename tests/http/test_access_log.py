"""The access log: a line a request, but for the files of the page."""

import asyncio

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from groundup.http.access_log import AccessLog, Metrics


@pytest.mark.parametrize(
    ("path", "status", "lines"),
    [("/page/app.js", 200, 0), ("/page/app.js", 304, 0), ("/page/none", 404, 1), ("/", 200, 1)],
)
def test_files_of_the_page_are_counted_and_not_listed(path: str, status: int, lines: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=status)(scope, receive, send)

    async def nothing(*_: object) -> None: ...

    said: list[str] = []
    metrics = Metrics()
    log = AccessLog(app, metrics, lambda _: False, said.append)
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    asyncio.run(log(scope, nothing, nothing))
    assert len(said) == lines
    assert (
        f'groundup_requests_total{{route="other",status="{status}"}} 1.0' in metrics.text().decode()
    )
