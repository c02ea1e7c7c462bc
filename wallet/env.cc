#include "wallet/env.h"

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <openssl/rand.h>
#include <signal.h>
#include <unistd.h>

namespace netpay::wallet {
namespace {

class SystemClock : public Clock {
public:
    UnixTime now() override {
        return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    }
    void sleep_s(int seconds) override { std::this_thread::sleep_for(std::chrono::seconds(seconds)); }
};

class SystemRandom : public Random {
public:
    bool fill(std::uint8_t* out, std::size_t n) override {
        return n <= 4096 && RAND_priv_bytes(out, static_cast<int>(n)) == 1;
    }
};

std::string slurp(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

// Field 22 of /proc/PID/stat, counted after the command name, which may hold
// blanks and brackets itself (proc(5)).
std::string start_of(std::int64_t pid) {
    const std::string stat = slurp("/proc/" + std::to_string(pid) + "/stat");
    auto at = stat.rfind(')');
    if (at == std::string::npos) return {};
    for (int field = 2; field < 22; ++field) {
        at = stat.find(' ', at + 1);
        if (at == std::string::npos) return {};
    }
    const std::string boot = slurp("/proc/sys/kernel/random/boot_id").substr(0, 8);
    return boot + ":" + stat.substr(at + 1, stat.find(' ', at + 1) - at - 1);
}

}  // namespace

Clock& system_clock() {
    static SystemClock clock;
    return clock;
}

Random& system_random() {
    static SystemRandom random;
    return random;
}

Process this_process() { return {getpid(), start_of(getpid())}; }

bool is_alive(const Process& p) {
    if (p.pid <= 0) return false;
    if (kill(static_cast<pid_t>(p.pid), 0) != 0 && errno == ESRCH) return false;
    return p.start.empty() || start_of(p.pid) == p.start;
}

}  // namespace netpay::wallet
