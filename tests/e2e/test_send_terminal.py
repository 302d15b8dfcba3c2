"""troika send at a terminal: it asks for a password, shows how far it is, starts an editor."""
# SPDX-License-Identifier: ISC
import email
import os
import re
import signal
import termios
import time

import pytest
import troika
from certificates import Authority
from scripted import ScriptedSmtp
from terminal import Terminal
from troika import wait_for

PASSWORD = b"correct horse 7"
FROM_TO = ("--from", "alice@example.test", "--to", "bob@example.test")


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


def send(*arguments, **environment):
    return Terminal([troika.programs() + "/troika", "send", "-c", "/nonexistent", *map(str, arguments)], LC_ALL="C.UTF-8", **environment)


@pytest.fixture
def secret(ca):
    with ScriptedSmtp(offers=("AUTH PLAIN",), tls=ca.context("localhost", san="DNS:localhost"), implicit=True) as s:
        s.where = ("--via", f"smtps://me@localhost:{s.port}", "--roots", ca.roots, *FROM_TO)
        yield s


def test_it_asks_for_the_password(secret):
    t = send(*secret.where, "x")
    t.type(b"Password of me at localhost: ", PASSWORD + b"\n")
    assert t.end() == 0 and PASSWORD not in t.shown and b"250 2.0.0" in t.shown
    assert secret.logins == [("PLAIN", "\0me\0" + PASSWORD.decode())]


def test_no_password_is_no_login(secret):
    t = send(*secret.where, "x")
    t.type(b"Password of me at localhost: ", b"\n")
    assert t.end() == 66 and b"no password was given" in t.shown and secret.sessions == 0


def test_control_c_at_the_password_gives_the_terminal_back(secret):
    t = send(*secret.where, "x")
    t.type(b"Password of me at localhost: ", b"half of\x03")
    wait_for(lambda: termios.tcgetattr(t.fd)[3] & termios.ECHO, 30, "the echo")
    assert t.end() == -signal.SIGINT and secret.sessions == 0


def test_the_text_is_typed(secret):
    t = send(*secret.where, TROIKA_PASSWORD=PASSWORD.decode())
    t.wait(b"Ctrl-D")
    os.write(t.fd, "Привет\n\x04".encode())
    assert t.end() == 0 and email.message_from_bytes(secret.messages[0]).get_payload(decode=True).decode().strip() == "Привет"


def test_an_editor_has_the_terminal(secret, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ntest -t 0 && test -t 1 && printf "what is it? " && read line && echo "$line" >"$1"\n')
    editor.chmod(0o755)
    t = send(*secret.where, "--edit", TROIKA_PASSWORD=PASSWORD.decode(), VISUAL=str(editor), TMPDIR=str(tmp_path))
    t.wait(b"what is it? ")
    os.write(t.fd, b"a letter\n")
    assert t.end() == 0 and b"\r\n\r\na letter\r\n" in secret.messages[0]


def test_a_progress_bar_for_what_takes_long(tmp_path):
    """A server that is slow: nothing is shown of what takes less than a second."""
    big = tmp_path / "big"
    with open(big, "wb") as f:
        f.truncate(60 << 20)
    def slowly(session, line):
        session.say("354 go ahead\r\n")
        session.rest = session.socket.recv(1 << 20)
        time.sleep(1.5)  # as slow as that; the buffers between us hold only a part of it
        while not session.rest.endswith(b"\r\n.\r\n"):
            session.rest = (session.rest + session.socket.recv(1 << 20))[-10:]
        session.rest = b""
        return "250 2.0.0 taken\r\n"

    with ScriptedSmtp({"DATA": slowly}) as sink:
        t = send("--via", f"smtp://127.0.0.1:{sink.port}", *FROM_TO, "--attach", big, "x", TMPDIR="/var/tmp")
        assert t.end() == 0, t.shown
        bar = re.search(rb"\rsending [\d.]+ MiB of [\d.]+ MiB \[=*>? *\] +\d+ %  [\d.]+ [KMG]iB/s  \d+:\d\d left", t.shown)
        assert bar, t.shown
        assert b"\x1b[K<bob@example.test> 250 2.0.0 taken" in t.shown


def test_no_bar_for_a_short_message(secret):
    t = send(*secret.where, "x", TROIKA_PASSWORD=PASSWORD.decode())
    assert t.end() == 0 and b"sending" not in t.shown
