#!/usr/bin/python3
"""tls_load.py PORT SECONDS SESSIONS: mail over reused connections, STARTTLS in each, from as many processes as there are cores;
prints the messages a second that got their 250. The same load for every server, and no tool of theirs: smtp-source has no TLS."""
# SPDX-License-Identifier: ISC
import multiprocessing
import os
import selectors
import socket
import ssl
import sys
import time

BODY = b"Subject: load\r\n\r\n" + (b"x" * 78 + b"\r\n") * 50 + b".\r\n"
MAIL = b"MAIL FROM:<load@src.test>\r\nRCPT TO:<rcpt@dst.test>\r\nDATA\r\n"


def connect(port):
    raw = socket.create_connection(("127.0.0.1", port), timeout=60)
    raw.recv(1000)
    for line in (b"EHLO load.test\r\n", b"STARTTLS\r\n"):
        raw.sendall(line)
        raw.recv(4000)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s = context.wrap_socket(raw)
    s.sendall(b"EHLO load.test\r\n")
    s.recv(4000)
    s.setblocking(False)
    return s


class Session:
    """Pipelined: MAIL RCPT DATA in one go, then the content; counts the answer to it."""

    def __init__(self, port):
        self.socket, self.said, self.lines, self.done = connect(port), b"", 0, 0
        self.socket.sendall(MAIL)

    def ready(self):
        while True:
            try:
                got = self.socket.recv(4000)
            except ssl.SSLWantReadError:
                return
            if not got:
                raise SystemExit("the server ended a session")
            self.lines += got.count(b"\n")
            if self.lines == 3:
                self.socket.sendall(BODY)
            elif self.lines == 4:
                self.lines, self.done = 0, self.done + 1
                self.socket.sendall(MAIL)


def work(port, seconds, sessions, queue):
    selector = selectors.DefaultSelector()
    all_of_them = [Session(port) for _ in range(sessions)]
    for s in all_of_them:
        selector.register(s.socket, selectors.EVENT_READ, s)
    begin = time.monotonic()
    before = sum(s.done for s in all_of_them)
    while time.monotonic() - begin < seconds:
        for key, _ in selector.select(1):
            key.data.ready()
    queue.put((sum(s.done for s in all_of_them) - before) / (time.monotonic() - begin))


def main():
    port, seconds, sessions = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    count, queue = os.cpu_count() or 1, multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(port, seconds, sessions // count, queue)) for _ in range(count)]
    for w in workers:
        w.start()
    print(f"{sum(queue.get() for _ in workers):.0f}")
    for w in workers:
        w.join()


main()
