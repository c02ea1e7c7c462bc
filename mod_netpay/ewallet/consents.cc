#include "mod_netpay/ewallet/consents.h"

#include <chrono>

#include "mod_netpay/custody/reply.h"

namespace netpay::ewallet {
namespace {

constexpr auto longest_wait = std::chrono::seconds(4);  // a call to the broker and a little

}  // namespace

std::optional<Consents::Answer> Consents::known(const std::string& binding, UnixTime now) {
    const std::lock_guard g(mutex_);
    for (const auto& k : kept_)
        if (k.binding == binding && k.until >= now) return k.answer;
    return std::nullopt;
}

Consents::Answer Consents::ask(const Wallet& w, UnixTime now) {
    const std::unique_lock lane(lanes_[std::hash<std::string>()(w.binding) % lanes_.size()], longest_wait);
    if (!lane) return {};
    if (const auto before = known(w.binding, now)) return *before;
    const auto answer = call(w, now);
    const std::lock_guard g(mutex_);
    std::erase_if(kept_, [&](const Kept& k) { return k.binding == w.binding; });
    kept_.push_front({w.binding, answer, now + (answer.said == Said::silent ? silence_s : good_s)});
    if (kept_.size() > most_kept) kept_.pop_back();
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
