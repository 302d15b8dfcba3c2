"""troika probe at the ports it tries without being told: 25, 465, 587 and 2525, over IPv4 and IPv6, of a real Troika."""
# SPDX-License-Identifier: ISC
import os
import socket

import pytest
from certificates import Authority
from names import NameServer
from probing import probe
from troika import Troika

NAME, ADDRESSES = "mx.usual.test", ("127.0.25.1", "::1")


def may_listen():
    """As root, where no other mail server has these addresses."""
    if os.geteuid() != 0:
        return False
    for address in ADDRESSES:
        for port in (25, 465, 587, 2525):
            try:
                socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
            except OSError:
                return False
    return True


class Usual(Troika):
    def command(self, *arguments):
        command = super().command(*arguments)
        if arguments[0] == "serve":  # a plain user who may have ports below 1024
            command[1:1] = ["--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"]
        return command


def listener(name, port, words):
    addresses = ", ".join(f'"[{a}]:{port}"' if ":" in a else f'"{a}:{port}"' for a in ADDRESSES)
    return f"listen {name} {{ address = {{ {addresses} }}  {words} }}\n"


@pytest.fixture(scope="module")
def usual():
    """Looks at it. On 2525 nobody listens."""
    if not may_listen():
        pytest.skip(f"needs root, IPv6, and ports 25, 465, 587 and 2525 of {' and '.join(ADDRESSES)}")
    with Authority() as ca:
        pem = ca.make(NAME)
        config = f'tls {{ certificate = "{pem}"  key = "{pem}" }}\n' + listener("mx", 25, "tls = optional") + \
            listener("submission", 587, "tls = required  auth = required") + listener("submissions", 465, "tls = implicit  auth = required")
        zone = "@ MX 10 mx\nmx A 127.0.25.1\nmx AAAA ::1\n"
        with NameServer({"usual.test": zone}) as names, Usual(config=config, hostname=NAME, domain="usual.test", relay_for='"192.0.2.0/24"'):
            yield lambda subject, *options: probe(subject, "--allow-private", "--roots", ca.roots, *options, names=names)


def reached(found):
    """What was answered where: {(address, port): was TLS up}."""
    return {(s["address"], s["port"]): s.get("tls", {}).get("secured", False) for s in found.facts["servers"] if "greeting" in s["steps"]}


def test_a_domain_is_reached_on_25_by_each_address(usual):
    found = usual("usual.test")
    assert reached(found) == {(a, 25): True for a in ADDRESSES}, found
    assert "server-unreachable" not in found.ids and "tls-good" in found.ids, found


def test_submission_is_asked_for_on_all_its_ports(usual):
    found = usual("usual.test", "--submission")
    first = ADDRESSES[0]
    assert reached(found) == {(a, 25): True for a in ADDRESSES} | {(first, 465): True, (first, 587): True}, found
    assert {(s["address"], s["port"]) for s in found.facts["servers"]} - set(reached(found)) == {(first, 2525)}


def test_a_host_is_asked_on_all_ports_at_once(usual):
    ports = {port for address, port in reached(usual(NAME))}
    assert ports == {25, 465, 587}


def test_an_address_of_ipv6(usual):
    found = usual("[::1]:25")
    assert reached(found) == {("::1", 25): True} and found.facts["servers"][0]["steps"]["ehlo"]["code"] == 250, found
