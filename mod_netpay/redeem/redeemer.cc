#include "mod_netpay/redeem/redeemer.h"

#include <algorithm>
#include <utility>

#include "core/base64url.h"
#include "core/payword.h"
#include "core/timestamp.h"

namespace netpay::redeem {

using custody::BrokerKeys;
using custody::HttpAnswer;

namespace {

// The order of names is the order of writing: pending() gives the oldest first.
Result<std::string> batch_name(custody::World w, std::uint64_t serial) {
    auto unique = custody::fresh_name(w.random);
    if (!unique) return unique;
    std::string when;
    for (const char c : format_rfc3339(w.clock.now()))
        if (c != '-' && c != ':') when += c;
    auto count = std::to_string(serial);
    count.insert(0, count.size() < 6 ? 6 - count.size() : 0, '0');
    return when + "-" + count + "-" + *unique;
}

std::string detail_of(const HttpAnswer& a) {
    std::string out = "status " + std::to_string(a.status);
    const auto doc = json::Document::parse(a.body);
    if (!doc || !doc->root().is_object()) return out;
    if (const auto d = doc->root().string("detail")) {
        out += ": ";
        for (const char c : d->substr(0, 300)) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out;
}

// A reason goes to terminals and logs: anything but the contract's words is told apart no further.
std::string reason_of(const json::Value& rejection) {
    const auto r = rejection.string("reason").value_or("");
    const bool plain = !r.empty() && r.size() <= 40 &&
                       r.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string_view::npos;
    return plain ? std::string(r) : "other";
}
std::string coin_of(const json::Value& rejection) {
    const auto c = rejection.string("coin").value_or("");
    return b64u_decode_array<16>(c) ? std::string(c) : "?";
}

void add(std::map<Currency, Amount>& sums, const Currency& cur, Amount a) {
    auto& sum = sums[cur];
    // Beyond 2^53 micro-units (nine thousand million) the sum stays where it is.
    sum = sum.plus(a).value_or(*Amount::from(limits::max_amount));
}

}  // namespace

std::uint64_t Report::rejected_claims() const {
    std::uint64_t n = 0;
    for (const auto& [reason, count] : rejected) n += count;
    return n;
}

int Report::exit_code() const {
    if (!permanent.empty()) return 4;
    if (!temporary.empty()) return 3;
    return rejected.empty() ? 0 : 1;
}

Redeemer::Redeemer(Settings settings, till::Till& till, custody::FileTransport& transport, custody::World world)
    : s_(std::move(settings)), till_(till), transport_(transport), world_(world) {}

void Redeemer::refused(const std::string& why) { report_.permanent.push_back(why); }

void Redeemer::later(const Batch& b, const std::string& why) {
    out_of_reach_.insert(b.broker);
    report_.temporary.push_back("batch " + b.name + " for " + b.broker + ": " + why);
}

BrokerKeys* Redeemer::keys_of(std::string_view issuer) {
    const auto i = keys_.find(issuer);
    return i == keys_.end() ? nullptr : i->second.get();
}

Report Redeemer::run(const Progress& progress) {
    for (const auto& b : s_.brokers) {
        // key_refresh_s plays no part here: keys are fetched when they are missing.
        auto keys = std::make_unique<BrokerKeys>(b, s_.directory, 300, world_);
        if (!s_.dry_run)
            if (const auto loaded = keys->load(); !loaded) refused(loaded.error().detail);
        keys_.insert_or_assign(b.issuer, std::move(keys));
    }
    if (!report_.permanent.empty()) return report_;
    if (s_.dry_run) {
        dry_run();
        return report_;
    }
    auto box = Outbox::open(s_.directory, world_.disk);
    const auto waiting = box ? box->pending() : Result<std::vector<std::string>>(box.error());
    if (!waiting) {
        refused(waiting.error().detail);
        return report_;
    }
    if (!retell(*box, *waiting)) return report_;
    const auto send_all = [&](const std::vector<std::string>& names) {
        for (std::size_t i = 0; i < names.size(); ++i) {
            progress("batch " + std::to_string(i + 1) + " of " + std::to_string(names.size()));
            deliver(*box, names[i]);
        }
    };
    send_all(*waiting);
    std::vector<std::string> written;
    fold(*box, written);
    // A batch may leave the outbox only once the till cannot forget that it claimed.
    if (!till_.flush()) {
        refused("the till cannot be written to the disk; the batches written wait for the next run");
        report_.pending = waiting->size() + written.size();
        return report_;
    }
    send_all(written);
    if (const auto left = box->pending()) report_.pending = left->size();
    return report_;
}

std::vector<Claim> Redeemer::claims_of(const till::Entry& e) {
    std::vector<Claim> out;
    // Of earlier epochs: nothing is added to these any more.
    for (const auto& o : e.owed)
        if (o.from < o.to) out.push_back({e.coin.terms.coin, o.from, o.to, o.word});
    const auto& s = e.state;
    const auto from = std::max(e.claimed, s.start);
    if (e.damaged || s.spent <= from) return out;
    if (e.coin.custody.empty() && !e.coin.indices.empty()) {
        ++report_.unconfirmed;
        return out;
    }
    const bool grows = e.standing == till::Standing::held && e.coin.lease >= world_.clock.now();
    if (s.spent - from >= s_.min_units || !grows) out.push_back({e.coin.terms.coin, from, s.spent, walk_down(s.salt, s.revealed, s.word, s.spent)});
    return out;
}

void Redeemer::dry_run() {
    till_.each([&](const till::Entry& e) {
        for (const auto& c : claims_of(e)) {
            if (!keys_of(e.coin.terms.iss)) {
                ++report_.foreign;
                return;
            }
            ++report_.claims;
            report_.units += c.to - c.from;
            if (const auto worth = e.coin.terms.unit.times(c.to - c.from)) add(report_.credited, e.coin.terms.cur, *worth);
        }
    });
    report_.batches = (report_.claims + s_.max_claims - 1) / s_.max_claims;
    if (const auto left = world_.disk.list(s_.directory + "/outbox"))
        report_.pending = std::count_if(left->begin(), left->end(), [](const auto& n) { return n.ends_with(".json"); });
}

bool Redeemer::tell_till(const std::vector<Claim>& claims) {
    std::vector<till::Till::Claimed> all;
    for (const auto& c : claims)
        if (const auto tag = b64u_decode_array<16>(c.coin)) all.push_back({*tag, c.to});
    const auto told = till_.claim(all);
    if (!told) refused("the till: " + told.error().detail);
    return told.ok();
}

// Step 2 of the argument in redeemer.h, for batches of earlier runs.
bool Redeemer::retell(Outbox& box, const std::vector<std::string>& names) {
    for (const auto& name : names) {
        const auto b = box.load(name);
        const auto claims = b ? box.claims(*b) : Result<std::vector<Claim>>(b.error());
        if (!claims) {
            // Which units it claims cannot be told: new claims might repeat them.
            refused(claims.error().detail);
            return false;
        }
        if (!tell_till(*claims)) return false;
    }
    if (names.empty() || till_.flush()) return true;
    refused("the till cannot be written to the disk");
    return false;
}

// Step 0. Of the claims those are left that stand.
bool Redeemer::bind(Drawn& drawn) {
    const auto stands = till_.show(drawn.shown);
    drawn.shown.clear();
    if (!stands) {
        refused("the till: " + stands.error().detail);
        return false;
    }
    std::size_t i = 0;
    std::erase_if(drawn.claims, [&](const Claim&) { return !(*stands)[i++]; });
    return true;
}

bool Redeemer::close(Outbox& box, const std::string& broker, Drawn& drawn, std::vector<std::string>& written) {
    if (!bind(drawn)) return false;
    const auto claims = std::exchange(drawn.claims, {});
    if (claims.empty()) return true;
    const auto name = batch_name(world_, written.size());
    const auto b = name ? box.write({*name, s_.vendor, broker, {}, 0, 0}, claims) : Result<Batch>(name.error());
    if (!b) {
        refused(b.error().detail);
        return false;
    }
    written.push_back(b->name);
    return tell_till(claims);
}

void Redeemer::fold(Outbox& box, std::vector<std::string>& written) {
    std::map<std::string, Drawn> open;
    bool good = true;
    till_.each([&](const till::Entry& e) {
        auto own = good ? claims_of(e) : std::vector<Claim>{};
        if (own.empty()) return;
        const auto& broker = e.coin.terms.iss;
        if (!keys_of(broker)) {
            ++report_.foreign;
            return;
        }
        if (out_of_reach_.contains(broker)) return;  // its outbox goes first
        auto& drawn = open[broker];
        for (auto& c : own) {
            drawn.shown.push_back({e.coin.terms.tag, c.to, e.given_back});
            drawn.claims.push_back(std::move(c));
            if (drawn.claims.size() >= s_.max_claims && !(good = close(box, broker, drawn, written))) return;
        }
    });
    for (auto& [broker, drawn] : open)
        if (good && !drawn.claims.empty()) good = close(box, broker, drawn, written);
}

void Redeemer::deliver(Outbox& box, const std::string& name) {
    const auto b = box.load(name);
    if (!b) return refused(b.error().detail);
    if (out_of_reach_.contains(b->broker)) return;
    if (b->vendor != s_.vendor)
        return refused("batch " + name + " was written for vendor " + b->vendor + ", this is " + s_.vendor);
    auto* keys = keys_of(b->broker);
    if (!keys) return refused("batch " + name + " is for broker " + b->broker + ", which is not configured");
    const auto k = keys->known();
    if ((k->api.empty() || k->keys.empty()) && !keys->fetch_now())
        return later(*b, "the broker's discovery document or keys cannot be read");
    const auto token = sign_batch({s_.vendor, b->broker, b->name, b->digest, world_.clock.now()}, *s_.key);
    const auto answer = transport_.post_file(keys->known()->api + "/redemptions", box.body_path(*b),
                                             {"Content-Type: application/x-ndjson", "NetPay-Batch: " + token});
    read_answer(box, *b, answer);
}

void Redeemer::read_answer(Outbox& box, const Batch& b, const HttpAnswer& a) {
    if (a.status == 0) return later(b, a.error);
    const bool redirect = a.status >= 300 && a.status < 400;
    if (a.status >= 500 || a.status == 408 || a.status == 429) return later(b, detail_of(a));
    const std::string what = "batch " + b.name + " for " + b.broker;
    if (a.status == 409) return refused(what + ": the broker has this batch with another digest; " + detail_of(a));
    if (a.status != 200) return refused(what + ": " + (redirect ? "a redirect is not followed; " : "refused; ") + detail_of(a));
    const auto doc = json::Document::parse(a.body);
    if (!doc || !doc->root().is_object()) return later(b, "the answer is no JSON object");
    const auto receipt = verify(b, doc->root());
    if (!receipt) return refused(what + ": the receipt does not hold: " + receipt.error().detail);
    count(box, b, *receipt, doc->root());
    if (const auto kept = box.done(b, a.body); !kept) refused(kept.error().detail);
}

Result<Redeemed> Redeemer::verify(const Batch& b, const json::Value& answer) {
    const auto token = answer.string("receipt");
    const auto* rejected = answer.array("rejected");
    if (!token || !rejected) return {Code::malformed, "the answer has no receipt or no rejected"};
    auto* keys = keys_of(b.broker);
    auto r = verify_redeemed(*token, s_.vendor, keys->known()->keys);
    if (!r && r.error().code == Code::unknown_key && keys->fetch_now())
        r = verify_redeemed(*token, s_.vendor, keys->known()->keys);
    if (!r) return r;
    if (r->iss != b.broker) return {Code::mismatch, "it is another broker's"};
    if (r->batch != b.name || r->digest != b.digest) return {Code::mismatch, "it is another batch's"};
    if (r->accepted + r->rejected != b.claims || r->rejected != rejected->size())
        return {Code::mismatch, "its counts are not those of the batch"};
    return r;
}

// What the vendor may want to know of a coin of which the broker says that it
// did not hold it.
std::string Redeemer::standing_of(const std::string& coin) {
    const auto tag = b64u_decode_array<16>(coin);
    const auto e = tag ? till_.find(*tag) : std::nullopt;
    if (!e) return "unknown";
    switch (e->standing) {
        case till::Standing::handed_over: return "handed over";
        case till::Standing::dropped: return "dropped";
        case till::Standing::held: break;
    }
    return e->coin.lease < world_.clock.now() ? "lease over" : "held";
}

void Redeemer::count(Outbox& box, const Batch& b, const Redeemed& receipt, const json::Value& answer) {
    ++report_.batches;
    report_.claims += b.claims;
    report_.units += b.units;
    report_.accepted += receipt.accepted;
    for (const auto& [cur, amount] : receipt.credited) add(report_.credited, cur, amount);
    if (receipt.rejected == 0) return;
    const auto claims = box.claims(b);
    for (const auto& r : *answer.array("rejected")) {
        Rejection out{b.name, coin_of(r), reason_of(r), 0, 0, ""};
        ++report_.rejected[out.reason];
        if (report_.rejections.size() >= Report::most_rejections) continue;
        if (out.reason == "not-held") out.standing = standing_of(out.coin);
        const auto line = r.uint("line").value_or(0);
        if (claims && line >= 1 && line <= claims->size() && (*claims)[line - 1].coin == out.coin) {
            out.from = (*claims)[line - 1].from;
            out.to = (*claims)[line - 1].to;
        }
        report_.rejections.push_back(std::move(out));
    }
}

}  // namespace netpay::redeem
