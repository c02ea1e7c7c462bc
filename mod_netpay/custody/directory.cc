#include "mod_netpay/custody/directory.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/limits.h"
#include "mod_netpay/custody/lock.h"

namespace netpay::custody {
namespace {

// As large as an answer of the broker may be (transport.cc), and the member names of the kept file.
constexpr std::size_t kept_bytes = (8 << 20) + 4096;
// Failed fetches are repeated after 1, 2, 4 … seconds, at most this.
constexpr std::int64_t longest_pause_s = 60;
// Processes that find the list missing do not add up to a burst.
constexpr std::int64_t apart_s = 1;
constexpr std::int64_t own_asked_s = 30;

}  // namespace

Directory::Directory(Self self, BrokerKeys& keys, std::string directory, std::uint32_t refresh_s, World world)
    : self_(std::move(self)),
      keys_(keys),
      lock_path_(directory + "/custody.lock"),
      kept_path_(keys.kept_name() + ".vendors"),
      tried_path_(keys.kept_name() + ".vendors.tried"),
      refresh_s_(std::max<std::uint32_t>(refresh_s, 1)),
      world_(world) {}

std::shared_ptr<const Vendors> Directory::known() const {
    const std::lock_guard g(mutex_);
    return known_;
}

std::optional<Listed> Directory::find(std::string_view vendor) const {
    const auto all = known();
    const auto v = all->of.find(vendor);
    if (v == all->of.end()) return std::nullopt;
    for (const auto& c : v->second)
        if (c.certificate.exp >= world_.clock.now()) return c;
    return std::nullopt;
}

Result<Listed> Directory::verify(std::string_view token) {
    const auto check = [&] {
        return verify_certificate(token, keys_.issuer(), keys_.known()->keys, world_.clock.now());
    };
    auto c = check();
    if (!c && c.error().code == Code::unknown_key) {
        keys_.want_refresh();
        if (keys_.reread()) c = check();
    }
    if (!c) return c.error();
    return Listed{std::string(token), std::move(*c)};
}

// A certificate that the list should name and does not was revoked before it
// was fetched. When, is not known: what was signed before the list may be good,
// and the broker will say. A vendor not listed at all is suspended, and may
// still let go what it holds.
bool Directory::is_withdrawn(const Vendors& all, const Certificate& c, UnixTime at) {
    if (at <= all.fetched || c.iat + limits::request_skew_s >= all.fetched) return false;
    const auto v = all.of.find(c.sub);
    return v != all.of.end() && std::none_of(v->second.begin(), v->second.end(),
                                             [&](const Listed& l) { return l.certificate.key == c.key; });
}

KeySet Directory::keys_of(std::string_view vendor, const Certificate* shown, UnixTime at) const {
    const auto covers = [at](const Certificate& c) { return c.iat <= at + limits::request_skew_s && at <= c.exp; };
    std::vector<PublicKey> keys;
    const auto all = known();
    if (shown && shown->sub == vendor && covers(*shown) && !is_withdrawn(*all, *shown, at)) keys.push_back(shown->key);
    if (const auto v = all->of.find(vendor); v != all->of.end())
        for (const auto& c : v->second)
            if (c.certificate.exp >= world_.clock.now() && covers(c.certificate)) keys.push_back(c.certificate.key);
    return KeySet(std::move(keys));
}

std::string Directory::own() {
    if (!self_.certificate.empty() && verify(self_.certificate)) return self_.certificate;
    const auto all = known();
    if (const auto v = all->of.find(self_.vendor); v != all->of.end())
        for (const auto& c : v->second)
            if (c.certificate.exp >= world_.clock.now() && c.certificate.key == self_.key->public_key()) return c.token;
    return ask_for_own();
}

std::string Directory::ask_for_own() {
    const UnixTime now = world_.clock.now();
    {
        const std::lock_guard g(mutex_);
        const bool lately = own_asked_ <= now && now < own_asked_ + own_asked_s;
        if (lately) return own_;
        own_asked_ = now;
        own_.clear();
    }
    const auto api = keys_.known()->api;
    if (api.empty()) return {};
    const auto answer = world_.transport.get(api + "/vendors/" + b64u_encode(self_.vendor));
    const auto doc = answer.status == 200 ? json::Document::parse(answer.body) : Result<json::Document>(Code::malformed, "");
    const auto token = doc && doc->root().is_object() ? doc->root().string("certificate") : std::nullopt;
    const auto c = token ? verify(*token) : Result<Listed>(Code::malformed, "broker " + keys_.issuer() + " has no certificate of this vendor");
    if (!c || c->certificate.sub != self_.vendor || !(c->certificate.key == self_.key->public_key())) {
        world_.log.write(Log::Level::error, "this vendor's certificate: " + (c ? "it is not for this vendor and key" : c.error().detail));
        return {};
    }
    const std::lock_guard g(mutex_);
    return own_ = c->token;
}

// Certificates that do not verify are passed over: a directory may be wrong
// or lie, and each is judged alone.
Vendors Directory::read(const json::Value& certificates, UnixTime fetched) {
    Vendors v;
    v.fetched = fetched;
    std::uint32_t bad = 0;
    std::string why;
    for (const auto& item : certificates) {
        const auto token = item.as_string();
        auto c = token ? verify(*token) : Result<Listed>(Code::malformed, "no string");
        if (!c) {
            // That one expired since it was listed is no fault of the list.
            if (c.error().code != Code::expired && ++bad == 1) why = c.error().detail;
            continue;
        }
        ++v.count;
        v.of[c->certificate.sub].push_back(std::move(*c));
    }
    for (auto& [origin, list] : v.of)
        std::stable_sort(list.begin(), list.end(),
                         [](const Listed& a, const Listed& b) { return a.certificate.iat > b.certificate.iat; });
    if (bad)
        world_.log.write(Log::Level::warning, "broker " + keys_.issuer() + ": " + std::to_string(bad) +
                                                  " certificates of its list do not verify and are not used, the first: " + why);
    return v;
}

Result<Vendors> Directory::read_kept() {
    const auto text = world_.disk.read(kept_path_, kept_bytes);
    if (!text) return text.error();
    const auto doc = json::Document::parse(*text);
    if (!doc) return doc.error();
    const auto fetched = doc->root().is_object() ? doc->root().uint("fetched") : std::nullopt;
    const auto* list = fetched ? doc->root().array("certificates") : nullptr;
    if (!list || doc->root().string("issuer") != keys_.issuer())
        return {Code::malformed, kept_path_ + ": not what this server writes there"};
    return read(*list, static_cast<UnixTime>(*fetched));
}

bool Directory::reread() {
    {
        const std::lock_guard g(mutex_);
        const auto now = world_.disk.stamp(kept_path_);
        if (!now || now == stamp_) return false;
        stamp_ = now;
    }
    auto kept = read_kept();
    if (!kept) return false;
    publish(std::move(*kept));
    return true;
}

void Directory::publish(Vendors v) {
    const std::lock_guard g(mutex_);
    known_ = std::make_shared<const Vendors>(std::move(v));
}

Result<Vendors> Directory::fetch(std::string& kept) {
    const std::string url = keys_.known()->api + "/vendors";
    auto answer = world_.transport.get(url);
    if (answer.status == 0) return {Code::malformed, url + ": " + answer.error};
    if (answer.status != 200) return {Code::malformed, url + ": status " + std::to_string(answer.status)};
    const auto doc = json::Document::parse(answer.body);
    if (!doc) return {doc.error().code, url + ": " + doc.error().detail};
    const auto* list = doc->root().is_object() ? doc->root().array("certificates") : nullptr;
    if (!list) return {Code::malformed, url + ": no certificates"};
    auto v = read(*list, world_.clock.now());
    std::vector<std::string> good;
    for (const auto& [origin, certificates] : v.of)
        for (const auto& c : certificates) good.push_back(c.token);
    kept = json::Object()
               .set("certificates", good)
               .set("fetched", static_cast<std::uint64_t>(v.fetched))
               .set("issuer", keys_.issuer())
               .jcs();
    return v;
}

void Directory::attempt() {
    if (const auto set = world_.disk.set_time(tried_path_, world_.clock.now()); !set)
        world_.log.write(Log::Level::error, set.error().detail);
    std::string text;
    auto got = fetch(text);
    if (!got) {
        std::uint32_t failures;
        {
            const std::lock_guard g(mutex_);
            failures = ++failures_;
            next_try_ = world_.clock.now() + std::min(longest_pause_s, std::int64_t{1} << std::min(failures - 1, 6u));
        }
        if (failures == 1)
            world_.log.write(Log::Level::warning, "list of vendors of broker " + keys_.issuer() + ": " + got.error().detail);
        return;
    }
    if (const auto saved = world_.disk.replace(kept_path_, text); !saved)
        world_.log.write(Log::Level::error, "the list of vendors of broker " + keys_.issuer() +
                                                " is in use but cannot be kept: " + saved.error().detail);
    publish(std::move(*got));
    const std::lock_guard g(mutex_);
    stamp_ = world_.disk.stamp(kept_path_);
    failures_ = 0;
    next_try_ = 0;
}

UnixTime Directory::due() const {
    const std::lock_guard g(mutex_);
    const UnixTime now = world_.clock.now();
    if (known_->fetched > now + refresh_s_) return now;  // the clock was set back
    const UnixTime t = known_->fetched ? known_->fetched + refresh_s_ : now;
    return std::max(t, std::min(next_try_, now + longest_pause_s));
}

bool Directory::asked_lately(std::int64_t seconds) {
    const auto tried = world_.disk.stamp(tried_path_);
    if (!tried) return false;
    const auto ago = world_.clock.now() - tried->changed_ns / 1000000000;
    return ago >= 0 && ago < seconds;
}

std::uint32_t Directory::refresh() {
    reread();
    const auto remaining = [&] {
        return static_cast<std::uint32_t>(std::clamp<std::int64_t>(due() - world_.clock.now(), 1, refresh_s_));
    };
    if (keys_.known()->api.empty() || keys_.known()->keys.empty()) return 1;
    if (due() > world_.clock.now() || asked_lately(apart_s)) return remaining();
    const auto lock = ByteLock::take(lock_path_, lock_byte_of_task(Task::vendors, keys_.issuer()), std::chrono::milliseconds(0));
    if (!lock) return 1;
    reread();
    if (due() <= world_.clock.now()) attempt();
    return remaining();
}

}  // namespace netpay::custody
