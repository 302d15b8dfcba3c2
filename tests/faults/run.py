#!/usr/bin/python3
"""Faults at every site in turn, in the running server: run.py [--all [--jobs N] | --seconds N] [--role R] [--function F]

A first run of all acts (below) only counts: every place of every role from which a call is made
that the kernel may refuse is a site. Then each site in turn fails once with each errno that belongs
to it, while the act goes on in which it was reached; and each function of each role fails for as
long as an act lasts. After each: who was answered 250 has a message that arrived whole, was bounced as
it should or still waits; nobody heard an illegal answer, a 5xx or nothing at all; the server mends
itself and takes mail again; descriptors are given back; the parent is still there.
"""
# SPDX-License-Identifier: ISC
import argparse
import collections
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))

from faults import ERRORS, FOREVER, Board, Names  # noqa: E402
from sinks import Sink  # noqa: E402
from troika import Dialogue, Troika, wait_for  # noqa: E402

PATIENCE = 40  # seconds after which something is said to hang
LEGAL = {"greeting": {220, 421}, "EHLO": {250, 421}, "MAIL": {250, 421, 451, 452}, "RCPT": {250, 421, 451, 452},
         "DATA": {354, 421, 451, 452}, "dot": {250, 421, 451, 452}}
# glibc 2.36 crashes without memory for a name service; libevent exits when a byte cannot be read from the
# pipe in which its own signal handler has put it.
NOT_OURS = r"(parent|command) memory .*__nss|\w+ receive \w+ in \w+: libevent|parent receive \w+ while"
PERIOD = 1.5  # seconds for which all calls of a function fail, at most
DEATHS_MAX = 2  # of one role, before the server is started anew: each doubles its pause


class Broken(Exception):
    """A promise was."""


class Server(Troika):
    def configure(self, config):
        self.aliases = self.folder + "/aliases"
        self.write_aliases()
        base = self.base.replace("accounts = yes }", f'accounts = yes aliases = "{self.aliases}" }}')
        with open(self.config_file, "w") as f:
            f.write(base + config)

    def write_aliases(self):
        with open(self.aliases, "w") as f:
            f.write("team: alice, bob\n")
        os.chmod(self.aliases, 0o644)

    def command(self, *arguments):
        return ["setarch", "-R"] + super().command(*arguments)


class World:
    def __init__(self):
        self.sink = Sink(self.sink_answers)
        self.sink.__enter__()
        self.t = Server(config=f'route "far.test" {{ via = "127.0.0.1:{self.sink.port}" }}\nretry = {{ 1s }}\n', smtpd=1)
        self.t.configure(f'route "far.test" {{ via = "127.0.0.1:{self.sink.port}" }}\nretry = {{ 1s }}\nrelay = 1\n')
        self.board = Board(self.t.folder)
        for name in ("sendmail", "newaliases"):
            os.symlink(self.t.programs + "/troika", f"{self.t.folder}/{name}")
        self.expected, self.number, self.answers, self.unlawful = {}, 0, collections.Counter(), []
        self.lost_words, self.arrived, self.log_from, self.starts = False, {}, 0, 0

    def sink_answers(self, what, about):
        if what == "rcpt" and about.startswith("never"):
            return "550 5.1.1 no such user"
        return None

    # ---- the server ----

    def start(self, wait=True):
        self.t.environment = self.board.environment()
        self.starts += 1
        try:
            self.t.start()
        finally:
            self.t.environment = {}
        self.pids, self.deaths = self.t.workers(), self.log().count("event=worker-died")

    def stop(self):
        if self.t.process and self.t.process.poll() is None:
            self.t.stop()

    def log(self):
        return self.t.log()

    def died(self):
        """Names of roles with the number of their deaths since the server started."""
        since = self.log().rsplit("event=ready", 1)[-1]
        return collections.Counter(re.findall(r"event=worker-died worker=(\w+)", since))

    def alive(self):
        if self.t.process.poll() is not None:
            raise Broken(f"the parent ended with {self.t.process.returncode}")

    def descriptors(self):
        counts = {}
        for name, pid in self.t.workers().items():
            try:
                counts[name, pid] = len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                pass
        return counts

    # ---- mail ----

    def subject(self):
        self.number += 1
        return f"n{self.number}"

    def expect(self, subject, recipients, size):
        for one in recipients:
            self.expected[subject, one] = size

    def answer(self, step, code, words):
        self.answers[step, code] += 1
        if code == 0:
            self.lost_words = True
        elif code not in LEGAL[step]:
            self.unlawful.append(f"{step}: {code} {' '.join(words)}")
        elif code >= 400 and not re.match(r"4\.\d\.\d ", words[0] if words else ""):
            self.unlawful.append(f"{step}: {code} without a reason: {words}")
        return code

    def smtp(self, recipients, size=300):
        """True when it was answered 250."""
        subject = self.subject()
        body = b"Subject: %s\r\n\r\n" % subject.encode() + (b"x" * 76 + b"\r\n") * (size // 78) + b"the end\r\n"
        try:
            with Dialogue(self.t.port) as d:
                d.socket.settimeout(PATIENCE)
                steps = [("EHLO", "EHLO c.test"), ("MAIL", "MAIL FROM:<alice@example.test>")]
                steps += [("RCPT", f"RCPT TO:<{one}>") for one in recipients] + [("DATA", "DATA")]
                if self.answer("greeting", *d.reply()) != 220:
                    return False
                for step, line in steps:
                    if self.answer(step, *d.say(line)) not in (250, 354):
                        return False
                d.raw(body + b".\r\n")
                if self.answer("dot", *d.reply()) != 250:
                    return False
                self.expect(subject, recipients, len(body))
                d.say("QUIT")
                return True
        except TimeoutError:
            raise Broken("a client waited in vain") from None
        except OSError:
            self.lost_words = True
            return False

    def command(self, *arguments, fault=True, input="", name=None):
        """An exit code; a signal, silence in an error or no end are what must not be."""
        command = self.t.command(arguments[0])
        i = command.index(self.t.programs + "/troika")
        if name:
            command = command[:i] + [f"{self.t.folder}/{name}", *arguments]
        else:
            command = command[:i + 4] + list(arguments[1:])
        environment = {**os.environ, "TROIKA_CONF": self.t.config_file, **(self.board.environment(command=True) if fault else {})}
        try:
            done = subprocess.run(command, input=input, capture_output=True, text=True, env=environment, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"{arguments} waited in vain") from None
        if done.returncode < 0:
            self.unlawful.append(f"{name or 'troika'} {arguments}: signal {-done.returncode}")
        if done.returncode > 0 and not done.stderr.strip():
            self.unlawful.append(f"{name or 'troika'} {arguments}: exit {done.returncode} without a word")
        self.answers[name or arguments[0], done.returncode] += 1
        return done

    def sendmail(self, to, text=None):
        subject = self.subject()
        text = text or f"Subject: {subject}\n\nhello\nthe end\n"
        if self.command("-f", "alice@example.test", to, name="sendmail", input=text).returncode == 0:
            self.expect(subject, [to], 0)

    # ---- what arrived ----

    def look(self):
        for user in ("alice", "bob"):
            folder = self.t.mailbox(user) + "/new"
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                with open(f"{folder}/{name}", "rb") as f:
                    self.found(f"{user}@example.test", f.read())
                os.unlink(f"{folder}/{name}")
        taken, self.sink.messages[:] = list(self.sink.messages), []
        for _, recipients, content in taken:
            for one in recipients:
                self.found(one, content)

    def found(self, user, content):
        if b"multipart/report" in content:
            for failed in re.findall(rb"^Final-Recipient: rfc822; *(\S+)", content, re.M):
                subject = re.findall(rb"^Subject: (n\d+)\s*$", content, re.M)
                if not failed.startswith(b"never"):
                    raise Broken(f"{failed} was bounced")
                if subject:
                    self.arrived[subject[0].decode(), failed.decode()] = True
            return
        subject = re.search(rb"^Subject: (n\d+)\s*$", content, re.M)
        if not subject or not content.rstrip().endswith(b"the end"):
            raise Broken(f"a message of {len(content)} bytes for {user} is torn: {content[:300]!r} … {content[-60:]!r}")
        subject = subject.group(1).decode()
        size = self.expected.get((subject, user), 0)
        if size and len(content.replace(b"\r\n", b"\n")) < size * 76 // 78:
            raise Broken(f"{subject} for {user} has {len(content)} of {size} bytes")
        self.arrived[subject, user] = True

    def missing(self):
        self.look()
        wanted = set()
        for subject, to in self.expected:
            wanted |= {(subject, u) for u in (("alice@example.test", "bob@example.test") if to.startswith("team@") else (to,))}
        return wanted - set(self.arrived)

    def drain(self):
        """All that was accepted arrives, once the fault is over."""
        end, again = time.monotonic() + PATIENCE, time.monotonic() + 0.4
        while missing := self.missing():
            self.alive()
            if time.monotonic() > end:
                raise Broken(f"lost or stuck: {sorted(missing)}; the queue: {self.command('queue', 'ls', fault=False).stdout}")
            if time.monotonic() > again:
                self.command("queue", "retry", "all", fault=False)
                again = time.monotonic() + 0.5
            time.sleep(0.01)
        self.expected, self.arrived = {}, {}

    # ---- acts ----

    def act_small(self):
        self.smtp(["bob@example.test"])

    def act_far(self):
        self.smtp(["one@far.test"])

    def act_several(self):
        self.smtp(["bob@example.test", "alice@example.test", "two@far.test", "team@example.test"])

    def act_large(self):
        self.smtp(["bob@example.test", "one@far.test"], 200000)

    def act_bounce(self):
        self.smtp(["never@far.test", "bob@example.test"])

    def act_sendmail(self):
        self.sendmail("bob@example.test")

    def act_commands(self):
        self.command("queue", "hold", "all")
        self.smtp(["bob@example.test"])
        self.command("queue", "ls")
        self.command("queue", "release", "all")
        self.command("trace", "bob@example.test")
        self.command("explain", "bob@example.test")

    def act_newaliases(self):
        self.command("newaliases", name="newaliases")
        self.smtp(["team@example.test"])

    def act_reload(self):
        before = len(re.findall("event=reload", self.log()))
        self.t.process.send_signal(signal.SIGHUP)
        unlogged = time.monotonic() + 2  # the fault may be that its end could not be written to the log
        wait_for(lambda: len(re.findall("event=reload", self.log())) > before or (self.board.injected() and time.monotonic() > unlogged),
                 PATIENCE, "the end of a reload")
        self.smtp(["bob@example.test"])

    def restart(self, role):
        pids = {name: pid for name, pid in self.t.workers().items() if name.startswith(role + " ")}
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids.values()), what="a death")
        wait_for(lambda: len(self.log().rsplit(f"event=worker-died worker={role}", 1)[-1].split(f"event=started worker={role}")) > 1
                 or self.board.injected(), PATIENCE, f"another {role}")
        self.smtp(["bob@example.test", "one@far.test"])

    def act_smtpd(self):
        self.restart("smtpd")

    def act_router(self):
        self.restart("router")

    def act_queue(self):
        self.restart("queue")

    def act_relay(self):
        self.restart("relay")

    def act_local(self):
        self.restart("local")

    def act_history(self):
        self.restart("history")

    def act_start(self):
        """A message is left while the server is down; it may refuse to start, with a reason."""
        self.stop()
        self.sendmail("bob@example.test")
        try:
            self.start()
        except AssertionError:
            self.board.withdraw()
            if self.t.process.poll() is None:  # only its words could not be written
                self.t.wait_ready()
                self.pids = self.t.workers()
                return
            if self.t.process.returncode <= 0:
                raise Broken(f"a start ended with {self.t.process.returncode}") from None
            self.start()

    ACTS = ("small", "far", "several", "large", "bounce", "sendmail", "commands", "newaliases", "reload",
            "smtpd", "router", "queue", "relay", "local", "history", "start")

    def play(self, act):
        getattr(self, "act_" + self.ACTS[act])()


class Runner:
    def __init__(self, options):
        self.o, self.w, self.names = options, World(), Names()
        self.tried = self.hit = self.missed = 0
        self.silent, self.violations = [], []
        self.base = None

    def count(self):
        w = self.w
        w.start()
        for act in range(len(w.ACTS)):
            for _ in range(2):
                w.board.count(act)
                w.play(act)
                w.drain()
                self.wait_ready()
        w.board.count(None)
        for name, pid in w.t.workers().items():
            self.names.learn(name.split(" ")[0], pid)
        self.names.maps["child"] = self.names.maps["parent"]
        self.learn_command()
        sites = w.board.sites()
        table = collections.Counter((s.role, s.function) for s in sites)
        calls = collections.Counter()
        for s in sites:
            calls[s.role, s.function] += s.calls
        for role in sorted({r for r, _ in table}):
            print(f"  {role}: " + ", ".join(f"{f} {n} ({calls[role, f]} calls)" for (r, f), n in sorted(table.items()) if r == role))
        return sites

    def learn_command(self):
        """A sendmail that waits for its message."""
        command = ["setarch", "-R", f"{self.w.t.folder}/sendmail", "bob"]
        environment = {**os.environ, "TROIKA_CONF": self.w.t.config_file, **self.w.board.environment(command=True)}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as p:
            def reads_its_message():
                with open(f"/proc/{p.pid}/syscall") as f:
                    return f.read().startswith("0 0x0 ")  # read, of descriptor 0: all libraries are loaded
            wait_for(reads_its_message, what="a sendmail that reads its message")
            self.names.learn("command", p.pid)
            p.kill()

    def wait_ready(self):
        """All roles run, and mail is taken."""
        w = self.w
        wanted = set(w.pids)

        def ready():
            w.alive()
            now = set(w.t.workers())
            return now >= wanted and all(not x.startswith(("parent", "troika")) or x == "parent" for x in now)
        wait_for(ready, PATIENCE, f"all roles; there are {sorted(w.t.workers())}")

    def probe(self):
        w = self.w
        end = time.monotonic() + PATIENCE
        while not w.smtp(["bob@example.test", "one@far.test"]):
            w.alive()
            if time.monotonic() > end:
                raise Broken(f"no mail is taken any more: {w.answers}")
            time.sleep(0.02)

    def one(self, act, what, **order):
        """A fault and all that must be true afterwards."""
        w = self.w
        self.tried += 1
        w.answers.clear()
        w.unlawful.clear()
        w.lost_words, deaths = False, w.log().count("event=worker-died worker=smtpd")
        before, log_from, parent = w.descriptors(), len(w.log()), w.t.process.pid
        try:
            w.board.order(**order)
            over = threading.Timer(PERIOD, w.board.withdraw) if order.get("times") else None
            try:
                if over:
                    over.start()
                w.play(act)
            finally:
                if over:
                    over.cancel()
                injected = w.board.injected()
                w.board.withdraw()
            w.alive()
            codes = dict(w.answers)
            self.wait_ready()
            self.probe()
            w.drain()
            if w.lost_words and w.ACTS[act] not in ("smtpd", "start") and w.log().count("event=worker-died worker=smtpd") == deaths:
                raise Broken("a connection was cut without a word")
            if w.unlawful:
                raise Broken("; ".join(w.unlawful))
            if "event=bug" in w.log()[log_from:]:
                raise Broken(re.search("event=bug.*", w.log()[log_from:]).group())
            if w.t.process.pid == parent:
                self.descriptors_back(before)
        except (Broken, AssertionError) as e:
            self.violation(what, e, log_from)
            return
        self.hit += injected > 0
        self.missed += injected == 0
        news = [line for line in w.log()[log_from:].splitlines() if re.search(r"level=(warning|error)|event=deferred", line) or not line.startswith("time=")]
        if injected and not news and all(c in (0, 220, 250, 354) for _, c in codes):
            self.silent.append(what)
        if self.o.verbose:
            print(f"{what}: {injected} injected, {codes}\n" + "\n".join("      " + n[:220] for n in news[:6]), flush=True)
        if any(n > DEATHS_MAX for n in w.died().values()):
            self.restart()

    def descriptors_back(self, before):
        now = {}

        def back():
            now.update(self.w.descriptors())
            return all(now.get(who, 0) <= n + 4 for who, n in before.items())
        wait_for(back, 5, f"descriptors to be given back: {before} {now}")

    def restart(self):
        try:
            self.w.stop()
        except AssertionError as e:
            self.violation("stop", e, 0)
        self.w.t.kill()
        self.w.board.withdraw()
        self.w.start()

    def violation(self, what, error, log_from):
        self.violations.append(what)
        log = self.w.log()[log_from:] if log_from else self.w.log()[-3000:]
        print(f"VIOLATION {what}: {error}\n" + "\n".join("      " + x[:260] for x in log.splitlines()[-14:]), flush=True)
        self.w.expected, self.w.arrived = {}, {}
        self.w.sink.messages.clear()
        self.w.t.kill()
        self.w.board.withdraw()
        self.w.start()
        self.w.command("queue", "rm", "all", fault=False)

    def wanted(self, role, function):
        return (not self.o.role or role == self.o.role) and (not self.o.function or function in self.o.function.split(","))

    def sites(self, sites):
        """(act, what, order) for each site and errno; in an order by chance when not all can be tried."""
        rows = []
        for s in sites:
            act = (s.acts & -s.acts).bit_length() - 1
            for error in ERRORS[s.function] if self.wanted(s.role, s.function) else ():
                rows.append((act, f"{s.role} {s.function} {error} in {self.w.ACTS[act]}: {self.names.stack(s)}",
                             dict(error=error, site=s.key)))
        return [row for row in rows if not re.match(NOT_OURS, row[1])]

    def periods(self, sites):
        rows = []
        for role, function in sorted({(s.role, s.function) for s in sites}):
            acts = 0
            for s in sites:
                acts |= s.acts if (s.role, s.function) == (role, function) else 0
            act = (acts & -acts).bit_length() - 1
            for error in ERRORS[function] if self.wanted(role, function) else ():
                if self.w.ACTS[act] != "start":
                    rows.append((act, f"{role} {function} {error} while {self.w.ACTS[act]} lasts",
                                 dict(error=error, role=role, function=function, times=FOREVER)))
        return rows

    def run(self):
        began = time.monotonic()
        sites = self.count()
        rows = self.sites(sites) + self.periods(sites)
        total = len(rows)
        print(f"{len(sites)} sites, {len(rows)} faults to try; counted in {time.monotonic() - began:.0f} s", flush=True)
        if self.o.part:
            rows = [row for row in rows if zlib.crc32(row[1].encode()) % self.o.jobs == self.o.part - 1]
        if not self.o.all:
            random.Random(self.o.seed).shuffle(rows)
        counted = time.monotonic()
        for act, what, order in rows:
            if not self.o.all and time.monotonic() - counted > self.o.seconds:
                break
            self.one(act, what, **order)
            if len(self.violations) >= self.o.violations:
                break
        for one in self.silent if self.o.silent else ():
            print("silent:", one)
        print(f"{len(sites)} sites, {self.tried} of {total} faults tried: {self.hit} injected, {self.missed} not reached again, "
              f"{len(self.silent)} without consequence, {self.w.starts} starts, {len(self.violations)} violations, {time.monotonic() - began:.0f} s")
        return 1 if self.violations or not self.hit else 0


def parts(jobs):
    """The same by several processes; each counts for itself, because sites differ a little."""
    running = [subprocess.Popen([sys.executable, *sys.argv, f"--part={i + 1}"], stdout=subprocess.PIPE, text=True) for i in range(jobs)]
    try:
        outputs = [p.communicate()[0] for p in running]
    finally:
        for p in running:
            p.terminate()
    sums = [sum(n) for n in zip(*[[int(n) for n in re.findall(r"\d+", o.splitlines()[-1])] for o in outputs])]
    print("\n".join(outputs))
    if any(not re.search(r"\d+ violations", o.splitlines()[-1]) for o in outputs):
        return 1
    print(f"{sums[0] // jobs} sites, {sums[1]} of {sums[2] // jobs} faults tried: {sums[3]} injected, {sums[4]} not reached again, {sums[7]} violations")
    return int(any(p.returncode for p in running))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--all", action="store_true")
    p.add_argument("--seconds", type=float, default=35)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--role")
    p.add_argument("--function")
    p.add_argument("--jobs", type=int, default=1, help="so many servers at once, each for a part of the sites")
    p.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    p.add_argument("--violations", type=int, default=20)
    p.add_argument("--verbose", action="store_true")
    p.add_argument("--silent", action="store_true")
    options = p.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.jobs > 1 and not options.part:
        return parts(options.jobs)
    print(f"seed {options.seed}")
    runner = Runner(options)
    try:
        return runner.run()
    finally:
        runner.w.t.kill()
        shutil.rmtree(runner.w.t.folder, ignore_errors=True)


sys.exit(main())
