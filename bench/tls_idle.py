#!/usr/bin/python3
"""tls_idle.py PORT COUNT PID: opens COUNT sessions by implicit TLS, says EHLO in each, and prints how many MiB the processes of the
server (the children of PID) then have in all: their own pages and their share of common ones."""
# SPDX-License-Identifier: ISC
import resource
import socket
import ssl
import sys


def server_mib(parent):
    with open(f"/proc/{parent}/task/{parent}/children") as f:
        processes = [parent, *f.read().split()]
    total = 0
    for pid in processes:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total / 1024


def main():
    port, count, parent = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before, sessions = server_mib(parent), []
    for number in range(count):
        # connections of one address are limited by its ports: 20,000 each
        raw = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(f"127.0.1.{1 + number // 20000}", 0))
        s = context.wrap_socket(raw)
        s.recv(1000)
        s.sendall(b"EHLO idle.test\r\n")
        s.recv(1000)
        sessions.append(s)
    print(f"{server_mib(parent):.0f}")
    print(f"before: {before:.0f} MiB, for each session {(server_mib(parent) - before) * 1024 / count:.1f} KiB", file=sys.stderr)


main()
