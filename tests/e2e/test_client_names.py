"""The name of a client, by its address and back again, in Received and the record."""
# SPDX-License-Identifier: ISC
import contextlib
import email
import os
import signal
import socket
import struct
import threading
import time

import pytest
from names import NameServer
from troika import Dialogue, Troika, wait_for

REVERSE = """
2.1.0 PTR mail.client.test.
3.1.0 PTR liar.client.test.
5.1.0 PTR gone.client.test.
5.1.0 PTR mail.client.test.
5.1.0 PTR five.client.test.
6.1.0 PTR a.broken.test.
7.1.0 CNAME 7.0-24
7.0-24 PTR mail.client.test.
"""
FORWARD = """
mail A 127.0.1.2
mail A 127.0.1.7
liar A 127.0.1.99
five A 127.0.1.5
"""


@pytest.fixture(scope="module")
def names():
    with NameServer({"127.in-addr.arpa": REVERSE, "client.test": FORWARD}, broken=["broken.test", "2.0.127.in-addr.arpa"]) as ns:
        yield ns


@pytest.fixture(scope="module")
def server(names):
    with Troika(dns=names.dns, relay_for="") as t:
        yield t


def deliver(t, source):
    """One message from this address; returns (its Received, its accepted event, seconds that DATA took)."""
    before = len(t.mails("bob"))
    with Dialogue(t.port, source=source) as d:
        assert d.reply()[0] == 220
        for line in ("EHLO client.test", "MAIL FROM:<a@b.test>", "RCPT TO:<bob@example.test>"):
            assert d.say(line)[0] == 250
        began = time.monotonic()
        assert d.say("DATA")[0] == 354
        took = time.monotonic() - began
        code, words = d.say("Subject: x\r\n\r\ny\r\n.")
        assert code == 250
    mail = t.wait_mails("bob", before + 1)
    received = [email.message_from_bytes(m) for m in mail if words[0].split()[-1].encode() in m][0]["Received"]
    return " ".join(received.split()), t.trace(words[0].split()[-1])[0], took


def test_a_name_that_leads_back(server):
    for source in ("127.0.1.2", "127.0.1.7"):
        received, event, took = deliver(server, source)
        assert received.startswith(f"from client.test (mail.client.test [{source}]) by mail.example.test with ESMTP id ")
        assert event["client"] == source and event["client-name"] == "mail.client.test" and "nameless" not in event
        assert took < 4  # nobody waited for a time-out, which is 5 s


def test_one_of_several_names(server):
    received, event, _ = deliver(server, "127.0.1.5")
    assert "(five.client.test [127.0.1.5])" in received and event["client-name"] == "five.client.test"


@pytest.mark.parametrize("source,why", [
    ("127.0.1.3", "its name does not lead back to the address"),
    ("127.0.1.4", "the address has no name"),
    ("127.0.1.6", "its name cannot be looked up now"),  # the forward zone is broken
    ("127.0.2.1", "its name cannot be looked up now"),  # the reverse zone is broken
])
def test_unknown_and_why(server, source, why):
    received, event, took = deliver(server, source)
    assert f"from client.test (unknown [{source}]) by" in received
    assert event["client-name"] == "unknown" and event["nameless"] == why
    assert took < 4.5


def test_shown_by_trace_and_queue_and_log(names):
    with Troika(dns=names.dns, relay_for="", config="hold = yes\n") as t, Dialogue(t.port, source="127.0.1.2") as d:
        d.reply()
        d.say("EHLO client.test")
        d.say("MAIL FROM:<a@b.test>")
        d.say("RCPT TO:<bob@example.test>")
        d.say("DATA")  # which waits for the name
        id = d.say("Subject: x\r\n\r\ny\r\n.")[1][0].split()[-1]
        d.say("MAIL FROM:<a@b.test>")
        assert d.say("RCPT TO:<nobody@example.test>")[0] == 550
        wait_for(lambda: "event=refused" in t.log() and "client=127.0.1.2 client-name=mail.client.test" in t.log(), what="the refusal")
        assert "client-name=mail.client.test" in t.run("trace", id)
        assert "mail.client.test" in t.run("queue", "show", id)


def test_loopback_is_not_asked_for_and_it_can_be_turned_off(names):
    with Troika(dns=names.dns) as t:
        received, event, _ = deliver(t, "127.0.0.1")
        assert "from client.test ([127.0.0.1]) by" in received and "client-name" not in event
        t.base = t.base.replace(names.dns, names.dns + " reverse-names = no")
        t.configure("")
        t.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in t.log(), what="the reload")
        received, event, _ = deliver(t, "127.0.1.2")
        assert "from client.test ([127.0.1.2]) by" in received and "client-name" not in event


def test_a_relay_that_dies_costs_the_name_only(names):
    with silent_resolver() as dns, Troika(dns=f'forward = {{ "{dns}" }}') as t, Dialogue(t.port, source="127.0.1.2") as d:
        d.reply()
        for line in ("EHLO client.test", "MAIL FROM:<a@b.test>", "RCPT TO:<bob@example.test>"):
            assert d.say(line)[0] == 250
        d.raw(b"DATA\r\n")
        for name, pid in t.workers().items():
            if name.startswith("relay"):
                os.kill(pid, signal.SIGKILL)
        assert d.reply()[0] == 354
        id = d.say("Subject: x\r\n\r\ny\r\n.")[1][0].split()[-1]
        assert t.trace(id)[0]["nameless"] == "the process that looks it up has ended"


@contextlib.contextmanager
def silent_resolver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1@{s.getsockname()[1]}"


def test_slow_name_servers_cost_five_seconds_at_most_and_no_greeting():
    with silent_resolver() as dns, Troika(dns=f'forward = {{ "{dns}" }}', relay_for="") as t:
        began = time.monotonic()
        with Dialogue(t.port, source="127.0.1.2") as d:
            assert d.reply()[0] == 220 and time.monotonic() - began < 4
        received, event, took = deliver(t, "127.0.1.2")
        assert "(unknown [127.0.1.2])" in received and event["nameless"] == "no answer in time"
        assert 3 < took < 10


# What a PTR record may contain, by the last byte of the address: as bytes, with their length bytes.
def name(*labels):
    return b"".join(bytes([len(one)]) + one for one in labels) + b"\0"


HOSTILE = {
    1: name(b"evil\r\nX-Injected: yes", b"test"),
    2: name(b"a b", b"test"),
    3: name(b"a) by fake (b", b"test"),
    4: name(b"dot.inside", b"test"),
    5: name(*[b"x" * 63] * 3, b"y" * 61),  # 255 bytes: as long as a name can be
    6: name(*[b"x" * 63] * 4, b"y" * 43),  # 300
    7: name(b"\0\xff\x1a\x7f", b"test"),
    8: b"\x3fshort",
    9: b"\xc0\x0c",  # the question itself
    10: b"\0",
    11: b"",
    12: name(b'"; drop', b"test"),
    13: name(b"127.0.0.1"),
}


class HostileNames(threading.Thread):
    """Answers PTR with HOSTILE, and says that every name has every address that it asks for."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.dns = f'forward = {{ "127.0.0.1@{self.socket.getsockname()[1]}" }}'
        self.start()

    def run(self):
        while True:
            packet, sender = self.socket.recvfrom(4096)
            if not packet:
                return
            end = packet.index(b"\0", 12) + 5
            kind = struct.unpack(">H", packet[end - 4:end - 2])[0]
            last = int(packet[13:13 + packet[12]]) if kind == 12 and packet[13:14].isdigit() else 0
            data = HOSTILE.get(last, name(b"none")) if kind == 12 else bytes([127, 0, 3, 5]) if kind == 1 else None
            records = b"" if data is None else b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
            head = packet[:2] + b"\x85\x80\0\1" + struct.pack(">H", int(data is not None)) + b"\0\0\0\0"
            self.socket.sendto(head + packet[12:end] + records, sender)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()


def test_hostile_names_break_no_header():
    hostile = HostileNames()
    try:
        with Troika(dns=hostile.dns, relay_for="") as t:
            for last in HOSTILE:
                received, event, _ = deliver(t, f"127.0.3.{last}")
                if last == 5:
                    long = ".".join(["x" * 63] * 3 + ["y" * 61])
                    assert f"({long} [127.0.3.5])" in received and event["client-name"] == long
                else:
                    assert f"from client.test (unknown [127.0.3.{last}]) by mail.example.test with ESMTP id" in received, received
                    assert event["client-name"] == "unknown" and event["nameless"], event
            assert len(t.mails("bob")) == len(HOSTILE)
            for mail in t.mails("bob"):
                assert b"Injected" not in mail and all(len(line) < 998 for line in mail.splitlines())
                assert not email.message_from_bytes(mail).defects
            assert "event=worker-died" not in t.log() and "channel-broken" not in t.log()
    finally:
        hostile.close()
