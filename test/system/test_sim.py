"""A short run of the simulator (test/sim), always the same one: `make sim` is the long one."""

import os
import pathlib
import re
import subprocess

import pytest

SEED, STEPS = 20261122, 3000


def program():
    build = pathlib.Path(os.environ.get("NETPAY_BUILD", pathlib.Path(__file__).parents[2]))
    made = subprocess.run(["make", "-C", str(build), "test/sim/netpay_sim"], capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return build / "test" / "sim" / "netpay_sim"


def run(path, steps, *more):
    done = subprocess.run([path, "--seed", str(SEED), "--steps", str(steps), *more], capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def test_nothing_is_lost_and_nothing_is_paid_twice():
    code, out = run(program(), STEPS)
    assert code == 0, out[-3000:]
    assert out.rstrip().endswith(f"0 violations in {STEPS} steps")
    sold, credited = map(int, re.search(r"units: (\d+) sold, (\d+) credited", out).groups())
    assert sold > 1000 and credited > 0.9 * sold
    # The run was made of what it is for.
    for what in ("hand-over answered 200", "answer lost", "request twice", "pages sold in unconfirmed custody",
                 "false or true indices signed by hostile vendors"):
        assert re.search(rf"^ *[1-9]\d*  {re.escape(what)}$", out, re.M), out


def test_the_same_seed_gives_the_same_run():
    path = program()
    digest = re.compile(r"digest of \d+ events: (\w+)")
    first, second = (digest.search(run(path, 400)[1]) for _ in range(2))
    assert first and second and first.group(1) == second.group(1)


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--nonsense"], ["--canary", "overlap_check"]])
def test_bad_arguments_are_refused(arguments):
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "usage" in done.stderr
