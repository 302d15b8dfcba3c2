"""troika probe: what names say of a domain, with a real name server; no mail server is needed for it."""
# SPDX-License-Identifier: ISC
import pytest
from hosts import Hosts
from names import NameServer, sign
from probing import probe, run_probe

ZONE = """
good MX 10 mx.good
mx.good A 127.2.0.1
null MX 0 .
nullmixed MX 0 .
nullmixed MX 10 mx.good
nothing TXT "hello"
implicit A 127.2.0.1
mx.below A 127.2.0.1
alias MX 10 cname.alias
cname.alias CNAME mx.good
address MX 10 127.2.0.1.
gone MX 10 none.gone
gone MX 20 mx.good
many MX 10 mx.good
many MX 5 mx2.many
mx2.many A 127.2.0.2
"""
REVERSE = "1.0.2 PTR mx.good.test.\n2.0.2 PTR mx.good.test.\n"


@pytest.fixture(scope="module")
def internet():
    with NameServer({"test": ZONE, "127.in-addr.arpa": REVERSE}, broken=["broken.test"]) as names, Hosts() as hosts:
        for i in (1, 2):
            hosts.add(f"127.2.0.{i}", attempts=0)
        yield names, hosts


def look(internet, domain, *options):
    names, hosts = internet
    return probe(domain, "--allow-private", "--gentle", "--port", str(hosts.port), *options, names=names)


@pytest.mark.parametrize("domain,id,about,code", [
    ("none.test", "no-domain", "none.test", 68),
    ("null.test", "null-mx", "null.test", 1),
    ("nullmixed.test", "null-mx-mixed", "nullmixed.test", 69),
    ("nothing.test", "no-mail-host", "nothing.test", 69),
    ("implicit.test", "mx-implicit", "implicit.test", 1),
    ("alias.test", "mx-alias", "cname.alias.test", 1),
    ("address.test", "mx-is-address", "127.2.0.1", 69),
    ("gone.test", "mx-no-address", "none.gone.test", 69),
    ("x.broken.test", "dns-silent", "x.broken.test", 75),
])
def test_each_fault_of_names_is_found(internet, domain, id, about, code):
    found = look(internet, domain)
    assert [f["about"] for f in found.of(id)] == [about], found
    assert found.code == code, found


def test_a_good_domain_gets_no_such_finding(internet):
    found = look(internet, "good.test")
    assert found.of("mx-found")[0]["what"] == "mx.good.test"
    assert {"ptr-good", "ipv6-none", "dnssec-unchecked"} <= found.ids
    assert found.worse() == {"spf-none", "dmarc-none", "dkim-absent", "starttls-missing"}, found
    assert found.code == 1


def test_servers_come_by_preference(internet):
    found = look(internet, "many.test")
    assert found.of("mx-found")[0]["what"] == "mx2.many.test, mx.good.test"
    assert {s["address"] for s in found.facts["servers"]} == {"127.2.0.1", "127.2.0.2"}


def test_names_of_addresses_must_lead_back(internet):
    found = look(internet, "many.test")
    assert [f["about"] for f in found.of("ptr-mismatch")] == ["127.2.0.2"]


def test_private_addresses_are_told_and_not_tried(internet):
    names, hosts = internet
    found = probe("good.test", "--port", str(hosts.port), names=names)
    assert [(f["about"], f["what"]) for f in found.of("mx-private")] == [("mx.good.test", "127.2.0.1")]
    assert found.facts["servers"] == [] and found.code == 69


def test_the_name_of_a_server_is_known_by_having_no_mx(internet):
    found = look(internet, "mx.below.test")
    assert found.facts["kind"] == "host" and "spf-none" not in found.ids, found


def test_an_address_of_mail_stands_for_its_domain(internet):
    assert "null-mx" in look(internet, "somebody@null.test").ids


def test_letters_of_all_languages(internet):
    found = look(internet, "почта.test")
    assert found.ids == {"no-domain"} and found.facts["about"] == "почта.test"
    assert found.of("no-domain")[0]["about"] == "xn--80a1acny.test"


def test_nobody_answers_for_names():
    found = probe("example.org")
    assert found.ids == {"dns-silent"} and found.code == 75


# ---- DNSSEC ----

RECORDS = "@ MX 10 mx\nmx A 127.2.0.1\n"


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    good, good_ds = sign("good.example", RECORDS)
    forged, forged_ds = sign("forged.example", RECORDS)
    whole = {"good.example": good, "forged.example": forged.replace("MX\t10", "MX\t20").replace("127.2.0.1", "127.2.0.2")}
    anchor = tmp_path_factory.mktemp("anchor") / "keys"
    anchor.write_text(good_ds + forged_ds)
    with NameServer({"plain.example": RECORDS}, whole=whole) as names, Hosts() as hosts:
        hosts.add("127.2.0.1", attempts=0)
        yield names, hosts, str(anchor)


@pytest.mark.parametrize("domain,id", [("good.example", "dnssec-good"), ("plain.example", "dnssec-none"), ("forged.example", "dnssec-bogus")])
def test_signatures_are_checked(signed, domain, id):
    names, hosts, anchor = signed
    found = probe(domain, "--allow-private", "--gentle", "--port", str(hosts.port), "--trust-anchor", anchor, names=names)
    assert {i for i in found.ids if i.startswith("dnssec")} == {id}, found
    assert (found.code == 69) == (id == "dnssec-bogus")


# ---- what is typed ----

@pytest.mark.parametrize("arguments,code,words", [
    ([], 64, "a domain or a server"),
    (["a.test", "b.test"], 64, "a domain or a server"),
    (["exa mple.test"], 64, "neither a domain nor a server"),
    (["a..test"], 64, "neither a domain nor a server"),
    (["pop://a.test"], 64, "only SMTP can be probed"),
    (["a.test:99999"], 64, "port"),
    (["--port", "0", "a.test"], 64, "--port 0: a port is a number from 1 to 65535"),
    (["--timeout", "soon", "a.test"], 64, "--timeout soon: give seconds"),
    (["--timeout", "0", "a.test"], 64, "--timeout 0"),
    (["--selector", "a b", "a.test"], 64, "--selector a b"),
    (["--deliver", "x@a.test", "a.test"], 64, "--from ADDRESS"),
    (["--deliver", "x@b.test", "--from", "me@c.test", "a.test"], 64, "its domain is not a.test"),
    (["--deliver", "nonsense", "--from", "me@c.test", "a.test"], 64, "--deliver nonsense"),
    (["--from", "me@c.test", "a.test"], 64, "--deliver"),
    (["--resolver", "nobody", "a.test"], 64, "--resolver"),
    (["--roots", "/nonexistent", "a.test"], 66, "--roots /nonexistent: No such file"),
    (["--trust-anchor", "/nonexistent", "a.test"], 66, "--trust-anchor /nonexistent: No such file"),
    (["--to", "x@a.test", "a.test"], 64, "takes no --to"),
])
def test_wrong_input_is_told_what_would_be_right(arguments, code, words):
    result = run_probe(*arguments)
    assert result.returncode == code and words in result.stderr and not result.stdout, result
