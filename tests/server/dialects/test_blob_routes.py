"""Who may do what with blobs, and that all of it is described."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from jobdeck_server.dialects.v1.blobs import BlobRoutes
from jobdeck_server.http.message import Role
from jobdeck_server.settings import Settings


def test_looking_sending_and_cleaning_up_have_roles_of_their_own() -> None:
    settings = Settings(data_dir=Path("/nonexistent"))
    routes = BlobRoutes(SimpleNamespace(settings=settings)).routes()  # type: ignore[arg-type]  # enough of a store
    for route in routes:
        if route.method == "GET":
            assert route.role is Role.VIEW
        else:
            assert route.role is (Role.ADMIN if route.pattern.endswith("/gc") else Role.RUN)
        assert route.doc["responses"]
        assert "/v1/blobs" in route.pattern
    assert len({(route.method, route.pattern) for route in routes}) == len(routes) == 13
