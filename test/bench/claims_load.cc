// The chains, claims and bare hashing of `make claims-bench`.
//
//   claims_load chains FILE COINS CLAIMS UNITS   makes COINS chains of CLAIMS · UNITS paywords; FILE gets of each
//                                                every UNITS-th payword. Prints a line a coin:
//                                                salt root W_UNITS, base64url
//   claims_load body FILE FIRST EACH ORDER OUT   writes claims FIRST … FIRST + EACH - 1 (from 0) of every coin to
//                                                OUT as NDJSON, UNITS units each
//   claims_load hash FILE FIRST EACH ORDER ROUNDS  does the hashes that these claims need, ROUNDS times; prints
//                                                {"hashes","seconds":[…]}, processor time
//
// ORDER: `grouped`, the claims of a coin after one another, as netpay-redeem
// writes them; `spread`, every claim of another coin than the one before.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "core/base64url.h"
#include "core/claim.h"
#include "core/payword.h"

namespace netpay {
namespace {

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "claims_load: %s\n", what.c_str());
    std::exit(2);
}

std::uint32_t number(const char* text) {
    char* end = nullptr;
    const auto n = std::strtoul(text, &end, 10);
    if (!*text || *end || n > 1u << 24) die(std::string("no number: ") + text);
    return static_cast<std::uint32_t>(n);
}

struct Wares {
    std::uint32_t coins = 0, claims = 0, units = 0;
    std::vector<Salt> salts;
    std::vector<std::string> names;
    std::vector<Payword> words;  // claims + 1 a coin: W_0, W_units, W_2·units, …
    const Payword& word(std::uint32_t coin, std::uint32_t k) const {
        return words[std::size_t{coin} * (claims + 1) + k];
    }
};

template <std::size_t N>
std::array<std::uint8_t, N> random_bytes() {
    static const int fd = open("/dev/urandom", O_RDONLY);
    std::array<std::uint8_t, N> out{};
    if (read(fd, out.data(), N) != static_cast<ssize_t>(N)) die("no random bytes");
    return out;
}

Wares make(std::uint32_t coins, std::uint32_t claims, std::uint32_t units) {
    Wares w{coins, claims, units, {}, {}, std::vector<Payword>(std::size_t{coins} * (claims + 1))};
    for (std::uint32_t c = 0; c < coins; ++c) {
        w.salts.push_back(random_bytes<16>());
        Payword at{random_bytes<32>()};
        for (std::uint32_t k = claims;; --k) {
            w.words[std::size_t{c} * (claims + 1) + k] = at;
            if (k == 0) break;
            at = walk_down(w.salts[c], k * units, at, (k - 1) * units);
        }
        w.names.push_back(coin_id(w.salts[c], w.word(c, 0)));
    }
    return w;
}

void save(const Wares& w, const std::string& name) {
    std::ofstream out(name, std::ios::binary);
    const std::uint32_t head[] = {w.coins, w.claims, w.units};
    out.write(reinterpret_cast<const char*>(head), sizeof head);
    out.write(reinterpret_cast<const char*>(w.salts.data()), static_cast<std::streamsize>(w.salts.size() * sizeof(Salt)));
    for (const auto& word : w.words) out.write(reinterpret_cast<const char*>(word.bytes.data()), sizeof word.bytes);
    if (!out.flush()) die("cannot write " + name);
}

Wares load(const std::string& name) {
    std::ifstream in(name, std::ios::binary);
    std::uint32_t head[3] = {};
    in.read(reinterpret_cast<char*>(head), sizeof head);
    Wares w{head[0], head[1], head[2], std::vector<Salt>(head[0]), {}, std::vector<Payword>(std::size_t{head[0]} * (head[1] + 1))};
    in.read(reinterpret_cast<char*>(w.salts.data()), static_cast<std::streamsize>(w.salts.size() * sizeof(Salt)));
    for (auto& word : w.words) in.read(reinterpret_cast<char*>(word.bytes.data()), sizeof word.bytes);
    if (!in) die("cannot read " + name);
    for (std::uint32_t c = 0; c < w.coins; ++c) w.names.push_back(coin_id(w.salts[c], w.word(c, 0)));
    return w;
}

// Calls f with the coin and the number of every claim, in the order of the batch.
void each(const Wares& w, std::uint32_t first, std::uint32_t count, const std::string& order,
          const std::function<void(std::uint32_t, std::uint32_t)>& f) {
    if (first + count > w.claims) die("the chains are too short");
    if (order != "grouped" && order != "spread") die("an order is grouped or spread");
    if (order == "grouped")
        for (std::uint32_t c = 0; c < w.coins; ++c)
            for (std::uint32_t k = first; k < first + count; ++k) f(c, k);
    else
        for (std::uint32_t k = first; k < first + count; ++k)
            for (std::uint32_t c = 0; c < w.coins; ++c) f(c, k);
}

int chains(char** a) {
    const auto w = make(number(a[1]), number(a[2]), number(a[3]));
    save(w, a[0]);
    for (std::uint32_t c = 0; c < w.coins; ++c)
        std::printf("%s %s %s\n", b64u_encode(w.salts[c]).c_str(), encode_payword(w.word(c, 0)).c_str(),
                    encode_payword(w.word(c, 1)).c_str());
    return 0;
}

int body(char** a) {
    const auto w = load(a[0]);
    std::ofstream out(a[4], std::ios::binary);
    each(w, number(a[1]), number(a[2]), a[3], [&](std::uint32_t c, std::uint32_t k) {
        out << format_claim({w.names[c], k * w.units, (k + 1) * w.units, w.word(c, k + 1)}) << '\n';
    });
    if (!out.flush()) die(std::string("cannot write ") + a[4]);
    return 0;
}

// Of this process: other work on the machine disturbs it less than the clock's time.
double cpu_s() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

int hash(char** a) {
    const auto w = load(a[0]);
    const auto first = number(a[1]), count = number(a[2]), rounds = number(a[4]);
    std::printf("{\"hashes\":%llu,\"seconds\":[",
                static_cast<unsigned long long>(std::uint64_t{w.coins} * count * w.units));
    for (std::uint32_t r = 0; r < rounds; ++r) {
        bool good = true;
        const auto begin = cpu_s();
        each(w, first, count, a[3], [&](std::uint32_t c, std::uint32_t k) {
            good = good && walk_down(w.salts[c], (k + 1) * w.units, w.word(c, k + 1), k * w.units) == w.word(c, k);
        });
        const double took = cpu_s() - begin;
        if (!good) die("the chains do not hold");
        std::printf("%s%.6f", r ? "," : "", took);
    }
    std::printf("]}\n");
    return 0;
}

}  // namespace
}  // namespace netpay

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "chains" && argc == 6) return netpay::chains(argv + 2);
    if (what == "body" && argc == 7) return netpay::body(argv + 2);
    if (what == "hash" && argc == 7) return netpay::hash(argv + 2);
    netpay::die("usage: claims_load chains|body|hash … (see the source)");
}
