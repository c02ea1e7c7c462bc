"""./quickstart as a stranger runs it (without the installing and building, which came before)."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import client
import stack as stacks

DEMO = [sys.executable, "-B", os.path.join(stacks.TOP, "test", "stack", "demo.py")]
TIMEOUT_S = 300 if stacks.SANITIZE else 120


def run(*args, **more):
    return subprocess.Popen(DEMO + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **more)


def test_once_and_once_more():
    base = stacks.Ports.take(3)
    for _ in range(2):
        child = run("--once", "--port-base", str(base))
        said, _ = child.communicate(timeout=TIMEOUT_S)
        assert child.returncode == 0, said
        for expected in ("402 Payment Required", "WWW-Authenticate: Payment", "netpay topup", "netpay buy",
                         "netpay get", "charged nothing", "read again free", "netpay-redeem",
                         "owes the vendor $0.0900", "credited nothing more", "every invariant holds"):
            assert expected in said, "%r is missing in:\n%s" % (expected, said)
    assert not re.search(r"(?i)traceback|exception", said)


def test_the_coin_goes_from_vendor_to_vendor():
    child = run("--once", "--vendors", "3", "--port-base", str(stacks.Ports.take(5)))
    said, _ = child.communicate(timeout=TIMEOUT_S)
    assert child.returncode == 0, said
    for expected in ("owes the vendor $0.0900", "The same coin at 2 other vendors", "The Valley Courier",
                     "The Lakeside Gazette", "$0.0400 credited", "every invariant holds"):
        assert expected in said, "%r is missing in:\n%s" % (expected, said)
    assert said.count("$0.0400 credited") == 3


def parse(name):
    return dict(line.rstrip("\n").split("=", 1) for line in open(name))


def gone(pids):
    return all(not os.path.exists("/proc/%d" % pid) or "Z" in open("/proc/%d/stat" % pid).read().split(")")[1][:3]
               for pid in pids)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_env_file(tmp_path, sig):
    name = str(tmp_path / "stack.env")
    child = run("--env", name, "--port-base", str(stacks.Ports.take(3)))
    try:
        stacks.wait_for(lambda: os.path.exists(name) or child.poll() is not None, TIMEOUT_S, "the env file")
        assert child.poll() is None, child.stdout.read()
        env = parse(name)
        assert set(env) >= {"BROKER_URL", "VENDOR_URL", "FREE_URL", "PAID_URLS", "VOUCHER", "PIDS"}
        assert client.http_request("GET", env["FREE_URL"]).status == 200
        paid = env["PAID_URLS"].split()
        assert len(paid) >= 3
        wallet = client.Wallet(env["BROKER_URL"])
        wallet.topup(env["VOUCHER"])
        assert wallet.balance() == 100000000
        coin = wallet.buy(n=1000)
        for url in paid:
            assert client.http_request("GET", url).status == 402
            assert client.pay(url, coin).status == 200
        assert all(url.startswith(env["VENDOR_URL"]) for url in paid)
        pids = [int(p) for p in env["PIDS"].split()]
        assert pids and not gone(pids)
        child.send_signal(sig)
        assert child.wait(30) == 0
        stacks.wait_for(lambda: gone(pids), 5, "every server has ended")
    finally:
        if child.poll() is None:
            child.kill()


def test_env_file_of_several_vendors(tmp_path):
    name = str(tmp_path / "stack.env")
    child = run("--env", name, "--vendors", "3", "--port-base", str(stacks.Ports.take(5)))
    try:
        stacks.wait_for(lambda: os.path.exists(name) or child.poll() is not None, TIMEOUT_S, "the env file")
        assert child.poll() is None, child.stdout.read()
        env = parse(name)
        numbered = ["VENDOR_%d_URL", "PAID_%d_URLS", "VENDOR_%d_PID"]
        assert set(env) == {"BROKER_URL", "VENDOR_URL", "FREE_URL", "PAID_URLS", "VOUCHER", "PIDS", "BROKER_PID",
                            "MEMCACHED_PID"} | {key % n for key in numbered for n in (1, 2, 3)}
        assert env["VENDOR_1_URL"] == env["VENDOR_URL"] and env["PAID_1_URLS"] == env["PAID_URLS"]
        pids = [env["MEMCACHED_PID"], env["BROKER_PID"]] + [env["VENDOR_%d_PID" % n] for n in (1, 2, 3)]
        assert env["PIDS"].split() == pids and len(set(pids)) == 5
        for pid, program in zip(pids, ("memcached", "netpay-brokerd", "apache2", "apache2", "apache2")):
            assert program in open("/proc/%s/cmdline" % pid).read()
        wallet = client.Wallet(env["BROKER_URL"])
        wallet.topup(env["VOUCHER"])
        reader = client.Reader(wallet.buy(n=1000))
        for round_ in range(2):
            for number in (1, 2, 3):
                urls = env["PAID_%d_URLS" % number].split()
                assert len(urls) >= 3 and all(u.startswith(env["VENDOR_%d_URL" % number] + "/") for u in urls)
                assert reader.read(urls[round_], tries=50).status == 200
        os.kill(int(env["VENDOR_2_PID"]), signal.SIGTERM)  # one's end is not the others'
        stacks.wait_for(lambda: gone([int(env["VENDOR_2_PID"])]), 20, "vendor 2 has ended")
        assert client.http_request("GET", env["PAID_3_URLS"].split()[0]).status == 402
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
        stacks.wait_for(lambda: gone([int(p) for p in pids]), 5, "every server has ended")
    finally:
        if child.poll() is None:
            child.kill()


def test_taken_port_is_named():
    base = stacks.Ports.take(3)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", base + 1))
        squatter.listen()
        child = run("--once", "--port-base", str(base))
        said, _ = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "port %d" % (base + 1) in said and "--port-base" in said and "process %d" % os.getpid() in said, said
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [["--vendors", "0"], ["--vendors", "many"], ["--vendors", "99"],
                                       ["--port-base", "65534"]])
def test_numbers_that_do_not_do(arguments):
    said, _ = run("--once", *arguments).communicate(timeout=30)
    assert arguments[0] in said and "Traceback" not in said, said


@pytest.mark.parametrize("arguments, expected", [
    (["--help"], "--port-base"), (["--colour"], "--colour"), (["--env"], "--env"), (["--port-base"], "--port-base"),
    (["--vendors"], "--vendors")])
def test_options(arguments, expected):
    done = subprocess.run([os.path.join(stacks.TOP, "quickstart"), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    assert (done.returncode == 0) == (arguments == ["--help"])
    assert expected in done.stdout


def test_package_that_cannot_be_had(tmp_path):
    """With an apt that offers nothing the message names the package and what to look at."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for name, text in (("dpkg-query", "exit 1"), ("apt-get", "exit 100"), ("apt-cache", "exit 100"),
                       ("sudo", 'exec "$@"')):
        (fake / name).write_text("#!/bin/sh\n%s\n" % text)
        (fake / name).chmod(0o755)
    done = subprocess.run([os.path.join(stacks.TOP, "quickstart"), "--once"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env=dict(os.environ, PATH="%s:%s" % (fake, os.environ["PATH"])))
    assert done.returncode != 0
    assert "g++" in done.stdout and "cannot be had" in done.stdout and "sources.list" in done.stdout, done.stdout
