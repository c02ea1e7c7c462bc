// An operator's own paywall page: HTML with {{placeholders}}.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace netpay {

// What a template can name. Those from `pay` on are HTML of the module's own;
// the others are text and escaped when they are put in.
enum class Slot { site, realm, vendor, url, title, teaser, price, balance, today, status, detail, pay, other, style, count_ };
inline constexpr std::size_t slots = static_cast<std::size_t>(Slot::count_);

using SlotValues = std::array<std::string, slots>;
inline std::string& slot(SlotValues& v, Slot s) { return v[static_cast<std::size_t>(s)]; }

class Template {
public:
    // UTF-8 text in which every "{{" begins a placeholder. Errors: malformed
    // ("line 3: …": an unknown placeholder, one without end; no {{pay}}) and
    // limit (larger than 256 KiB).
    static Result<Template> parse(std::string_view text);

    std::string render(const SlotValues& values) const;

private:
    struct Part {
        std::string text;        // as it stands
        Slot then = Slot::count_;  // what follows it; count_: nothing
    };
    std::vector<Part> parts_;
};

}  // namespace netpay
