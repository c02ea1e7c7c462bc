// The entry of libFuzzer; the target is chosen when it is compiled (-DTARGET='"json"').
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "targets.h"

extern "C" __attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const netpay::fuzz::Target* chosen = [] {
        for (const auto& t : netpay::fuzz::targets())
            if (std::strcmp(t.name, TARGET) == 0) return &t;
        std::abort();
    }();
    chosen->run({reinterpret_cast<const char*>(data), size});
    return 0;
}
