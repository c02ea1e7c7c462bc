// Every parser of untrusted input in core, as functions of bytes. A target
// returns when the bytes were refused, or taken and found to keep their
// promise (what was read writes back and reads the same); it aborts when a
// promise is broken.
#pragma once

#include <span>
#include <string_view>

namespace netpay::fuzz {

struct Target {
    const char* name;  // also the name of its corpus directory
    void (*run)(std::string_view input);
};

std::span<const Target> targets();

}  // namespace netpay::fuzz
