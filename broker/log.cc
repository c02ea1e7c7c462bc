#include "broker/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/timestamp.h"

namespace netpay::broker {
namespace {

int open_target(const std::string& target) {
    if (target == "-") return ::dup(STDERR_FILENO);
    return ::open(target.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

}  // namespace

std::string printable(std::string_view text, std::size_t max) {
    std::string out(text.substr(0, max));
    for (auto& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
    return out;
}

Result<std::unique_ptr<Log>> Log::open(const std::string& target, const Clock& clock) {
    const int fd = open_target(target);
    if (fd < 0) return {Code::malformed, "cannot open the log " + target + ": " + std::strerror(errno)};
    return std::unique_ptr<Log>(new Log(target, fd, clock));
}

Log::Log(std::string target, int fd, const Clock& clock) : target_(std::move(target)), clock_(clock), fd_(fd) {}

Log::~Log() { ::close(fd_); }

void Log::reopen() {
    if (target_ == "-") return;
    const int fresh = open_target(target_);
    if (fresh < 0) {
        error("log-not-reopened", json::Object().set("reason", printable(std::strerror(errno))));
        return;
    }
    const std::lock_guard lock(mutex_);
    ::close(fd_);
    fd_ = fresh;
}

void Log::write(std::string_view level, std::string_view event, json::Object& fields) {
    fields.set("time", format_rfc3339(clock_.now())).set("level", level).set("event", event);
    const std::string line = fields.jcs() + "\n";
    const std::lock_guard lock(mutex_);
    // One write for one line: O_APPEND keeps lines of several processes
    // whole. A short write or an error loses this line.
    [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

void Log::info(std::string_view event, json::Object fields) { write("info", event, fields); }
void Log::warning(std::string_view event, json::Object fields) { write("warning", event, fields); }
void Log::error(std::string_view event, json::Object fields) { write("error", event, fields); }

}  // namespace netpay::broker
