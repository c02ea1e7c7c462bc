"""A wrong configuration stops configtest with file, line, what is wrong and what would be right."""

import os
import re
import time

import pytest

import client
import stack as stacks

# directives (at the vhost unless `gate` says otherwise), and what the message must speak of
SERVER = [
    ("NetPayVendor news.example", r"https?://|origin"),
    ("NetPayVendor https://news.example/path", r"origin|path"),
    ("NetPayVendor https://News.Example", r"origin|lower|canonical"),
    ("NetPayVendorKey /nonexistent/key.pem", r"/nonexistent/key.pem"),
    ("NetPayVendorKey {dir}/htdocs/index.html", r"Ed25519|PEM|key"),
    ("NetPayVendorCertificate /nonexistent/cert.jwt", r"/nonexistent/cert.jwt"),
    ("NetPayVendorCertificate {dir}/htdocs/index.html", r"certificate|token"),
    ("NetPayBroker broker.example", r"https?://|origin"),
    ("NetPayBroker https://broker.example keys=/nonexistent/jwks.json", r"/nonexistent/jwks.json"),
    ("NetPayBroker https://broker.example keys={dir}/htdocs/index.html", r"JWK|JSON|key"),
    ("NetPayBroker https://broker.example ca=/nonexistent/ca.pem", r"/nonexistent/ca.pem"),
    ("NetPayBroker https://broker.example colour=red", r"colour"),
    ("NetPayBroker http://broker.example", r"https|loopback|TLS"),
    ("NetPayChallengeSecret file:/nonexistent/secret", r"/nonexistent/secret"),
    ("NetPayChallengeSecret short", r"16|32|bytes|characters"),
    ("NetPayChallengeSecret exec:/nonexistent/program", r"/nonexistent/program"),
    ("NetPayWalletSecret short", r"16|32|characters"),
    ("NetPayWalletSecret file:/nonexistent/secret", r"/nonexistent/secret"),
    ("NetPayGiveBack 3601", r"0 to 3600"),
    ("NetPayGiveBack soon", r"seconds"),
    ("NetPayGiveBack 60 0", r"1 to 16"),
    ("NetPayGiveBack 60 17", r"1 to 16"),
    ("NetPayFraming", r"self"),
    ("NetPayFraming off", r"self"),
    ("NetPayFraming any https://www.example", r"any alone"),
    ("NetPayFraming self www.example", r"origin"),
    ("NetPayTill", r"argument|directory"),
    ("NetPayTill {dir}/vendor.pem", r"director"),
    ("NetPayTill {dir}/till slots=0", r"slots"),
    ("NetPayTill {dir}/till slots=many", r"slots"),
    ("NetPayTill {dir}/till sync=sometimes", r"interval.*always|always.*interval"),
    ("NetPayMemcached host:port", r"port|number"),
    ("NetPayMemcached 127.0.0.1:99999", r"65535|port"),
    ("NetPayMemcached 127.0.0.1:11211*0", r"weight"),
    ("NetPayMemcachedTimeout soon", r"millisecond|number"),
    ("NetPayMemcachedTimeout 0", r"millisecond|1"),
    ("NetPayMemcachedPrefix \"a b\"", r"prefix|blank|character"),
    ("NetPayBrokerTimeout 1000", r"argument|two|call"),
    ("NetPayBrokerTimeout 0 0", r"millisecond|1"),
    ("NetPayUnconfirmed", r"argument"),
    ("NetPayUnconfirmed ten", r"pages.*0 to 1000000"),
    ("NetPayUnconfirmed -1", r"pages.*0 to 1000000"),
    ("NetPayUnconfirmed 1000001", r"pages.*0 to 1000000"),
    ("NetPayPrivatePeers perhaps", r"(?i)on or off|on.*off"),
    ("NetPayLog /nonexistent/dir/payments.log", r"/nonexistent/dir"),
]
GATE = [
    ("NetPayPrice", r"argument|amount"),
    ("NetPayPrice 0.02", r"currency|argument|usd"),
    ("NetPayPrice two usd", r"two|decimal|0\.02"),
    ("NetPayPrice -1 usd", r"-1|decimal|0\.02"),
    ("NetPayPrice 0.0000001 usd", r"six|micro|0\.000001"),
    ("NetPayPrice 99999999999999 usd", r"large|most|9007"),
    ("NetPayPrice 0.02 dollars", r"currency|usd"),
    ("NetPayPrice 0.02 usd methods=FETCH?", r"method"),
    ("NetPayPrice 0.02 usd kind=x", r"kind"),
    ("NetPayPriceExpr \"%{nonsense\"", r"(?i)expr|parse|syntax"),
    ("NetPayIntents subscription", r"session.*charge|charge.*session"),
    ("NetPayIntents", r"argument|session"),
    ("NetPayChallengeLife 0", r"second"),
    ("NetPayChallengeLife forever", r"second"),
    ("NetPayGrace 300", r"count|argument"),
    ("NetPayGrace -5 3", r"second"),
    ("NetPayGrace 300 -1", r"count|number"),
    ("NetPayMaxHop 0", r"1|hash"),
    ("NetPayMaxHop 9999999999", r"1048576"),
    ("NetPayRequireTLS perhaps", r"(?i)on or off|on.*off"),
    ("NetPayDryRun 3", r"(?i)on or off|on.*off"),
    ("NetPayCredentialHeader X-Pay", r"Payment-Authorization"),
]


@pytest.fixture(scope="module")
def sample(shared):
    """A vendor that passes configtest, never started; its configuration is changed line by line."""
    vendor = stacks.Vendor(os.path.join(shared.dir, "configtest"), broker=shared.broker, memcached=shared.memcached,
                           gate='<Location "/articles/">\n AuthType NetPay\n AuthName "n"\n Require netpay\n'
                                ' NetPayPrice 0.02 usd\n</Location>\n')
    status, text = vendor.configtest()
    assert status == 0, text
    return vendor


def check(sample, line, expected, in_gate):
    name = line.split()[0]
    line = line.replace("{dir}", sample.site.dir)
    out, placed = [], False
    for old in open(sample.config).read().splitlines():
        if in_gate and old.strip().startswith("NetPayPrice"):
            out += [old] if name != "NetPayPrice" else []
            out.append("  " + line)
            placed = True
        elif not in_gate and old.strip().split(" ")[:1] == [name]:
            out.append("  " + line)
            placed = True
        elif old.strip() == "</VirtualHost>" and not placed:
            out += ["  " + line, old]
            placed = True
        else:
            out.append(old)
    number = out.index("  " + line) + 1
    path = os.path.join(sample.dir, "wrong.conf")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
    status, text = sample.test_config(path)
    assert status != 0, "accepted: " + line
    said = text.replace("\n", " ")
    where = re.search(r"line (\d+) of ([^: ]+)", said) or re.search(r"()(%s)[^ ]*" % re.escape(path), said)
    assert where, text
    if where.group(1):
        assert (int(where.group(1)), where.group(2)) == (number, path), text
    message = said.split("wrong.conf", 1)[-1]
    assert name in message or name in said, text
    assert re.search(expected, message), "the message does not say what would be right: " + text


@pytest.mark.parametrize("line, expected", SERVER, ids=[line for line, _ in SERVER])
def test_server_directives(sample, line, expected):
    check(sample, line, expected, False)


@pytest.mark.parametrize("line, expected", GATE, ids=[line for line, _ in GATE])
def test_gate_directives(sample, line, expected):
    check(sample, line, expected, True)


@pytest.mark.parametrize("left_out, expected", [
    ("NetPayVendor", "NetPayVendor"), ("NetPayBroker", "NetPayBroker"),
    ("NetPayChallengeSecret", "NetPayChallengeSecret"), ("NetPayTill", "NetPayTill"),
    ("NetPayVendorKey", "NetPayVendorKey")])
def test_what_a_gate_needs(sample, left_out, expected):
    """A gated place whose server lacks something is an error that names it, not a door left open."""
    lines = [old for old in open(sample.config).read().splitlines() if old.strip().split(" ")[0] != left_out]
    path = os.path.join(sample.dir, "lacking.conf")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    status, text = sample.test_config(path)
    assert status != 0 and expected in text, text


def test_inline_secret_in_a_readable_file_is_refused(sample):
    text = open(sample.config).read()
    inline = re.sub(r"NetPayChallengeSecret .*", "NetPayChallengeSecret " + "s3cret" * 8, text)
    path = os.path.join(sample.dir, "inline.conf")
    with open(path, "w") as f:
        f.write(inline)
    os.chmod(path, 0o644)
    status, said = sample.test_config(path)
    assert status != 0 and "s3cret" not in said
    assert re.search(r"readable|mode|chmod|0600|file:", said), said
    os.chmod(path, 0o600)
    status, said = sample.test_config(path)
    assert status == 0, said


@pytest.mark.parametrize("change, expected", [
    (lambda host: re.sub(r"(NetPayTill \S+)", r"\1-other", host), r"second till"),
    (lambda host: re.sub(r"(NetPayTill \S+)", r"\1/", host.replace("NetPayVendor http://127", "NetPayVendor https://127"))
     .replace("NetPayVendorCertificate", "#"), r"also the till of")], ids=["two tills", "two vendors"])
def test_one_vendor_one_till(sample, change, expected):
    """Two tills of one vendor would let each coin be spent twice; so would two spellings of one till's name."""
    text = open(sample.config).read()
    host = text[text.index("<VirtualHost"):]
    path = os.path.join(sample.dir, "tills.conf")
    with open(path, "w") as f:
        f.write(text + change(host))
    status, said = sample.test_config(path)
    assert status != 0 and re.search(expected, said), said


def test_certificates_that_will_not_do_are_told(sample, shared):
    """What only keeps coins from travelling does not keep the server from starting, but is said."""
    now = int(time.time())
    good = client.peek(open(sample.certificate_file).read().strip())
    for change, expected in (({"exp": now - 10}, r"expired"), ({"exp": now + 3 * 86400 + 100}, r"expires in 3 days"),
                             ({"iss": "https://other.example"}, r"which no NetPayBroker names"),
                             ({"handoff": sample.origin + "/elsewhere"}, r"/elsewhere.*/\.well-known/netpay/handoff"),
                             ({}, None)):
        path = os.path.join(sample.dir, "told.jwt")
        with open(path, "w") as f:
            f.write(client.Key().sign("netpay-vendor+jwt", dict(good, **change)) + "\n")
        text = re.sub(r"NetPayVendorCertificate .*", "NetPayVendorCertificate " + path, open(sample.config).read())
        config = os.path.join(sample.dir, "told.conf")
        with open(config, "w") as f:
            f.write(text)
        status, said = sample.test_config(config)
        assert status == 0, said
        if expected:
            assert re.search(expected, said) and path in said, said
        else:
            assert "NetPayVendorCertificate" not in said, said


def test_require_netpay_takes_no_arguments_unknown_to_it(sample):
    text = open(sample.config).read().replace("Require netpay", "Require netpay nonsense")
    path = os.path.join(sample.dir, "require.conf")
    with open(path, "w") as f:
        f.write(text)
    status, said = sample.test_config(path)
    assert status != 0 and "netpay" in said, said
