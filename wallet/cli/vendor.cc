#include <cstdio>
#include <memory>

#include "core/certificate.h"
#include "core/key.h"
#include "core/origin.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"broker", 'b', "URL", "the broker, if the wallet has accounts at several"},
    {"origin", 'o', "ORIGIN", "the vendor's site, like https://news.example"},
    {"key", 0, "FILE", "its private key, PEM (NetPayVendorKey)"},
    {"handoff", 0, "URL", "where it is asked for coins (default ORIGIN/.well-known/netpay/handoff)"},
    {"print", 0, nullptr, "register: print the signed registration, to be pasted into the broker's site within a minute"},
};

constexpr std::size_t most_pem_bytes = 4096;
constexpr const char* standard_handoff = "/.well-known/netpay/handoff";

Outcome<SigningKey> read_key(const std::string& path) {
    struct Close { void operator()(std::FILE* f) const { std::fclose(f); } };
    const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
    char buffer[most_pem_bytes];
    const auto n = file ? std::fread(buffer, 1, sizeof buffer, file.get()) : 0;
    if (!file || std::ferror(file.get())) return usage("--key: cannot read " + printable(path));
    const Secret pem(std::string_view(buffer, n));
    cleanse(buffer, sizeof buffer);
    auto key = SigningKey::from_pem(pem);
    if (!key) return usage("--key: " + printable(path) + " holds no Ed25519 key; make one with: openssl genpkey -algorithm ed25519");
    return std::move(*key);
}

Outcome<std::string> origin_given(const Args& a) {
    auto origin = a.get("origin").value_or("");
    while (!origin.empty() && origin.back() == '/') origin.pop_back();
    if (!is_origin(origin)) return usage("--origin is the site's address like https://news.example, lower case, without a path");
    return origin;
}

// For an account that is the site's own, whose token no wallet has.
Outcome<Done> print_registration(Context& c, const Args& a, const Registration& r, const SigningKey& key) {
    auto broker = a.get("broker").value_or("");
    while (!broker.empty() && broker.back() == '/') broker.pop_back();
    if (!is_origin(broker)) return usage("--print needs --broker URL, the broker's address like https://broker.example");
    const auto token = c.broker().registration(broker, r, key);
    if (!token) return token.failure();
    c.print(json::Object().set("broker", broker).set("origin", r.origin).set("request", *token));
    c.say(*token);
    return Done{};
}

Outcome<Done> enrol(Context& c, const Args& a) {
    const auto origin = origin_given(a);
    if (!origin) return origin.failure();
    const auto file = a.get("key");
    if (!file) return usage("--key FILE is needed");
    const Registration r{*origin, a.get("handoff").value_or(*origin + standard_handoff)};
    if (!handoff_fits(r.handoff, r.origin)) return usage("--handoff is an https address on " + r.origin);
    const auto key = read_key(*file);
    if (!key) return key.failure();
    if (a.has("print")) return print_registration(c, a, r, *key);
    const auto account = c.store().account(a.get("broker").value_or(""));
    if (!account) return account.failure();
    const auto status = c.broker().register_vendor(*account, r, *key);
    if (!status) return status.failure();
    const auto& kid = key->kid();
    c.print(json::Object().set("broker", account->issuer).set("origin", r.origin).set("handoff", r.handoff).set("kid", kid).set(
        "status", *status));
    c.say(r.origin + " with key " + kid + " is " + *status + " at " + account->issuer);
    if (*status == "pending")
        c.say("Tell the broker's operator that key over another channel; when it is approved, get the certificate with:\n"
              "  netpay vendor certificate --origin " + r.origin);
    return Done{};
}

Outcome<Done> certificate(Context& c, const Args& a) {
    const auto origin = origin_given(a);
    if (!origin) return origin.failure();
    auto broker = a.get("broker").value_or("");
    while (!broker.empty() && broker.back() == '/') broker.pop_back();
    if (broker.empty()) {  // the only one there is an account at
        const auto account = c.store().account("");
        if (!account) return account.failure();
        broker = account->issuer;
    }
    const auto info = c.broker().discover(broker);
    if (!info) return info.failure();
    const auto token = c.broker().certificate(*info, *origin);
    if (!token) return token.failure();
    if (token->empty())
        return Failure{Exit::broker, "the broker " + printable(broker) + " has not approved " + *origin + ", or has suspended it"};
    c.print(json::Object().set("broker", broker).set("origin", *origin).set("certificate", *token));
    c.say(*token);
    return Done{};
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    if (a.rest()[0] == "register") return enrol(c, a);
    if (a.rest()[0] == "certificate") return certificate(c, a);
    return usage("vendor register or vendor certificate");
}

}  // namespace

const Command vendor_command = {
    "vendor", "vendor register --origin ORIGIN --key FILE [--print --broker URL] | vendor certificate --origin ORIGIN",
    "Register a site that sells pages, or get its certificate",
    "register asks the broker to take the site as a vendor, or a new key of one that it has. The\n"
    "broker's operator decides. certificate prints what the broker signed for it, for the file\n"
    "that NetPayVendorCertificate names.",
    options, true, run};

}  // namespace netpay::wallet::cli
