// Prepaid vouchers: 140 random bits in seven groups of four characters of
// Crockford's base 32. The store keeps a hash. Each is worth its amount once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/accounts/accounts.h"
#include "broker/api/operator.h"
#include "broker/random.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::accounts {

// A code in its printed form.
std::string new_voucher_code(Random& random);

// The 28 characters a person meant: any case, blanks and hyphens left out, O
// read as 0 and I and L as 1. nullopt if it cannot be a code.
std::optional<std::string> normalise_voucher(std::string_view typed);

// Books and stores a series of vouchers, all or none.
Outcome<std::vector<MintedVoucher>> mint(Sql& sql, Random& random, const MintOrder& order, UnixTime now);

struct Toppedup {
    Amount amount;
    Currency currency;
};
// Refuses with 422 malformed-voucher, 404 unknown-voucher, 410
// expired-voucher, 409 used-voucher: the last two tell something only to who
// has the code.
Outcome<Toppedup> top_up(Sql& sql, const Account& account, std::string_view typed, UnixTime now);

}  // namespace netpay::broker::accounts
