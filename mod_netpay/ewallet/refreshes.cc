#include "mod_netpay/ewallet/refreshes.h"

#include "mod_netpay/custody/reply.h"
#include "mod_netpay/ewallet/answer.h"
#include "mod_netpay/ewallet/counted.h"

namespace netpay::ewallet {

std::optional<Refreshes::Said> Refreshes::denied(const Wallet& w, Amount price, UnixTime now) {
    const auto k = answers_.of(w.binding, now);
    if (!k || k->said == Said::fresh || price < k->price) return std::nullopt;
    return k->said;
}

Refreshes::Answer Refreshes::ask(const Wallet& w, Amount price, std::uint32_t spent, UnixTime now,
                                 const std::function<bool(const Document&)>& enough) {
    const Counted counted(asking_);
    if (counted.before() >= most_asking) return {};
    const auto turn = answers_.turn(w.binding);
    if (!turn) return {};
    if (const auto k = answers_.of(w.binding, now); k && k->said == Said::fresh && enough(*k->document))
        return {Said::fresh, copy_document(*k->document)};
    if (const auto said = denied(w, price, now)) return {*said, std::nullopt};
    Answer a = call(w, price, spent, now);
    Kept k{a.said, price, nullptr};
    auto good_s = denial_s;
    if (a.said == Said::silent) good_s = silence_s;
    if (a.said == Said::fresh) {
        good_s = fresh_s;
        k.document = std::make_shared<const Document>(copy_document(*a.document));
    }
    answers_.keep(w.binding, std::move(k), now + good_s);
    return a;
}

Refreshes::Answer Refreshes::call(const Wallet& w, Amount price, std::uint32_t spent, UnixTime now) {
    const auto& d = w.document;
    const auto reply = keeper_.ask(
        d.issuer, "ewallet/refresh",
        json::Object().set("grant", d.grant.expose()).set("price", price.micro()).set("spent", std::uint64_t{spent}));
    switch (reply.status) {
        case 200: break;
        case 409: return {reply.kind == "day-limit" ? Said::day_limit : Said::too_little, std::nullopt};
        case 404:
        case 410: return {Said::ended, std::nullopt};
        case 0: return {};
        default: log_.write(custody::Log::Level::error, reply.detail); return {};
    }
    auto fresh = read_answer(reply.body->root(), d.issuer, vendor_, d.grant.clone(), keeper_, chains_, now);
    if (fresh && fresh->currency == d.currency) return {Said::fresh, std::move(*fresh)};
    log_.write(custody::Log::Level::error, fresh ? "broker " + d.issuer + ", e-wallet: a coin of another currency" : fresh.error().detail);
    return {};
}

}  // namespace netpay::ewallet
