// A load generator for `make bench`: one thread, epoll, HTTP/1.1 keep-alive.
// It alternates rounds of free and paid requests against one server. Every
// paid request carries a payword that was never sent before, of the next coin
// in turn, in a credential made on the spot, byte for byte as a wallet's
// session would make it; general tools script that too slowly to keep a
// server busy.
//
//   loadgen --port P --free /path --paid /path --coins FILE --challenge FILE
//           [--units 1] [--connections 32] [--seconds 3] [--rounds 5] [--warmup 1] [--group PID]
//
// group: the server's process group, whose processor time is read from /proc.
// coins: one line a coin, "salt seed n touchstone", base64url. challenge: the
// session challenge as a JSON object in canonical form. Writes one JSON object
// to standard output, progress to standard error; exits 1 if any answer was
// not what it should be.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base64url.h"
#include "core/payword.h"

namespace {

using namespace netpay;
using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "loadgen: %s\n", why.c_str());
    std::exit(2);
}

double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

struct Settings {
    int port = 0, group = 0;
    std::string free_path, paid_path, coins, challenge;
    std::uint32_t units = 1;
    int connections = 32, rounds = 5;
    double seconds = 3, warmup = 1;
};

Settings read_arguments(int argc, char** argv) {
    std::map<std::string, std::string> given;
    for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
    Settings s;
    auto text = [&](const char* name, std::string& out) { if (given.count(name)) out = given[name]; };
    auto number = [&](const char* name, auto& out) {
        if (given.count(name)) out = static_cast<std::decay_t<decltype(out)>>(std::strtod(given[name].c_str(), nullptr));
    };
    text("--free", s.free_path);
    text("--paid", s.paid_path);
    text("--coins", s.coins);
    text("--challenge", s.challenge);
    number("--port", s.port);
    number("--units", s.units);
    number("--connections", s.connections);
    number("--rounds", s.rounds);
    number("--seconds", s.seconds);
    number("--warmup", s.warmup);
    number("--group", s.group);
    if (!s.port || s.free_path.empty() || s.paid_path.empty() || s.coins.empty() || s.challenge.empty())
        die("--port, --free, --paid, --coins and --challenge are needed");
    return s;
}

std::string read_file(const std::string& name) {
    std::ifstream in(name, std::ios::binary);
    if (!in) die("cannot read " + name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

// Processor time of a process group so far, from fields 5, 14 and 15 of proc(5) stat; its children who ended in 16, 17.
double cpu_seconds(int group) {
    if (!group) return 0;
    long ticks = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream in(entry.path() / "stat");
        std::string text((std::istreambuf_iterator<char>(in)), {});
        const auto end = text.rfind(')');
        long pgrp = 0, user = 0, system = 0, child_user = 0, child_system = 0;
        if (end != std::string::npos &&
            std::sscanf(text.c_str() + end + 1, " %*c %*d %ld %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &pgrp, &user, &system,
                        &child_user, &child_system) == 5 &&
            pgrp == group)
            ticks += user + system + child_user + child_system;
    }
    return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Coin {
    std::string id, touchstone;
    std::vector<Payword> words;  // W_0 … W_n
    std::uint32_t spent = 0;
};

std::vector<Coin> read_coins(const std::string& name) {
    std::istringstream lines(read_file(name));
    std::vector<Coin> coins;
    std::string salt_text, seed_text, touchstone;
    std::uint32_t n = 0;
    while (lines >> salt_text >> seed_text >> n >> touchstone) {
        const auto salt = b64u_decode_array<16>(salt_text);
        const auto seed = decode_payword(seed_text);
        if (!salt || !seed) die("bad coin in " + name);
        Coin c;
        c.words.resize(n + 1);
        c.words[n] = *seed;
        for (std::uint32_t i = n; i > 0; --i) c.words[i - 1] = previous(*salt, i, c.words[i]);
        c.id = coin_id(*salt, c.words[0]);
        c.touchstone = touchstone;
        coins.push_back(std::move(c));
    }
    if (coins.empty()) die("no coins in " + name);
    return coins;
}

// Makes requests; the part of the credential that all share is encoded once.
class Requests {
public:
    Requests(const Settings& s, std::vector<Coin> coins) : s_(s), coins_(std::move(coins)) {
        const auto host = "Host: 127.0.0.1:" + std::to_string(s.port) + "\r\n";
        free_ = "GET " + s.free_path + " HTTP/1.1\r\n" + host + "\r\n";
        const std::string shared = "{\"challenge\":" + read_file(s.challenge) + ",\"payload\":{\"coin\":\"";
        const auto whole = shared.size() / 3 * 3;
        head_ = "GET " + s.paid_path + " HTTP/1.1\r\n" + host + "Authorization: Payment " +
                b64u_encode(std::string_view(shared).substr(0, whole));
        rest_ = shared.substr(whole);
    }

    const std::string& free() const { return free_; }

    // The next coin's next payword.
    std::string paid(bool with_touchstone) {
        Coin& c = coins_[next_++ % coins_.size()];
        c.spent += s_.units;
        if (c.spent >= c.words.size()) die("the coins are spent: more or longer coins are needed");
        std::string text = rest_;
        text.append(c.id).append("\",\"index\":").append(std::to_string(c.spent));
        text.append(",\"payword\":\"").append(encode_payword(c.words[c.spent]));
        if (with_touchstone) text.append("\",\"touchstone\":\"").append(c.touchstone);
        text.append("\"}}");
        return head_ + b64u_encode(text) + "\r\n\r\n";
    }
    std::size_t coins() const { return coins_.size(); }
    std::uint64_t sent() const { return next_; }
    double link_ns() const {
        const Salt salt{};
        const auto t = Clock::now();
        auto w = coins_[0].words[0];
        for (int i = 0; i < 20; ++i) w = walk_down(salt, 100000, w, 0);
        const double ns = seconds_since(t) * 1e9 / 2e6;
        return w == Payword{} ? 0 : ns;
    }

private:
    const Settings& s_;
    std::vector<Coin> coins_;
    std::string free_, head_, rest_;
    std::uint64_t next_ = 0;
};

struct Round {
    std::uint64_t answers = 0, wrong = 0, bytes = 0;
    double seconds = 0, cpu_seconds = 0;
    std::vector<std::uint32_t> latency_us;
    std::string first_wrong;
};

struct Connection {
    int fd = -1;
    std::string out, in;
    std::size_t sent = 0;
    Clock::time_point started;
    bool waiting = false;
};

class Generator {
public:
    explicit Generator(const Settings& s) : s_(s), epoll_(epoll_create1(0)), links_(static_cast<std::size_t>(s.connections)) {
        for (auto& l : links_) open(l);
    }

    // Sends until `more` is false, then waits for the answers that are due.
    template <class Next, class More, class Good>
    Round run(Next next, More more, Good good) {
        Round r;
        r.latency_us.reserve(200000);
        const auto start = Clock::now();
        std::size_t waiting = 0;
        auto send_one = [&](Connection& l) {
            l.out = next();
            l.sent = 0;
            l.in.clear();
            l.started = Clock::now();
            l.waiting = true;
            ++waiting;
            write(l);
        };
        for (auto& l : links_)
            if (more(r)) send_one(l);
        epoll_event events[64];
        while (waiting > 0) {
            const int n = epoll_wait(epoll_, events, 64, 5000);
            if (n == 0) die("no answer for five seconds");
            for (int i = 0; i < n; ++i) {
                auto& l = *static_cast<Connection*>(events[i].data.ptr);
                if (events[i].events & EPOLLOUT && l.sent < l.out.size()) write(l);
                if (!read(l, r)) {  // closed by the server: before the first byte of an answer the request goes out again
                    if (l.waiting && !l.in.empty()) die("connection closed within an answer");
                    close(l.fd);
                    open(l);
                    l.sent = 0;
                    if (l.waiting) write(l);
                    continue;
                }
                if (!l.waiting || !complete(l)) continue;
                l.waiting = false;
                --waiting;
                ++r.answers;
                r.bytes += l.in.size();
                r.latency_us.push_back(static_cast<std::uint32_t>(
                    std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - l.started).count()));
                if (!good(std::string_view(l.in))) {
                    if (!r.wrong++) r.first_wrong = l.in.substr(0, 1500);
                }
                if (more(r)) send_one(l);
            }
        }
        r.seconds = seconds_since(start);
        return r;
    }

private:
    void open(Connection& l) {
        l.fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_port = htons(static_cast<std::uint16_t>(s_.port));
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(l.fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) die(std::string("connect: ") + std::strerror(errno));
        const int on = 1;
        setsockopt(l.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event e{};
        e.events = EPOLLIN;
        e.data.ptr = &l;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, l.fd, &e);
    }

    // Requests are smaller than a socket's buffer; a short write would be a broken machine.
    void write(Connection& l) {
        const auto n = send(l.fd, l.out.data() + l.sent, l.out.size() - l.sent, MSG_NOSIGNAL);
        if (n > 0) l.sent += static_cast<std::size_t>(n);
        else if (errno != EPIPE && errno != ECONNRESET) die(std::string("send: ") + std::strerror(errno));
    }

    bool read(Connection& l, Round&) {
        char buffer[65536];
        const auto n = recv(l.fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n > 0) l.in.append(buffer, static_cast<std::size_t>(n));
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    }

    static bool complete(const Connection& l) {
        const auto end = l.in.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const auto at = l.in.find("Content-Length: ");
        if (at == std::string::npos || at > end) die("an answer without Content-Length: " + l.in.substr(0, end));
        return l.in.size() >= end + 4 + std::strtoul(l.in.c_str() + at + 16, nullptr, 10);
    }

    const Settings& s_;
    int epoll_;
    std::vector<Connection> links_;
};

bool is_200(std::string_view answer) { return answer.substr(0, 12) == "HTTP/1.1 200"; }
bool is_sold(std::string_view answer) {
    return is_200(answer) && answer.substr(0, 4096).find("\r\nPayment-Receipt: ") != std::string_view::npos;
}

std::uint32_t percentile(const std::vector<std::uint32_t>& sorted, double p) {
    return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(p / 100 * static_cast<double>(sorted.size())))];
}

std::string text_of(const std::vector<Round>& rounds) {
    std::vector<std::uint32_t> all;
    std::string per_second, cpu_us;
    std::uint64_t answers = 0, wrong = 0, bytes = 0;
    for (const auto& r : rounds) {
        all.insert(all.end(), r.latency_us.begin(), r.latency_us.end());
        per_second += (per_second.empty() ? "" : ",") + std::to_string(static_cast<double>(r.answers) / r.seconds);
        cpu_us += (cpu_us.empty() ? "" : ",") + std::to_string(r.cpu_seconds * 1e6 / static_cast<double>(std::max<std::uint64_t>(r.answers, 1)));
        answers += r.answers;
        wrong += r.wrong;
        bytes += r.bytes;
    }
    std::sort(all.begin(), all.end());
    std::string out = "{\"per_second\":[" + per_second + "],\"cpu_us\":[" + cpu_us + "],\"answers\":" + std::to_string(answers) + ",\"wrong\":" + std::to_string(wrong) +
                      ",\"bytes\":" + std::to_string(bytes) + ",\"latency_us\":{";
    for (const double p : {50.0, 90.0, 99.0, 99.9}) {
        char name[32];
        std::snprintf(name, sizeof name, "%s\"p%g\":", p > 50 ? "," : "", p);
        out += name + std::to_string(percentile(all, p));
    }
    return out + ",\"max\":" + std::to_string(all.empty() ? 0 : all.back()) + "}}";
}

}  // namespace

int main(int argc, char** argv) {
    const Settings s = read_arguments(argc, argv);
    Requests requests(s, read_coins(s.coins));
    Generator generator(s);

    // Every coin is shown once with its touchstone: the vendor takes custody of it.
    std::uint64_t shown = 0;
    const auto coins = requests.coins();
    const auto first = generator.run([&] { ++shown; return requests.paid(true); }, [&](const Round&) { return shown < coins; }, is_sold);
    std::fprintf(stderr, "loadgen: %zu coins taken in %.1f s\n", coins, first.seconds);
    if (first.wrong) die(std::to_string(first.wrong) + " coins were not taken; the first answer:\n" + first.first_wrong);

    auto round = [&](bool paid, double length) {
        const auto start = Clock::now();
        const auto cpu = cpu_seconds(s.group);
        auto more = [&](const Round&) { return seconds_since(start) < length; };
        Round r = paid ? generator.run([&] { return requests.paid(false); }, more, is_sold)
                       : generator.run([&] { return requests.free(); }, more, is_200);
        r.cpu_seconds = cpu_seconds(s.group) - cpu;
        return r;
    };
    std::uint64_t warm = round(false, s.warmup).answers;
    const auto warm_paid = round(true, s.warmup);
    warm += warm_paid.answers;
    std::vector<Round> rounds[2];
    for (int i = 0; i < s.rounds; ++i)
        for (const bool paid : {false, true}) {
            auto r = round(paid, s.seconds);
            std::fprintf(stderr, "loadgen: round %d %s %.0f/s, %.1f us of the server each\n", i + 1, paid ? "paid" : "free",
                         static_cast<double>(r.answers) / r.seconds, r.cpu_seconds * 1e6 / static_cast<double>(r.answers));
            if (r.wrong) std::fprintf(stderr, "loadgen: wrong answer:\n%s\n", r.first_wrong.c_str());
            rounds[paid].push_back(std::move(r));
        }
    std::uint64_t wrong = warm_paid.wrong;
    for (const auto& kind : rounds)
        for (const auto& r : kind) wrong += r.wrong;
    std::printf("{\"free\":%s,\"paid\":%s,\"coins\":%zu,\"paid_requests\":%llu,\"units_each\":%u,\"link_ns\":%.1f,\"wrong\":%llu}\n",
                text_of(rounds[0]).c_str(), text_of(rounds[1]).c_str(), coins, static_cast<unsigned long long>(requests.sent()), s.units,
                requests.link_ns(), static_cast<unsigned long long>(wrong));
    return wrong ? 1 : 0;
}
