// Everything of e-wallets that is reached over HTTP: /authorize and /limits
// for readers, {api}/ewallet/{token,refresh,limits,leave} for the vendors that serve
// them. doc/ewallets.md says how they fit together.
#pragma once

#include <string_view>

#include "broker/api/resource.h"
#include "broker/store/query.h"
#include "broker/store/store.h"

namespace netpay::broker::ewallet {

void add_ewallet(Routes& routes, api::Broker broker);

// For add_ewallet, a file each.
void add_calls(Routes& routes, api::Broker broker);
void add_authorize(Routes& routes, api::Broker broker);
void add_limits_page(Routes& routes, api::Broker broker);

// Deletes codes, e-wallets, counts and limits that are over; how many.
Int forget(Sql& sql, UnixTime now);

}  // namespace netpay::broker::ewallet
