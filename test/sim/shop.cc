#include "test/sim/shop.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "core/hash.h"

namespace netpay::sim {
namespace {

// Coins in the hot table: few, so that coins are evicted and loaded again.
constexpr std::uint32_t slots = 64;
constexpr const char* handoff_path = "/.well-known/netpay/handoff";
// Of a thousand payments: the handler fails, or takes its time.
constexpr std::uint64_t handler_fails = 20, handler_slow = 60;
constexpr std::int64_t give_back_s = 1800;
constexpr std::uint32_t give_back_per_day = 10;

template <class T>
T must(Result<T> r, const std::string& what) {
    if (!r) throw Violation{what + ": " + r.error().detail};
    return std::move(*r);
}

SigningKey key_for(std::uint64_t seed) {
    Bytes d(32);
    SeededRandom(seed).fill(d.data(), d.size());
    return must(SigningKey::from_bytes(Secret(std::move(d))), "a key");
}

Tag16 page_tag(std::uint32_t page) { return first16(sha256("page " + std::to_string(page))); }

}  // namespace

struct Shop::Diary final : world::Log {
    explicit Diary(Shop& s) : shop(s) {}
    void write(Level level, const std::string& text) override {
        if (level == Level::error) shop.stage_.count("errors logged by vendors");
        if (shop.stage_.trace) std::printf("    [%d] %s\n", shop.number_, text.c_str());
    }
    Shop& shop;
};

Shop::Shop(Stage& stage, Network& network, Referee& referee, int number, std::string directory, std::int64_t skew)
    : skew_s(skew), stage_(stage), network_(network), referee_(referee), number_(number),
      origin_("https://vendor" + std::to_string(number) + ".example"), directory_(std::move(directory)),
      clock_(stage, skew_s), random_(stage.seed ^ (0x73686f70ull << 8) ^ static_cast<std::uint64_t>(number)),
      till_disk_(origin_), disk_(stage, origin_), wire_(network, origin_, disk_), log_(std::make_unique<Diary>(*this)),
      key_(std::make_shared<SigningKey>(key_for(stage.seed * 1000 + static_cast<std::uint64_t>(number)))),
      brokers_{issuer} {
    ::mkdir(directory_.c_str(), 0700);
}

Shop::~Shop() = default;

void Shop::rise() {
    if (till_) return;
    till_disk_.dead = false;
    till_disk_.fuse.put_out();
    disk_.fuse.put_out();
    till::Options t;
    t.directory = directory_;
    t.slots = slots;
    t.busy_wait_ms = 1;  // nobody else could end what it would wait for
    t.disk = &till_disk_;
    till_ = must(till::Till::open(t), "till of " + origin_);
    // The seat of the one who checkpoints every second of real time is taken
    // by the simulator, which checkpoints by the dice.
    keeper_seat_ = must(till::Owners::open(directory_, 1ull << 40), "owners of " + origin_);
    if (!keeper_seat_->become_keeper()) throw Violation{"the till's own thread checkpoints"};
    custody::Options k;
    k.vendor = origin_;
    k.key = key_;
    k.brokers = {{issuer, {}}};
    k.directory = directory_;
    k.unconfirmed_pages = unconfirmed_pages;
    k.key_refresh_s = 900;  // a list has a signature for every vendor
    k.release_wait_ms = 0;  // nobody could settle meanwhile
    keeper_ = must(custody::Keeper::make(k, *till_, {clock_, wire_, *log_, random_, disk_}, wire_), "keeper of " + origin_);
    keeper_->on_urgent([this] { urgent = true; });
    urgent = true;
    for (auto* coin : std::exchange(giving_back_, {})) referee_.given_back(*this, *coin);
}

void Shop::die() {
    till_disk_.dead = true;  // kill -9: what the objects would still write is lost
    under_way_.clear();
    keeper_.reset();
    till_.reset();
    keeper_seat_.reset();
}

world::HttpAnswer Shop::handle(const Message& m) {
    world::HttpAnswer a;
    a.date = clock_.now();
    a.status = 404;
    if (m.method != "POST" || m.url != origin_ + handoff_path) return a;
    const auto answer = keeper_->hand_over(m.body);
    stage_.count("hand-over answered " + std::to_string(answer.status));
    a.status = answer.status;
    a.body = answer.body;
    a.retry_after_s = answer.retry_after_s;
    return a;
}

Served Shop::settle(CoinTruth& coin, const till::Charge& charge, till::Outcome outcome) {
    const auto units = outcome.units;
    if (!till_->settle(charge, outcome)) {
        till_->release(charge);
        stage_.count("settling refused");
        return {Served::Kind::refused, Decision::unsettled, 0, 0, 0, 0};
    }
    referee_.sold(*this, coin, outcome.spent, units);
    return {Served::Kind::receipt, Decision::paid, outcome.spent, outcome.revealed, 0, 0};
}

Served Shop::serve(CoinTruth& coin, const PaymentPayload& payload, std::uint32_t page, std::uint32_t units) {
    coin.shops.insert(number_);
    till::Charge charge;
    charge.coin = payload.tag;
    charge.payment.index = payload.index;
    charge.payment.word = payload.payword;
    charge.payment.resource = page_tag(page);
    charge.payment.is_get = true;
    charge.payment.now = clock_.now();
    charge.price = *Amount::from(units * unit_micro);
    charge.currency = *Currency::parse("uusd");
    charge.brokers = brokers_;
    const Desk desk{*till_, *keeper_, nullptr, nullptr, log_.get()};
    auto result = purchase(desk, payload, charge);
    if (const auto* refusal = std::get_if<Refusal>(&result)) {
        stage_.count("refused: " + std::string(label(refusal->decision).verdict) + " " + std::string(label(refusal->decision).reason));
        return {Served::Kind::refused, refusal->decision, refusal->spent.value_or(0), refusal->revealed.value_or(0),
                refusal->needed.value_or(0), 0};
    }
    const auto outcome = std::get<Purchase>(result).outcome;
    if (outcome.verdict == Verdict::replayed) {
        stage_.count("replayed");
        return {Served::Kind::receipt, Decision::replayed, outcome.spent, outcome.revealed, 0, 0};
    }
    const auto luck = stage_.calm ? 1000 : stage_.dice.below(1000);
    if (luck < handler_fails) {
        till_->release(charge);
        return {Served::Kind::refused, Decision::released, outcome.spent, outcome.revealed, 0, 0};
    }
    if (luck < handler_fails + handler_slow && under_way_.size() < 8) {
        under_way_.push_back({next_under_way_, &coin, charge, outcome});
        return {Served::Kind::under_way, Decision::paid, 0, 0, 0, next_under_way_++};
    }
    return settle(coin, charge, outcome);
}

std::optional<Served> Shop::finish(std::uint64_t number, bool good) {
    const auto u = std::find_if(under_way_.begin(), under_way_.end(), [&](const UnderWay& x) { return x.number == number; });
    if (u == under_way_.end() || !till_) return std::nullopt;
    const UnderWay done = *u;
    under_way_.erase(u);
    if (good) return settle(*done.coin, done.charge, done.outcome);
    till_->release(done.charge);
    return Served{Served::Kind::refused, Decision::released, 0, 0, 0, 0};
}

till::Till::GiveBackOutcome Shop::give_back(CoinTruth& coin, std::uint32_t ticket, std::uint32_t page) {
    static constexpr const char* answers[] = {"given",  "unknown",  "reread",   "too late", "booked",
                                              "again", "too many", "not held", "busy",     "unavailable"};
    giving_back_.insert(&coin);
    const auto out = till_->give_back({coin.tag, ticket, page_tag(page), clock_.now(), give_back_s, give_back_per_day});
    if (till_->find(coin.tag)) referee_.given_back(*this, coin);
    giving_back_.erase(&coin);
    stage_.count(std::string("to give back: ") + answers[static_cast<int>(out.result)]);
    return out;
}

void Shop::housekeeping() {
    urgent = false;
    keeper_->housekeeping();
    if (stage_.dice.one_in(8)) till_->flush();
}

void Shop::redeem() {
    if (!stage_.calm && stage_.dice.one_in(40)) disk_.fuse.light(static_cast<int>(stage_.dice.below(6)), stage_.dice.one_in(2));
    redeem::Settings s;
    s.vendor = origin_;
    s.key = key_;
    s.brokers = {{issuer, {}}};
    s.directory = directory_;
    s.max_claims = 20;  // several batches a run
    redeem::Redeemer redeemer(s, *till_, wire_, {clock_, wire_, *log_, random_, disk_});
    const auto report = redeemer.run([](const std::string&) {});
    disk_.fuse.put_out();
    stage_.count("claims accepted", report.accepted);
    stage_.count("claims rejected", report.rejected_claims());
    for (const auto& r : report.rejections) referee_.rejected(*this, r.coin, r.from, r.to, r.reason);
    for (const auto& p : report.permanent) throw Violation{origin_ + ": redemption is refused: " + p};
}

bool Shop::accepts(const Tag16& coin, bool& confirmed) {
    const auto e = entry(coin);
    if (!e || e->damaged || e->standing != till::Standing::held || e->coin.lease < clock_.now()) return false;
    confirmed = !e->coin.custody.empty();
    return true;
}

std::uint32_t Shop::owed_units() {
    std::uint32_t units = 0;
    till_->each([&](const till::Entry& e) {
        for (const auto& o : e.owed) units += o.to - o.from;
        const auto from = std::max(e.claimed, e.state.start);
        if (e.state.spent > from) units += e.state.spent - from;
    });
    return units;
}

}  // namespace netpay::sim
