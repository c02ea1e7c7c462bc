"""netpay-audit over a broker and vendors that are at work, and over copies of their files in which one thing was
changed; netpay verify-evidence over evidence in which one thing was changed."""

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import threading

import pytest

import client
import stack as stacks
from market import PRICE, Market


class Travelled:
    """A market with a history: a coin that was read at three sites and redeemed, a returned one, an unused one,
    and one that a vendor gave to two others."""

    def __init__(self):
        self.market = market = Market(vendors=3, peers=1)
        self.one, self.two, self.three = market.sites
        self.coin, self.fresh = market.coin(), market.coin()
        for site in (self.one, self.two, self.three, self.one):
            market.buys(site, self.coin, 2)
            market.confirmed(self.coin, site)
        market.books(self.coin, {self.one: 4 * PRICE, self.two: 2 * PRICE, self.three: 2 * PRICE})

        wallet = market.stack.wallet("1.00")
        self.returned = wallet.buy(n=1000)
        market.buys(self.one, self.returned, 1)
        answer = stacks.wait_for(lambda: (lambda a: a if a.status == 200 else None)(wallet.broker.raw(
            "POST", "%s/coins/%s/return" % (wallet.broker.api, self.returned.id), None, wallet.token)), 25, "the refund")
        assert answer.status == 200
        self.one.redeem()

        self.peer = market.known_peer()
        self.twice = market.coin()
        assert self.peer.acquire(self.twice, PRICE).status == 200
        self.given = [self.peer.index(self.twice, site.origin, PRICE) for site in (self.two, self.three)]


@pytest.fixture(scope="module")
def travelled():
    made = None
    try:
        made = Travelled()
        yield made
    finally:
        if made:
            made.market.close()


def run(*args, **more):
    return subprocess.run([stacks.audit_program(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, **more)


def copy_of(market, directory):
    """A copy of the broker's store as it is now."""
    name = os.path.join(str(directory), "broker.db")
    with sqlite3.connect("file:%s?mode=ro" % market.broker.options["store"], uri=True) as source:
        with sqlite3.connect(name) as target:
            source.backup(target)
    return name


def tampered(market, directory, statement, *arguments):
    name = copy_of(market, directory)
    link = sqlite3.connect(name)
    link.execute("PRAGMA ignore_check_constraints = ON")
    for trigger, in link.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        link.execute("DROP TRIGGER " + trigger)
    assert link.execute(statement, arguments).rowcount > 0, statement
    link.commit()
    link.close()
    return name


def faults(said):
    return {(f["code"], f["coin"]) for f in said["findings"] if f["kind"] == "fault"}


# --- as it is --------------------------------------------------------------

def test_clean_while_everything_runs(travelled):
    """Customers read on while the auditor looks, and it finds nothing, ten times."""
    market, stop = travelled.market, threading.Event()
    coins = [market.coin() for _ in range(2)]

    def read():
        k = 0
        while not stop.is_set():
            market.pay(market.sites[k % 3], coins[k // 3 % 2], seconds=1)
            if k % 5 == 0:
                market.sites[k % 3].redeem(check=False)
            k += 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for _ in range(10):
            status, said = market.stack.audit(tills=[s.till for s in market.sites])
            assert status == 0, faults(said)
            assert said["verdict"] == "clean" and said["broker"] == market.broker.issuer
            assert said["counts"]["till_coins"] >= 2 and said["counts"]["signatures"] > 10
    finally:
        stop.set()
        thread.join()
    money = {k: int(v) for k, v in said["money"]["uusd"].items()}
    assert money["in"] == (money["vouchers"] + money["customers"] + money["coins"] + money["vendors"] - money["owed"]
                           + money["paid"])
    assert money["sold"] == money["coins"] + money["credited"] + money["refunded"]


def test_text_and_exit_status(travelled, tmp_path):
    market = travelled.market
    store, keys = market.broker.options["store"], market.broker.jwks_file()
    done = run("--store", store, "--keys", keys)
    assert done.returncode == 0 and "no fault" in done.stdout and "signatures/s" in done.stdout, done
    assert "USD" in done.stdout and not done.stderr
    assert run("--store", store).returncode == 0, "the key directory beside the store"
    assert run("--store", store, "--quiet").stdout == ""
    shown = run("--store", store, "--progress")
    assert shown.returncode == 0 and "signatures/s" in shown.stderr
    for wrong in ((), ("--store", str(tmp_path / "none.db"), "--keys", keys), ("--store", store, "--keys", "/dev/null"),
                  ("--store", store, "--nonsense"), ("--store", keys, "--keys", keys),
                  ("--store", store, "--keys", keys, "--till", str(tmp_path))):
        done = run(*wrong)
        assert done.returncode == 2 and done.stderr.startswith("netpay-audit: "), (wrong, done)
    with open("/dev/full", "w") as full:
        done = subprocess.run([stacks.audit_program(), "--store", store], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    bad = tampered(market, tmp_path, "UPDATE coins SET credited = credited + 1 WHERE coin = ?", travelled.coin.id)
    done = run("--store", bad, "--keys", keys)
    assert done.returncode == 1
    assert "fault coin-credited coin %s 0.001 USD: " % travelled.coin.id in done.stdout, done.stdout


def test_with_other_keys_nothing_holds(travelled, tmp_path):
    name = str(tmp_path / "jwks.json")
    with open(name, "w") as f:
        json.dump({"keys": [client.Key().jwk()]}, f)
    done = run("--store", travelled.market.broker.options["store"], "--keys", name, "--json")
    assert done.returncode == 1
    assert ("touchstone", travelled.fresh.id) in faults(json.loads(done.stdout))


def test_nothing_is_written(travelled, tmp_path):
    """Over a copy in a directory that nobody can write to."""
    place = tmp_path / "copy"
    place.mkdir()
    copy_of(travelled.market, place)
    before = {n: os.stat(place / n).st_mtime_ns for n in os.listdir(place)}
    os.chmod(place, 0o555)
    try:
        status, _ = travelled.market.stack.audit(store=str(place / "broker.db"), tills=[])
        assert status == 0
    finally:
        os.chmod(place, 0o755)
    assert {n: os.stat(place / n).st_mtime_ns for n in os.listdir(place)} == before


def test_a_killed_broker_and_vendor_are_read(travelled):
    """Neither closed its files: what lies in the log and in the table of coins in use is looked at as well."""
    market = travelled.market
    server = travelled.one.server
    market.broker.kill()
    server.kill()
    try:
        status, said = market.stack.audit(tills=[s.till for s in market.sites])
        assert status == 0, faults(said)
        assert said["counts"]["coins"] >= 4
    finally:
        market.broker.start()
        server.start()


# --- one thing changed -----------------------------------------------------

OF = "(SELECT id FROM coins WHERE coin = ?)"


def forged(column):
    """SQL: the token with another character amid its signature; its last ones are often the same, whatever was signed."""
    return ("{0} = substr({0}, 1, length({0}) - 40) || CASE substr({0}, -40, 1) WHEN 'A' THEN 'B' ELSE 'A' END || "
            "substr({0}, -39)".format(column))


CHANGES = [
    ("an amount", "UPDATE coins SET unit = unit * 2 WHERE coin = ?", "touchstone-terms"),
    ("a length", "UPDATE coins SET n = n + 1 WHERE coin = ?", "touchstone-terms"),
    ("a signature", "UPDATE coins SET " + forged("touchstone") + " WHERE coin = ?", "touchstone"),
    ("a hop's signature", "UPDATE epochs SET " + forged("custody") + " WHERE epoch = 2 AND coin = " + OF, "custody-signature"),
    ("two custodies swapped", "UPDATE epochs SET custody = (SELECT custody FROM epochs o WHERE o.coin = epochs.coin "
     "AND o.epoch = 3) WHERE epoch = 2 AND coin = " + OF, "custody-terms"),
    ("a signed index", "UPDATE signed_indices SET " + forged("token") + " WHERE epoch = 1 AND coin = " + OF, "index-signature"),
    ("an index", "UPDATE epochs SET start = start - 1 WHERE epoch = 2 AND coin = " + OF, "chain-of-custody"),
    ("an index's column", "UPDATE signed_indices SET idx = idx - 1 WHERE epoch = 1 AND coin = " + OF, "index-terms"),
    ("a release", "UPDATE epochs SET released = released + 1 WHERE epoch = 1 AND coin = " + OF, "chain-of-custody"),
    ("a payword", "UPDATE known_paywords SET payword = (SELECT payword FROM known_paywords p WHERE p.coin = "
     "known_paywords.coin AND p.idx <> known_paywords.idx LIMIT 1) WHERE coin = " + OF, "payword"),
    ("a claim made longer", "UPDATE credits SET hi = hi + 1 WHERE epoch = 2 AND coin = " + OF, "credit-outside"),
    ("a doubled claim", "INSERT INTO credits (coin, lo, hi, epoch) SELECT coin, lo + 1, hi, epoch FROM credits "
     "WHERE epoch = 2 AND coin = " + OF, "credit-overlap"),
    ("a claim given to another", "UPDATE credits SET epoch = 3 WHERE epoch = 2 AND coin = " + OF, "credit-outside"),
    ("a deleted hop", "DELETE FROM epochs WHERE epoch = 2 AND coin = " + OF, "chain-of-custody"),
    ("a deleted claim", "DELETE FROM credits WHERE epoch = 2 AND coin = " + OF, "coin-credited"),
    ("a deleted index", "DELETE FROM signed_indices WHERE epoch = 2 AND coin = " + OF, "founding-index"),
    ("a deleted sale", "DELETE FROM movements WHERE kind = 'coin' AND reference = ?", "coin-unpaid"),
    ("a deleted coin", "DELETE FROM coins WHERE coin = ?", "coin-missing"),
]


@pytest.mark.parametrize("statement, code", [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_one_change_in_the_store(travelled, tmp_path, statement, code):
    store = tampered(travelled.market, tmp_path, statement, travelled.coin.id)
    status, said = travelled.market.stack.audit(store=store, tills=[])
    assert status == 1 and said["verdict"] == "faults"
    assert (code, travelled.coin.id) in faults(said), faults(said)
    # It is named by others at the most for what it contradicts, and no coin is named that was left alone.
    assert {coin for _, coin in faults(said)} <= {travelled.coin.id, ""}, faults(said)


@pytest.mark.parametrize("statement, code, subject", [
    ("UPDATE entries SET credit = credit + 1 WHERE id = (SELECT MIN(id) FROM entries WHERE credit > 0)",
     "movement-unbalanced", "movement 1"),
    ("DELETE FROM entries WHERE id = 1", "movement-parts", "movement 1"),
    ("UPDATE ledger_accounts SET balance = balance + 1 WHERE name = 'coins:outstanding'", "account-balance",
     "coins:outstanding uusd"),
    ("DELETE FROM ledger_accounts WHERE name = 'cash'", "account-missing", "cash uusd"),
], ids=["unbalanced entry", "deleted entry", "balance", "deleted account"])
def test_one_change_in_the_books(travelled, tmp_path, statement, code, subject):
    status, said = travelled.market.stack.audit(store=tampered(travelled.market, tmp_path, statement), tills=[])
    assert status == 1
    assert (code, subject) in {(f["code"], f["subject"]) for f in said["findings"]}, said["findings"]


def test_a_refund_of_too_much(travelled, tmp_path):
    store = tampered(travelled.market, tmp_path, "UPDATE coins SET refunded = refunded + 1 WHERE coin = ?",
                     travelled.returned.id)
    status, said = travelled.market.stack.audit(store=store, tills=[])
    assert status == 1 and ("coin-refunded", travelled.returned.id) in faults(said)
    [fault] = [f for f in said["findings"] if f["code"] == "coin-refunded"]
    assert fault["amount"] == 1000 and fault["currency"] == "uusd"


def test_a_till_set_back(travelled, tmp_path):
    """An old copy of a till, brought back after more was sold and credited."""
    market, site = travelled.market, travelled.two
    coin = market.coin()
    market.buys(site, coin, 1)
    place = tmp_path / "till"
    place.mkdir()
    site.server.stop()
    shutil.copy(os.path.join(site.till, "coins.mdb"), str(place))
    site.server.start()
    shutil.copy(os.path.join(site.till, "vendor.json"), str(place))
    assert market.stack.audit(tills=[str(place)])[0] == 0
    market.buys(site, coin, 2)
    site.redeem()
    status, said = market.stack.audit(tills=[str(place)])
    assert status == 1 and ("till-overcredited", coin.id) in faults(said), faults(said)
    [fault] = [f for f in said["findings"] if f["code"] == "till-overcredited" and f["coin"] == coin.id]
    assert fault["amount"] == 2 * PRICE * 1000
    assert market.stack.audit(tills=[site.till])[0] == 0


# --- evidence --------------------------------------------------------------

def verify(market, document, *args):
    name = os.path.join(market.stack.dir, "evidence.json")
    with open(name, "w") as f:
        f.write(document if isinstance(document, str) else json.dumps(document))
    return market.stack.netpay("verify-evidence", *args, name, check=False)


def test_evidence_holds_without_broker_and_wallet(travelled, tmp_path):
    market = travelled.market
    text = market.broker.admin("evidence", "--", travelled.coin.id)
    keys = market.broker.jwks_file()
    with market.broker_away():
        done = market.stack.netpay("verify-evidence", "--keys", keys, "-", stdin=text.encode(),
                                   store=str(tmp_path / "none"))
    said = done.stdout.decode()
    assert "keys given" in said and all(site.origin in said for site in market.sites)
    assert not os.path.exists(tmp_path / "none"), "no wallet is made"
    assert "brings along" in verify(market, text).stdout.decode()
    done = verify(market, text, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["holds"] and said["keys"] == "own" and said["faults"] == []
    assert len(said["story"]) == 4 and said["signatures"] > 8


def flipped(token):
    """The token with one bit of its signature changed."""
    head, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[10] ^= 1
    return head + "." + base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


def change(path, value):
    def apply(document):
        at = document
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value(at[path[-1]]) if callable(value) else value
    return apply


EVIDENCE = [
    ("touchstone", change(["touchstone"], flipped), "touchstone"),
    ("coin", change(["coin"], "A" * 22), "touchstone"),
    ("certificate", change(["certificates", 0], flipped), "certificate"),
    ("certificate left out", change(["certificates"], []), "index-signature"),
    ("custody", change(["custody", 1, "custody"], flipped), "custody-signature"),
    ("vendor of an epoch", change(["custody", 1, "vendor"], "https://evil.example"), "custody-terms"),
    ("start", change(["custody", 1, "start"], lambda n: n - 1), "chain-of-custody"),
    ("release", change(["custody", 0, "released"], lambda n: n + 1), "chain-of-custody"),
    ("signed index", change(["indices", 0, "token"], flipped), "index-signature"),
    ("signed index left out", change(["indices"], lambda a: a[1:]), "founding-index"),
    ("payword", change(["paywords", 0, "index"], lambda n: n + 1), "payword"),
    ("paywords left out", change(["paywords"], []), "credit-unproven"),
    ("claim made longer", change(["claims", 0, "to"], lambda n: n + 1), "credit-outside"),
    ("claim doubled", change(["claims"], lambda a: a + [dict(a[0])]), "credit-overlap"),
    ("claim of another", change(["claims", 0, "vendor"], "https://evil.example"), "credit-outside"),
    ("hop left out", change(["custody"], lambda a: a[:1] + a[2:]), "chain-of-custody"),
    ("accusation", lambda d: d["findings"].append({"kind": "two-indices", "vendor": d["custody"][0]["vendor"], "epoch": 1,
                                                   "tokens": [d["indices"][0]["token"]]}), "fraud-unproven"),
    ("reversal", lambda d: d["reversals"].append({"vendor": d["custody"][1]["vendor"], "epoch": 2,
                                                  "from": d["custody"][1]["start"], "to": d["custody"][1]["start"] + 1}),
     "reversal"),
]


@pytest.mark.parametrize("apply, code", [e[1:] for e in EVIDENCE], ids=[e[0] for e in EVIDENCE])
def test_one_change_in_evidence(travelled, apply, code):
    market = travelled.market
    document = json.loads(market.broker.admin("evidence", "--", travelled.coin.id))
    apply(document)
    done = verify(market, document, "--json")
    assert done.returncode == 11, done
    assert code in {f["code"] for f in json.loads(done.stdout)["faults"]}, done.stdout


def test_evidence_convicts(travelled):
    """A vendor that signed two indices is named, also where the broker hides it."""
    market = travelled.market
    document = json.loads(market.broker.admin("evidence", "--", travelled.twice.id))
    document["indices"] = [{"at": 1, "token": t} for t in travelled.given]
    document["certificates"] = sorted(set(document["certificates"] + market.broker.api().get("/vendors")["certificates"]))
    document["findings"] = []
    said = json.loads(verify(market, document, "--json").stdout)
    [hidden] = [f for f in said["faults"] if f["code"] == "fraud-missing"]
    assert hidden["culprit"] == travelled.peer.origin
    assert [(p["kind"], p["vendor"], p["epoch"]) for p in said["proven"]] == [("two-indices", travelled.peer.origin, 1)]
    document["findings"] = [{"kind": "two-indices", "vendor": travelled.peer.origin, "epoch": 1, "tokens": travelled.given}]
    done = verify(market, document)
    assert done.returncode == 0 and "Proven: %s signed two indices" % travelled.peer.origin in done.stdout.decode(), done


def test_what_is_no_evidence(travelled, tmp_path):
    market = travelled.market
    for text in ("", "{}", "[1]", '{"netpay":"evidence/2"}', "\0", "[" * 10000, '"x"'):
        done = verify(market, text)
        assert done.returncode == 11 and done.stderr.startswith(b"netpay: "), (text[:20], done)
    good = market.broker.admin("evidence", "--", travelled.coin.id)
    assert verify(market, good, "--keys", str(tmp_path / "none")).returncode == 2
    assert market.stack.netpay("verify-evidence", str(tmp_path / "none"), check=False).returncode == 2
    assert market.stack.netpay("verify-evidence", check=False).returncode == 2
