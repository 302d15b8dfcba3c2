"""Rules of the tree that matter are checked here; each prints "ok RULE" or "FAILED RULE" and why.

Run by ./dev tidy and as a part of ./dev test.
"""
# SPDX-License-Identifier: ISC
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(pattern):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *pattern.split()],
                         capture_output=True, text=True, check=True).stdout
    return [f for f in out.splitlines() if os.path.exists(f)]


def text(path):
    with open(path, errors="replace") as f:
        return f.read()


def layers():
    """src/LAYERS as {folder: folders it may include}."""
    rows = {}
    for line in text("src/LAYERS").splitlines():
        words = line.split("#")[0].split()
        if words:
            rows[words[0]] = set(w for w in words[1:] if w != "-") | {words[0]}
    return rows


def folder_of(path, rows):
    """The row that a file belongs to: that of its folder, or of the nearest folder above."""
    return max((f for f in rows if path.startswith(f"src/{f}/")), key=len, default=None)


def check_layers():
    rows = layers()
    for path in files("src/*.c src/*.h src/*.def"):
        folder = folder_of(path, rows)
        if folder is None:
            yield f"{path}: no row in src/LAYERS for its folder"
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"(.*)/[^/]+"', line)
            if found and folder_of(f"src/{found.group(1)}/", rows) not in rows[folder]:
                yield f"{path}:{number}: {folder} may not include {found.group(1)} (src/LAYERS)"
            if re.match(r'\s*#\s*include\s+"[^/]+"', line):
                yield f'{path}:{number}: write the folder too: #include "{folder}/…"'
    for folder in rows:
        if not os.path.exists(f"src/{folder}/meson.build"):
            yield f"src/LAYERS: there is no src/{folder}"


BANNED = {
    "strcpy": "memcpy with a known size", "strcat": "a struct buf", "sprintf": "buf_printf", "vsprintf": "buf_printf",
    "atoi": "str_u64", "atol": "str_u64", "strtol": "str_u64", "strtoul": "str_u64", "strtok": "str_cut",
    "gethostbyname": "src/dns", "gethostbyaddr": "src/dns", "localtime": "time_print", "gmtime": "time_print",
    "system": "posix_spawn", "rand": "getrandom", "random": "getrandom", "gets": "read", "alloca": "an arena",
    "strncpy": "memcpy with a known size",
}


def check_banned():
    pattern = re.compile(r"(?<![\w.>\"])(" + "|".join(BANNED) + r")\s*\(")
    for path in files("src/*.c src/*.h"):
        source = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text(path), flags=re.S)
        for number, line in enumerate(source.splitlines(), 1):
            found = pattern.search(re.sub(r'"(\\.|[^"\\])*"', '""', line.split("//")[0]))
            if found:
                yield f"{path}:{number}: {found.group(1)}() is banned; use {BANNED[found.group(1)]}"


def check_exit():
    """Only programs end the process, not libraries."""
    for path in files("src/*.c"):
        if "/daemon/" in path or "/cli/" in path or "/outward/" in path or path.endswith(("_test.c", "_bench.c")) or path in ("src/ipc/worker.c", "src/base/check.c", "src/config/child.c"):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"(?<![\w])exit\s*\(", line.split("//")[0]) and not line.strip().startswith("*") and "/*" not in line:
                yield f"{path}:{number}: a library does not exit"


def check_named():
    """Every source is built, every header belongs to a source."""
    for path in files("src/*.c"):
        folder, name = os.path.split(path)
        build = text(f"{folder}/meson.build") if os.path.exists(f"{folder}/meson.build") else ""
        named = f"'{name}'" in build or (name.endswith("_test.c") and re.search(rf"['/]{name[:-7]}'", build))
        if not named and not re.search(rf"cc .*{name}", text(path)):
            yield f"{path}: not named in {folder}/meson.build"
        if name.endswith("_test.c") and "cmocka" not in text(path):
            yield f"{path}: a unit test uses cmocka"
    for path in files("src/*.h"):
        if not path.endswith(("_macros.h",)) and "#pragma once" not in text(path):
            yield f"{path}: no #pragma once"


def check_fuzzed():
    """Every fuzzer has seeds and says what it links."""
    for path in files("tests/fuzz/fuzz_*.c"):
        name = os.path.basename(path)[5:-2]
        if "// links:" not in text(path):
            yield f"{path}: no line \"// links: FOLDER…\""
        if not files(f"tests/fuzz/corpus/{name}/*"):
            yield f"tests/fuzz/corpus/{name}: no seeds"


def check_words():
    """No unfinished work, no owner-less reminders; SPDX in every source."""
    for path in files("src/*.c src/*.h tests/*.c tests/*.py tools/*.py"):
        body = text(path)
        if "SPDX-License-Identifier: ISC" not in body:
            yield f"{path}: no SPDX line"
        if path == "tools/tidy.py":
            continue
        for number, line in enumerate(body.splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                yield f"{path}:{number}: unfinished: {line.strip()}"
            if re.search(r"RFC ?\d", line) and not re.search(r"RFC \d{3,4}", line):
                yield f"{path}:{number}: write RFC references as RFC 5321 4.5.2"


def check_format():
    sources = [f for f in files("src/*.c src/*.h tests/*.c") if "_macros" not in f]
    out = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources], capture_output=True, text=True)
    for path in sorted(set(re.findall(r"^(\S+?):\d+:\d+: error: code should be clang-formatted", out.stderr, flags=re.M))):
        yield f"{path}: not formatted; ./dev format"


def check_docs():
    """Paths, commands and functions named in documents exist."""
    functions = set(re.findall(r"\b([a-z_0-9]+)\s*\(", "\n".join(text(f) for f in files("src/*.c src/*.h"))))
    commands = set(re.findall(r"^cmd_(\w+)\(\)", text("dev"), flags=re.M))
    for path in files("*.md"):
        body = text(path)
        for span in re.findall(r"`([^`\n]+)`", body):
            found = re.fullmatch(r"((?:src|docs|tests|tools|conf|man|packaging|bench)/[\w./-]+?)(?::([\w]+)(?:\(\))?)?", span)
            if found:
                place = found.group(1).rstrip("/")
                if not os.path.exists(place):
                    yield f"{path}: `{span}`: there is no {place}"
                elif found.group(2) and not found.group(2).isdigit() and found.group(2) not in functions:
                    yield f"{path}: `{span}`: no function {found.group(2)}"
            called = re.fullmatch(r"([a-z][a-z_0-9]+)\(\)", span)
            if called and called.group(1) not in functions:
                yield f"{path}: no function {called.group(1)}()"
            for command in re.findall(r"\./dev (\w+)", span):
                if command not in commands:
                    yield f"{path}: ./dev has no command {command}"
        for target in re.findall(r"\]\(([^)#:]+)\)", body):
            if not os.path.exists(os.path.join(os.path.dirname(path), target)):
                yield f"{path}: link to {target}, which is not there"


def check_replies():
    """Every reply of the table can be given; docs/replies.md has them all."""
    source = "\n".join(text(f) for f in files("src/*.c src/*.h") if not f.endswith("_test.c"))
    page = text("docs/replies.md") if os.path.exists("docs/replies.md") else ""
    for name, code in re.findall(r'^REPLY\((\w+),\s*(\d+)', text("src/mail/replies.def"), flags=re.M):
        if not re.search(rf"\bREPLY_{name}\b", source):
            yield f"src/mail/replies.def: nobody says {name}"
        if code not in page:
            yield f"docs/replies.md: {code} is missing; ./dev docs"


def check_manual():
    """Every subcommand is in troika(1); man pages are well-formed."""
    if not os.path.exists("man/troika.1"):
        yield "man/troika.1 is missing"
        return
    page = text("man/troika.1")
    for name in re.findall(r'^COMMAND\(\w+, (\w+),', text("src/cli/commands.def"), flags=re.M):
        if not re.search(rf"\b{name}\b", page):
            yield f"man/troika.1: says nothing of `troika {name}`"
    for path in files("man/*.[1-8]"):
        out = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
        for line in out.stdout.splitlines()[:5]:
            yield line


RULES = [check_layers, check_banned, check_exit, check_named, check_fuzzed, check_words, check_format, check_docs, check_replies, check_manual]


def main():
    bad = 0
    for rule in RULES:
        problems = list(rule())
        bad += bool(problems)
        print(("FAILED " if problems else "ok ") + rule.__name__[6:])
        for problem in problems[:40]:
            print("  " + problem)
    return 1 if bad else 0


os.chdir(ROOT)
sys.exit(main())
