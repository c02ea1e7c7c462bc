// How money comes into an account: one interface, and as many ways as there
// are providers. A provider is done at once (a voucher), or sends the customer
// elsewhere and is told later what came of it (a card).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/accounts/vouchers.h"
#include "broker/api/resource.h"
#include "broker/store/outcome.h"
#include "core/form.h"

namespace netpay::broker::topup {

// One of the two.
struct Step {
    std::optional<accounts::Toppedup> done;  // credited
    std::string elsewhere;                   // the address at which the customer pays
};

// Without state of its own: what lasts is in the store.
class Provider {
public:
    virtual ~Provider() = default;
    virtual std::string_view name() const = 0;  // the form's field "provider"
    // Its part of the top-up page: a section with a form that holds `hidden`.
    virtual std::string form(const Options& options, std::string_view hidden) const = 0;
    virtual Outcome<Step> begin(api::Broker broker, const accounts::Account& account,
                                const form::Fields& fields) const = 0;
};

class Vouchers final : public Provider {
public:
    std::string_view name() const override { return "voucher"; }
    std::string form(const Options& options, std::string_view hidden) const override;
    Outcome<Step> begin(api::Broker broker, const accounts::Account& account, const form::Fields& fields) const override;
};

// Those that this broker is set up for, in the order of the page.
std::vector<std::unique_ptr<Provider>> providers(const Context& context);

// A field of a form; empty if it is not there.
std::string field(const form::Fields& fields, std::string_view name);
// How each provider's form begins.
std::string form_head(std::string_view provider, std::string_view hidden);

}  // namespace netpay::broker::topup
