"""What `./dev soak [HOURS]` runs: searches by chance, always with new seeds, until the time is over (1 hour unless said);
each at least once.

Each search tells how far it is and, at the end, what it did in all; the seed that found something is printed with it.
"""
# SPDX-License-Identifier: ISC
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUND_SECONDS = 3600  # of all searches; longer soaks are several rounds
HOURS_MAX = 1000
TELL_SECONDS = 60


class Search:
    """Runs commands until its time is over or one fails, and adds up the numbers that they print."""

    def __init__(self, name, share, commands, numbers):
        self.name, self.share, self.commands, self.numbers = name, share, commands, numbers
        self.totals, self.runs, self.failed = dict.fromkeys(numbers, 0), 0, 0
        self.seed = int(time.time()) // 10 * 10

    def run(self, seconds):
        """At least one round of its commands, each with its own seed."""
        end = time.monotonic() + seconds
        while not self.failed:
            for command, environment in self.commands(max(int(end - time.monotonic()), 1), self.seed):
                self.one(command, environment)
            self.seed += 1
            print(f"{self.name}: {self}", flush=True)
            if time.monotonic() >= end:
                break

    def one(self, command, environment):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                   errors="replace", env={**os.environ, **environment})
        output, told = [], time.monotonic()
        for line in process.stdout:
            output.append(line)
            if time.monotonic() > told + TELL_SECONDS:
                told = time.monotonic()
                print(f"{self.name}: … {line.strip()}", flush=True)
        process.wait()
        self.runs += 1
        for number, pattern in self.numbers.items():
            self.totals[number] += sum(int(n) for n in re.findall(pattern, "".join(output), re.M))
        if process.returncode:
            self.failed += 1
            print(f"{self.name} FAILED: {environment} {' '.join(command)} ended with {process.returncode}")
            print("".join("    " + line for line in output[-60:]), end="", flush=True)

    def __str__(self):
        return f"{self.runs} runs, " + ", ".join(f"{n} {what}" for what, n in self.totals.items()) + f", {self.failed} failed"


def recorded(seconds, seed):
    """At the last the seed counts stories, of which a run has some dozens."""
    yield ["build/release/tests/crash/crash", str(min(100000, 200 * seconds)), str(seed * 1000)], {}


def physical(seconds, seed):
    """First, and now and then again, that the test sees faults that are planted; then what is to be proved."""
    program = [sys.executable, "tests/crash/physical.py"]
    if seed % 10 == 0:
        for liar in ("queue", "local", "sendmail"):
            yield program + ["--states", "300", "--seed", str(seed), "--liar", liar], {}
    yield program + ["--states", str(min(1000, 2 * seconds + 20)), "--seed", str(seed)], {}


def fuzzers(seconds, seed):
    names = [name[5:-2] for name in os.listdir("tests/fuzz") if name.startswith("fuzz_") and name.endswith(".c")]
    yield ["./dev", "fuzz", "all", str(min(max(seconds // len(names), 5), 600))], {}


def kills(seconds, seed):
    yield ([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s", "tests/crash/test_kill.py"],
           {"TROIKA_KILL_ROUNDS": "30", "TROIKA_SEED": str(seed)})


def faults(seconds, seed):
    """Calls that fail: of the disk below the spool and the mailboxes, then of the whole server."""
    yield ["build/release/tests/crash/refuse", str(min(10000, seconds)), str(seed)], {}
    yield [sys.executable, "tests/faults/run.py", "--seconds", str(seconds // 2 + 20), "--seed", str(seed)], {}


def searches():
    return [
        Search("power cuts on a recorded disk", 0.25, recorded,
               {"states tried": r"^(\d+) states tried.*\n(?!\d+ states)", "acknowledged messages checked": r"(\d+) acknowledged messages checked.*\n(?!\d+ states)"}),
        Search("power cuts on a real ext4", 0.25, physical,
               {"states tried": r"^physical: .* (\d+) states tried", "acknowledged messages checked": r"^physical: .* (\d+) acknowledged"}),
        Search("fuzzers", 0.2, fuzzers, {"inputs": r"number_of_executed_units: (\d+)"}),
        Search("calls that fail", 0.15, faults,
               {"calls of the disk refused": r"^(\d+) refused calls", "faults injected": r"faults tried: (\d+) injected"}),
        Search("kill -9", 0.15, kills, {"deaths": r"rounds (\d+)", "messages acknowledged": r"accepted (\d+)", "twice": r"duplicates (\d+)"}),
    ]


def build():
    for command in (["./dev", "build"], ["ninja", "-C", "build/release"],
                    ["meson", "test", "-C", "build/release", "--no-rebuild", "--suite", "crash", "--print-errorlogs"]):
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            print("\n".join((result.stdout + result.stderr).splitlines()[-40:]))
            return False
    return True


def main(arguments):
    hours = arguments[0] if arguments else "1"
    if len(arguments) > 1 or not re.fullmatch(r"\d{1,3}(\.\d+)?|\.\d+", hours) or not 0 < float(hours) < HOURS_MAX:
        print("usage: ./dev soak [HOURS]", file=sys.stderr)
        return 64
    began = time.monotonic()
    if not build():
        print("soak: the build, or the test of the crash test, failed")
        return 1
    everything, end = searches(), time.monotonic() + float(hours) * 3600
    try:
        while time.monotonic() < end and not all(one.failed for one in everything):
            round_seconds = min(end - time.monotonic(), ROUND_SECONDS)
            for one in everything:
                one.run(one.share * round_seconds)
    except KeyboardInterrupt:
        print("interrupted")
    print(f"soak: {(time.monotonic() - began) / 3600:.2f} hours")
    for one in everything:
        print(f"  {one.name}: {one}")
    failed = sum(one.failed for one in everything)
    print("soak: nothing was found" if not failed else f"soak: {failed} FAILED")
    return 1 if failed else 0


os.chdir(ROOT)
sys.exit(main(sys.argv[1:]))
