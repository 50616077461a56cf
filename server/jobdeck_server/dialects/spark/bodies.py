"""Bodies that are configurations: read whatever their Content-Type says, and no longer than somebody waits for it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import UnavailableError
from jobdeck_server.core.hocon import HoconLimits

if TYPE_CHECKING:
    from jobdeck_server.core.hocon import ConfigReader, JobConfig
    from jobdeck_server.core.patience import Patience
    from jobdeck_server.http.message import Request
    from jobdeck_server.settings import Settings


class Bodies:
    """Reads them.

    Args:
        settings: For ``HoconLimits``.
        configs: Makes configurations of text.
        patience: With which that is waited for.
    """

    def __init__(self, settings: Settings, configs: ConfigReader, patience: Patience) -> None:
        self._limit_bytes = HoconLimits.of(settings).body_bytes
        self._configs = configs
        self._patience = patience

    async def read(self, request: Request) -> JobConfig:
        """The configuration that a request has brought.

        Raises:
            BodyTooLargeError: It is over the limit.
            CapacityError: Too many large ones come at the same time.
            BadRequestError, TooLargeError: See ``ConfigReader.read``.
            UnavailableError: The client has gone, or the server ends.
        """
        length = request.header("content-length")
        with self._configs.room(None if length is None else int(length)):
            body = await request.body.read(self._limit_bytes)
            reading = partial(self._configs.read, body)
            config = await self._patience.wait(reading, limit_s=math.inf, gone=request.gone)
        if config is None:
            raise UnavailableError("The server is about to end.")
        return config
