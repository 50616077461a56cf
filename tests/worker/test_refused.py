"""Jobs that cannot run here, and servers that will not have this worker."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from jobdeck_protocol.errors import CLOSE_FORGOTTEN, CLOSE_IDENTITY, CLOSE_REPLACED, CLOSE_UNAUTHORIZED, CLOSE_VERSION
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.requests import StepRequest
from jobdeck_server.engines.base import BUNDLES
from jobdeck_server.worker.uplink import DismissedError, TokenError, read_token, url_of
from tests.worker.place import Place, order, place


async def test_what_cannot_run_is_told_the_same_for_ever(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        spec, job_id = order(StepRequest(command_line="true", cwd=f"{tmp_path}/nowhere")), str(uuid.uuid4())
        here.host.keep = True
        here.host.start(job_id, spec)
        first = await here.host.ended(job_id)
        assert (first.how, first.text) == (How.ERROR, f"Working directory {tmp_path}/nowhere does not exist.")
        (tmp_path / "nowhere").mkdir()  # now it could run

        await here.end()
        here.host.copies.clear()
        await here.boot()
        await here.relay.cut()
        await here.host.until(lambda: len(here.host.hellos) >= 2)
        here.host.keep = False
        here.host.say(lambda host: host.jobs.recorded(job_id))
        await here.host.until(here.job_file(job_id, "released").exists)
        here.host.start(job_id, spec)
        assert await here.host.ended(job_id) == first


async def test_a_reason_without_a_claim_binds_nobody(tmp_path: Path) -> None:
    """The program was killed between the two: the job was never decided about."""
    async with place(tmp_path) as here:
        job_id = str(uuid.uuid4())
        assert here.parts is not None
        here.job_file(job_id, "refused").parent.mkdir()
        here.job_file(job_id, "refused").write_text('{"text": "no reason"}')
        here.host.start(job_id, order("echo ran"))
        assert (await here.host.ended(job_id)).code == 0
        here.check(job_id)


async def test_scripts_and_programs_and_bundles(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False, bundles=False) as here:
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / "ok.sh").write_text("echo ran\n")
        here.settings = replace(
            here.settings, scripts_dir=str(tmp_path / "s"), only_scripts=True, script_commands=("bash",)
        )
        await here.boot()

        def script(command: str, path: str) -> str:
            return here.submit(StepRequest(argv=(command, path)), dialect="scheduler", standard_env=True)

        refused = {
            script("sh", "ok.sh"): 'command "sh" is not allowed: this server runs bash',
            script("bash", "../token"): 'path "../token" is not allowed: it is outside the folder of scripts',
            here.submit(bundle="0" * 40, engine=BUNDLES): "this worker runs no bundles",
        }
        for job_id, text in refused.items():
            end = await here.host.ended(job_id)
            assert (end.how, end.text, here.host.copy(job_id).states) == (How.ERROR, text, [])
        ran = script("bash", "ok.sh")
        assert (await here.host.ended(ran)).code == 0
        assert here.host.copy(ran).output == b"ran\n"

        job_id = str(uuid.uuid4())
        here.host.start(job_id, b"\xff no order")
        assert (await here.host.ended(job_id)).how is How.ERROR


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        job_id = here.submit(StepRequest(argv=("no-such-program", "x")), dialect="scheduler")
        end = await here.host.ended(job_id)
        assert (end.how, end.text) == (How.ERROR, 'exec: "no-such-program": executable file not found in $PATH')


async def test_no_room_for_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be claimed stays undecided until it can be."""
    async with place(tmp_path, full_disk_retry_s=0.01) as here:
        assert here.parts is not None
        files = here.parts.jobs._files
        refuse, tries = files.refuse, []

        def full(job_id: str, how: How, text: str, started_us: int | None) -> None:
            tries.append(job_id)
            if len(tries) < 3:
                raise OSError(28, "No space left on device")
            refuse(job_id, how, text, started_us)

        monkeypatch.setattr(files, "refuse", full)
        job_id = here.submit(StepRequest(command_line="true", cwd=f"{tmp_path}/nowhere"))
        assert (await here.host.ended(job_id)).how is How.ERROR
        assert len(tries) == 3


async def test_servers_that_will_never_have_it(tmp_path: Path) -> None:
    final = {
        CLOSE_VERSION: "the server speaks another version of the worker channel: told so",
        CLOSE_IDENTITY: "the server refuses this worker: told so",
        CLOSE_REPLACED: "another program has joined as this very worker: told so",
        403: "the server refuses this token: it must be one of the role worker: not you",
    }
    async with place(tmp_path, boot=False) as here:
        for code, words in final.items():
            here.host.close = (code, "told so")
            here.host.status = code if code < 1000 else None
            await here.boot()
            error = await here.dismissed()
            assert isinstance(error, DismissedError)
            assert str(error) == words


async def test_a_token_that_is_not_known_is_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with place(tmp_path, boot=False) as here:
        here.host.status = 401
        await here.boot()
        await here.host.until(lambda: len(here.host.tokens) > 2)
        here.token_file.unlink()
        await here.host.until(lambda: "the token cannot be read" in caplog.text)
        here.token_file.write_text("another")
        here.host.status = None
        assert (await here.host.ended(here.submit("true"))).code == 0
        assert here.host.tokens[-1] == "Bearer another"
        assert caplog.text.count("the server does not know this token: not you; trying again every 0.05 s") == 1


def dialled(here: Place, count: int) -> bool:
    return here.relay.count > count


async def test_closes_after_which_it_dials_again(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        for code in (CLOSE_UNAUTHORIZED, CLOSE_FORGOTTEN, 1001, 1011):
            here.host.close = (code, "told so")
            await here.relay.cut()
            await here.host.until(partial(dialled, here, here.relay.count + 2))
            here.host.close = None
            assert (await here.host.ended(here.submit("true"))).code == 0


def test_addresses_and_tokens(tmp_path: Path) -> None:
    assert url_of("http://a:1") == url_of("ws://a:1/") == "ws://a:1/v1/worker"
    assert url_of("https://a/under") == "wss://a/under/v1/worker"
    path = tmp_path / "token"
    for content in (b"", b"\n", b"two words", "né".encode()):
        path.write_bytes(content)
        with pytest.raises(TokenError, match="holds no token"):
            read_token(path)


async def test_a_server_that_asks_for_no_token_and_one_that_does(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False, token_file=None) as here:
        here.host.status = 401
        await here.boot()
        error = await here.dismissed()
        assert isinstance(error, DismissedError)
        assert str(error) == "the server asks for a token: give the file of one of the role worker (--token-file)"
        here.host.status = None
        await here.boot()
        assert (await here.host.ended(here.submit("true"))).code == 0
        assert here.host.tokens == []
