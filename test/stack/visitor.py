"""A browser without a screen, for tests of the broker's site: it keeps cookies, reads forms out of
the page it is on, sends them as browsers do, and follows redirects. No JavaScript, as the pages need none."""

import html.parser
import urllib.parse

import client


class Form:
    def __init__(self, attributes):
        self.action = attributes.get("action") or ""
        self.method = (attributes.get("method") or "get").lower()
        self.fields = {}
        self.boxes = {}
        self.buttons = []

    def values(self, button, typed=None):
        """What it sends by that button; typed: fields that are filled in or chosen before, None: a box unticked."""
        named = [b for b in self.buttons if b[0] == button] or [b for b in self.buttons if b[0].startswith(button)]
        values = dict(self.fields, **{name: value for _, name, value in named if name})
        for name, value in (typed or {}).items():
            assert name in self.fields or name in self.boxes, "no field %r in that form" % name
            if value is None:
                values.pop(name, None)
            else:
                values[name] = value
        return values


class Page(html.parser.HTMLParser):
    """What a reader sees: title, text, links by text, forms."""

    def __init__(self, body):
        super().__init__()
        self.forms, self.links, self.text, self.title = [], {}, "", ""
        self._open = []  # (tag, attributes, where its text began)
        self._hidden = 0
        self._select = None
        self.feed(body)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        form = self.forms[-1] if self.forms else None
        if tag == "form":
            self.forms.append(Form(a))
        elif tag == "input" and form:
            if a.get("type") in ("checkbox", "radio"):
                form.boxes.setdefault(a["name"], []).append(a.get("value", "on"))
                if "checked" in a:
                    form.fields[a["name"]] = a.get("value", "on")
            elif a.get("name"):
                form.fields[a["name"]] = a.get("value", "")
        elif tag == "select" and form:
            self._select = a["name"]
        elif tag == "option" and form and self._select:
            form.boxes.setdefault(self._select, []).append(a.get("value"))
            form.fields.setdefault(self._select, a.get("value"))
        elif tag == "textarea" and form:
            form.fields[a["name"]] = ""
        elif tag == "style":
            self._hidden += 1
        if tag in ("a", "button", "title"):
            self._open.append((tag, a, len(self.text)))

    def handle_endtag(self, tag):
        if tag == "style":
            self._hidden -= 1
        if tag == "select":
            self._select = None
        if self._open and self._open[-1][0] == tag:
            _, a, start = self._open.pop()
            label = a.get("aria-label") or " ".join(self.text[start:].split())
            if tag == "a":
                self.links[label] = a.get("href", "")
            elif tag == "title":
                self.title = label
            elif self.forms:
                self.forms[-1].buttons.append((label, a.get("name"), a.get("value", "")))
        self.text += " " if tag not in ("code", "strong", "b", "i") else ""

    def handle_data(self, data):
        if not self._hidden:
            self.text += data

    def form(self, button):
        """The form with a button of that name (or whose name begins so)."""
        found = [f for f in self.forms if any(label.startswith(button) for label, _, _ in f.buttons)]
        assert found, "no button %r on %r; there are %s" % (button, self.title, [b[0] for f in self.forms for b in f.buttons])
        return found[0]


class Visitor:
    """One person's browser at one site. After each step: status, page, body, headers, path."""

    def __init__(self, origin, address=None):
        self.origin, self.address = origin, address or origin
        self.cookies = {}
        self.status, self.body, self.path, self.page, self.headers = None, "", "/", None, None
        self.steps = 0  # requests sent

    def request(self, method, path, body=None, headers=None):
        """One request, its redirect not followed."""
        fields = {"Accept": "text/html,*/*;q=0.8"}
        if self.cookies:
            fields["Cookie"] = "; ".join("%s=%s" % c for c in self.cookies.items())
        if body is not None:
            fields.update({"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin})
        fields.update(headers or {})
        fields = {k: v for k, v in fields.items() if v is not None}
        answer = client.http_request(method, self.address + path, headers=fields, body=body)
        self.steps += 1
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                self._keep(value)
        return answer

    def _keep(self, field):
        pair, *attributes = [part.strip() for part in field.split(";")]
        name, _, value = pair.partition("=")
        assert name.startswith("__Host-") and {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes), field
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def _arrive(self, answer, path):
        for _ in range(5):
            if answer.status != 303:
                break
            path = next(v for k, v in answer.headers if k.lower() == "location")
            assert path.startswith("/"), "a redirect away from the site: " + path
            answer = self.request("GET", path)
        self.status, self.path, self.headers = answer.status, path, {k.lower(): v for k, v in answer.headers}
        self.body = answer.body.decode()
        self.page = Page(self.body) if "html" in self.headers.get("content-type", "") else None
        return self

    def open(self, path):
        return self._arrive(self.request("GET", path), path)

    def follow(self, label):
        return self.open(self.page.links[label])

    def form(self, button):
        return self.page.form(button)

    def press(self, button, headers=None, **fields):
        """Presses a button; fields: what is typed or chosen before (None: a box is unticked)."""
        form = self.form(button)
        encoded, action = urllib.parse.urlencode(form.values(button, fields)), form.action or self.path
        if form.method == "get":
            return self.open(action + "?" + encoded)
        return self._arrive(self.request("POST", action, encoded, headers), action)

    # The site's first steps.

    def sign_up(self):
        """A new account; its passphrase."""
        self.open("/sign-up").press("Sign up")
        assert self.status == 200, self.body
        return self.body.split('class="phrase">', 1)[1].split("<", 1)[0]

    def sign_in(self, passphrase):
        return self.open("/sign-in").press("Sign in", passphrase=passphrase)

    def top_up(self, voucher):
        self.open("/topup").press("Add money", voucher=voucher)
        assert self.status == 200 and "added to your balance" in self.page.text, self.page.text
        return self
