#!/usr/bin/env python3
"""delay.py PORT SINKPORT N: N messages one after the other through the server at PORT, whose next hop is
our sink at SINKPORT. Prints the median and the largest time from the 250 to the message's arrival, in ms."""
# SPDX-License-Identifier: ISC
import smtplib
import socket
import statistics
import sys
import threading
import time

ARRIVED = threading.Event()
ARRIVED_AT = [0.0]


def answer(lines, write):
    """One SMTP session; tells when a final dot was read."""
    content = False
    write(b"220 sink.test\r\n")
    for line in lines:
        if content:
            if line == b".\r\n":
                ARRIVED_AT[0] = time.monotonic()
                ARRIVED.set()
                content = False
                write(b"250 taken\r\n")
            continue
        verb = line[:4].upper()
        content = verb == b"DATA"
        write(b"354 go on\r\n" if content else b"221 bye\r\n" if verb == b"QUIT" else b"250 sink.test\r\n")


def session(client):
    with client, client.makefile("rb") as lines:
        try:
            answer(lines, client.sendall)
        except OSError:
            pass  # the server hung up: it says so itself


def serve(listener):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=session, args=(client,), daemon=True).start()


def main():
    port, sink_port, count = (int(a) for a in sys.argv[1:])
    listener = socket.create_server(("127.0.0.1", sink_port), backlog=100)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    delays = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        for _ in range(count):
            ARRIVED.clear()
            client.sendmail("sender@bench.test", ["rcpt@dst.test"], "Subject: delay\r\n\r\nhello\r\n")
            accepted_at = time.monotonic()
            if not ARRIVED.wait(60):
                sys.exit("delay.py: a message did not arrive within 60 s")
            delays.append((ARRIVED_AT[0] - accepted_at) * 1000)
    print(f"{statistics.median(delays):.1f} max {max(delays):.1f}")


if __name__ == "__main__":
    main()
