#include "broker/redeem/credit.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "broker/custody/compensation.h"
#include "broker/issue/coins.h"
#include "broker/ledger/ledger.h"
#include "broker/redeem/judge.h"
#include "broker/redeem/spans.h"
#include "core/json.h"
#include "core/rules.h"

namespace netpay::broker::redeem {
namespace {

struct Money {
    Amount pending, payable;
};

// The credited ranges of coins, kept merged within each epoch.
class Ranges {
public:
    explicit Ranges(Sql& sql)
        : before_(sql, "SELECT lo, hi, epoch FROM credits WHERE coin = :c AND lo < :t ORDER BY lo DESC LIMIT 1"),
          at_(sql, "SELECT hi, epoch FROM credits WHERE coin = :c AND lo = :l"),
          remove_(sql, "DELETE FROM credits WHERE coin = :c AND lo = :l"),
          // Without the rule (a canary build) a range may be there already.
          insert_(sql, std::string("INSERT INTO credits (coin, lo, hi, epoch) VALUES (:c, :l, :h, :e)") +
                           (rules::holds(rules::Rule::overlap_check) ? "" : " ON CONFLICT DO NOTHING")) {}

    bool overlap(Int coin, Int from, Int to) {
        if (!rules::holds(rules::Rule::overlap_check)) return false;
        const auto before = before_(coin, to);
        return before && std::get<1>(*before) > from;
    }

    // Precondition: no overlap.
    void add(Int coin, Span piece) {
        if (const auto left = before_(coin, piece.hi); left && std::get<1>(*left) == piece.lo &&
                                                       std::get<2>(*left) == piece.epoch) {
            piece.lo = std::get<0>(*left);
            remove_(coin, piece.lo);
        }
        if (const auto right = at_(coin, piece.hi); right && std::get<1>(*right) == piece.epoch) {
            remove_(coin, piece.hi);
            piece.hi = std::get<0>(*right);
        }
        insert_(coin, piece.lo, piece.hi, piece.epoch);
    }

private:
    Prepared<std::tuple<Int, Int, Int>, Int, Int> before_;
    Prepared<std::tuple<Int, Int>, Int, Int> at_;
    Prepared<std::tuple<>, Int, Int> remove_;
    Prepared<std::tuple<>, Int, Int, Int, Int> insert_;
};

// Claims of one coin after another. Throws soci::soci_error.
class Crediting {
public:
    Crediting(Sql& sql, Int vendor, UnixTime now)
        : vendor_(vendor),
          now_(now),
          ranges_(sql),
          coins_(sql, vendor),
          credit_epoch_(sql, "UPDATE epochs SET credited = credited + :u WHERE coin = :c AND epoch = :e"),
          credit_coin_(sql, "UPDATE coins SET credited = credited + :u WHERE id = :c"),
          learn_(sql, "UPDATE epochs SET known = :k, known_payword = :w WHERE coin = :c AND epoch = :e AND known < :l"),
          compensated_(sql, "SELECT lo, hi, paid FROM compensations WHERE coin = :c AND vendor = :v"),
          drop_(sql, "DELETE FROM compensations WHERE coin = :c AND vendor = :v AND lo = :l AND hi = :h AND paid = 0"),
          keep_(sql, "INSERT INTO known_paywords (coin, idx, payword) VALUES (:c, :i, :w) ON CONFLICT DO NOTHING") {}

    // nullopt: credited.
    std::optional<Reason> claim(const Verified& c) {
        if (!coin_ || coin_->id != c.coin) turn_to(c.coin);
        if (now_ > coin_->exp + issue::claims_after_exp_s) return Reason::not_held;
        const auto pieces = cut(coin_->spans, c.from, c.to);
        if (!pieces) return Reason::not_held;
        if (ranges_.overlap(c.coin, c.from, c.to) || was_compensated(c)) return Reason::overlap;
        cancel_compensations(c);
        for (const auto& piece : *pieces) take(piece);
        top_ = c.to;  // claims of a coin come in ascending order
        top_epoch_ = pieces->back().epoch;
        top_payword_ = c.payword;
        return std::nullopt;
    }

    void finish() {
        if (coin_ && top_ > 0) record();
        coin_.reset();
    }

    const std::string& coin() const { return coin_->coin; }
    const std::map<Currency, Money>& money() const { return money_; }

private:
    void turn_to(Int id) {
        finish();
        coin_ = coins_.by_id(id).value();
        units_.clear();
        top_ = 0;
        paid_for_.clear();
        compensated_.each(
            [&](const auto& row) { paid_for_.push_back({std::get<0>(row), std::get<1>(row), std::get<2>(row)}); }, id,
            vendor_);
    }

    // A unit is paid to a vendor once at the most: it may have come to hold
    // rightly, later, what a culprit paid it for.
    bool was_compensated(const Verified& c) const {
        return std::any_of(paid_for_.begin(), paid_for_.end(),
                           [&](const auto& p) { return p.paid > 0 && p.lo < c.to && p.hi > c.from; });
    }
    void cancel_compensations(const Verified& c) {
        for (const auto& p : paid_for_)
            if (p.lo < c.to && p.hi > c.from) drop_(c.coin, vendor_, p.lo, p.hi);
    }

    void take(const Span& piece) {
        ranges_.add(coin_->id, piece);
        const Int units = piece.hi - piece.lo;
        units_[piece.epoch] += units;
        auto& m = money_[coin_->currency];
        auto& side = piece.settled ? m.payable : m.pending;
        // In range: it is part of what the coin's sale put into the ledger.
        side = side.plus(coin_->unit.times(static_cast<std::uint64_t>(units)).value()).value();
    }

    void record() {
        Int sum = 0;
        for (const auto& [epoch, units] : units_) {
            credit_epoch_(units, coin_->id, epoch);
            sum += units;
        }
        credit_coin_(sum, coin_->id);
        learn_(top_, top_payword_, coin_->id, top_epoch_, top_);
        keep_(coin_->id, top_, top_payword_);
    }

    struct Compensation {
        Int lo = 0, hi = 0, paid = 0;
    };

    const Int vendor_;
    const UnixTime now_;
    Ranges ranges_;
    Claimables coins_;
    Prepared<std::tuple<>, Int, Int, Int> credit_epoch_;
    Prepared<std::tuple<>, Int, Int> credit_coin_;
    Prepared<std::tuple<>, Int, std::string, Int, Int, Int> learn_;
    Prepared<std::tuple<Int, Int, Int>, Int, Int> compensated_;
    Prepared<std::tuple<>, Int, Int, Int, Int> drop_;
    Prepared<std::tuple<>, Int, Int, std::string> keep_;
    std::optional<Claimable> coin_;
    std::map<Int, Int> units_;  // of this coin, by epoch
    std::vector<Compensation> paid_for_;  // of this coin, the vendor's own
    Int top_ = 0, top_epoch_ = 0;
    std::string top_payword_;
    std::map<Currency, Money> money_;
};

Outcome<Done> book(Sql& sql, const vendors::Vendor& v, const Batch& b, const std::map<Currency, Money>& money,
                   UnixTime now) {
    for (const auto& [cur, m] : money) {
        const auto total = m.pending.plus(m.payable).value();
        if (total.micro() == 0) continue;
        auto postings = ledger::give_vendor(sql, v.origin, cur, m.payable);
        postings.push_back({ledger::Side::credit, ledger::vendor_pending(v.origin), m.pending});
        postings.push_back({ledger::Side::debit, std::string(ledger::coins_outstanding), total});
        auto posted = ledger::post(sql, {"redemption", v.origin + " " + b.batch, cur, std::move(postings), now});
        if (!posted) return posted;
    }
    return Done{};
}

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
    Crediting crediting(sql, v.id, now);
    credit_all(crediting, spool, result);
    if (auto booked = book(sql, v, b, crediting.money(), now); !booked) return booked.refusal();
    if (auto kept = keep_disputes(sql, from, spool, now); !kept) return kept.refusal();
    for (const auto& [cur, m] : crediting.money()) result.amounts[cur] = m.pending.plus(m.payable).value();
    const auto rejected = list_rejections(spool, result);
    result.answer = "{\"receipt\":" + json::quote(receipt(context, v, b, result, now)) + ",\"rejected\":[" + rejected + "]}";
    run(sql, "INSERT INTO batches (vendor, batch, digest, answer, at, token) VALUES (:v, :b, :d, :a, :t, :k)", v.id,
        b.batch, b.digest, result.answer, now, token);
    return result;
}

}  // namespace netpay::broker::redeem
