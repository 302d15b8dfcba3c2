"""What `./dev test` runs, in steps that can be named; the last line is "tests: N passed, N failed".

  ./dev test              everything CI runs
  ./dev test quick        unit tests, dialogs, fuzz corpora, tidy: under a minute, offline, unprivileged
  ./dev test NAME...      only these steps
"""
# SPDX-License-Identifier: ISC
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from xml.etree import ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
passed = failed = 0
failures = []


def count(step, good, bad, what=""):
    global passed, failed
    passed += good
    failed += bad
    if bad:
        failures.append(f"{step}: {what or bad}")


def run(command, log, **more):
    """Runs a command with its output in build/logs/LOG; returns (exit code, output). After 25 minutes it is ended."""
    os.makedirs("build/logs", exist_ok=True)
    path = f"build/logs/{log}.log"
    with open(path, "w") as out:
        try:
            code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=1500, **more).returncode
        except subprocess.TimeoutExpired:
            out.write("\nended: it ran for 25 minutes\n")
            code = 124
    with open(path, errors="replace") as text:
        return code, text.read()


def tail(output, lines=40):
    print("\n".join("    " + line for line in output.splitlines()[-lines:]), flush=True)


def build(folder, environment, *options):
    log = folder.replace("/", "-")
    if not os.path.exists(f"{folder}/build.ninja"):
        code, output = run(["meson", "setup", folder, "-Dwerror=true", *options], log + "-setup",
                           env={**os.environ, **environment})
        if code:
            tail(output)
            return False
    code, output = run(["ninja", "-C", folder], log + "-build")
    if code:
        tail(output)
    return code == 0


def meson_tests(step, folder, *options):
    """Unit tests and fuzz corpora of one build; every cmocka case counts."""
    environment = {**os.environ, "TROIKA_SOURCE": ROOT, "ASAN_OPTIONS": "detect_leaks=1",
                   "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    results = f"{folder}/meson-logs/testlog.json"
    if os.path.exists(results):
        os.unlink(results)
    code, output = run(["meson", "test", "-C", folder, "--no-rebuild", *options], f"{step}-tests", env=environment)
    if not os.path.exists(results):
        tail(output)
        return count(step, 0, 1, "meson test did not run")
    any_bad = 0
    with open(results) as log:
        for line in log:
            one = json.loads(line)
            good, bad = cases(one)
            any_bad += bad
            count(step, good, bad, one["name"])
            if bad:
                print(f"  FAILED {one['name']} ({one['result']})")
                tail(one.get("stdout", "") + one.get("stderr", ""))
    if code and not any_bad:
        tail(output)
        count(step, 0, 1, f"meson test ended with {code}")


def cases(one):
    """(passed, failed) of one program: its cmocka cases, or itself."""
    output = one.get("stdout", "") + one.get("stderr", "")
    good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+)", output))
    bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] .*?(\d+) test", output))
    if one["result"] in ("OK", "SKIP"):
        return good or int(one["result"] == "OK"), bad
    return good, bad or 1


def step_tidy():
    code, output = run([sys.executable, "tools/tidy.py"], "tidy")
    good = output.count("\nok ") + output.startswith("ok ")
    bad = output.count("\nFAILED ") + output.startswith("FAILED ")
    count("tidy", good, bad or (code != 0))
    if code:
        tail(output)


# Of binutils; half as long as the usual one for each of the test programs. The release build has the usual one.
LINKER = {"CC_LD": "gold"}


def step_unit():
    """The same sources under AddressSanitizer and UBSan."""
    if not build("build/asan", {"CC": "gcc", **LINKER}, "-Db_sanitize=address,undefined", "-Dbuildtype=debug", "-Doptimization=1"):
        return count("unit", 0, 1, "the build failed")
    meson_tests("unit", "build/asan", "--no-suite", "crash")


def step_clang():
    if not build("build/clang", {"CC": "clang", **LINKER}, "-Dbuildtype=release"):
        return count("clang", 0, 1, "the build failed")
    meson_tests("clang", "build/clang", "--suite", "unit")


def step_release():
    """The programs as users get them; their unit tests run with the jail closed."""
    code, output = run(["./dev", "build"], "release-programs")
    if code:
        tail(output)
    if code or not build("build/release", {}):
        return count("release", 0, 1, "the build failed")
    meson_tests("release", "build/release", "--suite", "unit")


def pytest(step, *arguments):
    """Counts come from pytest's own report, so a pytest that dies is a failure too."""
    report = f"build/logs/{step}.xml"
    if os.path.exists(report):
        os.unlink(report)
    code, output = run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfEs", "--timeout=180", "--durations=5",
                        f"--junitxml={report}", *arguments], step)
    total = bad = skipped = 0
    names = []
    if os.path.exists(report):
        suite = ElementTree.parse(report).getroot().find("testsuite")
        total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
        bad = int(suite.get("failures")) + int(suite.get("errors"))
        names = [failed_case(case) for case in suite.iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    count(step, max(total - bad - skipped, 0), bad or int(code != 0), "\n  ".join([f"{bad} failed, pytest ended with {code}", *names]))
    if code:
        tail(output, 120)
    for line in re.findall(r"^SKIPPED.*", output, flags=re.M):
        print("  " + line)


def failed_case(case):
    """One line that names a failed case and why: the last lines of a long log are all that some people get to see."""
    trouble = case.find("failure") if case.find("failure") is not None else case.find("error")
    return f"{case.get('classname')}::{case.get('name')}: {' '.join(trouble.get('message', '').split())[:600]}"


def step_e2e():
    """The built programs, driven by clients and servers that others wrote."""
    pytest("e2e", "-n", "3", "--dist", "loadfile", "tests/e2e")  # they wait more than they compute


def power_cuts():
    """Every disk that a power cut may leave (docs/design/0009-crash-model.md); first, that the test sees planted faults."""
    meson_tests("crash", "build/release", "--suite", "crash")
    states = os.environ.get("TROIKA_CRASH_STATES", "40000")
    code, output = run(["build/release/tests/crash/crash", states], "crash-states")
    count("crash", code == 0, code != 0, "power cuts")
    tail(output, 1 if code == 0 else 60)


def step_crash():
    """Power cuts on a recorded disk; kill -9 of every process at random moments under load."""
    power_cuts()
    pytest("crash", "tests/crash")


def step_faults():
    """Calls that fail, at every site: of the disk below queue, spool and mailbox; of the whole server."""
    for name, command in (("refuse", ["build/release/tests/crash/refuse", "100"]),
                          ("sites", [sys.executable, "tests/faults/run.py", "--seconds", "20", "--seed", "1"])):
        code, output = run(command, f"faults-{name}")
        print("  " + (output.splitlines() or [""])[-1])
        count("faults", code == 0, code != 0, f"build/logs/faults-{name}.log")


STEPS = {"tidy": step_tidy, "unit": step_unit, "clang": step_clang, "release": step_release, "e2e": step_e2e,
         "crash": step_crash, "faults": step_faults}
FULL = ["tidy", "unit", "release", "clang", "e2e", "crash", "faults"]
QUICK = ["tidy", "unit"]


def main(arguments):
    names = [a for a in arguments if not a.startswith("-")] or FULL
    names = QUICK if names == ["quick"] else names
    if any(name not in STEPS for name in names):
        print(__doc__, file=sys.stderr)
        return 64
    if {"e2e", "crash", "faults"} & set(names):
        names = (["release"] if "release" not in names else []) + names
    began = time.time()
    try:
        for number, name in enumerate(names, 1):
            run_step(name, f"[{number}/{len(names)}] {name}")
    except KeyboardInterrupt:
        count("interrupted", 0, 1)
    print(f"total time: {time.time() - began:.0f} s")
    for one in failures:
        print("FAILED " + one)
    print(f"tests: {passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def run_step(name, title):
    began, before = time.time(), (passed, failed)
    print(f"{title} …", flush=True)
    try:
        STEPS[name]()
    except Exception as error:  # the last line comes whatever happens
        traceback.print_exc()
        count(name, 0, 1, repr(error))
    print(f"{title}: {passed - before[0]} passed, {failed - before[1]} failed, {time.time() - began:.0f} s", flush=True)


os.chdir(ROOT)
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
