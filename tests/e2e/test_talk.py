"""troika talk by scripts: what old documents tell a person to type (../shared/reference/beginnings.md), expectations, logins, TLS,
files, transcripts; against Troika and other people's servers."""
# SPDX-License-Identifier: ISC
import base64
import json
import os
import re
import subprocess

import pytest
from certificates import Authority
from peers import DovecotPop3, Exim, Postfix, PostfixSasl
from scripted import ScriptedPop3, ScriptedSmtp
from sinks import Sink
from test_submission_tls import PASSWORD, Submission
from troika import Troika, free_port, programs, wait_for


def talk(target, script="", *options, code=0, language="en", timeout=90, **environment):
    """Its output, after a script on standard input; code None: the whole result."""
    settings = {**os.environ, "LANGUAGE": language, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **environment}
    result = subprocess.run([programs() + "/troika", "talk", *options, str(target)], input=script.encode(), capture_output=True, timeout=timeout, env=settings)
    result.out, result.err = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
    assert code is None or result.returncode == code, (result.returncode, result.out, result.err)
    return result if code is None else result.out


def at(port):
    return f"127.0.0.1:{port}"


def arrived(server, words, user="bob"):
    """The mail that has these words."""
    return wait_for(lambda: next((m for m in server.mails(user) if words in m), None), 60, words)


@pytest.fixture(scope="module")
def server():
    with Troika(config='errors = 100\nmessage-size = 20M\nvrfy = yes\nexpn = yes\n') as t:
        yield t


@pytest.fixture(scope="module")
def ca():
    with Authority() as a:
        yield a


@pytest.fixture(scope="module")
def submission(ca):
    with Submission(ca) as t:
        yield t


# ---- the dialogs of the beginnings ----

PLAIN = """{}
expect 250
{} <alice@example.test>
expect 250 2.1.0
{} <bob@example.test>
expect 250 2.1.5
{}
expect 354 *end with <CRLF>.<CRLF>
From: Somebody Else <else@elsewhere.test>
Subject: typed {}

/help is text here, and so is
# this
.
expect 250 2.0.0
{}
expect 221
"""


@pytest.mark.parametrize("case", [str, str.lower, str.upper], ids=["as written", "lower", "UPPER"])
def test_plain_smtp(server, case):
    words = [case(w) for w in ("Helo host", "Mail From:", "Rcpt To:", "Data", case.__name__, "Quit")]
    talk(at(server.port), PLAIN.format(*words))
    mail = arrived(server, f"typed {words[4]}".encode())
    assert b"\r\n/help is text here" in mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") and b"# this" in mail


def test_esmtp_with_auth_login_by_hand(submission):
    """As at smtp.yandex.ru:2025: what is typed is said, and seen nowhere."""
    user, password = (base64.b64encode(w.encode()).decode() for w in ("alice@example.test", PASSWORD))
    out = talk(at(submission.old), f"""EHLO [91.198.212.5]
expect 250-*AUTH=*LOGIN
expect 250-PIPELINING
AUTH LOGIN
expect 334 VXNlcm5hbWU6
{user}
expect 334 UGFzc3dvcmQ6
{password}
expect 235
MAIL FROM:<alice@example.test>
RCPT TO:<bob@example.test>
DATA
expect 354
Subject: by base64

hello
.
expect 250 2.0.0
QUIT
expect 221
""")
    assert user not in out and password not in out and PASSWORD not in out
    assert out.count("C: ***") == 2


def test_ehlo_and_other_commands(server):
    """SEND, SOML, SAML, RSET, VRFY, EXPN, HELP, NOOP, TURN; and forwarding: what is not here."""
    talk(at(server.port), """EHLO post.cnt.ru
expect 250-ENHANCEDSTATUSCODES
expect 250-8BITMIME
expect 250-SIZE
expect 250-DSN
ONEX
expect 250
XUSR
expect 250
ETRN example.test
expect 251 2.0.0
SEND FROM:<a@b.test>
expect 502
TURN
expect 502
VRFY alice
expect 250
VRFY nobody
expect 550 5.1.1
HELP
expect 214
HELP MAIL
expect 214
NOOP
expect 250
RSET
expect 250
QUIT
""")


def test_exchange_by_telnet(server):
    """With NOTIFY, and the failures that a person must understand."""
    out = talk(at(server.port), """EHLO contoso.com
MAIL FROM:<alice@example.test>
RCPT TO:<bob@example.test> NOTIFY=success,failure
expect 250 2.1.5
DATA
Subject: Test from Contoso

This is a test message
.
expect 250
NONSENSE
expect 500 5.5.1
MAIL FROM:<a b c>
expect 550 5.1.7
MAIL FROM:<alice@example.test>
RCPT TO:<nobody@example.test>
expect 550 5.1.1
QUIT
""")
    assert "no such mailbox" in out and "sender's address is written wrongly" in out


def test_all_at_once_is_told_in_russian(server):
    out = talk(at(server.port), "EHLO me.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<nobody@example.test>\nQUIT\n", language="ru")
    said = "".join(line for line in out.splitlines(True) if line.startswith("#"))
    assert "Домен наш, но такого ящика в нём нет." in said and "что делать: Проверьте написание" in said
    assert not re.search("[A-Za-z]{3,} [a-z]{3,} [a-z]{3,}", re.sub("`.*?`", "", said)), said


# ---- expectations ----

def test_a_failed_expectation_says_which_line(server):
    result = talk(at(server.port), "EHLO me.test\n\n# words\nexpect 251\nQUIT\n", code=None)
    assert result.returncode == 76 and "line 4" in result.err and "wanted 251" in result.err and "C: QUIT" not in result.out


def test_a_dialogue(server):
    talk(at(server.port), r"""# as in tests/dialog
config errors 100
S: 220 *ESMTP Troika
C: EHLO me.test
S: 250-*
S: 250 HELP
C: MAIL FROM:<alice@example.test>
C: RCPT TO:<bob@example.test>
C: DATA
S: 250 2.1.0 *
S: 250 2.1.5 *
S: 354 *
C\: Subject: raw\r\n\r\n\{3*ab}\x21\r\n.\r\n
S: 250 2.0.0 *
C: QUIT
S: 221 *
closed:
""")
    assert arrived(server, b"ababab!")


@pytest.mark.parametrize("script, line, words", [
    ("S: 220 *\nC: NOOP\nS: 5*\n", 3, "another answer"),
    ("S: 220 *\nEHLO\n", 2, "begins with S: or C:"),
    ("S: 220 *\nC: QUIT\nS: 221 *\nS: 250 *\n", 4, "hung up"),
    ("S: 220 *\nC\\: \\q\n", 2, "backslash"),
    ("S: 220 *\nwait: long\n", 2, "seconds"),
    ("S: 220 *\nS: 220 *\n", 2, "no answer in time"),
    ("S: 220 *\nclosed:\n", 2, "did not hang up"),
], ids=lambda v: v if isinstance(v, str) and "\n" not in v else None)
def test_dialogues_that_go_wrong(server, script, line, words):
    result = talk(at(server.port), script, "--timeout", "1", code=None)
    assert result.returncode == 76 and f"line {line}:" in result.err and words in result.err, result.err


def test_wrong_options(server, tmp_path):
    for options, code, words in [(("--bind", "nowhere"), 64, "--bind"), (("--timeout", "soon"), 64, "--timeout"), (("--roots", str(tmp_path / "none")), 66, "none"),
                                 (("--replay", str(tmp_path / "none")), 66, "none"), (("--transcript", str(tmp_path / "no/where")), 73, "where")]:
        result = talk(at(server.port), "", *options, code=None)
        assert result.returncode == code and words in result.err, (options, result.err)
    for target, words in [("imap://127.0.0.1", "IMAP"), ("smtp://a:b@host", "password"), ("", "")]:
        result = talk(target, "", code=None)
        assert result.returncode == 64 and words in result.err, (target, result.err)


# ---- connections that fail ----

def test_nobody_listens():
    result = talk(at(free_port()), "EHLO x\n", code=None)
    assert result.returncode == 69 and "Nobody listens" in result.out


def test_no_such_host():
    result = talk("no-such-host.invalid:25", "EHLO x\n", code=None)
    assert result.returncode == 68 and ("no such host" in result.out or "cannot be looked up" in result.out)


def test_tls_on_a_port_without(server):
    result = talk(f"smtps://127.0.0.1:{server.port}", "EHLO x\n", code=None)
    assert result.returncode == 69 and "handshake of TLS failed" in result.out


def test_another_protocol_is_shown(tmp_path):
    def web(session, line):
        session.say(b"HTTP/1.1 400 Bad Request\r\nServer: \x1b[31mred\r\n\r\n")

    with ScriptedSmtp({"greeting": web}) as s:
        result = talk(at(s.port), "expect 220\n", "--timeout", "1", code=None)
    assert result.returncode == 76 and "HTTP/1.1 400" in result.out and "\x1b" not in result.out


def test_a_server_that_hangs_up(server):
    with ScriptedSmtp({"MAIL": None}) as s:
        result = talk(at(s.port), "EHLO x\nMAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\n", code=None)
    assert result.returncode == 76 and "hung up" in result.out and "line 3" in result.err


def test_source_address(server):
    talk(at(server.port), "EHLO me.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<bob@example.test>\nDATA\nSubject: from nine\n\n.\nexpect 250\nQUIT\n", "--bind", "127.0.0.9")
    assert b"[127.0.0.9]" in arrived(server, b"Subject: from nine")


# ---- TLS and logins ----

def test_starttls_shows_and_judges(submission, ca):
    script = "EHLO me.test\n/starttls\nEHLO me.test\nexpect 250-AUTH\nQUIT\n"
    out = talk(f"localhost:{submission.starttls}", script, "--roots", ca.roots)
    assert "encrypted with TLSv1.3" in out and "it proves that this is localhost" in out and "say EHLO again" in out
    assert "does not prove" in talk(f"localhost:{submission.starttls}", script)


def test_starttls_typed_and_what_follows_waits(submission, ca):
    """The handshake follows by itself; nothing is said in plain text behind STARTTLS."""
    out = talk(f"localhost:{submission.starttls}", "EHLO me.test\nstarttls\nEHLO again.test\nexpect 250\nQUIT\n", "--roots", ca.roots)
    assert out.index("encrypted with") < out.index("C: EHLO again.test")


def test_ehlo_by_itself(submission, ca):
    out = talk(f"localhost:{submission.starttls}", "/starttls\nexpect 250-AUTH\nNOOP\nQUIT\n", "--roots", ca.roots, "--ehlo", "me.test")
    assert out.count("C: EHLO me.test") == 2


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_auth_at_troika(submission, ca, tmp_path, mechanism):
    (tmp_path / "pw").write_text(PASSWORD + "\n")
    os.chmod(tmp_path / "pw", 0o600)
    out = talk(f"smtps://localhost:{submission.implicit}", f"EHLO me.test\n/auth {mechanism} alice@example.test\nexpect 235\nMAIL FROM:<alice@example.test>\nexpect 250\nQUIT\n",
               "--roots", ca.roots, "--password-file", str(tmp_path / "pw"))
    said = re.search("C: AUTH ([A-Z0-9-]+)", out).group(1)
    assert said == mechanism or (not mechanism and said.startswith("SCRAM-SHA-256"))
    assert PASSWORD not in out and base64.b64encode(PASSWORD.encode()).decode() not in out and "***" in out


def test_auth_with_a_wrong_password(submission, ca):
    result = talk(f"smtps://alice%40example.test@localhost:{submission.implicit}", "EHLO me.test\n/auth\nexpect 235\n", "--roots", ca.roots, code=None, TROIKA_PASSWORD="wrong")
    assert result.returncode == 76 and "login or password wrong" in result.out.lower() or "no such account" in result.out


def test_auth_does_not_show_the_password(submission):
    """Without TLS only who names the mechanism says it."""
    out = talk(at(submission.old), "EHLO me.test\n/auth alice@example.test\nQUIT\n", TROIKA_PASSWORD=PASSWORD)
    assert "C: AUTH PLAIN" not in out and "C: AUTH LOGIN" not in out
    talk(at(submission.old), "EHLO me.test\n/auth PLAIN alice@example.test\nexpect 235\nQUIT\n", TROIKA_PASSWORD=PASSWORD)


def test_auth_at_postfix_with_cyrus_sasl(ca):
    with PostfixSasl(ca.make("postfix.example", san="DNS:localhost"), "carol", "open sesame") as p:
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
            out = talk(f"localhost:{p.port}", f"EHLO me.test\n/starttls\nEHLO me.test\n/auth {mechanism} carol@postfix.example\nexpect 235\nQUIT\n", "--roots", ca.roots,
                       TROIKA_PASSWORD="open sesame")
            assert f"C: AUTH {mechanism}" in out


# ---- messages ----

def test_data_from_a_file(server, tmp_path):
    (tmp_path / "letter").write_bytes(b"Subject: dots\n\n.\n..two\nbare\rcr\n" + b"x" * 200000)
    talk(at(server.port), f"EHLO x.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<bob@example.test>\ndata {tmp_path}/letter\nexpect 250 2.0.0\nQUIT\n")
    mail = arrived(server, b"Subject: dots")
    assert b"\n.\n..two\n" in mail.replace(b"\r\n", b"\n") and b"x" * 200000 in mail.replace(b"\r\n", b"").replace(b"\n", b"")


def test_data_by_hand_below_a_template(server):
    out = talk(at(server.port), "EHLO x.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<bob@example.test>\n/data -\nbelow a template\n.\nexpect 250 2.0.0\nQUIT\n")
    assert "C: From: <alice@example.test>" in out and "C: To: <bob@example.test>" in out and "C: Message-ID: <" in out
    assert arrived(server, b"below a template")


def test_data_that_is_refused_is_not_said(server, tmp_path):
    (tmp_path / "letter").write_bytes(b"QUIT\n")
    out = talk(at(server.port), f"EHLO x.test\ndata {tmp_path}/letter\nexpect 503\nNOOP\nexpect 250\nQUIT\n")
    assert "the message is not sent" in out
    assert "No such file" in talk(at(server.port), "EHLO x.test\ndata /nonexistent/letter\nNOOP\nexpect 250\nQUIT\n")


@pytest.mark.parametrize("size", ["", "7", "1000"])
def test_bdat_from_a_file(server, tmp_path, size):
    (tmp_path / "letter").write_bytes(f"Subject: chunks {size}\n\n.\nend\n".encode())
    out = talk(at(server.port), f"EHLO x.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<bob@example.test>\nbdat {tmp_path}/letter {size}\nexpect 250 2.0.0\nQUIT\n")
    assert out.count("C: BDAT ") == (4 if size == "7" else 1)
    assert arrived(server, f"Subject: chunks {size}\n".encode()).endswith(b"\n.\nend\n")


def test_bdat_typed_by_hand(server):
    talk(at(server.port), "EHLO x.test\nMAIL FROM:<alice@example.test>\nRCPT TO:<bob@example.test>\nBDAT 21 LAST\nSubject: typed bdat\nexpect 250 2.0.0\nQUIT\n")


def test_raw_bytes(server):
    out = talk(at(server.port), 'EHLO x.test\n/raw "NOOP\\nNOOP\\r\\n"\nexpect 500 5.5.2\nQUIT\n')
    assert "bare CR or LF" in out


# ---- other people's servers ----

@pytest.mark.parametrize("peer", [Postfix, Exim])
def test_a_message_to(peer):
    with Sink() as sink, peer(sink.port) as p:
        out = talk(at(p.port), "EHLO me.test\nexpect 250\nMAIL FROM:<a@elsewhere.test>\nRCPT TO:<b@next.test>\nDATA\nexpect 354\nSubject: x\n\nhello\n.\nexpect 250\nNONSENSE\nexpect 50*\nQUIT\n")
        assert "does not know this command" in out


def test_lmtp_has_a_verdict_for_each_recipient():
    with Troika(config='listen inside { address = { "127.0.0.1:%d" } protocol = lmtp }\n' % (port := free_port())) as t:
        out = talk(f"lmtp://127.0.0.1:{port}", "LHLO me.test\nMAIL FROM:<a@b.test>\nRCPT TO:<alice@example.test>\nRCPT TO:<bob@example.test>\nDATA\nSubject: x\n\nhi\n.\nQUIT\n")
        assert out.count("S: 250 2.0.0") + out.count("S: 250 2.1.5") >= 3
        assert t.wait_mails("alice") and t.wait_mails("bob")


def test_pop3_at_dovecot(ca):
    with DovecotPop3(ca.make("pop.test", san="DNS:localhost"), "open sesame") as d:
        out = talk(f"pop://localhost:{d.port}", "CAPA\nexpect STLS\n/starttls\nCAPA\nexpect SASL\n/auth alice\nexpect +OK\nSTAT\nexpect +OK 0\nLIST\nRETR 7\nexpect -ERR\nQUIT\n",
                   "--roots", ca.roots, TROIKA_PASSWORD="open sesame")
        assert "it proves that this is localhost" in out and "no message of that number" in out and "open sesame" not in out
        out = talk(f"pops://localhost:{d.tls_port}", "USER alice\nPASS wrong word\nexpect -ERR [AUTH]\nQUIT\n", "--roots", ca.roots)
        assert "C: PASS ***" in out and "Login or password is wrong" in out and "wrong word" not in out


def test_pop3_user_and_pass():
    with ScriptedPop3("open sesame") as s:
        talk(f"pop://127.0.0.1:{s.port}", "CAPA\n/auth alice\nQUIT\n", TROIKA_PASSWORD="open sesame")
        assert "PASS" not in "".join(s.commands)
        talk(f"pop://127.0.0.1:{s.port}", "CAPA\n/auth USER alice\nexpect +OK in\nQUIT\n", TROIKA_PASSWORD="open sesame")
        assert "PASS open sesame" in s.commands


# ---- transcripts ----

def test_a_transcript_is_played_again(server, tmp_path):
    path = tmp_path / "said"
    talk(at(server.port), PLAIN.format("HELO host", "MAIL FROM:", "RCPT TO:", "DATA", "again", "QUIT"), "--transcript", str(path))
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"
    out = talk(at(server.port), "", "--replay", str(path))
    assert re.search(r"replayed: \d+ answers the same, \d+ lines with other words, 0 with another code", out)
    talk(at(server.port), path.read_text().replace("S: 250 2.0.0 accepted, id ", "S: 250 2.0.0 accepted, id *\n#"))
    with ScriptedSmtp({"RCPT": b"550 5.1.1 gone\r\n"}) as s:
        result = talk(at(s.port), "", "--replay", str(path), code=None)
    assert result.returncode == 76 and "+ 550 5.1.1 gone" in result.out and "- 250 2.1.5" in result.out


def test_a_transcript_with_a_login(submission, ca, tmp_path):
    path, where = tmp_path / "said", f"smtps://alice%40example.test@localhost:{submission.implicit}"
    talk(where, "EHLO me.test\n/auth SCRAM-SHA-256\nexpect 235\nQUIT\n", "--roots", ca.roots, "--transcript", str(path), TROIKA_PASSWORD=PASSWORD)
    assert PASSWORD not in path.read_text() and "***" in path.read_text()
    out = talk(where, "", "--roots", ca.roots, "--replay", str(path), TROIKA_PASSWORD=PASSWORD)
    assert "S: 235" in out and "0 with another code" in out
    result = talk(f"smtps://localhost:{submission.implicit}", "", "--roots", ca.roots, "--replay", str(path), code=None)
    assert result.returncode == 64 and "does not tell the password" in result.err


def test_json(server):
    out = talk(at(server.port), "EHLO me.test\nRCPT TO:<x@y.test>\nQUIT\n", "--json", language="ru")
    events = [json.loads(line) for line in out.splitlines()]
    refused = next(e for e in events if e.get("code") == 503)
    assert refused["status"] == "5.5.1" and refused["asked"] == "RCPT" and refused["us"] > 0 and "MAIL" in refused["remedy"]
    assert [e["event"] for e in events][:2] == ["connected", "reply"] and events[-1] == {"event": "closed", "by_server": True} or events[-1]["code"] == 221
    assert "PIPELINING" in next(e for e in events if e.get("asked") == "EHLO")["lines"]


def test_explain_a_code(server):
    out = talk(at(server.port), "/explain 550 5.1.1\n/explain 4.7.1\n/explain much\nQUIT\n", language="ru")
    assert "Такого получателя там нет" in out and "укажите on, off" in out
