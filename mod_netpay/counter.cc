#include "core/json.h"
#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/vendor.h"
#include "world/background.h"

namespace netpay::glue {
namespace {

constexpr std::chrono::seconds stop_wait(2);  // a call to a broker may be under way; the child does not wait longer
constexpr std::size_t vendor_file_bytes = 65536;

class ErrorLog final : public custody::Log {
public:
    explicit ErrorLog(server_rec* s) : server_(s) {}
    void write(Level level, const std::string& text) override {
        const int l = level == Level::info ? APLOG_INFO : level == Level::warning ? APLOG_WARNING : APLOG_ERR;
        ap_log_error(APLOG_MARK, l, 0, server_, "%s", text.c_str());
    }

private:
    server_rec* server_;
};

// What netpay-redeem and other tools find in the till's directory.
Result<bool> write_vendor_file(const Vendor& v) {
    const std::string path = v.till.directory + "/vendor.json";
    const std::string text = json::Object().set("vendor", v.origin).set("brokers", v.issuers).jcs() + "\n";
    auto& disk = custody::system_disk();
    const auto there = disk.read(path, vendor_file_bytes);
    if (there && *there == text) return true;
    return disk.replace(path, text);
}

class OpenCounter final : public Counter {
public:
    OpenCounter(const Vendor& v) : log_(v.server), clock_(custody::make_system_clock()) {}

    Result<bool> open(const Vendor& v) {
        auto till = till::Till::open(v.till);
        if (!till) return till.error();
        till_ = std::move(*till);
        if (const auto written = write_vendor_file(v); !written) return written.error();
        custody::Options o;
        o.vendor = v.origin;
        o.key = v.key;
        o.brokers = v.brokers;
        o.directory = v.till.directory;
        o.connect_timeout_ms = v.connect_timeout_ms;
        o.call_timeout_ms = v.call_timeout_ms;
        o.ca_file = v.ca_file;
        o.certificate = v.certificate;
        o.unconfirmed_pages = v.unconfirmed_pages;
        o.private_peers = v.private_peers;
        transport_ = custody::make_broker_transport(o);
        peers_ = custody::make_peer_transport(o);
        auto keeper = custody::Keeper::make(
            std::move(o), *till_, {*clock_, *transport_, log_, custody::system_random(), custody::system_disk()}, *peers_);
        if (!keeper) return keeper.error();
        keeper_ = std::move(*keeper);
        keeper_->on_urgent([this] { house_.wake(); });  // a hand-over is to be reported
        if (!v.cache.servers.empty()) {
            auto cache = cache::Cache::open(v.cache, v.cache_key);
            if (!cache) return cache.error();
            cache_ = std::move(*cache);
            till_->observe([c = cache_.get()](const Tag16& coin, const SpendState& state, std::uint64_t version) {
                c->put(coin, state, version);
            });
        }
        open_wallets(v);
        desk_.emplace(Desk{*till_, *keeper_, cache_.get(), counters(), &log_, wallets_.get()});
        if (!house_.start([this] { keep_house(); })) return {Code::limit, "the housekeeping thread cannot be started"};
        return true;
    }

    const Desk& desk() override { return *desk_; }

    void ask_to_stop() override { house_.ask_to_end(); }

    void stop(bool in_signal) override {
        // exit() takes down what OpenSSL and others share between threads: those that use it end before.
        const bool ended = house_.end_within(stop_wait);
        if (in_signal && cache_) cache_->end_within(stop_wait);
        if (!ended || in_signal) return;
        till_->observe({});
        cache_.reset();
        desk_.reset();
        wallets_.reset();
        keeper_.reset();
        till_.reset();
    }

private:
    // Without them browsers are not offered any; whoever brings her own pays as always.
    void open_wallets(const Vendor& v) {
        ewallet::Options o;
        o.origin = v.origin;
        o.issuers = v.issuers;
        for (const auto& key : v.wallet_keys) o.keys.push_back(key.clone());
        o.directory = v.till.directory;
        o.counters = counters();
        auto opened = ewallet::Wallets::open(std::move(o), *till_, *keeper_,
                                             {*clock_, *transport_, log_, custody::system_random(), custody::system_disk()});
        if (opened) wallets_ = std::move(*opened);
        else log_.write(custody::Log::Level::error, v.origin + " serves no e-wallets: " + opened.error().detail);
    }

    void keep_house() {
        std::chrono::seconds pause(0);
        while (house_.pause(pause)) {
            const std::uint32_t next = guarded(nullptr, 10u, [&] {
                const std::uint32_t seconds = keeper_->housekeeping();
                if (wallets_) wallets_->sweep(clock_->now());
                add_cache_counters();
                add_custody_counters();
                return seconds;
            });
            pause = std::chrono::seconds(next);
        }
    }

    // What this process's custody counted since the last time.
    void add_custody_counters() {
        auto* shared = counters();
        if (!shared) return;
        const auto now = keeper_->health();
        shared->count(Tick::report_failed, now.reports_failed - reported_.reports_failed);
        shared->count(Tick::dropped, now.dropped - reported_.dropped);
        reported_ = now;
    }

    // What the cache of this process counted since the last time.
    void add_cache_counters() {
        auto* shared = counters();
        if (!cache_ || !shared) return;
        const auto now = cache_->counters();
        shared->count(Tick::cache_hit, now.hits - seen_.hits);
        shared->count(Tick::cache_miss, now.misses - seen_.misses);
        shared->count(Tick::cache_rejected, now.rejected - seen_.rejected);
        shared->count(Tick::cache_error, now.errors - seen_.errors);
        shared->count(Tick::cache_skipped, now.skipped - seen_.skipped);
        shared->count(Tick::cache_stored, now.stored - seen_.stored);
        shared->count(Tick::cache_dropped, now.dropped - seen_.dropped);
        seen_ = now;
    }

    ErrorLog log_;
    std::unique_ptr<till::Till> till_;
    std::unique_ptr<custody::Clock> clock_;
    std::unique_ptr<custody::Transport> transport_, peers_;
    std::unique_ptr<custody::Keeper> keeper_;
    std::unique_ptr<ewallet::Wallets> wallets_;
    std::unique_ptr<cache::Cache> cache_;
    std::optional<Desk> desk_;
    world::Background house_;
    cache::Counters seen_;  // of the cache, when they were last added to the shared ones
    custody::Health reported_;
};

}  // namespace

Result<std::unique_ptr<Counter>> open_counter(const Vendor& vendor) {
    auto counter = std::make_unique<OpenCounter>(vendor);
    if (const auto opened = counter->open(vendor); !opened) return opened.error();
    return std::unique_ptr<Counter>(std::move(counter));
}

}  // namespace netpay::glue
