#include "mod_netpay/custody/broker_client.h"

#include <algorithm>

#include "core/limits.h"
#include "core/request.h"

namespace netpay::custody {
namespace {

// The breaker's pause where the broker names none; the longest it may name is longest_retry_s.
constexpr std::int64_t pause_s = 1;

}  // namespace

BrokerClient::BrokerClient(std::string vendor, std::shared_ptr<const SigningKey> key, BrokerKeys& keys, World world)
    : vendor_(std::move(vendor)), key_(std::move(key)), keys_(keys), world_(world) {}

bool BrokerClient::open(std::string_view call, Reply& out) {
    const std::lock_guard g(mutex_);
    const UnixTime now = world_.clock.now();
    if (closed_until_ > now && closed_until_ <= now + longest_retry_s) {
        out.detail = "broker " + issuer() + " is out of reach";
        out.retry_after_s = static_cast<std::uint32_t>(std::max<std::int64_t>(closed_until_ - now, 2));
        return false;
    }
    const auto refused = refused_until_.find(call);
    if (refused != refused_until_.end() && refused->second > now && refused->second <= now + longest_retry_s) {
        out.detail = "broker " + issuer() + " takes no more calls of " + std::string(call) + " for now";
        out.retry_after_s = static_cast<std::uint32_t>(refused->second - now);
        out.too_many = true;
        return false;
    }
    // After a failure this call is the one that tries; others wait for its outcome.
    if (failures_) closed_until_ = now + pause_s;
    return true;
}

// It is there, and other calls go on.
void BrokerClient::refused(std::string_view call, const Reply& why) {
    {
        const std::lock_guard g(mutex_);
        refused_until_[std::string(call)] = world_.clock.now() + why.retry_after_s;
    }
    world_.log.write(Log::Level::warning, why.detail);
}

void BrokerClient::failed(const Reply& why) {
    {
        const std::lock_guard g(mutex_);
        closed_until_ = world_.clock.now() + std::max<std::int64_t>(why.retry_after_s > 2 ? why.retry_after_s : 0, pause_s);
        if (++failures_ > 1) return;  // said once
    }
    world_.log.write(Log::Level::error, why.detail);
}

void BrokerClient::answered() {
    {
        const std::lock_guard g(mutex_);
        closed_until_ = 0;
        if (std::exchange(failures_, 0) == 0) return;
    }
    world_.log.write(Log::Level::info, "broker " + issuer() + " answers again");
}

Reply BrokerClient::call(std::string_view call, const json::Object& members, json::Object body) {
    Reply r;
    if (!open(call, r)) return r;
    if (keys_.known()->api.empty() && !keys_.fetch_now()) {
        r.detail = "broker " + issuer() + ": its discovery document cannot be read";
        failed(r);
        return r;
    }
    const auto jti = fresh_name(world_.random);
    if (!jti) {
        r.detail = jti.error().detail;
        return r;
    }
    const RequestHead head{vendor_, issuer(), std::string(call), world_.clock.now(), *jti};
    body.set("request", sign_request(head, members, *key_));
    r = read_reply(world_.transport.post(keys_.known()->api + "/" + std::string(call), body.jcs()),
                   "broker " + issuer() + ", " + std::string(call));
    r.retry_after_s = std::max(r.retry_after_s, 2u);
    if (r.too_many) refused(call, r);
    if (r.status == 0 && !r.too_many) failed(r);
    else answered();
    return r;
}

}  // namespace netpay::custody
