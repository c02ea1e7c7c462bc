#include "broker/keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "broker/files.h"
#include "broker/random.h"
#include "core/base64url.h"
#include "core/timestamp.h"

namespace netpay::broker {

std::string_view name_of(KeyState s) {
    switch (s) {
        case KeyState::next: return "next";
        case KeyState::active: return "active";
        case KeyState::retired: return "retired";
    }
    return "unknown";
}

struct KeyStore::Loaded {
    struct Item {
        KeyEntry entry;
        PublicKey key;
    };
    std::vector<Item> items;
    std::shared_ptr<const SigningKey> current;
    std::shared_ptr<const KeySet> listed;
};

namespace {

constexpr char state_file[] = "keys.json";
constexpr std::size_t state_bytes = 1 << 20;  // some 3000 keys
constexpr std::size_t pem_bytes = 4096;

std::optional<KeyState> parse_state(std::string_view text) {
    for (const auto s : {KeyState::next, KeyState::active, KeyState::retired})
        if (name_of(s) == text) return s;
    return std::nullopt;
}

UnixTime time_member(const json::Value& v, std::string_view name) {
    const auto text = v.string(name);
    return text ? parse_rfc3339(*text).value_or(0) : 0;
}

template <class Item>
Result<Item> parse_item(const json::Value& v) {
    const auto state = parse_state(v.string("state").value_or(""));
    const auto x = b64u_decode_array<32>(v.string("x").value_or(""));
    if (!state || !x) return {Code::malformed, "an entry without a good \"state\" and \"x\""};
    auto key = PublicKey::from_bytes(*x);
    if (!key) return key.error();
    if (v.string("kid") != key->kid()) return {Code::mismatch, "a \"kid\" that is not the thumbprint of its key"};
    KeyEntry e{key->kid(),
               *state,
               time_member(v, "created"),
               time_member(v, "activated"),
               time_member(v, "retired"),
               time_member(v, "listed_until")};
    return Item{std::move(e), std::move(*key)};
}

template <class Item>
json::Object item_json(const Item& i) {
    json::Object o;
    o.set("kid", i.entry.kid).set("state", name_of(i.entry.state)).set("x", b64u_encode(i.key.bytes()));
    const auto time = [&o](std::string_view name, UnixTime t) { if (t) o.set(name, format_rfc3339(t)); };
    time("created", i.entry.created);
    time("activated", i.entry.activated);
    time("retired", i.entry.retired);
    time("listed_until", i.entry.listed_until);
    return o;
}

template <class Item>
Result<bool> write_state(const std::string& dir, const std::vector<Item>& items) {
    std::vector<json::Object> keys;
    for (const auto& i : items) keys.push_back(item_json(i));
    return write_private_file(dir, state_file, json::Object().set("keys", keys).jcs() + "\n");
}

Result<SigningKey> random_key() {
    SystemRandom random;
    auto d = random.bytes<32>();
    auto key = SigningKey::from_bytes(Secret(Bytes(d.begin(), d.end())));
    cleanse(d.data(), d.size());
    return key;
}

// A new key on disk, not yet in the state: without an entry it is nothing. A
// kid that begins with '-' would be taken for an option by every command.
Result<SigningKey> make_key(const std::string& dir) {
    auto key = random_key();
    while (key && key->kid().starts_with('-')) key = random_key();
    if (!key) return key.error();
    const auto written = write_private_file(dir, key->kid() + ".pem", key->to_pem().expose());
    if (!written) return written.error();
    return key;
}

template <class Item>
Result<std::vector<Item>> read_state(const std::string& dir) {
    const std::string path = dir + "/" + state_file;
    const auto text = read_private_file(path, state_bytes);
    if (!text) return text.error();
    const auto doc = json::Document::parse(text->expose());
    const auto* keys = doc ? doc->root().array("keys") : nullptr;
    if (!keys) return {Code::malformed, path + " is not a JSON object with an array \"keys\""};
    std::vector<Item> items;
    for (const auto& k : *keys) {
        auto item = parse_item<Item>(k);
        if (!item) return {item.error().code, path + " has " + item.error().detail};
        items.push_back(std::move(*item));
    }
    const auto active = std::count_if(items.begin(), items.end(),
                                      [](const Item& i) { return i.entry.state == KeyState::active; });
    if (active != 1)
        return {Code::malformed, path + " has " + std::to_string(active) + " active keys; there must be exactly one"};
    return items;
}

Result<std::shared_ptr<const SigningKey>> read_key(const std::string& dir, const std::string& kid) {
    const std::string path = dir + "/" + kid + ".pem";
    const auto pem = read_private_file(path, pem_bytes);
    if (!pem) return pem.error();
    auto key = SigningKey::from_pem(*pem);
    if (!key) return {Code::malformed, path + " is " + key.error().detail};
    if (key->kid() != kid) return {Code::mismatch, path + " holds another key than its name says"};
    return std::shared_ptr<const SigningKey>(std::make_shared<SigningKey>(std::move(*key)));
}

template <class Item>
Item* find_item(std::vector<Item>& items, std::string_view kid) {
    for (auto& i : items)
        if (i.entry.kid == kid) return &i;
    return nullptr;
}

template <class Item>
std::shared_ptr<const KeySet> listed_of(const std::vector<Item>& items, UnixTime now) {
    std::vector<PublicKey> keys;
    for (const auto& i : items)
        if (i.entry.listed(now)) keys.push_back(i.key);
    return std::make_shared<KeySet>(std::move(keys));
}

Error no_such_key(std::string_view kid) {
    return {Code::mismatch, "there is no key " + std::string(kid) + "; see: keys list"};
}

}  // namespace

Result<std::unique_ptr<KeyStore>> KeyStore::open(const std::string& dir, UnixTime now) {
    const auto private_dir = check_private_directory(dir);
    if (!private_dir) return private_dir.error();
    std::unique_ptr<KeyStore> store(new KeyStore(dir));
    const auto loaded = store->reload(now);
    if (!loaded) return loaded.error();
    return store;
}

Result<std::unique_ptr<KeyStore>> KeyStore::init(const std::string& dir, UnixTime now) {
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
        return {Code::malformed, "cannot make " + dir + ": " + std::strerror(errno)};
    const auto private_dir = check_private_directory(dir);
    if (!private_dir) return private_dir.error();
    {
        const auto lock = DirectoryLock::take(dir);
        if (!lock) return lock.error();
        struct stat st{};
        if (::stat((dir + "/" + state_file).c_str(), &st) != 0) {
            const auto key = make_key(dir);
            if (!key) return key.error();
            const KeyEntry first{key->kid(), KeyState::active, now, now, 0, 0};
            const auto written = write_state(dir, std::vector<Loaded::Item>{{first, key->public_key()}});
            if (!written) return written.error();
        }
    }
    return open(dir, now);
}

std::shared_ptr<const SigningKey> KeyStore::current() const {
    const std::lock_guard lock(mutex_);
    return loaded_->current;
}

std::shared_ptr<const KeySet> KeyStore::listed() const {
    const std::lock_guard lock(mutex_);
    return loaded_->listed;
}

std::vector<KeyEntry> KeyStore::entries() const {
    const std::lock_guard lock(mutex_);
    std::vector<KeyEntry> out;
    for (const auto& i : loaded_->items) out.push_back(i.entry);
    return out;
}

Result<bool> KeyStore::reload(UnixTime now) {
    auto items = read_state<Loaded::Item>(dir_);
    if (!items) return items.error();
    auto fresh = std::make_shared<Loaded>();
    fresh->items = std::move(*items);
    fresh->listed = listed_of(fresh->items, now);
    for (const auto& i : fresh->items) {
        if (i.entry.state != KeyState::active) continue;
        auto key = read_key(dir_, i.entry.kid);
        if (!key) return key.error();
        fresh->current = std::move(*key);
    }
    const std::lock_guard lock(mutex_);
    const bool changed = !loaded_ || loaded_->listed->keys() != fresh->listed->keys() ||
                         loaded_->current->kid() != fresh->current->kid();
    loaded_ = std::move(fresh);
    return changed;
}

Result<std::string> KeyStore::add(UnixTime now) {
    const auto lock = DirectoryLock::take(dir_);
    if (!lock) return lock.error();
    auto items = read_state<Loaded::Item>(dir_);
    if (!items) return items.error();
    const auto key = make_key(dir_);
    if (!key) return key.error();
    items->push_back({KeyEntry{key->kid(), KeyState::next, now, 0, 0, 0}, key->public_key()});
    const auto written = write_state(dir_, *items);
    if (!written) return written.error();
    const auto loaded = reload(now);
    if (!loaded) return loaded.error();
    return key->kid();
}

Result<bool> KeyStore::activate(std::string_view kid, UnixTime now, std::int64_t coin_life_s, bool force) {
    const auto lock = DirectoryLock::take(dir_);
    if (!lock) return lock.error();
    auto items = read_state<Loaded::Item>(dir_);
    if (!items) return items.error();
    auto* chosen = find_item(*items, kid);
    if (!chosen) return no_such_key(kid);
    if (chosen->entry.state != KeyState::next)
        return Error{Code::mismatch, "key " + std::string(kid) + " is " + std::string(name_of(chosen->entry.state)) +
                                         "; only a next key can be activated"};
    const auto since = chosen->entry.created + lead_s;
    if (now < since && !force)
        return Error{Code::mismatch, "key " + std::string(kid) + " is to be listed for an hour before it signs, until " +
                                         format_rfc3339(since) + "; --force activates it now, and vendors that have not "
                                         "fetched it refuse its coins until they do"};
    const auto readable = read_key(dir_, chosen->entry.kid);
    if (!readable) return readable.error();
    for (auto& i : *items) {
        if (i.entry.state != KeyState::active) continue;
        i.entry.state = KeyState::retired;
        i.entry.retired = now;
        i.entry.listed_until = now + coin_life_s;
    }
    chosen->entry.state = KeyState::active;
    chosen->entry.activated = now;
    const auto written = write_state(dir_, *items);
    if (!written) return written.error();
    return reload(now);
}

Result<bool> KeyStore::retire(std::string_view kid, UnixTime now, bool force) {
    const auto lock = DirectoryLock::take(dir_);
    if (!lock) return lock.error();
    auto items = read_state<Loaded::Item>(dir_);
    if (!items) return items.error();
    auto* chosen = find_item(*items, kid);
    if (!chosen) return no_such_key(kid);
    auto& e = chosen->entry;
    if (e.state == KeyState::active)
        return Error{Code::mismatch, "key " + e.kid + " is the active one; activate another first"};
    if (e.state == KeyState::retired && now <= e.listed_until && !force)
        return Error{Code::mismatch, "coins signed by key " + e.kid + " may live until " +
                                         format_rfc3339(e.listed_until) +
                                         "; --force takes it out of the set now, and vendors refuse those coins"};
    if (e.state == KeyState::next) e.retired = now;
    e.state = KeyState::retired;
    e.listed_until = std::min(e.listed_until, now - 1);
    const auto written = write_state(dir_, *items);
    if (!written) return written.error();
    return reload(now);
}

}  // namespace netpay::broker
