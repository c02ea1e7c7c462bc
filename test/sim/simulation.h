// One run: actors, the schedule by the dice, and the quiet end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "test/sim/customer.h"
#include "test/sim/mallory.h"
#include "test/sim/network.h"
#include "test/sim/office.h"
#include "test/sim/referee.h"
#include "test/sim/shop.h"
#include "test/sim/stage.h"

namespace netpay::sim {

struct Plan {
    std::uint64_t steps = 20000, seed = 1;
    int vendors = 5, customers = 12;
    double minutes = 0;       // of real time, after which no further world begins; 0: no limit
    bool trace = false;
    std::string directory;    // exists, empty
};

class Simulation {
public:
    explicit Simulation(const Plan& plan);
    ~Simulation();

    // All steps, then the quiet end. Throws Violation.
    void run();
    std::uint64_t steps_done() const { return stage_.step; }
    double days() const { return days_; }  // simulated, without the quiet end
    Stage& stage() { return stage_; }
    const Reckoning& reckoning() const { return reckoning_; }

private:
    void open_market();
    void enrol(const std::string& origin, const SigningKey& key);
    void step();
    void pass_time();
    void disturb();
    void end_a_lease(Customer& customer);
    void restart_whoever_is_due();
    void restart(Shop& shop);
    void mind_the_shop(Shop& shop);
    void redeem(Shop& shop);
    void scheme(Mallory& mallory);
    void replace_mallory();
    void settle_down();

    const Plan plan_;
    Stage stage_;
    Network network_;
    std::unique_ptr<Office> office_;
    std::unique_ptr<Referee> referee_;
    Market market_;
    std::vector<std::unique_ptr<Customer>> customers_;
    UnixTime office_down_until_ = 0;
    std::vector<UnixTime> next_housekeeping_, next_redemption_;
    int mallories_ = 0;
    Reckoning reckoning_;
    double days_ = 0;
};

}  // namespace netpay::sim
