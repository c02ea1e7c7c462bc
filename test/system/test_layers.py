"""What the layout of the tree promises: the core stands alone, the module exports one symbol,
directives and documents agree, and nothing of a build machine is in the sources."""

import os
import re
import subprocess

import pytest

import stack as stacks

TOP = stacks.TOP


def sources(*rooms, ends=(".h", ".cc")):
    for room in rooms:
        for directory, _, files in os.walk(os.path.join(TOP, room)):
            for name in files:
                if name.endswith(ends):
                    yield os.path.join(directory, name)


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', open(path).read(), re.M)


def test_core_includes_neither_httpd_nor_a_socket():
    foreign = re.compile(r"^(httpd|http_|ap_|apr|util_|mod_|sys/|arpa/|netinet/|unistd|fcntl|curl|boost|soci|sqlite|"
                         r"lmdb|libmemcached|prometheus|ctime|fstream|filesystem|thread)")
    files = list(sources("core"))
    assert len(files) > 20
    for path in files:
        for name in includes(path):
            assert not foreign.match(name), "%s includes <%s>" % (path, name)
            if "/" in name and not name.startswith(("openssl/", "rapidjson/")):
                assert name.startswith("core/"), "%s includes %s" % (path, name)


@pytest.mark.parametrize("room, allowed", [
    ("world", ("world/", "core/")), ("broker", ("broker/", "world/", "core/")), ("wallet", ("wallet/", "core/")),
    ("mod_netpay", ("mod_netpay/", "world/", "core/")), ("audit", ("audit/", "mod_netpay/till/", "world/", "core/"))])
def test_rooms_stand_on_what_is_below_them(room, allowed):
    for path in sources(room):
        for name in includes(path):
            if name.split("/")[0] in ("core", "world", "broker", "wallet", "mod_netpay", "audit"):
                assert name.startswith(allowed), "%s includes %s" % (path, name)


def test_the_module_exports_its_record_and_nothing_else():
    done = subprocess.run(["nm", "-D", "--defined-only", stacks.module_file()], stdout=subprocess.PIPE, text=True,
                          check=True)
    symbols = [line.split() for line in done.stdout.splitlines()]
    ours = [name for _, kind, name in symbols
            if not name.startswith(("__asan", "__odr_asan", "__ubsan", "_init", "_fini", "__bss", "_edata", "_end"))]
    assert [name for name in ours if "netpay" in name] == ["netpay_module"], ours
    assert not [name for _, kind, name in symbols if kind == "u"], "STB_GNU_UNIQUE keeps httpd from unloading it"
    if not stacks.SANITIZE:
        assert ours == ["netpay_module"], ours


def listed_directives(directory):
    """The module's directives, as httpd itself tells."""
    config = os.path.join(str(directory), "list.conf")
    with open(config, "w") as f:
        for name in ("mpm_event", "authz_core", "authn_core"):
            f.write("LoadModule %s_module %s/mod_%s.so\n" % (name, stacks.modules_dir(), name))
        f.write("LoadModule netpay_module %s\nErrorLog %s/e\n" % (stacks.module_file(), directory))
    env = stacks._sanitizer_env(dict(os.environ), str(directory), True)
    done = subprocess.run([stacks.httpd_program(), "-f", config, "-L"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=env)
    names = re.findall(r"^(NetPay\w+) \(mod_netpay", done.stdout, re.M)
    assert names, done.stdout[-2000:]
    return names


@pytest.mark.parametrize("document", ["conf/netpay.conf", "doc/directives.md"])
def test_directives_and_documents_agree(document, tmp_path):
    text = open(os.path.join(TOP, document)).read()
    known = set(listed_directives(tmp_path))
    described = set(re.findall(r"\b(NetPay[A-Z]\w+)\b", text))
    assert not known - described, "%s does not describe %s" % (document, sorted(known - described))
    assert not described - known, "%s describes what is no directive: %s" % (document, sorted(described - known))


def test_annotated_configuration_is_accepted(tmp_path):
    """conf/netpay.conf as it stands, and with every example line in it uncommented, passes configtest
    or fails for a file that is not there, never for the syntax of a directive."""
    config = tmp_path / "httpd.conf"
    load = ["mpm_event", "authz_core", "authn_core", "authz_host"]
    text = "ServerRoot %s\nServerName x\nPidFile %s/p\nDefaultRuntimeDir %s\nErrorLog %s/e\nListen 127.0.0.1:1\n" % (
        (tmp_path,) * 4)
    text += "".join("LoadModule %s_module %s/mod_%s.so\n" % (m, stacks.modules_dir(), m) for m in load)
    text += "LoadModule netpay_module %s\nInclude %s/conf/netpay.conf\n" % (stacks.module_file(), TOP)
    config.write_text(text)
    env = stacks._sanitizer_env(dict(os.environ), str(tmp_path), True)
    done = subprocess.run([stacks.httpd_program(), "-t", "-f", str(config)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=env)
    assert done.returncode == 0, done.stdout


def test_every_man_page_is_well_formed():
    pages = [os.path.join(TOP, "doc/man", n) for n in sorted(os.listdir(os.path.join(TOP, "doc/man")))]
    assert {os.path.basename(p) for p in pages} >= {"netpay.1", "netpay-redeem.1", "netpay-brokerd.8", "netpay-audit.8"}
    for page in pages:
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
        assert done.returncode == 0 and not done.stderr, "%s: %s" % (page, done.stderr)


def test_every_option_is_in_its_manual():
    for program, page in ((stacks.wallet_program(), "netpay.1"), (stacks.broker_program(), "netpay-brokerd.8"),
                          (stacks.redeem_program(), "netpay-redeem.1"), (stacks.audit_program(), "netpay-audit.8")):
        done = subprocess.run([program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0 and len(done.stdout) > 100, program
        manual = open(os.path.join(TOP, "doc/man", page)).read().replace("\\-", "-")
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", done.stdout)):
            assert option in manual or option[2:] + "=" in manual, "%s is not in %s" % (option, page)
        version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True)
        assert version.returncode == 0 and re.search(r"\d+\.\d+\.\d+", version.stdout), program


def test_no_leftovers():
    for path in sources("core", "world", "mod_netpay", "broker", "wallet", "audit", "test", ends=(".h", ".cc", ".py", ".inc", ".sh")):
        if "node_modules" in path or path == os.path.abspath(__file__):
            continue
        text = open(path).read()
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text), path
