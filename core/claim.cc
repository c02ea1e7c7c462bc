#include "core/claim.h"

#include <openssl/evp.h>

#include <algorithm>

#include "core/base64url.h"
#include "core/jws.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay {

std::string format_claim(const Claim& c) {
    return json::Object()
        .set("coin", c.coin)
        .set("from", std::uint64_t{c.from})
        .set("to", std::uint64_t{c.to})
        .set("payword", encode_payword(c.payword))
        .jcs();
}

Result<Claim> parse_claim(std::string_view line) {
    if (line.size() > limits::claim_line_bytes) return {Code::malformed, "claim line too long"};
    const auto doc = json::Document::parse(line);
    if (!doc) return {Code::malformed, doc.error().detail};
    const auto& v = doc->root();
    const auto coin = v.string("coin"), word = v.string("payword");
    const auto from = v.uint("from"), to = v.uint("to");
    if (!coin || !word || !from || !to)
        return {Code::malformed, "claim: a member is missing or of the wrong type"};
    const auto w = decode_payword(*word);
    if (!w || !b64u_decode_array<16>(*coin)) return {Code::malformed, "claim: coin or payword"};
    // Beyond every chain is beyond every chain: a bad range, not a bad line.
    const auto clamped = [](std::uint64_t i) { return static_cast<std::uint32_t>(std::min<std::uint64_t>(i, UINT32_MAX)); };
    return Claim{std::string(*coin), clamped(*from), clamped(*to), *w};
}

std::string content_digest(const Digest& body) {
    // Structured Field byte sequences (RFC 8941) use the standard alphabet with padding.
    std::string b64(44, '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(b64.data()), body.data(), static_cast<int>(body.size()));
    return "sha-256=:" + b64 + ":";
}

std::string sign_batch(const Batch& b, const SigningKey& vendor) {
    return jws::sign(jws::batch,
                     json::Object()
                         .set("iss", b.iss)
                         .set("aud", b.aud)
                         .set("batch", b.batch)
                         .set("digest", b.digest)
                         .set("iat", static_cast<std::uint64_t>(b.iat)),
                     vendor);
}

Result<Batch> verify_batch(std::string_view token, std::string_view broker, const KeySet& vendor) {
    const auto v = jws::verify(token, jws::batch, vendor);
    if (!v) return v.error();
    const auto& p = v->payload.root();
    const auto iss = p.string("iss"), aud = p.string("aud"), batch = p.string("batch"), digest = p.string("digest");
    const auto iat = p.uint("iat");
    if (!iss || !aud || !batch || !digest || !iat)
        return {Code::malformed, "batch: a member is missing or of the wrong type"};
    if (batch->empty() || batch->size() > 64) return {Code::malformed, "batch: its name has 1 to 64 characters"};
    if (*aud != broker) return {Code::mismatch, "batch: aud is not this broker"};
    return Batch{std::string(*iss), std::string(*aud), std::string(*batch), std::string(*digest),
                 static_cast<UnixTime>(*iat)};
}

std::string sign_redeemed(const Redeemed& r, const SigningKey& broker) {
    json::Object credited;
    for (const auto& [cur, amount] : r.credited) credited.set(cur.str(), amount.micro());
    return jws::sign(jws::redeemed,
                     json::Object()
                         .set("iss", r.iss)
                         .set("aud", r.aud)
                         .set("batch", r.batch)
                         .set("digest", r.digest)
                         .set("accepted", r.accepted)
                         .set("rejected", r.rejected)
                         .set("credited", credited)
                         .set("iat", static_cast<std::uint64_t>(r.iat)),
                     broker);
}

Result<Redeemed> verify_redeemed(std::string_view token, std::string_view vendor, const KeySet& broker) {
    const auto v = jws::verify(token, jws::redeemed, broker);
    if (!v) return v.error();
    const auto& p = v->payload.root();
    const auto iss = p.string("iss"), aud = p.string("aud"), batch = p.string("batch"), digest = p.string("digest");
    const auto accepted = p.uint("accepted"), rejected = p.uint("rejected"), iat = p.uint("iat");
    const auto* credited = p.object("credited");
    if (!iss || !aud || !batch || !digest || !accepted || !rejected || !iat || !credited)
        return {Code::malformed, "receipt of a batch: a member is missing or of the wrong type"};
    if (*aud != vendor) return {Code::mismatch, "receipt of another vendor's batch"};
    Redeemed r{std::string(*iss), std::string(*aud), std::string(*batch), std::string(*digest), *accepted, *rejected,
               {}, static_cast<UnixTime>(*iat)};
    for (const auto& m : *credited) {
        const auto cur = Currency::parse(m.name());
        const auto micro = m.as_uint();
        if (!cur || !micro) return {Code::malformed, "receipt of a batch: credited"};
        r.credited.emplace(*cur, *Amount::from(*micro));
    }
    return r;
}

}  // namespace netpay
