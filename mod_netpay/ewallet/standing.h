// How the coin of an e-wallet stands: what its document and the till say of it
// together. `e` is the till's entry for that coin; nothing: it was never held here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mod_netpay/ewallet/document.h"
#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/till/till.h"

namespace netpay::ewallet {

// Whether the coin can be spent at this till now.
bool held(const std::optional<till::Entry>& e, UnixTime now);
// Units spent of a coin, as far as this vendor knows.
std::uint32_t spent_of(const GrantedCoin& c, const std::optional<till::Entry>& e);
// Whether so many units more lie within the grant.
bool suffices(const GrantedCoin& c, const std::optional<till::Entry>& e, std::uint32_t units);
// Whether the coin went from here to another vendor after the grant of this epoch (GrantedCoin::epoch).
bool is_gone(const std::optional<till::Entry>& e, std::uint64_t epoch);
// What is no news to a grant that begins now.
std::uint64_t ended_epoch(const std::optional<till::Entry>& e);
// What is kept of a coin when another comes in its place.
PastCoin past_of(const GrantedCoin& c);

// Of kind held.
Standing standing_of(const Wallet& w, const std::optional<till::Entry>& e);
// Of kind moved.
Standing moved_from(const std::string& issuer);

}  // namespace netpay::ewallet
