"""Coins travel between real servers: custody by hand-over, alone and under every disturbance.

What must hold each time: a unit is sold by one vendor, every vendor redeems what it sold, the customer
is charged once for what she got, and the coin has one holder in the end."""

import http.client
import json
import os
import random
import signal
import threading
import time

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers

PRICE = 20  # units of a page under /articles/
BROKEN = (OSError, http.client.HTTPException)

SLOW = """#!/bin/sh
touch "$(dirname "$0")/under-way"
sleep "${QUERY_STRING:-1}"
echo "Content-Type: text/plain"
echo
echo "SLOW-PAID"
"""


def started(count, broker_options=None, **options):
    """A stack of so many vendors, each of which has all the others in its copy of the broker's list."""
    made = stacks.Stack(memcached="each", vendors=count, start=False, broker_options=broker_options, **options)
    for vendor in made.vendors:
        vendor.prepare()
    for vendor in made.vendors:
        made.run(vendor)
    for vendor in made.vendors:
        stacks.wait_for(lambda v=vendor: gauge(v, "netpay_vendors_known") >= count, 20, "the list of vendors")
    return made


@pytest.fixture(scope="module")
def three():
    with started(3) as made:
        yield made


def gauge(vendor, name):
    return vendor.metrics().get('%s{vendor="%s"}' % (name, vendor.origin), -1)


def total(vendor, name):
    return sum(v for k, v in vendor.metrics().items() if k.startswith(name))


def calls(broker, route):
    """How often the broker was asked for that, by its log, which is written after the answer."""
    seen = -1
    while True:
        now = sum(1 for line in broker.log_text().splitlines() if '"route":"/api/v1/%s"' % route in line)
        if now == seen:
            return now
        seen = now
        time.sleep(0.2)


def reported(vendors, seconds=60):
    """Waits until the broker knows of every hand-over."""
    for vendor in vendors:
        stacks.wait_for(lambda v=vendor: gauge(v, "netpay_unreported") == 0, seconds, "%s has reported" % vendor.origin)


class Books:
    """What each vendor was owed before, so that a test sees what it earned."""

    def __init__(self, made, vendors=None):
        self.made, self.vendors = made, vendors or made.vendors
        self.before = {}
        reported(self.vendors)
        for vendor in self.vendors:
            vendor.redeem()  # what an earlier test sold
            self.before[vendor.origin] = vendor.credit()

    def earned(self):
        """Units each vendor was credited, after all have reported and redeemed; the ledger holds."""
        reported(self.vendors)
        units = {}
        for vendor in self.vendors:
            status, summary, said = vendor.redeem(check=False)
            assert status == 0 and summary["rejected"] == 0, (summary, said)
            units[vendor.origin] = (vendor.credit() - self.before[vendor.origin]) // 1000
        self.made.broker.check()
        return [units[v.origin] for v in self.vendors]


def page(vendor, number):
    return vendor.url("/articles/%d.html" % (1 + number % 30))


# --- the way ---------------------------------------------------------------

def test_round_trip(three):
    """A, B, C, A with one coin: each page charged once, each vendor credited what it sold."""
    books, reader = Books(three), client.Reader(three.coin(n=1000))
    spent = 0
    for number, vendor in enumerate(three.vendors + three.vendors[:1]):
        for k in range(3):
            answer = reader.read(page(vendor, 3 * number + k), tries=50)
            spent += PRICE
            assert answer.status == 200 and answer.receipt["spent"] == spent, answer
    assert books.earned() == [120, 60, 60]


def test_no_broker_call_where_the_list_is_at_hand(three):
    a, b, c = three.vendors
    reader = client.Reader(three.coin(n=1000))
    assert reader.read(page(a, 1)).status == 200
    before = calls(three.broker, "custody/acquire"), total(b, 'netpay_takeovers_total{way="direct"'), \
        total(c, 'netpay_takeovers_total{way="direct"')
    for vendor in (b, c):
        answer = reader.read(page(vendor, 1), tries=50)
        assert answer.status == 200, answer
    assert (calls(three.broker, "custody/acquire"), total(b, 'netpay_takeovers_total{way="direct"'),
            total(c, 'netpay_takeovers_total{way="direct"')) == (before[0], before[1] + 1, before[2] + 1)


def test_by_the_broker_where_nobody_is_named(three):
    """A wallet that does not say where it was: one call to the broker, one to the holder."""
    books, reader = Books(three), client.Reader(three.coin(n=1000), tell=False)
    before = calls(three.broker, "custody/acquire"), total(three.vendors[1], 'netpay_takeovers_total{way="broker"')
    for vendor in three.vendors[:2]:
        assert reader.read(page(vendor, 1), tries=50).status == 200
    assert calls(three.broker, "custody/acquire") == before[0] + 2
    assert total(three.vendors[1], 'netpay_takeovers_total{way="broker"') == before[1] + 1
    assert books.earned() == [20, 20, 0]


@pytest.mark.parametrize("holder, held", [("http://127.0.0.1:9", 20), ("https://nobody.example", 20), ("nonsense", 1),
                                          ("c", 20), ("a", 10 ** 6), ("b", 20)])
def test_a_wrong_hint_costs_nothing(three, holder, held):
    """The customer names a stranger, nobody, a vendor that never had the coin, or an index she never showed."""
    a, b, c = three.vendors
    books, reader = Books(three), client.Reader(three.coin(n=1000), tell=False)
    assert reader.read(page(a, 1)).status == 200
    holder = {"a": a.origin, "b": b.origin, "c": c.origin}.get(holder, holder)
    answer = reader.read(page(b, 1), tries=50, holder=holder, held=held)
    if answer.status == 402:  # a hint that cannot be read is told to the wallet
        assert answer.problem == "invalid-payload", answer
        answer = reader.read(page(b, 1), tries=50)
    assert answer.status == 200, answer
    assert books.earned() == [20, 20, 0]


def test_what_was_revealed_and_not_spent_is_carried(three):
    """A hundred units shown at A, twenty spent there: the eighty are hers at B and C."""
    a, b, c = three.vendors
    books, reader = Books(three), client.Reader(three.coin(n=1000))
    first = reader.read(page(a, 1), index=100).receipt
    assert (first["spent"], first["revealed"]) == (20, 100)
    second = reader.read(page(b, 1), index=100, tries=50).receipt
    assert (second["spent"], second["revealed"]) == (40, 100)
    for index, spent in ((60, 60), (80, 80)):  # payable without showing anything new
        third = reader.read(page(c, index), index=index, tries=50)
        assert third.status == 200 and third.receipt["spent"] == spent, third
    assert books.earned() == [20, 20, 40]


def test_replay_at_the_vendor_left(three):
    """The credential of a page sold at A, shown again there when the coin is at B: no unit more is sold."""
    a, b, _ = three.vendors
    books, reader = Books(three), client.Reader(three.coin(n=1000))
    assert reader.read(page(a, 1), index=20).status == 200
    assert reader.read(page(b, 2), index=40, tries=50).status == 200
    again = reader.read(page(a, 3), index=20)
    assert again.status in (402, 503), again
    assert again.status != 402 or again.json()["reason"] in ("already-spent", "lease-over"), again
    assert books.earned() == [20, 20, 0]


def test_many_rounds(three):
    """Thirty changes of vendor in any order; the coin is always where it was last read."""
    books, reader = Books(three), client.Reader(three.coin(n=10000))
    order = random.Random(7)
    sold = {v.origin: 0 for v in three.vendors}
    for number in range(30):
        vendor = order.choice(three.vendors)
        answer = reader.read(page(vendor, number), tries=100, wait_s=0.1)
        assert answer.status == 200 and answer.receipt["spent"] == PRICE * (number + 1), answer
        sold[vendor.origin] += PRICE
    assert books.earned() == [sold[v.origin] for v in three.vendors]


# --- at once ---------------------------------------------------------------

def all_at_once(vendor, reader, count, **hint):
    """So many threads, each with an index of its own, all at the same instant; their answers."""
    first = reader.coin.spent
    _, challenge = reader.challenge(page(vendor, 1))
    answers, barrier = [None] * count, threading.Barrier(count)

    def run(number):
        barrier.wait()
        for _ in range(100):
            answers[number] = client.pay(page(vendor, number), reader.coin, index=first + PRICE * (number + 1),
                                         challenge=challenge, timeout=60, **hint)
            if answers[number].status != 503:
                return
            time.sleep(0.05)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answers


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("mpm", ["prefork", "event"])
def test_64_at_once_make_one_acquisition(shared, tmp_path, mpm, told):
    with stacks.Stack(memcached=False, broker=shared.broker, vendors=2, mpm=mpm) as made:
        a, b = made.vendors
        stacks.wait_for(lambda: gauge(b, "netpay_vendors_known") >= 2, 20, "the list of vendors")
        books, reader = Books(made), client.Reader(made.coin(n=10000))
        assert reader.read(page(a, 1)).status == 200
        before = calls(made.broker, "custody/acquire"), calls(made.broker, "custody/transfer")
        hint = {"holder": a.origin, "held": 20} if told else {}
        answers = all_at_once(b, reader, 64, **hint)
        assert [x for x in answers if x.status != 200] == []
        assert sorted(x.receipt["spent"] for x in answers) == [20 + PRICE * n for n in range(1, 65)]
        assert total(a, 'netpay_handovers_total{result="given"') == 1
        assert total(b, "netpay_takeovers_total") == 1
        assert calls(made.broker, "custody/acquire") - before[0] == (0 if told else 1)
        assert calls(made.broker, "custody/transfer") - before[1] == 1
        assert books.earned() == [20, 64 * PRICE]


def test_two_vendors_at_once(three):
    """The same coin at B and C at the same instant, again and again: never both for one unit."""
    a, b, c = three.vendors
    books, reader = Books(three), client.Reader(three.coin(n=10000))
    assert reader.read(page(a, 1)).status == 200
    sold = {v.origin: 0 for v in three.vendors}
    sold[a.origin] += PRICE
    guard, index = threading.Lock(), [20]

    def run(vendor, number):
        with guard:
            index[0] += PRICE
            mine = index[0]
        for _ in range(200):
            answer = client.pay(page(vendor, number), reader.coin, index=mine, challenge=reader.challenges[vendor.origin],
                                holder=a.origin, held=20, timeout=60)
            if answer.status != 503:
                break
            time.sleep(0.05)
        # A number below what was sold elsewhere meanwhile is a used one; everything else is sold.
        assert answer.status == 200 or (answer.status == 402 and answer.json().get("reason") == "already-spent"), answer
        if answer.status == 200:
            with guard:
                sold[vendor.origin] += PRICE

    for vendor in (b, c):
        reader.challenge(page(vendor, 1))
    for number in range(6):
        threads = [threading.Thread(target=run, args=(v, number)) for v in (b, c)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert sold[b.origin] + sold[c.origin] >= 6 * PRICE
    assert books.earned() == [sold[v.origin] for v in three.vendors]


# --- payments under way ----------------------------------------------------

@pytest.fixture(scope="module")
def slow():
    """Two vendors; the first sells a program that takes its time."""
    with stacks.Stack(memcached=False, vendors=2, start=False, modules=["cgid"]) as made:
        for vendor in made.vendors:
            cgi = os.path.join(vendor.dir, "cgi")
            os.makedirs(cgi, mode=0o755)
            with open(os.path.join(cgi, "slow"), "w") as f:
                f.write(SLOW)
            os.chmod(os.path.join(cgi, "slow"), 0o755)
            os.chmod(cgi, 0o777)  # httpd's user says there that it is under way
            vendor.head = "ScriptSock %s/cgid.sock" % vendor.dir
            vendor.site.gate += ('<Location "/cgi-bin/">\nAuthType NetPay\nAuthName "{realm}"\nRequire netpay\n'
                                 'NetPayPrice 0.02 usd\n</Location>\nScriptAlias "/cgi-bin/" "%s/"\n'
                                 '<Directory "%s">\nRequire all granted\n</Directory>\n' % (cgi, cgi))
            made.run(vendor)
        yield made


@pytest.mark.parametrize("seconds", ["0.1", "0.3", "0.6", "2"])
def test_a_request_under_way_finishes_or_is_refused(slow, seconds):
    """A page is being made at A when the coin is wanted at B: A's is paid for, or it was never sold."""
    a, b = slow.vendors
    books, reader = Books(slow), client.Reader(slow.coin(n=1000))
    under_way = os.path.join(a.dir, "cgi", "under-way")
    assert reader.read(page(a, 1)).status == 200
    held = dict(holder=a.origin, held=20)
    answers = {}

    def at_a():
        answers["a"] = client.pay(a.url("/cgi-bin/slow?" + seconds), reader.coin, index=40,
                                  challenge=reader.challenges[a.origin], timeout=60)

    reader.challenge(page(b, 1))
    thread = threading.Thread(target=at_a)
    thread.start()
    stacks.wait_for(lambda: os.path.exists(under_way), what="the page at A is being made")
    os.remove(under_way)
    first = client.pay(page(b, 1), reader.coin, index=60, challenge=reader.challenges[b.origin], **held)
    if seconds == "2":
        assert first.status == 503 and int(first.get("Retry-After")) > 0, first
    thread.join()
    answer = first
    for _ in range(100):
        if answer.status != 503:
            break
        time.sleep(0.1)
        answer = client.pay(page(b, 1), reader.coin, index=60, challenge=reader.challenges[b.origin], **held)
    assert answer.status == 200, answer
    done = answers["a"]
    sold = [20, 20]
    if done.status == 200:
        assert b"SLOW-PAID" in done.body and done.receipt["spent"] == 40 and answer.receipt["spent"] == 60
        sold[0] += PRICE
    else:
        assert done.status in (402, 503) and b"SLOW-PAID" not in done.body and answer.receipt["spent"] == 40, done
    assert books.earned() == sold


# --- without the broker ----------------------------------------------------

def test_with_the_broker_stopped(tmp_path):
    """The coin goes on and pays up to the operator's limit; all is reported when the broker is back."""
    with started(3, directives={"NetPayUnconfirmed": "4"}) as made:
        a, b, c = made.vendors
        books, reader = Books(made), client.Reader(made.coin(n=1000))
        assert reader.read(page(a, 1)).status == 200
        made.broker.stop()
        for number in range(4):
            answer = reader.read(page(b, number))
            assert answer.status == 200, (number, answer)
        begun = time.monotonic()
        fifth = reader.read(page(b, 5))
        assert fifth.status == 503 and int(fifth.get("Retry-After")) > 0 and stacks.within(begun, 10), fifth
        assert fifth.problem == "internal-payment-error"
        third = reader.read(page(c, 1))  # what is not confirmed does not travel on
        assert third.status == 503 and stacks.within(begun, 20), third
        assert gauge(b, "netpay_unreported") == 1
        assert reader.read(page(b, 3), index=100).status == 200  # served again, charged nothing
        made.broker.start()
        reported([b], 90)
        answer = reader.read(page(c, 1), tries=50)
        assert answer.status == 200 and answer.receipt["spent"] == 120, answer
        assert books.earned() == [20, 80, 20]


def test_reports_survive_the_vendor(tmp_path):
    """Taken over while the broker is down, then the vendor dies too: the report gets through all the same."""
    with started(2) as made:
        a, b = made.vendors
        books, reader = Books(made), client.Reader(made.coin(n=1000))
        assert reader.read(page(a, 1)).status == 200
        made.broker.stop()
        assert reader.read(page(b, 1)).status == 200
        b.kill()
        b.start()
        assert reader.read(page(b, 2)).receipt["spent"] == 60
        b.kill()
        made.broker.start()
        b.start()
        reported([b], 90)
        assert reader.read(page(a, 3), tries=50).receipt["spent"] == 80
        assert books.earned() == [40, 40]


def test_unconfirmed_none(tmp_path):
    """NetPayUnconfirmed 0: the broker has confirmed before the first page; without it there is none."""
    with started(2, directives={"NetPayUnconfirmed": "0"}) as made:
        a, b = made.vendors
        books, reader = Books(made), client.Reader(made.coin(n=1000))
        assert reader.read(page(a, 1)).status == 200
        before = calls(made.broker, "custody/transfer")
        assert reader.read(page(b, 1)).status == 200
        assert calls(made.broker, "custody/transfer") == before + 1
        assert gauge(b, "netpay_unreported") == 0
        made.broker.stop()
        refused = reader.read(page(a, 2))
        assert refused.status == 503 and "Payment-Receipt" not in dict(refused.headers), refused
        made.broker.start()
        answer = reader.read(page(a, 2), tries=100)
        assert answer.status == 200 and answer.receipt["spent"] == 60, answer
        assert books.earned() == [40, 20]


def test_broker_restarted_under_way(three):
    books, reader = Books(three), client.Reader(three.coin(n=10000))
    sold, wrong = {v.origin: 0 for v in three.vendors}, []

    def read():
        for number in range(15):
            vendor = three.vendors[number % 3]
            answer = reader.read(page(vendor, number), tries=300, wait_s=0.1)
            if answer.status != 200 or answer.receipt["spent"] != PRICE * (number + 1):
                wrong.append(answer)
                return
            sold[vendor.origin] += PRICE

    thread = threading.Thread(target=read)
    thread.start()
    while thread.is_alive():
        time.sleep(0.3)
        three.broker.kill()
        three.broker.start()
    thread.join()
    assert not wrong, wrong
    assert books.earned() == [sold[v.origin] for v in three.vendors]


# --- deaths ----------------------------------------------------------------

@pytest.mark.parametrize("victim", ["releasing", "receiving", "both"])
def test_kill_9_during_the_hand_over(tmp_path, victim):
    """Killed after a random time, started again: the coin has one holder and every page one price."""
    with started(2) as made:
        books, reader = Books(made), client.Reader(made.coin(n=10000))
        chance = random.Random(victim)
        here, there = made.vendors
        assert reader.read(page(here, 0)).status == 200
        sold = {here.origin: PRICE, there.origin: 0}
        reader.challenge(page(there, 0))
        for round_ in range(8):
            index = reader.coin.spent + PRICE
            outcome = []

            def change():
                try:
                    outcome.append(reader.read(page(there, round_), index=index))
                except BROKEN:
                    pass

            thread = threading.Thread(target=change)
            thread.start()
            time.sleep(chance.random() * 0.04)
            dead = {"releasing": [here], "receiving": [there], "both": [here, there]}[victim]
            for vendor in dead:
                vendor.kill()
            thread.join()
            for vendor in dead:
                vendor.start()
            answer = outcome[0] if outcome else None
            if answer is None or answer.status != 200:
                # The same credential again, as a reader does whose connection broke.
                answer = reader.read(page(there, round_), index=index, tries=200, wait_s=0.1)
                assert answer.status == 200, answer
            sold[there.origin] += PRICE
            assert answer.receipt["spent"] == sum(sold.values()), (answer.receipt, sold)
            here, there = there, here
        assert sorted(books.earned()) == sorted(sold[v.origin] for v in made.vendors)


@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_every_mpm_and_graceful_restarts(shared, mpm):
    """The coin goes to and fro while both servers are restarted gracefully again and again."""
    with stacks.Stack(memcached="each", broker=shared.broker, vendors=2, mpm=mpm) as made:
        books, reader = Books(made), client.Reader(made.coin(n=10000))
        stop, failed = threading.Event(), []

        def restarter():
            try:
                while not stop.is_set():
                    for vendor in made.vendors:
                        vendor.graceful()
            except Exception as error:  # seen by the test, which ends the thread
                failed.append(error)

        thread = threading.Thread(target=restarter)
        thread.start()
        sold = {v.origin: 0 for v in made.vendors}
        try:
            for number in range(20):
                vendor = made.vendors[number % 2]
                for _ in range(20):
                    try:
                        answer = reader.read(page(vendor, number), tries=100, wait_s=0.1)
                        break
                    except BROKEN:
                        time.sleep(0.05)
                assert answer.status == 200 and answer.receipt["spent"] == PRICE * (number + 1), answer
                sold[vendor.origin] += PRICE
        finally:
            stop.set()
            thread.join()
        assert not failed, failed
        assert books.earned() == [sold[v.origin] for v in made.vendors]


@pytest.mark.parametrize("what", ["killed", "stopped"])
def test_without_memcached(tmp_path, what):
    with started(2) as made:
        books, reader = Books(made), client.Reader(made.coin(n=1000))
        assert reader.read(page(made.vendors[0], 0)).status == 200
        caches = [p for p in made.started if isinstance(p, stacks.Memcached)]
        assert len(caches) == 2
        for cache in caches:
            cache.send(signal.SIGKILL if what == "killed" else signal.SIGSTOP)
        begun = time.monotonic()
        for number in range(1, 9):
            answer = reader.read(page(made.vendors[number % 2], number), tries=50)
            assert answer.status == 200 and answer.receipt["spent"] == PRICE * (number + 1), answer
        assert stacks.within(begun, 15)
        for cache in caches:
            cache.send(signal.SIGCONT)
        assert books.earned() == [100, 80]


def test_a_dead_vendor_is_not_waited_for_long(three):
    """The holder does not answer at all: 503 soon, the page is not charged, and others are still served."""
    a, b, _ = three.vendors
    reader, other = client.Reader(three.coin(n=1000)), client.Reader(three.coin(n=1000))
    assert reader.read(page(a, 1)).status == 200
    assert other.read(page(b, 1)).status == 200
    a.send(signal.SIGSTOP)
    for pid in a.children():
        os.kill(pid, signal.SIGSTOP)
    try:
        begun, answers = time.monotonic(), []
        thread = threading.Thread(target=lambda: answers.append(reader.read(page(b, 2), index=40)))
        reader.challenge(page(b, 2))
        thread.start()
        for number in range(2, 12):
            assert other.read(page(b, number)).status == 200
        assert stacks.within(begun, 5)
        thread.join()
        assert answers[0].status == 503 and answers[0].get("Retry-After"), answers
        assert stacks.within(begun, 15)
    finally:
        for pid in a.children():
            os.kill(pid, signal.SIGCONT)
        a.send(signal.SIGCONT)
    answer = reader.read(page(b, 2), index=40, tries=100, wait_s=0.5)
    assert answer.status == 200 and answer.receipt["spent"] == 40, answer
