#include "mod_netpay/reader.h"

#include "mod_netpay/text.h"

namespace netpay {

bool speculative(const Purpose& p) {
    for (const auto field : {p.sec_purpose, p.purpose, p.x_purpose, p.x_moz}) {
        if (field.empty()) continue;
        const std::string said = lower(field);
        for (const char* word : {"prefetch", "prerender", "preview"})
            if (said.find(word) != std::string::npos) return true;
    }
    return false;
}

}  // namespace netpay
