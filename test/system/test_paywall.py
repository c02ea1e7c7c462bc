"""What a reader's browser shows for a page she has not paid for, and that it gives nothing away."""

import html.parser
import os
import re
import urllib.parse

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SOLD = ' AuthType NetPay\n AuthName "%s"\n Require netpay\n NetPayPrice %s\n'

TEMPLATE = """<!DOCTYPE html>
<html lang="de"><head><meta charset="utf-8"><title>{{title}} | {{site}}</title>{{style}}<link rel="stylesheet" href="/own.css"></head>
<body><main><h1>{{title}}</h1><p id="teaser">{{teaser}}</p><p id="price">{{price}}</p><p id="where">{{realm}} {{vendor}} {{url}}</p>
<p id="status">{{status}} {{detail}}</p>{{pay}}{{other}}</main></body></html>
"""

CGI = """#!/bin/sh
echo "ran $REQUEST_METHOD" >> %(log)s
case "$QUERY_STRING" in
    redirect) printf 'Location: /secret/elsewhere.html\\n\\n'; exit;;
    fail) printf 'Status: 500\\nNetPay-Title: FAILED\\n\\n'; exit;;
    long) printf 'NetPay-Title: %%0300d\\n' 7;;
    *) printf 'NetPay-Title: Rain & <i>wind</i>\\n';;
esac
printf 'NetPay-Teaser: It will "rain".\\nContent-Type: text/html\\n\\n<p>PAID-BY-PROGRAM\\n'
"""


def sold(path, more="", realm="The News", price="0.02 usd"):
    return '<Location "%s">\n%s%s\n</Location>\n' % (path, SOLD % (realm, price), more)


@pytest.fixture(scope="module")
def site():
    pages = {
        "plain/a.html": "<title>Plain</title><p>PAID",
        "file/a.html": "<!DOCTYPE html><html><head><title>Fish &amp; <b>chips</b></title><style>p{}</style></head><body>"
                       "<h1>Fish</h1><p>Once upon a time " + "there was a fish " * 30 + "PAID-END</p></body></html>",
        "file/marked.html": "<title>Marked</title><p>PAID-1</p><!-- netpay-teaser --><p>Free <b>part</b>.</p>"
                            "<!-- /netpay-teaser --><p>PAID-2</p>",
        "file/program.php": "<?php PAID-SOURCE ?>",
        "file/text.txt": "PAID-TEXT",
        "file/sub/index.html": "<title>Index of sub</title><p>First words of sub",
        "file/shy/index.html": "<title>Shy</title><p>PAID",
        "own/a.html": "<title>Own</title><p>PAID",
        "secret/elsewhere.html": "<p>PAID-ELSEWHERE",
        "own.css": "body{}", "index.html": "free",
    }
    with stacks.Stack(start=False, modules=["cgid"], pages=pages, directives=stacks.PATIENT) as made:
        vendor = made.vendor
        cgi = os.path.join(made.dir, "cgi")
        os.makedirs(cgi)
        made.cgi_log = os.path.join(made.dir, "cgi.log")
        open(made.cgi_log, "w").close()
        os.chmod(made.cgi_log, 0o666)
        for name, text in (("page", CGI % {"log": made.cgi_log}),
                           ("nph-page", "#!/bin/sh\nprintf 'HTTP/1.0 200 OK\\r\\nNetPay-Title: X\\r\\n\\r\\nPAID-NPH'\n")):
            with open(os.path.join(cgi, name), "w") as f:
                f.write(text)
            os.chmod(os.path.join(cgi, name), 0o755)
        template = os.path.join(made.dir, "paywall.html")
        with open(template, "w") as f:
            f.write(TEMPLATE)
        vendor.head = "ScriptSock %s/cgid.sock\n" % made.dir
        vendor.site.gate = "".join([
            sold("/plain/"), sold("/file/", "NetPayTeaserFrom file 60"),
            '<Location "/file/shy/index.html">\nNetPayTeaserFrom none\n</Location>\n',
            sold("/told/", 'NetPayTitle "Title </h1><script>alert(1)</script> of %{REQUEST_URI}"\n'
                           'NetPayTeaser "\\"quoted\\" & <b>bold</b> %{QUERY_STRING}"'),
            sold("/long/", 'NetPayTitle "%s"\nNetPayTeaser "%s"' % ("title " * 100, "teaser " * 400)),
            sold("/own/", 'NetPayPaywall "%s"\nNetPayTeaser "A <teaser>"' % template),
            sold("/realm/", realm="R<i>&'x"), sold("/dear/", price="1.5 eur"), sold("/cheap/", price="0.005 usd"),
            sold("/franc/", price="0.02 chf"), sold("/prices/", "NetPayPriceExpr nonsense"), sold("/secret/"),
            'ScriptAlias "/cgi/" "%s/"\n<Directory "%s">\n Require all granted\n</Directory>\n' % (cgi, cgi),
            sold("/cgi/", "NetPayTeaserFrom page"),
            sold("/none/", "NetPayWallets none"), sold("/both/", "NetPayWallets cookie server"),
            sold("/cookie/", "NetPayWallets cookie"),
        ])
        made.run(vendor)
        yield made


class Reader(html.parser.HTMLParser):
    """What stands in a page: the text of each element by its tag or id, links, the whole text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.by, self.links, self.text = [], {}, [], ""
        self.forms, self.buttons, self.hidden = [], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "iframe", "object", "img"), tag
        assert not any(name.startswith("on") or name == "style" for name in attrs), attrs
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "button":
            self.buttons.append((attrs["name"], attrs["value"]))
        if tag == "form":
            self.forms.append(attrs)
        if tag == "input":
            self.hidden[attrs["name"]] = attrs["value"]
        if tag not in ("meta", "link", "br", "input"):
            self.open.append([k for k in (tag, attrs.get("id"), attrs.get("class"), attrs.get("role")) if k])

    def handle_endtag(self, tag):
        if self.open:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "style":
            return
        self.text += data
        for names in self.open:
            for name in names:
                self.by[name] = self.by.get(name, "") + data


def get(site, path, headers=BROWSER, method="GET", **more):
    return client.http_request(method, site.vendor.url(path), headers, **more)


def paywall(site, path, **more):
    answer = get(site, path, **more)
    assert answer.status == 402, answer
    assert answer.get("Content-Type") == "text/html; charset=utf-8"
    assert b"PAID" not in answer.body
    return Reader(answer.body.decode())


def test_it_says_whose_what_and_how_much(site):
    page = paywall(site, "/plain/a.html?x=1&y=2")
    assert page.by["h1"] == "This page costs 2 ¢"
    assert site.vendor.origin.split("//")[1] in page.text and "The News" in page.text
    assert page.by["button"].strip() == "Pay 2 ¢ with my e-wallet"
    way_back = urllib.parse.urlencode({"client": site.vendor.origin, "target": "/plain/a.html?x=1&y=2"})
    assert page.links == [site.broker.issuer + "/sign-up?" + way_back]
    assert "netpay get '%s'" % site.vendor.url("/plain/a.html?x=1&y=2") in page.by["details"]


def test_one_form_to_the_pages_own_address(site):
    for path, buttons in (("/plain/a.html", ["wallet"]), ("/cookie/a.html", ["cookie"]), ("/both/a.html", ["wallet", "cookie"])):
        answer = get(site, path)
        page = Reader(answer.body.decode())
        assert page.forms == [{"method": "post"}]  # no action: the address keeps its fragment
        assert page.buttons == [("netpay", value) for value in buttons]
        assert set(page.hidden) == {"broker", "token"} and page.hidden["broker"] == site.broker.issuer
        assert "form-action 'self' %s;" % site.broker.issuer in answer.get("Content-Security-Policy")


def test_places_without_wallets_for_browsers(site):
    answer = get(site, "/none/a.html")
    page = Reader(answer.body.decode())
    assert page.links == [site.broker.issuer + "/sign-up", site.broker.issuer + "/topup"] and not page.forms
    assert "Get an e-wallet" in page.by["button"] and "form-action 'self';" in answer.get("Content-Security-Policy")
    sent = get(site, "/none/a.html", method="POST", body="netpay=wallet&broker=x&token=y",
               headers=dict(BROWSER, Origin=site.vendor.origin, **{"Content-Type": "application/x-www-form-urlencoded"}))
    assert sent.status == 402 and not sent.get("Set-Cookie") and "not taken in" in Reader(sent.body.decode()).text


def test_headers_are_those_of_any_402(site):
    plain, shown = get(site, "/plain/a.html", headers={}), get(site, "/plain/a.html")
    assert plain.status == shown.status == 402 and plain.get("Content-Type") == "application/problem+json"
    for name in ("Cache-Control", "Vary", "Payment-Receipt"):
        assert plain.all(name) == shown.all(name), name
    strip = [dict(c, id="", expires="") for a in (plain, shown) for c in a.challenges]
    assert strip[:2] == strip[2:] and len(strip) == 4
    for name, value in (("X-Frame-Options", "DENY"), ("Referrer-Policy", "same-origin"), ("X-Content-Type-Options", "nosniff")):
        assert shown.all(name) == [value] and not plain.all(name)
    policy = shown.get("Content-Security-Policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert not plain.get("Content-Security-Policy")


def test_head_has_the_headers_and_no_body(site):
    shown, head = get(site, "/file/a.html"), get(site, "/file/a.html", method="HEAD")
    assert head.status == 402 and head.body == b""
    assert head.get("Content-Length") == str(len(shown.body)) and len(head.challenges) == 2


@pytest.mark.parametrize("path, price", [("/plain/x", "2 ¢"), ("/dear/x", "€1.50"), ("/cheap/x", "0.5 ¢"), ("/franc/x", "0.02 CHF")])
def test_prices_as_people_write_them(site, path, price):
    assert price in paywall(site, path).text


def test_title_and_teaser_are_told_and_escaped(site):
    page = paywall(site, "/told/x?a=<script>alert(2)</script>&b='%22")
    assert page.by["h1"] == "Title </h1><script>alert(1)</script> of /told/x"
    assert page.by["teaser"] == "\"quoted\" & <b>bold</b> a=<script>alert(2)</script>&b='%22"
    assert page.by["price"] == "2 ¢"
    assert page.by["title"].startswith("Title </h1>")


def test_realms_are_escaped(site):
    assert "(R<i>&'x)" in paywall(site, "/realm/x").text


def test_long_words_are_cut(site):
    page = paywall(site, "/long/x")
    assert len(page.by["h1"]) <= 202 and page.by["h1"].endswith("title …")
    assert len(page.by["teaser"]) <= 1004 and page.by["teaser"].endswith("teaser …")


def test_teaser_of_a_file(site):
    page = paywall(site, "/file/a.html")
    assert page.by["h1"] == "Fish & chips"
    assert page.by["teaser"].startswith("Fish Once upon a time there was a fish") and page.by["teaser"].endswith("…")
    assert len(page.by["teaser"]) <= 62
    marked = paywall(site, "/file/marked.html")
    assert (marked.by["h1"], marked.by["teaser"]) == ("Marked", "Free part.")
    assert paywall(site, "/file/sub/").by["h1"] == "Index of sub"


@pytest.mark.parametrize("path", ["/file/program.php", "/file/text.txt", "/file/none.html", "/file/sub", "/file/a.html/more",
                                  "/file/shy/", "/file/shy/index.html"])
def test_files_that_are_no_pages_tell_nothing(site, path):
    assert paywall(site, path).by["h1"] == "This page costs 2 ¢"


ACTIONS = [  # in the server, in .htaccess; whether the file is told of
    ("", "", True),
    ("Action image/png /run\nScript PUT /run", "", True),
    ("Action text/html /run", "", False),
    ("Action Application/XHTML+XML /run", "", False),
    ("Script GET /run", "", False),
    ('<Location "/file/">\nAction text/html /run\n</Location>', "", False),
    ("", "Action text/html /run", False),
    ("", "DirectoryIndex a.html", False),  # it might have been an Action
]


@pytest.mark.parametrize("server, htaccess, told", ACTIONS)
def test_source_of_what_a_program_handles_is_not_told(make_vendor, server, htaccess, told):
    """mod_actions gives files to programs by their media type, and no handler shows it."""
    vendor = make_vendor(start=False, modules=["actions"], pages={"file/a.html": "<title>Rain</title><p>password=SOURCE"})
    vendor.site.gate, vendor.site.extra = sold("/file/", "NetPayTeaserFrom file 60"), server
    if htaccess:
        vendor.site.pages["file/.htaccess"] = htaccess
    vendor.start()
    answer = client.http_request("GET", vendor.url("/file/a.html"), BROWSER)
    assert answer.status == 402 and (b"SOURCE" in answer.body) == told and (b"<h1>Rain" in answer.body) == told


def test_htaccess_that_cannot_act_hinders_no_teaser(make_vendor):
    vendor = make_vendor(start=False, modules=["actions"],
                         pages={"file/a.html": "<title>Rain</title><p>It rains.", "file/.htaccess": 'NetPayTitle "Sun"'})
    vendor.site.gate, vendor.site.extra = sold("/file/", "NetPayTeaserFrom file 60"), '<Directory "{docroot}">\nAllowOverride AuthConfig\n</Directory>'
    vendor.start()
    page = Reader(client.http_request("GET", vendor.url("/file/a.html"), BROWSER).body.decode())
    assert page.by["h1"] == "Sun" and page.by["teaser"] == "It rains."


def test_teaser_by_the_pages_own_program(site):
    before = len(open(site.cgi_log).readlines())
    page = paywall(site, "/cgi/page?x=1")
    assert page.by["h1"] == "Rain & <i>wind</i>" and page.by["teaser"] == "It will \"rain\"."
    assert open(site.cgi_log).readlines()[before:] == ["ran HEAD\n"]
    assert len(paywall(site, "/cgi/page?long").by["h1"]) <= 202
    for query in ("redirect", "fail"):
        assert paywall(site, "/cgi/page?" + query).by["h1"] == "This page costs 2 ¢"
    assert paywall(site, "/cgi/nph-page").by["h1"] == "This page costs 2 ¢"


def test_program_runs_for_no_other_refusal(site):
    before = len(open(site.cgi_log).readlines())
    assert get(site, "/cgi/page", method="POST", body="x=1").status == 402
    assert get(site, "/cgi/page", headers={}).status == 402
    assert len(open(site.cgi_log).readlines()) == before


def test_upgrade_and_conditions_change_nothing(site):
    more = dict(BROWSER, **{"Upgrade": "websocket", "Connection": "Upgrade", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
                            "If-None-Match": "*", "Range": "bytes=0-5"})
    assert paywall(site, "/cgi/page?x=2", headers=more, body="sent with a GET").by["h1"] == "Rain & <i>wind</i>"


def test_paid_page_is_itself(site):
    coin = site.coin(n=100)
    answer = client.pay(site.vendor.url("/file/marked.html"), coin, headers=BROWSER)
    assert answer.status == 200 and answer.body == site.vendor.pages["file/marked.html"].encode()
    assert not answer.get("Content-Security-Policy") and not answer.get("X-Frame-Options")
    answer = client.pay(site.vendor.url("/cgi/page"), coin, headers=BROWSER)
    assert answer.status == 200 and b"PAID-BY-PROGRAM" in answer.body and answer.receipt["spent"] == 40


def test_template_of_the_operator(site):
    answer = get(site, "/own/a.html?q=<b>")
    page = Reader(answer.body.decode())
    assert answer.status == 402 and 'lang="de"' in answer.body.decode()
    assert page.by["teaser"] == "A <teaser>" and page.by["price"] == "2 ¢"
    assert page.by["where"] == "The News %s %s" % (site.vendor.origin, site.vendor.url("/own/a.html?q=<b>"))
    assert page.by["status"].strip() == ""
    assert page.buttons == [("netpay", "wallet")] and "netpay get" in page.by["details"]
    policy = answer.get("Content-Security-Policy")
    assert re.search(r"style-src 'sha256-\S+' 'self'", policy) and "default-src 'none'" in policy
    assert b"{{" not in answer.body


def test_refused_payment_is_explained(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/own/a.html")
    challenge = client.http_request("GET", url).challenge("session")
    for path in ("/own/a.html", "/plain/a.html"):
        answer = client.pay(site.vendor.url(path), coin, index=10, challenge=challenge, headers=BROWSER)
        page = Reader(answer.body.decode())
        assert answer.status == 402 and "does not suffice" in page.by["status"], page.by
        assert len(answer.challenges) == 2


def test_forms_are_told_so(site):
    page = paywall(site, "/plain/a.html", method="POST", body="a=1")
    assert "nothing was charged" in page.text and not page.links and "netpay get" not in page.text


def test_faults_are_pages_too(site):
    answer = get(site, "/prices/x")
    page = Reader(answer.body.decode())
    assert answer.status == 503 and answer.get("Retry-After") and answer.get("X-Frame-Options") == "DENY"
    assert page.by["h1"] == "The payment cannot be processed now" and "Nothing was charged" in page.by["status"]
    assert not answer.challenges and not page.links
    two = client.credential({"id": "x"}, site.coin(n=100), 1)
    answer = get(site, "/plain/a.html", headers=list(BROWSER.items()) + [("Authorization", two), ("Payment-Authorization", two)])
    assert answer.status == 400 and answer.get("Content-Type").startswith("text/html")
    assert get(site, "/prices/x", headers={}).get("Content-Type") == "application/problem+json"


@pytest.mark.parametrize("line, expected", [
    ("NetPayTitle \"%{nonsense\"", r"(?i)expression|parse"),
    ("NetPayTeaser \"%{nonsense\"", r"(?i)expression|parse"),
    ("NetPayTeaserFrom memory", r"none, file \[CHARACTERS\], page"),
    ("NetPayTeaserFrom file 0", r"1 to 1000"),
    ("NetPayTeaserFrom file many", r"1 to 1000"),
    ("NetPayTeaserFrom page 5", r"goes with file only"),
    ("NetPayWallets", r"server, cookie or both, or none alone"),
    ("NetPayWallets memory", r"none of server, cookie, none"),
    ("NetPayWallets none server", r"none alone"),
    ("NetPayWallets server server", r"named twice"),
    ("NetPayPaywall /nonexistent/page.html", r"/nonexistent/page.html cannot be read"),
    ("NetPayPaywall {dir}/unknown.html", r"unknown.html: line 2: there is no placeholder \{\{prise\}\}.*price"),
    ("NetPayPaywall {dir}/silent.html", r"silent.html: \{\{pay\}\} is missing"),
    ("NetPayPaywall {dir}/open.html", r"open.html: line 1: a placeholder begins"),
    ("NetPayPaywall {dir}/big.html", r"big.html: larger than 256 KiB"),
])
def test_wrong_values_are_told(site, line, expected):
    for name, text in (("unknown", "{{pay}}\n{{prise}}"), ("silent", "{{price}}"), ("open", "{{pay}}{{price"),
                       ("big", "{{pay}}" + "x" * 300000)):
        with open(os.path.join(site.dir, name + ".html"), "w") as f:
            f.write(text)
    config = open(site.vendor.config).read()
    wrong = os.path.join(site.dir, "wrong.conf")
    with open(wrong, "w") as f:
        f.write(config.replace('<Location "/plain/">', '<Location "/plain/">\n' + line.replace("{dir}", site.dir), 1))
    status, said = site.vendor.test_config(wrong)
    assert status != 0 and line.split()[0] in said and "wrong.conf" in said, said
    assert re.search(expected, said.replace("\n", " ")), said


def test_htaccess_may_tell_but_not_read_files(site):
    name = site.vendor.write("plain/.htaccess", 'NetPayTitle "From .htaccess"\n')
    try:
        assert paywall(site, "/plain/a.html").by["h1"] == "From .htaccess"
        for line in ('NetPayTitle "%%{file:%s}"' % site.vendor.secret_file, "NetPayPaywall /etc/passwd"):
            site.vendor.write("plain/.htaccess", line + "\n")
            assert get(site, "/plain/a.html").status == 500
    finally:
        os.unlink(name)
