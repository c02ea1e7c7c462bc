#include "core/receipt.h"

#include <charconv>

#include "core/base64url.h"
#include "core/challenge.h"
#include "core/json.h"
#include "core/timestamp.h"

namespace netpay {

std::string format_receipt(const Receipt& r) {
    return b64u_encode(json::Object()
                           .set("method", method_netpay)
                           .set("status", "success")
                           .set("timestamp", format_rfc3339(r.timestamp))
                           .set("reference", r.coin + ":" + std::to_string(r.index))
                           .set("amount", r.amount.str())
                           .set("currency", r.currency.str())
                           .set("spent", std::uint64_t{r.spent})
                           .set("revealed", std::uint64_t{r.revealed})
                           .jcs());
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
    if (!t || !a || !c || colon == std::string_view::npos) return bad;
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
    return r;
}

}  // namespace netpay
