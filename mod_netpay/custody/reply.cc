#include "mod_netpay/custody/reply.h"

#include <algorithm>

namespace netpay::custody {
namespace {

std::string last_part(std::string_view type) {
    return std::string(type.substr(type.find_last_of(":/") + 1));
}

// Text of another party in our log: bounded, and nothing that could forge a line.
std::string tame(std::string_view text) {
    std::string out(text.substr(0, 200));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return out;
}

}  // namespace

Reply read_reply(HttpAnswer a, const std::string& what) {
    Reply r;
    r.retry_after_s = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(a.retry_after_s ? a.retry_after_s : 2, 1, longest_retry_s));
    r.too_many = a.status == 429;
    if (a.status == 0) {
        r.detail = what + ": " + a.error;
        return r;
    }
    auto doc = json::Document::parse(a.body);
    const bool object = doc && doc->root().is_object();
    r.detail = what + ": status " + std::to_string(a.status);
    if (object && a.status != 200) {
        if (const auto type = doc->root().string("type")) r.kind = last_part(*type);
        if (const auto detail = doc->root().string("detail")) r.detail += ": " + tame(*detail);
    }
    if (a.status == 200 && !object) {
        r.detail = what + ": the answer is no JSON object";
        return r;
    }
    const bool client_error = a.status >= 400 && a.status < 500 && a.status != 408 && a.status != 429;
    if (a.status != 200 && !client_error) return r;
    r.status = a.status;
    if (object) r.body = std::move(*doc);
    return r;
}

}  // namespace netpay::custody
