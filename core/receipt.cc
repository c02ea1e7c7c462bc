#include "core/receipt.h"

#include <algorithm>
#include <charconv>

#include "core/base64url.h"
#include "core/challenge.h"
#include "core/json.h"
#include "core/timestamp.h"

namespace netpay {

// Written out member by member in JCS order: every paid page carries one, and
// a json::Object costs ten times as much. coin is base64url, so that nothing
// in here needs an escape.
std::string format_receipt(const Receipt& r) {
    std::string text;
    text.reserve(320);
    text.append("{\"amount\":\"").append(r.amount.str());
    text.append("\",\"currency\":\"").append(r.currency.str()).append("\"");
    if (r.give_back_s) text.append(",\"give_back\":").append(std::to_string(r.give_back_s));
    text.append(",\"method\":\"").append(method_netpay);
    text.append("\",\"reference\":\"").append(r.coin).append(":").append(std::to_string(r.index));
    text.append("\",\"revealed\":").append(std::to_string(r.revealed));
    text.append(",\"spent\":").append(std::to_string(r.spent));
    text.append(",\"status\":\"success\",\"timestamp\":\"").append(format_rfc3339(r.timestamp)).append("\"}");
    return b64u_encode(text);
}

Result<Receipt> parse_receipt(std::string_view field_value) {
    const Error bad{Code::malformed, "Payment-Receipt is not a netpay receipt"};
    const auto text = b64u_decode(field_value);
    if (!text) return bad;
    const auto doc = json::Document::parse(*text);
    if (!doc) return bad;
    const auto& v = doc->root();
    const auto timestamp = v.string("timestamp"), reference = v.string("reference"), amount = v.string("amount"),
               currency = v.string("currency");
    const auto spent = v.uint("spent"), revealed = v.uint("revealed");
    if (v.string("method") != method_netpay || v.string("status") != "success" || !timestamp || !reference ||
        !amount || !currency || !spent || !revealed || *spent > limits::max_chain || *revealed > limits::max_chain)
        return bad;
    const auto t = parse_rfc3339(*timestamp);
    const auto a = Amount::parse(*amount);
    const auto c = Currency::parse(*currency);
    const auto colon = reference->find(':');
    if (!t || !a || !c || colon == std::string_view::npos || !b64u_decode_array<16>(reference->substr(0, colon))) return bad;
    Receipt r;
    const auto number = reference->substr(colon + 1);
    const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), r.index);
    if (ec != std::errc{} || end != number.data() + number.size()) return bad;
    r.timestamp = *t;
    r.coin = reference->substr(0, colon);
    r.amount = *a;
    r.currency = *c;
    r.spent = static_cast<std::uint32_t>(*spent);
    r.revealed = static_cast<std::uint32_t>(*revealed);
    r.give_back_s = static_cast<std::uint32_t>(std::min<std::uint64_t>(v.uint("give_back").value_or(0), limits::longest_give_back_s));
    return r;
}

}  // namespace netpay
