#!/usr/bin/env python3
"""make claims-bench: a batch of a million claims, streamed to a real netpay-brokerd.

Starts a broker, buys coins whose chains are made here, registers and approves
a vendor and lets it acquire them, all over HTTP. Then it sends batches of
growing size, each claim of units that were not claimed before, and measures of
the broker, from /proc and by the clock:

  claims/s        from the first byte sent to the whole answer; and per second
                  of the broker's own processor time, which other work on the
                  machine disturbs less
  x hashing       the broker's processor time, as a multiple of the bare hashing
                  that these claims need: the same hashes in a loop, in the same
                  run, median of several rounds
  memory          VmRSS before, its highest during the batch (VmHWM, set back
                  before each), and what the batch added: that does not grow
                  with the batch

The smallest claims there are cost one hash each, and then the broker's work is
all but hashing: reading JSON, looking up coin and epoch, spooling, crediting.
--units gives claims more of what a day's claim for a coin has. --order spread
lets every claim be of another coin than the one before.

Every claim must be accepted, and the ledger must balance at the end. Exit
status 1 if not, or if the largest batch needs more than --flat MB more memory
than the smallest.
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "stack"))

import client  # noqa: E402
import stack as stacks  # noqa: E402

UNIT = 1000                # micro-units a payword
ORIGIN = "http://127.0.0.1:18999"
TICK = os.sysconf("SC_CLK_TCK")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--claims", default="10000,100000,1000000", help="sizes of the batches (10000,100000,1000000)")
    p.add_argument("--coins", type=int, default=1000, help="coins the claims are of (1000)")
    p.add_argument("--units", type=int, default=1, help="units a claim (1)")
    p.add_argument("--order", default="grouped", choices=("grouped", "spread"))
    p.add_argument("--rounds", type=int, default=5, help="of bare hashing (5)")
    p.add_argument("--flat", type=float, default=32, help="MB by which memory may grow from smallest to largest (32)")
    p.add_argument("--json", metavar="FILE", help="write the figures there, - for standard output")
    p.add_argument("--load", default=os.path.join(stacks.BUILD, "test/bench/claims_load"))
    a = p.parse_args()
    a.sizes = [int(n) for n in a.claims.split(",")]
    if any(n % a.coins or n > 1000000 for n in a.sizes):
        p.error("every size has to be a multiple of --coins, and at most 1000000")
    return a


def tool(a, *args):
    return subprocess.run([a.load, *map(str, args)], stdout=subprocess.PIPE, check=True, text=True).stdout


class Watched:
    """What the kernel says of a process."""

    def __init__(self, pid):
        self.pid = pid

    def status(self, name):
        """In KiB."""
        with open("/proc/%d/status" % self.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name + ":"))

    def cpu_s(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def forget_peak(self):
        with open("/proc/%d/clear_refs" % self.pid, "w") as f:
            f.write("5")


class Sampler(threading.Thread):
    """The resident set, looked at all the while."""

    def __init__(self, watched):
        super().__init__(daemon=True)
        self.watched, self.over, self.seen = watched, threading.Event(), []

    def run(self):
        while not self.over.wait(0.02):
            self.seen.append(self.watched.status("VmRSS"))


def digest_of(name):
    digest = hashlib.sha256()
    with open(name, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return "sha-256=:%s:" % base64.b64encode(digest.digest()).decode()


def send(broker, key, name):
    """The file as a batch, streamed as it lies on the disk; (status, answer, seconds)."""
    token = key.sign("netpay-batch+jwt", {"iss": ORIGIN, "aud": broker.issuer, "batch": secrets.token_urlsafe(12),
                                          "digest": digest_of(name), "iat": int(time.time())})
    link = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=1800)
    with open(name, "rb") as body:
        begin = time.monotonic()
        link.request("POST", "/api/v1/redemptions", body, {
            "Content-Type": "application/x-ndjson", "NetPay-Batch": token, "Content-Length": str(os.path.getsize(name))})
        answer = link.getresponse()
        text = answer.read()
    link.close()
    return answer.status, json.loads(text), time.monotonic() - begin


def stock(a, broker, key, chains):
    """Buys the coins and has the vendor acquire them."""
    per_coin = sum(a.sizes) // a.coins
    lines = tool(a, "chains", chains, a.coins, per_coin, a.units).splitlines()
    wallet = client.Wallet(broker.issuer)
    worth = a.coins * per_coin * a.units * UNIT
    wallet.topup(broker.mint("%d.%06d" % divmod(worth, 1000000)))
    caller = client.VendorCaller(ORIGIN, key, wallet.broker)
    for line in lines:
        salt, root, payword = line.split()
        got = wallet.broker.post("/coins", {"currency": "uusd", "unit": UNIT, "n": per_coin * a.units, "salt": salt,
                                            "root": root}, wallet.token)
        coin = client.peek(got["touchstone"])["coin"]
        held = caller.custody("acquire", coin=coin, index=a.units, payword=payword)
        if held.status != 200:
            raise stacks.StackError("custody of a coin: %r" % held)


def measure(a, broker, key, chains, first, claims, directory):
    each = claims // a.coins
    body = os.path.join(directory, "claims.ndjson")
    tool(a, "body", chains, first, each, a.order, body)
    bare = json.loads(tool(a, "hash", chains, first, each, a.order, a.rounds))
    watched = Watched(broker.pid)
    watched.forget_peak()
    before, cpu = watched.status("VmRSS"), watched.cpu_s()
    sampler = Sampler(watched)
    sampler.start()
    status, answer, seconds = send(broker, key, body)
    cpu = watched.cpu_s() - cpu
    sampler.over.set()
    sampler.join()
    if status != 200:
        raise stacks.StackError("the batch: %d %r" % (status, answer))
    receipt = client.peek(answer["receipt"])
    if receipt["accepted"] != claims or receipt["rejected"]:
        raise stacks.StackError("the batch: %d accepted, %d rejected of %d: %r"
                                % (receipt["accepted"], receipt["rejected"], claims, answer["rejected"][:3]))
    if receipt["credited"] != {"uusd": claims * a.units * UNIT}:
        raise stacks.StackError("the batch: credited %r" % receipt["credited"])
    hashing = statistics.median(bare["seconds"])
    peak = watched.status("VmHWM")
    return {"claims": claims, "body_bytes": os.path.getsize(body), "hashes": bare["hashes"], "seconds": seconds,
            "cpu_seconds": cpu, "claims_per_s": claims / seconds, "claims_per_cpu_s": claims / max(cpu, 1 / TICK),
            "hashing_seconds": hashing, "ns_per_hash": hashing / bare["hashes"] * 1e9, "times_hashing": cpu / hashing,
            "times_hashing_by_the_clock": seconds / hashing, "rss_before_kib": before, "rss_peak_kib": peak,
            "rss_added_kib": peak - before, "rss_median_kib": statistics.median(sampler.seen or [peak])}


def table(a, rows):
    print("%d coins, %d unit%s a claim, %s; of the broker alone but for the seconds\n" % (a.coins, a.units, "" if a.units == 1 else "s", a.order))
    print("%9s %9s %9s %12s %12s %11s %10s %10s %10s" % ("claims", "seconds", "CPU s", "claims/s", "claims/CPU s",
                                                         "hashing s", "x hashing", "peak MB", "added MB"))
    for r in rows:
        print("%9d %9.2f %9.2f %12.0f %12.0f %11.4f %10.1f %10.1f %10.1f"
              % (r["claims"], r["seconds"], r["cpu_seconds"], r["claims_per_s"], r["claims_per_cpu_s"],
                 r["hashing_seconds"], r["times_hashing"], r["rss_peak_kib"] / 1024, r["rss_added_kib"] / 1024))
    print("\nhashing: median of %d rounds, %.0f ns a hash" % (a.rounds, statistics.median(r["ns_per_hash"] for r in rows)))


def main():
    a = arguments()
    with tempfile.TemporaryDirectory(prefix="netpay-claims-") as directory:
        length = sum(a.sizes) // a.coins * a.units
        broker = stacks.Broker(directory, options={"denomination": ["%d:%d" % (UNIT, length)]})
        broker.start()
        try:
            key = client.Key()
            broker.enrol(ORIGIN, key)
            chains = os.path.join(directory, "chains")
            stock(a, broker, key, chains)
            rows, first = [], 0
            for claims in a.sizes:
                rows.append(measure(a, broker, key, chains, first, claims, directory))
                first += claims // a.coins
            broker.check()
        finally:
            broker.stop()
    grown = (rows[-1]["rss_peak_kib"] - rows[0]["rss_peak_kib"]) / 1024
    flat = grown <= a.flat
    if a.json != "-":
        table(a, rows)
        print("memory: the largest batch needs %+.1f MB against the smallest: %s" % (grown, "flat" if flat else "NOT flat"))
    if a.json:
        text = json.dumps({"coins": a.coins, "units": a.units, "order": a.order, "rounds": a.rounds, "flat": flat,
                           "load": os.getloadavg()[0], "cores": len(os.sched_getaffinity(0)), "batches": rows}, indent=1)
        if a.json == "-":
            print(text)
        else:
            with open(a.json, "w") as f:
                f.write(text + "\n")
    return 0 if flat else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (stacks.StackError, client.ApiError) as e:
        sys.exit("claims_bench: %s" % e)
