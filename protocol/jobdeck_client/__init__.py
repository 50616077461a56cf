"""A plain trio client of a jobdeck server: requests over HTTP; attach and events over links that mend themselves."""

from jobdeck_client.attach import Attach
from jobdeck_client.blobs import BlobContent, BlobEntry, BlobPage, Blobs, Collected
from jobdeck_client.classes import Callback, ClassOutcome
from jobdeck_client.client import Client
from jobdeck_client.contexts import ContextDetails
from jobdeck_client.errors import (
    ClientError,
    ConflictError,
    EndedError,
    FileChangedError,
    LinkClosed,
    NotAllowedError,
    NotFoundError,
    OffsetError,
    RefusedError,
    ServerFaultError,
    TlsError,
    UnreachableError,
)
from jobdeck_client.events import Events
from jobdeck_client.find import BadAddressError, find_server, find_token, find_trust
from jobdeck_client.lines import Done, Hit, Line, LinePage, Progress
from jobdeck_client.link import LinkState
from jobdeck_client.packages import ConfigCheck, PackageDetails
from jobdeck_client.pages import Page
from jobdeck_client.trust import BadTrustError, Trust
from jobdeck_client.workers import WorkerJobs, Workers

__all__ = [
    "Attach",
    "BadAddressError",
    "BadTrustError",
    "BlobContent",
    "BlobEntry",
    "BlobPage",
    "Blobs",
    "Callback",
    "ClassOutcome",
    "Client",
    "ClientError",
    "Collected",
    "ConfigCheck",
    "ConflictError",
    "ContextDetails",
    "Done",
    "EndedError",
    "Events",
    "FileChangedError",
    "Hit",
    "Line",
    "LinePage",
    "LinkClosed",
    "LinkState",
    "NotAllowedError",
    "NotFoundError",
    "OffsetError",
    "PackageDetails",
    "Page",
    "Progress",
    "RefusedError",
    "ServerFaultError",
    "TlsError",
    "Trust",
    "UnreachableError",
    "WorkerJobs",
    "Workers",
    "find_server",
    "find_token",
    "find_trust",
]
