#include "broker/topup/provider.h"

#include "broker/topup/card.h"

namespace netpay::broker::topup {

std::string Vouchers::form(const Options&, std::string_view hidden) const {
    return "<section aria-labelledby=\"by-voucher\"><h2 id=\"by-voucher\">With a voucher</h2>\n" + form_head(name(), hidden) +
           "<label for=\"voucher\">Voucher code</label>"
           "<input id=\"voucher\" name=\"voucher\" required maxlength=\"84\" autocomplete=\"off\" autocapitalize=\"characters\" "
           "spellcheck=\"false\" aria-describedby=\"voucher-form\">\n"
           "<p class=\"note\" id=\"voucher-form\">28 letters and digits, as they were printed.</p>\n"
           "<button class=\"button\" type=\"submit\">Add money</button>\n</form></section>\n";
}

Outcome<Step> Vouchers::begin(api::Broker b, const accounts::Account& account, const form::Fields& fields) const {
    const auto code = field(fields, "voucher");
    const auto credited =
        b.store.write([&](Sql& sql) { return accounts::top_up(sql, account, code, b.context.clock.now()); });
    if (!credited) return credited.refusal();
    b.context.metrics.voucher_redeemed(credited->currency, credited->amount);
    return Step{*credited, {}};
}

std::vector<std::unique_ptr<Provider>> providers(const Context& context) {
    std::vector<std::unique_ptr<Provider>> list;
    if (context.cards) list.push_back(std::make_unique<Card>());
    list.push_back(std::make_unique<Vouchers>());
    return list;
}

std::string field(const form::Fields& fields, std::string_view name) {
    const auto i = fields.find(name);
    return i == fields.end() ? std::string() : i->second;
}

std::string form_head(std::string_view provider, std::string_view hidden) {
    return "<form method=\"post\" action=\"/topup\">" + std::string(hidden) + "<input type=\"hidden\" name=\"provider\" value=\"" +
           std::string(provider) + "\">\n";
}

}  // namespace netpay::broker::topup
