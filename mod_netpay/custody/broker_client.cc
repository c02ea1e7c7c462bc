#include "mod_netpay/custody/broker_client.h"

#include <algorithm>

#include "core/limits.h"
#include "core/request.h"

namespace netpay::custody {
namespace {

// The breaker's pause where the broker names none, and the longest it may name.
constexpr std::int64_t pause_s = 1;
constexpr std::int64_t longest_pause_s = 60;

std::string last_part(std::string_view type) {
    return std::string(type.substr(type.find_last_of(":/") + 1));
}

// Text of another party in our log: bounded, and nothing that could forge a line.
std::string tame(std::string_view text) {
    std::string out(text.substr(0, 200));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return out;
}

}  // namespace

BrokerClient::BrokerClient(std::string vendor, std::shared_ptr<const SigningKey> key, BrokerKeys& keys, World world)
    : vendor_(std::move(vendor)), key_(std::move(key)), keys_(keys), world_(world) {}

bool BrokerClient::open(Reply& out) {
    const std::lock_guard g(mutex_);
    const UnixTime now = world_.clock.now();
    if (closed_until_ > now && closed_until_ <= now + longest_pause_s) {
        out.detail = "broker " + issuer() + " is out of reach";
        out.retry_after_s = static_cast<std::uint32_t>(std::max<std::int64_t>(closed_until_ - now, 2));
        return false;
    }
    // After a failure this call is the one that tries; others wait for its outcome.
    if (failures_) closed_until_ = now + pause_s;
    return true;
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

Reply BrokerClient::read(HttpAnswer a, std::string_view call) const {
    Reply r;
    const std::string what = "broker " + issuer() + ", " + std::string(call) + ": ";
    r.retry_after_s = static_cast<std::uint32_t>(std::clamp<std::int64_t>(a.retry_after_s, 2, longest_pause_s));
    if (a.status == 0) {
        r.detail = what + a.error;
        return r;
    }
    auto doc = json::Document::parse(a.body);
    const bool object = doc && doc->root().is_object();
    r.detail = what + "status " + std::to_string(a.status);
    if (object && a.status != 200) {
        if (const auto type = doc->root().string("type")) r.kind = last_part(*type);
        if (const auto detail = doc->root().string("detail")) r.detail += ": " + tame(*detail);
    }
    if (a.status == 200 && !object) {
        r.detail = what + "the answer is no JSON object";
        return r;
    }
    const bool client_error = a.status >= 400 && a.status < 500 && a.status != 408 && a.status != 429;
    if (a.status != 200 && !client_error) return r;
    r.status = a.status;
    if (object) r.body = std::move(*doc);
    return r;
}

Reply BrokerClient::call(std::string_view call, const json::Object& members) {
    Reply r;
    if (!open(r)) return r;
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
    const auto body = json::Object().set("request", sign_request(head, members, *key_)).jcs();
    r = read(world_.transport.post(keys_.known()->api + "/" + std::string(call), body), call);
    if (r.status == 0) failed(r);
    else answered();
    return r;
}

}  // namespace netpay::custody
