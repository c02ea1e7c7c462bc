// What the broker answers to ewallet/token and ewallet/refresh (doc/ewallets.md).
#pragma once

#include <string>

#include "core/json.h"
#include "core/result.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/chains.h"
#include "mod_netpay/ewallet/document.h"

namespace netpay::ewallet {

// The document in the body of a 200, nothing of it believed unchecked: the
// touchstone is the broker's, the payword of its chain. `grant`: of the
// refreshed one; empty: the body has it. Costs one walk of `granted` hashes,
// which `chains` keeps. Errors name what is wrong.
Result<Document> read_answer(const json::Value& body, const std::string& issuer, const std::string& vendor, Secret grant,
                             custody::Keeper& keeper, Chains& chains, UnixTime now);

}  // namespace netpay::ewallet
