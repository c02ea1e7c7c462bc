#include "broker/redeem/crediting.h"

#include <algorithm>
#include <vector>

#include "broker/custody/epochs.h"
#include "broker/issue/coins.h"
#include "broker/ledger/ledger.h"
#include "broker/redeem/spans.h"
#include "core/rules.h"

namespace netpay::broker::redeem {
namespace {

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

}  // namespace

class Crediting::Books {
public:
    Books(Sql& sql, Int vendor, UnixTime now)
        : vendor_(vendor),
          now_(now),
          ranges_(sql),
          coins_(sql, vendor),
          credit_epoch_(sql, "UPDATE epochs SET credited = credited + :u WHERE coin = :c AND epoch = :e"),
          credit_coin_(sql, "UPDATE coins SET credited = credited + :u WHERE id = :c"),
          day_(sql, custody::booking_of_day("<")),
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
        day_(now_ / custody::booked_day_s, top_, coin_->id, top_epoch_, top_);
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
    Prepared<std::tuple<>, Int, Int, Int, Int, Int> day_;
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

Crediting::Crediting(Sql& sql, const vendors::Vendor& vendor, UnixTime now)
    : books_(std::make_unique<Books>(sql, vendor.id, now)), sql_(sql), origin_(vendor.origin), now_(now) {}

Crediting::~Crediting() = default;

std::optional<Reason> Crediting::claim(const Verified& claim) { return books_->claim(claim); }
void Crediting::finish() { books_->finish(); }
const std::string& Crediting::coin() const { return books_->coin(); }
const std::map<Currency, Money>& Crediting::money() const { return books_->money(); }

Outcome<Done> Crediting::book(std::string_view kind, const std::string& reference) {
    for (const auto& [cur, m] : money()) {
        const auto total = m.pending.plus(m.payable).value();
        if (total.micro() == 0) continue;
        auto postings = ledger::give_vendor(sql_, origin_, cur, m.payable);
        postings.push_back({ledger::Side::credit, ledger::vendor_pending(origin_), m.pending});
        postings.push_back({ledger::Side::debit, std::string(ledger::coins_outstanding), total});
        auto posted = ledger::post(sql_, {kind, reference, cur, std::move(postings), now_});
        if (!posted) return posted;
    }
    return Done{};
}

Outcome<Done> credit_late(Sql& sql, Int coin, const vendors::Vendor& vendor, UnixTime now) {
    const auto rows = all<Int, Int, Int, std::string, std::string>(
        sql,
        "SELECT d.id, d.lo, d.hi, d.payword, d.batch FROM disputes d JOIN epochs e ON e.coin = d.coin AND "
        "e.vendor = d.vendor AND e.start <= d.lo AND (e.released = -1 OR e.released >= d.hi) "
        "WHERE d.coin = :c AND d.vendor = :v AND d.credited = 0 ORDER BY d.lo",
        coin, vendor.id);
    for (const auto& [id, lo, hi, payword, batch] : rows) {
        Crediting crediting(sql, vendor, now);
        if (crediting.claim({0, coin, lo, hi, payword})) continue;
        crediting.finish();
        if (auto booked = crediting.book("late-credit", vendor.origin + " " + batch); !booked) return booked;
        run(sql, "UPDATE disputes SET credited = 1 WHERE id = :i", id);
    }
    return Done{};
}

}  // namespace netpay::broker::redeem
