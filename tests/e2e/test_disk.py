"""Disks that fail or are full: what was acknowledged arrives, what cannot be kept is refused, all by itself."""
# SPDX-License-Identifier: ISC
import mmap
import os
import re
import shutil
import struct
import subprocess
import threading

import pytest
from sinks import Sink
from troika import ROOT, Dialogue, Troika, free_port, wait_for

SEGMENT = 16 * 1024 * 1024
LIBRARY = os.path.join(ROOT, "tests/lib/broken_sync.c")


class Sender(threading.Thread):
    """Sends messages of one size until told to stop; knows which were accepted, and all refusals."""

    def __init__(self, server, name, size=2000, to="bob@example.test"):
        super().__init__(daemon=True)
        self.server, self.tag, self.size, self.to = server, name, size, to
        self.accepted, self.refusals, self.count = [], [], 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                with Dialogue(self.server.port) as d:
                    d.reply()
                    d.say("EHLO c.test")
                    while not self.stopping.is_set() and self.one(d):
                        pass
            except OSError:
                self.stopping.wait(0.01)  # or the server is there again

    def one(self, d):
        self.count += 1
        subject = f"{self.tag}-{self.count}"
        for line in (f"MAIL FROM:<alice@example.test> SIZE={self.size}", f"RCPT TO:<{self.to}>", "DATA"):
            code, words = d.say(line)
            if code not in (250, 354):
                return self.refused(d, code, words)
        d.raw(f"Subject: {subject}\r\n\r\n".encode() + (b"x" * 76 + b"\r\n") * (self.size // 78) + b"the end\r\n.\r\n")
        code, words = d.reply()
        if code == 250:
            self.accepted.append(subject)
            return True
        return self.refused(d, code, words)

    def refused(self, d, code, words):
        self.refusals.append((code, words[0] if words else ""))
        self.stopping.wait(0.02)  # or there is room again
        return code not in (0, 421) and d.say("RSET")[0] == 250


def stop(senders):
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(30)
        assert not sender.is_alive()


def subject_of(mail):
    """Of a whole message."""
    assert mail.endswith(b"the end\n"), mail[-200:]
    return re.search(rb"^Subject: (\S+)$", mail, re.M).group(1).decode()


def subjects(t, user="bob"):
    return [subject_of(mail) for mail in t.mails(user)]


class Breaker:
    def __init__(self, folder):
        self.path = f"{folder}/orders"
        with open(self.path, "wb") as f:
            f.write(bytes(24))
        os.chmod(self.path, 0o666)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 24)

    def order(self, count, bytes_min, bytes_max):
        self.map[8:24] = struct.pack("qq", bytes_min, bytes_max)
        self.map[0:8] = struct.pack("q", count)

    def left(self):
        return struct.unpack("q", self.map[0:8])[0]


@pytest.fixture
def breakable():
    t = Troika()
    library = t.folder + "/broken_sync.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, LIBRARY], check=True)
    t.breaker = Breaker(t.folder)
    t.environment = {"LD_PRELOAD": library, "TROIKA_BREAK": t.breaker.path, "TROIKA_BREAK_ROLE": "queue"}
    with t:
        yield t


# What fails: a segment, to which batches go that are too large for rows, on slow disks only very large ones; the database's log; the
# file of a large message.
@pytest.mark.parametrize("bytes_min, bytes_max, size, count", [(SEGMENT, SEGMENT, 60000, 24), (4096, SEGMENT - 1, 2000, 8), (300000, 400000, 320000, 8)])
def test_a_failed_sync_is_answered_451_and_survived(breakable, bytes_min, bytes_max, size, count):
    t = breakable
    senders = [Sender(t, f"s{i}", size) for i in range(count)]
    for sender in senders:
        sender.start()
    for round in range(2):
        wait_for(lambda: all(s.accepted for s in senders), what="mail before the failure")
        queue = t.workers()["queue 1"]
        t.breaker.order(1, bytes_min, bytes_max)
        wait_for(lambda: t.breaker.left() == 0, what="the failure")
        wait_for(lambda: t.workers().get("queue 1", queue) != queue, 10, "another queue")
        before = sum(len(s.accepted) for s in senders)
        wait_for(lambda: sum(len(s.accepted) for s in senders) > before + 10, 10, "mail after the failure")
    stop(senders)
    refusals = {code for s in senders for code, words in s.refusals}
    assert 451 in refusals and refusals <= {451, 421}, [s.refusals for s in senders]
    assert t.log().count("event=spool-broken") == 2
    t.wait_empty()
    lost = {one for s in senders for one in s.accepted} - set(subjects(t))
    assert not lost


def test_a_failed_sync_on_an_idle_server_is_survived(breakable):
    t = breakable
    queue = t.workers()["queue 1"]
    t.breaker.order(1, 300000, 400000)
    sender = Sender(t, "one", 320000)
    with Dialogue(t.port) as d:
        d.reply()
        d.say("EHLO c.test")
        sender.one(d)
    assert [code for code, words in sender.refusals] == [451]
    wait_for(lambda: t.workers().get("queue 1", queue) != queue, 10, "another queue")
    wait_for(lambda: "250" in t.run("send", "--from", "alice@example.test", "--to", "bob@example.test", "x", check=False).stdout,
             what="an accepted message")


# ---- full ----

MOUNTS = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root and mkfs.ext4")


class SmallDisk:
    """A file system of a few megabytes on a folder."""

    def __init__(self, folder, image, mib):
        self.folder, self.image = folder, image
        with open(image, "wb") as f:
            f.truncate(mib * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        done = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("cannot mount: " + done.stderr.strip())
        shutil.chown(folder, "nobody", "nogroup")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.folder], check=True)
        os.unlink(self.image)

    def free(self):
        fs = os.statvfs(self.folder)
        return fs.f_bavail * fs.f_frsize


def mail_is(server, expected):
    with Dialogue(server.port) as d:
        d.reply()
        d.say("EHLO c.test")
        code, words = d.say("MAIL FROM:<alice@example.test>")
        return (code, words[0][:5]) == expected


@MOUNTS
def test_a_full_spool_refuses_and_recovers(tmp_path):
    arrived = {}

    class Far(Sink):
        async def handle_DATA(self, server, session, envelope):
            arrived[subject_of(envelope.original_content.replace(b"\r\n", b"\n"))] = True
            return "250 2.0.0 taken"

    port = free_port()
    t = Troika(config=f'route "far.test" {{ via = "127.0.0.1:{port}" }}\nfree-floor = 12M\nretry = {{ 1s }}\n', users=())
    with SmallDisk(t.state, f"{tmp_path}/image", 120) as disk, t:
        small = [Sender(t, f"small{i}", 3000, "x@far.test") for i in range(2)]
        senders = small + [Sender(t, f"large{i}", 12000000, "x@far.test") for i in range(6)]
        for sender in small:
            sender.start()
        wait_for(lambda: all(len(s.accepted) > 5 for s in small), what="some small messages")
        for sender in senders[len(small):]:
            sender.start()
        wait_for(lambda: mail_is(t, (452, "4.3.1")), 30, "452 to MAIL")
        before = [len(s.refusals) for s in senders]
        wait_for(lambda: all(len(s.refusals) > n + 1 for s, n in zip(senders, before)), 60, "everybody against the full disk")
        stop(senders[len(small):])
        wait_for(lambda: mail_is(t, (452, "4.3.1")), 30, "small ones in the room of a large one that was refused half way")
        stop(small)
        accepted = {one for s in senders for one in s.accepted}
        refusals = {(code, words[:5]) for s in senders for code, words in s.refusals}
        print(len(accepted), refusals, disk.free())
        assert len(accepted) > 10 and refusals == {(452, "4.3.1")}
        assert "event=spool-broken" not in t.log()
        assert disk.free() > 8 * 1024 * 1024  # large ones have not eaten what results need
        with Far(port=port):
            t.run("queue", "retry", "all")
            t.wait_empty(60)
            assert set(arrived) >= accepted
        wait_for(lambda: mail_is(t, (250, "2.1.0")), 10, "250 to MAIL, now that there is room")


@MOUNTS
def test_a_full_mailbox_disk_defers(tmp_path):
    t = Troika(config="retry = { 1s }\n", users=())
    os.mkdir(t.state + "/mail", 0o700)
    with SmallDisk(t.state + "/mail", f"{tmp_path}/image", 5):
        t.run("user", "add", "bob@example.test")
        with t:
            ids, read = {}, set()
            for i in range(20):
                sender = Sender(t, f"m{i}", 600000 if i % 2 else 2000)
                with Dialogue(t.port) as d:
                    d.reply()
                    d.say("EHLO c.test")
                    assert sender.one(d)
                ids[f"m{i}-1"] = True
            deferred = wait_for(lambda: [r for r in t.queue() if r["attempts"] > 0], what="something deferred")
            assert "4.3.1" in deferred[0]["last"], deferred[0]

            def read_some():
                folder = t.mailbox("bob") + "/new"
                for name in os.listdir(folder):
                    with open(f"{folder}/{name}", "rb") as f:
                        read.add(subject_of(f.read()))
                    os.unlink(f"{folder}/{name}")
                return not t.queue()

            wait_for(read_some, 20, "the rest, as room is made")
            read_some()
            assert read == set(ids)
            assert not os.listdir(t.mailbox("bob") + "/tmp")


@MOUNTS
def test_a_start_on_a_full_disk(tmp_path):
    t = Troika(config="hold = yes\nfree-floor = 1M\n", users=())
    with SmallDisk(t.state, f"{tmp_path}/image", 70):
        t.run("user", "add", "bob@example.test")
        t.start()
        ids = {t.send() for _ in range(20)}
        t.kill()
        with open(t.state + "/somebody's", "wb", buffering=0) as f, pytest.raises(OSError):
            while f.write(b"x" * 4096):
                pass
        with t:  # what the database needs to take its log in comes from the reserve
            assert {r["msg"] for r in t.queue()} == ids
            t.run("queue", "rm", ids.pop())
            assert {r["msg"] for r in t.queue()} == ids
            os.unlink(t.state + "/somebody's")
            wait_for(lambda: mail_is(t, (250, "2.1.0")), 10, "250 to MAIL, now that there is room")
