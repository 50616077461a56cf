"""Every refusal that a client can cause, as a value; each dialect tells them in its own words.

    JobdeckError
        UnknownJobError         no job has this id or key
        NoResultError           the job has no result, or not yet
        UnknownWorkerError      no worker has this id
        UnknownBlobError        no record has this hash
        UnknownBinaryError      no binary has this name
        UnknownContextError     no context has this name
        NoCallbackError         nobody is told of this job's end
        UnknownDataFileError    no data file has this path
        UnknownEntryError       the artifact has no such path in it
        MissingContentError     the record is here, and the bytes or the record that it names are not
        BlobLinkError           links lead in a circle, too far, or to something that is neither file nor link
        NoSpaceError            the disk is full, or as full as it may get
        BadRequestError         what was sent cannot be understood or is not allowed
            UnsupportedError    it is understood, and this server does not do it
            BinaryTypeError     a Content-Type says neither wheel nor egg nor jar
            PackageError        the packages of a job are not what it needs
            WrongKindError      a job of this kind does not run in this context
            BadBinaryError      bytes that were sent as a wheel, egg or jar are no zip
            BadContextNameError a context cannot be called so
        ContextInitError        a context cannot be made as it was asked for
        TooLargeError           something is over a limit
        ConflictError           the job is not in a state for this
            BusyError           somebody else holds what only one may hold
            BinaryInUseError    jobs that have not ended name this binary
            ContextExistsError  a context that lives has this name
            ContextStoppingError  the context takes no new jobs: it is being stopped
        IdempotencyError        the same key came with another body
        ForbiddenError          the caller's role does not allow this
        UnauthorizedError       no token, or one that is not known
        CapacityError           a bounded queue is full
            NoSlotsError        the context has no free slot, and its jobs are not to wait
        OutputGoneError         the wanted bytes are no longer kept
        OffsetError             an offset beyond the end of an ended job's output
        UnavailableError        the engine cannot be reached just now

A test runs each class through each dialect, so that a new refusal cannot be forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class JobdeckError(Exception):
    """A refusal. ``str()`` of it is a sentence for a person, without secrets."""


class UnknownJobError(JobdeckError):
    """No job has this id or key."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} not found.")
        self.job_id = job_id


class NoResultError(JobdeckError):
    """The job has no result, or not yet; it may be of a kind that never has one."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} has no result.")
        self.job_id = job_id


class UnknownWorkerError(JobdeckError):
    """No worker has this id; or no one worker has this name."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"Worker {worker_id} not found.")
        self.worker_id = worker_id


class UnknownBlobError(JobdeckError):
    """No record has this hash."""

    def __init__(self, blob_hash: str) -> None:
        super().__init__(f"Requested object does not exist: {blob_hash}")
        self.blob_hash = blob_hash


class UnknownBinaryError(JobdeckError):
    """No binary has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no binary with the name {name!r}.")
        self.name = name


class UnknownContextError(JobdeckError):
    """No context has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Context {name} not found.")
        self.name = name


class NoCallbackError(JobdeckError):
    """Nobody is told of this job's end, or was so long ago that it is forgotten."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Job {job_id} has no callback.")
        self.job_id = job_id


class UnknownDataFileError(JobdeckError):
    """No data file has this path, or it is none of theirs."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no data file {path!r}.")
        self.path = path


class UnknownEntryError(JobdeckError):
    """The artifact has no such path in it; ``path`` is as the client wrote it."""

    def __init__(self, blob_hash: str, path: str) -> None:
        super().__init__(f"Blob {blob_hash} has no {path!r} in it.")
        self.blob_hash = blob_hash
        self.path = path


class MissingContentError(JobdeckError):
    """A record is here, and the bytes, or the record, that it names are not; ``wanted`` is what it names."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"What this blob refers to is not here: {wanted}")
        self.wanted = wanted


class BlobLinkError(JobdeckError):
    """Links lead in a circle, too far, or to something that is neither a file nor a link."""


class NoSpaceError(JobdeckError):
    """The disk is full, or as full as it may get; nothing of what was sent is kept."""

    def __init__(self, text: str = "There is no room left on the server's disk.") -> None:
        super().__init__(text)


class BadRequestError(JobdeckError):
    """What was sent cannot be understood or is not allowed; ``field`` names the part where one is to blame."""

    def __init__(self, text: str, *, field: str | None = None) -> None:
        super().__init__(text)
        self.field = field


class UnsupportedError(BadRequestError):
    """It is understood, and this server does not do it."""


class BinaryTypeError(BadRequestError):
    """A Content-Type says neither wheel nor egg nor jar; ``content_type`` is as it was sent, None for none."""

    def __init__(self, content_type: str | None) -> None:
        super().__init__(f"Unsupported binary type {content_type or 'application/octet-stream'}", field="Content-Type")
        self.content_type = content_type


class BadBinaryError(BadRequestError):
    """Bytes that were sent as a wheel, egg or jar are no zip."""

    def __init__(self) -> None:
        super().__init__("Binary is not of the right format")


class PackageError(BadRequestError):
    """The packages of a job are not what it needs."""


class WrongKindError(BadRequestError):
    """A job of this kind does not run in this context."""

    def __init__(self) -> None:
        super().__init__("Invalid job type for this context")


class TooLargeError(JobdeckError):
    """Something is over a limit."""

    def __init__(self, what: str, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"{what} is over the limit of {limit} {unit}.")
        self.what = what
        self.limit = limit
        self.unit = unit


class ConflictError(JobdeckError):
    """The job is not in a state for this."""


class BusyError(ConflictError):
    """Somebody else holds what only one may hold."""


class BinaryInUseError(ConflictError):
    """Jobs that have not ended name this binary; ``job_ids`` are all of them."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        super().__init__(f"Binary is in use by job(s): {', '.join(job_ids)}")
        self.job_ids = tuple(job_ids)


class BadContextNameError(BadRequestError):
    """A context cannot be called so."""

    def __init__(self, text: str = "context name must start with letters") -> None:
        super().__init__(text, field="name")


class ContextInitError(JobdeckError):
    """A context cannot be made as it was asked for."""


CONTEXT_LOST = "Unexpected termination of context"
"""How the error begins of whatever has failed because what a context ran in has died."""


class ContextLostError(JobdeckError):
    """What a context ran in has died; ``why`` is known of that, or empty."""

    def __init__(self, context_id: str, why: str = "") -> None:
        super().__init__(f"{CONTEXT_LOST} {context_id}{': ' * bool(why)}{why}")
        self.why = why


class ContextExistsError(ConflictError):
    """A context that lives has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"context {name} exists")
        self.name = name


class ContextStoppingError(ConflictError):
    """The context takes no new jobs: it is being stopped."""

    def __init__(self, name: str) -> None:
        super().__init__("Context stop in progress")
        self.name = name


class IdempotencyError(JobdeckError):
    """The same Idempotency-Key came with another body."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with another body.")


class ForbiddenError(JobdeckError):
    """The caller's role, or where it comes from, does not allow this."""


class UnauthorizedError(JobdeckError):
    """No token came, or one that is not known."""

    def __init__(self, text: str = "A token is needed.") -> None:
        super().__init__(text)


class CapacityError(JobdeckError):
    """A bounded queue is full; the same request may pass later."""


class NoSlotsError(CapacityError):
    """The context has no free slot, and its jobs are not to wait."""

    def __init__(self, name: str, slots_count: int) -> None:
        super().__init__(f"Too many running jobs ({slots_count}) for job context '{name}'")
        self.name = name
        self.slots_count = slots_count


class OutputGoneError(JobdeckError):
    """The wanted bytes are no longer kept."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The output of job {job_id} is no longer kept.")
        self.job_id = job_id


class OffsetError(JobdeckError):
    """An offset beyond the end of an ended job's output."""

    def __init__(self, offset: int, size: int) -> None:
        super().__init__(f"Offset {offset} is beyond the end of the output, which has {size} bytes.")
        self.offset = offset
        self.size = size


class UnavailableError(JobdeckError):
    """The engine cannot be reached just now; nothing was changed."""
