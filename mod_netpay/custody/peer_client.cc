#include "mod_netpay/custody/peer_client.h"

#include <algorithm>

#include "core/limits.h"
#include "core/request.h"

namespace netpay::custody {
namespace {

// A call occupies the thread of a customer's request for up to
// call_timeout_ms. httpd's processes have 25 threads by default: a third of
// them may wait for vendors, and no vendor may have more than half of those.
constexpr std::uint32_t most_calls = 8, most_calls_to_one = 4;

// The pause after the nth failure in a row is 2^(n-1) s, at most this: a
// vendor that is back is found so soon.
constexpr std::int64_t longest_pause_s = 16;

// Vendors with failures that are remembered; 100 bytes each.
constexpr std::size_t most_lines = 4096;

}  // namespace

class PeerClient::Place {
public:
    Place(PeerClient& c, const std::string& vendor) : client_(c), vendor_(vendor) {}
    ~Place() { client_.leave(vendor_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
private:
    PeerClient& client_;
    const std::string& vendor_;
};

bool PeerClient::enter(const std::string& vendor, Reply& out) {
    const std::lock_guard g(mutex_);
    const UnixTime now = world_.clock.now();
    if (lines_.size() >= most_lines)
        std::erase_if(lines_, [&](const auto& l) { return l.second.under_way == 0 && l.second.closed_until <= now; });
    if (under_way_ >= most_calls || lines_.size() >= most_lines) {
        out.detail = "as many hand-overs as may be are under way";
        out.retry_after_s = 1;
        return false;
    }
    auto& line = lines_[vendor];
    if (line.under_way >= most_calls_to_one) {
        out.detail = "as many hand-overs from " + vendor + " as may be are under way";
        out.retry_after_s = 1;
        return false;
    }
    if (line.closed_until > now && line.closed_until <= now + longest_pause_s) {
        out.detail = vendor + " is out of reach";
        out.retry_after_s = static_cast<std::uint32_t>(
            std::min<std::int64_t>(std::int64_t{1} << std::min(line.failures, 6u), longest_retry_s));
        return false;
    }
    // After a failure this call is the one that tries; others wait for its outcome.
    if (line.failures) line.closed_until = now + 1;
    ++line.under_way;
    ++under_way_;
    return true;
}

void PeerClient::leave(const std::string& vendor) {
    const std::lock_guard g(mutex_);
    --under_way_;
    const auto line = lines_.find(vendor);
    if (--line->second.under_way == 0 && line->second.failures == 0) lines_.erase(line);
}

void PeerClient::failed(const std::string& vendor, Reply& why) {
    std::uint32_t failures;
    {
        const std::lock_guard g(mutex_);
        auto& line = lines_[vendor];
        failures = ++line.failures;
        line.closed_until = world_.clock.now() + std::min(longest_pause_s, std::int64_t{1} << std::min(failures - 1, 6u));
    }
    why.retry_after_s = static_cast<std::uint32_t>(
        std::min<std::int64_t>(std::int64_t{1} << std::min(failures, 6u), longest_retry_s));
    if (failures == 1) world_.log.write(Log::Level::warning, why.detail);  // said once
}

void PeerClient::answered(const std::string& vendor) {
    {
        const std::lock_guard g(mutex_);
        auto& line = lines_[vendor];
        line.closed_until = 0;
        if (std::exchange(line.failures, 0) == 0) return;
    }
    world_.log.write(Log::Level::info, vendor + " answers again");
}

Reply PeerClient::hand_over(const Certificate& holder, const json::Object& members, json::Object body) {
    Reply r;
    const auto jti = fresh_name(world_.random);
    if (!jti) {
        r.detail = jti.error().detail;
        return r;
    }
    if (!enter(holder.sub, r)) return r;
    const Place place(*this, holder.sub);
    const RequestHead head{self_.vendor, holder.sub, "handoff", world_.clock.now(), *jti};
    body.set("request", sign_request(head, members, *self_.key));
    auto answer = peers_.post(holder.handoff, body.jcs());
    const bool busy = answer.status == 503;
    r = read_reply(std::move(answer), holder.sub + ", handoff");
    // Busy is an answer: the vendor lives, and the coin is let go in a moment.
    if (r.status == 0 && !busy) failed(holder.sub, r);
    else answered(holder.sub);
    return r;
}

}  // namespace netpay::custody
