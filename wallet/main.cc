// netpay, the e-wallet: finds the command, prints help, and turns a failure
// into a message and an exit status.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include <curl/curl.h>

#include "wallet/cli/command.h"

using namespace netpay::wallet;
using namespace netpay::wallet::cli;

namespace {

constexpr OptionSpec global_options[] = {
    {"store", 'S', "DIR", "the wallet's directory (also: NETPAY_STORE; default $XDG_DATA_HOME/netpay)"},
    {"json", 'j', nullptr, "answer as one JSON object"},
    {"help", 'h', nullptr, "show this help"},
    {"version", 'V', nullptr, "show the version"},
};

constexpr const char* exit_text =
    "Exit status: 0 done, 1 output failed, 2 wrong usage, 3 network, 4 HTTP error, 5 price not accepted,\n"
    "6 not enough money, 7 the site counts more than you accepted, 8 broker, 9 store, 10 payment refused,\n"
    "11 evidence that does not hold.\n";

void print_options(std::span<const OptionSpec> options) {
    for (const auto& o : options) {
        std::string left = o.letter ? std::string("-") + o.letter + ", " : "    ";
        left += std::string("--") + o.name + (o.argument ? std::string(" ") + o.argument : "");
        std::printf("  %-28s %s\n", left.c_str(), o.help);
    }
}

void print_overview() {
    std::printf("Usage: netpay [--store DIR] [--json] COMMAND …\n\nAn e-wallet: buys coins from a broker and pays web pages with them.\n\n");
    for (const auto& c : commands()) std::printf("  %-16s %s\n", c.name, c.summary);
    std::printf("\nOptions of every command:\n");
    print_options(global_options);
    std::printf("\n'netpay COMMAND --help' says more; so does netpay(1).\n%s", exit_text);
}

void print_help(const Command& c) {
    std::printf("Usage: netpay %s\n\n%s.\n", c.synopsis, c.summary);
    if (*c.text) std::printf("\n%s\n", c.text);
    std::printf("\nOptions:\n");
    print_options(c.options);
    if (c.network) print_options(network_options());
    print_options(global_options);
    std::printf("\n%s", exit_text);
}

int report(const Failure& f, bool json) {
    if (json)
        std::fprintf(stderr, "%s\n",
                     netpay::json::Object().set("error", f.message).set("exit", static_cast<std::uint64_t>(f.exit)).jcs().c_str());
    else
        std::fprintf(stderr, "netpay: %s\n", f.message.c_str());
    return static_cast<int>(f.exit);
}

const Command* find(std::string_view name) {
    for (const auto& c : commands())
        if (name == c.name) return &c;
    return nullptr;
}

// Options before the command: those of every command. Returns the command's place.
netpay::wallet::Outcome<int> before_command(int argc, char** argv, Context& context, bool& done) {
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; ++i) {
        const std::string_view a = argv[i];
        if (a == "--json" || a == "-j") context.json = true;
        else if ((a == "--store" || a == "-S") && i + 1 < argc) context.store_directory = argv[++i];
        else if (a.substr(0, 8) == "--store=") context.store_directory = a.substr(8);
        else if (a == "--help" || a == "-h") return print_overview(), done = true, i;
        else if (a == "--version" || a == "-V") return std::printf("netpay %s\n", version().c_str()), done = true, i;
        else return usage("unknown option " + printable(a) + "; see: netpay --help");
    }
    return i;
}

int run(int argc, char** argv) {
    Context context;
    bool done = false;
    const auto at = before_command(argc, argv, context, done);
    if (!at) return report(at.failure(), context.json);
    if (done) return 0;
    if (*at >= argc) {
        print_overview();
        return static_cast<int>(Exit::usage);
    }
    std::string_view name = argv[*at];
    if (name == "help") {
        const Command* c = *at + 1 < argc ? find(argv[*at + 1]) : nullptr;
        c ? print_help(*c) : print_overview();
        return 0;
    }
    const Command* command = find(name);
    if (!command) return report(usage("there is no command '" + printable(name) + "'; see: netpay --help"), context.json);
    std::vector<OptionSpec> options(command->options.begin(), command->options.end());
    if (command->network) options.insert(options.end(), network_options().begin(), network_options().end());
    options.insert(options.end(), std::begin(global_options), std::end(global_options));
    const auto args = parse(argc - *at, argv + *at, options);
    if (!args) return report({Exit::usage, args.failure().message + "; see: netpay " + command->name + " --help"}, context.json);
    if (args->has("help")) return print_help(*command), 0;
    if (args->has("version")) return std::printf("netpay %s\n", version().c_str()), 0;
    if (args->has("json")) context.json = true;
    if (const auto dir = args->get("store")) context.store_directory = *dir;
    if (command->store)
        if (const auto opened = context.open(); !opened) return report(opened.failure(), context.json);
    if (command->network)
        if (const auto online = context.go_online(*args); !online) return report(online.failure(), context.json);
    const auto result = command->run(context, *args);
    if (!result) return report(result.failure(), context.json);
    if (std::fflush(stdout) != 0) return report({Exit::other, "standard output could not be written"}, context.json);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return report({Exit::other, "libcurl could not be started"}, false);
    try {
        const int status = run(argc, argv);
        curl_global_cleanup();
        return status;
    } catch (const std::exception& e) {
        return report({Exit::other, std::string("out of memory or worse: ") + e.what()}, false);
    }
}
