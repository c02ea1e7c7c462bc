#include "audit/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace netpay::audit {
namespace {

[[noreturn]] void fail(sqlite3* db) { throw Unreadable(std::string("the store cannot be read: ") + sqlite3_errmsg(db)); }

// A path as a URI: everything that could mean something in one is encoded.
std::string uri(const std::string& path, const char* query) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out = "file:";
    for (const char ch : path) {
        const auto c = static_cast<unsigned char>(ch);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::strchr("/._-~", ch) != nullptr;
        if (plain) out += ch;
        else out.append("%").append(1, hex[c >> 4]).append(1, hex[c & 15]);
    }
    return out + query;
}

}  // namespace

Database::Stamp Database::stamp(const std::string& path) {
    struct stat s {};
    Stamp out;
    if (stat(path.c_str(), &s) != 0) return out;
    out.size = s.st_size;
    out.seconds = s.st_mtim.tv_sec;
    out.nanoseconds = s.st_mtim.tv_nsec;
    out.wal = stat((path + "-wal").c_str(), &s) == 0;
    return out;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
    std::unique_ptr<Database> d(new Database);
    d->path_ = path;
    d->opened_ = stamp(path);
    if (d->opened_.size < 0) return {Code::malformed, "store " + path + ": " + std::strerror(errno)};
    d->unlocked_ = !d->opened_.wal;
    const auto name = uri(path, d->unlocked_ ? "?mode=ro&immutable=1" : "?mode=ro");
    const auto error = [&] { return Error{Code::malformed, "store " + path + ": " + sqlite3_errmsg(d->db_)}; };
    if (sqlite3_open_v2(name.c_str(), &d->db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
        return error();
    sqlite3_busy_timeout(d->db_, 15000);
    // The first read takes the snapshot that the transaction keeps.
    for (const char* sql : {"PRAGMA cell_size_check = ON", "BEGIN", "SELECT COUNT(*) FROM sqlite_master"})
        if (sqlite3_exec(d->db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return error();
    return d;
}

Database::~Database() { sqlite3_close(db_); }

bool Database::unchanged() const { return !unlocked_ || stamp(path_) == opened_; }

Statement Database::prepare(std::string_view sql) {
    sqlite3_stmt* st = nullptr;
    if (sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &st, nullptr) != SQLITE_OK) fail(db_);
    return {db_, st};
}

std::int64_t Database::number(std::string_view sql) {
    auto st = prepare(sql);
    return st.step() ? st.number(0) : 0;
}

Statement::Statement(Statement&& o) noexcept : db_(o.db_), st_(std::exchange(o.st_, nullptr)) {}
Statement::~Statement() { sqlite3_finalize(st_); }

void Statement::reset() { sqlite3_reset(st_); }
void Statement::bind(int at, std::int64_t value) {
    if (sqlite3_bind_int64(st_, at, value) != SQLITE_OK) fail(db_);
}
void Statement::bind(int at, std::string_view value) {
    if (sqlite3_bind_text(st_, at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT) != SQLITE_OK) fail(db_);
}

bool Statement::step() {
    const int code = sqlite3_step(st_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) fail(db_);
    return false;
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(st_, column); }

std::string_view Statement::view(int column) const {
    const auto* text = sqlite3_column_text(st_, column);
    if (!text) return {};
    return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(st_, column))};
}

}  // namespace netpay::audit
