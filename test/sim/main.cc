// netpay_sim: see README.md.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/rules.h"
#include "test/sim/simulation.h"

namespace netpay::sim {
namespace {

using Clock = std::chrono::steady_clock;

struct CommandLine {
    Plan plan;
    std::string canary;  // the rule left out; empty: none
};

constexpr const char* usage =
    "usage: netpay_sim [--steps N] [--seed N] [--vendors N] [--customers N] [--minutes M] [--trace] [--canary RULE]\n";

struct Named {
    const char* name;
    rules::Rule rule;
};
constexpr Named canaries[] = {
    {"refuse_before_release", rules::Rule::refuse_before_release},
    {"lease_margin", rules::Rule::lease_margin},
    {"confirmed_epochs", rules::Rule::confirmed_epochs},
    {"overlap_check", rules::Rule::overlap_check},
    {"monotone_index", rules::Rule::monotone_index},
    {"reservations_before_release", rules::Rule::reservations_before_release},
    {"told_is_not_given_back", rules::Rule::told_is_not_given_back},
};

std::optional<CommandLine> read(int argc, char** argv) {
    CommandLine c;
    for (int i = 1; i < argc; ++i) {
        const std::string flag = argv[i];
        if (flag == "--trace") {
            c.plan.trace = true;
            continue;
        }
        if (++i >= argc) return std::nullopt;
        const char* value = argv[i];
        if (flag == "--steps") c.plan.steps = std::strtoull(value, nullptr, 10);
        else if (flag == "--seed") c.plan.seed = std::strtoull(value, nullptr, 10);
        else if (flag == "--vendors") c.plan.vendors = std::atoi(value);
        else if (flag == "--customers") c.plan.customers = std::atoi(value);
        else if (flag == "--minutes") c.plan.minutes = std::atof(value);
        else if (flag == "--canary") c.canary = value;
        else return std::nullopt;
    }
    if (c.plan.steps < 1 || c.plan.vendors < 2 || c.plan.customers < 4) return std::nullopt;
    return c;
}

// False: no such rule, or this program was built with all rules in.
bool leave_out([[maybe_unused]] const std::string& name) {
#ifdef NETPAY_CANARY
    for (const auto& c : canaries)
        if (name == c.name) {
            rules::left_out = c.rule;
            return true;
        }
    return name == "none";
#else
    (void)canaries;
    return false;
#endif
}

// In memory where there is such a file system: the run syncs to it all the time.
class Directory {
public:
    Directory() {
        const bool memory = ::access("/dev/shm", W_OK) == 0;
        std::string name = (memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/netpay-sim-XXXXXX";
        if (::mkdtemp(name.data())) path = name;
    }
    ~Directory() {
        std::error_code ignored;
        if (!path.empty()) std::filesystem::remove_all(path, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    std::string path;
};

// A long run is made of worlds, one after another: tills and store grow with
// every coin, and each world's end is a full reckoning. The first has the seed
// of the run, so that any of them can be run again alone.
constexpr std::uint64_t world_steps = 20000;

std::uint64_t seed_of_world(std::uint64_t seed, std::uint64_t number) {
    return number == 0 ? seed : Dice(seed * 1000003 + number).next() >> 16;
}

// The worlds' sums.
struct Total {
    std::map<std::string, std::uint64_t> counts;
    Reckoning units;
    std::uint64_t steps = 0, events = 0, worlds = 0;
    double days = 0;
    std::string digests;

    void add(Simulation& s) {
        for (const auto& [what, n] : s.stage().counts) counts[what] += n;
        const auto& r = s.reckoning();
        units.sold += r.sold;
        units.credited += r.credited;
        units.compensated += r.compensated;
        units.late += r.late;
        units.unconfirmed += r.unconfirmed;
        units.refunded += r.refunded;
        steps += s.steps_done();
        events += s.stage().events();
        ++worlds;
        days += s.days();
        digests += s.stage().digest();
    }
    std::string digest() const {
        if (worlds == 1) return digests;
        Stage sum(0, false);
        sum.note(digests);
        return sum.digest();
    }
};

using Number = unsigned long long;

void summary(const Total& t, double seconds) {
    for (const auto& [what, n] : t.counts) std::printf("%12llu  %s\n", Number{n}, what.c_str());
    const auto& u = t.units;
    std::printf("units: %llu sold, %llu credited, %llu compensated, %llu lost by vendors that were away until the lease had ended, "
                "%llu lost in custody never confirmed; %llu refunded\n",
                Number{u.sold}, Number{u.credited}, Number{u.compensated}, Number{u.late}, Number{u.unconfirmed}, Number{u.refunded});
    std::printf("%llu worlds, %.1f days simulated in %.1f s; digest of %llu events: %s\n", Number{t.worlds}, t.days, seconds,
                Number{t.events}, t.digest().c_str());
}

int violated(const CommandLine& c, const Stage& stage, std::uint64_t before, std::uint64_t steps, const std::string& what,
             const char* program) {
    std::printf("violation: %s\n", what.c_str());
    std::printf("seed %llu, step %llu, digest %s; again with:\n  %s --seed %llu --steps %llu --vendors %d --customers %d%s%s --trace\n",
                Number{stage.seed}, Number{stage.step}, stage.digest().c_str(), program, Number{stage.seed}, Number{steps},
                c.plan.vendors, c.plan.customers, c.canary.empty() ? "" : " --canary ", c.canary.c_str());
    std::printf("1 violation in %llu steps\n", Number{before + stage.step});
    return 1;
}

// One world. Null: all held.
std::optional<int> run_world(const CommandLine& c, const Plan& plan, Total& total, const char* program) {
    std::optional<Simulation> simulation;
    try {
        simulation.emplace(plan);
        simulation->run();
    } catch (const Violation& v) {
        if (simulation) return violated(c, simulation->stage(), total.steps, plan.steps, v.what, program);
        std::printf("seed %llu, before the first step: %s\n", Number{plan.seed}, v.what.c_str());
        return 3;
    } catch (const SimCrash& crash) {
        std::printf("seed %llu: nobody took down %s\n", Number{plan.seed}, crash.who.c_str());
        return 3;
    }
    total.add(*simulation);
    return std::nullopt;
}

int run(int argc, char** argv) {
    auto c = read(argc, argv);
    if (!c || (!c->canary.empty() && !leave_out(c->canary))) {
        std::fputs(usage, stderr);
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const auto began = Clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
    Total total;
    while (total.steps < c->plan.steps && (c->plan.minutes <= 0 || elapsed() < 60 * c->plan.minutes)) {
        const Directory directory;
        if (directory.path.empty()) {
            std::perror("a temporary directory");
            return 2;
        }
        auto plan = c->plan;
        plan.directory = directory.path;
        plan.seed = seed_of_world(c->plan.seed, total.worlds);
        plan.steps = std::min(world_steps, c->plan.steps - total.steps);
        if (const auto failed = run_world(*c, plan, total, argv[0])) return *failed;
    }
    summary(total, elapsed());
    std::printf("0 violations in %llu steps\n", Number{total.steps});
    return 0;
}

}  // namespace
}  // namespace netpay::sim

int main(int argc, char** argv) {
    try {
        return netpay::sim::run(argc, argv);
    } catch (const std::exception& e) {
        std::printf("exception: %s\n", e.what());
    }
    return 3;
}
