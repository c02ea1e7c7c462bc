#include "mod_netpay/custody/clock_watch.h"

#include <cstdlib>

#include "core/json.h"
#include "core/limits.h"

namespace netpay::custody {
namespace {

// The file is written when the clock turns bad or good again, and for a
// change of more than this, which metrics show.
constexpr std::int64_t worth_keeping_s = 5;
constexpr std::size_t file_bytes = 1024;

bool within(std::int64_t skew_s) { return std::llabs(skew_s) <= limits::request_skew_s; }

}  // namespace

ClockWatch::ClockWatch(std::string broker, std::string path, World world)
    : broker_(std::move(broker)), path_(std::move(path)), world_(world) {}

HttpAnswer ClockWatch::get(const std::string& url) {
    const UnixTime before = world_.clock.now();
    return compare(before, world_.transport.get(url));
}

HttpAnswer ClockWatch::post(const std::string& url, const std::string& json) {
    const UnixTime before = world_.clock.now();
    return compare(before, world_.transport.post(url, json));
}

// The answer was made at some instant of the call, so only what lies outside it is skew.
HttpAnswer ClockWatch::compare(UnixTime before, HttpAnswer a) {
    if (a.status == 0 || a.date == 0) return a;
    dated_ = true;
    const UnixTime after = world_.clock.now();
    measured(a.date < before ? before - a.date : a.date > after ? after - a.date : 0);
    return a;
}

void ClockWatch::heard(UnixTime signed_at) {
    if (dated_) return;
    const auto skew = world_.clock.now() - signed_at;
    // An old token says nothing: the broker gives the same custody again.
    if (skew > limits::request_skew_s) return;
    if (!within(skew) || !good()) measured(skew);
}

bool ClockWatch::set(std::int64_t skew_s) {
    skew_s_ = skew_s;
    return good_.exchange(within(skew_s)) != within(skew_s);
}

void ClockWatch::measured(std::int64_t skew_s) {
    bool changed, keeping;
    {
        const std::lock_guard g(mutex_);
        changed = set(skew_s);
        keeping = changed || std::llabs(skew_s - kept_s_) > worth_keeping_s;
        if (keeping) kept_s_ = skew_s;
    }
    if (keeping) keep(skew_s);
    if (!changed) return;
    const std::string by = std::to_string(std::llabs(skew_s)) + " s " + (skew_s < 0 ? "behind" : "ahead of");
    if (within(skew_s))
        world_.log.write(Log::Level::info, "this server's clock agrees with that of broker " + broker_ + " again");
    else
        world_.log.write(Log::Level::error, "this server's clock is " + by + " that of broker " + broker_ +
                                                "; no coin is taken, sold from or handed over until it agrees within " +
                                                std::to_string(limits::request_skew_s) + " s");
}

void ClockWatch::keep(std::int64_t skew_s) {
    const auto text = json::Object().set(skew_s < 0 ? "behind" : "ahead", static_cast<std::uint64_t>(std::llabs(skew_s))).jcs();
    if (const auto kept = world_.disk.replace(path_, text); !kept) {
        world_.log.write(Log::Level::error, kept.error().detail);
        return;
    }
    const std::lock_guard g(mutex_);
    stamp_ = world_.disk.stamp(path_);
}

void ClockWatch::reread() {
    const auto stamp = world_.disk.stamp(path_);
    {
        const std::lock_guard g(mutex_);
        if (!stamp || stamp == stamp_) return;
        stamp_ = stamp;
    }
    const auto text = world_.disk.read(path_, file_bytes);
    const auto doc = text ? json::Document::parse(*text) : Result<json::Document>(text.error());
    if (!doc) return;
    const auto ahead = doc->root().uint("ahead"), behind = doc->root().uint("behind");
    if (!ahead == !behind) return;
    const std::lock_guard g(mutex_);
    kept_s_ = ahead ? static_cast<std::int64_t>(*ahead) : -static_cast<std::int64_t>(*behind);
    set(kept_s_);
}

}  // namespace netpay::custody
