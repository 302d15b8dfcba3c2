"""`troika probe --listen` for tests: a next hop that judges, or misbehaves on order."""
# SPDX-License-Identifier: ISC
import json
import os
import shutil
import signal
import subprocess
import tempfile

from troika import programs, wait_for


class Listen:
    """with Listen("--lmtp") as s: s.port, s.events(), s.findings(), s.messages()

    tls=True: s.tls_port takes TLS from the first byte on. After the with: s.code, the exit code.
    """

    def __init__(self, *options, tls=False, misbehave=(), environment=None):
        self.options = ["--hostname", "sink.test", *options]
        for rule in [misbehave] if isinstance(misbehave, str) else misbehave:
            self.options += ["--misbehave", rule]
        if tls:
            self.options += ["--listen-tls", "127.0.0.1:0"]
        self.environment = environment or {}
        self.code, self.last = None, None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="troika-listen-")
        self.output = self.folder + "/output"
        with open(self.output, "wb") as output, open(self.folder + "/errors", "wb") as errors:
            self.process = subprocess.Popen([programs() + "/troika", "probe", "--listen=127.0.0.1:0", "--json", *self.options], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=errors, env={**os.environ, "LC_ALL": "C.UTF-8", **self.environment})
        try:
            wait_for(lambda: self.process.poll() is not None or self.events("ready"), what="the sink")
            assert self.process.poll() is None, self.errors()
        except AssertionError:
            self.__exit__()
            raise
        doors = {e["tls"]: int(e["address"].rsplit(":", 1)[1]) for e in self.events("listening")}
        self.port, self.tls_port = doors[False], doors.get(True)
        return self

    def errors(self):
        with open(self.folder + "/errors") as f:
            return f.read()

    def text(self):
        if self.last is not None:
            return self.last
        with open(self.output) as f:
            return f.read()

    def events(self, name=None):
        whole = [line for line in self.text().splitlines(True) if line.endswith("\n")]
        return [e for e in map(json.loads, whole) if name in (None, e["event"])]

    def messages(self, accepted=True):
        return [e for e in self.events("message") if e["accepted"] is accepted]

    def findings(self, severity=None):
        """Their ids, each once, in the order in which they came; severity "bad": without notes."""
        found = {}
        for e in self.events("finding"):
            if severity is None or e["severity"] == severity or (severity == "bad" and e["severity"] != "note"):
                found[e["id"]] = e
        return list(found)

    def finding(self, name):
        return next((e for e in self.events("finding") if e["id"] == name), None)

    def wait(self, event, count=1, seconds=20):
        try:
            return wait_for(lambda: (e := self.events(event)) and len(e) >= count and e, seconds, f"{count} event(s) {event}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + self.text()[-3000:]) from None

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.code = self.process.wait(20)
        return self.code

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.process.kill()
            self.process.wait()
            self.last = self.text()
            shutil.rmtree(self.folder, ignore_errors=True)
