#include "broker/topup/minor.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace netpay::broker::topup {
namespace {

// Stripe's lists of zero-decimal and three-decimal currencies. Those that it
// counts in hundredths although they have no such coins (ISK, UGX) are not here.
constexpr std::string_view whole[] = {"ubif", "uclp", "udjf", "ugnf", "ujpy", "ukmf", "ukrw", "umga",
                                      "upyg", "urwf", "uvnd", "uvuv", "uxaf", "uxof", "uxpf"};
constexpr std::string_view thousandths[] = {"ubhd", "ujod", "ukwd", "uomr", "utnd"};

template <std::size_t N>
bool is_in(const std::string_view (&list)[N], const Currency& c) {
    return std::find(std::begin(list), std::end(list), c.str()) != std::end(list);
}

std::uint64_t micro_each(const Currency& c) {
    if (is_in(whole, c)) return 1000000;
    return is_in(thousandths, c) ? 1000 : 10000;
}

}  // namespace

std::optional<std::uint64_t> to_minor(Amount amount, const Currency& currency) {
    const auto each = micro_each(currency);
    if (amount.micro() % each != 0) return std::nullopt;
    return amount.micro() / each;
}

std::optional<Amount> from_minor(std::uint64_t minor, const Currency& currency) {
    const auto each = micro_each(currency);
    if (minor > limits::max_amount / each) return std::nullopt;
    return Amount::from(minor * each);
}

}  // namespace netpay::broker::topup
