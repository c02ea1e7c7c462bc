#include "mod_netpay/template.h"

#include <algorithm>

#include "core/html.h"
#include "mod_netpay/text.h"

namespace netpay {
namespace {

constexpr std::size_t most_bytes = 256u << 10;  // rendered for every visitor who has not paid

constexpr std::array<std::string_view, slots> names = {"site",    "realm", "vendor", "url",    "title", "teaser", "price",
                                                       "balance", "today", "status", "detail", "pay",   "other",  "style"};

Slot slot_of(std::string_view name) {
    return static_cast<Slot>(std::find(names.begin(), names.end(), name) - names.begin());
}

std::string known() {
    std::string out;
    for (const auto name : names) out.append(out.empty() ? "" : ", ").append(name);
    return out;
}

}  // namespace

Result<Template> Template::parse(std::string_view text) {
    if (text.size() > most_bytes) return {Code::limit, "larger than " + std::to_string(most_bytes >> 10) + " KiB"};
    Template t;
    std::size_t from = 0;
    bool payable = false;
    for (;;) {
        const auto begin = text.find("{{", from);
        Part part{std::string(text.substr(from, begin - from)), Slot::count_};
        if (begin == std::string_view::npos) {
            t.parts_.push_back(std::move(part));
            break;
        }
        const auto line = "line " + std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(begin), '\n')) + ": ";
        const auto end = text.find("}}", begin);
        const auto name = trim(text.substr(begin + 2, end - begin - 2));
        if (end == std::string_view::npos || name.find('\n') != std::string_view::npos)
            return {Code::malformed, line + "a placeholder begins with {{ and has no }}"};
        part.then = slot_of(name);
        if (part.then == Slot::count_)
            return {Code::malformed, line + "there is no placeholder {{" + std::string(name.substr(0, 40)) + "}}: the placeholders are " + known()};
        payable = payable || part.then == Slot::pay;
        t.parts_.push_back(std::move(part));
        from = end + 2;
    }
    if (!payable) return {Code::malformed, "{{pay}} is missing: without it nobody is told how to pay"};
    return t;
}

std::string Template::render(const SlotValues& values) const {
    std::string out;
    for (const auto& part : parts_) {
        out += part.text;
        if (part.then == Slot::count_) continue;
        const auto& value = values[static_cast<std::size_t>(part.then)];
        out += part.then < Slot::pay ? html::escape(value) : value;
    }
    return out;
}

}  // namespace netpay
