// A person with a browser at a broker's site, without its HTTP server.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "broker/web/site.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {

inline std::string header(const Response& r, std::string_view name) {
    for (const auto& [n, v] : r.headers)
        if (n == name) return v;
    return {};
}

inline std::string between(const std::string& text, const std::string& before, const std::string& after) {
    const auto from = text.find(before);
    CPPUNIT_ASSERT_MESSAGE("no " + before + " in " + text, from != std::string::npos);
    const auto start = from + before.size();
    return text.substr(start, text.find(after, start) - start);
}

inline bool has(const Response& r, const std::string& text) { return r.body.find(text) != std::string::npos; }
inline void assert_has(const Response& r, const std::string& text) { CPPUNIT_ASSERT_MESSAGE("no " + text + " in " + r.body, has(r, text)); }

inline std::string form_of(const std::map<std::string, std::string>& fields) {
    std::string out;
    for (const auto& [name, value] : fields) out += (out.empty() ? "" : "&") + form::encode(name) + "=" + form::encode(value);
    return out;
}

// A browser: keeps cookies, sends Origin with forms.
class Browser {
public:
    explicit Browser(World& w) : world_(w) {}

    using Query = std::map<std::string, std::string>;
    using Headers = std::map<std::string, std::string, std::less<>>;

    Response get(const std::string& path, Query query = {}, Headers headers = {}) {
        Request r;
        r.method = "GET";
        r.path = path;
        r.query = std::move(query);
        r.headers = std::move(headers);
        return send("GET " + path, r);
    }
    Response post(const std::string& path, const std::map<std::string, std::string>& fields, Query query = {}) {
        Request r;
        r.method = "POST";
        r.path = path;
        r.query = std::move(query);
        r.body = form_of(fields);
        if (!origin.empty()) r.headers["origin"] = origin;
        return send("POST " + path, r);
    }
    // The token of the first form of a page.
    std::string csrf(const std::string& path) { return between(get(path).body, "name=\"csrf\" value=\"", "\""); }
    std::string sign_up() {
        const auto r = post("/sign-up", {{"csrf", csrf("/sign-up")}});
        assert_ok(r);
        return between(r.body, "<strong class=\"phrase\">", "</strong>");
    }
    Response sign_in(const std::string& passphrase, const std::string& next = "/") {
        return post("/sign-in", {{"csrf", csrf("/sign-in")}, {"next", next}, {"passphrase", passphrase}});
    }
    bool member() { return get("/account").status == 200; }
    std::string session() const {
        const auto i = cookies.find("__Host-netpay-site");
        return i == cookies.end() ? std::string() : i->second;
    }

    std::map<std::string, std::string> cookies;
    std::string origin = issuer;

private:
    Response send(const std::string& route, Request& r) {
        std::string field;
        for (const auto& [name, value] : cookies) field += (field.empty() ? "" : "; ") + name + "=" + value;
        if (!field.empty()) r.headers["cookie"] = field;
        auto answer = world_.calls.call(route, r);
        for (const auto& [name, value] : answer.headers)
            if (name == "Set-Cookie") keep(value);
        return answer;
    }
    void keep(const std::string& field) {
        const auto eq = field.find('='), end = field.find(';');
        const auto name = field.substr(0, eq), value = field.substr(eq + 1, end - eq - 1);
        CPPUNIT_ASSERT_MESSAGE(field, field.substr(end).starts_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
        if (value.empty()) cookies.erase(name);
        else cookies[name] = value;
    }
    World& world_;
};

// A member with money.
struct Member {
    explicit Member(World& w, std::uint64_t micro = 10000000) : browser(w) {
        passphrase = browser.sign_up();
        const auto r = browser.post("/topup", {{"csrf", browser.csrf("/topup")}, {"provider", "voucher"}, {"voucher", w.voucher(micro)}});
        CPPUNIT_ASSERT_MESSAGE(r.body, r.status == 200 || r.status == 303);
    }
    Response buy(const std::string& terms = "uusd.1000.1000") {
        const auto page = browser.get("/coins").body;
        return browser.post("/coins", {{"csrf", between(page, "name=\"csrf\" value=\"", "\"")}, {"terms", terms},
                                       {"once", between(page, "name=\"once\" value=\"", "\"")}});
    }
    std::string coin() {
        CPPUNIT_ASSERT_EQUAL(303, buy().status);
        return between(browser.get("/coins").body, "name=\"coin.", "\"");
    }
    Response take_out(const std::string& coin, bool account = false) {
        std::map<std::string, std::string> fields{{"csrf", browser.csrf("/coins")}, {"coin." + coin, "1"}};
        if (account) fields["account"] = "1";
        return browser.post("/export", fields);
    }
    Browser browser;
    std::string passphrase;
};

}  // namespace netpay::broker::test
