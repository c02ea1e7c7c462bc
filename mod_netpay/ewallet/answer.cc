#include "mod_netpay/ewallet/answer.h"

#include "core/base64url.h"
#include "core/origin.h"
#include "core/payword.h"

namespace netpay::ewallet {
namespace {

constexpr std::size_t grant_characters = 43;  // 32 bytes

Error bad(const std::string& issuer, const char* what) { return {Code::malformed, "broker " + issuer + ", e-wallet: " + what}; }

// Of the coin all but its epoch; nullptr: it is good.
const char* read_coin(const json::Value& v, const std::string& vendor, const Touchstone& t, GrantedCoin& c) {
    const auto spent = v.uint("spent"), granted = v.uint("granted"), held = v.uint("held");
    const auto word = decode_payword(v.string("payword").value_or(""));
    if (!spent || *spent > t.n || !granted || *granted < 1 || *granted > t.n || !word) return "no index or payword of the chain";
    c.name = t.coin;
    c.tag = t.tag;
    c.salt = t.salt;
    c.n = t.n;
    c.unit = t.unit;
    c.spent = static_cast<std::uint32_t>(*spent);
    c.granted = static_cast<std::uint32_t>(*granted);
    c.word = *word;
    const auto holder = v.string("holder");
    if (!holder || *holder == vendor) return nullptr;
    if (!is_origin(*holder) || !held || *held < 1 || *held > t.n) return "a holder that is none";
    c.holder = *holder;
    c.held = static_cast<std::uint32_t>(*held);
    return nullptr;
}

}  // namespace

std::optional<Terms> read_terms(const json::Value& v, const Currency& expected, UnixTime now) {
    const auto until = v.uint("until"), per_page = v.uint("per_page"), per_day = v.uint("per_day");
    const auto* automatic = v.find("automatic");
    if (!until || static_cast<UnixTime>(*until) <= now || !per_page || !per_day || !automatic || !automatic->as_bool() ||
        v.string("currency") != expected.str())
        return std::nullopt;
    return Terms{now, static_cast<UnixTime>(*until), *Amount::from(*per_page), *Amount::from(*per_day), *automatic->as_bool()};
}

void set_terms(Document& d, const Terms& t) {
    d.at = t.at;
    d.until = t.until;
    d.per_page = t.per_page;
    d.per_day = t.per_day;
    d.automatic = t.automatic;
}

Result<Document> read_answer(const json::Value& v, const std::string& issuer, const std::string& vendor, Secret grant,
                             custody::Keeper& keeper, Chains& chains, UnixTime now) {
    Document d;
    d.issuer = issuer;
    d.grant = grant.empty() ? Secret(v.string("grant").value_or("")) : std::move(grant);
    if (d.grant.size() != grant_characters) return bad(issuer, "no grant");
    d.reader = v.string("reader").value_or("");
    if (!b64u_decode_array<16>(d.reader)) return bad(issuer, "no name for its reader");
    const auto currency = Currency::parse(v.string("currency").value_or(""));
    const auto terms = currency ? read_terms(v, *currency, now) : std::nullopt;
    if (!terms) return bad(issuer, "no limits, or past their time");
    d.currency = *currency;
    set_terms(d, *terms);
    const auto* coin = v.object("coin");
    if (!coin) return bad(issuer, "no coin");
    d.coin.touchstone = coin->string("touchstone").value_or("");
    const auto t = keeper.read_touchstone(issuer, d.coin.touchstone);
    if (!t) return t.error();
    if (t->cur != d.currency) return bad(issuer, "a coin of another currency");
    if (const char* what = read_coin(*coin, vendor, *t, d.coin)) return bad(issuer, what);
    if (chains.at(d.coin.tag, d.coin.salt, d.coin.granted, d.coin.word, 0) != t->root)
        return bad(issuer, "the payword is not of the coin's chain");
    return d;
}

}  // namespace netpay::ewallet
