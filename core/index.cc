#include "core/index.h"

#include "core/base64url.h"
#include "core/jws.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay {
namespace {

// A custody and a signed index differ only in how they name the second party.
template <class T>
json::Object payload_of(const T& t, std::string_view party_name, const std::string& party) {
    return json::Object()
        .set("iss", t.iss)
        .set(party_name, party)
        .set("coin", t.coin)
        .set("epoch", t.epoch)
        .set("index", std::uint64_t{t.index})
        .set("payword", encode_payword(t.payword))
        .set("iat", static_cast<std::uint64_t>(t.iat))
        .set("exp", static_cast<std::uint64_t>(t.exp));
}

template <class T>
Result<T> read(const json::Value& p, std::string_view party_name, std::string T::*party) {
    const auto iss = p.string("iss"), other = p.string(party_name), coin = p.string("coin"), word = p.string("payword");
    const auto epoch = p.uint("epoch"), index = p.uint("index"), iat = p.uint("iat"), exp = p.uint("exp");
    if (!iss || !other || !coin || !word || !epoch || !index || !iat || !exp)
        return {Code::malformed, "custody or index: a member is missing or of the wrong type"};
    const auto w = decode_payword(*word);
    if (!w || !b64u_decode_array<16>(*coin)) return {Code::malformed, "custody or index: coin or payword"};
    if (*epoch < 1) return {Code::malformed, "custody or index: epoch"};
    if (*index > limits::max_chain) return {Code::malformed, "custody or index: index"};
    T t;
    t.iss = *iss;
    t.*party = *other;
    t.coin = *coin;
    t.epoch = *epoch;
    t.index = static_cast<std::uint32_t>(*index);
    t.payword = *w;
    t.iat = static_cast<UnixTime>(*iat);
    t.exp = static_cast<UnixTime>(*exp);
    return t;
}

}  // namespace

std::string sign_custody(const Custody& c, const SigningKey& broker) {
    return jws::sign(jws::custody, payload_of(c, "sub", c.sub), broker);
}
std::string sign_index(const SignedIndex& i, const SigningKey& vendor) {
    auto payload = payload_of(i, "aud", i.aud);
    if (!i.broker.empty()) payload.set("broker", i.broker);
    return jws::sign(jws::index, payload, vendor);
}

Result<Custody> verify_custody(std::string_view token, const KeySet& broker) {
    const auto v = jws::verify(token, jws::custody, broker);
    if (!v) return v.error();
    return read(v->payload.root(), "sub", &Custody::sub);
}

Result<SignedIndex> verify_index(std::string_view token, const KeySet& vendor) {
    const auto v = jws::verify(token, jws::index, vendor);
    if (!v) return v.error();
    auto i = read(v->payload.root(), "aud", &SignedIndex::aud);
    if (i) i->broker = v->payload.root().string("broker").value_or("");
    return i;
}

}  // namespace netpay
