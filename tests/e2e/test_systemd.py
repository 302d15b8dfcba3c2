"""The units, and listening sockets that a service manager holds."""
# SPDX-License-Identifier: ISC
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from troika import ROOT, Dialogue, Troika, free_port, wait_for


class Held(Troika):
    """A Troika whose first listening sockets this process made, as systemd does: descriptors from 3 on, told by $LISTEN_FDS."""

    def __init__(self, sockets, **more):
        super().__init__(**more)
        self.sockets = sockets
        self.pass_fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets]  # above those it is to have

    def command(self, *arguments):
        command = super().command(*arguments)
        if arguments[0] != "serve":
            return command
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(self.pass_fds))
        names = ":".join(["troika.socket"] * len(self.pass_fds))
        return ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS={len(self.pass_fds)} LISTEN_FDNAMES={names} exec "$@" {moves}', "bash", *command]


def listening(address="127.0.0.1", port=0, both=False):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
    s.bind((address, port))
    s.listen(1000)
    return s


def held(*sockets, listen=None, **more):
    port = sockets[0].getsockname()[1]
    t = Held(sockets, listen=listen or f"127.0.0.1:{port}", **more)
    t.port = port
    return t


def test_who_came_before_the_server_is_greeted():
    with listening() as s:
        t = held(s)
        with Dialogue(s.getsockname()[1]) as early, t:
            assert early.reply()[0] == 220 and early.say("EHLO early.test")[0] == 250
            assert t.send() and t.wait_mails("bob")
            for name, pid in t.workers().items():  # nobody but the smtpds has it
                inode = f"socket:[{os.fstat(s.fileno()).st_ino}]"
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                assert (inode in links) == (name.startswith("smtpd") or pid == t.process.pid), name


def test_a_restart_loses_no_connection():
    def come():
        while not over.is_set():
            try:
                with Dialogue(t.port) as d:
                    seen.append(d.reply()[0])
            except OSError as e:
                seen.append(str(e))

    over, seen = threading.Event(), []
    with listening() as s, held(s) as t:
        comers = [threading.Thread(target=come) for _ in range(4)]
        for comer in comers:
            comer.start()
        for _ in range(2):
            wait_for(lambda: len(seen) > 20, what="clients")
            t.stop()
            with Dialogue(t.port) as waiting:  # nobody is there to greet it
                t.start()
                assert waiting.reply()[0] == 220
            seen_then = len(seen)
            wait_for(lambda: len(seen) > seen_then + 20, what="clients after the restart")
        over.set()
        for comer in comers:
            comer.join()
        assert set(seen) <= {220, 421} and seen.count(220) > 40, set(seen)


def test_a_socket_that_no_statement_names_is_an_error():
    with listening() as s, listening() as other:
        t = held(s, other)
        result = subprocess.run(t.command("serve"), capture_output=True, text=True, pass_fds=t.pass_fds, timeout=20)
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert result.returncode == 71, result
        assert f'holds a socket at {address} ("troika.socket") and no listen statement names that address' in result.stderr
        assert f'write "{address}" into one, or take it out of the socket unit' in result.stderr
        assert f"127.0.0.1:{t.port}" not in result.stderr
        shutil.rmtree(t.folder)


def test_no_listener_is_an_error():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        t = held(s)
        result = subprocess.run(t.command("serve"), capture_output=True, text=True, pass_fds=t.pass_fds, timeout=20)
        assert result.returncode == 78 and "no TCP socket that listens" in result.stderr, result
        shutil.rmtree(t.folder)


def reload(t, event):
    before = t.log().count(event)
    t.process.send_signal(signal.SIGHUP)
    wait_for(lambda: t.log().count(event) > before, what=event)


def test_reloads_keep_what_is_held():
    with listening() as s, held(s) as t:
        other = free_port()
        base = t.base
        t.configure(f'listen more {{ address = {{ "127.0.0.1:{other}" }} }}\n')
        reload(t, "event=reloaded")
        with Dialogue(other) as d, Dialogue(t.port) as e:
            assert d.reply()[0] == e.reply()[0] == 220
        t.base = base.replace(f"127.0.0.1:{t.port}", f"127.0.0.1:{other}")
        t.configure("")
        reload(t, "event=reload-refused")
        assert "no listen statement names that address" in t.log()
        t.base = base
        t.configure("")
        reload(t, "event=reloaded")
        assert t.send()


def test_one_socket_for_both_families():
    with listening("::", both=True) as s, held(s, listen=f"*:{s.getsockname()[1]}") as t:
        for host in ("127.0.0.1", "::1"):
            with Dialogue(t.port, host=host) as d:
                assert d.reply()[0] == 220
                d.say("EHLO c.test")
                d.say("MAIL FROM:<a@b.test>")
                assert d.say("RCPT TO:<x@far.test>")[0] == (250 if host == "127.0.0.1" else 550)  # relay-for knows it as IPv4


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
def test_by_systemds_own_activator():
    t = Troika()
    activator = subprocess.Popen(["systemd-socket-activate", "-l", f"127.0.0.1:{t.port}", "--fdname=troika", *t.command("serve")],
                                 stdout=subprocess.DEVNULL, stderr=open(t.log_path, "wb"))
    try:
        wait_for(lambda: "Listening on" in t.log(), what="the activator")
        with Dialogue(t.port) as d:  # this starts the server
            assert d.reply()[0] == 220 and d.say("EHLO c.test")[0] == 250
        wait_for(lambda: "event=ready" in t.log(), what="the whole server")
    finally:
        activator.terminate()  # it has become the server
        assert activator.wait(20) == 0
        shutil.rmtree(t.folder)


@pytest.fixture
def units(tmp_path):
    for path in ("bin/troika", "etc/troika/troika.conf"):
        os.makedirs(tmp_path / os.path.dirname(path), exist_ok=True)
        shutil.copy("/bin/true", tmp_path / path)
    for unit in ("troika.service", "troika.socket"):
        with open(f"{ROOT}/packaging/{unit}") as f, open(tmp_path / unit, "w") as to:
            to.write(f.read().replace("@PREFIX@", str(tmp_path)))
    return tmp_path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_units_are_sound(units):
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", units / "troika.service", units / "troika.socket"], capture_output=True, text=True)
    ours = [line for line in result.stderr.splitlines() if "troika" in line]
    assert result.returncode == 0 and not ours, result.stderr
    said = subprocess.run(["systemd-analyze", "security", "--offline=yes", units / "troika.service"], capture_output=True, text=True).stdout
    exposure = float(re.search(r"exposure level for troika\.service: ([\d.]+)", said).group(1))
    assert exposure <= 3.5, said
