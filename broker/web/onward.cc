#include "broker/web/onward.h"

#include <utility>

#include "broker/ewallet/authorize.h"
#include "broker/vendors/vendors.h"
#include "broker/web/keys.h"
#include "broker/web/site.h"

namespace netpay::broker::web {
namespace {

constexpr std::string_view kept_stem = "onward", kept_context = "onward";
constexpr int kept_s = 3600;

bool approved(api::Broker b, const std::string& origin) {
    const auto known = b.store.read([&](Sql& sql) -> Outcome<bool> {
        const auto vendor = vendors::find(sql, origin);
        return vendor && vendor->status == "approved";
    });
    return known && *known;
}

}  // namespace

std::string Onward::fields() const {
    std::string out;
    for (const auto& [name, value] : {std::pair("next", &next), std::pair("client", &client), std::pair("target", &target)})
        if (!value->empty()) out += hidden(name, *value);
    return out;
}

std::string Onward::query() const {
    if (!next.empty()) return "?next=" + form::encode(next);
    if (!client.empty()) return "?client=" + form::encode(client) + "&target=" + form::encode(target);
    return {};
}

Onward onward_of(api::Broker b, const form::Fields& fields) {
    Onward o;
    o.next = own_path(field(fields, "next"));
    if (o.next == "/") o.next.clear();
    const auto client = field(fields, "client"), target = own_path(field(fields, "target"));
    if (client.empty() || !approved(b, client)) return o;
    o.client = client;
    o.target = target;
    return o;
}

Onward onward_of(api::Broker b, const Request& request) {
    return onward_of(b, form::Fields(request.query.begin(), request.query.end()));
}

std::string kept_onward(Context& context, const Onward& onward) {
    // Without the question mark it reads as a form does.
    const auto sealed = context.web->sealer().seal(context.random.bytes<16>(), kept_context, onward.query().substr(1));
    return form::cookie_name(context.options.issuer, kept_stem) + "=" + sealed +
           "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(kept_s);
}

Onward onward_kept(api::Broker b, const Request& request) {
    const auto cookies = request.header("cookie");
    const auto sealed = cookies ? form::cookie(*cookies, form::cookie_name(b.context.options.issuer, kept_stem)) : std::nullopt;
    const auto opened = sealed ? b.context.web->sealer().open(kept_context, *sealed) : std::nullopt;
    const auto fields = opened ? form::parse(opened->plain.expose()) : std::nullopt;
    return fields ? onward_of(b, *fields) : Onward();
}

std::vector<std::string> origins_behind(api::Broker b, std::string_view next) { return ewallet::goes_on_to(b, next); }

}  // namespace netpay::broker::web
