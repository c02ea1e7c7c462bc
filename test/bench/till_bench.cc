// What a settled payment costs in each of the candidates for the till
// (doc/till.md), in one run: ns per payment, median of several rounds, and as
// a multiple of one link of the payword chain hashed on the same machine in
// the same round. 1,000 coins, each payment the next payword of a coin.
//
//   lmdb         one LMDB transaction a payment, not synced
//   journal      state in shared memory, a 160-byte record appended by write()
//   mapped       the till: images A and B in a mapped file, checkpoint each second
//   always       the till with Sync::always (fewer payments: each waits for the disk)
//
// The journal is measured without what it would need besides (rotation, an
// index, replay at start), so its figure is a lower bound.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base64url.h"
#include "core/payword.h"
#include "core/spend.h"
#include "mod_netpay/till/snapshot.h"
#include "mod_netpay/till/till.h"

namespace netpay::till {
namespace {

constexpr std::uint32_t coins = 1000;
constexpr std::uint32_t length = 2000;
constexpr UnixTime never = UnixTime{1} << 40;
constexpr int rounds = 5;

using Clock = std::chrono::steady_clock;
double ns_since(Clock::time_point t) { return std::chrono::duration<double, std::nano>(Clock::now() - t).count(); }

struct Wares {
    std::vector<Salt> salts;
    std::vector<std::vector<Payword>> words;  // [coin][index]
    std::vector<Tag16> tags;
};

Wares make_wares() {
    Wares w;
    for (std::uint32_t c = 0; c < coins; ++c) {
        Salt salt{};
        std::memcpy(salt.data(), &c, sizeof c);
        std::vector<Payword> chain(length + 1);
        chain[length].bytes[0] = static_cast<std::uint8_t>(c);
        for (std::uint32_t i = length; i > 0; --i) chain[i - 1] = previous(salt, i, chain[i]);
        w.tags.push_back(coin_tag(salt, chain[0]));
        w.salts.push_back(salt);
        w.words.push_back(std::move(chain));
    }
    return w;
}

Payment payment(const Wares& w, std::uint32_t c, std::uint32_t j) {
    Payment p;
    p.index = j;
    p.word = w.words[c][j];
    p.units = 1;
    p.resource[0] = static_cast<std::uint8_t>(j);
    p.is_get = true;
    p.now = 1000 + j;
    return p;
}

void die(const char* what) {
    std::fprintf(stderr, "till_bench: %s\n", what);
    std::exit(1);
}

// A candidate settles one payment: reserve, then settle.
struct Candidate {
    virtual ~Candidate() = default;
    virtual void prepare(const Wares&, const std::string& directory) = 0;  // before the processes
    virtual void attach() {}                                               // in each process
    virtual void pay(const Wares&, std::uint32_t coin, std::uint32_t j) = 0;
};

struct SharedSlot {
    pthread_mutex_t mutex;
    SpendState state;
    Reservations open;
};

void shared_mutex(pthread_mutex_t* m) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
}

class Journal : public Candidate {
public:
    void prepare(const Wares& w, const std::string& directory) override {
        void* at = mmap(nullptr, coins * sizeof(SharedSlot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) die("mmap");
        slots_ = static_cast<SharedSlot*>(at);
        for (std::uint32_t c = 0; c < coins; ++c) {
            shared_mutex(&slots_[c].mutex);
            slots_[c].state = SpendState::taken_over(w.salts[c], length, 0, w.words[c][0], never, never);
            slots_[c].open = Reservations{};
        }
        fd_ = open((directory + "/journal").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (fd_ < 0) die("journal");
    }
    ~Journal() override {
        if (slots_) munmap(slots_, coins * sizeof(SharedSlot));
        if (fd_ >= 0) close(fd_);
    }
    void pay(const Wares& w, std::uint32_t c, std::uint32_t j) override {
        const auto p = payment(w, c, j);
        auto& s = slots_[c];
        pthread_mutex_lock(&s.mutex);
        if (netpay::reserve(s.state, s.open, p, {}, 1).verdict != Verdict::paid) die("journal: not paid");
        pthread_mutex_unlock(&s.mutex);
        pthread_mutex_lock(&s.mutex);
        netpay::settle(s.state, s.open, p);
        char record[160] = {};
        std::memcpy(record, w.tags[c].data(), 16);
        std::memcpy(record + 16, &s.state.spent, 8);
        std::memcpy(record + 24, s.state.word.bytes.data(), 32);
        std::memcpy(record + 56, p.resource.data(), 16);
        if (write(fd_, record, sizeof record) != sizeof record) die("journal: write");
        pthread_mutex_unlock(&s.mutex);
    }

private:
    SharedSlot* slots_ = nullptr;
    int fd_ = -1;
};

class Lmdb : public Candidate {
public:
    void prepare(const Wares& w, const std::string& directory) override {
        path_ = directory + "/bench.mdb";
        attach();
        MDB_txn* txn = nullptr;
        mdb_txn_begin(env_, nullptr, 0, &txn);
        for (std::uint32_t c = 0; c < coins; ++c)
            put(txn, w.tags[c], {0, 0, SpendState::taken_over(w.salts[c], length, 0, w.words[c][0], never, never)});
        if (mdb_txn_commit(txn) != 0) die("lmdb: commit");
        mdb_env_close(env_);
        env_ = nullptr;
    }
    void attach() override {
        if (mdb_env_create(&env_) || mdb_env_set_mapsize(env_, std::size_t{1} << 30) ||
            mdb_env_open(env_, path_.c_str(), MDB_NOSUBDIR | MDB_NOSYNC, 0600))
            die("lmdb: open");
        MDB_txn* txn = nullptr;
        mdb_txn_begin(env_, nullptr, 0, &txn);
        if (mdb_dbi_open(txn, nullptr, 0, &db_) || mdb_txn_commit(txn)) die("lmdb: dbi");
    }
    void pay(const Wares& w, std::uint32_t c, std::uint32_t j) override {
        const auto p = payment(w, c, j);
        // Reservations would stand in shared memory beside; here one is made and settled in one transaction.
        MDB_txn* txn = nullptr;
        if (mdb_txn_begin(env_, nullptr, 0, &txn)) die("lmdb: begin");
        MDB_val k{16, const_cast<std::uint8_t*>(w.tags[c].data())}, v{};
        if (mdb_get(txn, db_, &k, &v)) die("lmdb: get");
        auto s = decode_snapshot({static_cast<const char*>(v.mv_data), v.mv_size});
        Reservations open;
        if (!s || netpay::reserve(s->state, open, p, {}, 1).verdict != Verdict::paid) die("lmdb: not paid");
        netpay::settle(s->state, open, p);
        put(txn, w.tags[c], *s);
        if (mdb_txn_commit(txn)) die("lmdb: commit");
    }

private:
    void put(MDB_txn* txn, const Tag16& tag, const Snapshot& s) {
        const auto bytes = encode(s);
        MDB_val k{16, const_cast<std::uint8_t*>(tag.data())}, v{bytes.size(), const_cast<char*>(bytes.data())};
        if (mdb_put(txn, db_, &k, &v, 0)) die("lmdb: put");
    }
    std::string path_;
    MDB_env* env_ = nullptr;
    MDB_dbi db_ = 0;
};

class Mapped : public Candidate {
public:
    explicit Mapped(Sync sync) { options_.sync = sync; }
    void prepare(const Wares& w, const std::string& directory) override {
        options_.directory = directory;
        attach();
        for (std::uint32_t c = 0; c < coins; ++c) {
            Coin coin;
            auto& t = coin.terms;
            t.iss = brokers_[0];
            t.tag = w.tags[c];
            t.cur = *Currency::parse("uusd");
            t.unit = *Amount::from(1000);
            t.n = length;
            t.salt = w.salts[c];
            t.root = coin.word = w.words[c][0];
            t.exp = coin.lease = never;
            coin.epoch = 1;
            if (!till_->take(coin)) die("till: take");
        }
        till_.reset();
    }
    void attach() override {
        auto t = Till::open(options_);
        if (!t) die(t.error().detail.c_str());
        till_ = std::move(*t);
    }
    void pay(const Wares& w, std::uint32_t c, std::uint32_t j) override {
        Charge charge;
        charge.coin = w.tags[c];
        charge.payment = payment(w, c, j);
        charge.price = *Amount::from(1000);
        charge.currency = *Currency::parse("uusd");
        charge.brokers = brokers_;
        auto out = till_->reserve(charge);
        if (out.answer != Answer::judged || out.verdict != Verdict::paid) die(out.why);
        if (!till_->settle(charge, out)) die(out.why);
    }

private:
    Options options_;
    std::vector<std::string> brokers_{"https://broker.example"};
    std::unique_ptr<Till> till_;
};

// ns per payment with this many processes, each with coins of its own.
double run(Candidate& c, const Wares& w, unsigned processes, std::uint32_t from, std::uint32_t per_coin) {
    struct Shared {
        pthread_barrier_t start;
        double ns[16];
    };
    auto* shared = static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pthread_barrierattr_t a;
    pthread_barrierattr_init(&a);
    pthread_barrierattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->start, &a, processes);
    std::vector<pid_t> children;
    for (unsigned p = 0; p < processes; ++p) {
        const pid_t child = fork();
        if (child < 0) die("fork");
        if (child == 0) {
            c.attach();
            for (std::uint32_t k = p; k < coins; k += processes) c.pay(w, k, from);  // warm
            pthread_barrier_wait(&shared->start);
            const auto t = Clock::now();
            for (std::uint32_t j = from + 1; j < from + 1 + per_coin; ++j)
                for (std::uint32_t k = p; k < coins; k += processes) c.pay(w, k, j);
            shared->ns[p] = ns_since(t);
            _exit(0);
        }
        children.push_back(child);
    }
    for (const auto child : children) {
        int status = 0;
        if (waitpid(child, &status, 0) < 0 || status != 0) die("a process failed");
    }
    const double slowest = *std::max_element(shared->ns, shared->ns + processes);
    munmap(shared, sizeof *shared);
    return slowest / (static_cast<double>(coins) * per_coin);
}

double link_ns(const Wares& w) {
    const auto t = Clock::now();
    Payword x = w.words[0][length];
    constexpr std::uint32_t n = 1u << 19;
    x = walk_down(w.salts[0], n, x, 0);
    volatile std::uint8_t keep = x.bytes[0];
    (void)keep;
    return ns_since(t) / n;
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

int bench(const std::string& base) {
    const Wares w = make_wares();
    struct Entry {
        const char* name;
        std::unique_ptr<Candidate> candidate;
        std::uint32_t per_coin;
        std::vector<double> ns[2];
    };
    std::vector<Entry> all;
    all.push_back({"lmdb", std::make_unique<Lmdb>(), 20, {}});
    all.push_back({"journal", std::make_unique<Journal>(), 100, {}});
    all.push_back({"mapped", std::make_unique<Mapped>(Sync::interval), 100, {}});
    all.push_back({"always", std::make_unique<Mapped>(Sync::always), 1, {}});
    for (auto& e : all) {
        const auto directory = base + "/" + e.name;
        std::filesystem::create_directory(directory);
        e.candidate->prepare(w, directory);
    }
    std::vector<double> link;
    constexpr unsigned processes[2] = {1, 4};
    for (int round = 0; round < rounds; ++round) {
        link.push_back(link_ns(w));
        for (auto& e : all)
            for (int k = 0; k < 2; ++k) {
                const auto from = 1 + static_cast<std::uint32_t>(2 * round + k) * (e.per_coin + 1);
                e.ns[k].push_back(run(*e.candidate, w, processes[k], from, e.per_coin));
            }
    }
    const double one = median(link);
    std::printf("one link of the chain: %.0f ns; medians of %d rounds, 1000 coins\n", one, rounds);
    std::printf("%-10s %22s %22s\n", "candidate", "1 process", "4 processes");
    for (auto& e : all) {
        std::printf("%-10s", e.name);
        for (auto& ns : e.ns) std::printf(" %9.0f ns %6.1f links", median(ns), median(ns) / one);
        std::printf("\n");
    }
    return 0;
}

}  // namespace
}  // namespace netpay::till

int main(int argc, char** argv) {
    std::string base = (argc > 1 ? std::string(argv[1]) : std::string("/var/tmp")) + "/till_bench.XXXXXX";
    if (!mkdtemp(base.data())) {
        std::perror("till_bench: mkdtemp");
        return 1;
    }
    const int code = netpay::till::bench(base);
    std::filesystem::remove_all(base);
    return code;
}
