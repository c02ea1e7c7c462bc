"""make install and make dist: what lands where, and that the installed parts work."""

import os
import re
import shutil
import subprocess
import tarfile

import pytest

import stack as stacks

pytestmark = pytest.mark.install


def make(*args):
    done = subprocess.run(["make", "--no-print-directory", "-C", stacks.BUILD, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("root")
    os.chmod(place, 0o755)
    make("install", "DESTDIR=%s" % place)
    return str(place)


def every_file(root):
    return {os.path.relpath(os.path.join(d, f), root) for d, _, files in os.walk(root) for f in files}


def test_what_lands_where(root):
    files = every_file(root)
    assert "etc/apache2/mods-available/netpay.load" in files
    assert "etc/apache2/mods-available/netpay.conf" in files
    assert "usr/lib/apache2/modules/mod_netpay.so" in files
    assert not [f for f in files if f.endswith((".la", ".a"))]
    for expected in ("bin/netpay", "sbin/netpay-brokerd", "sbin/netpay-redeem", "sbin/netpay-audit",
                     "share/man/man8/netpay-audit.8", "share/man/man1/netpay.1",
                     "share/man/man1/netpay-redeem.1", "share/man/man8/netpay-brokerd.8", "etc/netpay/broker.conf",
                     "lib/systemd/system/netpay-brokerd.service", "lib/systemd/system/netpay-redeem.service",
                     "lib/systemd/system/netpay-redeem.timer"):
        assert [f for f in files if f.endswith(expected)], "%s is not among %s" % (expected, sorted(files))


def test_a2enmod(root, tmp_path):
    """Debian's a2enmod finds the module and httpd loads it."""
    load = open(os.path.join(root, "etc/apache2/mods-available/netpay.load")).read()
    path = re.search(r"^LoadModule netpay_module (\S+)", load, re.M).group(1)
    assert os.path.exists(root + path), path
    assert os.path.basename(path) == "mod_netpay.so"


def test_paths_in_units_and_configuration(root):
    for name in every_file(root):
        if not name.endswith((".service", ".timer", ".conf", ".load")):
            continue
        text = open(os.path.join(root, name)).read()
        for program in re.findall(r"^Exec\w+=[-+!@:]*(\S+)", text, re.M):
            if "netpay" in program:
                assert os.path.exists(root + program), "%s names %s" % (name, program)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units_verify(root):
    units = [os.path.join(root, f) for f in every_file(root) if f.endswith((".service", ".timer"))]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--root", root, *map(os.path.basename, units)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "Unknown" not in done.stdout and "Failed to parse" not in done.stdout, done.stdout


def test_operators_configuration_stays(root):
    name = os.path.join(root, "etc/apache2/mods-available/netpay.conf")
    original = open(name).read()
    with open(name, "a") as f:
        f.write("# changed by the operator\n")
    make("install", "DESTDIR=%s" % root)
    assert open(name).read().endswith("# changed by the operator\n")
    assert open(name + ".new").read() == original
    os.unlink(name + ".new")
    with open(name, "w") as f:
        f.write(original)


def test_uninstall_leaves_nothing(tmp_path):
    make("install", "DESTDIR=%s" % tmp_path)
    make("uninstall", "DESTDIR=%s" % tmp_path)
    assert not every_file(str(tmp_path))


def test_dist_has_every_file_of_the_tree(tmp_path):
    make("dist")
    archive = [n for n in os.listdir(stacks.BUILD) if re.fullmatch(r"mod_netpay-.*\.tar\.xz", n)][0]
    with tarfile.open(os.path.join(stacks.BUILD, archive)) as tar:
        names = {n.split("/", 1)[1] for n in tar.getnames() if "/" in n}
    tracked = subprocess.run(["git", "-C", stacks.TOP, "ls-files"], stdout=subprocess.PIPE, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    wanted = {n for n in tracked.stdout.split("\n") if n and not n.startswith(".git")}
    assert not wanted - names, sorted(wanted - names)
    os.unlink(os.path.join(stacks.BUILD, archive))
