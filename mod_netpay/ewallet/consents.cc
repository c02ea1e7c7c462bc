#include "mod_netpay/ewallet/consents.h"

#include "mod_netpay/custody/reply.h"

namespace netpay::ewallet {

Consents::Answer Consents::ask(const Wallet& w, UnixTime now) {
    const auto turn = answers_.turn(w.binding);
    if (!turn) return {};
    if (const auto before = answers_.of(w.binding, now)) return *before;
    const auto answer = call(w, now);
    answers_.keep(w.binding, answer, now + (answer.said == Said::silent ? silence_s : good_s));
    return answer;
}

Consents::Answer Consents::call(const Wallet& w, UnixTime now) {
    const auto& d = w.document;
    const auto reply = keeper_.ask(d.issuer, "ewallet/limits", json::Object().set("grant", d.grant.expose()));
    switch (reply.status) {
        case 200: break;
        case 404:
        case 410: return {Said::ended, {}};
        case 0: return {};
        default: log_.write(custody::Log::Level::error, reply.detail); return {};
    }
    if (const auto terms = read_terms(reply.body->root(), d.currency, now)) return {Said::stands, *terms};
    log_.write(custody::Log::Level::error, "broker " + d.issuer + ", e-wallet: no limits, or past their time");
    return {};
}

}  // namespace netpay::ewallet
