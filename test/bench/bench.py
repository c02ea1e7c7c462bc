#!/usr/bin/env python3
"""make bench: paid : free throughput of one vendor, in one run.

Starts memcached, broker and httpd (event MPM), buys coins from the broker, and
alternates rounds of free and paid requests for pages of one size: same
generator, same server, same cores. Every paid request spends a fresh payword
of the next of the coins in turn; till, replay protection and memcached copies
are on. Afterwards the till is redeemed, and the broker must credit exactly
what was sold. Prints a table, writes bench.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "stack"))

import client  # noqa: E402
import stack as stacks  # noqa: E402

PAGE_BYTES = 4096
UNIT = 10000        # a cent
GATE = ('<Location "/paid/">\n  AuthType NetPay\n  AuthName "{realm}"\n  Require netpay\n'
        '  NetPayPrice %s usd\n  NetPayIntents session\n</Location>\n'
        '<Location "/metrics">\n  SetHandler netpay-metrics\n</Location>\n')
HEAD = "KeepAlive On\nMaxKeepAliveRequests 0\nLogLevel warn\n"
EVENT = ("StartServers 2\nServerLimit 2\nThreadsPerChild 32\nMaxRequestWorkers 64\nMinSpareThreads 32\n"
         "MaxSpareThreads 64\n")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--coins", type=int, default=1000)
    p.add_argument("--length", type=int, default=1000, help="paywords a coin (1000)")
    p.add_argument("--units", type=int, default=1, help="units a page costs (1)")
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3, help="of one round (3)")
    p.add_argument("--mpm", default="event", choices=("event", "worker", "prefork"))
    p.add_argument("--sync", default="interval", choices=("interval", "always"), help="durability of the till (interval)")
    p.add_argument("--no-memcached", action="store_true")
    p.add_argument("--no-pin", action="store_true", help="do not give server and generator cores of their own")
    p.add_argument("--out", default="bench.json")
    p.add_argument("--loadgen", default=os.path.join(stacks.BUILD, "test/bench/loadgen"))
    return p.parse_args()


def cores(pin):
    """(the server's, the generator's): halves of what there is."""
    mine = sorted(os.sched_getaffinity(0))
    if not pin or len(mine) < 2:
        return mine, mine
    return mine[:len(mine) // 2], mine[len(mine) // 2:]


def buy_coins(stack, a, name):
    """a.coins coins into a file for the generator. Their price is minted for the purpose."""
    wallet = stack.wallet("%d.%06d" % divmod(a.coins * a.length * UNIT, 1000000))
    with open(name, "w") as f:
        for _ in range(a.coins):
            coin = wallet.buy(n=a.length, unit=UNIT)
            f.write("%s %s %d %s\n" % (client.b64u(coin.chain.salt), coin.chain.word(coin.chain.n), coin.chain.n, coin.touchstone))


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                 platform.machine())
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "")
    httpd = subprocess.run([stacks.httpd_program(), "-v"], stdout=subprocess.PIPE, text=True).stdout.split("\n")[0]
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "sha_instructions": " sha_ni" in flags, "kernel": platform.release(),
            "httpd": httpd.split(": ")[-1], "load_before": os.getloadavg()[0]}


def run(a):
    server, generator = cores(not a.no_pin)
    facts = machine()
    started = time.monotonic()
    os.sched_setaffinity(0, server)  # what is started from here on inherits it
    price = "%d.%06d" % divmod(a.units * UNIT, 1000000)
    page = b"<!DOCTYPE html><title>Page</title><p>" + b"lorem ipsum " * (PAGE_BYTES // 12 + 1)
    pages = {"free/page.html": page[:PAGE_BYTES], "paid/page.html": page[:PAGE_BYTES]}
    directives = {"NetPayLog": None, "NetPayTill": None}
    with stacks.Stack(memcached=not a.no_memcached, start=False, mpm=a.mpm, pages=pages, gate=GATE % price, head=HEAD,
                      mpm_settings=EVENT if a.mpm == "event" else None, directives=directives,
                      broker_options={"rate-scale": "0", "denomination": "%d:%d" % (UNIT, a.length)}) as stack:
        site = stack.vendor.site
        site.directives["NetPayTill"] = "%s sync=%s" % (site.till, a.sync)
        stack.run(stack.vendor)
        coins, challenge = os.path.join(stack.dir, "coins"), os.path.join(stack.dir, "challenge")
        buy_coins(stack, a, coins)
        print("%d coins bought after %.0f s" % (a.coins, time.monotonic() - started), flush=True)
        unpaid = client.http_request("GET", site.url("/paid/page.html"))
        with open(challenge, "wb") as f:
            f.write(client.jcs(unpaid.challenge("session")))
        done = subprocess.run(["taskset", "-c", ",".join(map(str, generator)), a.loadgen, "--port", str(site.port),
                               "--free", "/free/page.html", "--paid", "/paid/page.html", "--coins", coins,
                               "--challenge", challenge, "--units", str(a.units), "--connections", str(a.connections),
                               "--rounds", str(a.rounds), "--seconds", str(a.seconds),
                               "--group", str(stack.vendor.pid)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("bench: the generator failed\n" + stack.vendor.last_lines())
        got = json.loads(done.stdout)
        status, redeemed, errors = site.redeem()
        memcached_sets = int(stack.memcached.stats()["cmd_set"]) if stack.memcached else 0
        stack.broker.check()
    credited = redeemed.get("credited", {}) if isinstance(redeemed, dict) else {}
    credited = credited.get("uusd", 0) if isinstance(credited, dict) else credited
    sold = got["paid_requests"] * a.units * UNIT
    free, paid = (statistics.median(got[k]["per_second"]) for k in ("free", "paid"))
    ratios = [p / f for f, p in zip(got["free"]["per_second"], got["paid"]["per_second"])]
    added_us = 1e6 * len(server) * (1 / paid - 1 / free)
    return {
        # of each pair of rounds that follow one another, so that a machine that slows down meanwhile counts for both
        "paid_over_free": round(statistics.median(ratios), 4),
        "rounds_paid_over_free": [round(x, 4) for x in ratios],
        "free": dict(got["free"], median=free), "paid": dict(got["paid"], median=paid),
        "cpu_free_over_paid": round(statistics.median(got["free"]["cpu_us"]) / statistics.median(got["paid"]["cpu_us"]), 4),
        "added_us_a_page": round(added_us, 2),
        "sha256_link_ns": got["link_ns"],
        "added_over_links": round(added_us * 1000 / (got["link_ns"] * a.units), 1),
        "sold_uusd": sold, "credited_uusd": credited, "memcached_sets": memcached_sets,
        "settings": {"coins": a.coins, "length": a.length, "units_a_page": a.units, "connections": a.connections,
                     "seconds": a.seconds, "mpm": a.mpm, "sync": a.sync, "page_bytes": PAGE_BYTES,
                     "server_cores": server, "generator_cores": generator},
        "machine": facts, "took_s": round(time.monotonic() - started, 1),
    }


def show(r):
    m, s = r["machine"], r["settings"]
    print("\n%s, %d cores (server %s, generator %s), %s, %s MPM, %d connections, %d coins, %d-byte pages"
          % (m["cpu"], m["cores"], s["server_cores"], s["generator_cores"], m["httpd"], s["mpm"], s["connections"],
             s["coins"], s["page_bytes"]))
    print("%-6s %12s %9s %9s %9s %9s %9s   rounds" % ("", "requests/s", "p50 µs", "p90", "p99", "p99.9", "CPU µs"))
    for kind in ("free", "paid"):
        q = r[kind]["latency_us"]
        print("%-6s %12.0f %9d %9d %9d %9d %9.1f   %s"
              % (kind, r[kind]["median"], q["p50"], q["p90"], q["p99"], q["p99.9"], statistics.median(r[kind]["cpu_us"]),
                 " ".join("%.0f" % x for x in r[kind]["per_second"])))
    print("paid : free = %.3f   (rounds: %s)" % (r["paid_over_free"], " ".join("%.3f" % x for x in r["rounds_paid_over_free"])))
    print("processor time of httpd, free : paid = %.3f" % r["cpu_free_over_paid"])
    print("a paid page adds %.1f µs, as much as %.0f bare SHA-256 links of %.0f ns"
          % (r["added_us_a_page"], r["added_over_links"], r["sha256_link_ns"]))
    print("sold %d uusd, redeemed %d uusd; memcached sets: %d" % (r["sold_uusd"], r["credited_uusd"], r["memcached_sets"]))


def main():
    a = arguments()
    r = run(a)
    with open(a.out, "w") as f:
        json.dump(r, f, indent=1, sort_keys=True)
        f.write("\n")
    show(r)
    print("written to %s after %.0f s" % (a.out, r["took_s"]))
    if r["sold_uusd"] != r["credited_uusd"]:
        sys.exit("bench: what was sold and what was credited differ")


if __name__ == "__main__":
    main()
