"""Who may do what with packages, that all of it is described, and what is told of a configuration that is none."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.hocon import ConfigReader
from jobdeck_server.dialects.v1.packages import PackageRoutes
from jobdeck_server.http.message import Request, Response, Role


def test_looking_and_changing_have_roles_of_their_own() -> None:
    routes = PackageRoutes(SimpleNamespace(), ConfigReader()).routes()  # type: ignore[arg-type]  # nothing is asked
    for route in routes:
        assert route.role is (Role.VIEW if route.method == "GET" else Role.RUN)
        assert route.doc["responses"]
    assert [(route.method, route.pattern) for route in routes] == [
        ("GET", "/v1/packages"),
        ("GET", "/v1/packages/{name}"),
        ("PUT", "/v1/packages/{name}"),
        ("DELETE", "/v1/packages/{name}"),
        ("POST", "/v1/config"),
    ]


class Reader:
    """Reads nothing."""

    limit_bytes = 100

    def __init__(self, why: str) -> None:
        self._why = why

    def room(self, size_bytes: int | None) -> AbstractContextManager[None]:
        assert size_bytes is None
        return nullcontext()

    async def read(self, body: bytes) -> Any:
        raise BadRequestError(self._why)


class Body:
    async def read(self, limit_bytes: int) -> bytes:
        assert limit_bytes == 100
        return b"x"


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("Cannot parse config: no.", b'{"ok":false,"error":"no.","line":null,"column":null}'),
        ("Cannot parse config: line 3: no:\nno.", b'{"ok":false,"error":"no:\\nno.","line":3,"column":null}'),
        ("Cannot parse config: line 3, column 12: no", b'{"ok":false,"error":"no","line":3,"column":12}'),
        ("Otherwise", b'{"ok":false,"error":"Otherwise","line":null,"column":null}'),
    ],
)
async def test_where_a_configuration_is_wrong(why: str, told: bytes) -> None:
    routes = PackageRoutes(SimpleNamespace(), Reader(why))  # type: ignore[arg-type]  # enough of them
    answer = await routes.config(Request(method="POST", path="/v1/config", query="", body=Body()))  # type: ignore[arg-type]  # enough of a body
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (200, told + b"\n")
