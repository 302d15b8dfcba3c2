"""One message for as many recipients as the configuration can allow: 100,000."""
# SPDX-License-Identifier: ISC
import re
import socket
import threading

import pytest
from troika import Troika, last_line, wait_for

COUNT = 100000
WINDOW = 1000  # commands sent before their replies are read
PROVIDERS = 5


def batch(s, file, commands):
    for at in range(0, len(commands), WINDOW):
        some = commands[at:at + WINDOW]
        s.sendall(b"".join(some))
        for command in some:
            reply = last_line(file)
            assert reply.startswith(b"250"), (command, reply)


def send(t, to):
    """The id in the 250."""
    with socket.create_connection(("127.0.0.1", t.port), timeout=120) as s, s.makefile("rb") as file:
        assert last_line(file).startswith(b"220")
        batch(s, file, [b"EHLO list.test\r\n", b"MAIL FROM:<alice@example.test>\r\n"])
        batch(s, file, [b"RCPT TO:<%s>\r\n" % one.encode() for one in to])
        s.sendall(b"DATA\r\n")
        assert last_line(file).startswith(b"354")
        s.sendall(b"Subject: to all\r\n\r\nhello\r\n.\r\n")
        reply = last_line(file)
        assert reply.startswith(b"250"), reply
        return re.search(rb"id ([0-9a-z]{15})", reply).group(1).decode()


class Refuser(threading.Thread):
    """A next hop that knows nobody."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self.socket.getsockname()[1]
        self.asked = 0

    def run(self):
        while True:
            one, _ = self.socket.accept()
            threading.Thread(target=self.session, args=(one,), daemon=True).start()

    def session(self, one):
        try:
            with one, one.makefile("rb") as file:
                one.sendall(b"220 far.test\r\n")
                while line := file.readline():
                    one.sendall(self.answer(line[:4].upper()))
        except OSError:
            pass

    def answer(self, verb):
        if verb == b"EHLO":
            return b"250-far.test\r\n250 PIPELINING\r\n"
        self.asked += verb == b"RCPT"
        return {b"RCPT": b"550 5.1.1 nobody\r\n", b"DATA": b"554 5.5.1 whom?\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}.get(verb, b"250 2.0.0 ok\r\n")


@pytest.mark.timeout(600)
def test_one_message_for_100000():
    routes = "".join(f'route "p{n}.test" {{ via = "127.0.0.1:9" }}\n' for n in range(PROVIDERS))
    to = [f"subscriber.{i}@p{i % PROVIDERS}.test" for i in range(COUNT)]
    with Troika(config=f"recipients = {COUNT}\nhold = yes\n" + routes, smtpd=1) as t:
        id = send(t, to)
        lines = t.run("queue", "--json", "ls", timeout=300).splitlines()
        assert len(lines) == COUNT
        assert to[-1] in lines[-1]
        told = wait_for(lambda: (text := t.run("trace", "--json", id, timeout=300)).count("subscriber.") >= COUNT and text, 120,
                        "all recipients in the trace")
        assert to[COUNT // 2] in told
        t.run("queue", "rm", id, timeout=300)
        wait_for(lambda: not t.run("queue", "ls", timeout=300).count("subscriber."), 120, "an empty queue")


@pytest.mark.timeout(600)
def test_all_of_them_fail():
    """The sender hears of it in a bounded number of reports, and the history of each."""
    count, reports = 5000, 3
    far = Refuser()
    far.start()
    config = f'recipients = {COUNT}\nbounces-per-sender = {reports}\nroute "p.test" {{ via = "127.0.0.1:{far.port}" }}\n'
    with Troika(config=config, smtpd=1) as t:
        id = send(t, [f"subscriber.{i}@p.test" for i in range(count)])
        wait_for(lambda: not t.run("queue", "ls").count("p.test"), 240, "the end of all of them")
        assert far.asked >= count
        assert len(t.wait_mails("alice", reports, 60)) == reports
        bounced = wait_for(lambda: (e := [e for e in t.trace(id) if e["event"] == "bounced"]) and len(e) == count and e, 120, "all in the trace")
        assert sum("report" in e for e in bounced) + sum("unreported" in e for e in bounced) == count
        assert 100 < sum("report" in e for e in bounced) < 3000
