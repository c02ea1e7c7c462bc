"""64 threads in several processes race for one coin: no unit is sold twice, none is charged twice."""

import json
import os
import subprocess
import sys

import pytest

import client
import stack as stacks

PROCESSES, THREADS = 4, 16


def racer(url, coin_file, challenge_file, tickets, out):
    """One process of the race: THREADS threads, each sends its tickets; writes what was answered."""
    import threading
    made = json.load(open(coin_file))
    challenge = json.load(open(challenge_file))
    chain = client.Chain(made["n"], client.unb64u(made["salt"]), client.unb64u(made["seed"]))
    coin = client.Coin(chain, made["touchstone"])
    answers, guard = [], threading.Lock()
    barrier = threading.Barrier(THREADS)

    def run(number):
        barrier.wait()
        for page, ticket in tickets[number]:
            answer = None
            for _ in range(60):  # 503: ask again, as the contract says
                answer = client.pay(url % page, coin, index=ticket, challenge=challenge, timeout=60)
                if answer.status != 503:
                    break
            with guard:
                problem = answer.json() if answer.status == 402 else {}
                answers.append((ticket, page, answer.status, problem.get("reason", problem.get("type", "")),
                                answer.receipt["spent"] if answer.receipt else None))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    json.dump(answers, open(out, "w"))


def state_of(vendor, coin, answers, directory):
    """spent and revealed, as the refusal of a used ticket for another page tells them."""
    challenge = json.load(open(os.path.join(str(directory), "challenge.json")))
    ticket, bought = [(a[0], a[1]) for a in answers if a[2] == 200][0]
    answer = client.pay(vendor.url("/articles/%d.html" % (30 if bought != 30 else 1)), coin, index=ticket,
                        challenge=challenge)
    assert answer.status == 402 and answer.json()["reason"] == "already-spent", answer
    return answer.json()


def race(vendor, coin, plan, directory):
    """plan: for each of PROCESSES × THREADS a list of (page, ticket). All answers."""
    coin_file, challenge_file = os.path.join(directory, "coin.json"), os.path.join(directory, "challenge.json")
    json.dump({"n": coin.chain.n, "salt": client.b64u(coin.chain.salt), "seed": coin.chain.word(coin.chain.n),
               "touchstone": coin.touchstone}, open(coin_file, "w"))
    challenge = client.http_request("GET", vendor.url("/articles/1.html")).challenge("session")
    json.dump(challenge, open(challenge_file, "w"))
    children = []
    for p in range(PROCESSES):
        out = os.path.join(directory, "answers-%d" % p)
        code = ("import sys, json; sys.path[:0] = %r; import test_race; "
                "test_race.racer(%r, %r, %r, json.loads(sys.stdin.read()), %r)"
                % ([os.path.dirname(os.path.abspath(__file__)), os.path.join(stacks.TOP, "test/stack")],
                   vendor.url("/articles/%d.html"), coin_file, challenge_file, out))
        child = subprocess.Popen([sys.executable, "-B", "-c", code], stdin=subprocess.PIPE)
        child.stdin.write(json.dumps(plan[p * THREADS:(p + 1) * THREADS]).encode())
        child.stdin.close()
        children.append((child, out))
    answers = []
    for child, out in children:
        assert child.wait(180) == 0
        answers += json.load(open(out))
    return answers


@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_same_tickets_by_everyone(make_vendor, shared, tmp_path, mpm):
    """All 64 fight over the same 40 tickets, each for a page of its own."""
    vendor = make_vendor(mpm=mpm, mpm_settings=None)
    coin = shared.coin(n=1000)
    plan = [[(1 + worker % 30, 20 * (1 + (worker + k) % 40)) for k in range(5)] for worker in range(64)]
    answers = race(vendor, coin, plan, str(tmp_path))
    assert len(answers) == 320
    paid = [a for a in answers if a[2] == 200]
    bought = {}
    for ticket, page, _, _, _ in paid:  # a ticket buys one resource; the same resource may be replayed
        assert bought.setdefault(ticket, page) == page
    for _, _, status, reason, _ in answers:
        assert status == 200 or (status == 402 and reason in ("already-spent", client.PROBLEMS + "payment-insufficient")
                                 ), (status, reason)
    state = state_of(vendor, coin, answers, tmp_path)
    assert state["spent"] == 20 * len(bought), (state, len(bought))
    assert state["spent"] <= state["revealed"] <= 800


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_every_thread_its_own_tickets(make_vendor, shared, tmp_path, mpm):
    """Out of order from everywhere, every payment is paid: 64 × 2 tickets, as many as there are ranges."""
    vendor = make_vendor(mpm=mpm)
    coin = shared.coin(n=10000)
    plan = [[(1 + (worker + k) % 30, 20 * (1 + worker + 64 * k)) for k in range(2)] for worker in range(64)]
    answers = race(vendor, coin, plan, str(tmp_path))
    assert [a for a in answers if a[2] != 200] == []
    state = state_of(vendor, coin, answers, tmp_path)
    assert state["spent"] == 20 * 128 and state["revealed"] == 20 * 128
    assert len({a[4] for a in answers}) == 128  # every receipt saw a state of its own
    status, summary, _ = vendor.redeem()
    assert status == 0 and summary["units"] == 20 * 128
    shared.broker.check()
