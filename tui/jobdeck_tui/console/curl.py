"""A request or a job as a line for a shell, so that what was done here can be done again by cron, by CI, by hand. Pure.

A token never stands in it: the line reads it from a file where it runs.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jobdeck_tui.console.columns import in_own_context
from jobdeck_tui.names import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job, Step

__all__ = ["curl_of", "curl_of_blob", "curl_of_job", "curl_of_result"]

_TOKEN = '-H "Authorization: Bearer $(cat "$JOBDECK_TOKEN_FILE")"'


def curl_of(url: str, body: Mapping[str, Any], *, token: bool) -> str:
    """``POST /v1/jobs`` with this body."""
    words = ["curl", "-sS", shlex.quote(url + "/v1/jobs"), "-H 'Content-Type: application/json'"]
    if token:
        words.append(_TOKEN)
    words.append("-d " + shlex.quote(_json(body)))
    return " ".join(words)


def curl_of_job(url: str, job: Job, *, token: bool) -> str:
    """A job of the same kind. The values of its environment are the server's secret: only their names are told."""
    if job.main_class is not None:
        return _curl_of_class(url, job, token=token)
    body: dict[str, Any] = {}
    if len(job.steps) == 1:
        body |= _step(job.steps[0])
    else:
        body["steps"] = [_step(step) for step in job.steps]
    if job.labels:
        body["labels"] = list(job.labels)
    if job.worker_labels:
        body["worker_labels"] = list(job.worker_labels)
    for name, usual in (("time_limit_s", None), ("linger_s", 10.0), ("grace_s", 5.0), ("stdin", False)):
        if getattr(job, name) != usual:
            body[name] = getattr(job, name)
    line = curl_of(url, body, token=token)
    names = sorted({name for step in job.steps for name in step.env_names})
    # As JSON, since a newline in a name would end the comment.
    return f"{line}  # its environment had values for {json.dumps(names)}" if names else line


def _curl_of_class(url: str, job: Job, *, token: bool) -> str:
    """The same class in the same context; what it is told is fetched first."""
    config = f"{url}/v1/jobs/{quote(job.id, safe='')}/config"
    body: dict[str, Any] = {"main_class": job.main_class, "packages": list(job.packages)}
    if job.context is not None and not in_own_context(job):
        body["context"] = job.context
    if job.labels:
        body["labels"] = list(job.labels)
    if job.time_limit_s is not None:
        body["time_limit_s"] = job.time_limit_s
    return f"{curl_of(url, body, token=token)}  # its configuration, for the field config: {config}"


def _json(body: Mapping[str, Any]) -> str:
    """Readable where it can be: bytes that are no UTF-8 stand in commands as lone surrogates, which JSON escapes."""
    text = json.dumps(body, ensure_ascii=False)
    return text if _is_utf8(text) else json.dumps(body)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _step(step: Step) -> dict[str, Any]:
    what: dict[str, Any] = (
        {"command": step.command_line} if step.command_line is not None else {"argv": step.argv or ()}
    )
    return {**what, **({"cwd": step.cwd} if step.cwd is not None else {})}


def curl_of_blob(url: str, blob: str, name: str, *, token: bool, path: str | None = None) -> str:
    """The line that fetches a blob, or a file of an artifact, into this folder.

    Args:
        url: Of the server.
        blob: Its hash.
        name: Whose last part the file gets, made safe; the hash without one.
        token: The server wants one.
        path: Of a file within an artifact.
    """
    where = f"{url}/v1/blobs/{quote(blob, safe='')}/content"
    if path is not None:
        where += "/" + quote(path, safe="/")
    words = ["curl", "-sS", "-f", *([_TOKEN] if token else []), "-o", shlex.quote(safe_name(path or name) or blob)]
    if path is not None and {".", ".."} & set(path.split("/")):
        words.append("--path-as-is")  # else curl takes them for steps
    return " ".join([*words, shlex.quote(where)])


def curl_of_result(url: str, job_id: str, name: str, *, token: bool) -> str:
    """The line that fetches the result of a class into this folder, under a name that is safe."""
    words = ["curl", "-sS", "-f", *([_TOKEN] if token else []), "-o", shlex.quote(name)]
    return " ".join([*words, shlex.quote(f"{url}/v1/jobs/{quote(job_id, safe='')}/result")])
