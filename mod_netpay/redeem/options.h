// The command line and configuration file of netpay-redeem.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "mod_netpay/redeem/outbox.h"

namespace netpay::redeem {

struct CommandLine {
    std::string till, key, vendor, broker_keys, ca;
    std::vector<std::string> brokers;
    std::uint32_t max_claims = most_claims, min_units = 1, timeout_s = 60;
    bool json = false, dry_run = false, help = false, version = false;
};

// Errors: what is wrong, and where it is looked up.
Result<CommandLine> read_command_line(int argc, const char* const* argv);
std::string usage();

}  // namespace netpay::redeem
