// The broker's HTTP API (PROTOCOL.md sections 7, 8, 9): one file a resource
// in this directory, registered here.
#pragma once

#include "broker/context.h"
#include "broker/http/message.h"
#include "broker/store/store.h"

namespace netpay::broker {

// Adds every call to the router. context and store outlive routes.
void register_api(Routes& routes, Context& context, Store& store);

// Periodic work: the heartbeat that measures this broker's downtime, epochs
// past their lease, refunds that waited for one, expired nonces and keys.
// The daemon calls it every tick_period_s from one thread, and once at start
// before it listens.
inline constexpr int tick_period_s = 10;
void tick(Context& context, Store& store);

}  // namespace netpay::broker
