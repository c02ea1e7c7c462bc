#include "test/sim/customer.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/touchstone.h"

namespace netpay::sim {
namespace {

constexpr std::size_t most_coins = 2;
constexpr std::uint64_t voucher_micro = 10000000;
constexpr std::uint32_t pages = 60;
constexpr std::size_t most_bought = 8;  // that she may regret
// Refusals of a coin in a row after which its owner writes off what is in doubt, and at last the coin.
constexpr int write_off_after = 12, give_up_after = 60;

std::uint32_t price_of(std::uint32_t page) { return 1 + page % 4; }

std::string text(const json::Document& d, std::string_view name) { return std::string(d.root().string(name).value_or("")); }

}  // namespace

Customer::Customer(Stage& stage, Network& network, Office& office, Referee& referee, Market& market, int number, bool honest)
    : stage_(stage), network_(network), office_(office), referee_(referee), market_(market), number_(number), honest_(honest),
      name_("customer " + std::to_string(number)), random_(stage.seed ^ (0x63757374ull << 8) ^ static_cast<std::uint64_t>(number)) {}

world::HttpAnswer Customer::call(const std::string& method, const std::string& path, const std::string& body,
                                 const std::string& idempotency_key) {
    Message m{name_, method, issuer + "/api/v1" + path, body, {}};
    if (!token_.empty()) m.headers["authorization"] = "Bearer " + token_;
    if (!idempotency_key.empty()) m.headers["idempotency-key"] = idempotency_key;
    return network_.exchange(m);
}

void Customer::top_up() {
    if (token_.empty()) {
        const auto answer = call("POST", "/accounts", "");
        const auto doc = json::Document::parse(answer.body);
        if (answer.status != 200 || !doc) return;
        token_ = text(*doc, "token");
    }
    if (voucher_.empty()) {
        if (!office_.up()) return;
        voucher_ = office_.voucher(voucher_micro);
        referee_.paid_in(voucher_micro);
    }
    const auto answer = call("POST", "/accounts/me/topups", json::Object().set("voucher", voucher_).jcs());
    if (answer.status == 0 || answer.status >= 500) return;
    voucher_.clear();
    money_ += voucher_micro;
}

// Either she makes the chain or the broker does. An answer that was lost is
// asked for again with the same words.
void Customer::buy() {
    if (coins_.size() >= most_coins) return;
    if (token_.empty() || money_ < 1000 * unit_micro) return top_up();
    if (!order_) {
        const std::uint32_t sizes[] = {10, 40, 40, 200, 200, 1000};
        const auto n = sizes[stage_.dice.below(6)];
        Order o;
        auto body = json::Object().set("currency", "uusd").set("unit", unit_micro).set("n", std::uint64_t{n});
        if (stage_.dice.one_in(2)) {
            Salt salt{};
            Payword seed;
            random_.fill(salt.data(), salt.size());
            random_.fill(seed.bytes.data(), seed.bytes.size());
            o.chain.emplace(salt, seed, n);
            body.set("salt", b64u_encode(salt)).set("root", encode_payword(o.chain->at(0)));
        } else {
            o.key = *world::fresh_name(random_);
        }
        o.body = body.jcs();
        order_ = std::move(o);
    }
    const auto answer = call("POST", "/coins", order_->body, order_->key);
    if (answer.status == 0 || answer.status >= 500) return;
    const auto doc = json::Document::parse(answer.body);
    if (answer.status != 200 || !doc) {
        money_ = 0;
        order_.reset();
        return;
    }
    const auto terms = verify_touchstone(text(*doc, "touchstone"), issuer, office_.keys(), stage_.now);
    if (!terms) {
        order_.reset();
        return;
    }
    auto coin = std::make_unique<CoinTruth>();
    coin->name = terms->coin;
    coin->touchstone = text(*doc, "touchstone");
    coin->tag = terms->tag;
    coin->salt = terms->salt;
    coin->n = terms->n;
    coin->exp = terms->exp;
    coin->honest = honest_;
    coin->words.resize(terms->n + 1);
    const auto seed = order_->chain ? order_->chain->at(terms->n) : decode_payword(text(*doc, "seed")).value_or(Payword{});
    coin->words[terms->n] = seed;
    for (auto i = terms->n; i > 0; --i) coin->words[i - 1] = previous(terms->salt, i, coin->words[i]);
    if (coin->words[0] != terms->root) throw Violation{"the broker sold a coin whose seed is not its root's"};
    order_.reset();
    money_ -= std::min<std::uint64_t>(money_, terms->n * unit_micro);
    Held h;
    h.truth = &referee_.issued(std::move(coin));
    stage_.note(name_ + " has coin " + std::to_string(h.truth->number) + " of " + std::to_string(h.truth->n));
    stage_.count("coins sold");
    coins_.push_back(std::move(h));
}

Customer::Held* Customer::find(const std::string& coin) {
    for (auto& c : coins_)
        if (c.truth->name == coin) return &c;
    return nullptr;
}

wallet::Count Customer::count_at(Held& c, const std::string& where) {
    auto& s = c.at[where];
    if (!s.met) {
        s.met = true;
        s.base = c.spent;
    }
    wallet::Count k;
    k.n = c.truth->n;
    k.spent = c.spent;
    k.revealed = s.revealed;
    k.base = s.base;
    k.used = s.used;
    for (const auto& o : c.open) {
        k.open.push_back(o.payment);
        k.open.back().here = o.where == where;
    }
    return k;
}

void Customer::put_back(Held& c, const std::string& where, const wallet::Count& k) {
    auto& s = c.at[where];
    s.revealed = k.revealed;
    s.used = k.used;
    c.spent = k.spent;
    c.truth->revealed = std::max(c.truth->revealed, k.revealed);
    std::vector<Open> open;
    for (const auto& p : k.open) {
        const auto known = std::find_if(c.open.begin(), c.open.end(), [&](const Open& o) { return o.payment.id == p.id; });
        if (known == c.open.end()) continue;
        open.push_back(*known);
        open.back().payment = p;
    }
    c.open = std::move(open);
}

PaymentPayload Customer::payload(const Held& c, std::uint32_t index, const std::string& where) {
    PaymentPayload p;
    p.coin = c.truth->name;
    p.tag = c.truth->tag;
    p.index = index;
    p.payword = c.truth->words[index];
    if (!stage_.dice.one_in(12)) p.touchstone = c.truth->touchstone;
    if (!c.holder.empty() && c.holder != where && stage_.dice.per_mille(700)) {
        p.holder = c.holder;
        p.held = c.index;
    }
    return p;
}

std::string Customer::choose_vendor(const Held& c) {
    // Mostly where she read last; else anywhere, now and then at a hostile one.
    if (!c.holder.empty() && stage_.dice.per_mille(860)) return c.holder;
    if (!market_.mallories.empty() && stage_.dice.one_in(20)) {
        const auto& m = market_.mallories.back();
        if (!m->suspended) return m->origin();
    }
    return stage_.dice.pick(market_.shops)->origin();
}

Served Customer::visit(const std::string& where, CoinTruth& coin, const PaymentPayload& p, std::uint32_t page, std::uint32_t units) {
    coin.revealed = std::max(coin.revealed, static_cast<std::uint32_t>(p.index));
    for (auto& m : market_.mallories)
        if (m->origin() == where) {
            Served s;
            const bool lives = network_.run_as(where, [&] { s = m->serve(coin, p, units); });
            return lives ? s : Served{};
        }
    for (auto& shop : market_.shops) {
        if (shop->origin() != where) continue;
        if (!shop->up()) return {};
        auto& dice = stage_.dice;
        if (!stage_.calm && dice.one_in(200)) return {};  // the request never arrives
        if (!stage_.calm && dice.one_in(150)) shop->fuse()->light(static_cast<int>(dice.below(3)), dice.one_in(2));
        Served s;
        const bool lives = network_.run_as(where, [&] { s = shop->serve(coin, p, page, units); });
        if (auto* fuse = shop->fuse()) fuse->put_out();
        if (!lives) {
            stage_.count("vendors died in a payment");
            stage_.note("dies " + where);
            return {};
        }
        if (!stage_.calm && s.kind != Served::Kind::under_way && dice.one_in(60)) return {};  // the answer never arrives
        return s;
    }
    return {};
}

// An honest vendor says that more was spent than the owner of this coin ever accepted.
void Customer::not_believed(const Held& c, const std::string& where, const Served& s) const {
    if (!honest_ || c.vague || c.truth->tainted || where.starts_with("https://mallory")) return;
    throw Violation{"coin " + std::to_string(c.truth->number) + ": " + where + " says that " + std::to_string(s.spent) +
                    " units are spent; its owner, who is honest, spent " + std::to_string(c.spent)};
}

bool Customer::learn(Held& c, const std::string& where, std::int64_t id, std::uint32_t units, const Served& s, std::uint32_t& needed) {
    auto k = count_at(c, where);
    const auto open = std::find_if(k.open.begin(), k.open.end(), [&](const wallet::OpenPayment& p) { return p.id == id; });
    const std::uint32_t ticket = open == k.open.end() ? 0 : open->ticket;
    bool again = false;
    const auto allowance = honest_ ? 0 : k.n;
    switch (s.kind) {
        case Served::Kind::receipt:
            wallet::paid(k, id, units);
            for (const auto& o : c.open)
                if (o.payment.id == id) c.bought.push_back({where, ticket, o.page, units});
            if (c.bought.size() > most_bought) c.bought.erase(c.bought.begin());
            c.holder = where;
            c.index = ticket;
            c.stuck = 0;
            stage_.count("pages bought");
            break;
        case Served::Kind::nothing:
            wallet::doubt(k, id);
            stage_.count("payments in doubt");
            break;
        case Served::Kind::under_way: break;
        case Served::Kind::refused:
            wallet::not_charged(k, id);
            ++c.stuck;
            if (s.decision == Decision::insufficient || s.decision == Decision::already_spent) {
                const bool used = s.decision == Decision::already_spent;
                // Which of several payments at a time was meant cannot be told: the count may be too low from now on.
                if (k.live_units() > 0) c.vague = true;
                if (!wallet::absorb(k, s.spent, used ? ticket : 0, allowance).believed) {
                    not_believed(c, where, s);
                } else {
                    if (used) wallet::ticket_used(k, ticket);
                    needed = s.needed;
                    again = true;
                }
            } else if (honest_ && !c.truth->tainted && s.decision == Decision::forged && !where.starts_with("https://mallory")) {
                throw Violation{"coin " + std::to_string(c.truth->number) + ": " + where + " calls the payword of an honest owner forged"};
            }
            break;
    }
    put_back(c, where, k);
    static constexpr const char* outcomes[] = {"receipt", "under way", "refused", "nothing"};
    stage_.note("asked " + where + " for " + std::to_string(units) + " of coin " + std::to_string(c.truth->number) + ", ticket " +
                std::to_string(ticket) + ": " + outcomes[static_cast<int>(s.kind)] +
                (s.kind == Served::Kind::refused ? " (" + std::string(label(s.decision).verdict) + ")" : "") + ", spent " +
                std::to_string(c.spent) + " and in doubt " + std::to_string(k.unknown_units()));
    return again;
}

void Customer::pay(Held& c, const std::string& where) {
    auto page = static_cast<std::uint32_t>(stage_.dice.below(pages));
    std::uint32_t needed = 0;
    for (int tries = 0; tries < 4; ++tries) {
        const auto units = price_of(page);
        auto k = count_at(c, where);
        const auto chosen = wallet::choose(k, units, needed);
        if (!chosen.choice) {
            ++c.stuck;
            if (chosen.why == wallet::Refusal::coin_short) c.stuck += 20;
            return;
        }
        const auto id = next_payment_++;
        wallet::open_payment(k, {id, chosen.choice->ticket, units, true, true});
        // A ticket whose outcome is in doubt is tried again for the same page: then it may be a free replay.
        for (const auto& o : c.open)
            if (chosen.choice->reused && o.where == where && o.payment.ticket == chosen.choice->ticket && price_of(o.page) == units) page = o.page;
        c.open.push_back({k.open.back(), where, page});
        put_back(c, where, k);
        const auto p = payload(c, chosen.choice->ticket, where);
        const auto s = visit(where, *c.truth, p, page, units);
        if (s.kind == Served::Kind::under_way) {
            for (auto& shop : market_.shops)
                if (shop->origin() == where) under_way_.push_back({shop->number(), s.under_way, c.truth->name, id, units});
            return;
        }
        if (!learn(c, where, id, units, s, needed)) return;
    }
}

void Customer::read() {
    std::erase_if(coins_, [&](const Held& c) {
        const bool live = std::any_of(c.open.begin(), c.open.end(), [](const Open& o) { return o.payment.live; });
        return !live && (c.stuck > give_up_after || c.truth->exp < stage_.now || c.spent >= c.truth->n);
    });
    if (coins_.empty()) return buy();
    auto& c = stage_.dice.pick(coins_);
    if (c.stuck > 0 && c.stuck % write_off_after == 0) {
        // Her own word: what is in doubt was spent.
        ++c.stuck;
        for (auto& o : c.open)
            if (!o.payment.live) c.spent += o.payment.units;
        std::erase_if(c.open, [](const Open& o) { return !o.payment.live; });
        c.spent = std::min(c.spent, c.truth->n);
    }
    pay(c, choose_vendor(c));
}

Customer::LastSpent Customer::last_spent() {
    if (coins_.empty()) return {};
    const auto& c = stage_.dice.pick(coins_);
    for (auto& shop : market_.shops)
        if (shop->origin() == c.holder && shop->up()) return {c.truth, shop.get()};
    return {};
}

void Customer::move_on(const LastSpent& from) {
    auto* c = find(from.coin->name);
    const auto& to = stage_.dice.pick(market_.shops);
    if (c && to.get() != from.shop) pay(*c, to->origin());
}

void Customer::cheat() {
    if (honest_ || coins_.empty()) return read();
    auto& c = stage_.dice.pick(coins_);
    auto& dice = stage_.dice;
    const auto& shop = dice.pick(market_.shops);
    const auto most = std::min(c.truth->n, c.truth->revealed + static_cast<std::uint32_t>(dice.below(4)));
    if (most == 0) return read();
    const auto index = static_cast<std::uint32_t>(dice.between(1, most));
    auto p = payload(c, index, shop->origin());
    if (dice.one_in(3)) {  // in league with a hostile vendor, or naming just anybody
        p.holder = !market_.mallories.empty() && dice.one_in(2) ? market_.mallories.back()->origin() : dice.pick(market_.shops)->origin();
        p.held = static_cast<std::uint64_t>(dice.between(1, most));
    }
    const auto page = static_cast<std::uint32_t>(dice.below(pages));
    const auto s = visit(shop->origin(), *c.truth, p, page, price_of(page));
    if (s.kind == Served::Kind::under_way) under_way_.push_back({shop->number(), s.under_way, c.truth->name, 0, price_of(page)});
    stage_.count("old or made-up paywords shown");
}

void Customer::regret() {
    auto& dice = stage_.dice;
    const auto c = std::find_if(coins_.begin(), coins_.end(), [&](const Held& h) { return !h.bought.empty() && dice.one_in(2); });
    if (c == coins_.end()) return read();
    const auto at = honest_ && !dice.one_in(4) ? c->bought.size() - 1 : dice.below(c->bought.size());
    auto b = c->bought[at];
    // A dishonest one asks for others, and again and again for the same.
    if (!honest_ && dice.one_in(3)) b.ticket = static_cast<std::uint32_t>(dice.between(1, c->truth->n));
    if (!honest_ && dice.one_in(3)) b.page = static_cast<std::uint32_t>(dice.below(pages));
    const auto shop = std::find_if(market_.shops.begin(), market_.shops.end(), [&](const auto& s) { return s->origin() == b.where; });
    if (shop == market_.shops.end() || !(*shop)->up()) return;
    if (!stage_.calm && dice.one_in(10)) (*shop)->fuse()->light(static_cast<int>(dice.below(2)), dice.one_in(2));
    till::Till::GiveBackOutcome out;
    const bool lives = network_.run_as(b.where, [&] { out = (*shop)->give_back(*c->truth, b.ticket, b.page); });
    if (auto* fuse = (*shop)->fuse()) fuse->put_out();
    if (honest_ || dice.one_in(2)) c->bought.erase(c->bought.begin() + static_cast<std::ptrdiff_t>(at));
    if (!lives) {
        stage_.count("vendors died giving back");
        stage_.note("dies " + b.where);
        return;
    }
    if (out.result != till::Till::GivenBack::given) return;
    if (honest_ && out.units != b.units)
        throw Violation{"coin " + std::to_string(c->truth->number) + ": " + b.where + " gave back " + std::to_string(out.units) +
                        " units for a page of " + std::to_string(b.units)};
    // Without the answer she goes on counting them as spent, which costs her at most these.
    if (!dice.one_in(20)) c->spent -= std::min(c->spent, out.units);
}

void Customer::finish_one() {
    if (under_way_.empty()) return;
    const auto at = stage_.dice.below(under_way_.size());
    const UnderWay u = under_way_[at];
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(at));
    auto& shop = *market_.shops[static_cast<std::size_t>(u.shop)];
    std::optional<Served> s;
    const bool good = stage_.calm || !stage_.dice.one_in(8);
    if (shop.up()) network_.run_as(shop.origin(), [&] { s = shop.finish(u.number, good); });
    if (!stage_.calm && stage_.dice.one_in(30)) s.reset();
    auto* c = find(u.coin);
    std::uint32_t needed = 0;
    if (c && u.id) learn(*c, shop.origin(), u.id, u.units, s.value_or(Served{}), needed);
}

void Customer::finish_all() {
    while (!under_way_.empty()) finish_one();
}

void Customer::give_back() {
    if (coins_.empty()) return;
    auto& c = stage_.dice.pick(coins_);
    if (std::any_of(c.open.begin(), c.open.end(), [](const Open& o) { return o.payment.live; })) return;
    json::Object body;
    if (c.truth->revealed > 0)
        body.set("index", std::uint64_t{c.truth->revealed}).set("payword", encode_payword(c.truth->words[c.truth->revealed]));
    const auto answer = call("POST", "/coins/" + c.truth->name + "/return", body.jcs());
    stage_.note(name_ + " returns coin " + std::to_string(c.truth->number) + ": " + std::to_string(answer.status));
    stage_.count("returns answered " + std::to_string(answer.status));
    if (answer.status == 200 || answer.status == 202) {
        const auto name = c.truth->name;
        std::erase_if(coins_, [&](const Held& h) { return h.truth->name == name; });
    }
}

}  // namespace netpay::sim
