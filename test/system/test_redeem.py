"""From the till to the vendor's credit: netpay-redeem and the broker's redemption call."""

import gzip
import json
import os
import signal
import subprocess
import time

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers


def vendor_row(broker, origin):
    rows = [json.loads(line) for line in broker.admin("vendor", "list", "--json").splitlines() if line]
    return [r for r in rows if r["origin"] == origin][0]


def credit(broker, origin):
    """All that the vendor has at the broker, pending and payable, in micro-units."""
    def total(value):
        if isinstance(value, dict):
            return sum(total(v) for v in value.values())
        return int(value)
    row = vendor_row(broker, origin)
    return sum(total(row[k]) for k in ("pending", "payable") if k in row)


def sell(vendor, coin, pages):
    challenge = client.http_request("GET", vendor.url("/articles/1.html")).challenge("session")
    for i in range(pages):
        answer = client.pay(vendor.url("/articles/%d.html" % (1 + i % 30)), coin, index=coin.spent + 20,
                            challenge=challenge)
        assert answer.status == 200, answer


def test_redeem_twice_is_credited_once(make_vendor, shared):
    vendor = make_vendor()
    first, second = shared.coin(n=1000), shared.coin(n=1000)
    sell(vendor, first, 3)
    sell(vendor, second, 2)
    assert credit(shared.broker, vendor.origin) == 0
    status, summary, _ = vendor.redeem()
    assert status == 0 and isinstance(summary, dict), summary
    assert credit(shared.broker, vendor.origin) == 100000
    assert vendor.redeem()[0] == 0
    assert credit(shared.broker, vendor.origin) == 100000
    shared.broker.check()
    sell(vendor, first, 1)  # the till goes on while and after redeeming
    assert vendor.redeem()[0] == 0
    assert credit(shared.broker, vendor.origin) == 120000
    shared.broker.check()


def test_replays_and_surplus_are_not_claimed(make_vendor, shared):
    vendor = make_vendor()
    coin = shared.coin(n=1000)
    challenge = client.http_request("GET", vendor.url("/articles/1.html")).challenge("session")
    for _ in range(3):
        assert client.pay(vendor.url("/articles/1.html"), coin, index=500, challenge=challenge).status == 200
    assert vendor.redeem()[0] == 0
    assert credit(shared.broker, vendor.origin) == 20000
    shared.broker.check()


def test_redeem_killed_anywhere(make_vendor, shared):
    """kill -9 after a growing time, again and again; at the end everything is credited once."""
    vendor = make_vendor()
    coins = [shared.coin(n=1000) for _ in range(3)]
    total = 0
    for round_ in range(8):
        for coin in coins:
            sell(vendor, coin, 1)
            total += 20000
        child = subprocess.Popen([stacks.redeem_program(), "--till", vendor.till, "--key", vendor.key_file],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.005 * (round_ + 1))
        child.send_signal(signal.SIGKILL)
        child.wait()
    status, _, said = vendor.redeem()
    assert status == 0, said
    assert vendor.redeem()[0] == 0
    assert credit(shared.broker, vendor.origin) == total
    shared.broker.check()


def test_broker_down_while_redeeming(tmp_path):
    with stacks.Stack(memcached=False) as made:
        coin = made.coin(n=1000)
        sell(made.vendor, coin, 2)
        made.broker.stop()
        status, _, said = made.vendor.redeem(check=False)
        assert status != 0 and said.strip()
        made.broker.start()
        assert made.vendor.redeem()[0] == 0
        assert credit(made.broker, made.vendor.origin) == 40000
        made.broker.check()


def test_broker_killed_while_redeeming(tmp_path):
    with stacks.Stack(memcached=False) as made:
        coins = [made.coin(n=1000) for _ in range(4)]
        total = 0
        for round_ in range(5):
            for coin in coins:
                sell(made.vendor, coin, 1)
                total += 20000
            child = subprocess.Popen([stacks.redeem_program(), "--till", made.vendor.till, "--key",
                                      made.vendor.key_file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.006 * (round_ + 1))
            made.broker.kill()
            child.wait(60)
            made.broker.start()
        assert made.vendor.redeem()[0] == 0
        assert credit(made.broker, made.vendor.origin) == total
        made.broker.check()


@pytest.mark.parametrize("arguments, expected", [
    (["--till", "/nonexistent", "--key", "{key}"], "/nonexistent"),
    (["--till", "{till}", "--key", "/nonexistent.pem"], "/nonexistent.pem"),
    (["--till", "{till}", "--key", "{page}"], "key"),
    (["--till"], "till"),
    (["--colour", "red"], "colour"),
    ([], "till")])
def test_wrong_arguments(stack, arguments, expected):
    v = stack.vendor
    made = [a.format(till=v.till, key=v.key_file, page=os.path.join(v.docroot, "index.html")) for a in arguments]
    done = subprocess.run([stacks.redeem_program(), *made], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=30)
    assert done.returncode != 0 and expected in done.stderr, done


def test_another_directory_is_no_till(stack, tmp_path):
    v = stack.vendor
    other = tmp_path / "typo"
    other.mkdir()
    done = subprocess.run([stacks.redeem_program(), "--till", str(other), "--key", v.key_file, "--vendor", v.origin,
                           "--broker", v.broker.issuer], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=30)
    assert done.returncode == 2 and "not a till" in done.stderr, done
    assert os.listdir(other) == []


# --- the broker's side, by hand -------------------------------------------

@pytest.fixture(scope="module")
def seller(stack):
    """The vendor's own signed calls, and a coin it holds with 100 units spent."""
    coin = stack.coin(n=1000)
    sell(stack.vendor, coin, 5)
    return stack.vendor.caller(), coin


def reasons(answer):
    assert answer.status == 200, answer
    return [(r["line"], r["reason"]) for r in answer.json()["rejected"]]


def receipt(stack, answer):
    token = answer.json()["receipt"]
    kid = json.loads(client.unb64u(token.split(".")[0]))["kid"]
    return client.verify(token, "netpay-redeemed+jwt", stack.broker.api().keys()[kid])


def test_every_claim_is_judged_alone(stack, seller):
    caller, coin = seller
    other = stack.coin(n=100)  # nobody holds it
    stranger = client.Coin(client.Chain(50), "")
    good = client.claim(coin, 0, 20)
    lines = [good, client.claim(coin, 10, 30), client.claim(stranger, 0, 5), dict(client.claim(coin, 20, 40),
             payword=client.b64u(b"x" * 32)), client.claim(coin, 60, 60), dict(client.claim(coin, 20, 40), to=2000),
             client.claim(other, 0, 10), {"coin": coin.id}, client.claim(coin, 20, 40)]
    answer = caller.redeem(lines)
    got = dict(reasons(answer))
    offset = min(got) - 2  # whether lines count from one or from zero
    expected = {2: "overlap", 3: "unknown-coin", 4: "forged", 5: "range", 6: "range", 7: "not-held", 8: "malformed"}
    assert {line - offset: reason for line, reason in got.items()} == expected
    assert offset == 0
    made = receipt(stack, answer)
    assert made["accepted"] == 2 and made["rejected"] == 7
    assert made["credited"] == {"uusd": 40000}
    stack.broker.check()


def test_same_batch_same_answer(stack, seller):
    caller, coin = seller
    before = credit(stack.broker, stack.vendor.origin)
    first = caller.redeem([client.claim(coin, 40, 60)], batch="twice")
    second = caller.redeem([client.claim(coin, 40, 60)], batch="twice")
    assert first.status == second.status == 200 and first.body == second.body
    assert credit(stack.broker, stack.vendor.origin) - before == 20000
    third = caller.redeem([client.claim(coin, 60, 80)], batch="twice")
    assert third.status == 409
    assert credit(stack.broker, stack.vendor.origin) - before == 20000


def test_digest_must_fit(stack, seller):
    caller, coin = seller
    before = credit(stack.broker, stack.vendor.origin)
    answer = caller.redeem([client.claim(coin, 80, 100)], digest="sha-256=:%s:" % ("A" * 43 + "="))
    assert answer.status == 400
    assert credit(stack.broker, stack.vendor.origin) == before


@pytest.mark.parametrize("change, status", [
    ("wrong key", (401, 403)), ("no header", (400, 401)), ("nonsense header", (400, 401)), ("another aud", (400, 401, 403)),
    ("gzip", (400, 415)), ("wrong type", (400, 415))])
def test_bad_batches(stack, seller, change, status):
    caller, coin = seller
    body = client.jcs(client.claim(coin, 80, 100)) + b"\n"
    headers = {}
    if change == "wrong key":
        caller = client.VendorCaller(caller.origin, client.Key(), caller.broker)
    if change == "another aud":
        caller = client.VendorCaller(caller.origin, caller.key, stack.broker.api())
        caller.broker.issuer = "https://elsewhere.example"
    if change == "no header":
        answer = caller.broker.raw("POST", caller.broker.api + "/redemptions", body,
                                   headers={"Content-Type": "application/x-ndjson"})
    elif change == "nonsense header":
        answer = caller.broker.raw("POST", caller.broker.api + "/redemptions", body,
                                   headers={"Content-Type": "application/x-ndjson", "NetPay-Batch": "x.y.z"})
    else:
        if change == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        if change == "wrong type":
            headers["Content-Type"] = "text/plain"
        answer = caller.redeem(body, headers=headers)
    assert answer.status in status, answer
    assert "problem+json" in answer.get("Content-Type")
    stack.broker.check()


def test_media_type_in_any_case(stack, seller):
    caller, _ = seller
    answer = caller.redeem(b"", headers={"Content-Type": "Application/X-NDJSON ; charset=utf-8"})
    assert answer.status == 200, answer


def test_hundred_forged_claims_end_the_batch(stack, seller):
    caller, coin = seller
    forged = [dict(client.claim(coin, 80, 81 + i % 10), payword=client.b64u(os.urandom(32))) for i in range(150)]
    answer = caller.redeem(forged + [client.claim(coin, 80, 100)])
    assert answer.status == 200, answer
    assert receipt(stack, answer)["accepted"] == 0
    assert len([1 for _, reason in reasons(answer) if reason == "forged"]) >= 100
    stack.broker.check()
