#!/usr/bin/env python3
"""first_220.py PORT: says "waiting", and then when a server there said its first 220, in seconds since 1970.

It runs before the server is started: Python itself takes half a second to begin on a cold cache."""
# SPDX-License-Identifier: ISC
import socket
import sys
import time

END = time.time() + 300
print("waiting", flush=True)
while time.time() < END:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as s:
            if s.recv(200).startswith(b"220"):
                print(time.time(), flush=True)
                s.sendall(b"QUIT\r\n")
                s.recv(200)
                sys.exit(0)
    except OSError:
        pass
    time.sleep(0.005)
sys.exit(1)
