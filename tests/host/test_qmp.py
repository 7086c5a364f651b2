# SPDX-License-Identifier: BSD-3-Clause
"""The QMP client against a server that misbehaves."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import threading
from pathlib import Path
from typing import Iterator

import pytest

from khorig.vm.cancellation import Cancellation
from khorig.vm.errors import InfraError, Interrupted
from khorig.vm.journal import Journal
from khorig.vm.qmp import Qmp, QmpClosed


class Server:
    """The other end, with all answers given in advance."""

    def __init__(self, folder: Path, reply_timeout_s: float = 20.0) -> None:
        ours, self.theirs = socket.socketpair()
        self.path = folder / "qmp.jsonl"
        self.qmp = Qmp(ours, Journal(self.path), reply_timeout_s)

    def says(self, *messages: object) -> None:
        for message in messages:
            self.theirs.sendall(json.dumps(message).encode() + b"\r\n")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    yield Server(tmp_path)


_GREETING = {"QMP": {"version": {"qemu": {"major": 8, "minor": 1, "micro": 3}}}}


def test_the_greeting_has_the_version(server: Server) -> None:
    server.says(_GREETING, {"return": {}})
    assert server.qmp.handshake() == "8.1.3"
    assert json.loads(server.theirs.recv(999)) == {"execute": "qmp_capabilities"}


def test_events_among_answers_are_not_lost(server: Server) -> None:
    stop = {"event": "STOP", "timestamp": {}}
    down = {"event": "SHUTDOWN", "data": {"reason": "guest-reset"}}
    server.says(stop, {"return": {"a": 1}}, down)
    assert server.qmp.execute("x", b=2) == {"a": 1}
    events = server.qmp.receive()
    reset = {"reason": "guest-reset"}
    assert [(e.name, e.data) for e in events] == [("STOP", {}), ("SHUTDOWN", reset)]
    assert server.qmp.receive() == []


def test_everything_is_journalled(server: Server) -> None:
    server.says({"event": "RESET"}, {"return": {}})
    server.qmp.execute("cont")
    kinds = [set(json.loads(line)) - {"s"} for line in server.path.open()]
    assert kinds == [{"sent"}, {"received"}, {"received"}]


def test_messages_may_come_in_pieces(server: Server) -> None:
    text = json.dumps({"event": "RESET"}).encode() + b"\n"
    server.theirs.send(text[:7])
    assert server.qmp.receive() == []
    server.theirs.send(text[7:])
    assert [event.name for event in server.qmp.receive()] == ["RESET"]


def test_an_answer_may_come_in_pieces(server: Server) -> None:
    text = json.dumps({"return": 7}).encode() + b"\n"
    server.theirs.send(text[:5])
    later = threading.Timer(0.05, server.theirs.send, (text[5:],))
    later.start()
    assert server.qmp.execute("x") == 7
    later.join()


def test_a_refused_command_says_why(server: Server) -> None:
    server.says({"error": {"class": "GenericError", "desc": "no such device"}})
    with pytest.raises(InfraError, match="no such device"):
        server.qmp.execute("device_add")


def test_silence_is_an_error(tmp_path: Path) -> None:
    server = Server(tmp_path, reply_timeout_s=0.2)
    with pytest.raises(InfraError, match="did not answer"):
        server.qmp.execute("cont")


def test_a_closed_connection_is_an_error_at_once(server: Server) -> None:
    server.theirs.close()
    with pytest.raises(QmpClosed):
        server.qmp.execute("cont")
    with pytest.raises(QmpClosed):
        server.qmp.handshake()
    assert server.qmp.receive() == [] and server.qmp.closed


def test_what_was_said_before_the_end_is_read(server: Server) -> None:
    server.says({"event": "SHUTDOWN", "data": {"reason": "guest-reset"}})
    server.theirs.close()
    with pytest.raises(QmpClosed):
        server.qmp.execute("cont")
    assert [event.name for event in server.qmp.receive()] == ["SHUTDOWN"]


def test_garbage_is_kept_and_skipped(server: Server) -> None:
    server.theirs.sendall(b"\xff not json\n[1]\n")
    server.says({"return": 7})
    assert server.qmp.execute("x") == 7
    assert "garbled" in server.path.read_text()


def test_a_late_reply_does_not_answer_the_next_command(tmp_path: Path) -> None:
    server = Server(tmp_path, reply_timeout_s=0.2)
    for _ in range(2):
        with pytest.raises(InfraError, match="did not answer"):
            server.qmp.execute("slow")
    server.says({"return": "slow"}, {"event": "STOP"}, {"error": {"desc": "slow"}}, {"return": 3})
    assert server.qmp.execute("quick") == 3
    assert [event.name for event in server.qmp.receive()] == ["STOP"]


def test_a_cancellation_ends_the_wait_for_a_reply(tmp_path: Path) -> None:
    cancellation = Cancellation()
    ours, _theirs = socket.socketpair()
    qmp = Qmp(ours, Journal(tmp_path / "qmp.jsonl"), 60.0, cancellation)
    threading.Timer(0.1, lambda: cancellation.cancel(signal.SIGTERM)).start()
    with pytest.raises(Interrupted):
        qmp.execute("cont")


def test_a_flood_without_a_newline_is_an_error(server: Server) -> None:
    stop = threading.Event()

    def flood() -> None:
        server.theirs.settimeout(5)
        while not stop.is_set():
            try:
                server.theirs.sendall(b"x" * 65536)
            except OSError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with pytest.raises(InfraError, match="without a newline|did not answer"):
            server.qmp.execute("cont")
    finally:
        stop.set()
        server.qmp._socket.close()
        thread.join()


def test_a_qemu_that_reads_nothing_is_waited_for_and_then_an_error(tmp_path: Path) -> None:
    server = Server(tmp_path, reply_timeout_s=0.2)
    with pytest.raises(InfraError, match="did not answer"):
        server.qmp.execute("x", text="y" * (4 << 20))


def test_many_open_files_are_no_trouble(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while stack.enter_context(open(os.devnull)).fileno() < 1030:
            pass
        ours, theirs = socket.socketpair()
        assert ours.fileno() > 1023
        threading.Timer(0.1, lambda: theirs.sendall(b'{"return": 7}\n')).start()
        assert Qmp(ours, Journal(tmp_path / "qmp.jsonl"), 20.0).execute("x") == 7


def test_a_message_nested_too_deep_is_garbage(server: Server) -> None:
    server.theirs.sendall(b"[" * 100_000 + b"\n")
    server.says({"return": 1})
    assert server.qmp.execute("x") == 1


@pytest.mark.parametrize(
    "greeting", [7, {}, {"version": []}, {"version": {"qemu": {"major": "8", "minor": 1}}}]
)
def test_a_greeting_without_version_is_no_qemu(server: Server, greeting: object) -> None:
    server.says({"QMP": greeting})
    with pytest.raises(InfraError, match="greeting has no version"):
        server.qmp.handshake()


@pytest.mark.parametrize("error", [7, [], "no", {"class": "GenericError"}])
def test_a_refusal_may_be_anything(server: Server, error: object) -> None:
    server.says({"error": error})
    with pytest.raises(InfraError, match="QMP error: "):
        server.qmp.execute("cont")


@pytest.mark.parametrize("data", [7, [], "no", None])
def test_an_event_has_an_object(server: Server, data: object) -> None:
    server.says({"event": "SHUTDOWN", "data": data})
    assert [event.data for event in server.qmp.receive()] == [{}]
