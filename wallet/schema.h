// The tables of the wallet's store, by version. Text columns hold what the
// contract writes (base64url, origins). Numbers are BIGINT, which SOCI reads
// as 64 bits where it takes INTEGER for 32.
#pragma once

#include <array>

namespace netpay::wallet {

// PRAGMA user_version of a store that is up to date.
inline constexpr int schema_version = 2;

inline constexpr std::array schema_1 = {
    // What the wallet knows of its brokers, and its accounts there.
    "CREATE TABLE accounts ("
    " issuer TEXT PRIMARY KEY, api TEXT NOT NULL, jwks_uri TEXT NOT NULL, jwks TEXT NOT NULL,"
    " account TEXT NOT NULL, token TEXT NOT NULL, created BIGINT NOT NULL)",

    // state: pending (bought perhaps: the broker's answer is not here yet), live, returning, returned,
    // moved (exported to another wallet), refused (the broker did not sell it).
    // checkpoints: paywords, base64url; the last one is the seed.
    // claimed: the highest `spent` of a vendor that was not believed.
    "CREATE TABLE coins ("
    " coin TEXT PRIMARY KEY, issuer TEXT NOT NULL, currency TEXT NOT NULL, unit BIGINT NOT NULL, n BIGINT NOT NULL,"
    " salt TEXT NOT NULL, checkpoints TEXT NOT NULL, touchstone TEXT NOT NULL, expires BIGINT NOT NULL,"
    " state TEXT NOT NULL, idempotency TEXT NOT NULL, created BIGINT NOT NULL, spent BIGINT NOT NULL,"
    " holder TEXT NOT NULL, held BIGINT NOT NULL, claimed BIGINT NOT NULL, restored BIGINT NOT NULL)",

    // What one vendor has seen of one coin. used: ticket indices, ascending.
    // refused: why the vendor does not take the coin; '' if it does.
    "CREATE TABLE standings ("
    " coin TEXT NOT NULL REFERENCES coins(coin), vendor TEXT NOT NULL, revealed BIGINT NOT NULL,"
    " base BIGINT NOT NULL, known BIGINT NOT NULL, refused TEXT NOT NULL, used TEXT NOT NULL,"
    " PRIMARY KEY (coin, vendor))",

    // state: live (under way in process pid), unknown, paid, void (not charged).
    // amount: accepted, or charged once paid.
    "CREATE TABLE payments ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, coin TEXT NOT NULL REFERENCES coins(coin), vendor TEXT NOT NULL,"
    " method TEXT NOT NULL, url TEXT NOT NULL, ticket BIGINT NOT NULL, units BIGINT NOT NULL,"
    " amount BIGINT NOT NULL, currency TEXT NOT NULL, state TEXT NOT NULL, pid BIGINT NOT NULL,"
    " start TEXT NOT NULL, created BIGINT NOT NULL, finished BIGINT NOT NULL, rereads BIGINT NOT NULL)",
    "CREATE INDEX payments_open ON payments (coin) WHERE state IN ('live', 'unknown')",
    "CREATE INDEX payments_url ON payments (url)",
    "CREATE INDEX payments_created ON payments (created)",

    // Standing session challenges. challenge: one field value of WWW-Authenticate.
    "CREATE TABLE sessions ("
    " vendor TEXT NOT NULL, realm TEXT NOT NULL, challenge TEXT NOT NULL, expires BIGINT NOT NULL,"
    " PRIMARY KEY (vendor, realm))",

    // Prices seen. path ends in '/' for a whole directory when prefix is 1. amount 0: free.
    "CREATE TABLE prices ("
    " vendor TEXT NOT NULL, path TEXT NOT NULL, prefix BIGINT NOT NULL, realm TEXT NOT NULL,"
    " amount BIGINT NOT NULL, currency TEXT NOT NULL, seen BIGINT NOT NULL,"
    " PRIMARY KEY (vendor, path, prefix))",

    // site: an origin, or '*'. -1: no such limit.
    "CREATE TABLE budgets ("
    " site TEXT NOT NULL, currency TEXT NOT NULL, per_day BIGINT NOT NULL, auto BIGINT NOT NULL,"
    " PRIMARY KEY (site, currency))",
};

// Pages that are given back. state may be given-back then; back: what of
// amount is the owner's again. give_back_until: by the receipt; 0: never.
// asked_back: the site was asked, and may have done it though no answer came.
inline constexpr std::array schema_2 = {
    "ALTER TABLE payments ADD COLUMN back BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE payments ADD COLUMN give_back_until BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE payments ADD COLUMN asked_back BIGINT NOT NULL DEFAULT 0",
};

}  // namespace netpay::wallet
