// Result<T>: a value, or an Error that says what was wrong with the input.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace netpay {

// Why a piece of input was refused. Callers choose protocol answers by the
// code; the detail is for people and names the offending thing, never a secret.
enum class Code {
    malformed,          // not in the form the contract gives (base64url, JSON, member types, lengths)
    malformed_payload,  // a credential whose challenge is well formed but whose payload is not
    limit,              // larger than core/limits.h allows
    overflow,           // arithmetic would leave the range of PROTOCOL.md section 2
    unknown_key,        // no key with that kid
    forged,             // a signature, MAC or hash does not verify
    mismatch,           // well formed and signed, but says something else than was asked for
    expired,            // past exp or expires
};

struct Error {
    Code code;
    std::string detail;
};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
    Result(Code code, std::string detail) : v_(std::in_place_index<1>, Error{code, std::move(detail)}) {}

    bool ok() const { return v_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition: ok().
    const T& value() const& { assert(ok()); return *std::get_if<0>(&v_); }
    T& value() & { assert(ok()); return *std::get_if<0>(&v_); }
    T&& value() && { assert(ok()); return std::move(*std::get_if<0>(&v_)); }
    const T& operator*() const& { return value(); }
    T& operator*() & { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    const T* operator->() const { return &value(); }
    T* operator->() { return &value(); }

    // Precondition: !ok().
    const Error& error() const { assert(!ok()); return *std::get_if<1>(&v_); }

private:
    std::variant<T, Error> v_;
};

}  // namespace netpay
