"""Callbacks on the real server: each end told as it was, as often as needed and no more, whatever a receiver does."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from jobdeck_client import Callback, Client
from jobdeck_client.errors import NotFoundError
from tests.e2e.hooks import ENDS, FAULTS, FLAGS, SECRET, TRIES, Caller, Hooks, hooks, package, told, until
from tests.e2e.program import JOBDECK, server
from tests.pki import Pki
from tests.server.outbound.receivers import receiver
from tests.server.outbound.test_door import served

pytestmark = pytest.mark.timeout(200)  # on a machine that does much else


async def many(caller: Caller, other: Hooks, count: int, seed: int, faults: tuple[str, ...] = FAULTS) -> None:
    """So many jobs, to a receiver that fails as chance will have it: counts and bodies are exact."""
    chance = random.Random(seed)
    wanted: dict[str, tuple[bytes, int, str]] = {}

    async def one(path: str, value: int) -> None:
        job_id = await caller.start("Echo", f"value {{ path: {value}, odd: [null, 1.5] }}", callback=other.url(path))
        given_up = len(other.scripts[path]) == TRIES and other.scripts[path][-1] in faults
        body = told(job_id, f'{{"path":{value},"odd":[null,1.5]}}')
        wanted[job_id] = (body, len(other.scripts[path]), "dropped" if given_up else "delivered")

    async with trio.open_nursery() as nursery:
        for number in range(count):
            path = f"/{number}"
            other.scripts[path] = [chance.choice(faults) for _ in range(chance.randint(0, TRIES))]
            if len(other.scripts[path]) < TRIES:
                other.scripts[path].append(chance.choice(ENDS))
            nursery.start_soon(one, path, number)
    over = await caller.over(wanted)
    for job_id, (body, tries, state) in wanted.items():
        path = f"/{json.loads(body)['result']['path']}"
        assert over[job_id][:2] == (state, tries), (other.scripts[path], over[job_id])
        other.exactly(path, body, tries)
    assert sum(map(len, other.got.values())) == sum(tries for _, tries, _ in wanted.values())
    assert other.strayed == 0


async def test_a_receiver_that_fails_at_random(caller: Caller) -> None:
    async with hooks() as other:
        await many(caller, other, 10, seed=6)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_hundred_to_a_receiver_that_fails_at_random(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\ncallback_timeout_s = 5\ncallback_parallel_per_host_count = 16\n")
    with server(tmp_path / "data", *FLAGS, "--config", str(tmp_path / "config.toml")) as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with hooks() as other:
            await many(caller, other, 100, seed=14, faults=(*FAULTS, "silent"))


async def test_each_kind_of_end(caller: Caller) -> None:
    """What is told is what a synchronous start is answered: the value, the exception, or that there is a stream."""
    async with hooks() as other:
        ids = {
            name: await caller.start(name, config, callback=other.url(f"/{name}"))
            for name, config in (("Echo", ""), ("Failing", ""), ("Streaming", ""), ("Large", "count = 3000000"))
        }
        await caller.over(ids.values())
        other.exactly("/Echo", told(ids["Echo"], "null"), 1)
        other.exactly("/Streaming", told(ids["Streaming"], '"<Stream result>"'), 1)
        other.exactly("/Large", told(ids["Large"], '"' + "x" * 3_000_000 + '"'), 1)
        failed = json.loads(other.got["/Failing"][0].body)
        assert failed == {
            "jobId": ids["Failing"],
            "status": "ERROR",
            "result": (await caller.job(ids["Failing"]))["result"],
        }
        assert list(failed) == ["jobId", "status", "result"]
        assert "it always fails" in failed["result"]["message"]
        for got in (each for path in other.got.values() for each in path):
            made = hmac.new(SECRET, got.body, hashlib.sha256).hexdigest()
            assert got.headers["x-jobdeck-signature"] == f"sha256={made}"
        assert await caller.result(ids["Streaming"]) == [1, 2]


async def test_where_it_stands_is_told(caller: Caller) -> None:
    async with hooks() as other, Client(caller.server.url) as client:
        other.scripts["/?key=1"] = ["503"]
        job = await client.start_class("hooked.jobs.Echo", ["hooked"], callback_url=other.url("/?key=1"))
        await caller.over([job.id])
        other.exactly("/?key=1", told(job.id, "null"), 2)
        found = await client.job_callback(job.id)
        assert found == Callback(
            url=other.url("/"),
            state="delivered",
            delivery=other.got["/?key=1"][0].headers["x-jobdeck-delivery"],
            tries_count=2,
            last="It was answered with 200.",
        )
        with pytest.raises(NotFoundError, match="has no callback"):
            await client.job_callback(await caller.start("Echo"))


async def test_a_job_that_refuses_its_configuration_is_told_of_too(caller: Caller) -> None:
    before = set(caller.callbacks())
    async with hooks() as other:
        status, refused = await caller.try_start("Picky", callback=other.url("/"))
        assert (status, refused["status"]) == (400, "VALIDATION FAILED")
        (job_id,) = set(caller.callbacks()) - before
        await caller.over([job_id])
        (got,) = other.got["/"]
        body = json.loads(got.body)
        assert (body["jobId"], body["status"]) == (job_id, "ERROR")
        assert "not this" in body["result"]["message"]


async def test_a_job_whose_context_cannot_be_made_is_told_of_too(caller: Caller) -> None:
    """Nobody has stopped it: it has failed."""
    before = set(caller.callbacks())
    own = f"http://127.0.0.1:{caller.server.port}/x.whl"  # which the server does not call
    config = f'spark.context-settings.python {{ virtualenv = true, packages = ["{own}"] }}'
    async with hooks() as other:
        status, refused = await caller.try_start("Echo", config, callback=other.url("/"), sync="true", timeout="28")
        assert (status, refused["status"]) == (400, "JOB LOADING FAILED"), refused
        assert "cannot be made" in refused["result"]["message"]
        (job_id,) = set(caller.callbacks()) - before
        await caller.over([job_id])
        (got,) = other.got["/"]
        job = await caller.job(job_id)
        assert json.loads(got.body) == {"jobId": job_id, "status": "ERROR", "result": job["result"]}
        assert job["status"] == "ERROR"


async def test_a_synchronous_start_is_answered_and_told(caller: Caller) -> None:
    async with hooks() as other:
        status, answer = await caller.try_start(
            "Echo", "value = [1]", callback=other.url("/?key=1"), sync="true", timeout="28"
        )
        assert (status, answer["result"]) == (200, [1])
        await caller.over([answer["jobId"]])
        other.exactly("/?key=1", told(answer["jobId"], "[1]"), 1)


@pytest.mark.slow
async def test_an_address_is_decoded_twice_as_the_original_does(caller: Caller) -> None:
    async with hooks() as other:
        job_id = await caller.start("Echo", callback=other.url("/hook").replace(":", "%3A").replace("/", "%2F"))
        await caller.over([job_id])
        other.exactly("/hook", told(job_id, "null"), 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.9", "[::1]", "[::ffff:127.0.0.1]"])
async def test_the_server_does_not_call_itself(caller: Caller, host: str) -> None:
    """Neither for callbacks nor for packages, though all of this machine may be called by default."""
    before = await caller.ask("GET", "/v1/jobs")
    url = f"http://{host}:{caller.server.port}/binaries/hooked"
    status, answer = await caller.try_start("Echo", callback=url)
    assert (status, answer["status"]) == (403, "ERROR")
    assert "this server" in answer["result"]
    status, answer = await caller.try_start("Echo", cp=url)
    assert (status, answer["status"]) == (400, "JOB LOADING FAILED")
    assert await caller.ask("GET", "/v1/jobs") == before


async def test_nobody_is_told_of_what_was_stopped(caller: Caller, tmp_path: Path) -> None:
    """DELETE of the job, or of its context: the row says that it is silent, and nothing came."""
    config = f'flag = "{tmp_path}/never"'
    async with hooks() as other:
        assert (await caller.ask("POST", "/contexts/doomed"))[0] == 200
        one = await caller.start("Waiting", config, callback=other.url("/one"))
        two = await caller.start("Waiting", config, callback=other.url("/two"), context="doomed")
        assert (await caller.ask("DELETE", f"/jobs/{one}"))[0] == 200
        assert (await caller.ask("DELETE", "/contexts/doomed"))[0] in (200, 202)
        over = await caller.over([one, two])
        assert {state for state, _, _ in over.values()} == {"silent"}
        assert dict(other.got) == {}


@pytest.mark.slow
async def test_the_server_is_killed_between_two_tries(tmp_path: Path) -> None:
    """Also of one whose job ends while no server is there."""
    flag = tmp_path / "flag"
    with server(tmp_path / "data", "--callback-delays", "1h") as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with hooks() as other:
            other.scripts["/tried"] = ["503"]
            tried = await caller.start("Echo", "value = 1", callback=other.url("/tried"))
            waits = await caller.start("Waiting", f'flag = "{flag}"', callback=other.url("/waits"))
            await until(lambda: caller.callbacks()[tried][1] == 1)
            each.kill()
            flag.touch()
            each.flags = FLAGS
            await trio.to_thread.run_sync(each.start)
            over = await caller.over([tried, waits])
            assert {state for state, _, _ in over.values()} == {"delivered"}
            other.exactly("/tried", told(tried, "1"), 2)
            other.exactly("/waits", told(waits, '"waited"'), 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_again_and_again(tmp_path: Path) -> None:
    """Whatever the moment: each end is told, the same each time, and never after it was taken."""
    count = 30
    with server(tmp_path / "data", "--callback-delays", ",".join(["0.4"] * 40)) as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with hooks() as other:
            for number in range(count):
                other.scripts[f"/{number}"] = ["503"] * (number % 7)
            ids = [await caller.start("Echo", f"value = {n}", callback=other.url(f"/{n}")) for n in range(count)]
            for round_number in range(1, 5):
                wanted_count = 12 * round_number
                await until(lambda: sum(map(len, other.got.values())) >= wanted_count)  # noqa: B023  # used at once
                each.kill()
                await trio.to_thread.run_sync(each.start)
            over = await caller.over(ids)
            assert {state for state, _, _ in over.values()} == {"delivered"}
            for number, job_id in enumerate(ids):
                got = other.got[f"/{number}"]
                other.exactly(f"/{number}", told(job_id, str(number)), len(got))
                assert len(got) >= number % 7 + 1
            # a try is made again only if the server was killed between its answer and the note of it
            assert sum(map(len, other.got.values())) <= sum(n % 7 + 1 for n in range(count)) + 4 * 4


@pytest.mark.slow
async def test_a_result_over_the_limit_is_not_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\ncallback_body_limit_bytes = 100000\n")
    with server(tmp_path / "data", *FLAGS, "--config", str(tmp_path / "config.toml")) as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with hooks() as other:
            large = await caller.start("Large", "count = 100000", callback=other.url("/large"))
            fits = await caller.start("Large", "count = 99900", callback=other.url("/fits"))
            over = await caller.over([large, fits])
            assert over[large][:2] == ("dropped", 1)
            assert "over the limit of 100000 bytes" in (over[large][2] or "")
            assert over[fits][:2] == ("delivered", 1)
            assert list(other.got) == ["/fits"]
            assert len(await caller.result(large)) == 100000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "mode", "words"),
    [
        (("--callback-secret-file", "secret"), 0o644, "may be read by others: chmod 600 it"),
        (("--callback-secret-file", "secret"), 0o600, "is empty: it must hold the secret that signs callbacks"),
        (("--callback-secret-file", "missing"), 0o600, "No such file"),
        (("--callback-allow", "ftp://example.org"), 0o600, "--callback-allow: 'ftp://example.org': it must be one of"),
        (("--fetch-allow", "127.0.0.1"), 0o600, "--fetch-allow: '127.0.0.1' is no pattern such as"),
        (("--callback-delays", "soon"), 0o600, "--callback-delays: 'soon' is no time"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, flags: tuple[str, ...], mode: int, words: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"" if "empty" in words else b"word")
    secret.chmod(mode)
    done = subprocess.run(
        [*JOBDECK, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data", *flags],
        cwd=tmp_path,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.slow
async def test_one_who_never_answers_holds_up_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\ncallback_timeout_s = 3600\ncallback_parallel_count = 5\n")
    with server(tmp_path / "data", "--config", str(tmp_path / "config.toml")) as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with hooks() as dead, hooks() as alive:
            dead.scripts["/"] = ["silent"] * 10
            held = [await caller.start("Echo", callback=dead.url("/")) for _ in range(6)]
            await until(lambda: len(dead.got["/"]) == 4)
            fine = [await caller.start("Echo", callback=alive.url(f"/{number}")) for number in range(6)]
            over = await caller.over(fine)
            assert {row[:2] for row in over.values()} == {("delivered", 1)}
            assert {row[:2] for job_id, row in caller.callbacks().items() if job_id in held} == {("due", 0)}
            assert len(dead.got["/"]) == 4
            assert each.stop() == 0


@pytest.mark.slow
async def test_over_tls_with_certificates_of_the_operators_own_ca(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with server(tmp_path / "data", *FLAGS, "--outbound-ca", str(pki.ca_file)) as each:
        caller = Caller(each)
        await caller.upload(package(tmp_path))
        async with AsyncExitStack() as stack:
            good = await stack.enter_async_context(receiver(tls=served(pki.issue("good", "127.0.0.1"))))
            for_another = await stack.enter_async_context(receiver(tls=served(pki.issue("bad", "127.0.0.2"))))
            told_of = await caller.start("Echo", callback=good.url("/", scheme="https"))
            silent = await caller.start("Echo", callback=for_another.url("/", scheme="https"))
            over = await caller.over([told_of, silent])
            assert over[told_of][:2] == ("delivered", 1)
            assert over[silent][:2] == ("dropped", TRIES)
            assert "certificate does not hold" in (over[silent][2] or "")
            assert ([got.body for got in good.got], for_another.got) == ([told(told_of, "null")], [])


@pytest.mark.slow
async def test_an_answer_that_never_ends_is_an_answer(caller: Caller) -> None:
    async with hooks() as other:
        other.scripts["/"] = ["endless"]
        job_id = await caller.start("Echo", callback=other.url("/"))
        assert (await caller.over([job_id]))[job_id][:2] == ("delivered", 1)
        other.exactly("/", told(job_id, "null"), 1)
