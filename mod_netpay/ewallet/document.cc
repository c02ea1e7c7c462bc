#include "mod_netpay/ewallet/document.h"

#include "core/base64url.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/payword.h"

namespace netpay::ewallet {
namespace {

const Error malformed{Code::malformed, "e-wallet: not in its form"};

template <class Coin>
json::Object chain_members(const Coin& c) {
    return json::Object()
        .set("coin", c.name)
        .set("salt", b64u_encode(c.salt))
        .set("granted", std::uint64_t{c.granted})
        .set("payword", encode_payword(c.word));
}

template <class Coin>
bool read_chain(const json::Value& v, Coin& c) {
    const auto salt = b64u_decode_array<16>(v.string("salt").value_or(""));
    const auto word = decode_payword(v.string("payword").value_or(""));
    const auto granted = v.uint("granted");
    c.name = v.string("coin").value_or("");
    const auto tag = b64u_decode_array<16>(c.name);
    if (!salt || !word || !granted || *granted < 1 || *granted > limits::max_chain || !tag) return false;
    c.salt = *salt;
    c.word = *word;
    c.granted = static_cast<std::uint32_t>(*granted);
    c.tag = *tag;
    return true;
}

bool read_coin(const json::Value& v, GrantedCoin& c) {
    if (!read_chain(v, c)) return false;
    const auto n = v.uint("n"), unit = v.uint("unit"), spent = v.uint("spent"), held = v.uint("held"), epoch = v.uint("epoch");
    const auto touchstone = v.string("touchstone");
    if (!n || *n < c.granted || *n > limits::max_chain || !unit || *unit < 1 || !spent || *spent > *n || !epoch || !touchstone)
        return false;
    c.n = static_cast<std::uint32_t>(*n);
    c.unit = *Amount::from(*unit);
    c.spent = static_cast<std::uint32_t>(*spent);
    c.epoch = *epoch;
    c.touchstone = *touchstone;
    if (const auto holder = v.string("holder"); holder && held && *held >= 1 && *held <= *n) {
        c.holder = *holder;
        c.held = static_cast<std::uint32_t>(*held);
    }
    return true;
}

}  // namespace

Tag16 reader_tag(const Document& d) { return first16(sha256({"netpay/ewallet/reader\n", d.issuer, "\n", d.reader})); }

std::string binding_of(const Secret& grant) {
    return b64u_encode(first16(sha256({"netpay/ewallet/bind", grant.expose()})));
}

Secret encode_document(const Document& d) {
    json::Object coin = chain_members(d.coin);
    coin.set("n", std::uint64_t{d.coin.n})
        .set("unit", d.coin.unit.micro())
        .set("spent", std::uint64_t{d.coin.spent})
        .set("epoch", d.coin.epoch)
        .set("touchstone", d.coin.touchstone);
    if (d.coin.holder) coin.set("holder", *d.coin.holder).set("held", std::uint64_t{d.coin.held});
    json::Object o;
    o.set("issuer", d.issuer)
        .set("grant", d.grant.expose())
        .set("reader", d.reader)
        .set("at", static_cast<std::uint64_t>(d.at))
        .set("until", static_cast<std::uint64_t>(d.until))
        .set("currency", d.currency.str())
        .set("per_page", d.per_page.micro())
        .set("per_day", d.per_day.micro())
        .set("automatic", d.automatic)
        .set("coin", coin);
    if (d.past) o.set("past", chain_members(*d.past));
    std::string text = o.jcs();
    Secret out(text);
    cleanse(text.data(), text.size());
    return out;
}

Result<Document> decode_document(std::string_view text) {
    const auto parsed = json::Document::parse(text);
    if (!parsed || !parsed->root().is_object()) return malformed;
    const auto& v = parsed->root();
    Document d;
    d.issuer = v.string("issuer").value_or("");
    d.grant = Secret(v.string("grant").value_or(""));
    d.reader = v.string("reader").value_or("");
    const auto at = v.uint("at"), until = v.uint("until"), per_page = v.uint("per_page"), per_day = v.uint("per_day");
    const auto currency = Currency::parse(v.string("currency").value_or(""));
    const auto* automatic = v.find("automatic");
    const auto* coin = v.object("coin");
    if (d.issuer.empty() || d.grant.empty() || d.reader.empty() || !at || !until || !per_page || !per_day || !currency || !automatic || !coin)
        return malformed;
    d.at = static_cast<UnixTime>(*at);
    d.until = static_cast<UnixTime>(*until);
    d.per_page = *Amount::from(*per_page);
    d.per_day = *Amount::from(*per_day);
    d.currency = *currency;
    d.automatic = automatic->as_bool().value_or(false);
    if (!read_coin(*coin, d.coin)) return malformed;
    if (const auto* past = v.object("past")) {
        PastCoin c;
        if (!read_chain(*past, c)) return malformed;
        d.past = std::move(c);
    }
    return d;
}

Document copy_document(const Document& d) {
    Document c;
    c.issuer = d.issuer;
    c.grant = d.grant.clone();
    c.reader = d.reader;
    c.at = d.at;
    c.until = d.until;
    c.currency = d.currency;
    c.per_page = d.per_page;
    c.per_day = d.per_day;
    c.automatic = d.automatic;
    c.coin = d.coin;
    c.past = d.past;
    return c;
}

}  // namespace netpay::ewallet
