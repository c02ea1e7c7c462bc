// Judges the evidence of a coin without its broker. Needs no wallet.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/evidence.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"keys", 'K', "FILE", "the broker's keys, a JWK set as its jwks_uri gives it; default: those the evidence brings along"},
};

Outcome<std::string> read_file(const std::string& file, std::size_t most) {
    std::FILE* in = std::fopen(file.c_str(), "re");
    if (!in) return usage(file + ": " + std::strerror(errno));
    std::string text;
    char buffer[65536];
    for (std::size_t n; text.size() <= most && (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) text.append(buffer, n);
    const bool failed = std::ferror(in) != 0;
    std::fclose(in);
    if (failed) return usage(file + " cannot be read");
    if (text.size() > most) return usage(file + " is too long");
    return text;
}

Outcome<std::string> read_evidence(const std::string& file) {
    if (file != "-") return read_file(file, limits::evidence_bytes);
    const auto in = read_stdin(limits::evidence_bytes);
    if (!in) return in.failure();
    return std::string(in->expose());
}

Outcome<KeySet> keys_for(const Args& a, const evidence::Document& d) {
    const auto file = a.get("keys");
    if (!file) return d.keys;
    const auto text = read_file(*file, 1u << 20);
    if (!text) return text.failure();
    const auto keys = KeySet::parse(*text);
    if (!keys) return usage(*file + ": " + keys.error().detail);
    if (keys->empty()) return usage(*file + " holds no Ed25519 key");
    return *keys;
}

json::Object as_json(const evidence::Document& d, const evidence::Judgement& j, bool given) {
    std::vector<json::Object> proven, faults;
    for (const auto& p : j.proofs)
        proven.push_back(json::Object().set("kind", evidence::name_of(p.kind)).set("vendor", p.vendor).set("epoch", p.epoch).set("sentence", p.sentence));
    for (const auto& f : j.faults)
        faults.push_back(json::Object().set("code", f.code).set("sentence", f.sentence).set("culprit", f.culprit));
    return json::Object()
        .set("holds", j.holds())
        .set("keys", given ? "given" : "own")
        .set("broker", d.broker)
        .set("coin", d.coin)
        .set("story", j.story)
        .set("proven", proven)
        .set("faults", faults)
        .set("signatures", j.signatures)
        .set("hashes", j.hashes);
}

void tell(const Context& c, const evidence::Document& d, const evidence::Judgement& j, bool given) {
    c.say("Coin " + printable(d.coin) + " of " + printable(d.broker));
    for (const auto& s : j.story) c.say(printable(s, 1000));
    for (const auto& p : j.proofs) c.say("Proven: " + printable(p.sentence, 1000));
    for (const auto& f : j.faults) c.say("Wrong: " + printable(f.sentence, 1000) + (f.culprit.empty() ? "" : " (" + printable(f.culprit) + ")"));
    c.say(std::to_string(j.signatures) + " signatures and " + std::to_string(j.hashes) + " hashes checked by " +
          (given ? "the keys given." : "the keys that the evidence brings along: whoever wrote it may have made them. "
                                       "Give the broker's own with --keys."));
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto text = read_evidence(a.rest()[0]);
    if (!text) return text.failure();
    const auto d = evidence::parse(*text);
    if (!d) return Failure{Exit::evidence, "this is no evidence: " + d.error().detail};
    const auto keys = keys_for(a, *d);
    if (!keys) return keys.failure();
    const bool given = a.has("keys");
    const auto j = evidence::judge(*d, *keys);
    c.print(as_json(*d, j, given));
    tell(c, *d, j, given);
    if (!j.holds())
        return Failure{Exit::evidence, "the evidence does not hold: " + std::to_string(j.faults.size()) +
                                           (j.faults.size() == 1 ? " fault" : " faults")};
    return Done{};
}

}  // namespace

const Command verify_evidence_command = {
    "verify-evidence", "verify-evidence [--keys FILE] EVIDENCE | verify-evidence -",
    "Check a coin's chain of custody as its broker wrote it down",
    "EVIDENCE is what 'netpay-brokerd evidence COIN' printed. Every signature is verified, every payword\n"
    "hashed down to the coin's root, and what vendors are accused of is proven again from what they signed.\n"
    "Needs neither a wallet nor the network.",
    options, false, run, false};

}  // namespace netpay::wallet::cli
