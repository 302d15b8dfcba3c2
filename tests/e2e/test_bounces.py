"""What senders are told: of failures, delays and successes, by a whole server, read by other people's programs."""
# SPDX-License-Identifier: ISC
import datetime
import email
import email.policy
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from clock import Clock
from flufl.bounce import all_failures
from sinks import Sink
from troika import Dialogue, Troika, free_port, wait_for

HOUR = 3600
RETRY = [60, 300, 900, 1800, HOUR, 2 * HOUR]

SISIMAI = r"""
use Sisimai; use JSON::PP; local $/; my $mail = <STDIN>;
my $got = Sisimai->make(\$mail, delivered => 1) || [];
print encode_json([map { { recipient => $_->recipient->address, action => $_->action, reason => $_->reason,
    status => $_->deliverystatus } } @$got]);
"""
BOUNCE_PARSER = r"""
use Mail::DeliveryStatus::BounceParser; use JSON::PP; local $/; my $mail = <STDIN>;
my $b = Mail::DeliveryStatus::BounceParser->new($mail);
print encode_json({bounce => $b->is_bounce ? 1 : 0, addresses => [$b->addresses],
    reports => [map { { recipient => $_->get("email"), action => $_->get("action"), status => $_->get("status") } } $b->reports]});
"""


def perl(program, mail):
    # Mailboxes and these readers have "\n" as line ends.
    result = subprocess.run(["perl", "-e", program], input=mail, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def block(part):
    return {k.lower(): re.sub(r"\s+", " ", v) for k, v in part.items()}


class Report:
    """A report in the eyes of Python's `email`, which must find no defect in it."""

    def __init__(self, mail):
        self.bytes = mail
        self.message = email.message_from_bytes(mail, policy=email.policy.default)
        for part in self.message.walk():
            assert not part.defects, (part.get_content_type(), part.defects)
            for name, value in part.items():
                assert not getattr(value, "defects", ()), (name, value, value.defects)
        assert self.message["Auto-Submitted"] == "auto-replied" and self.message["Return-Path"].strip() == "<>"
        assert self.message.get_content_type() == "multipart/report"
        self.parts = list(self.message.iter_parts())
        self.words = self.parts[0].get_content()
        status = [block(p) for p in self.parts[1].get_payload()]
        self.fields, self.recipients = status[0], status[1:]
        assert max(map(len, mail.split(b"\n"))) <= 998

    def original(self):
        return self.parts[2]


def reports(t, count=1, user="alice"):
    return [Report(m) for m in t.wait_mails(user, count)]


def send(t, to, sender="alice@example.test", mail_options="", rcpt_options="", text="Subject: hello\r\n\r\nthe body\r\n"):
    """An id, and who said what to it."""
    with Dialogue(t.port) as d:
        d.reply()
        d.say("EHLO client.test")
        assert d.say(f"MAIL FROM:<{sender}> {mail_options}".rstrip())[0] == 250
        for one in [to] if isinstance(to, str) else to:
            code, words = d.say(f"RCPT TO:<{one}> {rcpt_options}".rstrip())
            assert code == 250, words
        assert d.say("DATA")[0] == 354
        code, words = d.say(text + ".")
        assert code == 250, words
        return re.search(r"id ([0-9a-z]{15})", words[0]).group(1)


def route(port, domain="else.test"):
    return f'route "{domain}" {{ via = "127.0.0.1:{port}" }}\n'


def refusing(what, about):
    return "550 5.1.1 no such user here" if what == "rcpt" else None


class Lines:
    """A next hop that keeps the commands it is told; with dsn it announces DSN."""

    def __init__(self, dsn):
        self.dsn, self.commands = dsn, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[s], daemon=True).start()

    def serve(self, s):
        try:
            with s, s.makefile("rwb") as f:
                self.talk(f)
        except OSError:  # the client has gone
            pass

    def talk(self, f):
        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()
        say("220 hop.test ESMTP")
        content = False
        for raw in f:
            line = raw.decode("latin-1").rstrip("\r\n")
            if content:
                if line == ".":
                    content = False
                    say("250 2.0.0 taken")
                continue
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                say("250-hop.test\r\n250 DSN" if self.dsn else "250 hop.test")
            elif verb == "DATA":
                content = True
                say("354 go on")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 2.1.0 ok")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


# ---- failures ----

def test_a_failure_is_read_alike_by_all(tmp_path):
    with Sink(refusing) as sink, Troika(route(sink.port)) as t:
        id = send(t, "Bob@else.test", mail_options="ENVID=QQ+2B1 RET=HDRS", rcpt_options="ORCPT=rfc822;first+2Bbob@list.test")
        r = reports(t)[0]
        assert r.message["Subject"] == "Your message could not be delivered"
        assert r.fields["original-envelope-id"] == "QQ+1" and r.fields["reporting-mta"] == "dns; mail.example.test"
        (one,) = r.recipients
        assert one["action"] == "failed" and one["status"] == "5.1.1"
        assert one["original-recipient"].replace(" ", "") == "rfc822;first+bob@list.test"
        assert one["final-recipient"] == "rfc822; Bob@else.test"
        assert one["remote-mta"] == "dns; [127.0.0.1]", "no port"
        assert one["diagnostic-code"].startswith("smtp; 550 5.1.1 no such user")
        assert f"127.0.0.1:{sink.port}" in r.words and "no such mailbox" in r.words
        assert r.original().get_content_type() == "text/rfc822-headers" and "the body" not in r.bytes.decode("latin-1")
        assert [e["event"] for e in t.trace(id)][-1] == "bounced" and t.trace(id)[0]["envid"] == "QQ+1"
        assert [x["recipient"].lower() for x in perl(SISIMAI, r.bytes)] == ["bob@else.test"]
        assert perl(SISIMAI, r.bytes)[0]["reason"] == "userunknown"
        parsed = perl(BOUNCE_PARSER, r.bytes)
        assert parsed["bounce"] and parsed["addresses"] == ["first+bob@list.test"] and parsed["reports"][0]["status"] == "5.1.1"
        assert all_failures(email.message_from_bytes(r.bytes)) == (set(), {b"first+bob@list.test"}), "what the sender wrote"


@pytest.mark.parametrize("size, comes_back", [(1000, True), (60_000, False)])
def test_ret_full_returns_the_message_up_to_a_size(size, comes_back):
    body = ("x" * 70 + "\r\n") * (size // 72) + "last line with \xe4\r\n"
    with Sink(refusing) as sink, Troika(route(sink.port)) as t:
        send(t, "bob@else.test", mail_options="RET=FULL BODY=8BITMIME", text="Subject: all of it\r\n\r\n" + body)
        r = reports(t)[0]
        if comes_back:
            assert r.original().get_content_type() == "message/rfc822"
            assert r.original().get_content()["Subject"] == "all of it"
            assert b"last line with \xe4\n" in r.bytes and r.message["Content-Transfer-Encoding"] == "8bit"
        else:
            assert r.original().get_content_type() == "text/rfc822-headers" and b"last line" not in r.bytes
            assert "too large to be returned" in " ".join(r.words.split())


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY"])
def test_who_does_not_want_failures_gets_none(notify):
    with Sink(refusing) as sink, Troika(route(sink.port)) as t:
        id = send(t, "bob@else.test", rcpt_options=f"NOTIFY={notify}")
        event = t.wait_event(id, "bounced")[0]
        assert "not want" in event["unreported"] and "report" not in event
        t.wait_empty()
        assert not t.mails("alice")


def test_the_empty_sender_gets_nothing():
    with Lines(dsn=False) as hop, Troika(route(hop.port)) as t:
        for to in ("bob@else.test", "bob@example.test"):
            id = send(t, to, sender="", rcpt_options="NOTIFY=SUCCESS,DELAY")
            t.wait_event(id, "delivered")
        t.wait_empty()
        assert not t.mails("alice") and not [e for e in t.trace("") if e["event"].endswith("-made")]


def test_no_more_reports_than_allowed_to_one_sender():
    with Sink(refusing) as sink, Troika(route(sink.port) + "bounces-per-sender = 3\n") as t:
        ids = [send(t, f"bob{i}@else.test") for i in range(6)]
        events = [t.wait_event(id, "bounced")[0] for id in ids]
        t.wait_empty()
        assert len(t.mails("alice")) == 3 == len([e for e in events if "report" in e])
        assert all("than allowed" in e["unreported"] for e in events if "report" not in e)
        assert t.log().count("event=bounces-limited") == 1


# ---- successes ----

def test_success_is_told_by_whom_it_ends_with():
    with Lines(dsn=False) as plain, Lines(dsn=True) as dsn, Troika(route(plain.port) + route(dsn.port, "dsn.test")) as t:
        local = send(t, "bob@example.test", rcpt_options="NOTIFY=SUCCESS,FAILURE", mail_options="ENVID=E1")
        r = reports(t)[0]
        assert [x["action"] for x in r.recipients] == ["delivered"] and r.recipients[0]["status"].startswith("2.")
        assert r.message["Subject"] == "Your message was delivered" and r.fields["original-envelope-id"] == "E1"
        assert t.wait_event(local, "confirmed")[0]["action"] == "delivered"
        assert all_failures(email.message_from_bytes(r.bytes)) == (set(), set())
        assert [x["action"] for x in perl(SISIMAI, r.bytes)] == ["delivered"]
        assert not perl(BOUNCE_PARSER, r.bytes)["bounce"]

        relayed = send(t, "carol@else.test", rcpt_options="NOTIFY=SUCCESS")
        r = reports(t, 2)[1]
        (one,) = r.recipients
        assert one["action"] == "relayed" and one["remote-mta"] == "dns; [127.0.0.1]" and one["diagnostic-code"].startswith("smtp; 250")
        assert t.wait_event(relayed, "confirmed")[0]["action"] == "relayed"
        assert all_failures(email.message_from_bytes(r.bytes)) == (set(), set())
        assert [x["action"] for x in perl(SISIMAI, r.bytes)] in ([], ["relayed"], ["delivered"])
        assert not perl(BOUNCE_PARSER, r.bytes)["bounce"]
        assert not [c for c in plain.commands if "NOTIFY" in c or "ENVID" in c]

        passed = send(t, "dave@dsn.test", mail_options="ENVID=a+3Db RET=FULL", rcpt_options="NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z")
        t.wait_event(passed, "delivered")
        t.wait_empty()
        assert len(t.mails("alice")) == 2, "the next hop tells"
        assert [c for c in dsn.commands if c.startswith("MAIL")][-1].endswith("RET=FULL ENVID=a+3Db")
        assert "RCPT TO:<dave@dsn.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z" in dsn.commands


def test_an_alias_is_told_to_be_expanded():
    with Lines(dsn=True) as hop, Troika(route(hop.port, "dsn.test")) as t:
        path = t.folder + "/aliases"
        with open(path, "w") as f:
            f.write("team: bob, carol@dsn.test\none: bob\n")
        t.base = t.base.replace("{ accounts = yes }", f'{{ accounts = yes aliases = "{path}" }}')
        t.configure(route(hop.port, "dsn.test"))
        t.stop()
        t.start()
        id = send(t, "team@example.test", rcpt_options="NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;team@example.test")
        r = reports(t)[0]
        assert [(x["action"], x["final-recipient"]) for x in r.recipients] == [("expanded", "rfc822; team@example.test")]
        assert t.wait_event(id, "confirmed")[0]["action"] == "expanded"
        wait_for(lambda: [c for c in hop.commands if c.startswith("RCPT")], what="the other member")
        assert "RCPT TO:<carol@dsn.test> NOTIFY=FAILURE ORCPT=rfc822;team@example.test" in hop.commands
        send(t, "one@example.test", rcpt_options="NOTIFY=SUCCESS")
        assert [x["action"] for x in reports(t, 2)[1].recipients] == ["delivered"]


# ---- sendmail -N -R -V ----

def test_sendmail_passes_wishes_on_directly_and_by_the_drop_folder():
    options = ["-N", "success,delay", "-R", "full", "-V", "my+2Bid"]
    with Lines(dsn=True) as hop, Troika(route(hop.port, "dsn.test")) as t:
        names = t.folder + "/bin"
        os.mkdir(names)
        os.chmod(names, 0o755)
        os.symlink(t.programs + "/troika", names + "/sendmail")
        plain = t.command("version")[:-4]  # as the plain user

        def sendmail(*more):
            return subprocess.run([*plain, names + "/sendmail", *more], input=b"Subject: s\n\nbody\n", capture_output=True, timeout=60,
                                  env={**os.environ, "TROIKA_CONF": t.config_file})

        assert sendmail("-N", "never,delay", "a@dsn.test").returncode == 64
        assert sendmail("-V", "a b", "a@dsn.test").returncode == 64
        for to, server_up in (("up@dsn.test", True), ("down@dsn.test", False)):
            if not server_up:
                t.stop()
            result = sendmail(*options, "-f", "alice@example.test", to)
            assert result.returncode == 0, result.stderr
            if not server_up:
                t.start()
            wait_for(lambda: [c for c in hop.commands if to in c], 30, "the message at its next hop")
            assert f"RCPT TO:<{to}> NOTIFY=SUCCESS,DELAY" in hop.commands
            assert [c for c in hop.commands if c.startswith("MAIL")][-1].endswith("RET=FULL ENVID=my+2Bid")


# ---- time ----

def test_five_days_of_a_dead_destination():
    """The real server, whose clocks a test moves: every attempt, the warning and the bounce at their times."""
    port = free_port()
    t = Troika(route(port, "dead.test"))
    clock = Clock(t)
    began = time.monotonic()
    with t:
        id = send(t, "bob@dead.test", mail_options="ENVID=slow")
        silent = send(t, "carol@dead.test", rcpt_options="NOTIFY=FAILURE")

        def events(event, which=id):
            return [e for e in t.trace(which) if e["event"] == event]

        def seconds(e):
            return datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp()

        # Each look costs a process; the attempts are found in the log first.
        def attempts():
            return t.log().count(f"event=deferred msg={id}") + t.log().count(f"event=expired msg={id}")

        count = 0
        row = t.queue()[0]
        assert "warning" in row and "expires" in row
        while not t.log().count(f"event=expired msg={id}"):
            wait_for(lambda: attempts() > count, 20, f"attempt {count + 1}")
            count = attempts()
            assert count < 100
            if clock.ahead_us >= 4 * HOUR * 1e6:
                wait_for(lambda: "event=warned" in t.log(), what="the warning, before more time passes")
            clock.pass_by(RETRY[min(count - 1, len(RETRY) - 1)] * 1.1 + 1)
        wait_for(lambda: events("expired") and events("expired", silent), what="the ends")
        accepted = seconds(events("accepted")[0])
        tries = [seconds(e) for e in events("deferred")] + [seconds(events("expired")[0])]
        assert len(tries) == count >= 55
        for i in range(1, len(tries)):
            wanted = RETRY[min(i - 1, len(RETRY) - 1)]
            assert wanted * 0.9 <= tries[i] - tries[i - 1] <= wanted * 1.1 + 5, i
        (warned,) = events("warned")
        late = next(x for x in tries if x - accepted >= 4 * HOUR)
        assert late <= seconds(warned) <= late + 5
        assert not events("warned", silent)
        assert tries[-1] - accepted >= 5 * 24 * HOUR > tries[-2] - accepted
        t.wait_mails("alice", 3)
        t.wait_empty()
        first, *rest = reports(t, 3)
        assert first.message["Subject"] == "Your message is delayed"
        (one,) = first.recipients
        assert one["action"] == "delayed" and one["status"].startswith("4.4.1") and "remote-mta" not in one
        until = email.utils.parsedate_to_datetime(one["will-retry-until"]).timestamp()
        assert abs(until - accepted - 5 * 24 * HOUR) < 2
        assert "We go on trying until" in " ".join(first.words.split()) and f"127.0.0.1:{port}" in first.words
        assert first.fields["original-envelope-id"] == "slow"
        assert all_failures(email.message_from_bytes(first.bytes)) == ({b"bob@dead.test"}, set())
        assert [x["action"] for x in perl(SISIMAI, first.bytes)] == ["delayed"]
        assert not [r for r in perl(BOUNCE_PARSER, first.bytes)["reports"] if r["action"] == "failed"]
        assert sorted(x["action"] for r in rest for x in r.recipients) == ["failed", "failed"]
        assert all(x["status"] == "5.4.7" for r in rest for x in r.recipients)
    print(f"five days, {count} attempts, took {time.monotonic() - began:.1f} s")
