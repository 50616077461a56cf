"""The table of jobs that are classes out of packages; part of ``schema.MIGRATIONS``.

package_job   what is known of such a job beyond its record. ``state`` is the job's own, kept beside ``seq`` so that
              lists go by an index. ``config`` is its configuration as JSON, or ``config_content`` the SHA-1 of a
              large one; ``outcome`` is JSON (``packages.outcome.Outcome``), ``result_content`` the SHA-1 of the
              result's bytes. Rows go with their job.
"""

from __future__ import annotations

TABLES = (
    """create table package_job (
        seq integer primary key,
        job_id text not null unique,
        state text not null,
        context_id text not null,
        config text,
        config_content text,
        outcome text,
        result_kind text,
        result_content text,
        result_bytes integer
    ) strict""",
    "create index package_job_state on package_job (state, seq)",
    """create trigger package_job_moved after update of state on job when new.state is not old.state begin
        update package_job set state = new.state where seq = new.seq;
    end""",
    """create trigger package_job_removed after delete on job begin
        delete from package_job where seq = old.seq;
    end""",
)
