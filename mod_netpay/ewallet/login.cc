#include "mod_netpay/ewallet/login.h"

#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::ewallet {
namespace {

constexpr std::string_view beginning = "login-";
constexpr std::size_t state_characters = 43;
constexpr std::size_t most_unfinished = 3;  // cookies of logins begun in one browser

std::string stem_of(std::string_view state) { return std::string(beginning).append(state.substr(0, Cookies::stem_tail)); }

std::string encode(const Login& l, UnixTime now) {
    return json::Object()
        .set("state", l.state)
        .set("verifier", l.verifier.expose())
        .set("issuer", l.issuer)
        .set("target", l.target)
        .set("in_cookie", l.in_cookie)
        .set("server_too", l.server_too)
        .set("amount", l.price.amount.micro())
        .set("currency", l.price.currency.str())
        .set("until", static_cast<std::uint64_t>(now + login_life_s))
        .jcs();
}

std::optional<Login> decode(std::string_view text, UnixTime now) {
    const auto parsed = json::Document::parse(text);
    if (!parsed) return std::nullopt;
    const auto& v = parsed->root();
    const auto until = v.uint("until"), amount = v.uint("amount");
    const auto currency = Currency::parse(v.string("currency").value_or(""));
    const auto *in_cookie = v.find("in_cookie"), *server_too = v.find("server_too");
    if (!until || static_cast<UnixTime>(*until) < now || !amount || !currency || !in_cookie || !server_too) return std::nullopt;
    Login l;
    l.state = v.string("state").value_or("");
    l.verifier = Secret(v.string("verifier").value_or(""));
    l.issuer = v.string("issuer").value_or("");
    l.target = v.string("target").value_or("");
    l.in_cookie = in_cookie->as_bool().value_or(false);
    l.server_too = server_too->as_bool().value_or(false);
    l.price = {*Amount::from(*amount), *currency};
    return l;
}

std::string authorize_url(const Login& l, std::string_view origin, std::string_view redirect_uri) {
    const auto challenge = b64u_encode(sha256(l.verifier.expose()));
    return l.issuer + "/authorize?response_type=code&client_id=" + form::encode(origin) +
           "&redirect_uri=" + form::encode(redirect_uri) + "&state=" + l.state + "&code_challenge=" + challenge +
           "&code_challenge_method=S256&scope=" + (l.in_cookie ? "cookie" : "server") + "&amount=" + l.price.amount.str() +
           "&currency=" + std::string(l.price.currency.str());
}

}  // namespace

Result<Beginning> begin_login(const Cookies& cookies, custody::Random& random, Login l, std::string_view redirect_uri,
                              std::string_view cookie_field, UnixTime now) {
    if (l.target.size() > longest_target) return {Code::limit, "the address is too long for an e-wallet"};
    auto state = fresh_secret(random), verifier = fresh_secret(random);
    if (!state || !verifier) return {Code::limit, "no entropy"};
    l.state = std::move(*state);
    l.verifier = Secret(*verifier);
    std::string text = encode(l, now);
    const auto sealed = cookies.seal("login", text);
    cleanse(text.data(), text.size());
    if (sealed.empty()) return {Code::limit, "no entropy"};
    Beginning b{authorize_url(l, cookies.origin(), redirect_uri), {}};
    if (const auto open = cookies.stems(cookie_field, beginning); open.size() >= most_unfinished)
        for (const auto& stem : open) b.cookies.push_back(cookies.clear(stem));
    b.cookies.push_back(cookies.set(stem_of(l.state), sealed, login_life_s));
    return b;
}

std::optional<Login> login_of(const Cookies& cookies, std::string_view cookie_field, const form::Fields& query, UnixTime now) {
    const auto state = query.find("state"), issuer = query.find("iss");
    if (state == query.end() || issuer == query.end() || state->second.size() != state_characters) return std::nullopt;
    const auto value = cookies.read(cookie_field, stem_of(state->second));
    const auto opened = value ? cookies.open("login", *value) : std::nullopt;
    auto login = opened ? decode(opened->plain.expose(), now) : std::nullopt;
    if (!login || !equal_ct(login->state, state->second) || login->issuer != issuer->second) return std::nullopt;
    return login;
}

std::string login_done(const Cookies& cookies, const Login& login) { return cookies.clear(stem_of(login.state)); }

}  // namespace netpay::ewallet
