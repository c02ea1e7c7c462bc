#include "mod_netpay/ewallet/orders.h"

#include <charconv>

#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::ewallet {
namespace {

// One cookie a target: two tabs clicked at once do not take each other's order.
std::string stem_of(std::string_view target) {
    static constexpr char hex[] = "0123456789abcdef";
    const auto d = sha256(target);
    std::string stem = "order-";
    for (std::size_t i = 0; i < Cookies::stem_tail / 2; ++i) {
        stem.push_back(hex[d[i] >> 4]);
        stem.push_back(hex[d[i] & 15]);
    }
    return stem;
}

std::string context(const Cookies& c) { return "form|" + c.origin(); }

std::string stated(std::string_view binding, std::string_view target, std::string_view said) {
    return std::string(binding).append("\n").append(target).append("\n").append(said);
}

std::optional<std::string_view> cut(std::string_view& text, char at) {
    const auto end = text.find(at);
    if (end == std::string_view::npos) return std::nullopt;
    const auto part = text.substr(0, end);
    text.remove_prefix(end + 1);
    return part;
}

}  // namespace

std::string form_token(const Cookies& c, const Purpose& p, UnixTime now) {
    const std::string said = std::to_string(now + form_life_s) + "." + p.price.amount.str() + "." + std::string(p.price.currency.str());
    return said + "." + c.sealer().mac(context(c), stated(p.binding, p.target, said));
}

std::optional<Price> form_token_price(const Cookies& c, std::string_view binding, std::string_view target,
                                      std::string_view token, UnixTime now) {
    const auto mac_at = token.rfind('.');
    if (mac_at == std::string_view::npos) return std::nullopt;
    const auto said = token.substr(0, mac_at);
    if (!c.sealer().mac_ok(context(c), stated(binding, target, said), token.substr(mac_at + 1))) return std::nullopt;
    auto rest = said;
    const auto end = cut(rest, '.'), amount = cut(rest, '.');
    const auto currency = Currency::parse(rest);
    const auto value = amount ? Amount::parse(*amount) : std::nullopt;
    UnixTime expires = 0;
    if (!end || !value || !currency || std::from_chars(end->data(), end->data() + end->size(), expires).ec != std::errc())
        return std::nullopt;
    if (expires < now) return std::nullopt;
    return Price{*value, *currency};
}

std::string order_cookie(const Cookies& c, const Purpose& p, UnixTime now) {
    const auto text = json::Object()
                          .set("t", b64u_encode(sha256(p.target)))
                          .set("m", p.price.amount.micro())
                          .set("c", p.price.currency.str())
                          .set("b", p.binding)
                          .set("e", static_cast<std::uint64_t>(now + order_life_s))
                          .jcs();
    const auto sealed = c.seal("order", text);
    return sealed.empty() ? sealed : c.set(stem_of(p.target), sealed, order_life_s);
}

bool ordered(const Cookies& c, std::string_view field, const Purpose& p, UnixTime now) {
    const auto value = c.read(field, stem_of(p.target));
    const auto opened = value ? c.open("order", *value) : std::nullopt;
    const auto order = opened ? json::Document::parse(opened->plain.expose()) : Result<json::Document>(Code::malformed, "");
    if (!order) return false;
    const auto& v = order->root();
    const auto most = v.uint("m"), end = v.uint("e");
    return most && p.price.amount.micro() <= *most && end && static_cast<UnixTime>(*end) >= now &&
           v.string("c") == p.price.currency.str() && v.string("b") == p.binding &&
           v.string("t") == b64u_encode(sha256(p.target));
}

std::string order_done(const Cookies& c, std::string_view field, std::string_view target) {
    const auto stem = stem_of(target);
    return c.read(field, stem) ? c.clear(stem) : std::string();
}

}  // namespace netpay::ewallet
