"""Starting, stopping, reloading, dying; what a captured process can do; memory."""
# SPDX-License-Identifier: ISC
import asyncio
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

import pytest
import troika
from names import NameServer
from sinks import Sink
from troika import ROLE_USERS, Dialogue, Troika, free_port, locked, system_users, wait_for

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_one_process_per_role_and_protections_in_the_log(server):
    names = sorted(server.workers())
    assert len(names) >= 7, names
    assert server.log().count("event=started") >= 6
    for word in ("no_new_privs", "seccomp", "landlock"):
        assert word in server.log()


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_workers_run_with_their_protections(server):
    for name, pid in server.workers().items():
        if name == "parent" or pid == server.process.pid:
            continue
        facts = status(pid)
        assert facts["NoNewPrivs"].strip() == "1", name
        assert facts["Seccomp"].strip() == "2", name
        assert "0" not in facts["Uid"].split(), name


def test_a_second_server_is_refused(server):
    result = server.run("serve", check=False)
    assert result.returncode != 0
    assert str(server.process.pid) in result.stderr and server.state in result.stderr


def test_sigterm_tells_clients_and_ends(server):
    with Dialogue(server.port) as d:
        d.reply()
        d.say("EHLO c.test")
        server.process.send_signal(signal.SIGTERM)
        code, words = d.reply()
        assert code == 421 and words[0].startswith("4.3.2")
        assert d.ended()
    assert server.process.wait(15) == 0


def test_sigterm_amid_data_and_deliveries_loses_nothing():
    class Slow(Sink):
        async def handle_DATA(self, server, session, envelope):
            begun.append(envelope.rcpt_tos[0])
            await asyncio.sleep(2)
            return await super().handle_DATA(server, session, envelope)

    begun = []
    with Slow(host="0.0.0.0") as slow:
        routes = "".join(f'route "d{i}.test" {{ via = "127.0.1.{i + 1}:{slow.port}" }}\n' for i in range(50))
        with Troika(config=routes) as t:
            for i in range(50):
                t.send(to=f"x@d{i}.test")
            wait_for(lambda: len(begun) == 50, what="50 deliveries under way")
            clients = [Dialogue(t.port) for _ in range(50)]
            for i, d in enumerate(clients):
                d.reply()
                for line in ("EHLO c.test", "MAIL FROM:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA"):
                    d.say(line)
                d.raw(f"Subject: {i}\r\n\r\n".encode() + b"x\r\n" * 1000)
            t.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            for d in clients[::2]:
                d.raw(b".\r\n")  # the others say nothing more
            accepted = {i for i, d in enumerate(clients) if i % 2 == 0 and d.reply()[0] == 250}
            assert {d.reply()[0] for d in clients[1::2]} == {421}
            assert t.process.wait(15) == 0 and time.monotonic() - began < 12
            for d in clients:
                d.close()
            assert len(slow.messages) == 50
            assert len(t.queue()) + len(t.mails("bob")) == len(accepted) == 25
            t.start()
            got = {int(re.search(rb"^Subject: (\d+)$", mail, re.M).group(1)) for mail in t.wait_mails("bob", 25)}
            assert got == accepted
            assert len(slow.messages) == 50  # what was delivered is not delivered again


def test_reload_takes_the_new_and_refuses_the_broken(server):
    with Dialogue(server.port) as d:
        d.reply()
        d.say("EHLO c.test")
        server.configure('domain "new.test" { accounts = yes }\nno-such-statement = 1\n')
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "no-such-statement" in server.log(), what="the refusal in the log")
        assert server.send()
        server.configure('domain "new.test" { accounts = yes }\n')
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "event=reloaded" in server.log(), what="the reload")
        server.run("user", "add", "carol@new.test")
        wait_for(lambda: "local" in server.run("explain", "carol@new.test", check=False).stdout, what="the new domain")
        server.send(to="carol@new.test")
        assert server.wait_mails("carol", domain="new.test")
        assert d.say("NOOP")[0] == 250  # the session that was open is still there
        assert d.say("QUIT")[0] == 221


def test_reload_moves_listeners(server):
    other = troika.free_port()
    server.base = server.base.replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{other}")
    server.configure("")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", other)) == 0, what="the new listener")
    wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", server.port)) != 0, what="the end of the old listener")
    server.port = other
    server.send()


@pytest.mark.parametrize("role", ["smtpd", "router", "queue", "relay", "local", "history"])
def test_a_killed_worker_comes_back(server, role):
    pid = next(pid for name, pid in server.workers().items() if role in name)
    server.send()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: any(role in name and p != pid for name, p in server.workers().items()), what=f"a new {role}")

    def send():
        try:
            return server.send()
        except (AssertionError, OSError, Exception):
            return None

    id = wait_for(send, what="an accepted message")
    server.wait_event(id, "delivered")
    assert len(server.wait_mails("bob", 2)) >= 2


def test_readiness_is_told_to_the_service_manager(tmp_path):
    path = f"/tmp/troika-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        os.chmod(path, 0o777)
        s.settimeout(20)
        try:
            with Troika(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"}) as t:
                said = b""
                while b"WATCHDOG=1" not in said or b"READY=1" not in said:
                    said += s.recv(4096) + b"\n"
                t.stop()
                while b"STOPPING=1" not in said:
                    said += s.recv(4096) + b"\n"
        finally:
            os.unlink(path)


@pytest.fixture
def probe_programs():
    """A folder with the roles, with an smtpd that probes its jail from inside."""
    with tempfile.TemporaryDirectory(prefix="troika-probe-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(troika.ROOT + "/build/libexec", folder, dirs_exist_ok=True)
        shutil.copy(troika.ROOT + "/build/release/src/daemon/smtpd/smtpd-probe", folder + "/smtpd")
        yield folder


def check_probe(t):
    wait_for(lambda: "probe" in t.log() and t.log().count("probe ") >= 10, what="the probe's report")
    lines = re.findall(r".*\bprobe\b.*", t.log())
    allowed = [line for line in lines if "ALLOWED" in line]
    assert not allowed, "\n".join(allowed)
    assert any("denied" in line for line in lines)


def test_a_captured_smtpd_gets_nothing(probe_programs):
    t = Troika(libexec=probe_programs)
    try:
        t.start()
        check_probe(t)
    finally:
        t.kill()
        shutil.rmtree(t.folder)


@pytest.fixture
def users():
    with system_users():
        yield


@ROOT_ONLY
def test_as_root_without_its_users_it_says_how_to_make_them():
    with locked("users"):
        if ROLE_USERS[0] in (user.pw_name for user in pwd.getpwall()):
            pytest.skip("the users exist here")
        t = Troika(as_root=True)
        result = t.run("serve", check=False)
    assert result.returncode == 78 and "useradd" in result.stderr + result.stdout, result.stderr
    shutil.rmtree(t.folder)


def can_open(user, path):
    command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "cat", path]
    return subprocess.run(command, capture_output=True).returncode == 0


@ROOT_ONLY
def test_as_root_only_logind_can_read_what_logins_are_checked_with(users):
    with Troika(as_root=True) as t:
        secrets = t.state + "/credentials/credentials.db"
        t.run("user", "passwd", "alice@example.test", "--password-stdin", input="a very tasty soup")
        assert can_open("root", secrets) and can_open("_troika-router", t.state + "/accounts/accounts.db")
        for user in {*ROLE_USERS, "nobody"} - {"_troika-logind"}:
            assert not can_open(user, secrets), user
        for path in (t.state + "/credentials", secrets):
            owner = pwd.getpwuid(os.stat(path).st_uid).pw_name
            assert os.stat(path).st_mode & 0o077 == 0 and owner in ("root", "_troika-logind"), path
        t.run("user", "rm", "alice@example.test")  # by root, while the router reads
        t.run("user", "add", "carol@example.test")
        t.send(to="carol@example.test")
        t.wait_mails("carol")


@ROOT_ONLY
def test_as_root_every_role_has_its_own_uid(users):
    with Sink() as far, NameServer({"test": "far-host A 127.0.0.1\n"}) as names:
        submit = free_port()
        config = (f'route "far.test" {{ via = "far-host.test:{far.port}" }}\n'
                  f'listen submission {{ address = {{ "127.0.0.1:{submit}" }} auth = required plain-auth = yes }}\n')
        with Troika(as_root=True, config=config, dns=names.dns) as t:
            uids = {}
            for name, pid in t.workers().items():
                if pid == t.process.pid:
                    continue
                facts = status(pid)
                uids[name] = facts["Uid"].split()[0]
                assert set(facts["Uid"].split()) == {uids[name]} and uids[name] != "0", name
                assert facts["CapEff"].strip() == "0000000000000000", name
                assert os.readlink(f"/proc/{pid}/root") != "/", name
            assert len(set(uids.values())) == 7, uids
            t.run("user", "passwd", "alice@example.test", "--password-stdin", input="a very tasty soup")
            with smtplib.SMTP("127.0.0.1", submit, timeout=60) as s:
                s.login("alice", "a very tasty soup")
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    smtplib.SMTP("127.0.0.1", submit, timeout=60).login("nobody", "a very tasty soup")
            id = t.send(to=["bob@example.test", "x@far.test"])
            assert t.wait_mails("bob") and wait_for(lambda: far.messages, what="the relayed message")
            wait_for(lambda: sum(e["event"] == "delivered" for e in t.trace(id)) == 2, what="both deliveries in the trace")
            t.run("user", "add", "dora@example.test")
            t.send(to="dora@example.test")
            t.wait_mails("dora")
            t.stop()
            # what the command line does while the server is down leaves files the server can use
            assert t.trace(id) and t.queue() == []
            t.start()
            t.send()


@ROOT_ONLY
def test_as_root_a_captured_smtpd_gets_nothing(users, probe_programs):
    t = Troika(as_root=True, libexec=probe_programs)
    try:
        t.start()
        check_probe(t)
    finally:
        t.kill()
        shutil.rmtree(t.folder)


def peak_kib(pid):
    return int(status(pid)["VmHWM"].split()[0])


def test_200_mib_pass_with_every_process_under_64_mib():
    size = 200 * 1024 * 1024
    line = b"x" * 76 + b"\r\n"
    block = line * 1024

    class Counting(Sink):
        async def handle_DATA(self, server, session, envelope):
            self.messages.append(len(envelope.original_content))
            return "250 2.0.0 taken"

    with Counting() as far:
        with Troika(config=f'message-size = "300M"\nroute "far.test" {{ via = "127.0.0.1:{far.port}" }}\n') as t:
            with Dialogue(t.port) as d:
                d.reply()
                for command in ("EHLO c.test", f"MAIL FROM:<alice@example.test> SIZE={size}", "RCPT TO:<bob@example.test>", "RCPT TO:<x@far.test>", "DATA"):
                    assert d.say(command)[0] in (250, 354), command
                d.raw(b"Subject: large\r\n\r\n")
                sent = 0
                while sent < size:
                    d.raw(block)
                    sent += len(block)
                d.raw(b".\r\n")
                assert d.reply()[0] == 250
            wait_for(lambda: far.messages, 120, "the relayed message")
            folder = t.mailbox("bob") + "/new"
            wait_for(lambda: os.path.isdir(folder) and os.listdir(folder), 120, "the delivered message")
            path = folder + "/" + os.listdir(folder)[0]
            assert abs(os.path.getsize(path) - sent * 77 // 78) < 2000
            with open(path, "rb") as f:
                head = f.read(2000).split(b"\n\n")[0]
            assert b"\nReceived: from c.test" in head and b"\nDate: " in head and b"\nSubject: large" in head, head
            assert abs(far.messages[0] - sent) < 2000
            for name, pid in t.workers().items():
                assert peak_kib(pid) < 64 * 1024, (name, peak_kib(pid))


def test_2000_idle_sessions_are_small(server):
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (10000, 10000)) if os.geteuid() == 0 else None
    count = 2000
    sockets = []
    try:
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.settimeout(20)
            sockets.append(s)
        for s in sockets:
            assert s.recv(100).startswith(b"220")
        total = 0
        for pid in server.workers().values():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except PermissionError:
                pytest.skip("cannot read the memory of other processes")
        assert total < 60 * 1024, total
    finally:
        for s in sockets:
            s.close()
