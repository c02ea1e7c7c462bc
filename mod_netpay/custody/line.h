// What this vendor has of one broker, and of all.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "mod_netpay/custody/broker_client.h"
#include "mod_netpay/custody/broker_keys.h"
#include "mod_netpay/custody/clock_watch.h"
#include "mod_netpay/custody/directory.h"

namespace netpay::custody {

struct Line {
    std::unique_ptr<ClockWatch> clock;     // every call to the broker goes through it
    std::unique_ptr<BrokerKeys> keys;
    std::unique_ptr<BrokerClient> client;
    std::unique_ptr<Directory> directory;
};

// By issuer. Fixed once the Keeper is made.
class Lines {
public:
    Line* find(std::string_view issuer) {
        const auto i = all.find(issuer);
        return i == all.end() ? nullptr : &i->second;
    }
    bool clock_good() const {
        for (const auto& [issuer, line] : all)
            if (!line.clock->good()) return false;
        return true;
    }
    std::map<std::string, Line, std::less<>> all;
};

// A coin in the log.
inline std::string short_name(const std::string& coin) { return "coin " + coin.substr(0, 8); }

}  // namespace netpay::custody
