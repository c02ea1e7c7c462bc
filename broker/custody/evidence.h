// The evidence of one coin: everything this broker knows of its way from
// vendor to vendor, with every signature, so that it can be judged without
// the broker (core/evidence.h reads it).
//
// One JSON object, "netpay":"evidence/1". It holds the broker's keys, the
// coin's touchstone, the certificates of every vendor that appears, custody
// by epochs, the signed indices as they were shown, what was claimed,
// reversed, compensated and disputed, and what was found proven. Paywords in
// it are those of units that are spent and claimed already: they buy nothing.
#pragma once

#include <string>

#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::custody {

// Refuses with 404 unknown-coin. `coin`: its whole name.
Outcome<std::string> evidence(Context& context, Sql& sql, const std::string& coin, UnixTime now);

}  // namespace netpay::broker::custody
