// The credentials a request presents, read off its Authorization and
// Payment-Authorization fields (PROTOCOL.md section 5).
#pragma once

#include <string_view>

namespace netpay {

struct Presented {
    enum class Count { none, one, several };
    Count count = Count::none;
    bool own_field = false;   // it came in Payment-Authorization
    std::string_view token;   // one: what stands after "Payment "; points into the field's value

    // `authorization` and `payment`: the fields' values, lines of one name
    // joined with commas as httpd joins them; empty if absent. Credentials of
    // other schemes alone are none of ours; beside a Payment one in the same
    // field they make several, for Authorization has room for one only.
    static Presented read(std::string_view authorization, std::string_view payment);
};

// Whether a field value holds a credential of the Payment scheme anywhere: it
// must not reach a handler or a log.
bool holds_payment(std::string_view field);

}  // namespace netpay
