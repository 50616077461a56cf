"""Workers that lie, against the real server: refused or contained, told why, and nobody else is any the worse.

Each test ends with ``unharmed``: the honest worker of the same server runs a job exactly, and the records of its jobs
from before are as they were.
"""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import cbor2
import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected

from jobdeck_protocol.errors import (
    CLOSE_BAD_DATA,
    CLOSE_BAD_ORDER,
    CLOSE_BAD_TYPE,
    CLOSE_IDENTITY,
    CLOSE_NO_ATTACH,
    CLOSE_REPLACED,
    CLOSE_TOO_BIG,
    CLOSE_UNAUTHORIZED,
    CLOSE_VERSION,
)
from jobdeck_protocol.job import time_us
from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import Beat, Bye, Drain, Have, Kept, Pulse, Welcome
from jobdeck_protocol.workerorders import Forget, Release, Want
from jobdeck_protocol.workerreports import Ended, Gone, InputAck, Piece, Signalled, State
from jobdeck_protocol.workerwords import How, Phase
from jobdeck_server.guard.tokens import TokenStore
from tests.e2e.worker_fleet import Fleet, running_fleet
from tests.e2e.worker_liar import Liar, ask, blocking, mutated, now_us, output_of, record, token_of

pytestmark = pytest.mark.timeout(180)  # the first test waits for the fleet, too

_BEAT_S = 1.0
_HELLO_LIMIT_S = 2.0
_ABNORMAL = 1006
_WINDOW_BYTES = 64 * 1024
_HOUR_US = 3_600_000_000
_MUTATIONS_COUNT = 40
_MANY_MUTATIONS_COUNT = 500


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server with one honest worker."""
    folder = tmp_path_factory.mktemp("lies") / "fleet"
    limits = {"head_timeout_s": _HELLO_LIMIT_S, "worker_window_bytes": _WINDOW_BYTES}
    with running_fleet(folder, "honest", beat_s=_BEAT_S, limits=limits) as running:
        yield running


@pytest.fixture(scope="module")
def long_job(fleet: Fleet) -> str:
    """A job that runs on the honest worker all the time."""
    body = json.dumps({"command": "echo on; sleep 600", "worker": fleet.workers[0].id})
    status, _, answer = fleet.server.ask("POST", "/v1/jobs", body)
    assert status == 201, answer
    return str(json.loads(answer)["id"])


@pytest.fixture
async def liar(fleet: Fleet, long_job: str) -> AsyncIterator[Liar]:
    """A worker of its own for each test; afterwards all others are as they were."""
    await output_of(fleet, long_job, b"on\n")
    before = await record(fleet, long_job, "running")
    yield Liar(fleet)
    await unharmed(fleet)
    assert await record(fleet, long_job) == before
    await output_of(fleet, long_job, b"on\n")


async def unharmed(fleet: Fleet) -> None:
    """The server serves, and the honest worker runs a job exactly."""
    text = f"unharmed {uuid.uuid4()}"
    job = await ask(fleet, "POST", "/v1/jobs", command=f"echo {text}; exit 3", worker=fleet.workers[0].id)
    found = await record(fleet, job["id"], "succeeded", "failed", "lost", "stopped")
    assert (found["state"], found["exit_code"], found["worker"]) == ("failed", 3, fleet.workers[0].id)
    await output_of(fleet, job["id"], f"{text}\n".encode())
    assert "Traceback" not in fleet.server.log.read_text()


def end_of(job_id: str, code: int = 0, *, how: How = How.EXIT, output: int = 0, runs: int = 0) -> Ended:
    given = code if how is How.EXIT else None
    return Ended(job_id=job_id, how=how, code=given, finished_us=now_us(), output_bytes=output, runs_bytes=runs)


def piece(job_id: str, data: bytes, *, offset: int = 0) -> Piece:
    return Piece(job_id=job_id, runs_offset=0, runs=b"", offset=offset, data=data)


# -- who may come --


@pytest.mark.parametrize("role", ["none", "wrong", "view", "run"])
async def test_the_door(liar: Liar, role: str) -> None:
    token = {"none": "", "wrong": "jd_wrong"}.get(role) or liar.fleet.tokens.get(role, "")
    with pytest.raises(ConnectionRejected) as caught:
        async with liar.dial(token=token):
            pass
    assert caught.value.status_code == (401 if role in ("none", "wrong") else 403)
    assert b"token" in (caught.value.body or b"")


async def test_a_workers_token_opens_nothing_else(liar: Liar) -> None:
    headers = {"Authorization": f"Bearer {liar.fleet.tokens['worker']}"}
    for method, path in (
        ("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/workers"), ("POST", "/start"), ("GET", "/v1/events")
    ):  # fmt: skip
        status, _, _ = await blocking(liar.fleet.server.ask, method, path, None, headers)
        assert status == 403, path
    with pytest.raises(ConnectionRejected) as caught:
        async with liar.dial(path="/v1/events?since=0"):
            pass
    assert caught.value.status_code == 403


async def test_a_token_that_is_revoked_ends_its_connections(liar: Liar) -> None:
    token = token_of(liar.fleet, "worker")
    async with liar.dial(token=token):
        await liar.say(liar.hello())
        await liar.hear(Welcome)
        store = TokenStore(liar.fleet.server.data_dir)
        (mine,) = [each for each in store.list() if each.name == "worker-more"]
        assert await blocking(store.revoke, mine.id)
        code, reason = await liar.closed()  # 1 s between two looks
        assert (code, "token" in reason) == (CLOSE_UNAUTHORIZED, True)
    with pytest.raises(ConnectionRejected) as caught:
        async with liar.dial(token=token):
            pass
    assert caught.value.status_code == 401


# -- garbage --

_GARBAGE: dict[str, tuple[bytes | str, int]] = {
    "a text": ("hello", CLOSE_BAD_TYPE),
    "nothing": (b"", CLOSE_BAD_DATA),
    "noise": (b"\xff\x00\x13", CLOSE_BAD_DATA),
    "half a message": (cbor2.dumps({"kind": "beat", "running": 1})[:-3], CLOSE_BAD_DATA),
    "more than a message": (cbor2.dumps({"kind": "beat"}) + b"\x00", CLOSE_BAD_DATA),
    "no map": (cbor2.dumps([1, 2]), CLOSE_BAD_DATA),
    "no kind": (cbor2.dumps({"running": 1}), CLOSE_BAD_DATA),
    "a tag": (b"\xa1\x64kind\xc2\x41\x01", CLOSE_BAD_DATA),
    "a key twice": (b"\xa2\x64kind\x64beat\x64kind\x64beat", CLOSE_BAD_DATA),
    "endless": (b"\xbf\x64kind\x64beat\xff", CLOSE_BAD_DATA),
    "very deep": (b"\xa1\x64kind" + b"\x81" * 5000 + b"\x00", CLOSE_BAD_DATA),
    "a promise of much": (b"\xa1\x64kind\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", CLOSE_BAD_DATA),
    "huge": (cbor2.dumps({"kind": "beat", "pad": b"x" * (1 << 20)}), CLOSE_TOO_BIG),
}


async def test_garbage(liar: Liar) -> None:
    for name, (data, code) in _GARBAGE.items():
        for opened in (False, True):
            async with liar.open() if opened else liar.dial():
                with contextlib.suppress(Exception):  # it may have been refused before all of it was sent
                    await liar.say(data)
                got, reason = await liar.closed()
                wanted = {code} if opened else {code, CLOSE_BAD_ORDER}  # what is no hello is out of order, too
                assert got in wanted, (name, opened, got, reason)
                assert reason or got == CLOSE_TOO_BIG, name


@pytest.mark.parametrize("count", [_MUTATIONS_COUNT, pytest.param(_MANY_MUTATIONS_COUNT, marks=pytest.mark.slow)])
async def test_messages_with_something_wrong(liar: Liar, count: int) -> None:
    rnd = random.Random(5)
    honest = await _honest_job(liar.fleet)
    before = await record(liar.fleet, honest)
    sent = refused = 0
    while sent < count:
        async with liar.open():
            async with trio.open_nursery() as nursery:
                job_id = await liar.started()
                nursery.start_soon(_listen, liar, nursery.cancel_scope)
                with contextlib.suppress(ConnectionClosed), trio.fail_after(150):
                    while sent < count:
                        sent += 1
                        job = rnd.choice((job_id, honest, str(uuid.UUID(int=rnd.getrandbits(128)))))
                        await liar.say(mutated(rnd, rnd.choice(_reports(job))))
                        await liar.socket.ping()  # what came before has been read when its answer is there
                nursery.cancel_scope.cancel()
            if liar.socket.closed is not None:
                code, reason = await liar.closed()
                if code != _ABNORMAL:  # so the client's library has it when it was about to send just then
                    assert code in (CLOSE_BAD_DATA, CLOSE_BAD_ORDER, CLOSE_TOO_BIG), (code, reason)
                    assert reason
                    refused += 1
    assert refused > count // 4
    assert await record(liar.fleet, honest) == before


async def _listen(liar: Liar, talking: trio.CancelScope) -> None:
    """Read what comes, so that the answers to pings do; end the talking with the connection."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await liar.socket.get_message()
    talking.cancel()


def _reports(job_id: str) -> tuple[Message, ...]:
    return (
        Have(jobs=(Kept(job_id, Phase.CLAIMED, 5, 64, 0),)),
        State(job_id=job_id, started_us=5, step=0, note="note"),
        end_of(job_id, 7),
        piece(job_id, b"bytes"),
        Piece(job_id=job_id, runs_offset=64, runs=bytes(64), offset=0, data=b"x"),
        Gone(job_id=job_id),
        Signalled(number=1, done=True),
        InputAck(job_id=job_id, upto=3),
        Drain(on=True),
        Beat(running=1, load=1.0, free_bytes=1, clock_us=now_us()),
        Bye(text="bye"),
    )


async def _honest_job(fleet: Fleet) -> str:
    """A job of the honest worker that has ended."""
    job = await ask(fleet, "POST", "/v1/jobs", command="echo true", worker=fleet.workers[0].id)
    return str((await record(fleet, job["id"], "succeeded"))["id"])


# -- the order of things --


async def test_another_version(liar: Liar) -> None:
    async with liar.dial():
        await liar.say({"kind": "hello", "version": 2, "something": "new"})
        code, reason = await liar.closed()
        assert code == CLOSE_VERSION
        assert "version 1" in reason
        assert "version 2" in reason


async def test_no_hello(liar: Liar) -> None:
    async with liar.dial():
        await liar.say(Beat())
        assert (await liar.closed())[0] == CLOSE_BAD_ORDER
    async with liar.dial():
        code, reason = await liar.closed()  # it says nothing at all
        assert (code, reason) == (CLOSE_NO_ATTACH, "no hello came")


@pytest.mark.parametrize("twice", [lambda liar: liar.hello(), lambda _: Have(jobs=())], ids=["hello", "have"])
async def test_what_comes_once(liar: Liar, twice: Callable[[Liar], Message]) -> None:
    async with liar.open():
        await liar.say(twice(liar))
        code, reason = await liar.closed()
        assert code == CLOSE_BAD_ORDER
        assert "hello" in reason or "have" in reason


# -- lies about jobs --


async def test_bytes_that_do_not_fit_are_not_taken_and_asked_for_once(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
        await liar.say(piece(job_id, b"beyond", offset=10), piece(job_id, b"more", offset=20))
        want = await liar.hear(Want)
        assert (want.job_id, want.output) == (job_id, 0)
        await liar.say(piece(job_id, b"abc"), piece(job_id, b"Xbcdef"), end_of(job_id, output=6))
        assert (await record(liar.fleet, job_id, "succeeded"))["output_bytes"] == 6
        await output_of(liar.fleet, job_id, b"abcdef")  # what was there first stays
        await liar.hear(Release)


async def test_bytes_beyond_the_end_that_was_told(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
        await liar.say(end_of(job_id, output=3), piece(job_id, b"abcdef"))
        code, reason = await liar.closed()
        assert (code, "beyond" in reason) == (CLOSE_BAD_ORDER, True)
    assert (await record(liar.fleet, job_id))["state"] == "running"


async def test_bytes_without_credit(liar: Liar) -> None:
    async with liar.open() as welcome:
        assert (welcome.upto, welcome.window_bytes) == (_WINDOW_BYTES, _WINDOW_BYTES)
        job_id = await liar.started()
        await liar.say(piece(job_id, bytes(_WINDOW_BYTES + 1)))
        code, reason = await liar.closed()
        assert (code, "credit" in reason) == (CLOSE_BAD_ORDER, True)
    found = await record(liar.fleet, job_id)
    assert (found["state"], found["output_bytes"]) == ("running", 0)


async def test_reports_of_jobs_that_are_not_its_own(liar: Liar) -> None:
    honest_done = await _honest_job(liar.fleet)
    honest_runs = (await ask(liar.fleet, "POST", "/v1/jobs", command="sleep 50", worker=liar.fleet.workers[0].id))["id"]
    here = (await ask(liar.fleet, "POST", "/v1/jobs", command="sleep 50"))["id"]  # on the server's own machine
    unknown = str(uuid.uuid4())
    for each in (honest_runs, here):
        await record(liar.fleet, each, "running")
    before = {each: await record(liar.fleet, each) for each in (honest_done, honest_runs, here)}
    kept = [Kept(each, phase, 5, 64) for each in (*before, unknown) for phase in (Phase.ENDED,)]
    async with liar.open(*kept):
        forgotten = {(await liar.hear(Forget)).job_id for _ in range(3)}
        assert forgotten <= {honest_done, honest_runs, here, unknown}
        for each in (*before, unknown):
            await liar.say(*(report for report in _reports(each) if not isinstance(report, Have | Bye | Drain)))
        await liar.say(Beat())
        await liar.given()  # it is still welcome: none of this was out of order
    for each, record_before in before.items():
        assert await record(liar.fleet, each) == record_before, each
    for each in (honest_runs, here):
        await ask(liar.fleet, "POST", f"/v1/jobs/{each}/stop", signal=9)
        await record(liar.fleet, each, "stopped")


async def test_two_ends(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
        await liar.say(
            end_of(job_id, 4), end_of(job_id, 5), end_of(job_id, how=How.LOST), end_of(job_id, how=How.NEVER)
        )
        found = await record(liar.fleet, job_id, "failed", "succeeded", "lost", "stopped")
        assert (found["state"], found["exit_code"]) == ("failed", 4)
        await liar.hear(Release)
        await liar.say(end_of(job_id, 6), State(job_id=job_id), piece(job_id, b"late"), Gone(job_id=job_id))
        await liar.given()
        assert await record(liar.fleet, job_id) == found


async def test_never_after_it_ran(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
        await liar.say(end_of(job_id, how=How.NEVER))
        code, reason = await liar.closed()
        assert (code, "never" in reason) == (CLOSE_BAD_ORDER, True)
    assert (await record(liar.fleet, job_id))["state"] == "running"


async def test_an_end_whose_bytes_never_come_until_they_do(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
        await liar.say(end_of(job_id, 2, output=5), Beat())
        await liar.given()
        assert (await record(liar.fleet, job_id))["state"] == "running"
    async with liar.open(Kept(job_id, Phase.ENDED, 5)):
        assert (await liar.hear(Want)).job_id == job_id
        await liar.say(piece(job_id, b"hello"), end_of(job_id, 2, output=5))
        found = await record(liar.fleet, job_id, "failed")
        assert (found["exit_code"], found["output_bytes"]) == (2, 5)


async def test_a_worker_that_knows_nothing_of_a_job_it_ran(liar: Liar) -> None:
    async with liar.open():
        job_id = await liar.started()
    async with liar.open():  # it has nothing
        found = await record(liar.fleet, job_id, "lost")
        assert found["error"]


# -- identity --


async def test_a_copy_of_an_identity(liar: Liar) -> None:
    async with liar.open():
        pass
    first = liar.lives
    liar.lives = (*first, str(uuid.uuid4()))
    async with liar.open():
        pass
    liar.lives = (*first, str(uuid.uuid4()))  # a copy that went another way
    async with liar.dial():
        await liar.say(liar.hello())
        code, reason = await liar.closed()
        assert (code, "copy" in reason) == (CLOSE_IDENTITY, True)


async def test_a_newer_connection_replaces_an_older_one(liar: Liar) -> None:
    async with liar.open():
        old = liar.socket
        async with liar.open():
            new, liar.socket = liar.socket, old
            assert (await liar.closed())[0] == CLOSE_REPLACED
            liar.socket = new
            await liar.given()
            async with liar.dial():  # an old one that comes late
                await liar.say(liar.hello(number=0))
                assert (await liar.closed())[0] == CLOSE_REPLACED
            liar.socket = new
            await liar.given()


async def test_somebody_elses_identity(liar: Liar) -> None:
    honest = liar.fleet.workers[0].id
    thief = Liar(liar.fleet, honest)
    async with thief.dial():
        await thief.say(thief.hello())
        assert (await thief.closed())[0] == CLOSE_IDENTITY


async def test_the_servers_own_identity(liar: Liar) -> None:
    items = (await ask(liar.fleet, "GET", "/v1/workers"))["items"]
    (own,) = [each["id"] for each in items if each["engine"] == "local"]
    thief = Liar(liar.fleet, own)
    async with thief.dial():
        await thief.say(thief.hello())
        code, reason = await thief.closed()
        assert code == CLOSE_IDENTITY
        assert reason


# -- time and silence --


@pytest.mark.parametrize("hours", [-5, 5])
async def test_clocks(liar: Liar, hours: int) -> None:
    skew_us = hours * _HOUR_US
    async with liar.open(clock_us=now_us() + skew_us):
        began_us = now_us()
        job_id = await liar.given()
        await liar.say(Beat(clock_us=now_us() + skew_us))
        await liar.say(State(job_id=job_id, started_us=now_us() + skew_us))
        await liar.hear(Want)
        end = Ended(job_id=job_id, how=How.EXIT, code=0, started_us=now_us() + skew_us, finished_us=now_us() + skew_us)
        await liar.say(end)
        found = await record(liar.fleet, job_id, "succeeded")
        for name in ("started", "finished"):
            assert abs(time_us(found[name]) - began_us) < 20_000_000, (name, found)
        listed = (await blocking(liar.fleet.listed))[liar.name]
        assert abs(listed["clock_skew_us"] - skew_us) < 5_000_000


@pytest.mark.slow
async def test_one_that_only_beats_holds_up_nobody(liar: Liar) -> None:
    async with liar.dial():
        await liar.say(liar.hello())
        await liar.hear(Welcome)
        job = await ask(liar.fleet, "POST", "/v1/jobs", command="true", worker=liar.worker)
        for _ in range(3):
            await liar.say(Beat())
            await liar.hear(Pulse)
            await unharmed(liar.fleet)
        await liar.say(Beat())
        await blocking(liar.fleet.wait_state, [liar.name])
        assert (await record(liar.fleet, job["id"]))["state"] in ("queued", "starting")


@pytest.mark.slow
async def test_one_that_never_reads_holds_up_nobody(liar: Liar) -> None:
    pads = {f"PAD{number}": "x" * 100_000 for number in range(9)}  # orders that fill all buffers on the way
    async with liar.open():
        for _ in range(8):
            await ask(liar.fleet, "POST", "/v1/jobs", command="true", worker=liar.worker, env=pads)
        with trio.fail_after(20):
            while (await blocking(liar.fleet.listed))[liar.name]["state"] != "unreachable":
                await unharmed(liar.fleet)
        await unharmed(liar.fleet)
