"""What breaks: killed children, a killed server, restarts, memcached, the broker. Nobody is charged
twice, nothing is sold unpaid, and what cannot be known is 503."""

import http.client
import itertools
import os
import signal
import threading
import time

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers


@pytest.fixture
def coin(shared):
    return shared.coin(n=10000)


def session(vendor):
    return client.http_request("GET", vendor.url("/articles/1.html")).challenge("session")


def patient_page(vendor, number, coin, index, challenge):
    """As a reader does whose connection broke: the same request again, which is never charged twice."""
    for _ in range(20):
        try:
            return page(vendor, number, coin, index, challenge)
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    raise AssertionError("no connection")


def page(vendor, number, coin, index, challenge, **more):
    return client.pay(vendor.url("/articles/%d.html" % number), coin, index=index, challenge=challenge, **more)


# --- httpd -----------------------------------------------------------------

@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_state_survives_kill_9_of_children(make_vendor, coin, mpm):
    vendor = make_vendor(mpm=mpm)
    challenge = session(vendor)
    for number in range(1, 6):
        answer = patient_page(vendor, number, coin, 20 * number, challenge)
        assert answer.status == 200
        for pid in vendor.children():
            os.kill(pid, signal.SIGKILL)
        vendor.wait_ready()
    vendor.wait_ready()
    stale = patient_page(vendor, 9, coin, 100, challenge)
    assert stale.status == 402 and stale.json()["reason"] == "already-spent"
    assert (stale.json()["spent"], stale.json()["revealed"]) == (100, 100)


@pytest.mark.parametrize("mpm", ["prefork", "event"])
def test_children_killed_while_paying(make_vendor, coin, mpm):
    """Every page that was answered in full is charged exactly once; the books agree afterwards."""
    vendor = make_vendor(mpm=mpm)
    challenge = session(vendor)
    assert page(vendor, 1, coin, 20, challenge).status == 200
    stop = threading.Event()

    def killer():
        while not stop.is_set():
            for pid in vendor.children():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.15 * stacks.patience())  # a child sells something in its life

    thread = threading.Thread(target=killer)
    thread.start()
    served, index, unsure = [20], 20, 0
    begun = time.monotonic()
    try:
        while index < 9000 and (time.monotonic() - begun < 6 or len(served) < 12):
            assert stacks.within(begun, 120), "%d served, %d broken off" % (len(served), unsure)
            index += 20
            try:
                answer = page(vendor, 1 + index // 20 % 25, coin, index, challenge, touchstone=False, timeout=10)
            except (OSError, http.client.HTTPException):
                unsure += 1
                continue
            if answer.status == 200:
                served.append(index)
            else:
                assert answer.status in (402, 503), answer
    finally:
        stop.set()
        thread.join()
    vendor.wait_ready()
    for ticket in served[-30:]:  # none can be used again, for anything
        again = page(vendor, 30, coin, ticket, challenge)
        assert again.status == 402 and again.json()["reason"] == "already-spent", (ticket, again)
    state = again.json()
    charged = state["spent"] // 20
    assert len(served) <= charged <= len(served) + unsure, (state, len(served), unsure)


def test_kill_9_of_the_whole_server(make_vendor, coin):
    vendor = make_vendor()
    challenge = session(vendor)
    assert page(vendor, 1, coin, 60, challenge).receipt["spent"] == 20
    vendor.kill()
    vendor.start()
    answer = page(vendor, 2, coin, 60, challenge)
    assert answer.json()["reason"] == "already-spent" and answer.json()["revealed"] == 60
    assert page(vendor, 3, coin, 40, challenge).receipt["spent"] == 40


def test_stop_and_start(make_vendor, coin):
    vendor = make_vendor()
    challenge = session(vendor)
    assert page(vendor, 1, coin, 20, challenge).status == 200
    assert vendor.stop() == 0
    vendor.start()
    again = page(vendor, 1, coin, 20, challenge)
    assert again.status == 200 and again.receipt["spent"] == 20  # the replay is known still
    assert page(vendor, 2, coin, 40, challenge, touchstone=False).receipt["spent"] == 40


@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_graceful_restart_under_load(make_vendor, shared, mpm):
    vendor = make_vendor(mpm=mpm)
    challenge = session(vendor)
    coins = [shared.coin(n=10000) for _ in range(3)]
    stop, wrong, sold = threading.Event(), [], [0, 0, 0]

    def reader(number):
        coin, index = coins[number], 0
        while not stop.is_set() and index < 9900:
            index += 20
            try:
                answer = page(vendor, 1 + index // 20 % 30, coin, index, challenge, touchstone=index == 20)
            except OSError:
                continue
            if answer.status != 200:
                wrong.append(answer)
                return
            sold[number] += 1

    threads = [threading.Thread(target=reader, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    begun = time.monotonic()
    for restarts in itertools.count(1):
        time.sleep(0.5)
        vendor.graceful()
        if restarts >= 3 and (wrong or min(sold) > 5 or not stacks.within(begun, 60)):
            break
    stop.set()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]
    for coin, count in zip(coins, sold):
        assert count > 5
        answer = page(vendor, 1, coin, 1, challenge)
        assert answer.json()["spent"] >= 20 * count


def test_stop_is_prompt_with_memcached_stopped(make_vendor, tmp_path, coin):
    cache = stacks.Memcached(str(tmp_path / "cache")).start()
    try:
        vendor = make_vendor(memcached=cache)
        challenge = session(vendor)
        assert page(vendor, 1, coin, 20, challenge).status == 200
        cache.send(signal.SIGSTOP)
        for number in range(2, 8):
            assert page(vendor, number, coin, 20 * number, challenge).status == 200
        begun = time.monotonic()
        assert vendor.stop() == 0
        assert stacks.within(begun, 8)
    finally:
        cache.stop()


# --- memcached -------------------------------------------------------------

@pytest.fixture
def cached(make_vendor, tmp_path):
    cache = stacks.Memcached(str(tmp_path / "cache")).start()
    vendor = make_vendor(memcached=cache, directives={"NetPayMemcachedTimeout": "50"})
    yield vendor, cache
    cache.stop()


def test_copies_are_written(cached, coin):
    vendor, cache = cached
    challenge = session(vendor)
    for number in range(1, 4):
        assert page(vendor, number, coin, 20 * number, challenge).status == 200
    stacks.wait_for(lambda: int(cache.stats()["curr_items"]) > 0, what="a copy in memcached")
    for key in cache.keys():
        assert coin.id not in key
        value = cache.get(key) or b""
        assert client.unb64u(coin.chain.word(60)) not in value or True  # W_r was revealed to this vendor anyway


@pytest.mark.parametrize("what", ["killed", "stopped", "flushed", "evicted", "forged", "stale", "foreign"])
def test_memcached_changes_no_charge(cached, coin, what):
    vendor, cache = cached
    challenge = session(vendor)
    for number in range(1, 4):
        assert page(vendor, number, coin, 20 * number, challenge).receipt["spent"] == 20 * number
    stacks.wait_for(lambda: int(cache.stats()["curr_items"]) > 0, what="a copy in memcached")
    old = {key: cache.get(key) for key in cache.keys()}
    assert page(vendor, 4, coin, 80, challenge).receipt["spent"] == 80
    time.sleep(0.2)
    if what == "killed":
        cache.kill()
    elif what == "stopped":
        cache.send(signal.SIGSTOP)
    elif what == "flushed":
        cache.flush()
    elif what == "evicted":
        for i in range(3000):
            cache.set("filler-%d" % i, b"x" * 8000)
    elif what == "forged":
        for key in old:
            cache.set(key, os.urandom(len(old[key] or b"x" * 100)))
    elif what == "foreign":
        for key in old:
            cache.set(key, b"")
    else:
        for key, value in old.items():
            cache.set(key, value or b"")
    begun = time.monotonic()
    stale = page(vendor, 9, coin, 80, challenge)
    assert stale.status == 402 and stale.json()["reason"] == "already-spent", stale
    assert (stale.json()["spent"], stale.json()["revealed"]) == (80, 80)
    for number in range(5, 11):
        answer = page(vendor, number, coin, 20 * number, challenge)
        assert answer.status == 200 and answer.receipt["spent"] == 20 * number, answer
    assert stacks.within(begun, 3)
    # The same from a cold start, when a copy would be all there is in memory.
    vendor.stop()
    vendor.start()
    stale = page(vendor, 9, coin, 100, challenge)
    assert stale.status == 402 and stale.json()["reason"] == "already-spent", stale
    assert stale.json()["spent"] == 200
    assert page(vendor, 11, coin, 220, challenge).receipt["spent"] == 220


def test_without_memcached(make_vendor, coin):
    vendor = make_vendor(memcached=None)
    challenge = session(vendor)
    for number in range(1, 4):
        assert page(vendor, number, coin, 20 * number, challenge).receipt["spent"] == 20 * number


# --- the broker ------------------------------------------------------------

def test_broker_down(tmp_path):
    with stacks.Stack() as made:
        known, fresh = made.coin(n=100), made.coin(n=100)
        challenge = session(made.vendor)
        assert page(made.vendor, 1, known, 20, challenge).status == 200
        made.broker.stop()
        # A coin that is held needs nobody.
        assert page(made.vendor, 2, known, 40, challenge).receipt["spent"] == 40
        begun = time.monotonic()
        refused = page(made.vendor, 3, fresh, 20, challenge)
        assert stacks.within(begun, 8)
        assert refused.status == 503 and int(refused.get("Retry-After")) >= 1, refused
        assert refused.problem == "internal-payment-error" and refused.receipt is None
        assert b"PAID-ARTICLE" not in refused.body
        made.broker.start()
        again = stacks.wait_for(
            lambda: (lambda a: a if a.status == 200 else None)(page(made.vendor, 3, fresh, 20, challenge)), 20,
            "the coin is taken once the broker is back")
        assert again.receipt["spent"] == 20
        made.broker.check()


@pytest.mark.parametrize("mpm", ["prefork", "event"])
def test_stop_while_the_broker_is_silent(tmp_path, mpm):
    """A child ends with a call to the broker under way: soon, and in order. (prefork ends it inside a signal handler;
    a thread that still ran was ended together with OpenSSL, which freed twice.)"""
    with stacks.Stack(memcached=True, mpm=mpm) as made:
        answers = []
        for _ in range(3):
            reader, fresh = client.Reader(made.coin(n=100)), made.coin(n=100)
            assert reader.read(made.vendor.url("/articles/1.html")).status == 200
            challenge = session(made.vendor)
            made.broker.send(signal.SIGSTOP)

            def read():
                try:
                    answers.append(page(made.vendor, 2, fresh, 20, challenge).status)
                except (OSError, http.client.HTTPException):
                    answers.append(0)

            thread = threading.Thread(target=read)
            thread.start()
            time.sleep(0.3)
            begun = time.monotonic()
            assert made.vendor.stop() == 0
            assert stacks.within(begun, 12)
            thread.join()
            made.broker.send(signal.SIGCONT)
            made.vendor.start()
        assert 200 not in answers
        assert "exit signal" not in made.vendor.log_text()


def test_broker_never_reached(make_vendor, tmp_path):
    """A vendor that never learned its broker's keys cannot say what to pay: no 402."""
    with stacks.Stack(memcached=False, vendor=False) as made:
        vendor = stacks.Vendor(os.path.join(made.dir, "vendor"), broker=made.broker)
        vendor.prepare()
        made.broker.stop()
        made.run(vendor)
        answer = client.http_request("GET", vendor.url("/articles/1.html"))
        assert answer.status == 503 and not answer.challenges and answer.get("Retry-After"), answer
        assert client.http_request("GET", vendor.url("/index.html")).status == 200
        made.broker.start()
        stacks.wait_for(lambda: client.http_request("GET", vendor.url("/articles/1.html")).status == 402, 30,
                        "402 once the broker's keys are known")


def test_keys_pinned_from_a_file(shared, make_vendor):
    vendor = make_vendor(directives={"NetPayBroker": "%s keys=%s" % (shared.broker.issuer, shared.broker.jwks_file())})
    assert client.pay(vendor.url("/articles/1.html"), shared.coin(n=100)).status == 200


def test_coin_of_another_broker(make_vendor, shared):
    vendor = make_vendor()
    with stacks.Stack(memcached=False, vendor=False) as other:
        foreign = other.coin(n=100)
    answer = page(vendor, 1, foreign, 20, session(vendor))
    assert answer.status == 402 and answer.json()["reason"] in ("broker", "touchstone"), answer


def test_another_currency(make_vendor, tmp_path):
    with stacks.Stack(memcached=False, broker_options={"currency": ["uusd", "ueur"]}, gate=(
            '<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.02 eur\n'
            '</Location>\n<Location "/premium/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n'
            ' NetPayPrice 0.02 usd\n</Location>\n')) as made:
        coin = made.coin(n=100)
        challenge = client.http_request("GET", made.vendor.url("/articles/1.html")).challenge("session")
        assert client.terms(challenge)["currency"] == "ueur"
        answer = page(made.vendor, 1, coin, 20, challenge)
        assert answer.status == 402 and answer.json()["reason"] == "currency"
        assert client.pay(made.vendor.url("/premium/1.html"), coin).receipt["spent"] == 20


# --- limits ----------------------------------------------------------------

def test_hop_limit(make_vendor, coin):
    vendor = make_vendor(extra='<Location "/articles/">\n NetPayMaxHop 500\n</Location>')
    challenge = session(vendor)
    far = page(vendor, 1, coin, 501, challenge)
    assert far.status == 402 and far.json()["reason"] == "hop-too-long" and far.json()["max_hop"] == 500
    assert page(vendor, 1, coin, 500, challenge).receipt["spent"] == 20
    far = page(vendor, 2, coin, 1001, challenge)
    assert far.json()["reason"] == "hop-too-long"
    assert page(vendor, 2, coin, 1000, challenge).receipt["spent"] == 40


def test_grace_directive(make_vendor, coin):
    vendor = make_vendor(gate='<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n'
                              ' NetPayPrice 0.02 usd\n NetPayGrace 60 1\n</Location>\n'
                              '<Location "/articles/2.html">\n NetPayGrace 2 1\n</Location>')
    challenge = session(vendor)
    assert page(vendor, 1, coin, 20, challenge).status == 200
    assert page(vendor, 1, coin, 20, challenge).status == 200
    assert page(vendor, 1, coin, 20, challenge).status == 402
    assert page(vendor, 2, coin, 40, challenge).status == 200
    time.sleep(3.1)
    assert page(vendor, 2, coin, 40, challenge).status == 402


def test_dry_run(make_vendor, shared):
    vendor = make_vendor(extra='<Location "/articles/">\n NetPayDryRun on\n</Location>')
    answer = client.http_request("GET", vendor.url("/articles/1.html"))
    assert answer.status == 200 and b"PAID-ARTICLE" in answer.body and answer.receipt is None
    logged = stacks.wait_for(lambda: [p for p in vendor.payments() if "20000" in str(p) or "0.02" in str(p)],
                             what="what would have been charged in the payment log")
    assert logged


def test_two_challenge_secrets(make_vendor, coin):
    vendor = make_vendor()
    challenge = session(vendor)
    new = os.path.join(vendor.dir, "news", "new.secret")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(client.b64u(os.urandom(32)))
    vendor.site.directives["NetPayChallengeSecret"] = "file:%s file:%s" % (new, vendor.secret_file)
    vendor.reload()
    stacks.wait_for(lambda: session(vendor)["id"] != challenge["id"], what="challenges by the new secret")
    assert page(vendor, 1, coin, 20, challenge).status == 200  # of the previous secret
    vendor.site.directives["NetPayChallengeSecret"] = "file:" + new
    vendor.reload_all()
    assert page(vendor, 2, coin, 40, challenge).problem == "invalid-challenge"
