// One line of the payment log: a JSON object without its line feed. No
// payword, no credential, no whole coin ever goes into it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/money.h"
#include "mod_netpay/decision.h"

namespace netpay {

struct PaylogLine {
    UnixTime time = 0;
    std::string_view vendor;      // origin
    std::string_view coin;        // its first eight characters, or empty
    Decision decision = Decision::required;
    std::uint32_t units = 0;
    Amount amount;                // the price
    Currency currency;
    bool priced = false;          // amount and currency are known
    bool charged = false;
    std::string_view wallet;      // kind of the reader's e-wallet that paid, or empty
    std::string_view method, uri; // the request-target
    int status = 0;               // of the answer
    std::uint64_t latency_us = 0; // of the payment step
};

std::string format_paylog(const PaylogLine& line);

// The longest line, so that one write() to a pipe stays whole (PIPE_BUF); a
// longer request-target is cut.
inline constexpr std::size_t paylog_bytes = 4096;

}  // namespace netpay
