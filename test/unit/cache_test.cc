// Copies in memcached, against real servers that this test starts, stops and
// kills on loopback ports and unix sockets of its own.
#include <cppunit/TestAssert.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmemcached/memcached.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/payword.h"
#include "mod_netpay/cache/cache.h"
#include "mod_netpay/cache/circuit.h"
#include "mod_netpay/cache/seal.h"

namespace netpay::cache {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::uint16_t free_port() {
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    CPPUNIT_ASSERT(bind(s, reinterpret_cast<sockaddr*>(&a), n) == 0);
    CPPUNIT_ASSERT(getsockname(s, reinterpret_cast<sockaddr*>(&a), &n) == 0);
    close(s);
    return ntohs(a.sin_port);
}

// A memcached of our own.
class Memcached {
public:
    explicit Memcached(std::string path = {}) : path_(std::move(path)) {
        for (int tries = 0; !pid_; ++tries) {
            if (path_.empty()) port_ = free_port();
            if (!begin()) CPPUNIT_ASSERT_MESSAGE("memcached does not start", tries < 5);  // another program took the port
        }
    }
    ~Memcached() { stop(); }
    void start() { CPPUNIT_ASSERT_MESSAGE("memcached does not start", begin()); }
    bool begin() {
        const std::string port = std::to_string(port_);
        std::vector<const char*> args{"memcached", "-m", "16", "-t", "1"};
        if (geteuid() == 0) args.insert(args.end(), {"-u", "root"});
        if (path_.empty()) args.insert(args.end(), {"-l", "127.0.0.1", "-p", port.c_str(), "-U", "0"});
        else args.insert(args.end(), {"-s", path_.c_str()});
        args.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            const int quiet = ::open("/dev/null", O_WRONLY);
            dup2(quiet, STDERR_FILENO);
            execvp("memcached", const_cast<char**>(args.data()));
            _exit(127);
        }
        for (int k = 0; k < 3000; ++k, usleep(10000)) {
            if (waitpid(pid_, nullptr, WNOHANG) == pid_) break;
            if (listens()) return true;
        }
        stop();
        return false;
    }
    void stop() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    void send(int signal) const { kill(pid_, signal); }
    Server server(std::uint32_t weight = 1) const {
        Server s;
        if (path_.empty()) s.host = "127.0.0.1";
        s.port = port_;
        s.path = path_;
        s.weight = weight;
        return s;
    }

private:
    bool listens() const {
        const int s = socket(path_.empty() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in.sin_port = htons(port_);
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        std::strncpy(un.sun_path, path_.c_str(), sizeof un.sun_path - 1);
        const int rc = path_.empty() ? connect(s, reinterpret_cast<sockaddr*>(&in), sizeof in)
                                     : connect(s, reinterpret_cast<sockaddr*>(&un), sizeof un);
        close(s);
        return rc == 0;
    }
    std::string path_;
    std::uint16_t port_;
    pid_t pid_ = 0;
};

// A plain client, to look at and change what lies in a server.
class Spy {
public:
    explicit Spy(const Server& s) : m_(memcached_create(nullptr)) {
        if (s.host.empty()) memcached_server_add_unix_socket(m_, s.path.c_str());
        else memcached_server_add(m_, s.host.c_str(), s.port);
    }
    ~Spy() { memcached_free(m_); }
    std::string get(const std::string& key) {
        std::size_t n = 0;
        std::uint32_t flags = 0;
        memcached_return_t rc{};
        char* v = memcached_get(m_, key.data(), key.size(), &n, &flags, &rc);
        std::string out = v ? std::string(v, n) : std::string();
        free(v);
        return out;
    }
    void set(const std::string& key, const std::string& v) {
        CPPUNIT_ASSERT(memcached_set(m_, key.data(), key.size(), v.data(), v.size(), 0, 0) == MEMCACHED_SUCCESS);
    }
    void flush() { CPPUNIT_ASSERT(memcached_flush(m_, 0) == MEMCACHED_SUCCESS); }

private:
    memcached_st* m_;
};

Tag16 coin(std::uint32_t k) {
    Tag16 t{};
    std::memcpy(t.data(), &k, sizeof k);
    return t;
}

SpendState state(std::uint32_t spent) {
    SpendState s = SpendState::taken_over({}, 1000, 3, {}, 100, 100);
    s.spent = spent;
    s.revealed = spent + 2;
    s.word.bytes.fill(0xAB);
    for (std::uint32_t i = 5; i < 5 + spent; i += 2) s.tickets.insert(i);
    return s;
}

class CacheTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(CacheTest);
    CPPUNIT_TEST(servers_parsed);
    CPPUNIT_TEST(options_checked);
    CPPUNIT_TEST(sealed);
    CPPUNIT_TEST(copy_judges_as_the_till);
    CPPUNIT_TEST(circuit);
    CPPUNIT_TEST(round_trip);
    CPPUNIT_TEST(unix_socket);
    CPPUNIT_TEST(newest_wins);
    CPPUNIT_TEST(flushed);
    CPPUNIT_TEST(forged_swapped_truncated);
    CPPUNIT_TEST(another_secret);
    CPPUNIT_TEST(several_servers);
    CPPUNIT_TEST(many_threads);
    CPPUNIT_TEST(never_started);
    CPPUNIT_TEST(killed_and_back);
    CPPUNIT_TEST(stopped);
    CPPUNIT_TEST(stopped_at_shutdown);
    CPPUNIT_TEST(queue_full);
    CPPUNIT_TEST_SUITE_END();

    Options options(const std::vector<Server>& servers) {
        Options o;
        o.servers = servers;
        o.prefix = "test:";
        o.vendor = "https://news.example";
        o.timeout_ms = 5000;  // of a memcached that answers, on a loaded machine
        o.batch_ms = 5;
        o.open_ms = 200;
        o.open_max_ms = 400;
        return o;
    }
    std::unique_ptr<Cache> open_impatient(const Memcached& m) {
        auto o = options({m.server()});
        o.timeout_ms = 100;
        return open(o);
    }
    std::unique_ptr<Cache> open(const Options& o, std::string_view secret = "0123456789abcdef") {
        auto c = Cache::open(o, Secret(secret));
        CPPUNIT_ASSERT(c.ok());
        return std::move(*c);
    }
    static std::string key(const Tag16& c) {
        return "test:" + b64u_encode(first16(sha256({"https://news.example", "\n", as_view(c)})));
    }
    static bool eventually(const std::function<bool()>& f, int ms = 15000) {
        for (const auto until = Steady::now() + milliseconds(ms); Steady::now() < until; usleep(3000))
            if (f()) return true;
        return f();
    }
    static void put_all(Cache& c, std::uint32_t n) {
        const auto before = c.counters().stored;
        for (std::uint32_t k = 0; k < n; ++k) c.put(coin(k), state(10 + k % 20), k + 1);
        CPPUNIT_ASSERT(eventually([&] { return c.counters().stored == before + n; }));
    }
    static double seconds(const std::function<void()>& f) {
        const auto t = Steady::now();
        f();
        return std::chrono::duration<double>(Steady::now() - t).count();
    }

    void servers_parsed() {
        auto s = parse_server("cache.example");
        CPPUNIT_ASSERT(s && s->host == "cache.example" && s->port == 11211 && s->weight == 1);
        s = parse_server("127.0.0.1:1234*7");
        CPPUNIT_ASSERT(s && s->host == "127.0.0.1" && s->port == 1234 && s->weight == 7);
        s = parse_server("[::1]:99");
        CPPUNIT_ASSERT(s && s->host == "::1" && s->port == 99);
        s = parse_server("unix:/run/m.sock*2");
        CPPUNIT_ASSERT(s && s->host.empty() && s->path == "/run/m.sock" && s->weight == 2);
        for (const char* bad : {"", "*", ":1", "h:", "h:0", "h:65536", "h:1x", "h*0", "h*1001", "h*", "unix:", "unix:x",
                                "unix:/", "[::1", "[::1]x", "a b", "::1", "h/x", "h:1:2"})
            CPPUNIT_ASSERT_MESSAGE(bad, !parse_server(bad));
    }

    void options_checked() {
        Options o = options({});
        CPPUNIT_ASSERT(!Cache::open(o, Secret("0123456789abcdef")).ok());
        o = options({*parse_server("127.0.0.1:1")});
        CPPUNIT_ASSERT(!Cache::open(o, Secret("short")).ok());
        o.prefix = "a b";
        CPPUNIT_ASSERT(!Cache::open(o, Secret("0123456789abcdef")).ok());
    }

    void sealed() {
        auto seal = *Seal::make(Secret("0123456789abcdef"));
        auto other = *Seal::make(Secret("0123456789abcdef"));  // another process
        Copy c;
        c.spent = 5;
        c.revealed = 9;
        c.version = 1ull << 40;
        c.written = 1234567890123;
        c.salt.fill(3);
        c.word.bytes.fill(4);
        c.exp = 1ll << 40;
        c.lease = 77;
        for (std::uint32_t i = 1; i < 600; i += 2) c.used.insert(i);
        const auto v = seal.seal("k", c), w = seal.seal("k", c);
        CPPUNIT_ASSERT(!v.empty() && v != w);
        const auto back = other.open("k", v);
        CPPUNIT_ASSERT(back && back->spent == 5 && back->revealed == 9 && back->version == c.version &&
                       back->written == c.written && back->used.size() == c.used.size() && back->has_used(101) && back->salt == c.salt &&
                       back->word == c.word && back->exp == c.exp && back->lease == c.lease);
        CPPUNIT_ASSERT(!other.open("l", v));
        for (std::size_t n = 0; n < v.size(); ++n) {
            auto bad = v;
            bad[n] = static_cast<char>(bad[n] ^ 1);
            CPPUNIT_ASSERT(!other.open("k", bad) && !other.open("k", v.substr(0, n)));
        }
        CPPUNIT_ASSERT(!other.open("k", v + "x"));
    }

    void copy_judges_as_the_till() {
        Payword seed;
        seed.bytes.fill(7);
        const Salt salt{};
        const Chain chain(salt, seed, 100);
        Copy c;
        c.salt = salt;
        c.word = chain.at(40);
        c.spent = c.revealed = 40;
        c.start = 10;
        c.used.insert(20);
        c.exp = c.lease = 5000;
        c.written = 1000;
        const SpendRules rules;
        auto proves = [&](std::uint64_t index, std::uint32_t word, UnixTime now) {
            Payment p;
            p.index = index;
            p.word = chain.at(word);
            p.now = now;
            return c.proves_spent(p, rules);
        };
        CPPUNIT_ASSERT(proves(20, 20, 2000) && proves(5, 5, 2000));
        CPPUNIT_ASSERT(!proves(20, 21, 2000));              // forged: the till says so
        CPPUNIT_ASSERT(!proves(21, 21, 2000));              // not used
        CPPUNIT_ASSERT(!proves(41, 41, 2000));              // beyond what the copy knows
        CPPUNIT_ASSERT(!proves(0, 0, 2000));
        CPPUNIT_ASSERT(!proves(20, 20, 1000 + rules.grace_s));  // a replay may be due
        CPPUNIT_ASSERT(!proves(20, 20, 5001));              // the lease is over
    }

    void circuit() {
        Circuit c(100, 300);
        auto now = Steady::now();
        c.failed(now, "k");
        c.failed(now, "k");
        c.succeeded();
        c.failed(now, "k");
        c.failed(now, "k");
        CPPUNIT_ASSERT(c.closed() && !c.due(now));
        c.failed(now, "k");
        CPPUNIT_ASSERT(!c.closed() && !c.due(now) && !c.due(now + milliseconds(99)) && c.due(now + milliseconds(100)));
        now += milliseconds(100);
        for (const int pause : {200, 300, 300}) {  // doubling, up to the most
            c.failed(now, "k");
            CPPUNIT_ASSERT(!c.due(now + milliseconds(pause - 1)) && c.due(now + milliseconds(pause)));
            now += milliseconds(pause);
        }
        c.succeeded();
        CPPUNIT_ASSERT(c.closed() && c.key() == "k");
    }

    void check(Cache& c, std::uint32_t k) {
        std::optional<Copy> copy;  // the server may still be at it: most are written without an answer
        CPPUNIT_ASSERT(eventually([&] { return (copy = c.get(coin(k))).has_value(); }));
        const auto s = state(10 + k % 20);
        CPPUNIT_ASSERT(copy->spent == s.spent && copy->revealed == s.revealed && copy->start == 3 && copy->version == k + 1);
        CPPUNIT_ASSERT(copy->written > 1600000000 && copy->has_used(3) && copy->has_used(5) && !copy->has_used(4));
    }

    void round_trip() {
        const Memcached m;
        auto c = open(options({m.server()}));
        CPPUNIT_ASSERT(!c->get(coin(1)));
        put_all(*c, 300);
        for (std::uint32_t k = 0; k < 300; ++k) check(*c, k);
        const auto n = c->counters();
        CPPUNIT_ASSERT(n.hits == 300 && n.misses >= 1 && n.errors == 0 && n.dropped == 0 && n.queued == 0 && n.open_circuits == 0);
        const auto raw = Spy(m.server()).get(key(coin(1)));
        CPPUNIT_ASSERT(!raw.empty() && raw.find(std::string(4, '\xAB')) == std::string::npos);
    }

    void unix_socket() {
        std::string dir = "/tmp/cache_test.XXXXXX";
        CPPUNIT_ASSERT(mkdtemp(dir.data()));
        {
            const Memcached m(dir + "/m.sock");
            auto c = open(options({m.server()}));
            put_all(*c, 50);
            for (std::uint32_t k = 0; k < 50; ++k) check(*c, k);
        }
        std::filesystem::remove_all(dir);
    }

    void newest_wins() {
        const Memcached m;
        auto o = options({m.server()});
        o.batch_ms = 3000;
        auto c = open(o);
        c->put(coin(1), state(20), 8);
        c->put(coin(1), state(30), 9);
        c->put(coin(1), state(10), 7);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, c->counters().queued);
        CPPUNIT_ASSERT(eventually([&] { return c->counters().stored == 1; }));
        CPPUNIT_ASSERT_EQUAL(30u, c->get(coin(1))->spent);
    }

    void flushed() {
        const Memcached m;
        auto c = open(options({m.server()}));
        put_all(*c, 10);
        Spy(m.server()).flush();
        CPPUNIT_ASSERT(eventually([&] { return !c->get(coin(1)); }));
        CPPUNIT_ASSERT(c->counters().open_circuits == 0 && c->counters().rejected == 0);
        put_all(*c, 10);
        CPPUNIT_ASSERT(eventually([&] { return c->get(coin(1)).has_value(); }));
    }

    void forged_swapped_truncated() {
        const Memcached m;
        auto c = open(options({m.server()}));
        put_all(*c, 2);
        Spy spy(m.server());
        const auto a = spy.get(key(coin(0))), b = spy.get(key(coin(1)));
        CPPUNIT_ASSERT(!a.empty() && !b.empty());
        auto flipped = a;
        flipped.back() = static_cast<char>(flipped.back() ^ 1);
        std::uint64_t rejected = 0;
        for (const auto& v : {b, flipped, a.substr(0, a.size() / 2), std::string(), std::string("x"),
                              std::string(a.size(), 'x'), a + "x", std::string(500000, 'y')}) {
            spy.set(key(coin(0)), v);
            CPPUNIT_ASSERT(!c->get(coin(0)));
            CPPUNIT_ASSERT_EQUAL(++rejected, c->counters().rejected);
        }
        spy.set(key(coin(0)), a);
        check(*c, 0);
    }

    void another_secret() {
        const Memcached m;
        auto a = open(options({m.server()}));
        auto b = open(options({m.server()}), "another secret, just as long");
        put_all(*a, 1);
        CPPUNIT_ASSERT(!b->get(coin(0)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, b->counters().rejected);
        auto other = options({m.server()});
        other.vendor = "https://sport.example";
        CPPUNIT_ASSERT(!open(other)->get(coin(0)));
    }

    void several_servers() {
        Memcached one, two, three;
        auto c = open(options({one.server(), two.server(2), three.server()}));
        put_all(*c, 200);
        for (std::uint32_t k = 0; k < 200; ++k) check(*c, k);
        unsigned at[3] = {};
        for (std::uint32_t k = 0; k < 200; ++k) {
            at[0] += !Spy(one.server()).get(key(coin(k))).empty();
            at[1] += !Spy(two.server()).get(key(coin(k))).empty();
            at[2] += !Spy(three.server()).get(key(coin(k))).empty();
        }
        CPPUNIT_ASSERT_EQUAL(200u, at[0] + at[1] + at[2]);
        CPPUNIT_ASSERT(at[0] > 10 && at[1] > at[0] && at[2] > 10);
        // One dies: its keys are unknown, the others' stay where they are.
        two.stop();
        unsigned found = 0;
        for (std::uint32_t k = 0; k < 200; ++k) found += c->get(coin(k)).has_value();
        CPPUNIT_ASSERT_EQUAL(at[0] + at[2], found);
        CPPUNIT_ASSERT_EQUAL(1u, c->counters().open_circuits);
    }

    void many_threads() {
        const Memcached m;
        auto c = open(options({m.server()}));
        put_all(*c, 64);
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < 16; ++t)
            threads.emplace_back([&] {
                for (std::uint32_t k = 0; k < 64; ++k) {
                    (void)c->get(coin(k));
                    c->put(coin(k), state(10 + k % 20), k + 1);
                }
            });
        for (auto& t : threads) t.join();
        const auto n = c->counters();
        CPPUNIT_ASSERT(n.hits + n.misses + n.skipped == 16 * 64 && n.hits > 0 && n.errors == 0 && n.rejected == 0);
    }

    void never_started() {
        Server s;
        s.host = "127.0.0.1";
        s.port = free_port();
        auto c = open(options({s}));
        for (std::uint32_t k = 0; k < 100; ++k) {
            CPPUNIT_ASSERT(!c->get(coin(k)));
            c->put(coin(k), state(5), 1);
        }
        CPPUNIT_ASSERT(c->counters().open_circuits == 1 && c->counters().skipped >= 90);
        CPPUNIT_ASSERT(eventually([&] { return c->counters().dropped == 100; }));
    }

    void killed_and_back() {
        Memcached m;
        auto c = open(options({m.server()}));
        put_all(*c, 5);
        m.stop();
        for (int k = 0; k < 5; ++k) CPPUNIT_ASSERT(!c->get(coin(1)));
        CPPUNIT_ASSERT_EQUAL(1u, c->counters().open_circuits);
        const auto errors = c->counters().errors;
        CPPUNIT_ASSERT(!c->get(coin(1)));
        CPPUNIT_ASSERT(c->counters().errors <= errors + 1);  // not asked; only the writing thread may have tried
        m.start();
        CPPUNIT_ASSERT(eventually([&] { return c->counters().open_circuits == 0; }));
        CPPUNIT_ASSERT(!c->get(coin(1)));
        put_all(*c, 5);
        check(*c, 1);
    }

    void stopped() {
        Memcached m;
        auto c = open_impatient(m);
        put_all(*c, 5);
        m.send(SIGSTOP);
        // Three time-outs of 100 ms, where each waiting would take 20 s.
        const auto gets = seconds([&] {
            for (int k = 0; k < 200; ++k) CPPUNIT_ASSERT(!c->get(coin(1)));
        });
        CPPUNIT_ASSERT(gets < 10);
        CPPUNIT_ASSERT(c->counters().open_circuits == 1 && c->counters().skipped >= 150);
        const auto puts = seconds([&] {
            for (std::uint32_t k = 0; k < 1000; ++k) c->put(coin(k), state(10), 100);
        });
        CPPUNIT_ASSERT(puts < 10);
        usleep(300000);
        CPPUNIT_ASSERT_EQUAL(1u, c->counters().open_circuits);
        m.send(SIGCONT);
        CPPUNIT_ASSERT(eventually([&] { return c->counters().open_circuits == 0; }));
        CPPUNIT_ASSERT(eventually([&] { return c->get(coin(1)).has_value(); }));
    }

    void stopped_at_shutdown() {
        Memcached m;
        auto c = open_impatient(m);
        put_all(*c, 5);
        (void)c->get(coin(1));
        m.send(SIGSTOP);
        // A few time-outs of 100 ms; one for each copy would be 400 s. Far from both, for a loaded machine.
        constexpr double bound_s = 20;
        for (std::uint32_t k = 0; k < 4000; ++k) c->put(coin(k), state(200), 100 + k);
        CPPUNIT_ASSERT(seconds([&] { c.reset(); }) < bound_s);
        // The same with a batch on its way.
        m.send(SIGCONT);
        c = open(options({m.server()}));
        put_all(*c, 5);
        for (std::uint32_t k = 0; k < 4000; ++k) c->put(coin(k), state(200), 100 + k);
        m.send(SIGSTOP);
        usleep(10000);
        CPPUNIT_ASSERT(seconds([&] { c.reset(); }) < bound_s);
        m.send(SIGCONT);
    }

    void queue_full() {
        const Memcached m;
        auto o = options({m.server()});
        o.queue = 10;
        o.batch_ms = 3000;
        auto c = open(o);
        for (std::uint32_t k = 0; k < 25; ++k) c->put(coin(k), state(10), 1);
        c->put(coin(3), state(11), 2);  // one that waits may still be replaced
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, c->counters().queued);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{15}, c->counters().dropped);
        CPPUNIT_ASSERT(eventually([&] { return c->counters().stored == 10; }));
        CPPUNIT_ASSERT_EQUAL(11u, c->get(coin(3))->spent);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CacheTest);

}  // namespace
}  // namespace netpay::cache
