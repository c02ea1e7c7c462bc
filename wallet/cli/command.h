// The frame of the commands: a table of options that makes both the parser
// (getopt_long) and the help, and what every command has at hand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "wallet/broker_api.h"
#include "wallet/env.h"
#include "wallet/failure.h"
#include "wallet/http.h"
#include "wallet/purse.h"
#include "wallet/shop.h"
#include "wallet/store.h"
#include "wallet/text.h"

namespace netpay::wallet::cli {

struct OptionSpec {
    const char* name;      // long form
    char letter;           // 0: none
    const char* argument;  // its name in the help; nullptr: a flag
    const char* help;
};

class Args {
public:
    bool has(const std::string& name) const { return options_.contains(name); }
    // The last value given.
    std::optional<std::string> get(const std::string& name) const;
    std::vector<std::string> all(const std::string& name) const;
    const std::vector<std::string>& rest() const { return rest_; }

private:
    friend Outcome<Args> parse(int argc, char** argv, std::span<const OptionSpec> options);
    std::map<std::string, std::vector<std::string>> options_;
    std::vector<std::string> rest_;
};

// argv[0] is the command's name.
Outcome<Args> parse(int argc, char** argv, std::span<const OptionSpec> options);

class Context;

struct Command {
    const char* name;
    const char* synopsis;  // without "netpay"
    const char* summary;   // one line
    const char* text;      // more of the help; may be ""
    std::span<const OptionSpec> options;
    bool network;          // the options of every command that goes out are its, too
    Outcome<Done> (*run)(Context&, const Args&);
    bool store = true;     // false: it needs no wallet, and none is made
};

// Every command, in the order of the help.
std::span<const Command> commands();
// The options of commands with `network`: proxy, trust, time-outs.
std::span<const OptionSpec> network_options();

class Context {
public:
    std::string store_directory;
    bool json = false;

    Outcome<Done> open();                 // the store
    Outcome<Done> go_online(const Args& a);  // transport by the network options
    Store& store() { return *store_; }
    Purse& purse() { return *purse_; }
    Transport& transport() { return *transport_; }
    BrokerApi& broker() { return *broker_; }
    Shop& shop() { return *shop_; }
    Clock& clock() { return system_clock(); }
    std::int64_t max_time_s() const { return max_time_s_; }

    // Prints one line, or in JSON mode the object, on stdout.
    void say(const std::string& line) const;
    void print(const json::Object& o) const;

private:
    std::unique_ptr<Store> store_;
    std::unique_ptr<Purse> purse_;
    std::unique_ptr<Transport> transport_;
    std::unique_ptr<BrokerApi> broker_;
    std::unique_ptr<Shop> shop_;
    std::int64_t max_time_s_ = 0;
};

std::string version();
Failure usage(const std::string& message);
// Exactly this many words after the options; otherwise a usage failure.
Outcome<Done> expect_words(const Args& a, std::size_t least, std::size_t most);
// Money as JSON: {"amount": micro, "currency": "uusd", "text": "0.02 USD"}.
json::Object money_json(const Money& m);
// A coin without its secrets.
json::Object coin_json(const Coin& c);
// Whole standard input, at most `most` bytes, without the last line feed.
Outcome<Secret> read_stdin(std::size_t most);
Outcome<std::int64_t> seconds(const Args& a, const std::string& option, std::int64_t standard);

extern const Command account_command, balance_command, budget_command, buy_command, coins_command, export_command,
    forget_command, get_command, give_back_command, history_command, import_command, prices_command, return_command, topup_command,
    vendor_command, verify_evidence_command, write_off_command;

}  // namespace netpay::wallet::cli
