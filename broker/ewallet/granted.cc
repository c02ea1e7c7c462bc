#include "broker/ewallet/granted.h"

#include <algorithm>

#include "core/limits.h"

namespace netpay::broker::ewallet {

Grant grant(const Position& at, const Allowance& left, std::uint32_t need, bool confirmed) {
    const auto granted = std::max({at.granted, at.spent, at.shown}), from = std::max(at.shown, at.spent);
    const bool beyond = confirmed && std::min(left.here, left.all) < need;
    const auto here = beyond ? std::max(left.here, need) : left.here, all = beyond ? std::max(left.all, need) : left.all;
    // from ≤ granted: as far as that goes, all sites' limit is not touched.
    const auto most = std::min(from + here, granted + all);
    auto shown = std::min(most, std::max(at.spent + left.day, beyond ? from + need : from));
    shown = std::min(shown, at.n);
    const auto now = std::max(granted, shown);
    return {shown, now, now - granted, shown - from - (now - granted)};
}

std::uint32_t units_left(Amount limit, Amount used, Amount unit) {
    const auto left = limit.minus(used);
    if (!left) return 0;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(left->micro() / unit.micro(), limits::max_chain));
}

}  // namespace netpay::broker::ewallet
