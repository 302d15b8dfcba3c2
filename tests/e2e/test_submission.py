"""What somebody who has logged in may do: senders, authors, limits; VRFY and EXPN."""
# SPDX-License-Identifier: ISC
import base64
import json
import smtplib
import socket

from troika import Troika, wait_for

PASSWORD = "correct horse battery staple"
LISTEN_MORE = 'auth = optional plain-auth = yes'


class Submission(Troika):
    """A server where alice and bob can log in, nobody is in relay-for, and mail for elsewhere goes nowhere."""

    def __init__(self, config="", aliases="", **more):
        super().__init__(config, users=(), relay_for="", **more)
        self.base = self.base.replace("} }\ndomain", "} " + LISTEN_MORE + " }\ndomain", 1)
        self.base += 'route "elsewhere.test" { via = "127.0.0.1:1" }\n'
        if aliases:
            path = self.folder + "/aliases"
            with open(path, "w") as f:
                f.write(aliases)
            self.base = self.base.replace("accounts = yes", f'accounts = yes aliases = "{path}"')
        self.configure(config)
        for user in ("alice", "bob"):
            self.run("user", "add", f"{user}@{self.domain}", "--password-stdin", input=PASSWORD + "\n")

    def client(self, login=None):
        c = smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=60)
        c.ehlo()
        if login:
            secret = base64.b64encode(f"\0{login}\0{PASSWORD}".encode()).decode()
            code, text = c.docmd("AUTH", "PLAIN " + secret)
            assert code == 235, text
        return c


def reply(pair):
    code, text = pair
    return f"{code} {text.decode()}"


def send(c, sender, recipients, message):
    """The last answer of a message."""
    answer = reply(c.docmd(f"MAIL FROM:<{sender}>"))
    if answer[0] != "2":
        return answer
    for r in recipients:
        answer = reply(c.docmd(f"RCPT TO:<{r}>"))
        if answer[0] != "2":
            c.docmd("RSET")
            return answer
    return reply(c.data(message))


def test_senders_and_authors():
    with Submission(aliases="sales: alice\nboss: \\bob\nbob: bob, alice\n") as t:
        c = t.client("alice@example.test")
        to = ["bob@example.test"]
        for own in ("alice@example.test", "sales@example.test", "alice+news@example.test", ""):
            assert send(c, own, to, b"From: alice@example.test\r\n\r\nx\r\n").startswith("250 2.0.0")
        for other in ("boss@example.test", "bob@example.test", "nobody@example.test", "alice@elsewhere.test"):
            answer = send(c, other, to, b"From: alice@example.test\r\n\r\nx\r\n")
            assert answer.startswith(f"550 5.7.1 <{other}> is not for alice@example.test"), answer
            for field in ("From", "Sender"):
                text = f"From: alice@example.test\r\n{field}: Boss <{other}>\r\n\r\nx\r\n"
                answer = send(c, "alice@example.test", to, text.encode())
                assert answer.startswith(f"550 5.7.1 {field}: <{other}> is not for alice@example.test"), answer
        assert send(c, "alice@example.test", to, b"From: sales@example.test\r\n\r\nx\r\n").startswith("250")
        assert send(c, "alice@example.test", to, b"Subject: no author\r\n\r\nx\r\n").startswith("250")
        message = wait_for(lambda: [m for m in t.mails("bob") if b"no author" in m], 60)[0]
        assert b"\r\nFrom: <alice@example.test>\r\n" in b"\r\n" + message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        for field in (b"Date: ", b"Message-ID: <"):
            assert message.count(b"\n" + field) == 1


def test_sender_policies_by_configuration():
    for words, sender, expected in (("domain", "boss@example.test", "250"), ("domain", "x@elsewhere.test", "550"),
                                    ("any", "x@elsewhere.test", "250")):
        with Submission(f"login-senders = {words}\n") as t:
            c = t.client("alice@example.test")
            answer = send(c, sender, ["bob@example.test"], f"From: {sender}\r\n\r\nx\r\n".encode())
            assert answer.startswith(expected), answer


def test_limits_hold_over_workers_and_restarts():
    config = 'login-messages = { "6/hour" }\nlogin-recipients = { "8/hour", "20/day" }\n'
    with Submission(config, smtpd=3) as t:
        message = b"From: alice@example.test\r\n\r\nx\r\n"
        clients = [t.client("alice@example.test") for _ in range(6)]
        # What is promised to one session is not promised to another.
        for c in clients[:4]:
            assert reply(c.docmd("MAIL FROM:<alice@example.test>")).startswith("250")
            for n in range(2):
                assert reply(c.docmd(f"RCPT TO:<r{n}@elsewhere.test>")).startswith("250")
        assert reply(clients[4].docmd("MAIL FROM:<alice@example.test>")).startswith("250")
        answer = reply(clients[4].docmd("RCPT TO:<x@elsewhere.test>"))
        assert answer.startswith("450 4.7.1 limit of 8 recipients an hour for alice@example.test reached; come back in "), answer
        for c in clients[:4]:
            assert reply(c.data(message)).startswith("250 2.0.0")  # never refused after its 250
        other = t.client("bob@example.test")
        assert send(other, "bob@example.test", ["r@elsewhere.test"], b"x\r\n").startswith("250")

        rows = {r["login"]: r for r in map(json.loads, t.run("queue", "limits", "--json").splitlines())}
        assert rows["alice@example.test"]["recipients-hour"] == 8 and rows["alice@example.test"]["messages-hour"] == 4
        assert rows["alice@example.test"]["recipients-day-max"] == 20 and "until" in rows["alice@example.test"]
        assert rows["bob@example.test"]["messages-day"] == 1 and "until" not in rows["bob@example.test"]
        assert "8 of 8" in t.run("queue", "limits", "alice@example.test")
        assert t.log().count("event=login-limited") == 1

        t.kill()
        assert "8 of 8" in t.run("queue", "limits", "alice@example.test")  # while the server is down
        t.start()
        c = t.client("alice@example.test")
        assert send(c, "alice@example.test", ["x@elsewhere.test"], message).startswith("450 4.7.1")
        assert t.log().count("event=login-limited") == 1  # once a day
        told = t.run("trace", "alice@example.test", "--json")
        accepted = [e for e in map(json.loads, told.splitlines()) if e["event"] == "accepted"]
        assert len(accepted) == 4


def test_the_login_is_in_the_trace():
    with Submission("login-senders = any\n") as t:
        c = t.client("alice@example.test")
        answer = send(c, "somebody@elsewhere.test", ["bob@example.test"], b"From: somebody@elsewhere.test\r\n\r\nx\r\n")
        assert answer.startswith("250"), answer
        wait_for(lambda: "event=delivered" in t.log(), 60)
        told = [json.loads(e) for e in t.run("trace", "alice@example.test", "--json").splitlines()]
        accepted = [e for e in told if e["event"] == "accepted"]
        assert len(accepted) == 1 and accepted[0]["login"] == "alice@example.test"
        assert accepted[0]["client"] == "127.0.0.1"


def test_vrfy_and_expn():
    with Submission(aliases="staff: alice, bob\nfar: x@elsewhere.test\n") as t:
        c = t.client()
        assert reply(c.docmd("VRFY", "alice")).startswith("252 2.1.5 ")
        assert reply(c.docmd("VRFY", "nobody")).startswith("252 2.1.5 ")
        assert reply(c.docmd("EXPN", "staff")) == "550 5.7.1 only for clients that have logged in"
        c = t.client("alice@example.test")
        assert reply(c.docmd("VRFY", "bob")) == "250 2.1.5 <bob@example.test>"
        assert reply(c.docmd("VRFY", "Bob <bob@example.test>")) == "250 2.1.5 <bob@example.test>"
        assert reply(c.docmd("VRFY", "nobody")) == "550 5.1.1 no such user here: <nobody>"
        assert reply(c.docmd("VRFY", "far")) == "251 2.1.5 not here; mail goes to <x@elsewhere.test>"
        assert reply(c.docmd("VRFY", "y@elsewhere.test")).startswith("252 2.1.5 <y@elsewhere.test> is not here")
        assert reply(c.docmd("EXPN", "staff")) == "250 2.1.5 <alice@example.test>\n2.1.5 <bob@example.test>"
        assert reply(c.docmd("EXPN", "bob")) == "550 5.2.4 <bob@example.test> is a mailbox, not a list"


def test_answers_of_old():
    """What beginnings.md promises, byte by byte."""
    with Submission() as t:
        with socket.create_connection(("127.0.0.1", t.port), 60) as s:
            f = s.makefile("rb")
            assert f.readline().startswith(b"220 ")
            for said, heard in ((b"EHLO con_toso..com", b"501 5.5.4 "), (b"EHLO contoso.com", b"250"),
                                (b"MAIL FROM:<bad address@>", b"550 5.1.7 "), (b"MAIL FROM:<a@b.test>", b"250 2.1.0 "),
                                (b"RCPT TO:<nobody@example.test>", b"550 5.1.1 ")):
                for i in range(len(said)):
                    s.sendall(said[i:i + 1])
                s.sendall(b"\r\n")
                line = f.readline()
                assert line.startswith(heard), (said, line)
                while line[3:4] == b"-":
                    line = f.readline()
