"""kill -9 of every process at random moments under load: what got a 250 arrives, whole, soon."""
# SPDX-License-Identifier: ISC
import functools
import hashlib
import os
import random
import re
import signal
import socket
import threading
import time

from sinks import Sink
from troika import Troika, last_line, wait_for

ROUNDS = int(os.environ.get("TROIKA_KILL_ROUNDS", "30"))
SENDERS = 8
BACKLOG = 300  # the next hop here is slower than the senders: what is measured is the restart, not its backlog


class Load(threading.Thread):
    """Sends messages with known content over and over, notes which got a 250."""

    def __init__(self, server, number, waiting):
        super().__init__(daemon=True)
        self.server, self.number, self.waiting, self.accepted, self.stop = server, number, waiting, {}, False
        self.count = 0

    def run(self):
        random_source = random.Random(self.number)
        while not self.stop:
            try:
                self.session(random_source)
            except OSError:
                time.sleep(0.005)

    def session(self, random_source):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as s:
            file = s.makefile("rb")

            reply = functools.partial(last_line, file)
            if not reply().startswith(b"220"):
                return
            s.sendall(b"EHLO load.test\r\n")
            reply()
            for _ in range(20):
                while self.waiting() > BACKLOG and not self.stop:
                    time.sleep(0.01)
                if self.stop:
                    return
                self.count += 1
                name = f"{self.number}-{self.count}"
                size = random_source.choice([100] * 8 + [4000] * 4 + [30000, 60000, 70000, 150000, 500000, 2000000])
                body = (hashlib.sha256(name.encode()).hexdigest() + "\r\n") * (size // 66 + 1)
                text = f"Subject: {name}\r\nX-Lines: {size // 66 + 1}\r\n\r\n{body}".encode()
                chunked = self.count % 3 == 0
                s.sendall(b"MAIL FROM:<load@example.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<x@far.test>\r\n" + (b"" if chunked else b"DATA\r\n"))
                replies = [reply() for _ in range(3 if chunked else 4)]
                whom = [to for to, r in (("bob", replies[1]), ("far", replies[2])) if r.startswith(b"250")]
                if not (whom if chunked else replies[3].startswith(b"354")):
                    s.sendall(b"RSET\r\n")
                    reply()
                    continue
                s.sendall(in_chunks(text) if chunked else text + b".\r\n")
                if [reply() for _ in range(3 if chunked else 1)][-1].startswith(b"250"):
                    self.accepted[name] = whom


def in_chunks(text):
    """The message by BDAT, in three pieces."""
    cuts = [text[:len(text) // 3], text[len(text) // 3:], b""]
    return b"".join(b"BDAT %d%s\r\n%s" % (len(piece), b"" if piece else b" LAST", piece) for piece in cuts)


def read_copy(content):
    """(name, whole?) of a received copy."""
    content = content.replace(b"\r\n", b"\n")
    head, _, body = content.partition(b"\n\n")
    name = re.search(rb"^Subject: (\S+)$", head, re.M).group(1).decode()
    lines = int(re.search(rb"^X-Lines: (\d+)$", head, re.M).group(1))
    return name, body == (hashlib.sha256(name.encode()).hexdigest().encode() + b"\n") * lines


def test_kill_every_process():
    random_source = random.Random(int(os.environ.get("TROIKA_SEED", "1")))
    roles = ["queue", "smtpd", "relay", "local", "router", "history", "parent"]
    arrived = {"bob": {}, "far": {}}
    far_whole = []

    class Counting(Sink):
        async def handle_DATA(self, server, session, envelope):
            name, whole = read_copy(envelope.original_content)
            arrived["far"][name] = arrived["far"].get(name, 0) + 1
            far_whole.append(whole)
            return "250 2.0.0 taken"

    with Counting() as far:
        # A short schedule, so that what waits for another attempt is there within seconds.
        with Troika(config=f'route "far.test" {{ via = "127.0.0.1:{far.port}" }}\nretry = {{ 1s }}\n') as t:
            loads = []

            def waiting():
                return sum(len(load.accepted) for load in loads) - len(arrived["far"])

            loads += [Load(t, number, waiting) for number in range(SENDERS)]
            for load in loads:
                load.start()
            for round in range(ROUNDS):
                role = roles[round % len(roles)]
                before = sum(load.count for load in loads)
                wait_for(lambda: sum(load.count for load in loads) > before + 5, 30, "load")
                time.sleep(random_source.random() * 0.15)  # the random moment
                if role == "parent":
                    t.kill()
                    t.start()
                else:
                    for pid in [pid for name, pid in t.workers().items() if role in name]:
                        try:
                            os.kill(pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                t.wait_ready()
            for load in loads:
                load.stop = True
            for load in loads:
                load.join(30)
            ended = time.monotonic()
            accepted = {name: whom for load in loads for name, whom in load.accepted.items()}
            try:
                t.wait_empty(30)
            finally:
                print(t.run("queue", "ls", check=False).stdout[-2000:])
            took = time.monotonic() - ended
            torn = [whole for whole in far_whole if not whole]
            for mail in t.mails("bob"):
                name, whole = read_copy(mail)
                arrived["bob"][name] = arrived["bob"].get(name, 0) + 1
                if not whole:
                    torn.append(name)
            lost = [(name, to) for name, whom in accepted.items() for to in whom if name not in arrived[to]]
            twice = sum(n - 1 for to in arrived for n in arrived[to].values() if n > 1)
            print(f"rounds {ROUNDS}, accepted {len(accepted)}, lost {len(lost)}, torn {len(torn)}, duplicates {twice}, empty after {took:.1f} s")
            assert not lost and not torn
            assert len(accepted) > ROUNDS
            assert took < 10, took
