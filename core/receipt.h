// Payment-Receipt (PROTOCOL.md section 5): what a paid answer says of the payment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay {

struct Receipt {
    UnixTime timestamp = 0;
    std::string coin;
    std::uint32_t index = 0;  // the ticket
    Amount amount;            // the price, also on a replay
    Currency currency;
    std::uint32_t spent = 0, revealed = 0;  // units, after the payment
    std::uint32_t give_back_s = 0;          // how long the page may be given back (doc/readers.md); 0: not said
};

std::string format_receipt(const Receipt& r);               // the field value
Result<Receipt> parse_receipt(std::string_view field_value);  // for a wallet; errors: malformed

}  // namespace netpay
