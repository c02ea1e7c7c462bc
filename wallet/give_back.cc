#include "wallet/give_back.h"

#include <array>

#include "core/base64url.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/origin.h"
#include "wallet/text.h"

namespace netpay::wallet {
namespace {

constexpr std::string_view path = "/.well-known/netpay/give-back";
constexpr std::size_t most_bytes = 64 * 1024;

struct Reason {
    std::string_view name, words;
};
constexpr std::array<Reason, 8> reasons = {{
    {"opened", "it was opened again since it was paid"},
    {"too-late", "the time for it is over"},
    {"booked", "its payment is booked already"},
    {"once-a-day", "that page was given back today already"},
    {"again", "that payment was given back already"},
    {"too-many", "it takes no more pages back today"},
    {"busy", "a payment with this coin is under way; try again"},
    {"unknown", "it knows of no such payment of late"},
}};

// As it was asked for: path and query.
std::string target_of(const std::string& url) { return url.substr(url.find('/', url.find("://") + 3)); }

HttpRequest request_for(const BackRequest& r, std::int64_t max_time_s) {
    HttpRequest out;
    out.method = "POST";
    out.url = r.vendor + std::string(path);
    out.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json, application/problem+json"}};
    out.body = json::Object()
                   .set("coin", r.coin.coin)
                   .set("index", std::uint64_t{r.index})
                   .set("payword", b64u_encode(r.payword.bytes))
                   .set("target", target_of(r.url))
                   .jcs();
    out.time_left_ms = max_time_s * 1000;
    return out;
}

std::string why_not(int status, const json::Value* said) {
    if (status == 404) return "it does not offer that to programs";
    const auto reason = said ? said->string("reason") : std::nullopt;
    for (const auto& r : reasons)
        if (reason == r.name) return std::string(r.words);
    auto words = said ? said->string("detail") : std::nullopt;
    if (!words && said) words = said->string("title");
    return words ? printable(*words) : "HTTP " + std::to_string(status);
}

}  // namespace

Outcome<GivenBack> give_back(Transport& transport, Purse& purse, const std::string& url, std::int64_t max_time_s) {
    if (!url.starts_with("https://") && !is_loopback(url))
        return Failure{Exit::usage, "a page is given back over https only, as it was paid"};
    const auto request = purse.ask_back(url);
    if (!request) return request.failure();
    const auto answer = fetch_whole(transport, request_for(*request, max_time_s), most_bytes);
    if (!answer)
        return Failure{Exit::network, "no answer from " + printable(request->vendor) + ": " + printable(answer.error().detail) +
                                          "; whether it took the page back is not known. Run the same command again"};
    const auto doc = json::Document::parse(answer->body);
    const json::Value* said = doc && doc->root().is_object() ? &doc->root() : nullptr;
    const int status = answer->head.status;
    if (status == 200) {
        const auto units = said ? said->uint("units") : std::nullopt;
        if (!units || *units > limits::max_chain || said->string("coin") != request->coin.coin)
            return Failure{Exit::payment, printable(request->vendor) + " answers nonsense; nothing is counted as given back"};
        return purse.gave_back(*request, static_cast<std::uint32_t>(*units));
    }
    if (status == 409 && said && said->string("reason") == "again" && request->perhaps_done)
        return purse.gave_back(*request, request->units);
    return Failure{Exit::payment, printable(request->vendor) + " does not take the page back: " + why_not(status, said)};
}

}  // namespace netpay::wallet
