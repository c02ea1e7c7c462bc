// The broker as an actor: the real API, store, ledger and periodic work; its
// HTTP server alone is left out. It dies and comes back; the store stays.
#pragma once

#include <memory>
#include <string>

#include "broker/api/api.h"
#include "broker/context.h"
#include "broker/http/router.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "test/sim/network.h"

namespace netpay::sim {

inline const std::string issuer = "https://broker.example";
inline constexpr std::int64_t lease_s = 3600;
inline constexpr std::uint64_t unit_micro = 1000;

class Office final : public Node {
public:
    // `directory` exists and is empty.
    Office(Stage& stage, Network& network, const std::string& directory);
    ~Office() override;

    bool up() const override { return open_ != nullptr; }
    world::HttpAnswer handle(const Message& m) override;
    void die() override;
    void rise();
    // Its periodic work, as often as the daemon would have done it until now.
    void catch_up();

    // The operator, at the broker's own machine. Precondition: up().
    std::string voucher(std::uint64_t micro);
    void approve(const std::string& origin);
    KeySet keys() const { return *keys_->listed(); }

    // Reads for the referee, whether the broker is up or not.
    template <class F>
    void look(F f) {
        const auto done = eye_->read([&](broker::Sql& sql) -> broker::Outcome<broker::Done> {
            f(sql);
            return broker::Done{};
        });
        if (!done) throw Violation{"the broker's store cannot be read: " + done.refusal().detail};
    }
    broker::Store& eye() { return *eye_; }
    const std::string& log_path() const { return log_path_; }

private:
    struct Open;
    world::HttpAnswer answer(const broker::Response& r) const;
    broker::Response route(const Message& m);

    Stage& stage_;
    Network& network_;
    const std::string directory_, log_path_;
    broker::Options options_;
    TrueClock clock_;
    SeededBrokerRandom random_;
    MemoryDisk disk_;
    Wire wire_;
    std::unique_ptr<broker::Log> log_;
    std::unique_ptr<broker::KeyStore> keys_;
    std::unique_ptr<Open> open_;
    std::unique_ptr<broker::Store> eye_;
    UnixTime next_tick_ = 0;
    std::uint64_t requests_ = 0;
};

}  // namespace netpay::sim
