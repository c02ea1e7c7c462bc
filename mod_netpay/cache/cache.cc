#include "mod_netpay/cache/cache.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <libmemcached/memcached.h>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/payword.h"
#include "mod_netpay/cache/circuit.h"
#include "mod_netpay/cache/seal.h"
#include "world/background.h"

namespace netpay::cache {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Connections for get() kept open in one process; threads beyond find their
// copy unknown and ask the till.
constexpr std::size_t readers = 8;

// Values longer than this were not written here: a full set of tickets is 1.1 KB.
constexpr std::size_t value_bytes = 4096;

struct TagHash {
    std::size_t operator()(const Tag16& t) const {
        std::size_t h = 0;
        std::memcpy(&h, t.data(), sizeof h);
        return h;
    }
};

// A libmemcached handle with a connection to each server. One thread at a time.
class Handle {
public:
    enum class Kind { asking, writing_behind };
    Handle(const Options& o, Kind kind) : m_(memcached_create(nullptr)) {
        if (!m_) return;
        set(MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1);
        set(MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA);
        set(MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
        set(MEMCACHED_BEHAVIOR_NO_BLOCK, 1);
        set(MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
        set(MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, o.timeout_ms);
        set(MEMCACHED_BEHAVIOR_POLL_TIMEOUT, o.timeout_ms);
        set(MEMCACHED_BEHAVIOR_SND_TIMEOUT, std::uint64_t{o.timeout_ms} * 1000);
        set(MEMCACHED_BEHAVIOR_RCV_TIMEOUT, std::uint64_t{o.timeout_ms} * 1000);
        if (kind == Kind::writing_behind) {
            set(MEMCACHED_BEHAVIOR_NOREPLY, 1);
            set(MEMCACHED_BEHAVIOR_BUFFER_REQUESTS, 1);
        }
        for (const auto& s : o.servers) {
            if (s.host.empty()) memcached_server_add_unix_socket_with_weight(m_, s.path.c_str(), s.weight);
            else memcached_server_add_with_weight(m_, s.host.c_str(), s.port, s.weight);
        }
    }
    ~Handle() {
        if (m_) memcached_free(m_);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    explicit operator bool() const { return m_ != nullptr; }
    std::uint32_t server_of(const std::string& key) { return memcached_generate_hash(m_, key.data(), key.size()); }
    memcached_return_t set(const std::string& key, const std::string& value, std::uint32_t life_s) {
        return memcached_set(m_, key.data(), key.size(), value.data(), value.size(), static_cast<time_t>(life_s), 0);
    }
    std::optional<std::string> get(const std::string& key, memcached_return_t& rc) {
        std::size_t n = 0;
        std::uint32_t flags = 0;
        char* v = memcached_get(m_, key.data(), key.size(), &n, &flags, &rc);
        std::optional<std::string> out;
        if (v && rc == MEMCACHED_SUCCESS && n <= value_bytes) out.emplace(v, n);
        else if (rc == MEMCACHED_SUCCESS) out.emplace();
        std::free(v);
        return out;
    }
    bool flush() {
        const auto rc = memcached_flush_buffers(m_);
        return rc == MEMCACHED_SUCCESS || rc == MEMCACHED_BUFFERED;
    }

private:
    void set(memcached_behavior_t b, std::uint64_t v) { memcached_behavior_set(m_, b, v); }
    memcached_st* m_;
};

bool answered(memcached_return_t rc) {
    return rc == MEMCACHED_SUCCESS || rc == MEMCACHED_STORED || rc == MEMCACHED_NOTFOUND;
}

class Memcached final : public Cache {
public:
    Memcached(const Options& o, Seal seal) : options_(o), seal_(std::move(seal)) {
        for (std::size_t k = 0; k < o.servers.size(); ++k) circuits_.emplace_back(o.open_ms, o.open_max_ms);
    }
    bool start() {
        return thread_.start([this] { write_behind(); });
    }
    std::optional<Copy> get(const Tag16& coin) override;
    void put(const Tag16& coin, const SpendState& state, std::uint64_t version) override;
    Counters counters() const override;
    bool end_within(milliseconds time) noexcept override { return thread_.end_within(time); }

private:
    using Queue = std::unordered_map<Tag16, Copy, TagHash>;
    struct Letter {
        std::string key, value;
    };

    std::string key_of(const Tag16& coin) const {
        const Digest d = sha256({options_.vendor, "\n", as_view(coin)});
        return options_.prefix + b64u_encode(first16(d));
    }
    std::unique_ptr<Handle> borrow();
    void give_back(std::unique_ptr<Handle> h);
    void failed(std::uint32_t server, const std::string& key) {
        ++errors_;
        circuits_[server].failed(Steady::now(), key);
    }
    void write_behind();
    void send(Queue batch);
    bool send_first(std::uint32_t server, const Letter& letter);
    void try_open_circuits();
    bool any_open() const;

    const Options options_;
    Seal seal_;
    std::deque<Circuit> circuits_;

    std::mutex readers_mutex_;
    std::vector<std::unique_ptr<Handle>> idle_;
    std::size_t lent_ = 0;

    mutable std::mutex queue_mutex_;
    Queue queue_;

    std::atomic<std::uint64_t> hits_{0}, misses_{0}, rejected_{0}, errors_{0}, skipped_{0}, stored_{0}, dropped_{0};
    std::unique_ptr<Handle> asking_, behind_;  // of the writing thread
    world::Background thread_;  // the last: it ends before what it uses goes
};

// ---------------------------------------------------------------- reading

std::unique_ptr<Handle> Memcached::borrow() {
    const std::lock_guard lock(readers_mutex_);
    if (lent_ >= readers) return nullptr;
    ++lent_;
    if (idle_.empty()) return std::make_unique<Handle>(options_, Handle::Kind::asking);
    auto h = std::move(idle_.back());
    idle_.pop_back();
    return h;
}

void Memcached::give_back(std::unique_ptr<Handle> h) {
    const std::lock_guard lock(readers_mutex_);
    --lent_;
    if (h) idle_.push_back(std::move(h));
}

std::optional<Copy> Memcached::get(const Tag16& coin) {
    const std::string key = key_of(coin);
    auto h = borrow();
    if (!h) {
        ++skipped_;
        return std::nullopt;
    }
    if (!*h) {
        give_back(nullptr);
        return std::nullopt;
    }
    const auto server = h->server_of(key);
    if (server >= circuits_.size() || !circuits_[server].closed()) {
        give_back(std::move(h));
        ++skipped_;
        return std::nullopt;
    }
    memcached_return_t rc = MEMCACHED_FAILURE;
    const auto value = h->get(key, rc);
    if (!answered(rc)) {
        failed(server, key);
        h.reset();  // its connection may still bring the answer to this question
        give_back(nullptr);
        return std::nullopt;
    }
    give_back(std::move(h));
    circuits_[server].succeeded();
    if (!value) {
        ++misses_;
        return std::nullopt;
    }
    auto copy = seal_.open(key, *value);
    ++(copy ? hits_ : rejected_);
    return copy;
}

// ---------------------------------------------------------------- writing

void Memcached::put(const Tag16& coin, const SpendState& s, std::uint64_t version) {
    bool wake = false;
    {
        const std::lock_guard lock(queue_mutex_);
        const auto at = queue_.find(coin);
        const bool added = at == queue_.end();
        if (added && queue_.size() >= options_.queue) {
            ++dropped_;
            return;
        }
        Copy& c = added ? queue_[coin] : at->second;
        if (c.version > version) return;
        c.spent = s.spent;
        c.revealed = s.revealed;
        c.used = s.tickets;
        c.start = s.start;
        c.salt = s.salt;
        c.word = s.word;
        c.exp = s.exp;
        c.lease = s.lease;
        c.version = version;
        c.written = static_cast<UnixTime>(time(nullptr));
        wake = added && queue_.size() == 1;  // a coin that pays again while it waits wakes nobody
    }
    if (wake) thread_.wake();
}

// The first letter of a batch to a server waits for the answer, so that a
// server that takes bytes and does nothing (it was stopped) is found out.
bool Memcached::send_first(std::uint32_t server, const Letter& letter) {
    if (!asking_) asking_ = std::make_unique<Handle>(options_, Handle::Kind::asking);
    if (*asking_ && answered(asking_->set(letter.key, letter.value, options_.life_s))) {
        circuits_[server].succeeded();
        ++stored_;
        return true;
    }
    failed(server, letter.key);
    asking_.reset();
    return false;
}

void Memcached::send(Queue batch) {
    if (batch.empty()) return;
    if (!behind_) behind_ = std::make_unique<Handle>(options_, Handle::Kind::writing_behind);
    if (!*behind_) {
        dropped_ += batch.size();
        behind_.reset();
        return;
    }
    std::vector<std::vector<Letter>> letters(circuits_.size());
    for (const auto& [coin, copy] : batch) {
        const auto key = key_of(coin);
        const auto server = behind_->server_of(key);
        if (server < letters.size()) letters[server].push_back({key, seal_.seal(key, copy)});
    }
    std::uint64_t buffered = 0;
    for (std::uint32_t server = 0; server < letters.size(); ++server) {
        auto& all = letters[server];
        if (all.empty()) continue;
        auto& circuit = circuits_[server];
        if ((!circuit.closed() && !circuit.due(Steady::now())) || !send_first(server, all[0])) {
            dropped_ += all.size();
            continue;
        }
        for (std::size_t k = 1; k < all.size(); ++k) {
            const auto rc = behind_->set(all[k].key, all[k].value, options_.life_s);
            if (answered(rc) || rc == MEMCACHED_BUFFERED) ++buffered;
            else ++dropped_;
        }
    }
    if (buffered == 0) return;
    if (behind_->flush()) {
        stored_ += buffered;
        return;
    }
    ++errors_;
    dropped_ += buffered;
    behind_.reset();
}

bool Memcached::any_open() const {
    return std::any_of(circuits_.begin(), circuits_.end(), [](const Circuit& c) { return !c.closed(); });
}

// Servers given up are asked again from here, so that no customer waits for it.
void Memcached::try_open_circuits() {
    for (std::uint32_t server = 0; server < circuits_.size(); ++server) {
        if (!circuits_[server].due(Steady::now())) continue;
        if (!asking_) asking_ = std::make_unique<Handle>(options_, Handle::Kind::asking);
        memcached_return_t rc = MEMCACHED_FAILURE;
        const auto key = circuits_[server].key();
        if (*asking_) (void)asking_->get(key, rc);
        if (answered(rc)) {
            circuits_[server].succeeded();
            behind_.reset();  // its connection may be to the server that died
        } else {
            failed(server, key);
            asking_.reset();
        }
    }
}

void Memcached::write_behind() {
    const milliseconds batch(options_.batch_ms), probe(std::max(options_.batch_ms, options_.open_ms / 10));
    const auto waiting = [this] {
        const std::lock_guard lock(queue_mutex_);
        return !queue_.empty();
    };
    while (!thread_.ending()) {
        if (!waiting()) thread_.pause(any_open() ? probe : milliseconds(options_.open_ms));
        if (waiting()) thread_.rest(batch);  // more is coming
        Queue now;
        {
            const std::lock_guard lock(queue_mutex_);
            now.swap(queue_);
        }
        try_open_circuits();
        send(std::move(now));
    }
}

Counters Memcached::counters() const {
    Counters c;
    c.hits = hits_;
    c.misses = misses_;
    c.rejected = rejected_;
    c.errors = errors_;
    c.skipped = skipped_;
    c.stored = stored_;
    c.dropped = dropped_;
    {
        const std::lock_guard lock(queue_mutex_);
        c.queued = queue_.size();
    }
    c.servers = static_cast<std::uint32_t>(circuits_.size());
    for (const auto& circuit : circuits_) c.open_circuits += circuit.closed() ? 0 : 1;
    return c;
}

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t most) {
    std::uint32_t v = 0;
    const auto [end, e] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (e != std::errc() || end != text.data() + text.size() || v < 1 || v > most) return std::nullopt;
    return v;
}

Error bad_server(std::string_view text, const char* what) {
    return {Code::malformed, "memcached server \"" + std::string(text) + "\": " + what +
                                 "; write host, host:port, [v6]:port or unix:/path, each with *weight if wanted"};
}

}  // namespace

bool Copy::proves_spent(const Payment& p, const SpendRules& rules) const {
    if (p.now > lease || p.now > exp || p.now - written <= rules.grace_s) return false;
    if (p.index < 1 || p.index > revealed || revealed - p.index > rules.max_hop) return false;
    const auto j = static_cast<std::uint32_t>(p.index);
    return has_used(j) && walk_down(salt, revealed, word, j) == p.word;
}

Result<Server> parse_server(std::string_view text) {
    Server s;
    std::string_view rest = text;
    if (const auto star = rest.rfind('*'); star != rest.npos) {
        const auto weight = number(rest.substr(star + 1), 1000);
        if (!weight) return bad_server(text, "the weight is not 1 to 1000");
        s.weight = *weight;
        rest = rest.substr(0, star);
    }
    if (rest.starts_with("unix:")) {
        s.path = rest.substr(5);
        if (s.path.size() < 2 || s.path[0] != '/' || s.path.size() > 107)
            return bad_server(text, "the socket's path is not absolute, or longer than 107 bytes");
        return s;
    }
    std::string_view host = rest, port;
    if (rest.starts_with('[')) {
        const auto end = rest.find(']');
        if (end == rest.npos) return bad_server(text, "] is missing");
        host = rest.substr(1, end - 1);
        port = rest.substr(end + 1);
        if (!port.empty() && port[0] != ':') return bad_server(text, "something stands after ]");
        if (!port.empty()) port.remove_prefix(1);
        else port = "11211";
    } else if (const auto colon = rest.find(':'); colon != rest.npos) {
        host = rest.substr(0, colon);
        port = rest.substr(colon + 1);
    } else {
        port = "11211";
    }
    const auto p = number(port, 65535);
    if (!p) return bad_server(text, "the port is not 1 to 65535");
    if (host.empty() || host.size() > 253 || host.find_first_of(" \t/@*,") != host.npos)
        return bad_server(text, "that is no host");
    s.host = host;
    s.port = static_cast<std::uint16_t>(*p);
    return s;
}

Result<std::unique_ptr<Cache>> Cache::open(const Options& o, const Secret& secret) {
    if (o.servers.empty()) return {Code::malformed, "memcached: no server"};
    if (o.prefix.size() > max_prefix || o.prefix.find_first_of(" \t\r\n") != std::string::npos)
        return {Code::malformed, "memcached: the prefix is longer than 100 bytes or contains blanks"};
    if (secret.size() < 16) return {Code::malformed, "memcached: the secret is shorter than 16 bytes"};
    auto seal = Seal::make(secret);
    if (!seal) return {Code::malformed, "memcached: no randomness or no AES-256-GCM to be had"};
    auto cache = std::make_unique<Memcached>(o, std::move(*seal));
    if (!cache->start()) return {Code::limit, "memcached: the writing thread cannot be started"};
    return std::unique_ptr<Cache>(std::move(cache));
}

}  // namespace netpay::cache
