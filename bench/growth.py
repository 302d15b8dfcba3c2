#!/usr/bin/env python3
"""growth.py PORT recipients|destinations N: what one more costs.
recipients: one message for N recipients of one domain, pipelined; prints µs a recipient, to the 250.
destinations: a message for each of N domains, over one connection, pipelined; prints µs a message."""
# SPDX-License-Identifier: ISC
import socket
import sys
import time

WINDOW = 500  # commands sent before their replies are read


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lines = self.socket.makefile("rb")
        self.expect(220)
        self.say(b"EHLO client.bench.test\r\n")
        self.expect(250)

    def say(self, data):
        self.socket.sendall(data)

    def expect(self, code):
        while True:
            line = self.lines.readline()
            if not line.startswith(str(code).encode()):
                sys.exit(f"growth.py: wanted {code}, got {line!r}")
            if line[3:4] != b"-":
                return

    def batch(self, commands, code):
        for at in range(0, len(commands), WINDOW):
            some = commands[at:at + WINDOW]
            self.say(b"".join(some))
            for _ in some:
                self.expect(code)

    def data(self):
        self.say(b"DATA\r\n")
        self.expect(354)
        self.say(b"Subject: growth\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n")
        self.expect(250)


def recipients(client, count):
    client.batch([b"MAIL FROM:<sender@bench.test>\r\n"], 250)
    client.batch([b"RCPT TO:<r%d@dst.test>\r\n" % i for i in range(count)], 250)
    client.data()


def destinations(client, count):
    for i in range(count):
        client.say(b"MAIL FROM:<sender@bench.test>\r\nRCPT TO:<rcpt@d%d.test>\r\n" % i)
        client.expect(250)
        client.expect(250)
        client.data()


def main():
    port, what, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    client = Client(port)
    began = time.monotonic()
    {"recipients": recipients, "destinations": destinations}[what](client, count)
    print(f"{(time.monotonic() - began) / count * 1e6:.1f}")


if __name__ == "__main__":
    main()
