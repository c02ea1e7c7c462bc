// What the broker answers to ewallet/token and ewallet/refresh (doc/ewallets.md).
#pragma once

#include <optional>
#include <string>

#include "core/json.h"
#include "core/result.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/chains.h"
#include "mod_netpay/ewallet/document.h"

namespace netpay::ewallet {

// What the reader allows here, as every answer says it.
struct Terms {
    UnixTime at = 0, until = 0;  // said at; the end of the grant
    Amount per_page, per_day;
    bool automatic = false;
};
// Nothing: not in its form, past its time, or of another currency than `expected`.
std::optional<Terms> read_terms(const json::Value& body, const Currency& expected, UnixTime now);
void set_terms(Document& document, const Terms& terms);

// The document in the body of a 200, nothing of it believed unchecked: the
// touchstone is the broker's, the payword of its chain. `grant`: of the
// refreshed one; empty: the body has it. Costs one walk of `granted` hashes,
// which `chains` keeps. Errors name what is wrong.
Result<Document> read_answer(const json::Value& body, const std::string& issuer, const std::string& vendor, Secret grant,
                             custody::Keeper& keeper, Chains& chains, UnixTime now);

}  // namespace netpay::ewallet
