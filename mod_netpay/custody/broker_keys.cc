#include "mod_netpay/custody/broker_keys.h"

#include <algorithm>
#include <chrono>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/origin.h"
#include "mod_netpay/custody/lock.h"

namespace netpay::custody {
namespace {

// A JWK set of a broker with a hundred keys is 15 KB.
constexpr std::size_t jwks_bytes = 262144;
// An unknown kid shown by a customer makes the broker's keys be asked for no
// more often than this.
constexpr std::int64_t early_refresh_s = 30;
// Failed fetches are repeated after 1, 2, 4 … seconds, at most this.
constexpr std::int64_t longest_pause_s = 60;

std::string without_slash(std::string_view url) {
    while (!url.empty() && url.back() == '/') url.remove_suffix(1);
    return std::string(url);
}

// Whether the broker's document may send us there: only to the issuer's own origin.
bool fits(std::string_view url, const std::string& issuer) {
    return origin_of(url) == issuer && url.find_first_of("?#") == std::string_view::npos && url.size() < 2048;
}

}  // namespace

std::string kept_name(const std::string& directory, const std::string& issuer) {
    return directory + "/brokers/" + b64u_encode(first16(sha256(issuer)));
}

BrokerKeys::BrokerKeys(Broker broker, std::string directory, std::uint32_t refresh_s, World world)
    : broker_(std::move(broker)),
      directory_(std::move(directory)),
      folder_(directory_ + "/brokers"),
      kept_name_(custody::kept_name(directory_, broker_.issuer)),
      kept_path_(kept_name_ + ".json"),
      tried_path_(kept_name_ + ".tried"),
      refresh_s_(std::max<std::uint32_t>(refresh_s, 1)),
      world_(world),
      pinned_{broker_.pinned_keys, {}},
      kept_{kept_path_, {}} {
    std::uint8_t r = 0;
    world_.random.fill(&r, 1);
    jitter_s_ = refresh_s_ / 10 * r / 255;
}

Result<bool> BrokerKeys::load() {
    if (const auto made = world_.disk.make_directory(folder_); !made) return made.error();
    if (!broker_.pinned_keys.empty())
        if (const auto keys = read_pinned(); !keys) return keys.error();
    reread();
    return true;
}

std::shared_ptr<const Known> BrokerKeys::known() const {
    const std::lock_guard g(mutex_);
    return known_;
}

void BrokerKeys::want_refresh() {
    const std::lock_guard g(mutex_);
    wanted_ = true;
}

Result<KeySet> BrokerKeys::read_pinned() {
    const auto text = world_.disk.read(broker_.pinned_keys, jwks_bytes);
    if (!text) return text.error();
    auto keys = KeySet::parse(*text);
    if (!keys) return {keys.error().code, broker_.pinned_keys + ": " + keys.error().detail};
    if (keys->empty()) return {Code::malformed, broker_.pinned_keys + ": no Ed25519 key in this JWK set"};
    return keys;
}

Result<Known> BrokerKeys::read_kept() {
    const auto text = world_.disk.read(kept_path_, 2 * jwks_bytes);
    if (!text) return text.error();
    const auto doc = json::Document::parse(*text);
    if (!doc) return doc.error();
    const auto& v = doc->root();
    const auto api = v.string("api"), jwks = v.string("jwks");
    const auto fetched = v.uint("fetched");
    if (v.string("issuer") != broker_.issuer || !api || !jwks || !fetched || !fits(*api, broker_.issuer))
        return {Code::malformed, kept_path_ + ": not what this server writes there"};
    auto keys = KeySet::parse(*jwks);
    if (!keys) return keys.error();
    return Known{std::move(*keys), std::string(*api), static_cast<UnixTime>(*fetched)};
}

bool BrokerKeys::changed(Watched& w) {
    const auto now = world_.disk.stamp(w.path);
    if (!now || now == w.stamp) return false;
    w.stamp = now;
    return true;
}

bool BrokerKeys::reread() {
    bool kept_changed, pinned_changed;
    {
        const std::lock_guard g(mutex_);
        kept_changed = changed(kept_);
        pinned_changed = !pinned_.path.empty() && changed(pinned_);
    }
    if (!kept_changed && !pinned_changed) return false;
    Known next = *known();
    if (kept_changed) {
        if (auto kept = read_kept()) {
            next.api = std::move(kept->api);
            next.fetched = kept->fetched;
            if (pinned_.path.empty()) next.keys = std::move(kept->keys);
        }
    }
    if (pinned_changed) {
        auto keys = read_pinned();
        if (keys) next.keys = std::move(*keys);
        else world_.log.write(Log::Level::warning, "keys of broker " + broker_.issuer + ": " + keys.error().detail +
                                                       "; the ones read before stay in use");
    }
    publish(std::move(next));
    return true;
}

void BrokerKeys::publish(Known k) {
    const std::lock_guard g(mutex_);
    known_ = std::make_shared<const Known>(std::move(k));
    published_.notify_all();
}

Result<std::string> BrokerKeys::get(const std::string& url) {
    auto answer = world_.transport.get(url);
    if (answer.status == 0) return {Code::malformed, url + ": " + answer.error};
    if (answer.status != 200) return {Code::malformed, url + ": status " + std::to_string(answer.status)};
    if (answer.body.size() > jwks_bytes) return {Code::limit, url + ": the answer is too large"};
    return std::move(answer.body);
}

Result<Known> BrokerKeys::fetch() {
    const std::string place = broker_.issuer + "/.well-known/netpay";
    const auto text = get(place);
    if (!text) return text.error();
    const auto doc = json::Document::parse(*text);
    if (!doc) return {doc.error().code, place + ": " + doc.error().detail};
    const auto& v = doc->root();
    const auto issuer = v.string("issuer"), jwks_uri = v.string("jwks_uri"), api = v.string("api");
    if (!issuer || !jwks_uri || !api) return {Code::malformed, place + ": no issuer, jwks_uri or api"};
    if (*issuer != broker_.issuer) return {Code::mismatch, place + ": speaks for another issuer"};
    if (!fits(*jwks_uri, broker_.issuer) || !fits(*api, broker_.issuer))
        return {Code::mismatch, place + ": jwks_uri or api is not on the issuer's origin"};
    Known k{{}, without_slash(*api), world_.clock.now()};
    if (!broker_.pinned_keys.empty()) return k;
    const std::string jwks_url(*jwks_uri);
    const auto jwks = get(jwks_url);
    if (!jwks) return jwks.error();
    auto keys = KeySet::parse(*jwks);
    if (!keys) return {keys.error().code, jwks_url + ": " + keys.error().detail};
    if (keys->empty()) return {Code::malformed, jwks_url + ": no Ed25519 key"};
    k.keys = std::move(*keys);
    return k;
}

void BrokerKeys::note_failure(const std::string& why) {
    {
        const std::lock_guard g(mutex_);
        ++failures_;
        next_try_ = world_.clock.now() + std::min(longest_pause_s, std::int64_t{1} << std::min(failures_ - 1, 6u));
        attempted_ = true;
        published_.notify_all();
        if (failures_ > 1) return;  // said once
    }
    world_.log.write(Log::Level::warning, "broker " + broker_.issuer + ": " + why);
}

bool BrokerKeys::attempt() {
    // So that processes that fail do not add up to a burst, each sees when any of them last tried.
    if (const auto set = world_.disk.set_time(tried_path_, world_.clock.now()); !set)
        world_.log.write(Log::Level::error, set.error().detail);
    auto got = fetch();
    if (!got) {
        note_failure(got.error().detail);
        return false;
    }
    const auto kept = json::Object()
                          .set("api", got->api)
                          .set("fetched", static_cast<std::uint64_t>(got->fetched))
                          .set("issuer", broker_.issuer)
                          .set("jwks", got->keys.jwks());
    if (const auto saved = world_.disk.replace(kept_path_, kept.jcs()); !saved)
        world_.log.write(Log::Level::error, "keys of broker " + broker_.issuer +
                                                " are in use but cannot be kept for the next start: " +
                                                saved.error().detail);
    if (!broker_.pinned_keys.empty()) got->keys = known()->keys;
    publish(std::move(*got));
    const std::lock_guard g(mutex_);
    if (failures_) world_.log.write(Log::Level::info, "broker " + broker_.issuer + " answers again");
    failures_ = 0;
    next_try_ = 0;
    attempted_ = true;
    wanted_ = false;
    return true;
}

bool BrokerKeys::asked_lately(std::int64_t seconds) {
    const auto tried = world_.disk.stamp(tried_path_);
    if (!tried) return false;
    const auto ago = world_.clock.now() - tried->changed_ns / 1000000000;
    return ago >= 0 && ago < seconds;
}

UnixTime BrokerKeys::due() const {
    const std::lock_guard g(mutex_);
    const UnixTime now = world_.clock.now();
    if (known_->fetched > now + refresh_s_) return now;  // the clock was set back
    UnixTime t = known_->fetched ? known_->fetched + refresh_s_ - jitter_s_ : now;
    if (wanted_) t = std::min(t, known_->fetched + early_refresh_s);
    return std::max(t, std::min(next_try_, now + longest_pause_s));
}

std::uint32_t BrokerKeys::refresh() {
    reread();
    const auto remaining = [&] {
        const auto left = due() - world_.clock.now();
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, refresh_s_));
    };
    if (due() > world_.clock.now() || asked_lately(known()->api.empty() ? 1 : 5)) return remaining();
    const std::unique_lock g(fetching_, std::try_to_lock);
    if (!g) return 1;
    const auto lock = ByteLock::take(directory_ + "/custody.lock", lock_byte_of_task(Task::keys, broker_.issuer),
                                     std::chrono::milliseconds(0));
    if (!lock) return 1;
    reread();
    if (due() <= world_.clock.now()) attempt();
    return remaining();
}

bool BrokerKeys::fetch_now() {
    const std::lock_guard g(fetching_);
    {
        const std::lock_guard h(mutex_);
        const UnixTime now = world_.clock.now();
        if (next_try_ > now && next_try_ <= now + longest_pause_s) return false;
    }
    const auto before = known()->fetched;
    const auto lock = ByteLock::take(directory_ + "/custody.lock", lock_byte_of_task(Task::keys, broker_.issuer),
                                     std::chrono::seconds(2));
    if (!lock) return false;
    reread();
    if (known()->fetched > before) return true;
    return attempt();
}

bool BrokerKeys::wait_for_keys(std::chrono::milliseconds wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    for (;;) {
        reread();
        std::unique_lock g(mutex_);
        if (!known_->keys.empty()) return true;
        if (attempted_ || std::chrono::steady_clock::now() >= until) return false;
        // Woken by a fetch of this process; one of another is found by looking.
        published_.wait_for(g, std::chrono::milliseconds(50));
    }
}

}  // namespace netpay::custody
