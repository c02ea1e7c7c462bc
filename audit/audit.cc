#include "audit/audit.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "audit/desk.h"
#include "core/base64url.h"
#include "core/json.h"
#include "core/jws.h"

namespace netpay::audit {
namespace {

// The schema this program reads (broker/store/schema.cc).
constexpr std::int64_t schema = 5;

Result<bool> check_schema(Database& db) {
    if (db.number("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'") == 0)
        return {Code::mismatch, "that is not a broker's store"};
    const auto version = db.number("SELECT MAX(version) FROM schema_version");
    if (version == schema) return true;
    return {Code::mismatch, "the store has schema version " + text(version) + " and this program reads " + text(schema) +
                                (version < schema ? ": run netpay-brokerd migrate first" : ": use the newer netpay-audit")};
}

// A broker has one issuer, which the store does not name by itself.
std::string issuer_of(Database& db) {
    for (const char* sql : {"SELECT touchstone FROM coins ORDER BY id LIMIT 16", "SELECT token FROM certificates ORDER BY id LIMIT 16"}) {
        auto st = db.prepare(sql);
        while (st.step()) {
            const auto payload = jws::peek(st.view(0));
            const auto iss = payload ? payload->root().string("iss") : std::nullopt;
            if (iss) return std::string(*iss);
        }
    }
    return {};
}

Result<Summary> examine(const Options& options, Listener& listener) {
    auto db = Database::open(options.store);
    if (!db) return db.error();
    if (const auto known = check_schema(**db); !known) return known.error();
    Summary summary;
    summary.broker = issuer_of(**db);
    Desk desk{**db, options.keys, listener, summary, options.now};
    check_file(desk);
    check_vendors(desk);
    check_coins(desk);
    check_batches(desk);
    check_ledger(desk);
    for (const auto& till : options.tills)
        if (const auto done = check_till(desk, till); !done) return done.error();
    if (!(*db)->unchanged())
        return {Code::mismatch, "somebody began to write to the store while it was read; run the audit again"};
    return summary;
}

Result<std::string> read_file(const std::string& path) {
    constexpr std::size_t most = 4u << 20;
    std::FILE* in = std::fopen(path.c_str(), "re");
    if (!in) return {Code::malformed, path + ": " + std::strerror(errno)};
    std::string out;
    char buffer[65536];
    for (std::size_t n; out.size() <= most && (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) out.append(buffer, n);
    const bool good = std::ferror(in) == 0 && out.size() <= most;
    std::fclose(in);
    if (!good) return {Code::malformed, path + " cannot be read, or is too long"};
    return out;
}

// keys.json of a key directory: entries with "x", kept after a key is retired.
Result<KeySet> keys_of_directory(const json::Document& doc) {
    std::vector<PublicKey> keys;
    if (const auto* list = doc.root().array("keys"))
        for (const auto& k : *list) {
            const auto x = b64u_decode_array<32>(k.string("x").value_or(""));
            auto key = x ? PublicKey::from_bytes(*x) : Result<PublicKey>(Code::malformed, "a key without \"x\"");
            if (!key) return key.error();
            keys.push_back(std::move(*key));
        }
    return KeySet(std::move(keys));
}

}  // namespace

Result<KeySet> read_keys(const std::string& path) {
    struct stat s {};
    const bool directory = stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
    const auto file = directory ? path + "/keys.json" : path;
    const auto in = read_file(file);
    if (!in) return in.error();
    const auto doc = json::Document::parse(*in);
    if (!doc) return {doc.error().code, file + ": " + doc.error().detail};
    auto keys = directory ? keys_of_directory(*doc) : KeySet::parse(*in);
    if (!keys) return {keys.error().code, file + ": " + keys.error().detail};
    if (keys->empty()) return {Code::malformed, file + " holds no Ed25519 key"};
    return keys;
}

Result<Summary> run(const Options& options, Listener& listener) {
    try {
        return examine(options, listener);
    } catch (const Unreadable& e) {
        return {Code::malformed, e.what()};
    }
}

}  // namespace netpay::audit
