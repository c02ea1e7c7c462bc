#include "mod_netpay/ewallet/refreshes.h"

#include <algorithm>
#include <chrono>

#include "mod_netpay/custody/reply.h"
#include "mod_netpay/ewallet/answer.h"
#include "mod_netpay/ewallet/counted.h"

namespace netpay::ewallet {
namespace {

constexpr auto longest_wait = std::chrono::seconds(4);  // a call to the broker and a little

}  // namespace

std::optional<Refreshes::Said> Refreshes::denied(const Wallet& w, Amount price, UnixTime now) {
    const std::lock_guard g(mutex_);
    for (const auto& k : kept_)
        if (k.binding == w.binding && k.said != Said::fresh && k.until >= now && price >= k.price) return k.said;
    return std::nullopt;
}

std::shared_ptr<const Document> Refreshes::known(const std::string& binding, UnixTime now) {
    const std::lock_guard g(mutex_);
    for (const auto& k : kept_)
        if (k.binding == binding && k.said == Said::fresh && k.until >= now) return k.document;
    return nullptr;
}

void Refreshes::keep(Kept kept) {
    const std::lock_guard g(mutex_);
    std::erase_if(kept_, [&](const Kept& k) { return k.binding == kept.binding; });
    kept_.push_front(std::move(kept));
    if (kept_.size() > most_kept) kept_.pop_back();
}

Refreshes::Answer Refreshes::ask(const Wallet& w, Amount price, std::uint32_t spent, UnixTime now,
                                 const std::function<bool(const Document&)>& enough) {
    const Counted counted(asking_);
    if (counted.before() >= most_asking) return {};
    const std::unique_lock lane(lanes_[std::hash<std::string>()(w.binding) % lanes_.size()], longest_wait);
    if (!lane) return {};
    if (const auto d = known(w.binding, now); d && enough(*d)) return {Said::fresh, copy_document(*d)};
    if (const auto said = denied(w, price, now)) return {*said, std::nullopt};
    Answer a = call(w, price, spent, now);
    Kept k{w.binding, a.said, price, now + denial_s, nullptr};
    if (a.said == Said::silent) k.until = now + silence_s;
    if (a.said == Said::fresh) {
        k.until = now + fresh_s;
        k.document = std::make_shared<const Document>(copy_document(*a.document));
    }
    keep(std::move(k));
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
