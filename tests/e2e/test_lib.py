"""What the tests themselves are made with: a server that cannot start says so, and nobody waits for it."""
# SPDX-License-Identifier: ISC
import socket

import pytest
from sinks import Sink
from troika import free_port


def test_a_sink_on_a_taken_port_is_an_error():
    with Sink(host="127.0.1.1") as first, pytest.raises(OSError, match="in use"):
        Sink(host="127.0.1.1", port=first.port).__enter__()


def test_a_free_port_is_free_on_every_address():
    port = free_port()
    for host in ("127.0.0.1", "127.0.1.1", "127.0.1.2"):
        socket.create_server((host, port), reuse_port=False).close()
