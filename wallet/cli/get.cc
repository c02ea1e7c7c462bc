#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/origin.h"
#include "wallet/cli/command.h"
#include "wallet/cli/owner.h"
#include "wallet/client.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"output", 'o', "FILE", "write the page to FILE, whole or not at all ('-': standard output)"},
    {"remote-name", 'O', nullptr, "write it to a file named like the last part of the URL"},
    {"include", 'i', nullptr, "show the answer's headers before the page"},
    {"head", 'I', nullptr, "ask for the headers only: shows the price, never pays"},
    {"request", 'X', "METHOD", "use this method"},
    {"data", 'd', "DATA", "send DATA as the body, by POST; @FILE: from a file, @-: from standard input"},
    {"header", 'H', "LINE", "send this header, 'Name: value' (may be repeated)"},
    {"max-price", 'p', "AMOUNT", "pay up to this much, like 0.05 or '0.05 EUR', without asking"},
    {"yes", 'y', nullptr, "do not ask; pays what the site asks, up to 1.00"},
    {"pay-redirects", 0, nullptr, "--max-price and --yes also hold for sites that a redirect leads to"},
    {"no-redirects", 0, nullptr, "do not follow redirects"},
    {"quiet", 'q', nullptr, "do not say what was paid"},
};

constexpr std::size_t most_body_bytes = 64u << 20;

// Headers go to standard output only when asked for; the page goes to
// standard output or into a file that appears when it is whole.
class Output : public PageSink {
public:
    Output(std::string file, bool show_head) : file_(std::move(file)), show_head_(show_head) {}
    ~Output() override {
        if (out_ && out_ != stdout) {
            std::fclose(out_);
            if (!temporary_.empty()) unlink(temporary_.c_str());
        }
    }
    bool begin(const HttpHead& h) override {
        if (show_head_) print_head(h);
        const bool failed = h.status >= 400;
        if (file_.empty() || file_ == "-") out_ = stdout;
        else if (!failed) return open_file();
        return true;
    }
    bool data(std::string_view bytes) override {
        return !out_ || std::fwrite(bytes.data(), 1, bytes.size(), out_) == bytes.size();
    }
    // The page is whole: the file gets its name.
    Outcome<Done> finish() {
        if (!out_ || out_ == stdout) {
            if (std::fflush(stdout) != 0) return Failure{Exit::other, "standard output could not be written"};
            return Done{};
        }
        const bool good = std::fclose(std::exchange(out_, nullptr)) == 0;
        if (good && (temporary_.empty() || std::rename(temporary_.c_str(), file_.c_str()) == 0)) return Done{};
        if (!temporary_.empty()) unlink(temporary_.c_str());
        return Failure{Exit::other, file_ + ": " + std::strerror(errno)};
    }
    const std::string& trouble() const { return trouble_; }

private:
    static void print_head(const HttpHead& h) {
        std::printf("HTTP %d\r\n", h.status);
        for (const auto& [name, value] : h.headers)
            std::printf("%s: %s\r\n", printable(name, 200).c_str(), printable(value, 16384).c_str());
        std::printf("\r\n");
    }
    bool open_file() {
        struct stat st {};
        const bool special = stat(file_.c_str(), &st) == 0 && !S_ISREG(st.st_mode);
        if (special) {
            out_ = std::fopen(file_.c_str(), "we");
        } else {
            temporary_ = file_ + ".part-" + std::to_string(getpid());
            const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
            out_ = fd < 0 ? nullptr : fdopen(fd, "w");
        }
        if (!out_) {
            trouble_ = file_ + ": " + std::strerror(errno);
            temporary_.clear();
        }
        return out_ != nullptr;
    }

    std::string file_, temporary_, trouble_;
    bool show_head_;
    std::FILE* out_ = nullptr;
};

Outcome<std::string> body_of(const std::string& data) {
    if (data.empty() || data[0] != '@') return data;
    std::FILE* in = data == "@-" ? stdin : std::fopen(data.c_str() + 1, "re");
    if (!in) return Failure{Exit::other, data.substr(1) + ": " + std::strerror(errno)};
    std::string text;
    char buffer[65536];
    for (std::size_t n; text.size() <= most_body_bytes && (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) text.append(buffer, n);
    if (in != stdin) std::fclose(in);
    if (text.size() > most_body_bytes) return usage("--data: more than 64 MiB");
    return text;
}

Outcome<Done> add_headers(const Args& a, PageRequest& r) {
    for (const auto& line : a.all("header")) {
        const auto colon = line.find(':');
        if (colon == std::string::npos || colon == 0 || line.find_first_of("\r\n") != std::string::npos)
            return usage("--header: 'Name: value' is needed");
        const auto value = line.find_first_not_of(" \t", colon + 1);
        r.headers.emplace_back(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
    }
    return Done{};
}

Outcome<PageRequest> request_of(Context& c, const Args& a) {
    PageRequest r;
    const auto url = normal_url(a.rest()[0]);
    if (!url) return usage("'" + printable(a.rest()[0]) + "' is not a web address like https://news.example/page");
    r.url = *url;
    r.max_time_s = c.max_time_s();
    r.follow = !a.has("no-redirects");
    if (const auto done = add_headers(a, r); !done) return done.failure();
    if (const auto data = a.get("data")) {
        auto body = body_of(*data);
        if (!body) return body.failure();
        r.body = std::move(*body);
        r.method = "POST";
        bool typed = false;
        for (const auto& h : r.headers) typed = typed || strcasecmp(h.first.c_str(), "content-type") == 0;
        if (!typed) r.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    }
    if (const auto method = a.get("request")) {
        r.method = *method;
        for (const char ch : *method)
            if (ch < 'A' || ch > 'Z') return usage("--request: a method in capital letters");
        if (method->empty()) return usage("--request: a method in capital letters");
    }
    if (a.has("head")) r.method = "HEAD";
    return r;
}

Outcome<std::string> file_of(const Args& a, const std::string& url) {
    if (!a.has("remote-name")) return a.get("output").value_or("");
    const std::string path = path_of(url);
    const std::string name = path.substr(path.rfind('/') + 1);
    if (name.empty() || name[0] == '.' || printable(name) != name) return usage("the URL ends in no name for a file; use -o FILE");
    return name;
}

Outcome<StandingOrders> orders_of(const Args& a, const std::string& url) {
    StandingOrders o;
    o.yes = a.has("yes");
    o.redirects_too = a.has("pay-redirects");
    o.site = origin_of(url);
    if (const auto text = a.get("max-price")) {
        const auto money = parse_money(*text, *Currency::parse("uusd"));
        if (!money) return usage("--max-price: " + money.error().detail);
        o.max_price = *money;
    }
    return o;
}

json::Object page_json(const Page& p, const std::string& file) {
    json::Object o;
    o.set("url", p.url).set("status", static_cast<std::uint64_t>(p.status)).set("requests", static_cast<std::uint64_t>(p.requests));
    if (!file.empty()) o.set("file", file);
    if (p.paid) {
        o.set("paid", money_json(*p.paid)).set("coin", p.coin).set("ticket", std::uint64_t{p.ticket});
        o.set("coin_left", money_json({p.coin_left, p.paid->currency}));
    }
    if (p.asked) o.set("price", money_json(p.asked->price)).set("intent", p.asked->intent);
    return o;
}

void tell(const Page& p, bool quiet) {
    if (quiet) return;
    if (p.asked) std::fprintf(stderr, "costs %s (%s)\n", pretty(p.asked->price).c_str(), p.asked->intent.c_str());
    if (!p.paid) return;
    if (p.paid->amount.micro() == 0)
        std::fprintf(stderr, "read again free: %s; coin balance %s\n", printable(p.url, 2000).c_str(),
                     p.coin_left.pretty(p.paid->currency).c_str());
    else
        std::fprintf(stderr, "paid %s to %s; coin balance %s\n", pretty(*p.paid).c_str(), printable(p.url, 2000).c_str(),
                     p.coin_left.pretty(p.paid->currency).c_str());
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto request = request_of(c, a);
    if (!request) return request.failure();
    const auto file = file_of(a, request->url);
    if (!file) return file.failure();
    const auto orders = orders_of(a, request->url);
    if (!orders) return orders.failure();
    StandingOwner owner(c.store(), *orders);
    Output output(*file, a.has("include") || a.has("head"));
    Client client(c.transport(), c.store(), c.purse(), owner, c.clock());
    const auto page = client.get(*request, output);
    if (!page) return output.trouble().empty() ? page.failure() : Failure{Exit::other, output.trouble()};
    if (const auto done = output.finish(); !done) return done;
    if (!c.json) tell(*page, a.has("quiet"));
    // The page has standard output, unless a file was named.
    const std::string line = page_json(*page, *file).jcs();
    if (c.json) std::fprintf(file->empty() || *file == "-" ? stderr : stdout, "%s\n", line.c_str());
    if (page->asked) return Done{};
    if (page->status >= 400)
        return Failure{Exit::http_error, printable(page->url, 2000) + ": HTTP " + std::to_string(page->status) +
                                             (file->empty() || *file == "-" ? "" : "; " + *file + " was not written")};
    return Done{};
}

}  // namespace

const Command get_command = {
    "get", "get [OPTIONS] URL", "Fetch a page, paying for it within what you allow",
    "The page goes to standard output or into a file; what was paid is said on standard\n"
    "error. A price is accepted by --max-price, by --yes, by a budget's auto limit\n"
    "(netpay budget), or by you on the terminal; where nobody can be asked, nothing is\n"
    "paid. A page paid by GET comes free again for a few minutes.",
    options, true, run};

}  // namespace netpay::wallet::cli
