// Why a command of the wallet did not do what it was asked: the exit status
// of the process, and a sentence for people that says what to do.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace netpay::wallet {

// Documented in netpay(1), EXIT STATUS.
enum class Exit : int {
    ok = 0,
    other = 1,          // output could not be written, and the like
    usage = 2,          // wrong command line
    network = 3,        // no answer, or a broken one; TLS
    http_error = 4,     // the site answered 4xx or 5xx (not about money)
    not_accepted = 5,   // the owner did not accept the price: limit, budget, "no", nobody to ask
    no_money = 6,       // no coin that the site takes has enough left
    disputed = 7,       // the site counts more as spent than was accepted
    broker = 8,         // the broker refused or answered nonsense
    store = 9,          // the wallet's own files
    payment = 10,       // the site refuses the payment, or its challenge cannot be used
    evidence = 11,      // evidence that does not hold
};

struct Failure {
    Exit exit;
    std::string message;
};

struct Done {};

// A value, or why there is none.
template <class T>
class [[nodiscard]] Outcome {
public:
    Outcome(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Outcome(Failure f) : v_(std::in_place_index<1>, std::move(f)) {}

    explicit operator bool() const { return v_.index() == 0; }
    T& operator*() & { assert(*this); return *std::get_if<0>(&v_); }
    const T& operator*() const& { assert(*this); return *std::get_if<0>(&v_); }
    T&& operator*() && { assert(*this); return std::move(*std::get_if<0>(&v_)); }
    T* operator->() { return &**this; }
    const T* operator->() const { return &**this; }
    const Failure& failure() const { assert(!*this); return *std::get_if<1>(&v_); }

private:
    std::variant<T, Failure> v_;
};

}  // namespace netpay::wallet
