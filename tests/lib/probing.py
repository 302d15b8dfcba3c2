"""troika probe as tests run it: what it found, as JSON."""
# SPDX-License-Identifier: ISC
import functools
import http.server
import json
import os
import subprocess
import threading

from troika import programs

ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


class Found:
    """What was found: code (of the exit), ids, of(id): the texts, facts: all of it."""

    def __init__(self, code, facts):
        self.code, self.facts = code, facts
        self.ids = {f["id"] for f in facts["findings"]}

    def of(self, id):
        return [f for f in self.facts["findings"] if f["id"] == id]

    def worse(self):
        """Ids of everything that is neither fine nor a mere note."""
        return {f["id"] for f in self.facts["findings"] if f["severity"] not in ("fine", "note")}

    def __repr__(self):
        return f"exit {self.code}: " + "; ".join(f"{f['severity']} {f['text']}" for f in self.facts["findings"])


def run_probe(*arguments, environment={}, timeout=120, **more):
    return subprocess.run([programs() + "/troika", "probe", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout,
                          env={**ENVIRONMENT, **environment}, **more)


def probe(subject, *options, names=None):
    """names: a NameServer."""
    resolver = ["--resolver", f"127.0.0.1@{names.port}"] if names else ["--resolver", "127.0.0.1@1"]
    result = run_probe("--json", *resolver, *options, subject)
    assert result.stdout, f"exit {result.returncode}: {result.stderr}"
    found = Found(result.returncode, json.loads(result.stdout))
    assert found.facts["code"] == result.returncode
    return found


class PolicyServer:
    """An HTTPS server of MTA-STS policies: with PolicyServer(ca.context("mta-sts.x.test"), policy) as s: s.port"""

    def __init__(self, context, policy, type="text/plain", status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                good = self.path == "/.well-known/mta-sts.txt"
                self.send_response(status if good else 404)
                self.send_header("Content-Type", type)
                self.end_headers()
                self.wfile.write(policy.encode() if good else b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=functools.partial(self.server.serve_forever, 0.05), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()
