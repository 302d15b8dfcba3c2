"""LMTP over Unix sockets: in from smtplib and Postfix's kind, out to Dovecot and to a small server."""
# SPDX-License-Identifier: ISC
import os
import pwd
import signal
import smtplib
import socket
import stat
import tempfile
import threading

import pytest
from peers import Dovecot
from troika import Dialogue, Troika, wait_for

TEXT = "Subject: by LMTP\r\n\r\nfirst\r\n.dot\r\n"


class UnixLmtp(Troika):
    """Listens at .socket."""

    def __init__(self, statements="", config="", **more):
        self.statements, self.more_config = statements, config
        super().__init__(**more)

    def configure(self, config):
        self.socket = self.state + "/lmtp.sock"
        super().configure(f'listen lmtp {{ address = {{ "unix:{self.socket}" }} protocol = lmtp {self.statements} }}\n{self.more_config}{config}')

    def facts(self):
        s = os.lstat(self.socket)
        assert stat.S_ISSOCK(s.st_mode)
        return s.st_ino, stat.S_IMODE(s.st_mode)

    def reload(self, change):
        with open(self.config_file) as f:
            text = f.read()
        with open(self.config_file, "w") as f:
            f.write(change(text))
        before = self.log().count("event=reloaded") + self.log().count("event=reload-refused")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log().count("event=reloaded") + self.log().count("event=reload-refused") > before, 20, "the reload")


@pytest.fixture(scope="module")
def server():
    with UnixLmtp(relay_for='"192.0.2.0/24"') as t:
        yield t


class UnixDialogue(Dialogue):
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.rest = b""


def test_smtplib(server):
    with smtplib.LMTP(server.socket, local_hostname="client.test") as s:
        assert list(s.sendmail("a@b.test", ["bob@example.test", "nobody@example.test"], TEXT)) == ["nobody@example.test"]
    (mail,) = server.wait_mails("bob", 1, 60)
    assert b"\n.dot\n" in mail and b"Received: from client.test\n\tby mail.example.test with LMTP id" in mail, mail


def test_dialog(server):
    with UnixDialogue(server.socket) as d:
        assert d.reply() == (220, ["mail.example.test LMTP Troika"])
        assert d.say("LHLO me.test")[0] == 250
        assert d.say("MAIL FROM:<a@b.test>")[0] == 250
        assert d.say("RCPT TO:<alice@example.test>")[0] == 250
        assert d.say("RCPT TO:<x@elsewhere.test>")[0] == 550  # whoever may open it is not one of relay-for
        assert d.say("DATA")[0] == 354
        assert d.say("Subject: dialog\r\n\r\nx\r\n.")[0] == 250
    trace = server.run("trace", "alice@example.test")
    assert "client=local" in trace, trace


def test_many_at_once(server):
    """connections-per-address is for addresses; these have none."""
    opened = [UnixDialogue(server.socket) for _ in range(80)]
    assert {d.reply()[0] for d in opened} == {220}
    for d in opened:
        d.close()


def test_life_of_the_file():
    with UnixLmtp() as t:
        inode, mode = t.facts()
        assert mode == 0o660
        t.reload(lambda text: text.replace("protocol = lmtp", "protocol = lmtp socket-mode = 0666"))
        assert t.facts() == (inode, 0o666)  # the same one: nobody was refused
        moved = t.socket.replace("lmtp.sock", "other.sock")
        t.reload(lambda text: text.replace("lmtp.sock", "other.sock"))
        assert not os.path.exists(t.socket) and stat.S_ISSOCK(os.lstat(moved).st_mode)
        t.reload(lambda text: text.replace(f"unix:{moved}", "unix:/no/such/folder/lmtp.sock"))
        assert "its folder is not there" in t.log()
        with UnixDialogue(moved) as d:
            assert d.reply()[0] == 220
        t.stop()
        assert not os.path.exists(moved)


def test_a_dead_socket_is_replaced_and_a_living_one_is_not():
    t = UnixLmtp()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(t.socket)
        os.chmod(t.socket, 0o777)
        s.listen()
        result = t.run("serve", check=False, timeout=60)
        assert result.returncode != 0 and "another program listens there" in result.stderr, result.stderr
    assert os.path.exists(t.socket)  # nobody listens there any more
    if os.geteuid() == 0:
        os.chown(t.socket, *pwd.getpwnam("nobody")[2:4])
    with t:
        with UnixDialogue(t.socket) as d:
            assert d.reply()[0] == 220
        t.kill()
        assert os.path.exists(t.socket)
        t.start()
        with UnixDialogue(t.socket) as d:
            assert d.reply()[0] == 220


def test_something_else_in_its_place():
    t = UnixLmtp()
    try:
        open(t.socket, "w").close()
        assert t.run("serve", check=False, timeout=60).returncode != 0
        assert os.path.isfile(t.socket)
    finally:
        t.__exit__(None, None, None)


def test_wrong_statements():
    t = UnixLmtp(config='route "far.test" { via = "unix:/run/x" }\nroute "b.test" { via = "unix:relative" protocol = lmtp }\n', users=())
    try:
        result = t.run("check", check=False)
        assert result.returncode != 0
        said = result.stdout + result.stderr
        assert '"unix:relative" is no Unix socket; write unix: and an absolute path' in said, said
    finally:
        t.__exit__(None, None, None)
    t = UnixLmtp(config='route "far.test" { via = "unix:/run/x" }\nroute "b.test" { via = "unix:/run/y" protocol = lmtp tls = required }\n', users=())
    try:
        said = t.run("check", check=False).stderr
        assert "a Unix socket speaks lmtp; say protocol = lmtp" in said and "a Unix socket has no TLS" in said, said
    finally:
        t.__exit__(None, None, None)
    t = UnixLmtp(statements='socket-group = "no-such-group"')
    try:
        result = t.run("serve", check=False, timeout=60)
        assert result.returncode != 0 and 'there is no group "no-such-group"' in result.stderr, result.stderr
        assert not os.path.exists(t.socket)
    finally:
        t.__exit__(None, None, None)


# ---- out ----

def route(path, domain="far.test"):
    return f'route "{domain}" {{ via = "unix:{path}" protocol = lmtp }}\nretry = {{ 1s }}\n'


class SmallLmtp:
    """A server of LMTP at a Unix socket, one thread for each client."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="troika-lmtp-")
        os.chmod(self.folder, 0o755)
        self.path = self.folder + "/lmtp"
        self.messages, self.sessions = [], 0

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o666)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        file = client.makefile("rwb")
        recipients = []

        def say(line):
            file.write(line.encode() + b"\r\n")
            file.flush()

        say("220 small.test LMTP")
        for line in file:
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipients.append(line.decode().split("<")[1].split(">")[0])
            if verb == b"DATA":
                say("354 go on")
                content = b""
                for more in file:
                    if more == b".\r\n":
                        break
                    content += more
                self.messages.append((recipients, content))
                for _ in recipients:
                    say("250 2.0.0 stored")
                recipients = []
            elif verb == b"QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        client.close()

    def __exit__(self, *_):
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        os.rmdir(self.folder)


def test_out_to_a_small_server():
    with SmallLmtp() as small, Troika(config=route(small.path)) as t:
        id = t.send(to=["a@far.test", "b@far.test"], text=TEXT)
        wait_for(lambda: small.messages, 60, "the message")
        t.wait_empty(60)
        assert sorted(small.messages[0][0]) == ["a@far.test", "b@far.test"] and b"\r\n..dot\r\n" in small.messages[0][1]
        (delivered, _) = t.wait_event(id, "delivered")
        assert f"unix:{small.path}" in str(delivered), delivered


def test_out_waits_for_a_server_that_is_away():
    small = SmallLmtp()
    with Troika(config=route(small.path)) as t:
        id = t.send(to="a@far.test", text=TEXT)
        (deferred, *_) = t.wait_event(id, "deferred")
        assert "4.4.1" in str(deferred) and "No such file" in str(deferred), deferred
        with small:
            t.run("queue", "retry", "all")
            wait_for(lambda: small.messages, 60, "the message")
            t.wait_empty(60)


def test_out_uses_a_connection_again():
    with SmallLmtp() as small, Troika(config=route(small.path) + "destination-concurrency = 1\n") as t:
        with t.smtp() as s:
            for _ in range(10):
                s.sendmail("alice@example.test", ["a@far.test"], TEXT)
        wait_for(lambda: len(small.messages) == 10, 60, "10 messages")
        assert small.sessions < 10, small.sessions


@pytest.mark.timeout(600)  # it may have to be installed first
def test_out_to_dovecot():
    folder = tempfile.mkdtemp(prefix="troika-dovecot-", dir="/dev/shm")  # /dev is the same inside of its overlay
    os.chmod(folder, 0o755)

    class UnixDovecot(Dovecot):
        def files(self):
            files = super().files()
            files["/etc/dovecot/troika.conf"] = files["/etc/dovecot/troika.conf"].replace(
                "service lmtp {", f"service lmtp {{\n  unix_listener {folder}/lmtp {{\n    mode = 0666\n  }}")
            return files

    with UnixDovecot(relay_port=0) as dovecot, Troika(config=route(folder + "/lmtp", dovecot.domain)) as t:
        id = t.send(to=[f"{user}@{dovecot.domain}" for user in ("alice", "nobody")], text=TEXT)
        mail = wait_for(dovecot.mails, 60, f"the message\n{dovecot.log()[-3000:]}")[0]
        assert b"\n.dot" in mail
        wait_for(lambda: {e["event"] for e in t.trace(id)} >= {"delivered", "bounced"}, 60, "both outcomes")


def test_a_relay_is_not_connected_to_what_no_route_names():
    """In and out meet: a server that listens at a socket does not relay to it."""
    t = UnixLmtp(config="")
    try:
        with open(t.config_file, "a") as f:
            f.write(route(t.socket))
        result = t.run("check", check=False)
        assert result.returncode != 0 and "would relay to itself" in result.stdout + result.stderr
    finally:
        t.__exit__(None, None, None)
