// The broker's own call of `handoff` (PROTOCOL.md section 7, step 2): it asks
// a coin's holder for the coin, as a vendor would, but with its own key.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/context.h"
#include "broker/custody/epochs.h"
#include "broker/options.h"
#include "world/world.h"

namespace netpay::broker::custody {

// Who is asked for what.
struct Ask {
    std::string vendor, handoff;   // origin and URL, of the newest certificate
    std::string coin;
    Int epoch = 0;
    std::optional<Mark> proof;     // the payword after the epoch's start; the broker is believed without
    // The signed index that gave the vendor the coin, its signer's certificate, and the coin's terms: the
    // vendor may never have heard of it. Empty where the broker gave it the coin itself.
    std::string index, releaser, touchstone;
};

struct Told {
    enum class What {
        given,      // `index`: the holder's, to this broker
        elsewhere,  // `index`: the one by which it gave the coin to another vendor, or to this broker before
        refused,    // a 4xx: asking again will hardly help
        silent,     // no answer, a 5xx, or not the answer of this call
        busy,       // nobody was asked: too many calls are under way
    };
    What what = What::silent;
    std::string index;  // a JWS; nothing of it is verified
    std::string why;    // for the log: a status or the transport's words
};

// One call. Waits for up to connect and call time (make_peers); no store
// transaction may be open. Context::peers null: busy.
Told ask(Context& context, const Ask& ask, UnixTime now);

// The way to vendors: 1 s to connect, 3 s for a call, 32 KiB of answer, no
// redirects, and only addresses that are globally routed, unless the options
// say otherwise: these are addresses that strangers registered. At most half
// of the workers wait for vendors at a time; who is one too many is told so
// at once (no status, error "busy").
std::unique_ptr<world::Transport> make_peers(const Options& options);

// What make_peers() puts before a transport; for its tests.
std::unique_ptr<world::Transport> few_at_once(world::Transport& transport, unsigned calls);
inline constexpr const char* busy_error = "busy";

}  // namespace netpay::broker::custody
