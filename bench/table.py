#!/usr/bin/env python3
"""table.py FIGURES.csv: the last run's figures as Markdown, each against what we want of it.
A line of the file is workload,peer,variant,value; several lines of one kind give their median."""
# SPDX-License-Identifier: ISC
import csv
import datetime
import os
import platform
import statistics
import subprocess
import sys


def read(path):
    figures = {}
    with open(path, encoding="utf-8") as file:
        for row in csv.reader(file):
            workload, peer, variant, value = row[0], row[1], row[2], ",".join(row[3:])
            figures.setdefault((workload, variant), {}).setdefault(peer, []).append(value)
    return figures


def number(values):
    """The median, or None when a run gave no figure."""
    try:
        return statistics.median(float(v.split()[0]) for v in values)
    except (ValueError, IndexError):
        return None


def show(value):
    return "-" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def of(peer):
    return lambda row: row.get(peer)


def fastest(row):
    others = [v for p, v in row.items() if p not in ("troika", "ceiling") and v is not None]
    return max(others, default=None)


# workload, variant, what it is, then what is wanted of troika's figure: (at least | at most, factor, of whom)
WANTED = [
    ("w1", "reused", "W1 held, 4 KB, 100 sessions, reused: messages/s", [(">=", 6, "postfix"), (">=", 3, "fastest"), (">=", 0.6, "ceiling")]),
    ("w1", "single", "W1 held, 4 KB, one connection a message: messages/s", [(">=", 3, "postfix"), (">=", 0.6, "ceiling")]),
    ("w2-4k", "e2e", "W2 relayed, 4 KB: messages/s", [(">=", 5, "postfix")]),
    ("w2-4k", "cpu", "W7 of it: CPU s per 1,000", [("<=", 1 / 6, "postfix")]),
    ("w2-100k", "e2e", "W2 relayed, 100 KB: messages/s", [(">=", 2.5, "postfix"), (">=", 0.45, "ceiling")]),
    ("w2-5m", "e2e", "W2 relayed, 5 MB: messages/s", [(">=", 0.9, "postfix")]),
    ("w2-5m", "cpu", "W7 of it: CPU s per 1,000", [("<=", 0.5, "postfix")]),
    ("w3", "e2e", "W3 into Maildirs: messages/s", [(">=", 3, "postfix")]),
    ("w4-5000", "pss_mib", "W4 5,000 idle sessions: MiB", [("<=", 60, "")]),
    ("w5", "p50_ms", "W5 dot to 250, 200/s: p50 ms", [("<=", 0.7, "postfix")]),
    ("w5", "p99_ms", "W5 dot to 250, 200/s: p99 ms", [("<=", 0.7, "postfix")]),
    ("tls", "mail", "W1 over TLS, 4 KB, 100 sessions, reused: messages/s", [(">=", 3, "postfix")]),
    ("tls", "new", "TLS: handshakes/s, each on a new connection", [(">=", 3, "postfix")]),
    ("tls", "new-cpu", "CPU s of the server per 1,000 of them", [("<=", 1 / 3, "postfix")]),
    ("tls", "new-load-cpu", "CPU s of the load per 1,000 of them", []),
    ("tls", "again", "TLS: handshakes/s, sessions gone on with", []),
    ("tls", "idle-10000-mib", "10,000 idle TLS sessions: MiB", [("<=", 400, "")]),
    ("slow-w1-100", "reused", "W1, every sync 8 ms slower, 100 sessions: messages/s", [(">=", 3, "postfix")]),
    ("slow-w1-500", "reused", "W1, every sync 8 ms slower, 500 sessions: messages/s", [(">=", 4, "postfix")]),
    ("slow-w2-4k", "e2e", "W2, every sync 8 ms slower: messages/s", []),
    ("slow-w5", "p50_ms", "W5, every sync 8 ms slower: p50 ms", []),
    ("slow-w5", "p99_ms", "W5, every sync 8 ms slower: p99 ms", []),
]
for backlog in (100000, 1000000):
    words = f"W6 backlog of {backlog:,}: "
    WANTED += [
        (f"w6-{backlog}", "start_s", words + "start to first 220, s", [("<=", 1, "")]),
        (f"w6-{backlog}", "w1_reused", words + "W1 reused, messages/s", [(">=", 0.9, "empty")]),
        (f"w6-{backlog}", "pss_after_mib", words + "MiB of all processes", [("<=", 200, "")]),
        (f"w6-{backlog}", "list_rows_per_s", words + "`queue ls`, rows/s", [(">=", 300000, "")]),
        (f"w6-{backlog}", "delay_ms", words + "delay of mail for a living destination, ms", [("<=", 50, "")]),
    ]


def bound(wish, row):
    """The figure that troika's must reach, or None when it was not measured."""
    _, factor, whose = wish
    if not whose:
        return factor
    base = fastest(row) if whose == "fastest" else row.get(whose)
    return None if base is None else factor * base


def verdict(wish, row):
    sign, factor, whose = wish
    limit, ours = bound(wish, row), row.get("troika")
    words = f"{sign} {factor:.3g}" + (f" × {whose}" if whose else "")
    if limit is None or ours is None:
        return f"{words}: not measured"
    reached = ours >= limit if sign == ">=" else ours <= limit
    ratio = f" (is {ours / (limit / factor):.2f})" if whose and limit else ""
    return f"{words}{ratio}: {'reached' if reached else '**not reached**'}"


def version(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return "unknown"


def peer_version(peer):
    package = {"postfix": "postfix", "opensmtpd": "opensmtpd", "exim": "exim4-daemon-heavy"}.get(peer)
    root = os.environ.get("BENCH_WORK", "/var/tmp/mtabench") + "/roots/" + peer
    return version(["chroot", root, "dpkg-query", "-W", "-f", "${Version}", package]) if package else ""


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((l.split(":")[1].strip() for l in file if l.startswith("model name")), "unknown processor")


def heading(figures):
    peers = sorted({p for row in figures.values() for p in row} - {"troika", "ceiling"})
    print("# Figures of the last whole run of `./dev bench`\n")
    print(f"{datetime.date.today()}, {os.cpu_count()} × {processor()}, Linux {platform.release()}. "
          f"Troika {version(['git', 'describe', '--always', '--dirty'])}; "
          + ", ".join(f"{p} {peer_version(p)}" for p in peers) + ".\n")
    print("Medians; load generator, sink and server share the machine, so ratios count, not rates. The ceiling is the load "
          "generator straight into the sink. Every server syncs what it accepts, except OpenSMTPD; Troika's jail is closed.\n")


def main():
    figures = read(sys.argv[1])
    peers = ["troika", "postfix", "opensmtpd", "exim", "ceiling"]
    heading(figures)
    print("| workload | " + " | ".join(peers) + " | wanted |\n|---|" + "---|" * (len(peers) + 1))
    shown = set()
    for workload, variant, words, wishes in WANTED:
        if (workload, variant) not in figures:
            continue
        shown.add((workload, variant))
        row = {p: number(v) for p, v in figures[workload, variant].items()}
        row["empty"] = number(figures.get((workload, "w1_empty"), {}).get("troika", []))  # the same queue before it was filled
        cells = [show(row.get(p)) for p in peers]
        print(f"| {words} | " + " | ".join(cells) + " | " + "; ".join(verdict(w, row) for w in wishes) + " |")
    rest = [(k, v) for k, v in figures.items() if k not in shown]
    print("\nEverything else that was counted:\n")
    for (workload, variant), row in rest:
        print(f"- {workload} {variant}: " + "; ".join(f"{p} {', '.join(v)}" for p, v in row.items()))


if __name__ == "__main__":
    main()
