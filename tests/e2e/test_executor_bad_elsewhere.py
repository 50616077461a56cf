"""Bundles of all kinds on a worker elsewhere; those that mean harm are refused in the built-in executor's words."""

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
    test_a_program_that_is_not_there,
    test_attached_by_its_hash_while_it_runs,
    test_commands,
    test_no_results_are_wanted,
    test_one_that_waits_is_stopped_at_once,
    test_output_in_segments_by_the_clock,
    test_patterns,
    test_run_again_with_its_history,
    test_the_record_of_the_document,
)
from tests.e2e.test_executor_bad import (  # noqa: F401  # run here against another server
    test_a_failed_job_that_harms_its_folder_has_failed_by_itself,
    test_a_job_that_harms_its_own_folder,
    test_an_unknown_hash,
    test_artifacts_with_paths_that_lead_out,
    test_bad_bundles,
    test_links_that_lead_nowhere_or_in_a_circle,
    test_names_of_every_kind,
    test_results_that_are_no_files_of_the_job,
    test_ten_thousand_files,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deck() -> Iterator[Server]:
    with elsewhere(Path(tempfile.mkdtemp(prefix="jd-"))) as (running, _):
        yield running


@pytest.fixture
def rest(deck: Server) -> Rest:
    return Rest(deck)
