"""The executor with a worker elsewhere and none of the server's own: the same bundles, the same words, the same bytes.

Most tests are those of the built-in executor, asked of another server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bundles import Rest
from tests.e2e.bundleworkers import elsewhere
from tests.e2e.program import Server
from tests.e2e.test_executor import (  # noqa: F401  # run here against another server
    test_a_bundle_that_is_an_artifact,
    test_a_failed_job_has_results,
    test_a_program_that_is_not_there,
    test_a_stop_needs_the_secret_and_results_stay,
    test_attached_by_its_hash_while_it_runs,
    test_commands,
    test_ids_of_results_are_those_of_the_original,
    test_no_results_are_wanted,
    test_one_that_waits_is_stopped_at_once,
    test_output_in_segments,
    test_output_in_segments_by_the_clock,
    test_patterns,
    test_run_again_with_its_history,
    test_the_record_of_the_document,
    test_the_walkthrough_as_it_is_printed,
)


@pytest.fixture(scope="module")
def deck() -> Iterator[Server]:
    with elsewhere(Path(tempfile.mkdtemp(prefix="jd-"))) as (running, _):
        yield running


@pytest.fixture
def rest(deck: Server) -> Rest:
    return Rest(deck)
