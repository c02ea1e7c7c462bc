"""POST /.well-known/netpay/handoff: answered by the module whatever else the server does, and never for sale."""

import http.client
import json
import os
import socket
import time

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers

PATH = "/.well-known/netpay/handoff"


def post(vendor, body=b"{}", headers=None, **more):
    return client.http_request("POST", vendor.url(PATH), headers, body, **more)


def answered(answer):
    """The module itself said that the body is no hand-over."""
    assert answer.status == 400, answer
    assert answer.problem == "urn:netpay:problem:malformed-request", answer
    assert answer.get("Content-Type") == "application/problem+json"
    assert answer.get("Cache-Control") == "no-store"
    assert not answer.all("WWW-Authenticate")


def ask(vendor, caller, certificate, coin, index, **members):
    """A call of that caller's for the coin, by the payword of the index."""
    request = caller.request("handoff", aud=vendor.origin, coin=coin.id, index=index, payword=coin.chain.word(index),
                             **members)
    return post(vendor, client.jcs({"request": request, "certificate": certificate}))


# --- the endpoint ----------------------------------------------------------

@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(stack, method):
    answer = client.http_request(method, stack.vendor.url(PATH))
    assert answer.status == 405 and answer.get("Cache-Control") == "no-store", answer
    assert answer.get("Allow").replace(",TRACE", "") == "POST"  # httpd adds TRACE by its own TraceEnable


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"request": 1}', b'{"request": "x.y.z"}',
                                  b'{"request": "a", "request": "b"}', b"[" * 10000])
def test_nonsense(stack, body):
    before = stack.vendor.metrics()['netpay_handovers_total{result="refused"}']
    answered(post(stack.vendor, body))
    assert stack.vendor.metrics()['netpay_handovers_total{result="refused"}'] == before + 1


def test_large_bodies(stack):
    answered(post(stack.vendor, b" " * 16384))
    answer = post(stack.vendor, b" " * 16385)
    assert answer.status == 413 and answer.problem == "urn:netpay:problem:malformed-request", answer
    link = http.client.HTTPConnection("127.0.0.1", stack.vendor.port, timeout=10)
    link.request("POST", PATH, body=(b" " * 1000 for _ in range(1000)), encode_chunked=True,
                 headers={"Transfer-Encoding": "chunked"})
    try:
        assert link.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused while it was still being sent
    link.close()


def test_limit_of_the_server(make_vendor):
    vendor = make_vendor(extra="LimitRequestBody 100")
    answered(post(vendor, b"{}" + b" " * 90))
    assert post(vendor, b"{}" + b" " * 900).status == 413


def test_slow_body(make_vendor):
    vendor = make_vendor(modules=["reqtimeout"], head="RequestReadTimeout header=5 body=1")
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", vendor.port), timeout=20) as link:
        link.sendall(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{" % PATH.encode())
        said = link.recv(65536)
        assert said.startswith(b"HTTP/1.1 408"), said
    assert stacks.within(begun, 10)
    answered(post(vendor))


def test_broken_off_body(stack):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", stack.vendor.port), timeout=20) as link:
            link.sendall(b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{" % PATH.encode())
    answered(post(stack.vendor))


def test_plain_http_behind_a_trusted_proxy_is_refused(make_vendor):
    vendor = make_vendor(head="LoadModule remoteip_module %s/mod_remoteip.so\nRemoteIPHeader X-Forwarded-For\n"
                              "RemoteIPInternalProxy 127.0.0.1" % stacks.modules_dir())
    answer = post(vendor)
    assert answer.status == 403 and answer.problem == "urn:netpay:problem:insecure-transport", answer


def test_over_tls(make_vendor):
    vendor = make_vendor(tls=True, gate='<Location "/">\nAuthType NetPay\nAuthName "n"\nRequire netpay\n'
                                        'NetPayPrice 1 usd\n</Location>')
    answered(post(vendor))


NETPAY = 'AuthType NetPay\nAuthName "n"\nNetPayPrice 0.02 usd\n'
BASIC = 'AuthType Basic\nAuthName "n"\nAuthBasicProvider file\nAuthUserFile /dev/null\n'

OPEN = {
    "everything is sold": '<Location "/">\n%sRequire netpay\n</Location>' % NETPAY,
    "sold to users": '<Location "/">\n%sRequire valid-user\n</Location>' % NETPAY,
    "password": '<Location "/">\n%sRequire valid-user\n</Location>' % BASIC,
    "password of one": '<Location "/">\n%sRequire user ann\n</Location>' % BASIC,
    "password and payment": '<Location "/">\n%sNetPayPrice 0.02 usd\n<RequireAll>\nRequire valid-user\nRequire netpay\n'
                            '</RequireAll>\n</Location>' % BASIC,
    "office or payment": '<Location "/">\n%s<RequireAny>\nRequire ip 192.0.2.1\nRequire netpay\n</RequireAny>\n'
                         '</Location>' % NETPAY,
    "dry run": '<Location "/">\n%sRequire netpay\nNetPayDryRun on\n</Location>' % NETPAY,
    "redirect": 'Redirect permanent / https://elsewhere.example/',
    "redirect in a section": '<Location "/">\nRedirect permanent https://elsewhere.example/\n</Location>',
    "rewritten": 'RewriteEngine on\nRewriteRule ^ https://elsewhere.example/ [R=301,L]',
    "rewritten in a section": '<Location "/">\nRewriteEngine on\nRewriteRule ^ https://elsewhere.example/ [R=301,L]\n'
                              '</Location>',
    "forbidden by a rewrite rule": 'RewriteEngine on\nRewriteRule ^/\\.well-known - [F]',
    "a back end": 'ProxyPass / http://127.0.0.1:9/\nProxyPassReverse / http://127.0.0.1:9/',
    "an alias": 'Alias /.well-known {docroot}/free',
    "a handler": '<Location "/">\nSetHandler server-status\n</Location>',
    "a priced expression": '<If "true">\n%sRequire netpay\n</If>' % NETPAY,
}

CLOSED = {
    "closed to all": '<Location "/">\nRequire all denied\n</Location>',
    "other networks": '<Location "/">\nRequire ip 192.0.2.0/24\n</Location>',
    "other networks with a password": '<Location "/">\n%s<RequireAll>\nRequire ip 192.0.2.0/24\nRequire valid-user\n'
                                      '</RequireAll>\n</Location>' % BASIC,
}


def vendor_with(make_vendor, gate):
    return make_vendor(modules=["auth_basic", "authn_file", "proxy", "proxy_http", "proxy_balancer", "slotmem_shm"],
                       memcached=None, gate=gate, extra="")


@pytest.mark.parametrize("name", OPEN)
def test_whatever_else_is_configured(make_vendor, name):
    vendor = vendor_with(make_vendor, OPEN[name].replace("{docroot}", "/tmp"))
    answered(post(vendor))
    assert client.http_request("GET", vendor.url(PATH)).status == 405


@pytest.mark.parametrize("name", CLOSED)
def test_denied_networks_are_denied(make_vendor, name):
    vendor = vendor_with(make_vendor, CLOSED[name])
    assert post(vendor).status == 403
    vendor.site.gate += '\n<Location "%s">\nRequire all granted\n</Location>' % PATH
    vendor.reload_all()
    answered(post(vendor))


def test_not_on_a_server_that_sells_nothing(make_vendor):
    vendor = make_vendor(directives={"NetPayVendor": None, "NetPayVendorKey": None, "NetPayVendorCertificate": None,
                                     "NetPayBroker": None, "NetPayChallengeSecret": None, "NetPayTill": None,
                                     "NetPayLog": None},
                         gate="", memcached=None)
    assert post(vendor).status == 404


def test_others_below_are_not_found(stack):
    for path in (PATH + "/", PATH + "x", "/.well-known/netpay/other"):
        assert client.http_request("POST", stack.vendor.url(path), body=b"{}").status == 404


# --- a call ----------------------------------------------------------------

@pytest.fixture(scope="module")
def asker(stack):
    """Another vendor of the same broker, without a server: its signed calls and certificate."""
    key, origin = client.Key(), "http://127.0.0.1:%d" % stacks.Ports.take()
    certificate = stack.broker.enrol(origin, key)
    return client.VendorCaller(origin, key, stack.broker.api()), certificate


def test_a_coin_is_given_once(stack, asker):
    caller, certificate = asker
    vendor, coin = stack.vendor, stack.coin(n=1000)
    assert ask(vendor, caller, certificate, coin, 1).status == 404
    reader = client.Reader(coin)
    assert reader.read(vendor.url("/articles/1.html")).status == 200
    assert reader.read(vendor.url("/articles/2.html"), index=100).receipt["spent"] == 40
    first = ask(vendor, caller, certificate, coin, 1)
    assert first.status == 200 and first.get("Content-Type") == "application/json", first
    assert first.get("Cache-Control") == "no-store"
    index = client.verify(first.json()["index"], "netpay-index+jwt", vendor.key.jwk())
    assert (index["iss"], index["aud"], index["coin"]) == (vendor.origin, caller.origin, coin.id)
    assert (index["epoch"], index["index"], index["payword"]) == (1, 40, coin.chain.word(40))
    assert first.json()["touchstone"] == coin.touchstone
    again = ask(vendor, caller, certificate, coin, 1)
    assert again.status == 200 and again.body == first.body
    counted = vendor.metrics()
    assert counted['netpay_handovers_total{result="given"}'] >= 1
    assert counted['netpay_handovers_total{result="again"}'] >= 1
    # The vendor has let it go: no page is sold for it, by any index, while the new holder does not give it back.
    assert reader.read(vendor.url("/articles/3.html"), index=120, tries=2).status == 503


def test_nothing_secret_is_logged(make_vendor, shared):
    vendor = make_vendor(start=False)
    vendor.log_level = "trace8"
    vendor.start()
    coin, key, origin = shared.coin(n=100), client.Key(), "http://127.0.0.1:%d" % stacks.Ports.take()
    certificate = shared.broker.enrol(origin, key)
    caller = client.VendorCaller(origin, key, shared.broker.api())
    # It has just started and logs all it does: until it has fetched the broker's keys it says 503.
    answer = client.Reader(coin).read(vendor.url("/articles/1.html"), tries=50)
    assert answer.status == 200, answer
    for _ in range(50):
        given = ask(vendor, caller, certificate, coin, 1)
        if given.status != 503:
            break
        time.sleep(0.2)
    assert given.status == 200, given
    text = vendor.log_text() + open(vendor.access_log).read()
    for secret in (certificate, given.json()["index"], coin.touchstone, coin.chain.word(1), coin.chain.word(20),
                   certificate.split(".")[2], coin.id):
        assert secret not in text


def test_two_vendors_in_one_server(make_vendor, shared):
    """Two sites of one httpd take a coin from each other."""
    vendor = make_vendor(start=False)
    second = vendor.add_site("other", broker=shared.broker, memcached=shared.memcached)
    vendor.start()
    reader = client.Reader(shared.coin(n=1000))
    spent = 0
    for round_ in range(3):
        for site in (vendor.site, second):
            spent += 20
            answer = reader.read(site.url("/articles/%d.html" % (1 + round_)), tries=20)
            assert answer.status == 200 and answer.receipt["spent"] == spent, answer
    gauges = [name for name in vendor.metrics() if name.startswith("netpay_unreported{")]
    assert len(gauges) == 2
    for site in (vendor.site, second):
        stacks.wait_for(lambda s=site: s.redeem()[1]["unconfirmed"] == 0, 20, "confirmed custody")
        assert site.credit() == 60000
    shared.broker.check()


def test_discovery_names_it(stack):
    about = client.http_request("GET", stack.vendor.url("/.well-known/netpay")).json()
    assert about["handoff"] == stack.vendor.origin + PATH
    certified = client.peek(open(stack.vendor.certificate_file).read().strip())
    assert certified["handoff"] == about["handoff"]
