// Outcome<T>: what an operation of the broker gives, or why it was refused in
// the terms of the API: a status and a problem kind.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace netpay::broker {

// Becomes application/problem+json of type urn:netpay:problem:KIND. `detail`
// names the thing and the remedy, never a secret.
struct Refusal {
    int status;
    std::string kind;
    std::string title;
    std::string detail;
    bool internal = false;  // detail is for the log, not for the caller
};

struct Done {};

template <class T>
class [[nodiscard]] Outcome {
public:
    Outcome(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Outcome(Refusal refusal) : v_(std::in_place_index<1>, std::move(refusal)) {}

    bool ok() const { return v_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition: ok().
    T& value() & { assert(ok()); return *std::get_if<0>(&v_); }
    const T& value() const& { assert(ok()); return *std::get_if<0>(&v_); }
    T&& value() && { assert(ok()); return std::move(*std::get_if<0>(&v_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // Precondition: !ok().
    const Refusal& refusal() const { assert(!ok()); return *std::get_if<1>(&v_); }

private:
    std::variant<T, Refusal> v_;
};

// 503: the database failed; what it said is kept for the log.
inline Refusal store_failed(std::string what) {
    return {503, "store-unavailable", "The broker's store is not available", std::move(what), true};
}

}  // namespace netpay::broker
