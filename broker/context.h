// What every part of the broker is given: its options, keys, log, metrics,
// and the one clock and random source behind interfaces, so that tests can
// stop, skew or cut them. main.cc owns the real ones; all outlive the server.
#pragma once

#include "broker/clock.h"
#include "broker/keys.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/options.h"
#include "broker/random.h"
#include "world/world.h"

namespace netpay::broker {

namespace topup {
struct CardShop;
}
namespace web {
class WebKeys;
}

struct Context {
    const Options& options;
    KeyStore& keys;
    Log& log;
    Metrics& metrics;
    Clock& clock;
    Random& random;
    world::Transport* peers = nullptr;  // to vendors; null: none is called (commands)
    const web::WebKeys* web = nullptr;  // of the pages for people; null: there are none (commands)
    topup::CardShop* cards = nullptr;   // where cards are paid; null: none are taken
};

}  // namespace netpay::broker
