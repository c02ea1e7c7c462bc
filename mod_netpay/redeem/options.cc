#include "mod_netpay/redeem/options.h"

#include <boost/program_options.hpp>
#include <fstream>
#include <sstream>

namespace netpay::redeem {
namespace po = boost::program_options;
namespace {

po::options_description settings(CommandLine& c) {
    po::options_description d("Settings (also in the configuration file, as name=value)");
    d.add_options()
        ("till", po::value(&c.till)->value_name("DIR"), "the till's directory, as NetPayTill names it")
        ("key", po::value(&c.key)->value_name("FILE"), "the vendor's private key, PEM, as NetPayVendorKey names it")
        ("vendor", po::value(&c.vendor)->value_name("ORIGIN"), "the vendor's origin; default: DIR/vendor.json")
        ("broker", po::value(&c.brokers)->value_name("ISSUER"), "a broker to redeem at, repeatable; default: DIR/vendor.json")
        ("broker-keys", po::value(&c.broker_keys)->value_name("FILE"), "the broker's JWK set, pinned; with one broker only")
        ("ca", po::value(&c.ca)->value_name("FILE"), "certificate authorities for https brokers; default: the system's")
        ("max-claims", po::value<std::string>()->value_name("N"), "claims in one batch, 1 to 4000; default 4000")
        ("min-units", po::value<std::string>()->value_name("N"), "coins with fewer unclaimed units wait until their lease is over; default 1")
        ("timeout", po::value<std::string>()->value_name("S"), "seconds for one call to a broker, 1 to 3600; default 60")
        ("json", po::bool_switch(&c.json), "print the summary as one JSON object")
        ("dry-run", po::bool_switch(&c.dry_run), "say what would be claimed; write and send nothing");
    return d;
}

po::options_description general(CommandLine& c, std::string& config) {
    po::options_description d("General");
    d.add_options()
        ("config", po::value(&config)->value_name("FILE"), "configuration file; the command line goes before it")
        ("help,h", po::bool_switch(&c.help), "print this and exit")
        ("version", po::bool_switch(&c.version), "print the version and exit");
    return d;
}

Result<bool> number(const po::variables_map& v, const char* name, std::uint32_t least, std::uint32_t most,
                    std::uint32_t& out) {
    if (!v.count(name)) return true;
    const auto& text = v[name].as<std::string>();
    const bool digits = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
    const auto n = digits ? static_cast<std::uint32_t>(std::stoul(text)) : 0;
    if (!digits || n < least || n > most)
        return {Code::malformed, std::string(name) + " is \"" + text + "\"; it takes a number from " +
                                     std::to_string(least) + " to " + std::to_string(most)};
    out = n;
    return true;
}

}  // namespace

std::string usage() {
    CommandLine c;
    std::string config;
    std::ostringstream out;
    out << "usage: netpay-redeem --till DIR --key FILE [options]\n"
           "Redeems at the broker what a vendor's till has sold. See netpay-redeem(1).\n\n"
        << settings(c) << "\n"
        << general(c, config)
        << "\nExit codes: 0 done, 1 some claims were rejected, 2 wrong usage or configuration,\n"
           "3 temporary trouble (run it again), 4 refused or damaged (see the messages).\n";
    return out.str();
}

// Boost.Program_options reports by exceptions; they end here.
Result<CommandLine> read_command_line(int argc, const char* const* argv) try {
    CommandLine c;
    std::string config;
    po::options_description all;
    all.add(settings(c)).add(general(c, config));
    po::variables_map v;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(all).positional(none)
                  .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing).run(), v);
    if (v.count("config")) {
        const auto path = v["config"].as<std::string>();
        std::ifstream in(path);
        if (!in) return {Code::malformed, path + ": cannot be read"};
        try {
            po::store(po::parse_config_file(in, settings(c)), v);
        } catch (const po::error& e) {
            return {Code::malformed, path + ": " + e.what()};
        }
    }
    po::notify(v);
    for (const auto& r : {number(v, "max-claims", 1, most_claims, c.max_claims),
                          number(v, "min-units", 1, 1u << 20, c.min_units), number(v, "timeout", 1, 3600, c.timeout_s)})
        if (!r) return r.error();
    if (c.help || c.version) return c;
    if (c.till.empty()) return {Code::malformed, "--till DIR is missing"};
    if (c.key.empty() && !c.dry_run) return {Code::malformed, "--key FILE is missing"};
    return c;
} catch (const po::error& e) {
    return {Code::malformed, e.what()};
}

}  // namespace netpay::redeem
