#include "wallet/cli/command.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include <getopt.h>
#include <unistd.h>

#include "config.h"
#include "core/base64url.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec network_specs[] = {
    {"proxy", 'x', "URL", "go through this proxy (also: http_proxy, https_proxy, all_proxy, no_proxy)"},
    {"cacert", 0, "FILE", "trust the certificate authorities in FILE instead of the system's"},
    {"insecure", 'k', nullptr, "do not check TLS certificates; of loopback hosts only"},
    {"connect-timeout", 0, "SECONDS", "give up connecting after this time (default 30)"},
    {"max-time", 'm', "SECONDS", "give up everything after this time (default: none for get, 60 otherwise)"},
};

}  // namespace

std::span<const OptionSpec> network_options() { return network_specs; }

std::optional<std::string> Args::get(const std::string& name) const {
    const auto i = options_.find(name);
    if (i == options_.end() || i->second.empty()) return std::nullopt;
    return i->second.back();
}

std::vector<std::string> Args::all(const std::string& name) const {
    const auto i = options_.find(name);
    return i == options_.end() ? std::vector<std::string>{} : i->second;
}

namespace {

// Whether the word after this one is its value.
bool takes_value(std::string_view word, std::span<const OptionSpec> options) {
    return std::any_of(options.begin(), options.end(), [&](const OptionSpec& o) {
        return o.argument && (word == std::string("--") + o.name || (o.letter && word == std::string("-") + o.letter));
    });
}

// A coin's name may begin with a hyphen, and is no option all the same. Such
// words come last, after the mark that ends the options.
std::vector<char*> coins_last(int argc, char** argv, std::span<const OptionSpec> options) {
    static char end_of_options[] = "--";
    std::vector<char*> words, coins;
    int i = 0;
    for (; i < argc && std::string_view(argv[i]) != end_of_options; ++i) {
        const std::string_view w = argv[i];
        const bool coin = w.starts_with('-') && b64u_decode_array<16>(w) && !takes_value(argv[i - 1], options);
        (coin ? coins : words).push_back(argv[i]);
    }
    if (coins.empty() && i == argc) return words;
    words.push_back(end_of_options);
    words.insert(words.end(), coins.begin(), coins.end());
    words.insert(words.end(), argv + std::min(i + 1, argc), argv + argc);
    return words;
}

}  // namespace

Outcome<Args> parse(int argc, char** argv, std::span<const OptionSpec> options) {
    auto words = coins_last(argc, argv, options);
    argc = static_cast<int>(words.size());
    words.push_back(nullptr);
    argv = words.data();
    std::string letters = ":";
    std::vector<option> longs;
    constexpr int first_code = 256;
    for (std::size_t i = 0; i < options.size(); ++i) {
        const auto& o = options[i];
        longs.push_back({o.name, o.argument ? required_argument : no_argument, nullptr, first_code + static_cast<int>(i)});
        if (o.letter) letters.append(1, o.letter).append(o.argument ? ":" : "");
    }
    longs.push_back({nullptr, 0, nullptr, 0});
    Args out;
    optind = 0;
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, letters.c_str(), longs.data(), nullptr)) != -1;) {
        if (code == ':') return usage(printable(argv[optind - 1]) + " needs a value");
        if (code == '?') return usage("unknown option " + printable(argv[optind - 1]));
        for (std::size_t i = 0; i < options.size(); ++i)
            if (code == first_code + static_cast<int>(i) || (options[i].letter && code == options[i].letter))
                out.options_[options[i].name].emplace_back(optarg ? optarg : "");
    }
    out.rest_.assign(argv + optind, argv + argc);
    return out;
}

Outcome<Done> Context::open() {
    auto store = Store::open(wallet::store_directory(store_directory));
    if (!store) return store.failure();
    store_ = std::move(*store);
    purse_ = std::make_unique<Purse>(*store_, clock(), this_process());
    return Done{};
}

Outcome<Done> Context::go_online(const Args& a) {
    const auto connect = seconds(a, "connect-timeout", 30);
    if (!connect) return connect.failure();
    const auto most = seconds(a, "max-time", 0);
    if (!most) return most.failure();
    max_time_s_ = *most;
    TransportOptions o;
    o.proxy = a.get("proxy").value_or("");
    o.ca_file = a.get("cacert").value_or("");
    o.insecure = a.has("insecure");
    o.connect_timeout_ms = *connect * 1000;
    o.user_agent = "netpay/" + version();
    if (!o.ca_file.empty() && access(o.ca_file.c_str(), R_OK) != 0) return usage("--cacert: cannot read " + o.ca_file);
    transport_ = curl_transport(o);
    broker_ = std::make_unique<BrokerApi>(*transport_, clock(), system_random(), (*most ? *most : 60) * 1000);
    shop_ = std::make_unique<Shop>(*store_, *broker_, clock(), system_random());
    return Done{};
}

void Context::say(const std::string& line) const {
    if (!json) std::printf("%s\n", line.c_str());
}

void Context::print(const json::Object& o) const {
    if (json) std::printf("%s\n", o.jcs().c_str());
}

std::string version() { return PACKAGE_VERSION; }

Failure usage(const std::string& message) { return {Exit::usage, message}; }

Outcome<Done> expect_words(const Args& a, std::size_t least, std::size_t most) {
    if (a.rest().size() < least) return usage("something is missing");
    if (a.rest().size() > most) return usage("'" + printable(a.rest()[most]) + "' is too much");
    return Done{};
}

json::Object money_json(const Money& m) {
    return json::Object().set("amount", m.amount.micro()).set("currency", m.currency.str()).set("text", pretty(m));
}

json::Object coin_json(const Coin& c) {
    const auto units = [&](std::uint64_t n) { return Money{c.unit.times(n).value_or(Amount{}), c.currency}; };
    return json::Object()
        .set("coin", c.coin)
        .set("broker", c.issuer)
        .set("currency", c.currency.str())
        .set("unit", c.unit.micro())
        .set("n", std::uint64_t{c.n})
        .set("spent", std::uint64_t{c.spent})
        .set("value", money_json(units(c.n)))
        .set("left", money_json(units(c.left())))
        .set("state", name_of(c.state))
        .set("expires", static_cast<std::uint64_t>(c.expires))
        .set("holder", c.holder)
        .set("restored", c.restored)
        .set("disputed", c.claimed > 0);
}

Outcome<Secret> read_stdin(std::size_t most) {
    std::string text;
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
        text.append(buffer, n);
        if (text.size() > most) return usage("standard input is longer than " + std::to_string(most) + " bytes");
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    Secret out(text);
    cleanse(text.data(), text.size());
    cleanse(buffer, sizeof buffer);
    return out;
}

Outcome<std::int64_t> seconds(const Args& a, const std::string& option, std::int64_t standard) {
    const auto text = a.get(option);
    if (!text) return standard;
    std::int64_t value = 0;
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (ec != std::errc{} || end != text->data() + text->size() || value < 1 || value > 86400)
        return usage("--" + option + ": seconds, 1 to 86400, are needed");
    return value;
}

}  // namespace netpay::wallet::cli
