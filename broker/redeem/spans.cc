#include "broker/redeem/spans.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/payword.h"
#include "core/rules.h"

namespace netpay::broker::redeem {

namespace {

const std::string coin_columns = "SELECT id, coin, cur, unit, n, salt, root, exp FROM coins WHERE ";

}  // namespace

Claimables::Claimables(Sql& sql, Int vendor)
    : vendor_(vendor),
      by_name_(sql, coin_columns + "coin = :c"),
      by_id_(sql, coin_columns + "id = :i"),
      epochs_(sql, "SELECT epoch, start, released, settled FROM epochs WHERE coin = :c AND vendor = :v ORDER BY epoch") {}

std::optional<Claimable> Claimables::by_name(const std::string& coin) { return from(by_name_(coin)); }
std::optional<Claimable> Claimables::by_id(Int coin) { return from(by_id_(coin)); }

std::optional<Claimable> Claimables::from(const std::optional<Columns>& row) {
    if (!row) return std::nullopt;
    const auto& [id, coin, cur, unit, n, salt, root, exp] = *row;
    Claimable c;
    c.id = id;
    c.coin = coin;
    c.currency = Currency::parse(cur).value_or(Currency());
    c.unit = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
    c.n = n;
    c.salt = b64u_decode_array<16>(salt).value_or(Salt{});
    c.root = decode_payword(root).value_or(Payword{});
    c.exp = exp;
    epochs_.each(
        [&](const auto& epoch) {
            const auto& [number, start, released, settled] = epoch;
            c.spans.push_back({start, released >= 0 ? released : c.n, number, settled != 0});
        },
        id, vendor_);
    // Without the rule (a canary build) who ever held a coin may claim all of it.
    if (!rules::holds(rules::Rule::confirmed_epochs) && !c.spans.empty())
        c.spans = {{0, c.n, c.spans.back().epoch, c.spans.back().settled}};
    return c;
}

std::optional<std::vector<Span>> cut(const std::vector<Span>& spans, Int from, Int to) {
    std::vector<Span> pieces;
    for (const auto& s : spans) {
        if (from < s.lo || from >= s.hi) continue;
        pieces.push_back({from, std::min(to, s.hi), s.epoch, s.settled});
        from = pieces.back().hi;
        if (from == to) return pieces;
    }
    return std::nullopt;
}

}  // namespace netpay::broker::redeem
