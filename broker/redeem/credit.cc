#include "broker/redeem/credit.h"

#include <vector>

#include "broker/custody/compensation.h"
#include "broker/redeem/crediting.h"
#include "broker/redeem/judge.h"
#include "core/json.h"

namespace netpay::broker::redeem {
namespace {

std::string rejection(Int line, const std::string& coin, Reason why) {
    return "{\"coin\":" + json::quote(coin) + ",\"line\":" + std::to_string(line) +
           ",\"reason\":" + json::quote(name_of(why)) + "}";
}

std::string receipt(Context& context, const vendors::Vendor& v, const Batch& b, const Credited& result, UnixTime now) {
    Redeemed r;
    r.iss = context.options.issuer;
    r.aud = v.origin;
    r.batch = b.batch;
    r.digest = b.digest;
    r.accepted = result.accepted;
    for (const auto count : result.rejected) r.rejected += count;
    r.credited = result.amounts;
    r.iat = now;
    return sign_redeemed(r, *context.keys.current());
}

// Written piece by piece: there may be a million rejections.
std::string list_rejections(Spool& spool, Credited& result) {
    std::string list;
    spool.each_rejection([&](Int line, const std::string& coin, Reason why) {
        if (!list.empty()) list += ',';
        list += rejection(line, coin, why);
        ++result.rejected[static_cast<std::size_t>(why)];
    });
    return list;
}

struct LateRejection {
    Int line;
    std::string coin;
    Reason why;
};

// Claims that another batch overtook since they were judged become rejections.
void credit_all(Crediting& crediting, Spool& spool, Credited& result) {
    std::vector<LateRejection> late;
    std::vector<Verified> disputed;
    spool.each([&](const Verified& c) {
        const auto why = crediting.claim(c);
        if (why == Reason::not_held && disputed.size() < batch_disputes) disputed.push_back(c);
        if (why) late.push_back({c.line, crediting.coin(), *why});
        else ++result.accepted;
    });
    crediting.finish();
    for (const auto& l : late) spool.reject(l.line, l.coin, l.why);
    for (const auto& c : disputed) spool.dispute(c);
}

Outcome<Done> keep_disputes(Sql& sql, const vendors::SignedBatch& from, Spool& spool, UnixTime now) {
    std::optional<Refusal> refusal;
    spool.each_dispute([&](const Verified& c) {
        if (refusal) return;
        const auto kept = custody::dispute(sql,
                                           {c.coin, from.vendor.id, c.from, c.to, c.payword,
                                            std::string(name_of(Reason::not_held)), from.batch.batch},
                                           now);
        if (!kept) refusal = kept.refusal();
    });
    if (refusal) return *refusal;
    return Done{};
}

}  // namespace

Outcome<std::optional<std::string>> answered(Sql& sql, Int vendor, const Batch& b) {
    const auto row = one<std::string, std::string>(
        sql, "SELECT digest, answer FROM batches WHERE vendor = :v AND batch = :b", vendor, b.batch);
    if (!row) return std::optional<std::string>();
    if (std::get<0>(*row) != b.digest)
        return Refusal{409, "batch-reused", "A batch of that name had another body",
                       "Give every batch a name of its own; nothing of this one was credited."};
    return std::optional<std::string>(std::get<1>(*row));
}

Outcome<Credited> credit(Context& context, Sql& sql, const vendors::SignedBatch& from, Spool& spool, UnixTime now) {
    const auto& [v, b, token] = from;
    auto before = answered(sql, v.id, b);
    if (!before) return before.refusal();
    Credited result;
    if (*before) {
        result.answer = std::move(**before);
        result.again = true;
        return result;
    }
    Crediting crediting(sql, v, now);
    credit_all(crediting, spool, result);
    if (auto booked = crediting.book("redemption", v.origin + " " + b.batch); !booked) return booked.refusal();
    if (auto kept = keep_disputes(sql, from, spool, now); !kept) return kept.refusal();
    for (const auto& [cur, m] : crediting.money()) result.amounts[cur] = m.pending.plus(m.payable).value();
    const auto rejected = list_rejections(spool, result);
    result.answer = "{\"receipt\":" + json::quote(receipt(context, v, b, result, now)) + ",\"rejected\":[" + rejected + "]}";
    run(sql, "INSERT INTO batches (vendor, batch, digest, answer, at, token) VALUES (:v, :b, :d, :a, :t, :k)", v.id,
        b.batch, b.digest, result.answer, now, token);
    return result;
}

}  // namespace netpay::broker::redeem
