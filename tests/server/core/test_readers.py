from __future__ import annotations

import pytest

from jobdeck_server.core.errors import CapacityError
from jobdeck_server.core.readers import Readers


def test_a_place_is_given_back_once() -> None:
    readers = Readers(2)
    first, second = readers.take(), readers.take()
    with pytest.raises(CapacityError):
        readers.take()
    first()
    first()
    assert readers.open_count == 1
    readers.take()
    second()
    assert readers.open_count == 1
