"""docs/operating/probe.md shows what troika probe really says."""
# SPDX-License-Identifier: ISC
import re
import ssl

from certificates import Authority
from names import NameServer
from probing import run_probe
from sinks import Sink
from troika import ROOT

ZONE = """shop MX 10 mx.shop
mx.shop A 127.0.1.1
shop TXT "v=spf1 mx include:_spf.old.test -all"
_dmarc.shop TXT "v=DMARC1; p=none"
mail._domainkey.shop TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""


def answers(what, about):
    if what == "rcpt" and about != "postmaster@shop.test":
        return "550 5.1.1 unknown here"


def plain(text):
    """Without what is different each time, and without how it is laid out."""
    text = text.replace("127.0.1.1", "192.0.2.25").replace("shop.test", "shop.example").replace("old.test", "old.example")
    for pattern, to in ((r"192\.0\.2\.25:\d+", "192.0.2.25:25"), (r"\d{4}-\d\d-\d\d", "2026-12-17"), (r"\d+ ms", "3 ms"), (r"took [\d.]+ s", "took 0.4 s")):
        text = re.sub(pattern, to, text)
    said, _, names = text.partition("\nnames\n")  # asked at once, and further ones as answers come in
    return said.split(), sorted(one.split() for one in re.split(r"\n(?=\S)", names))


def shown():
    with Authority() as ca:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(ca.make("mx.shop.test"))
        with Sink(host="127.0.1.1", tls=context, answer=answers) as sink, \
                NameServer({"test": ZONE, "127.in-addr.arpa": "1.1.0 PTR mx.shop.test.\n"}) as names:
            return run_probe("shop.test", "--allow-private", "--port", str(sink.port), "--roots", ca.roots, "--resolver", f"127.0.0.1@{names.port}")


def test_the_page_shows_what_is_said():
    result = shown()
    with open(f"{ROOT}/docs/operating/probe.md") as f:
        page = f.read()
    (block,) = re.findall(r"^\$ troika probe shop\.example\n(.*?)^```", page, flags=re.M | re.S)
    assert plain(result.stdout) == plain(block), result.stdout
    assert result.returncode == 69
