"""docs/comparison.md: the same jobs by troika, swaks, curl and msmtp; every command is run, every output is what came.

    /usr/bin/python3 tools/compare.py > docs/comparison.md

The other side is `troika probe --listen`, so everybody meets the same server and the same trouble.
"""
# SPDX-License-Identifier: ISC
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/tests/lib")

from certificates import Authority  # noqa: E402
from listen import Listen  # noqa: E402
from troika import free_port, programs  # noqa: E402

LINES_SHOWN = 14
OPTIONS = ["--hostname", "mail.test"]
ADDRESSES = {"from": "me@example.org", "to": "bob@example.net"}
PLAIN_MESSAGE = "From: me@example.org\\nTo: bob@example.net\\nSubject: hello\\n\\nhi\\n"

# What each is typed like for a plain message; {port} and {more} are filled in.
TROIKA = "troika send --via {scheme}://{login}localhost:{port} --from me@example.org --to bob@example.net --subject hello {more} hi"
SWAKS = "swaks --server localhost:{port} --from me@example.org --to bob@example.net --h-Subject hello --body hi {more}"
CURL = "printf '" + PLAIN_MESSAGE + "' | curl -sS smtp://localhost:{port} --mail-from me@example.org --mail-rcpt bob@example.net -T - {more}"
MSMTP = "printf '" + PLAIN_MESSAGE + "' | msmtp --host=localhost --port={port} --from=me@example.org {more} bob@example.net"


def simple(**more):
    """The plain message by all four."""
    return {tool: re.sub(" +", " ", command).rstrip() for tool, command in _simple(more).items()}


def _simple(more):
    return {"troika": TROIKA.format(scheme="smtp", login=more.get("login", ""), port="{port}", more=more.get("troika", "")),
            "swaks": SWAKS.format(port="{port}", more=more.get("swaks", "")), "curl": CURL.format(port="{port}", more=more.get("curl", "")),
            "msmtp": MSMTP.format(port="{port}", more=more.get("msmtp", "--tls=off"))}


SECURE = {"login": "me@", "troika": "--roots {roots} --password-file {password}",
          "swaks": "--tls --tls-verify --tls-ca-path {roots} --auth-user me --auth-password \"$(cat {password})\"",
          "curl": "--ssl-reqd --cacert {roots} --user \"me:$(cat {password})\"",
          "msmtp": "--tls=on --tls-trust-file={roots} --auth=on --user=me --passwordeval='cat {password}'"}

JOBS = [
    dict(title="A message with a letter of another language and a file", options=["certificate", "password"], commands={
        "troika": "troika send --via smtp://me@localhost:{port} --roots {roots} --password-file {password} --from 'Я <me@example.org>' --to bob@example.net "
                  "--subject 'Отчёт за ноябрь' --attach {file} 'Вот он.'",
        "swaks": "swaks --server localhost:{port} --tls --tls-verify --tls-ca-path {roots} --auth-user me --auth-password \"$(cat {password})\" --from me@example.org "
                 "--to bob@example.net --h-From \"=?UTF-8?B?$(printf Я | base64)?= <me@example.org>\" --h-Subject \"=?UTF-8?B?$(printf 'Отчёт за ноябрь' | base64)?=\" "
                 "--attach-type 'text/plain; charset=utf-8' --attach-body 'Вот он.' --attach-type application/pdf --attach @{file}",
        "curl": "curl -sS smtp://localhost:{port} --ssl-reqd --cacert {roots} --user \"me:$(cat {password})\" --mail-from me@example.org --mail-rcpt bob@example.net "
                "-H \"From: =?UTF-8?B?$(printf Я | base64)?= <me@example.org>\" -H 'To: bob@example.net' -H \"Date: $(date -R)\" -H \"Message-ID: <$(date +%s.%N)@example.org>\" "
                "-H \"Subject: =?UTF-8?B?$(printf 'Отчёт за ноябрь' | base64)?=\" -F '=Вот он.;type=text/plain;charset=utf-8;encoder=quoted-printable' "
                "-F 'file=@{file};type=application/pdf;encoder=base64'",
        "msmtp": "# msmtp sends what another program has composed, and does not compose"},
        words="troika writes headers, MIME and the name of the file by itself; swaks attaches, but wants its headers encoded by hand; curl composes MIME, and wants "
              "every header written out. What the sink said about the messages is below each.", judge=True),
    dict(title="A wrong password", options=["certificate", "password"], commands={k: v.replace("{password}", "{wrong}") for k, v in simple(**SECURE).items()}),
    dict(title="A certificate that cannot be trusted", options=["password"], commands=simple(**SECURE)),
    dict(title="A certificate for another name", options=["password"], misbehave=["tls=wrong-name"], commands=simple(**SECURE)),
    dict(title="A recipient that does not exist", misbehave=["rcpt=550 5.1.1 <bob@example.net>: Recipient address rejected: User unknown in local recipient table"],
         options=["plain"], commands=simple()),
    dict(title="Greylisting", misbehave=["rcpt=451 4.7.1 Greylisting in action, please come back later"], options=["plain"], commands=simple()),
    dict(title="The message is refused as spam", misbehave=["dot=554 5.7.1 Message rejected as spam by content filter"], options=["plain"], commands=simple()),
    dict(title="The server hangs up before it says whether it took the message", misbehave=["dot=cut"], options=["plain"], commands=simple()),
    dict(title="The server falls silent (10 seconds are enough)", misbehave=["rcpt=silence"], options=["plain"],
         commands={k: "timeout 10 " + v if k == "troika" else v.replace("| msmtp", "| timeout 10 msmtp") for k, v in
                   simple(swaks="--timeout 10", curl="--max-time 10", msmtp="--tls=off --timeout=5").items()},
         words="swaks, curl and msmtp take a limit for an answer as an option; `troika send` keeps to the times of RFC 5321 4.5.3.2 (5 minutes here), so timeout(1) ends it."),
    dict(title="Nobody listens there", nobody=True, options=["plain"], commands=simple()),
    dict(title="What does the server offer?", options=["certificate"], commands={
        "troika": "printf 'ehlo me.example.org\\nquit\\n' | troika talk smtp://localhost:{port}",
        "swaks": "swaks --server localhost:{port} --quit-after EHLO",
        "curl": "curl -sv smtp://localhost:{port} -X NOOP 2>&1 | grep '^<'",
        "msmtp": "msmtp --serverinfo --host=localhost --port={port} --tls=on --tls-certcheck=off"},
        words="`troika probe HOST` says far more and judges it, msmtp shows the certificate; see docs/operating."),
]

MARKS = re.compile(r"(localhost|127\.0\.0\.1|::1)((?:[:, ]+(?:port )?)|(?: --port=))\d{4,5}")


def tidy(text, places):
    for name, path in places.items():
        text = text.replace(path, name)
    text = MARKS.sub(r"\1\g<2>2525", text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip("\n")


def run(command, places):
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120,
                            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": programs() + ":" + os.environ["PATH"], "TROIKA_CONF": "/nonexistent"})
    return result.returncode, tidy(result.stdout + result.stderr, places)


def shown(text):
    lines = text.splitlines() or ["(nothing)"]
    cut = len(lines) - LINES_SHOWN
    return ([f"... ({cut} lines before)"] if cut > 0 else []) + lines[-LINES_SHOWN:]


def judged(sink):
    bad = [f"{e['severity']}: {e['text']}" + (f" ({e['detail']})" if e["detail"] else "") for e in sink.events("finding") if e["severity"] != "note"]
    parts = ", ".join(p["type"] + (f" \"{p['filename']}\"" if p["filename"] else "") for m in sink.messages() for p in m["parts"])
    return ["", f"sink: {parts or 'nothing came'}; " + ("; ".join(bad) if bad else "nothing to blame")]


def one(job, tool, ca, places):
    """The lines of a block: what is typed, what came, with which exit code."""
    options = list(OPTIONS)
    if "certificate" in job["options"]:
        options += ["--certificate", ca.make("localhost", san="DNS:localhost,IP:127.0.0.1")]
    if "password" in job["options"]:
        options += ["--password-file", places["password"]]
    if "plain" in job["options"]:
        options += ["--offer", "SIZE 1000000, 8BITMIME"]
    with Listen(*options, misbehave=job.get("misbehave", ())) as sink:
        port = free_port() if job.get("nobody") else sink.port
        command = job["commands"][tool]
        for name, path in places.items():
            command = command.replace("{" + name + "}", path)
        command = command.replace("{port}", str(port))
        typed = tidy(command, {k: v for k, v in places.items()})
        if command.startswith("#"):
            return [typed]
        code, text = run(command, {k: v for k, v in places.items()})
        lines = ["$ " + typed, *shown(text), f"exit code {code}"]
        if job.get("judge"):
            sink.wait("disconnected")
            lines += judged(sink)
        return lines


def main():
    with Authority() as ca, tempfile.TemporaryDirectory() as folder:
        places = {"roots": ca.roots, "password": folder + "/password", "wrong": folder + "/wrong", "file": folder + "/report.pdf"}
        open(places["password"], "w").write("correct horse\n")
        open(places["wrong"], "w").write("wrong horse\n")
        os.chmod(places["password"], 0o600)
        os.chmod(places["wrong"], 0o600)
        open(places["file"], "wb").write(b"%PDF-1.4\n%fake, for a comparison\n")
        versions = [subprocess.run(c, shell=True, capture_output=True, text=True).stdout.splitlines()[0].split(" (")[0] for c in
                    ("swaks --version", "curl --version", "msmtp --version")]
        with open(ROOT + "/tools/comparison.head.md") as f:
            print(f.read().replace("VERSIONS", ", ".join(versions)))
        for job in JOBS:
            print(f"## {job['title']}\n")
            if job.get("words"):
                print(job["words"] + "\n")
            for tool in ("troika", "swaks", "curl", "msmtp"):
                print("```\n" + "\n".join(one(job, tool, ca, places)) + "\n```\n")


main()
