// Amounts as card providers count them: in the smallest coins of a currency,
// which are hundredths, thousandths or the whole (ISO 4217).
#pragma once

#include <cstdint>
#include <optional>

#include "core/money.h"

namespace netpay::broker::topup {

// nullopt: not a whole number of those coins.
std::optional<std::uint64_t> to_minor(Amount amount, const Currency& currency);
// nullopt: beyond what an Amount holds.
std::optional<Amount> from_minor(std::uint64_t minor, const Currency& currency);

}  // namespace netpay::broker::topup
