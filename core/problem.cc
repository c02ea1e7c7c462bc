#include "core/problem.h"

namespace netpay {

json::Object problem_document(std::string_view name, int status, std::string_view title, std::string_view detail) {
    json::Object o;
    const bool uri = name.find(':') != std::string_view::npos;
    o.set("type", uri ? std::string(name) : std::string(problem_base) + std::string(name))
        .set("title", title)
        .set("status", static_cast<std::uint64_t>(status));
    if (!detail.empty()) o.set("detail", detail);
    return o;
}

}  // namespace netpay
