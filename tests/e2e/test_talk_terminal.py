"""troika talk at a terminal: editing, completion, what comes unasked, silence, and that nobody sees a password."""
# SPDX-License-Identifier: ISC
import base64
import os
import re
import signal

import pytest
from scripted import ScriptedSmtp
from terminal import Terminal
from troika import programs, wait_for

OFFERS = ("PIPELINING", "SIZE 1000", "8BITMIME", "DSN", "CHUNKING", "AUTH PLAIN LOGIN")


def login_by_hand(session, line):
    """334 twice, and whatever is given is right."""
    if len(line.split()) < 3:
        session.say("334 VXNlcm5hbWU6\r\n")
        session.line()
        session.say("334 UGFzc3dvcmQ6\r\n")
        session.server.logins.append(base64.b64decode(session.line()).decode())
    else:
        session.server.logins.append(line)
    return "235 2.7.0 in\r\n"


class Talk(Terminal):
    """troika talk with a home of its own; what is shown is without colours."""

    def __init__(self, tmp_path, port, *options, **environment):
        self.history = tmp_path / "state" / "troika" / "talk-history"
        super().__init__([programs() + "/troika", "talk", *options, f"127.0.0.1:{port}"],
                         **({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "NO_COLOR": "1",
                             "TMPDIR": str(tmp_path)} | environment))

    def __enter__(self):
        self.wait(b"smtp> ")
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGKILL)
            self.end()
        except (ProcessLookupError, ChildProcessError, OSError):
            pass

    def keys(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def says(self, text, answer):
        """A line, and what is waited for after it; what was shown since."""
        self.shown = b""
        self.keys(text + "\r")
        self.wait(answer.encode())
        self.wait(b"> ")
        return self.plain()

    def plain(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown.decode(errors="replace"))


@pytest.fixture
def server():
    with ScriptedSmtp({"AUTH": login_by_hand, "NOOP": b"250 2.0.0 noop\r\n"}, offers=OFFERS) as s:
        yield s


def test_tab_completes_what_is_offered(server, tmp_path):
    with Talk(tmp_path, server.port) as t:
        t.says("EHLO me.test", "250 HELP")
        t.says("ma\ta@b.test> s\t5 bo\t8\t", "250 2.1.0")
        assert server.commands[-1] == "MAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME"
        t.says("rcpt TO:<c@d.test> not\tnev\t", "250 2.1.5")
        assert server.commands[-1] == "rcpt TO:<c@d.test> NOTIFY=NEVER"
        t.keys("/expl\ton\r")
        t.wait(b"explain: on")


def test_editing_and_history(server, tmp_path):
    with Talk(tmp_path, server.port) as t:
        t.says("NOXP\x1b[D\x1b[D\x1b[D\x1b[C\x08\x08NO\x1b[C\x08O", "noop")
        t.says("NOOP", "noop")
        t.shown = b""
        t.says("\x1b[A", "noop")
        t.says("письмо", "500 5.5.1")
        assert server.commands[-1] == "письмо" and server.commands.count("NOOP") >= 2
        t.keys("\x04")
        assert t.end() == 0
    assert "NOOP" in t.history.read_text() and oct(os.stat(t.history).st_mode & 0o777) == "0o600"
    with Talk(tmp_path, server.port) as t:
        t.says("\x1b[A\x1b[A", "noop")


def test_a_password_typed_by_hand_is_seen_nowhere(server, tmp_path):
    secret = base64.b64encode(b"open sesame").decode()
    with Talk(tmp_path, server.port, "--transcript", str(tmp_path / "said")) as t:
        shown = t.says("AUTH LOGIN", "334 VXNlcm5hbWU6")
        assert "not shown" in shown
        shown += t.says(base64.b64encode(b"me").decode(), "334 UGFzc3dvcmQ6")
        shown += t.says(secret, "235")
        assert secret not in shown and server.logins == ["open sesame"]
        t.says("NOOP", "noop")  # shown again, and lines are lines again
        t.says("AUTH PLAIN " + secret, "235")
        assert server.logins[1] == "AUTH PLAIN " + secret
        t.keys("\x04")
        assert t.end() == 0
    assert secret not in t.history.read_text() and secret not in (tmp_path / "said").read_text()
    assert "AUTH\\040LOGIN" in t.history.read_text() and (tmp_path / "said").read_text().count("***") == 3


def test_what_the_server_says_unasked_is_shown_at_once(tmp_path):
    """Above the line that is being typed, which stays."""
    def hurried(session, line):
        session.say("250 2.0.0 one\r\n")
        wait_for(lambda: session.server.typed, 30, "the typing")
        session.say("421 4.4.2 too slow\r\n")
        session.socket.close()

    with ScriptedSmtp({"NOOP": hurried}) as s, Talk(tmp_path, s.port) as t:
        s.typed = False
        t.says("NOOP", "one")
        t.shown = b""
        t.keys("half a li")
        t.wait(b"half a li")
        s.typed = True
        t.wait(b"/reconnect connects again")
        t.wait(b"half a li")
        assert "nobody asked for this" in t.plain() and "421 4.4.2 too slow" in t.plain()
        t.shown = b""
        t.keys("ne\x15NOOP\r")
        t.wait(b"there is no connection")
        s.answers.clear()
        t.keys("/reconnect\r")
        t.wait(b"220 scripted.test")
        t.wait(b"smtp> ")


def test_silence_is_counted_and_nothing_is_said(tmp_path):
    with ScriptedSmtp({"NOOP": b"250 2.0.0 noop\r\n"}) as s, Talk(tmp_path, s.port) as t:
        t.wait(re.compile(rb"silent [5-9] s"))
        t.wait(b"some servers hang up after 15")
        assert s.commands == []
        t.says("/keepalive 1", "NOOP is said")
        wait_for(lambda: s.commands.count("NOOP") > 1, 30, "NOOPs")
        t.says("/keepalive off", "nothing is said by itself")


def test_lines_pasted_at_once_go_at_once(server, tmp_path):
    """But what stands behind DATA waits for 354, and is dropped when that does not come."""
    with Talk(tmp_path, server.port) as t:
        t.keys("MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\rDATA\rSubject: pasted\r\rtext\r.\rNOOP\r")
        t.wait(b"250 2.0.0 taken")
        t.wait(b"noop")
        assert server.messages == [b"Subject: pasted\r\n\r\ntext\r\n"]
        server.answers["DATA"] = b"503 5.5.1 no\r\n"
        t.shown = b""
        t.keys("DATA\rRSET\r.\r")
        t.wait(b"2 lines that were to follow are not sent")
        t.says("NOOP", "noop")
        assert server.commands[-2:] == ["DATA", "NOOP"]


def test_a_message_from_an_editor(server, tmp_path):
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\ngrep -q '^From: <a@b.test>' \"$1\" && grep -q '^To: <c@d.test>' \"$1\" && sed -i 's/^Subject:.*/Subject: edited/' \"$1\" && echo hello >>\"$1\"\n")
    script.chmod(0o755)
    with Talk(tmp_path, server.port, VISUAL=str(script)) as t:
        t.keys("MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\r/data\r")
        t.wait(b"250 2.0.0 taken")
        assert b"Subject: edited\r\n" in server.messages[0] and server.messages[0].endswith(b"\r\n\r\nhello\r\n")
    with Talk(tmp_path, server.port, VISUAL="true") as t:
        t.keys("MAIL FROM:<a@b.test>\r/data\r")
        t.wait(b"nothing was written")
    assert not [f for f in os.listdir(tmp_path) if f.startswith("troika-message-")]


def test_a_server_that_hangs_up_while_a_message_is_written(tmp_path):
    """What was written stays in a file, whose name is said."""
    script = tmp_path / "editor"
    script.write_text("#!/bin/sh\necho hello >>\"$1\"; touch \"$2\"; while [ ! -e go-on ]; do sleep 0.1; done\n".replace('"$2"', f"{tmp_path}/started").replace("go-on", f"{tmp_path}/go-on"))
    script.chmod(0o755)

    def rcpt(session, line):
        session.say("250 2.1.5 ok\r\n")
        wait_for(lambda: os.path.exists(tmp_path / "started"), 30, "the editor")
        session.say("421 4.4.2 too slow\r\n")
        session.socket.close()  # from here on its end lies in the client's socket
        (tmp_path / "go-on").touch()

    with ScriptedSmtp({"RCPT": rcpt}) as s, Talk(tmp_path, s.port, VISUAL=str(script)) as t:
        t.keys("MAIL FROM:<a@b.test>\rRCPT TO:<c@d.test>\r/data\r")
        t.wait(b"what you wrote is in")
        t.wait(b"(closed)> ")
        name = re.search(r"what you wrote is in\s+(\S+):", t.plain()).group(1)
        assert "hung up" in t.plain() and open(name).read().endswith("hello\n")


def test_the_password_of_auth_is_asked_for_and_not_shown(server, tmp_path):
    with Talk(tmp_path, server.port) as t:
        t.says("EHLO me.test", "250 HELP")
        t.shown = b""
        t.keys("/auth PLAIN me\r")
        t.wait(b"the password of me (not shown)")
        t.wait(b"password> ")
        t.keys("open sexx\x7f\x7fsame\r")
        t.wait(b"235")
        t.wait(b"smtp> ")
        assert base64.b64decode(server.logins[0].split()[2]) == b"\0me\0open sesame" and "sesame" not in t.plain()
        t.shown = b""
        t.keys("/auth PLAIN me\r")
        t.wait(b"password> ")
        t.keys("open\x03")
        t.wait(b"no password, so nothing is said")
        t.wait(b"smtp> ")
        t.says("NOOP", "noop")
        assert len(server.logins) == 1


def test_control_c_forgets_a_line_and_twice_leaves(server, tmp_path):
    with Talk(tmp_path, server.port) as t:
        t.keys("NONSENSE\x03")
        t.wait(b"Ctrl-C again")
        t.says("NOOP", "noop")
        t.keys("\x03")
        t.wait(b"Ctrl-C again")
        t.keys("\x03")
        assert t.end() == 0
    assert "NONSENSE" not in server.commands


def test_quit_leaves(server, tmp_path):
    with Talk(tmp_path, server.port) as t:
        t.keys("QUIT\r")
        t.wait(b"221 2.0.0 bye")
        assert server.answers.get("QUIT") is None


def test_help_in_russian(server, tmp_path):
    with Talk(tmp_path, server.port, LANGUAGE="ru") as t:
        shown = t.says("/help", "QUIT.")
        assert "Эти команды — наши" in shown and "/transcript FILE | off" in shown
