"""An SMTP or POP3 server whose every line a test chooses, in a thread of this process."""
# SPDX-License-Identifier: ISC
import base64
import socket
import ssl
import threading


class Scripted:
    """with ScriptedSmtp() as s: s.port, s.commands (all lines heard), s.messages (contents)

    answers: {"RCPT": b"550 …\\r\\n"}: instead of what a good server says to a command, or to "greeting" and "dot"; None: it
    hangs up instead; a function (session, line) says what it likes by itself. tls: a server's context; implicit: from the first
    byte on."""

    def __init__(self, answers=None, tls=None, implicit=False):
        self.answers, self.tls, self.implicit = answers or {}, tls, implicit
        self.commands, self.messages, self.sessions, self.errors = [], [], 0, []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.implicit:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.talk(self.session(self, connection))
        except (OSError, ssl.SSLError, Hangup) as e:
            self.errors.append(e)
        finally:
            connection.close()

    def talk(self, session):
        session.reply("greeting", None)
        while True:
            line = session.line()
            if line is None:
                return
            self.commands.append(line)
            session.reply(line.split(" ")[0].upper(), line)


class Hangup(Exception):
    pass


class Session:
    def __init__(self, server, connection):
        self.server, self.socket, self.rest = server, connection, b""
        self.secure = server.implicit

    def say(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def line(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(1 << 16)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def start_tls(self):
        self.socket = self.server.tls.wrap_socket(self.socket, server_side=True)
        self.rest, self.secure = b"", True

    def reply(self, verb, line):
        answer = self.server.answers.get(verb, self.good)
        if answer is None:
            self.socket.close()
            raise Hangup(verb)
        if callable(answer):
            answer = answer(self, line) if answer != self.good else self.good(verb, line)
        if answer:
            self.say(answer)

    def good(self, verb, line):
        method = getattr(self, "on_" + verb.lower(), None)
        return method(line) if method else self.unknown


class SmtpSession(Session):
    unknown = "500 5.5.1 unknown\r\n"

    def on_greeting(self, line):
        return "220 scripted.test ESMTP\r\n"

    def on_ehlo(self, line):
        offers = list(self.server.offers)
        if self.server.tls and not self.secure:
            offers.append("STARTTLS")
        return "".join(f"250-{offer}\r\n" for offer in ["scripted.test", *offers]) + "250 HELP\r\n"

    def on_helo(self, line):
        return "250 scripted.test\r\n"

    def on_starttls(self, line):
        self.say("220 2.0.0 go ahead\r\n")
        self.start_tls()

    def on_mail(self, line):
        return "250 2.1.0 ok\r\n"

    def on_rcpt(self, line):
        return "250 2.1.5 ok\r\n"

    on_rset = on_mail

    def on_auth(self, line):
        """Whatever is given is right; the other line of it goes to commands, too."""
        words = line.split()
        while words[1].upper() not in ("PLAIN", "XOAUTH2", "OAUTHBEARER") or len(words) < 3:
            self.say("334 \r\n")
            words.append(self.line())
        self.server.logins.append((words[1], base64.b64decode(words[2]).decode()))
        return "235 2.7.0 ok\r\n"

    def on_data(self, line):
        self.say("354 go ahead\r\n")
        while not self.rest.startswith(b".\r\n") and b"\r\n.\r\n" not in self.rest[-(1 << 17):]:
            more = self.socket.recv(1 << 20)
            if not more:
                raise Hangup("in the message")
            if self.server.keeps:
                self.rest += more
            else:  # of a very large one the end is enough
                self.server.byte_count += len(more)
                self.rest = (self.rest + more)[-10:]
        content, self.rest = self.rest.rsplit(b".\r\n", 1)
        self.server.messages.append(content)
        self.reply("DOT", None)

    def on_dot(self, line):
        return "250 2.0.0 taken\r\n"

    def on_quit(self, line):
        return "221 2.0.0 bye\r\n"


class ScriptedSmtp(Scripted):
    """offers: lines of EHLO; logins: what was said to AUTH, decoded; keeps: the messages."""

    session = SmtpSession

    def __init__(self, answers=None, offers=("PIPELINING", "8BITMIME", "SIZE"), keeps=True, **more):
        super().__init__(answers, **more)
        self.offers, self.keeps, self.logins, self.byte_count = offers, keeps, [], 0


class Pop3Session(Session):
    unknown = "-ERR unknown\r\n"

    def on_greeting(self, line):
        return f"+OK ready {self.server.timestamp}\r\n"

    def on_capa(self, line):
        stls = ["STLS"] if self.server.tls and not self.secure else []
        return "+OK\r\n" + "".join(f"{c}\r\n" for c in [*self.server.capabilities, *stls]) + ".\r\n"

    def on_stls(self, line):
        self.say("+OK go ahead\r\n")
        self.start_tls()

    def on_user(self, line):
        return "+OK\r\n"

    def on_pass(self, line):
        return "+OK in\r\n" if line == "PASS " + self.server.password else "-ERR [AUTH] wrong\r\n"

    def on_quit(self, line):
        return "+OK bye\r\n"


class ScriptedPop3(Scripted):
    session = Pop3Session

    def __init__(self, password, answers=None, capabilities=("USER",), timestamp="", **more):
        super().__init__(answers, **more)
        self.password, self.capabilities, self.timestamp = password, capabilities, timestamp
