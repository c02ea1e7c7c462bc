#include "mod_netpay/secret.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <vector>

#include "mod_netpay/text.h"

extern char** environ;

namespace netpay {
namespace {

struct Descriptor {
    int fd = -1;
    ~Descriptor() { if (fd >= 0) ::close(fd); }
};

std::string because(const std::string& what) { return what + ": " + std::strerror(errno); }

Result<bool> check_file(const std::string& path, const struct stat& st) {
    if (!S_ISREG(st.st_mode)) return {Code::malformed, path + " is not a regular file"};
    if (st.st_mode & S_IRWXO)
        return {Code::malformed, path + " is open to every user of this machine: chmod 600 it"};
    if (static_cast<std::size_t>(st.st_size) > secret_bytes) return {Code::limit, path + " is too large for a secret"};
    return true;
}

Result<Secret> finish(Bytes bytes, const std::string& from) {
    if (!bytes.empty() && bytes.back() == '\n') bytes.pop_back();
    if (bytes.empty()) return {Code::malformed, from + " gave nothing"};
    return Secret(std::move(bytes));
}

Result<Secret> read_file(const std::string& path) {
    Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat st {};
    if (file.fd < 0 || ::fstat(file.fd, &st) != 0) return {Code::malformed, because(path)};
    if (const auto good = check_file(path, st); !good) return good.error();
    Bytes bytes(secret_bytes);
    std::size_t n = 0;
    while (n < bytes.size()) {
        const auto got = ::read(file.fd, bytes.data() + n, bytes.size() - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {Code::malformed, because(path)};
        if (got == 0) break;
        n += static_cast<std::size_t>(got);
    }
    Bytes out(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    cleanse(bytes.data(), bytes.size());
    return finish(std::move(out), path);
}

std::vector<std::string> words(const std::string& line) {
    std::vector<std::string> out;
    for (const auto w : split(line, ' ')) out.emplace_back(w);
    return out;
}

// Reads until end of file, the limit or the deadline; false on the last two.
bool drain(int fd, Bytes& out, std::chrono::steady_clock::time_point deadline) {
    std::uint8_t buffer[4096];
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0 || out.size() > secret_bytes) return false;
        pollfd p{fd, POLLIN, 0};
        const int ready = ::poll(&p, 1, static_cast<int>(left.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        const auto got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0;
        out.insert(out.end(), buffer, buffer + got);
        cleanse(buffer, sizeof buffer);
    }
}

Result<Secret> run_program(const std::string& line) {
    const auto arguments = words(line);
    if (arguments.empty()) return {Code::malformed, "exec: names no program"};
    std::vector<char*> argv;
    for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {Code::malformed, because("exec: " + arguments[0])};
    Descriptor in{ends[0]};
    pid_t pid = -1;
    {
        Descriptor out{ends[1]};
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out.fd, 1);
        const int failed = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        if (failed) return {Code::malformed, "exec: " + arguments[0] + ": " + std::strerror(failed)};
    }
    Bytes bytes;
    const bool whole = drain(in.fd, bytes, std::chrono::steady_clock::now() + std::chrono::seconds(exec_timeout_s));
    if (!whole) ::kill(pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (!whole) return {Code::malformed, "exec: " + arguments[0] + " did not end in time or said too much"};
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return {Code::malformed, "exec: " + arguments[0] + " ended with an error"};
    return finish(std::move(bytes), "exec: " + arguments[0]);
}

}  // namespace

Result<SecretSource> SecretSource::parse(std::string_view argument, bool bare_path, bool bare_text) {
    SecretSource s;
    if (argument.starts_with("file:")) {
        s.kind = Kind::file;
        s.value = argument.substr(5);
    } else if (argument.starts_with("exec:")) {
        s.kind = Kind::program;
        s.value = argument.substr(5);
    } else if (bare_path) {
        s.kind = Kind::file;
        s.value = argument;
    } else if (bare_text) {
        s.kind = Kind::text;
        s.text = Secret(argument);
    } else {
        return {Code::malformed, "write file:/path or exec:/program"};
    }
    if (s.kind != Kind::text && s.value.empty()) return {Code::malformed, "a path is needed after file: or exec:"};
    return s;
}

SecretSource SecretSource::clone() const {
    SecretSource s;
    s.kind = kind;
    s.value = value;
    s.text = text.clone();
    return s;
}

Result<bool> check_secret(const SecretSource& source) {
    struct stat st {};
    if (source.kind == SecretSource::Kind::file) {
        if (::stat(source.value.c_str(), &st) != 0) return {Code::malformed, because(source.value)};
        return check_file(source.value, st);
    }
    if (source.kind == SecretSource::Kind::program) {
        const auto arguments = words(source.value);
        if (arguments.empty() || ::access(arguments[0].c_str(), X_OK) != 0)
            return {Code::malformed, "exec: " + (arguments.empty() ? std::string("names no program") : because(arguments[0]))};
    }
    return true;
}

Result<Secret> read_secret(const SecretSource& source) {
    switch (source.kind) {
        case SecretSource::Kind::file: return read_file(source.value);
        case SecretSource::Kind::program: return run_program(source.value);
        case SecretSource::Kind::text: return source.text.clone();
        case SecretSource::Kind::none: break;
    }
    return {Code::malformed, "no secret is configured"};
}

bool world_readable(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && (st.st_mode & S_IROTH);
}

}  // namespace netpay
