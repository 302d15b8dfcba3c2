"""Relaying: to servers that others wrote, over routes and smarthosts; failures, retries, bounces."""
# SPDX-License-Identifier: ISC
import email
import socket
import threading

import pytest
from sinks import Sink
from troika import Troika, free_port, wait_for

FAST = "retry = { 1s }\nexpire = 3s\n"


def route(port, domain="far.test"):
    return f'route "{domain}" {{ via = "127.0.0.1:{port}" }}\n'


def test_route_and_smarthost():
    with Sink() as far, Sink() as rest:
        with Troika(config=route(far.port) + f'smarthost "127.0.0.1:{rest.port}" {{ }}\n') as t:
            t.send(to=["a@far.test", "b@far.test", "c@else.test"])
            wait_for(lambda: far.messages and rest.messages, what="both messages")
            assert sorted(far.messages[0][1]) == ["a@far.test", "b@far.test"]
            assert rest.messages[0][1] == ["c@else.test"]
            t.wait_empty()


def test_bytes_arrive_exactly():
    body = b"Subject: x\r\n\r\n" + b".\r\n..\r\n.a\r\n" + bytes(range(1, 10)) + b"\r\n" + b"y" * 900 + b"\r\n\r\n\r\n"
    with Sink() as far, Troika(config=route(far.port)) as t:
        t.send(to="a@far.test", text=body)
        got = wait_for(lambda: far.messages, what="the message")[0][2]
        assert got.split(b"\r\n\r\n", 1)[1] == body.split(b"\r\n\r\n", 1)[1]
        assert got.startswith(b"Received: from ")


def test_connections_are_reused():
    with Sink() as far, Troika(config=route(far.port) + "destination-concurrency = 1\n") as t:
        with t.smtp() as s:
            for _ in range(10):
                s.sendmail("alice@example.test", ["a@far.test"], "Subject: x\r\n\r\ny\r\n")
        wait_for(lambda: len(far.messages) == 10, what="10 messages")
        assert far.sessions < 10, far.sessions


def test_one_of_three_refused_is_bounced_the_others_delivered():
    def answer(what, about):
        return "550 5.1.1 never heard of them" if what == "rcpt" and about.startswith("bad") else None

    with Sink(answer) as far, Troika(config=route(far.port)) as t:
        id = t.send(to=["a@far.test", "bad@far.test", "c@far.test"])
        wait_for(lambda: far.messages, what="the message")
        assert sorted(far.messages[0][1]) == ["a@far.test", "c@far.test"]
        bounce = t.wait_mails("alice")[0]
        assert bounce.startswith(b"Return-Path: <>\n")
        message = email.message_from_bytes(bounce)
        assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
        words, status, original = message.get_payload()
        assert "never heard of them" in words.get_payload() and "bad@far.test" in words.get_payload()
        recipient = status.get_payload()[1]
        assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1" and recipient["Final-Recipient"].endswith("bad@far.test")
        assert "550" in recipient["Diagnostic-Code"]
        assert original.get_content_type() == "text/rfc822-headers" and "Subject: test" in original.get_payload()
        for part in message.walk():
            assert not part.defects
        events = [e["event"] for e in t.trace(id)]
        assert events.count("delivered") == 2 and "bounced" in events
        t.wait_empty()


def test_try_later_is_tried_again():
    seen = []

    def answer(what, about):
        if what == "rcpt":
            seen.append(about)
            return "450 4.2.1 greylisted" if len(seen) == 1 else None

    with Sink(answer) as far, Troika(config=route(far.port) + FAST.replace("3s", "60s")) as t:
        id = t.send(to="a@far.test")
        wait_for(lambda: far.messages, what="the second attempt")
        assert len(seen) == 2
        assert [e["event"] for e in t.trace(id)][:2] == ["accepted", "deferred"]
        assert "greylisted" in str(t.trace(id))


def test_dead_destination_expires_into_a_bounce_and_delays_nobody():
    dead = free_port()
    with Sink() as far, Troika(config=route(far.port) + route(dead, "dead.test") + FAST) as t:
        id = t.send(to="x@dead.test")
        t.wait_event(id, "deferred")
        t.send(to="a@far.test")
        wait_for(lambda: far.messages, 5, "mail for the living")
        assert t.queue("@dead.test")
        bounce = email.message_from_bytes(t.wait_mails("alice")[0])
        assert bounce.get_payload()[1].get_payload()[1]["Status"].startswith(("4.4", "5.4"))
        t.wait_empty()


def test_double_bounce_is_held_and_told():
    def answer(what, about):
        return "550 5.1.1 no" if what == "rcpt" else None

    with Sink(answer) as far, Troika(config=route(far.port)) as t:
        id = t.send(to="bad@far.test", sender="")
        held = wait_for(lambda: [r for r in t.queue() if r["state"] == "held"], what="the held notification")
        assert held[0]["msg"] == id
        t.run("queue", "rm", id)
        t.wait_empty()


class Scripted:
    """A next hop that says exactly these bytes, one reply for each line it reads (b"" closes)."""

    def __init__(self, replies):
        self.replies, self.listener = replies, socket.create_server(("127.0.0.1", 0))
        self.port, self.sessions = self.listener.getsockname()[1], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            with connection:
                connection.settimeout(20)
                self.talk(connection)

    def talk(self, connection):
        rest, in_data = b"", False
        replies = iter(self.replies(self.sessions))
        try:
            greeting = next(replies)
            if not greeting:
                return
            connection.sendall(greeting)
            while True:
                more = connection.recv(65536)
                if not more:
                    return
                rest += more
                while (b"\r\n.\r\n" if in_data else b"\r\n") in rest:
                    line, rest = rest.split(b"\r\n.\r\n" if in_data else b"\r\n", 1)
                    reply = next(replies)
                    if not reply:
                        return
                    in_data = line.upper() == b"DATA" and reply.startswith(b"354")
                    connection.sendall(reply)
        except (StopIteration, OSError):
            return

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.thread.join(20)
        self.listener.close()


GOOD = [b"220 h\r\n", b"250 h\r\n", b"250 s\r\n", b"250 r\r\n", b"354 go\r\n", b"250 taken\r\n", b"221 bye\r\n"]


@pytest.mark.parametrize("at", range(6))
def test_connection_lost_is_tried_again(at):
    """Cut instead of each reply in turn, also after the final dot: tried again, never lost."""
    hop = Scripted(lambda session: GOOD[:at] + [b""] if session == 1 else GOOD)
    try:
        with Troika(config=route(hop.port) + "retry = { 1s }\n") as t:
            id = t.send(to="a@far.test")
            t.wait_event(id, "delivered")
            assert hop.sessions >= 2
            t.wait_empty()
    finally:
        hop.close()


def test_a_next_hop_that_does_not_speak_smtp():
    hop = Scripted(lambda session: [b"SSH-2.0-OpenSSH_9.2\r\n"] if session == 1 else GOOD)
    try:
        with Troika(config=route(hop.port) + "retry = { 1s }\n") as t:
            id = t.send(to="a@far.test")
            t.wait_event(id, "delivered")
            assert "SMTP" in str(t.trace(id))
    finally:
        hop.close()


def test_never_relays_to_itself():
    t = Troika(config="")
    t.configure(route(t.port))
    result = t.run("check", check=False)
    assert result.returncode == 78 and "itself" in result.stderr, result.stderr
    t.__exit__(None, None, None)
