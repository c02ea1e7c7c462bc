#include "broker/http/message.h"

#include "core/problem.h"

namespace netpay::broker {
namespace {

bool is_bearer(std::string_view scheme) {
    if (scheme.size() != 6) return false;
    for (std::size_t i = 0; i < 6; ++i)
        if ((scheme[i] | 0x20) != "bearer"[i]) return false;
    return true;
}

}  // namespace

std::optional<std::string_view> Request::bearer() const {
    const auto field = header("authorization");
    if (!field || field->size() < 8 || !is_bearer(field->substr(0, 6)) || (*field)[6] != ' ') return std::nullopt;
    auto token = field->substr(6);
    token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
    // b64token of RFC 6750; more than one credential would show as ", ".
    if (token.empty() || token.find_first_of(" ,\t\"") != std::string_view::npos) return std::nullopt;
    return token;
}

Response Response::json(int status, const json::Object& body) {
    Response r;
    r.status = status;
    r.body = body.jcs();
    return r;
}

Response Response::problem(int status, std::string_view kind, std::string_view title, std::string_view detail) {
    Response r;
    r.status = status;
    r.content_type = "application/problem+json";
    r.body = problem_document("urn:netpay:problem:" + std::string(kind), status, title, detail).jcs();
    return r;
}

Response&& Response::no_store() && {
    headers.emplace_back("Cache-Control", "no-store");
    return std::move(*this);
}

}  // namespace netpay::broker
