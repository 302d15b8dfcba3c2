"""Answers validated by libunbound: zones signed in the test, behind a trust anchor of their own."""
# SPDX-License-Identifier: ISC
import os
import tempfile

import pytest
from names import NameServer, sign
from sinks import Sink
from troika import Troika

RECORDS = "@ MX 10 mx\nmx A 127.0.1.1\n"


@pytest.fixture(scope="module")
def internet():
    """Each zone goes to the same server, if it can be believed."""
    good, good_ds = sign("good.example", RECORDS)
    forged, forged_ds = sign("forged.example", RECORDS)
    old, _ = sign("old.example", RECORDS)
    forged = forged.replace("127.0.1.1", "127.0.1.2")  # after it was signed
    _, other_ds = sign("old.example", RECORDS)  # the DS of a key that the zone does not have
    whole = {"good.example": good, "forged.example": forged, "old.example": old}
    with Sink(host="127.0.1.1") as mx, NameServer({"plain.example": RECORDS}, whole=whole) as names, \
            tempfile.NamedTemporaryFile("w", prefix="troika-anchor-") as anchor:
        anchor.write(good_ds + forged_ds + other_ds)
        anchor.flush()
        os.chmod(anchor.name, 0o644)
        with Troika(config="private-next-hops = yes\n", dns=f'{names.dns} smtp-port = {mx.port} trust-anchor = "{anchor.name}"') as t:
            yield t, mx


@pytest.mark.parametrize("domain", ["good.example", "plain.example"])
def test_what_is_signed_well_or_not_at_all_is_believed(internet, domain):
    t, mx = internet
    id = t.send(to=f"someone@{domain}")
    assert t.wait_event(id, "delivered")[0]["host"] == f"mx.{domain} (127.0.1.1:{mx.port})"


def test_a_signed_zone_denies_names_for_good(internet):
    t, _ = internet
    assert t.wait_event(t.send(to="x@none.good.example"), "bounced")[0]["status"] == "5.1.2"


@pytest.mark.parametrize("domain,about", [("forged.example", "mx.forged.example"), ("old.example", "MX")])
def test_what_is_signed_wrongly_is_no_answer_now(internet, domain, about):
    t, mx = internet
    before = mx.sessions
    event = t.wait_event(t.send(to=f"someone@{domain}"), "deferred")[0]
    assert event["status"] == "4.4.3" and about in event["detail"] and "validation failure" in event["detail"], event
    assert mx.sessions == before
    t.run("queue", "rm", event["msg"])
