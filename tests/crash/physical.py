"""The physical crash test: power cuts on a real ext4, in User Mode Linux (docs/design/0009-crash-model.md).

  physical.py [--states N] [--first WRITES] [--seconds S] [--seed N] [--liar ROLE]

Troika works S seconds on a disk that dm-log-writes records, with every promise as a mark in the record; then about N of
the disks that a power cut may have left are mounted and held against the promises. --first: all of them among the first
WRITES. --liar: the syncs of this role do nothing, and it is an error if that is not found in five tries, each with the next
seed, or if something else breaks than what that role writes. Neither root nor a network is needed; nothing of the host is mounted.
"""
# SPDX-License-Identifier: ISC
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIAR_TRIES = 5
# What breaks when such a role lies. Anything else is a fault of its own.
BREAKS = {"queue": "", "local": r": (mail/|new/\S+ is not|\S+ to \S+@example\.test is lost)", "sendmail": r": (drop/|d\d+ to \S+ is lost)"}
ROOT = os.path.dirname(os.path.dirname(HERE))
DISK_BYTES, LOG_BYTES = 512 << 20, 8 << 30  # sparse files
MEMORY = "768M"


def folder():
    """In memory where there is room: ext4 on a disk on a file is slow enough."""
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and shutil.disk_usage(memory).free > 4 << 30
    path = tempfile.mkdtemp(prefix="troika-physical-", dir=memory if roomy else ROOT + "/build")
    os.chmod(path, 0o755)  # the server's user in there reads it, too
    return path


class Machine:
    """One run of User Mode Linux: guest.py with this task."""

    def __init__(self, work, name, **environment):
        self.log = f"{work}/{name}.log"
        command = ["linux.uml", f"mem={MEMORY}", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con0=null,fd:1", "con=null",
                   f"uml_dir={work}/{name}", f"ubd0={work}/disk", f"ubd1={work}/log", f"init={HERE}/guest.py",
                   f"TREE={ROOT}", f"WORK={work}"] + [f"{key}={value}" for key, value in environment.items()]
        os.mkdir(f"{work}/{name}")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            env={**os.environ, "TMPDIR": os.path.dirname(work)})

    def lines(self):
        with open(self.log, errors="replace") as log:
            return log.read().splitlines()

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def wait(machines, seconds):
    """Until all have ended; tells now and then how far they are. True: all did what they should."""
    end, told = time.monotonic() + seconds, time.monotonic()
    try:
        while any(m.process.poll() is None for m in machines) and time.monotonic() < end:
            time.sleep(0.1)
            if time.monotonic() > told + 60:
                told = time.monotonic()
                for m in machines:
                    print(([line for line in m.lines() if line.startswith(("part", "record"))] or ["it works"])[-1], flush=True)
    finally:
        for m in machines:
            m.end()
    return all("guest: done" in m.lines() for m in machines)


def prepare(work):
    for name, size in (("base", DISK_BYTES), ("log", LOG_BYTES)):
        with open(f"{work}/{name}", "wb") as f:
            f.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", f"{work}/base"],
                   check=True, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    subprocess.run(["cp", "--sparse=always", f"{work}/base", f"{work}/disk"], check=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", f"{work}/no_sync.so", f"{ROOT}/tests/lib/no_sync.c"], check=True)


def try_disks(work, states, first, seconds, seed, liar):
    """(states tried, promises checked, violations): lines of text in the last."""
    record = Machine(work, "record", TASK="record", SECONDS=seconds, SEED=seed, LIAR=liar or "")
    if not wait([record], seconds * 10 + 120):
        return 0, 0, ["the recording did not end well"] + record.lines()[-20:]
    print("\n".join(line for line in record.lines() if line.startswith("record:")), flush=True)
    parts = min(os.cpu_count() or 1, 8)
    machines = [Machine(work, f"replay-{part}", TASK="replay", CHECK=f"{states},{first},{part},{parts},{seed}") for part in range(parts)]
    good = wait(machines, states * 2 + 300)
    lines = [line for m in machines for line in m.lines()]
    violations = [line for line in lines if line.startswith("VIOLATION")]
    if not violations and not (good and lines.count("replay: ended with 0") == parts):
        violations = ["a checker did not end well"] + lines[-40:]
    tried = promises = 0
    for m in machines:
        ends = re.findall(r"^part \d+: (\d+) states tried, (\d+) promises checked", "\n".join(m.lines()), re.M)
        tried += int(ends[-1][0]) if ends else 0
        promises += int(ends[-1][1]) if ends else 0
    return tried, promises, violations


def run(states, first, seconds, seed, liar=None):
    """True: nothing was found where nothing was planted, and something where it was; None: nothing there, this time."""
    work = folder()
    try:
        prepare(work)
        tried, promises, violations = try_disks(work, states, first, seconds, seed, liar)
        kept = ""
        found = [line for line in violations if liar and re.search(BREAKS.get(liar, ""), line)]
        if found:
            print("found as it should be: " + found[0])
        good = len(found) == len(violations) and tried > 0
        if not good:
            print("\n".join(violations))
            kept = f"{ROOT}/build/physical-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            subprocess.run(["cp", "-r", "--sparse=always", work, kept])
            kept = f"; disks and logs are in {kept}"
        print(f"physical: seed {seed}, {tried} states tried, {promises} acknowledged messages checked, "
              f"{len(violations)} violations{f' (planted: {liar} does not sync)' if liar else ''}{kept}", flush=True)
        return None if good and liar and not found else good
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=400)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--liar", choices=BREAKS)
    a = parser.parse_args()
    for i in range(LIAR_TRIES if a.liar else 1):  # a few hundred disks show a planted fault in every second run
        good = run(a.states, a.first, a.seconds, a.seed + i, a.liar)
        if good is not None:
            break
    sys.exit(0 if good else 1)
