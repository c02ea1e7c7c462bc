#include "broker/redeem/judge.h"

#include "broker/issue/coins.h"
#include "core/limits.h"
#include "core/payword.h"

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

void Judge::line(Int number, std::string_view text, Spool& spool) {
    const auto claim = parse_claim(text);
    if (!claim) return spool.reject(number, {}, Reason::malformed);
    const auto why = objection(*claim, spool);
    if (why) return spool.reject(number, claim->coin, *why);
    spool.add({number, coin_->id, claim->from, claim->to, encode_payword(claim->payword)});
}

std::optional<Reason> Judge::objection(const Claim& c, Spool& spool) {
    if (forged_ >= limits::batch_forged) return Reason::forged;
    if (!know(c.coin)) return Reason::unknown_coin;
    if (c.from >= c.to || c.to > coin_->n) return Reason::range;
    if (now_ > coin_->exp + issue::claims_after_exp_s) return Reason::not_held;
    if (!cut(coin_->spans, c.from, c.to)) return Reason::not_held;
    if (credited(c.from, c.to) || spool.overlaps(coin_->id, c.from, c.to)) return Reason::overlap;
    if (is_payword(c, spool)) return std::nullopt;
    ++forged_;
    return Reason::forged;
}

bool Judge::know(const std::string& name) {
    if (!coin_ || coin_->coin != name) coin_ = statements_->coins.by_name(name);
    return coin_.has_value();
}

bool Judge::credited(Int from, Int to) {
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
bool Judge::is_payword(const Claim& c, Spool& spool) {
    const auto& coin = *coin_;
    const auto below = nearest_below(c.to, spool), above = nearest_above(c.to, spool);
    const Int floor = below ? below->index : 0;
    if (above && above->index - c.to <= c.to - floor) {
        const auto top = decode_payword(above->payword);
        return top && walk_down(coin.salt, static_cast<std::uint32_t>(above->index), *top, c.to) == c.payword;
    }
    const auto foot = below ? decode_payword(below->payword) : std::optional<Payword>(coin.root);
    return foot && walk_down(coin.salt, c.to, c.payword, static_cast<std::uint32_t>(floor)) == *foot;
}

}  // namespace netpay::broker::redeem
