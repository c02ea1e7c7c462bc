#include "test/sim/simulation.h"

#include <sys/stat.h>

#include "core/base64url.h"
#include "core/request.h"

namespace netpay::sim {
namespace {

// The store and the ledger are checked as a whole every so many steps.
constexpr std::uint64_t inspect_every = 2000, look_every = 25;
// A vendor with money to claim redeems this often: well within a lease.
constexpr std::int64_t redeem_every_s = 900;
constexpr std::int64_t housekeeping_every_s = 20;
// Hostile vendors in one run: each is one more in the list that all keep a copy of.
constexpr int most_mallories = 40;
constexpr std::int64_t claims_end_after_s = 91 * 86400;

// Most clocks are good to half a minute; two at opposite ends of the tolerance
// are more than 60 s apart and refuse each other's requests.
std::int64_t skew(Dice& dice) { return dice.one_in(4) ? dice.between(-60, 60) : dice.between(-28, 28); }

}  // namespace

Simulation::Simulation(const Plan& plan) : plan_(plan), stage_(plan.seed, plan.trace), network_(stage_) {
    ::mkdir((plan.directory + "/broker").c_str(), 0700);
    office_ = std::make_unique<Office>(stage_, network_, plan.directory + "/broker");
    referee_ = std::make_unique<Referee>(stage_, *office_, unconfirmed_pages);
    network_.add(issuer, *office_);
    open_market();
}

Simulation::~Simulation() = default;

// Registered by somebody with an account, approved by the operator; on a day
// when nothing fails.
void Simulation::enrol(const std::string& origin, const SigningKey& key) {
    const bool calm = std::exchange(stage_.calm, true);
    office_->rise();
    network_.forget_late();
    const auto account = network_.exchange({"operator", "POST", issuer + "/api/v1/accounts", {}, {}});
    const auto doc = json::Document::parse(account.body);
    const auto token = doc ? doc->root().string("token") : std::nullopt;
    if (!token) throw Violation{"the broker opens no account: " + account.body};
    const auto request = sign_request({origin, issuer, "vendors", stage_.now, "registration"},
                                      json::Object().set("origin", origin).set("jwk", key.public_key().jwk()).set(
                                          "handoff", origin + "/.well-known/netpay/handoff"),
                                      key);
    const auto answer = network_.exchange({"operator", "POST", issuer + "/api/v1/vendors", json::Object().set("request", request).jcs(),
                                           {{"authorization", "Bearer " + std::string(*token)}}});
    if (answer.status != 202) throw Violation{"the broker registers no vendor: " + answer.body};
    office_->approve(origin);
    stage_.calm = calm;
}

void Simulation::replace_mallory() {
    if (mallories_ >= most_mallories) return;
    auto m = std::make_unique<Mallory>(stage_, network_, *referee_, mallories_++);
    network_.add(m->origin(), *m);
    enrol(m->origin(), m->key());
    market_.mallories.push_back(std::move(m));
}

void Simulation::open_market() {
    for (int i = 0; i < plan_.vendors; ++i) {
        auto shop = std::make_unique<Shop>(stage_, network_, *referee_, i, plan_.directory + "/vendor" + std::to_string(i),
                                           skew(stage_.dice));
        network_.add(shop->origin(), *shop);
        enrol(shop->origin(), shop->key());
        shop->rise();
        referee_->watch(*shop);
        market_.shops.push_back(std::move(shop));
    }
    replace_mallory();
    next_housekeeping_.assign(market_.shops.size(), 0);
    next_redemption_.assign(market_.shops.size(), 0);
    for (int i = 0; i < plan_.customers; ++i)
        customers_.push_back(std::make_unique<Customer>(stage_, network_, *office_, *referee_, market_, i, i % 4 != 3));
}

void Simulation::pass_time() {
    auto& dice = stage_.dice;
    const auto luck = dice.below(10000);
    if (luck < 3) stage_.now += dice.between(1200, 4 * 3600);
    else if (luck < 200) stage_.now += dice.between(20, 200);
    else if (luck < 4000) stage_.now += dice.between(1, 6);
    office_->catch_up();
}

void Simulation::restart(Shop& shop) {
    network_.run_as(shop.origin(), [&] { shop.rise(); });
    if (!shop.up()) return;
    stage_.note("back: " + shop.origin());
    // While it was away, somebody else may have taken over what it still holds.
    for (const auto& c : referee_->coins())
        if (c->exp >= stage_.now && c->shops.contains(shop.number())) referee_->one_holder(shop, *c);
}

void Simulation::restart_whoever_is_due() {
    if (!office_->up() && stage_.now >= office_down_until_) {
        office_->rise();
        stage_.note("back: broker");
    }
    for (auto& shop : market_.shops)
        if (!shop->up() && stage_.now >= shop->down_until) restart(*shop);
}

void Simulation::disturb() {
    auto& dice = stage_.dice;
    auto& shop = *dice.pick(market_.shops);
    switch (dice.weighted({30, 10, 12, 12, 10, 4})) {
        case 0:  // a vendor's process is killed, and is back soon
            if (!shop.up()) return;
            network_.run_as(shop.origin(), [&] { throw SimCrash{shop.origin()}; });
            shop.down_until = stage_.now + dice.between(0, 30);
            stage_.note("dies " + shop.origin());
            break;
        case 1:
            network_.run_as(issuer, [&] { throw SimCrash{issuer}; });
            office_down_until_ = stage_.now + dice.between(0, 120);
            stage_.note("dies broker");
            break;
        case 2: network_.cut(shop.origin(), issuer, stage_.now + dice.between(10, 900)); break;
        case 3: network_.cut(shop.origin(), dice.pick(market_.shops)->origin(), stage_.now + dice.between(10, 900)); break;
        case 4: shop.skew_s = skew(dice); break;
        default:  // gone for longer than a lease
            if (!shop.up()) return;
            network_.run_as(shop.origin(), [&] { throw SimCrash{shop.origin()}; });
            shop.down_until = stage_.now + dice.between(lease_s / 2, 3 * lease_s);
            stage_.note("gone for long " + shop.origin());
            break;
    }
}

// The holder's clock is slow, as far as it may be: by the true time the lease
// is over, by its own it still sells. The customer goes elsewhere just now.
void Simulation::end_a_lease(Customer& customer) {
    const auto at = customer.last_spent();
    const auto e = at.shop ? at.shop->entry(at.coin->tag) : std::nullopt;
    if (!e || e->standing != till::Standing::held || e->coin.lease <= stage_.now) return;
    at.shop->skew_s = -60;
    stage_.now = e->coin.lease + stage_.dice.between(2, 60);
    office_->catch_up();
    // What keeps her from asking the holder itself: it does not answer the others.
    for (auto& shop : market_.shops)
        if (shop.get() != at.shop) network_.cut(at.shop->origin(), shop->origin(), stage_.now + 30);
    for (int tries = 0; tries < 3; ++tries) customer.move_on(at);
}

void Simulation::mind_the_shop(Shop& shop) {
    const auto i = static_cast<std::size_t>(shop.number());
    if (!shop.up() || (!shop.urgent && stage_.now < next_housekeeping_[i])) return;
    next_housekeeping_[i] = stage_.now + housekeeping_every_s;
    network_.run_as(shop.origin(), [&] { shop.housekeeping(); });
}

void Simulation::redeem(Shop& shop) {
    if (!shop.up()) return;
    next_redemption_[static_cast<std::size_t>(shop.number())] = stage_.now + redeem_every_s + stage_.dice.between(0, 300);
    network_.run_as(shop.origin(), [&] { shop.redeem(); });
    stage_.count("redemptions");
}

void Simulation::scheme(Mallory& mallory) {
    network_.run_as(mallory.origin(), [&] { mallory.scheme(); });
}

void Simulation::step() {
    pass_time();
    restart_whoever_is_due();
    auto& dice = stage_.dice;
    auto& customer = *dice.pick(customers_);
    switch (dice.weighted({7000, 600, 250, 40, 400, 400, 700, 300, 40, 5, 300})) {
        case 0: customer.read(); break;
        case 1: customer.cheat(); break;
        case 2: customer.buy(); break;
        case 3: customer.give_back(); break;
        case 4: customer.finish_one(); break;
        case 5: network_.deliver_late(); break;
        case 6: mind_the_shop(*dice.pick(market_.shops)); break;
        case 7:
            if (market_.mallories.back()->suspended && dice.one_in(30)) replace_mallory();
            else scheme(*dice.pick(market_.mallories));
            break;
        case 8: disturb(); break;
        case 9: end_a_lease(customer); break;
        default: customer.regret(); break;
    }
    for (auto& shop : market_.shops) {
        if (!shop->up()) continue;
        if (shop->urgent) mind_the_shop(*shop);
        if (stage_.now >= next_redemption_[static_cast<std::size_t>(shop->number())]) redeem(*shop);
    }
    if (stage_.step % look_every == 0) referee_->nobody_honest_suspended();
    if (stage_.step % inspect_every == 0) referee_->inspect();
}

// Nothing fails any more; leases end, everything is redeemed, and at last the
// coins have been expired for so long that what nobody claimed goes back.
void Simulation::settle_down() {
    stage_.note("quiet");
    stage_.calm = true;
    network_.heal();
    while (network_.deliver_late()) {}
    office_->rise();
    for (auto& shop : market_.shops) restart(*shop);
    for (auto& customer : customers_) customer->finish_all();
    for (int round = 0; round < 40; ++round) {
        stage_.now += 240;
        office_->catch_up();
        for (auto& shop : market_.shops) {
            network_.run_as(shop->origin(), [&] { shop->housekeeping(); });
            redeem(*shop);
        }
    }
    referee_->inspect();
    reckoning_ = referee_->reckon();
    stage_.now += claims_end_after_s + 6 * 86400;
    for (int round = 0; round < 6; ++round) {
        stage_.now += 3600;
        office_->catch_up();
    }
    referee_->inspect();
    reckoning_ = referee_->reckon();
}

void Simulation::run() {
    for (stage_.step = 1; stage_.step <= plan_.steps; ++stage_.step) step();
    stage_.step = plan_.steps;
    days_ = static_cast<double>(stage_.now - start_of_time) / 86400;
    settle_down();
}

}  // namespace netpay::sim
