#include "broker/redeem/judge.h"

#include "broker/issue/coins.h"
#include "core/limits.h"
#include "core/payword.h"
#include "core/rules.h"

namespace netpay::broker::redeem {
namespace {

using Mark = std::tuple<Int, std::string>;

std::optional<KnownPayword> known(const std::optional<Mark>& row) {
    if (!row) return std::nullopt;
    return KnownPayword{std::get<0>(*row), std::get<1>(*row)};
}

}  // namespace

struct Judge::Statements {
    Statements(Sql& sql, Int vendor)
        : coins(sql, vendor),
          before(sql, "SELECT hi FROM credits WHERE coin = :c AND lo < :t ORDER BY lo DESC LIMIT 1"),
          below(sql, "SELECT idx, payword FROM known_paywords WHERE coin = :c AND idx <= :i ORDER BY idx DESC LIMIT 1"),
          above(sql, "SELECT idx, payword FROM known_paywords WHERE coin = :c AND idx >= :i ORDER BY idx LIMIT 1") {}

    Claimables coins;
    Prepared<std::tuple<Int>, Int, Int> before;
    Prepared<Mark, Int, Int> below, above;
};

Judge::Judge(const std::string& store_path, Int vendor, UnixTime now)
    : sql_(connect(store_path)), statements_(std::make_unique<Statements>(*sql_, vendor)), now_(now) {}

Judge::~Judge() = default;

void Judge::pause() {
    if (!looking_) return;
    looking_ = false;
    run(*sql_, "COMMIT");
}

void Judge::line(Int number, std::string_view text, Spool& spool) {
    if (!looking_) run(*sql_, "BEGIN");
    looking_ = true;
    const auto claim = parse_claim(text);
    if (!claim) return spool.reject(number, {}, Reason::malformed);
    const auto why = objection(*claim, spool);
    if (why) {
        if (*why == Reason::not_held) dispute(number, *claim, spool);
        return spool.reject(number, claim->coin, *why);
    }
    spool.add({number, coin_->id, claim->from, claim->to, encode_payword(claim->payword)});
}

std::optional<Reason> Judge::objection(const Claim& c, Spool& spool) {
    if (forged_ >= limits::batch_forged) return Reason::forged;
    if (!know(c.coin)) return Reason::unknown_coin;
    if (c.from >= c.to || c.to > coin_->n) return Reason::range;
    if (now_ > coin_->exp + issue::claims_after_exp_s) return Reason::not_held;
    if (!cut(coin_->spans, c.from, c.to)) return Reason::not_held;
    if (credited(c.from, c.to) || (rules::holds(rules::Rule::overlap_check) && spool.overlaps(coin_->id, c.from, c.to)))
        return Reason::overlap;
    if (leads(hop_to(c, spool), c)) return std::nullopt;
    ++forged_;
    return Reason::forged;
}

void Judge::dispute(Int number, const Claim& c, Spool& spool) {
    // Out of time it is nobody's to pay.
    if (disputes_left_ == 0 || now_ > coin_->exp + issue::claims_after_exp_s) return;
    const auto hop = hop_to(c, spool);
    if (hop.hashes > dispute_hashes_left_) return;
    dispute_hashes_left_ -= hop.hashes;
    --disputes_left_;
    if (!leads(hop, c)) return;
    disputed_ = KnownPayword{c.to, encode_payword(c.payword)};
    spool.dispute({number, coin_->id, c.from, c.to, disputed_->payword});
}

bool Judge::know(const std::string& name) {
    if (coin_ && coin_->coin == name) return true;
    coin_ = statements_->coins.by_name(name);
    disputed_.reset();
    return coin_.has_value();
}

bool Judge::credited(Int from, Int to) {
    if (!rules::holds(rules::Rule::overlap_check)) return false;
    const auto before = statements_->before(coin_->id, to);
    return before && std::get<0>(*before) > from;
}

std::optional<KnownPayword> Judge::nearest_below(Int index, Spool& spool) {
    auto kept = known(statements_->below(coin_->id, index));
    auto spooled = spool.below(coin_->id, index);
    if (kept && spooled) return kept->index >= spooled->index ? kept : spooled;
    return kept ? kept : spooled;
}

std::optional<KnownPayword> Judge::nearest_above(Int index, Spool& spool) {
    auto kept = known(statements_->above(coin_->id, index));
    auto spooled = spool.above(coin_->id, index);
    if (kept && spooled) return kept->index <= spooled->index ? kept : spooled;
    return kept ? kept : spooled;
}

// From the nearer side, so that however a vendor orders its claims, a coin
// costs at most n log n hashes.
Judge::Hop Judge::hop_to(const Claim& c, Spool& spool) {
    auto below = nearest_below(c.to, spool);
    const auto above = nearest_above(c.to, spool);
    if (disputed_ && disputed_->index <= c.to && (!below || below->index < disputed_->index)) below = disputed_;
    const Int floor = below ? below->index : 0;
    if (above && above->index - c.to <= c.to - floor) return {*above, true, above->index - c.to};
    if (below) return {*below, false, c.to - floor};
    return {{0, encode_payword(coin_->root)}, false, Int{c.to}};
}

bool Judge::leads(const Hop& hop, const Claim& c) const {
    const auto known = decode_payword(hop.known.payword);
    const auto index = static_cast<std::uint32_t>(hop.known.index);
    if (!known) return false;
    if (hop.down_from_known) return walk_down(coin_->salt, index, *known, c.to) == c.payword;
    return walk_down(coin_->salt, c.to, c.payword, index) == *known;
}

}  // namespace netpay::broker::redeem
