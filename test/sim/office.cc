#include "test/sim/office.h"

#include <sys/stat.h>

#include <fstream>

#include "broker/api/operator.h"
#include "broker/files.h"
#include "broker/http/target.h"
#include "core/base64url.h"
#include "core/timestamp.h"

namespace netpay::sim {
namespace {

// The daemon's ticks are 10 s apart; one in three is enough for its measure
// of downtime (a gap of more than 30 s counts), and saves two thirds of the time.
constexpr std::int64_t tick_s = 3 * broker::tick_period_s;

// A body arrives in pieces of this size.
constexpr std::size_t piece_bytes = 4096;

template <class T>
T must(Result<T> r, const char* what) {
    if (!r) throw Violation{std::string(what) + ": " + r.error().detail};
    return std::move(*r);
}

// A key directory as KeyStore::init() makes it, but the same for the same seed.
void make_keys(const std::string& directory, std::uint64_t seed) {
    ::mkdir(directory.c_str(), 0700);
    Bytes d(32);
    SeededRandom(seed ^ 0x6b657973).fill(d.data(), d.size());
    const auto key = must(SigningKey::from_bytes(Secret(std::move(d))), "broker key");
    const json::Object entry = json::Object()
                                   .set("activated", format_rfc3339(start_of_time))
                                   .set("created", format_rfc3339(start_of_time))
                                   .set("kid", key.kid())
                                   .set("state", "active")
                                   .set("x", b64u_encode(key.public_key().bytes()));
    must(broker::write_private_file(directory, key.kid() + ".pem", key.to_pem().expose()), "broker key");
    must(broker::write_private_file(directory, "keys.json", json::Object().set("keys", std::vector<json::Object>{entry}).jcs()), "broker key");
}

}  // namespace

struct Office::Open {
    Open(const std::string& path, broker::Context c)
        : context(c), store(must(broker::Store::open(path), "the broker's store")) {
        broker::register_api(router, context, *store);
    }
    broker::Context context;
    std::unique_ptr<broker::Store> store;
    broker::Router router;
};

namespace {
broker::Metrics& metrics() {
    static broker::Metrics all;
    return all;
}
}  // namespace

Office::Office(Stage& stage, Network& network, const std::string& directory)
    : stage_(stage), network_(network), directory_(directory), log_path_(directory + "/log"), clock_(stage),
      random_(stage.seed ^ 0x62726f6b6572), disk_(stage, issuer), wire_(network, issuer, disk_) {
    options_.issuer = issuer;
    options_.currencies = {*Currency::parse("uusd")};
    for (const std::uint32_t n : {10u, 40u, 200u, 1000u}) options_.denominations.push_back({*Amount::from(unit_micro), n});
    options_.coin_days = 5;
    options_.lease_s = lease_s;
    make_keys(directory + "/keys", stage.seed);
    log_ = must(broker::Log::open(log_path_, clock_), "the broker's log");
    keys_ = must(broker::KeyStore::open(directory + "/keys", stage.now), "the broker's keys");
    rise();
    eye_ = must(broker::Store::open(directory + "/broker.db"), "the broker's store");
}

Office::~Office() = default;

void Office::die() { open_.reset(); }

void Office::rise() {
    if (open_) return;
    open_ = std::make_unique<Open>(directory_ + "/broker.db",
                                   broker::Context{options_, *keys_, *log_, metrics(), clock_, random_, &wire_});
    network_.run_as(issuer, [&] { broker::tick(open_->context, *open_->store); });
    next_tick_ = stage_.now + tick_s;
}

// The clock jumps by minutes and hours between two steps; the daemon would
// have worked meanwhile, and so it does here, at the times it would have.
void Office::catch_up() {
    const auto now = stage_.now;
    while (open_ && next_tick_ <= now) {
        stage_.now = std::max(next_tick_, now - 400 * tick_s);
        next_tick_ = stage_.now + tick_s;
        network_.run_as(issuer, [&] { broker::tick(open_->context, *open_->store); });
    }
    stage_.now = std::max(stage_.now, now);
}

broker::Response Office::route(const Message& m) {
    const auto target = broker::parse_target(m.url.substr(issuer.size()));
    const auto match = target ? open_->router.match(m.method, *target) : broker::Router::Match{};
    if (!match.route) return broker::Response::problem(404, "no-such-path", "No such path", m.url);
    broker::Request r;
    r.method = m.method;
    r.path = target->path();
    r.query = target->query;
    r.headers = m.headers;
    r.params = match.params;
    r.peer = "192.0.2.1";
    r.now = stage_.now;
    r.request_id = std::to_string(++requests_);
    if (m.body.size() > match.route->limits.body_bytes)
        return broker::Response::problem(413, "body-too-large", "Too large", "body");
    if (match.route->handler) {
        r.body = m.body;
        return match.route->handler(r);
    }
    const auto sink = match.route->stream(r);
    for (std::size_t at = 0; at < m.body.size(); at += piece_bytes)
        if (auto early = sink->chunk(std::string_view(m.body).substr(at, piece_bytes))) return std::move(*early);
    return sink->finish();
}

world::HttpAnswer Office::answer(const broker::Response& r) const {
    world::HttpAnswer a;
    a.status = r.status;
    a.body = r.body;
    a.date = stage_.now;
    for (const auto& [name, value] : r.headers)
        if (name == "Retry-After") a.retry_after_s = std::stol(value);
    return a;
}

world::HttpAnswer Office::handle(const Message& m) { return answer(route(m)); }

std::string Office::voucher(std::uint64_t micro) {
    return must(broker::mint_vouchers(open_->context, *open_->store, {*Amount::from(micro), *Currency::parse("uusd"), 1, 365}),
                "a voucher")[0].code;
}

void Office::approve(const std::string& origin) {
    must(broker::approve_vendor(open_->context, *open_->store, origin), "approval");
}

}  // namespace netpay::sim
