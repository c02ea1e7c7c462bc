#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wallet/backup.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec export_options[] = {
    {"move", 0, nullptr, "the coins leave this wallet: they are spent from the other one only"},
    {"coin", 0, "COIN", "only this coin (may be repeated); default: all with money left"},
    {"no-accounts", 0, nullptr, "leave the accounts' tokens out"},
};

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

// A new file of mode 0600, whole and flushed under another name, which
// commit() gives its own. Never over an existing file.
class PrivateFile {
public:
    explicit PrivateFile(std::string name) : name_(std::move(name)), temporary_(name_ + ".new") {}
    Outcome<Done> write(std::string_view text) const {
        if (access(name_.c_str(), F_OK) == 0) return usage(name_ + " exists already");
        const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) return Failure{Exit::other, temporary_ + ": " + std::strerror(errno)};
        const bool good = write_all(fd, text) && fsync(fd) == 0;
        if (close(fd) == 0 && good) return Done{};
        unlink(temporary_.c_str());
        return Failure{Exit::other, temporary_ + " could not be written"};
    }
    Outcome<Done> commit() const {
        if (link(temporary_.c_str(), name_.c_str()) == 0) {
            unlink(temporary_.c_str());
            return Done{};
        }
        return Failure{Exit::other, name_ + ": " + std::strerror(errno) + "; the export is in " + temporary_};
    }

private:
    std::string name_, temporary_;
};

Outcome<Done> run_export(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const std::string file = a.rest()[0];
    if (file == "-" && isatty(STDOUT_FILENO)) return usage("an export is as good as money; it is not shown on a terminal");
    if (const auto done = c.purse().bury_the_dead(); !done) return done;
    const bool move = a.has("move");
    const auto text = make_export(c.store(), a.all("coin"), move, !a.has("no-accounts"));
    if (!text) return text.failure();
    // Written before it is marked: a kill in between leaves the coins here and a file that says "move" beside them.
    const PrivateFile out(file);
    if (file == "-") {
        if (!write_all(STDOUT_FILENO, text->text.expose())) return Failure{Exit::other, "standard output could not be written"};
    } else if (const auto done = out.write(text->text.expose()); !done) {
        return done;
    }
    if (move)
        if (const auto done = mark_moved(c.store(), text->coins); !done) return done;
    if (file != "-")
        if (const auto done = out.commit(); !done) return done;
    std::fprintf(stderr, "netpay: %zu coins %s %s. Whoever reads it has the money: keep it secret.\n", text->coins.size(),
                 move ? "moved to" : "copied to", file == "-" ? "standard output" : file.c_str());
    if (file != "-") c.print(json::Object().set("file", file).set("coins", text->coins).set("moved", move));
    return Done{};
}

constexpr OptionSpec import_options[] = {
    {"restore", 0, nullptr, "take a plain backup: the wallet it was made of is lost"},
};

Outcome<Secret> read_file(const std::string& file) {
    constexpr std::size_t most = 256u << 20;
    if (file == "-") return read_stdin(most);
    std::FILE* in = std::fopen(file.c_str(), "re");
    if (!in) return Failure{Exit::other, file + ": " + std::strerror(errno)};
    std::string text;
    char buffer[65536];
    for (std::size_t n; text.size() <= most && (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) text.append(buffer, n);
    std::fclose(in);
    Secret out(text);
    cleanse(text.data(), text.size());
    if (out.size() > most) return usage(file + " is too long for an export");
    return out;
}

Outcome<Done> run_import(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto text = read_file(a.rest()[0]);
    if (!text) return text.failure();
    const auto done = import_text(c.store(), text->expose(), a.has("restore"));
    if (!done) return done.failure();
    c.print(json::Object()
                .set("coins", std::uint64_t{done->coins})
                .set("accounts", std::uint64_t{done->accounts})
                .set("already_here", done->already_here)
                .set("backup", done->backup));
    c.say(std::to_string(done->coins) + " coins and " + std::to_string(done->accounts) + " accounts imported" +
          (done->already_here.empty() ? "" : "; " + std::to_string(done->already_here.size()) + " coins were here already"));
    if (done->backup && done->coins)
        c.say("they come from a backup: what was spent since is found out at the sites, within the prices you accept");
    return Done{};
}

}  // namespace

const Command export_command = {
    "export", "export [--move] [--coin COIN] FILE | export … -", "Write coins and accounts to a file",
    "The file holds the secrets of the coins and is as good as money; it is made with\n"
    "mode 0600. Without --move it is a backup, to be imported only if this wallet is\nlost; with --move the coins can be spent here no more.",
    export_options, false, run_export};

const Command import_command = {
    "import", "import [--restore] FILE | import -", "Take in coins and accounts of an export",
    "All of it or, after a failure, nothing. Coins that are here already stay as they are.", import_options, false, run_import};

}  // namespace netpay::wallet::cli
