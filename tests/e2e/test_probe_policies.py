"""troika probe: what a domain promises and publishes: DANE, MTA-STS, TLSRPT, SPF, DKIM, DMARC, all that is well at once."""
# SPDX-License-Identifier: ISC
import hashlib
import ssl

import pytest
from certificates import Authority
from hosts import Hosts
from names import NameServer, sign
from probing import PolicyServer, probe
from sinks import Sink

POLICY = "version: STSv1\r\nmode: {mode}\r\nmx: mx.good.example\r\nmax_age: 1209600\r\n"
ED25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def answers(what, about):
    """A server that knows bob and postmaster, and relays for nobody."""
    if what == "rcpt" and about not in ("bob@good.example", "postmaster@good.example"):
        return "550 5.1.1 not here"


@pytest.fixture(scope="module")
def ca():
    with Authority() as authority:
        yield authority


def sha256_of(pem):
    with open(pem.removesuffix(".pem") + ".crt") as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def look(ca, tmp_path, tlsa=None, mode="enforce", policy=None, mx="mx", records="", options=(), **server):
    """A signed zone, its mail server on 127.0.1.1 and its policy on 127.0.0.1."""
    certificate = ca.make("mx.good.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Sink(host="127.0.1.1", tls=context, answer=answers) as sink, \
            PolicyServer(ca.context("mta-sts.good.example"), policy or POLICY.format(mode=mode), **server) as web:
        zone, ds = sign("good.example", f"""@ MX 10 {mx}
mx A 127.0.1.1
_{sink.port}._tcp.mx TLSA 3 0 1 {tlsa or sha256_of(certificate)}
@ TXT "v=spf1 mx -all"
_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@good.example"
s1._domainkey TXT "{ED25519}"
_mta-sts TXT "v=STSv1; id=20261127"
_smtp._tls TXT "v=TLSRPTv1; rua=mailto:tls@good.example"
mta-sts A 127.0.0.1
{records}""")
        anchor = tmp_path / "anchor"
        anchor.write_text(ds)
        with NameServer({"127.in-addr.arpa": "1.1.0 PTR mx.good.example.\n"}, whole={"good.example": zone}) as names:
            return probe("good.example", "--allow-private", "--port", str(sink.port), "--https-port", str(web.port), "--roots", ca.roots,
                         "--trust-anchor", str(anchor), "--selector", "s1", *options, names=names)


def test_all_is_well(ca, tmp_path):
    found = look(ca, tmp_path)
    assert found.worse() == set() and found.code == 0, found
    assert {"dnssec-good", "mx-found", "ptr-good", "tls-good", "dane-good", "sts-good", "tlsrpt-good", "spf-good", "dkim-good", "dmarc-good",
            "relay-good"} <= found.ids


def test_a_record_of_another_certificate(ca, tmp_path):
    found = look(ca, tmp_path, tlsa="00" * 32)
    assert "dane-mismatch" in found.worse() and found.code == 69, found


@pytest.mark.parametrize("changed,id", [
    ({"mode": "testing"}, "sts-testing"),
    ({"policy": "version: STSv1\r\nmode: enforce\r\nmx: other.example\r\nmax_age: 1209600\r\n"}, "sts-mx-missing"),
    ({"policy": "<html>"}, "sts-policy-bad"),
    ({"status": 404}, "sts-unreachable"),
    ({"status": 302}, "sts-unreachable"),
    ({"type": "text/html"}, "sts-type"),
])
def test_faults_of_policies(ca, tmp_path, changed, id):
    found = look(ca, tmp_path, **changed)
    assert id in found.ids and "sts-good" not in found.ids - {"sts-type"} or id == "sts-type", found


def test_a_policy_behind_a_certificate_of_another_name(ca, tmp_path):
    with Authority() as other:
        real, ca_context = ca.context, other.context
        ca.context = ca_context
        try:
            found = look(ca, tmp_path)
        finally:
            ca.context = real
    assert "sts-unreachable" in found.ids, found


# ---- who may send ----

ZONE = "mx A 127.2.0.9\n" + "".join(f"{name} MX 10 mx\n{name} TXT \"{text}\"\n" for name, text in {
    "open": "v=spf1 +all", "slip": "v=spf1 ipv4:192.0.2.1 -all", "loop": "v=spf1 include:loop2.test -all", "loop2": "v=spf1 include:loop.test -all",
    "many": "v=spf1 " + " ".join(f"a:h{i}.test" for i in range(11)) + " -all", "void": "v=spf1 a:no1.test a:no2.test a:no3.test -all",
    "gone": "v=spf1 include:none.test -all", "redirect": "v=spf1 redirect=open.test", "soft": "v=spf1 mx", "ptr": "v=spf1 ptr -all",
    "fine": "v=spf1 include:ok.test exists:%{i}.x.test -all", "ok": "v=spf1 ip4:192.0.2.0/24 ~all"}.items()) + \
    "".join(f"h{i} A 192.0.2.{i}\n" for i in range(11)) + """
two MX 10 mx
two TXT "v=spf1 -all"
two TXT "v=spf1 mx -all"
_dmarc.open TXT "v=DMARC1; p=none; rua=mailto:x@collector.test"
collector MX 10 mx
_dmarc.slip TXT "v=DMARC1; p=none; rua=mailto:x@asked.test"
slip.test._report._dmarc.asked TXT "v=DMARC1"
_dmarc.two TXT "v=DMARC1; p=reject"
_dmarc.two TXT "v=DMARC1; p=none"
_dmarc.ptr TXT "v=DMARC1; p=drop"
short._domainkey.fine TXT "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
mail._domainkey.fine TXT "v=DKIM1; p="
sub.fine MX 10 mx
"""


@pytest.fixture(scope="module")
def internet():
    with NameServer({"test": ZONE}) as names, Hosts() as hosts:
        hosts.add("127.2.0.9", attempts=0)
        yield names, hosts


@pytest.mark.parametrize("domain,options,ids", [
    ("open.test", (), {"spf-all-pass", "dmarc-monitor", "dmarc-unasked"}),
    ("slip.test", (), {"spf-syntax", "dmarc-monitor"}),
    ("loop.test", (), {"spf-loop"}),
    ("many.test", (), {"spf-lookups"}),
    ("void.test", (), {"spf-voids"}),
    ("gone.test", (), {"spf-include-none"}),
    ("redirect.test", (), {"spf-all-pass"}),
    ("soft.test", (), {"spf-all-none"}),
    ("ptr.test", (), {"spf-ptr", "dmarc-bad"}),
    ("two.test", (), {"spf-many", "dmarc-many"}),
    ("fine.test", (), {"spf-good", "dkim-revoked"}),
    ("fine.test", ("--selector", "short"), {"dkim-short"}),
    ("fine.test", ("--selector", "none"), {"dkim-missing"}),
    ("soft.test", ("--selector", "s1", "--selector", "s2"), {"dkim-missing", "spf-all-none"}),
])
def test_each_fault_of_senders_is_found(internet, domain, options, ids):
    names, hosts = internet
    found = probe(domain, "--allow-private", "--gentle", "--port", str(hosts.port), *options, names=names)
    assert ids <= found.ids, found
    unexpected = {i for i in found.ids - ids if i.startswith(("spf-", "dkim-", "dmarc-"))} - {"spf-good", "spf-none", "dmarc-none", "dmarc-silent", "dkim-absent",
                                                                                           "dkim-none", "dmarc-monitor"}
    assert not unexpected, found
