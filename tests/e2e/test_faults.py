"""The kernel refuses: what tests/faults/run.py found once, and a server that is really out of descriptors."""
# SPDX-License-Identifier: ISC
import os
import pwd
import re
import signal
import socket
import subprocess
import time

import pytest
from faults import FOREVER, Board
from sinks import Sink
from troika import PLAIN_USER, Dialogue, Troika, wait_for


@pytest.fixture
def server():
    with Sink() as sink:
        t = Troika(config=f'route "far.test" {{ via = "127.0.0.1:{sink.port}" }}\nretry = {{ 1s }}\n', smtpd=1)
        t.board, t.sink = Board(t.folder), sink
        t.environment = t.board.environment()
        with t:
            t.environment = {}
            yield t


def hit(server, count=1):
    wait_for(lambda: server.board.injected() >= count, what="the fault")


def test_a_reply_that_the_kernel_has_no_memory_for_is_sent_later(server):
    with Dialogue(server.port) as d:
        d.reply()
        server.board.order("ENOBUFS", role="smtpd", function="send", times=1)
        assert d.say("EHLO c.test")[0] == 250
        hit(server)


def test_channels_outlive_a_lack_of_memory(server):
    pids = server.workers()
    for role in ("smtpd", "router", "queue", "relay", "local", "history"):
        for function in ("send", "receive"):
            server.board.order("ENOMEM", role=role, function=function, times=2)
            server.send(to=["bob@example.test", "x@far.test"])
            hit(server)
            server.wait_empty()
    server.board.withdraw()
    assert server.workers() == pids and "channel-broken" not in server.log()
    assert len(server.mails("bob")) == len(server.sink.messages) == 12


def test_a_role_that_could_not_take_the_configuration_gets_it(server):
    for role, function, error, place in (("parent", "duplicate", "EMFILE", "event=worker-killed"), ("smtpd", "read", "EIO", "event=config-unreadable")):
        refused, reloaded = server.log().count("event=reload-refused"), server.log().count("event=reloaded")
        server.configure(f'route "far.test" {{ via = "127.0.0.1:9" }}\nretry = {{ 1s }}\nmessage-size = {2 if role == "parent" else 3}M\n')
        server.board.order(error, role=role, function=function, times=3)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log().count("event=reloaded") + server.log().count("event=reload-refused") > refused + reloaded, what="a reload")
        if server.log().count("event=reload-refused") > refused:  # all or nothing
            server.board.withdraw()
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: server.log().count("event=reloaded") > reloaded, what="a reload")
        else:
            hit(server)
            assert place in server.log()
        server.board.withdraw()

        def announced():
            try:
                with Dialogue(server.port) as d:
                    d.reply()
                    return f"SIZE {2097152 if role == 'parent' else 3145728}" in d.say("EHLO c.test")[1]
            except OSError:
                return False
        wait_for(announced, what="the new limit")
        assert server.log().rstrip().count("\n") > 0


def test_the_parent_waits_for_memory(server):
    parent = server.process.pid
    server.board.order("ENOMEM", role="parent", function="memory", times=10)
    os.kill(server.workers()["local 1"], signal.SIGKILL)
    hit(server, 10)
    assert 'role=parent event=out-of-memory then="waits for some"' in server.log()
    wait_for(lambda: server.log().count("event=started worker=local") == 2, what="another local")
    assert server.process.poll() is None and server.process.pid == parent
    server.send()
    server.wait_mails("bob")


def test_a_role_without_memory_starts_again(server):
    for role in ("router", "queue", "relay", "local"):
        server.board.order("ENOMEM", role=role, function="memory", times=FOREVER)
        with Dialogue(server.port) as d:
            d.reply()
            d.say("EHLO c.test")
            said = d.say("MAIL FROM:<a@b.test>")[0]
            if said == 250:
                said = d.say("RCPT TO:<bob@example.test>")[0]
            if said == 250 and d.say("DATA")[0] == 354:
                said = d.say("hello\r\n.")[0]
            assert said in (250, 451)
        server.board.withdraw()
    # "died" with 71 where our own code asked, else by what its library made of it
    wait_for(lambda: all(server.workers().get(r) for r in ("router 1", "queue 1", "relay 1", "local 1")), what="all roles")
    wait_for(lambda: server.run("send", "--from", "alice@example.test", "--to", "bob@example.test", "x", check=False).returncode == 0, what="an accepted message")
    server.wait_empty()


# ---- out of descriptors, really ----

def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit(pid, descriptors):
    """The soft limit, of a process of the server's user."""
    command = ["prlimit", f"--pid={pid}", f"--nofile={descriptors}:"]
    if os.geteuid() == 0:
        owner = os.stat(f"/proc/{pid}/task").st_uid or pwd.getpwnam(PLAIN_USER).pw_uid
        command = ["setpriv", "--reuid", str(owner), "--regid", str(pwd.getpwuid(owner).pw_gid), "--clear-groups", *command]
    subprocess.run(command, check=True)


def test_smtpd_out_of_descriptors(server):
    smtpd = server.workers()["smtpd 1"]
    first = Dialogue(server.port)
    first.reply()
    free = 5
    limit(smtpd, len(os.listdir(f"/proc/{smtpd}/fd")) + free)
    before, began = cpu_seconds(smtpd), time.monotonic()
    clients = [Dialogue(server.port) for _ in range(free + 20)]
    greeted = 0
    for d in clients:
        d.socket.settimeout(20 if greeted < free else 0.2)
        try:
            greeted += d.reply()[0] == 220
        except TimeoutError:
            break
    assert greeted == free
    wait_for(lambda: "event=accepting-paused" in server.log(), what="a line in the log")
    assert first.say("EHLO c.test")[0] == 250  # who is in is served
    wait_for(lambda: time.monotonic() > began + 2, what="two seconds of it")
    assert cpu_seconds(smtpd) - before < 0.5
    assert server.log().count("event=accepting-paused") == 1
    for d in clients[:free]:
        d.close()
    for d in clients[free:2 * free]:  # who waited is let in
        d.socket.settimeout(20)
        assert d.reply()[0] == 220
    for d in clients:
        d.close()
    first.close()
    server.send()
    server.wait_mails("bob")


def test_relay_out_of_descriptors(server):
    relay = server.workers()["relay 1"]
    before = len(os.listdir(f"/proc/{relay}/fd"))
    for name, pid in server.workers().items():
        if name.startswith("relay"):
            limit(pid, before)
    large = "Subject: large\r\n\r\n" + ("x" * 76 + "\r\n") * 3000
    for _ in range(3):
        server.send(to="x@far.test")
        server.send(to="x@far.test", text=large)
    wait_for(lambda: [r for r in server.queue() if r["attempts"]] or "event=worker-died worker=relay" in server.log(), what="a failure")
    spent = {pid: cpu_seconds(pid) for name, pid in server.workers().items() if name.startswith("relay")}
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 1.5, what="a while")
    for name, pid in server.workers().items():
        if pid in spent:
            assert cpu_seconds(pid) - spent[pid] < 0.5, name
            limit(pid, 1024)
    wait_for(lambda: server.run("queue", "retry", "all") is not None and not server.queue(), 30, "an empty queue")
    assert len([m for m in server.sink.messages]) >= 6
    assert not server.mails("alice")


# ---- one session must not be able to use up the memory ----

def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) * 1024


def hostile_line(d):
    d.raw(b"x" * 30_000_000)


def hostile_pipeline(d):
    d.raw(b"RSET\r\n" * 2_000_000)


def hostile_recipients(d):
    d.raw(b"MAIL FROM:<a@b.test>\r\n" + b"".join(b"RCPT TO:<bob+%d%s@example.test>\r\n" % (i, b"y" * 40) for i in range(100_000)))


def hostile_header(d):
    d.raw(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n" + b"X: y\r\n" * 5_000_000)


@pytest.mark.parametrize("attack", [hostile_line, hostile_pipeline, hostile_recipients, hostile_header])
def test_one_session_cannot_use_up_the_memory(server, attack):
    server.send()
    roles = {name: pid for name, pid in server.workers().items() if name.split()[0] in ("smtpd", "router", "queue")}
    before = {name: peak(pid) for name, pid in roles.items()}
    with Dialogue(server.port) as d:
        d.reply()
        d.say("EHLO c.test")
        d.socket.settimeout(5)
        try:
            attack(d)
        except (OSError, socket.timeout):
            pass  # cut off, or not read any further: it does not read the answers
    after = {name: peak(pid) for name, pid in roles.items()}
    assert all(after[name] - before[name] < 24 * 1024 * 1024 for name in roles), (before, after)
    assert {name: server.workers().get(name) for name in roles} == roles
    server.send()
