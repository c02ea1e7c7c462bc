#include "mod_netpay/ewallet/journey.h"

#include <algorithm>

#include "core/base64url.h"
#include "mod_netpay/custody/reply.h"
#include "mod_netpay/ewallet/answer.h"
#include "mod_netpay/ewallet/counted.h"
#include "mod_netpay/ewallet/orders.h"
#include "mod_netpay/ewallet/standing.h"

namespace netpay::ewallet {
namespace {

// Readers who come back from a broker cost a call to it each, whatever their
// code is worth: of one address in one process, and at the same time in it, of
// whose threads httpd has 25 by default.
constexpr double exchanges_a_second = 1, exchanges_at_once = 20;
constexpr std::uint32_t most_exchanging = 12;
constexpr std::size_t told_at_once = 50;      // e-wallets of which brokers are told in one round
constexpr std::string_view leaving = "left";  // what is sealed for it

// Why the broker gave nothing for a code, in words for the reader.
Refusal not_got(int status, std::string_view kind) {
    Refusal r;
    r.decision = Decision::required;
    r.status = 409;
    if (status == 409 && kind == "day-limit")
        r.detail = "What you allow for a day is used up. Nothing was charged. You can allow more for today at your broker.";
    else if (status == 409)
        r.detail = "There is too little money in your e-wallet for this page. Nothing was charged. You can add some at your broker.";
    else if (status == 403)
        r.detail = "Your broker does not serve this site at present. Nothing was charged.";
    else if (status == 400)
        r.detail = "That way back from your broker was used before, or is too old. Nothing was charged. Open the page and try again.";
    else
        r.detail = "Your broker's answer could not be used, and nothing was charged. Open the page and try again.";
    return r;
}

}  // namespace

Result<Begun> Journey::begin(const Visit& v, const std::string& issuer, bool cookie_kind) {
    if (std::find(h_.options.issuers.begin(), h_.options.issuers.end(), issuer) == h_.options.issuers.end())
        return {Code::mismatch, "a broker not accepted here"};
    if (!(cookie_kind ? v.cookie : v.server)) return {Code::mismatch, "a kind of e-wallet not offered here"};
    Login login;
    login.issuer = issuer;
    login.target = v.target;
    login.in_cookie = cookie_kind;
    login.server_too = v.server;
    login.price = v.price;
    auto b = begin_login(h_.cookies, h_.world.random, std::move(login), h_.options.origin + std::string(callback_path),
                         v.cookies, v.now);
    if (!b) return b.error();
    return Begun{std::move(b->location), std::move(b->cookies), std::nullopt};
}

// Seconds to wait, where this address has sent so many already.
std::uint32_t Journey::too_often(std::string_view peer, UnixTime now) {
    const std::lock_guard g(exchanges_mutex_);
    return static_cast<std::uint32_t>(
        exchanges_.take(world::rate_key(peer), 0, exchanges_a_second, exchanges_at_once, static_cast<double>(now)));
}

Begun Journey::finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now) {
    Begun out;
    const auto login = login_of(h_.cookies, cookies, query, now);
    if (!login) {
        out.location = h_.url(wallet_path);
        return out;
    }
    out.location = h_.url(login->target);
    out.cookies.push_back(login_done(h_.cookies, *login));
    const auto code = query.find("code");
    if (code == query.end()) return out;  // she said no, or the broker did
    if (!b64u_decode_array<32>(code->second)) {
        out.refusal = not_got(400, {});
        return out;
    }
    const Counted counted(exchanging_);
    const auto wait = counted.before() >= most_exchanging ? busy_retry_s : too_often(peer, now);
    if (wait) {
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::custody_unavailable, wait);
        return out;
    }
    const auto first = h_.notes->use_state(login->state, now + login_life_s);
    if (first && !*first) return out;  // as by the back button; what came of it is in this browser
    if (!first) {
        h_.say(custody::Log::Level::error, first.error().detail);
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    const auto reply = h_.keeper.ask(login->issuer, "ewallet/token",
                                     json::Object()
                                         .set("code", code->second)
                                         .set("redirect_uri", h_.options.origin + std::string(callback_path))
                                         .set("code_verifier", login->verifier.expose()));
    if (reply.status == 0) {
        (void)h_.notes->forget_state(login->state);
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::custody_unavailable, reply.retry_after_s);
        return out;
    }
    if (reply.status != 200) {
        h_.say(custody::Log::Level::warning, reply.detail);
        out.refusal = not_got(reply.status, reply.kind);
        return out;
    }
    auto d = read_answer(reply.body->root(), login->issuer, h_.options.origin, {}, h_.keeper, h_.chains, now);
    if (d) come_home(*login, std::move(*d), cookies, now, out);
    else {
        h_.say(custody::Log::Level::error, d.error().detail);
        out.refusal = not_got(200, {});
    }
    return out;
}

// The grant into the browser, in place of what it had, and the page she came from.
void Journey::come_home(const Login& login, Document document, std::string_view cookies, UnixTime now, Begun& out) {
    Wallet w;
    w.document = std::move(document);
    w.binding = binding_of(w.document.grant);
    w.document.coin.epoch = ended_epoch(h_.till.find(w.document.coin.tag));
    const auto before = h_.presented(cookies, now, true, true);
    if (before && before->wallet) {
        const auto& old = before->wallet->document;
        if (old.coin.tag == w.document.coin.tag) w.document.past = old.past;
        else w.document.past = past_of(old.coin);
    }
    auto cookie = h_.vault->found(w, login.in_cookie, now);
    if (!cookie && cookie.error().code == Code::limit && login.in_cookie && login.server_too)
        cookie = h_.vault->found(w, false, now);
    if (!cookie) {
        h_.say(custody::Log::Level::error, cookie.error().detail);
        out.refusal = not_got(200, {});
        if (cookie.error().code == Code::limit)
            out.refusal->detail = "This e-wallet is too long for a cookie, and nothing was charged. Open the page and have it kept at the site.";
        return;
    }
    if (before && before->wallet) h_.vault->replace(*before->wallet, now);
    out.cookies.push_back(std::move(*cookie));
    if (login.price.amount.micro())
        if (auto order = order_cookie(h_.cookies, {w.binding, login.target, login.price}, now); !order.empty())
            out.cookies.push_back(std::move(order));
}

Begun Journey::leave(std::string_view cookies, UnixTime now) {
    Begun out;
    out.location = h_.url(wallet_path);
    const auto found = h_.presented(cookies, now, true, true);
    if (!found) {
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    if (!found->presented) return out;
    if (!found->wallet) {
        out.cookies.push_back(h_.vault->clear());
        return out;
    }
    // Noted first: whatever fails after it, no copy of the e-wallet is good here.
    const auto& w = *found->wallet;
    std::string text = json::Object().set("issuer", w.document.issuer).set("grant", w.document.grant.expose()).jcs();
    const auto sealed = h_.cookies.seal(leaving, text);
    cleanse(text.data(), text.size());
    const auto noted = h_.notes->leave(w.binding, sealed, w.document.until);
    if (sealed.empty() || !noted) {
        h_.say(custody::Log::Level::error, noted ? "e-wallets: no entropy" : noted.error().detail);
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    out.cookies.push_back(h_.vault->drop(w));
    std::set<std::string> silent;
    tell_left({w.binding, sealed}, silent);
    return out;
}

// Tells the broker of an e-wallet that was left, unless it did not answer a moment ago.
void Journey::tell_left(const Notes::Untold& e, std::set<std::string>& silent) {
    const auto opened = h_.cookies.open(leaving, e.what);
    const auto doc = opened ? json::Document::parse(opened->plain.expose()) : Result<json::Document>(Code::malformed, "");
    if (doc) {
        const std::string issuer(doc->root().string("issuer").value_or(""));
        if (silent.contains(issuer)) return;
        const auto reply =
            h_.keeper.ask(issuer, "ewallet/leave", json::Object().set("grant", doc->root().string("grant").value_or("")));
        if (reply.status == 0) {
            silent.insert(issuer);
            return;
        }
    }
    if (const auto done = h_.notes->told(e.binding); !done) h_.say(custody::Log::Level::error, done.error().detail);
}

void Journey::tell_brokers() {
    std::set<std::string> silent;
    for (const auto& e : h_.notes->untold(told_at_once)) tell_left(e, silent);
}

}  // namespace netpay::ewallet
