// The structured log: one JSON object a line, {"time","level","event", …}.
// Callers never pass a secret, a token, a payword, or a whole voucher or coin.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "broker/clock.h"
#include "core/json.h"
#include "core/result.h"

namespace netpay::broker {

class Log {
public:
    // target: "-" for standard error, or a file's path, made with mode 0640
    // and appended to. Errors: malformed, with the system's reason.
    static Result<std::unique_ptr<Log>> open(const std::string& target, const Clock& clock);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // One line each. Safe from several threads; a line is written whole or
    // not at all. A full disk loses lines, never a request.
    void info(std::string_view event, json::Object fields = {});
    void warning(std::string_view event, json::Object fields = {});
    void error(std::string_view event, json::Object fields = {});

    // Opens the file anew (after rotation). The old one stays in use if that fails.
    void reopen();

private:
    Log(std::string target, int fd, const Clock& clock);
    void write(std::string_view level, std::string_view event, json::Object& fields);

    const std::string target_;
    const Clock& clock_;
    std::mutex mutex_;
    int fd_;
};

// Text that is safe to put in a log line: bytes that are not printable ASCII
// are replaced by '?', and what is longer than max is cut.
std::string printable(std::string_view text, std::size_t max = 200);

}  // namespace netpay::broker
