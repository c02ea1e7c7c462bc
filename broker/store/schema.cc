#include "broker/store/schema.h"

#include <vector>

#include "broker/store/query.h"

namespace netpay::broker {
namespace {

using Step = std::vector<const char*>;

// Amounts are micro-units, times are seconds since 1970, hashes, keys and
// paywords are base64url text. 0 stands for "not yet" in a time, -1 for "none"
// in an index: columns are NOT NULL throughout.
//
// Version 1: a coin is sold, spent at one vendor after another, redeemed and returned.
const Step version_1 = {
    // Accounts, and what they pay with.
    R"(CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        token_hash TEXT NOT NULL UNIQUE,
        created BIGINT NOT NULL))",
    R"(CREATE TABLE vouchers (
        id INTEGER PRIMARY KEY,
        code_hash TEXT NOT NULL UNIQUE,
        cur TEXT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount > 0),
        minted BIGINT NOT NULL,
        expires BIGINT NOT NULL,
        used BIGINT NOT NULL DEFAULT 0,
        account BIGINT REFERENCES accounts(id),
        CHECK ((used = 0) = (account IS NULL))))",

    // The ledger. `balance` is kept on the account's own side and never falls
    // below zero; a movement is sealed once its entries are in, which the
    // trigger allows only if they balance; what is sealed does not change.
    R"(CREATE TABLE ledger_accounts (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        cur TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('debit', 'credit')),
        balance BIGINT NOT NULL DEFAULT 0 CHECK (balance >= 0),
        UNIQUE (name, cur)))",
    R"(CREATE TABLE movements (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        reference TEXT NOT NULL,
        cur TEXT NOT NULL,
        total BIGINT NOT NULL CHECK (total > 0),
        parts INTEGER NOT NULL CHECK (parts >= 2),
        at BIGINT NOT NULL,
        sealed INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1))))",
    R"(CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        movement BIGINT NOT NULL REFERENCES movements(id),
        account BIGINT NOT NULL REFERENCES ledger_accounts(id),
        debit BIGINT NOT NULL CHECK (debit >= 0),
        credit BIGINT NOT NULL CHECK (credit >= 0),
        CHECK ((debit = 0) <> (credit = 0))))",
    "CREATE INDEX entries_movement ON entries (movement)",
    "CREATE INDEX entries_account ON entries (account)",
    "CREATE INDEX movements_kind ON movements (kind)",
    R"(CREATE TRIGGER movements_balance BEFORE UPDATE OF sealed ON movements
       WHEN NEW.sealed = 1 AND (
            (SELECT COUNT(*) FROM entries WHERE movement = NEW.id) <> NEW.parts
         OR (SELECT COALESCE(SUM(debit), 0) FROM entries WHERE movement = NEW.id) <> NEW.total
         OR (SELECT COALESCE(SUM(credit), 0) FROM entries WHERE movement = NEW.id) <> NEW.total)
       BEGIN SELECT RAISE(ABORT, 'a movement does not balance'); END)",
    R"(CREATE TRIGGER movements_sealed BEFORE UPDATE ON movements WHEN OLD.sealed = 1
       BEGIN SELECT RAISE(ABORT, 'a sealed movement does not change'); END)",
    R"(CREATE TRIGGER movements_kept BEFORE DELETE ON movements
       BEGIN SELECT RAISE(ABORT, 'movements are not deleted'); END)",
    R"(CREATE TRIGGER entries_added BEFORE INSERT ON entries
       WHEN (SELECT sealed FROM movements WHERE id = NEW.movement) = 1
       BEGIN SELECT RAISE(ABORT, 'a sealed movement does not change'); END)",
    R"(CREATE TRIGGER entries_changed BEFORE UPDATE ON entries
       BEGIN SELECT RAISE(ABORT, 'entries do not change'); END)",
    R"(CREATE TRIGGER entries_kept BEFORE DELETE ON entries
       BEGIN SELECT RAISE(ABORT, 'entries are not deleted'); END)",

    // Vendors. A registration is what somebody with an account asked for; a
    // vendor is what the operator approved. A key stays good until the last
    // certificate over it ends.
    R"(CREATE TABLE vendors (
        id INTEGER PRIMARY KEY,
        origin TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL CHECK (status IN ('approved', 'suspended')),
        handoff TEXT NOT NULL,
        kid TEXT NOT NULL,
        account BIGINT NOT NULL REFERENCES accounts(id),
        approved BIGINT NOT NULL,
        certificate TEXT NOT NULL,
        certificate_iat BIGINT NOT NULL,
        certificate_exp BIGINT NOT NULL))",
    R"(CREATE TABLE vendor_keys (
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        kid TEXT NOT NULL,
        x TEXT NOT NULL,
        since BIGINT NOT NULL,
        until BIGINT NOT NULL,
        PRIMARY KEY (vendor, kid)))",
    R"(CREATE TABLE registrations (
        id INTEGER PRIMARY KEY,
        origin TEXT NOT NULL,
        kid TEXT NOT NULL,
        x TEXT NOT NULL,
        handoff TEXT NOT NULL,
        account BIGINT NOT NULL REFERENCES accounts(id),
        at BIGINT NOT NULL,
        UNIQUE (origin, account)))",
    "CREATE INDEX registrations_account ON registrations (account)",

    // Coins. credited and refunded count units; `known` of the newest epoch is
    // how far the coin is known to be spent.
    R"(CREATE TABLE coins (
        id INTEGER PRIMARY KEY,
        coin TEXT NOT NULL UNIQUE,
        account BIGINT NOT NULL REFERENCES accounts(id),
        cur TEXT NOT NULL,
        unit BIGINT NOT NULL CHECK (unit > 0),
        n BIGINT NOT NULL CHECK (n BETWEEN 1 AND 1048576),
        salt TEXT NOT NULL,
        root TEXT NOT NULL UNIQUE,
        touchstone TEXT NOT NULL,
        iat BIGINT NOT NULL,
        exp BIGINT NOT NULL,
        state TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'returning', 'returned')),
        credited BIGINT NOT NULL DEFAULT 0 CHECK (credited >= 0),
        refunded BIGINT NOT NULL DEFAULT 0 CHECK (refunded >= 0),
        CHECK (credited + refunded <= n)))",
    "CREATE INDEX coins_account ON coins (account)",
    R"(CREATE TABLE idempotency (
        account BIGINT NOT NULL REFERENCES accounts(id),
        key TEXT NOT NULL,
        body_hash TEXT NOT NULL,
        coin BIGINT NOT NULL REFERENCES coins(id),
        nonce TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (account, key)))",
    "CREATE INDEX idempotency_at ON idempotency (at)",

    // Custody. known: the highest index credited, renewed or signed in this
    // epoch, at first its start. released: where the epoch was closed by the
    // next one or by a return, -1 while it is the last. settled: its credits
    // are payable. signed_index: the hand-over that founded the epoch.
    R"(CREATE TABLE epochs (
        coin BIGINT NOT NULL REFERENCES coins(id),
        epoch BIGINT NOT NULL CHECK (epoch >= 1),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        start BIGINT NOT NULL CHECK (start >= 0),
        start_payword TEXT NOT NULL,
        known BIGINT NOT NULL,
        known_payword TEXT NOT NULL,
        custody TEXT NOT NULL,
        iat BIGINT NOT NULL,
        exp BIGINT NOT NULL,
        status TEXT NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'ended')),
        released BIGINT NOT NULL DEFAULT -1,
        credited BIGINT NOT NULL DEFAULT 0 CHECK (credited >= 0),
        settled INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1)),
        signed_index TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (coin, epoch),
        CHECK (known >= start)))",
    "CREATE INDEX epochs_due ON epochs (status, exp)",
    "CREATE INDEX epochs_vendor ON epochs (vendor, settled)",
    R"(CREATE TABLE signed_indices (
        id INTEGER PRIMARY KEY,
        coin BIGINT NOT NULL REFERENCES coins(id),
        epoch BIGINT NOT NULL,
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        idx BIGINT NOT NULL,
        token TEXT NOT NULL,
        at BIGINT NOT NULL))",
    R"(CREATE TABLE waiting (
        coin BIGINT NOT NULL REFERENCES coins(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        since BIGINT NOT NULL,
        PRIMARY KEY (coin, vendor)))",
    R"(CREATE TABLE due_work (
        coin BIGINT NOT NULL REFERENCES coins(id),
        kind TEXT NOT NULL CHECK (kind IN ('return')),
        due BIGINT NOT NULL,
        PRIMARY KEY (coin, kind)))",
    "CREATE INDEX due_work_due ON due_work (due)",

    // Redemption: units lo < i <= hi, merged while adjacent within an epoch.
    R"(CREATE TABLE credits (
        coin BIGINT NOT NULL REFERENCES coins(id),
        lo BIGINT NOT NULL CHECK (lo >= 0),
        hi BIGINT NOT NULL,
        epoch BIGINT NOT NULL,
        PRIMARY KEY (coin, lo),
        FOREIGN KEY (coin, epoch) REFERENCES epochs (coin, epoch),
        CHECK (lo < hi)))",
    R"(CREATE TABLE known_paywords (
        coin BIGINT NOT NULL REFERENCES coins(id),
        idx BIGINT NOT NULL,
        payword TEXT NOT NULL,
        PRIMARY KEY (coin, idx)))",
    R"(CREATE TABLE batches (
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        batch TEXT NOT NULL,
        digest TEXT NOT NULL,
        answer TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (vendor, batch)))",

    // Signed requests seen, and when this broker was not there.
    R"(CREATE TABLE nonces (
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        jti TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (vendor, jti)))",
    "CREATE INDEX nonces_at ON nonces (at)",
    "CREATE TABLE heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), at BIGINT NOT NULL)",
    "CREATE TABLE downtimes (since BIGINT PRIMARY KEY, until BIGINT NOT NULL, CHECK (since < until))",
};

// Version 2: coins travel. What vendors signed is kept as they signed it, for
// disputes; who was proven wrong, and what that cost whom.
const Step version_2 = {
    // Every certificate ever signed: a signature is judged by the key that was
    // certified for its signer at its iat. revoked: listed no more since then.
    R"(CREATE TABLE certificates (
        id INTEGER PRIMARY KEY,
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        kid TEXT NOT NULL,
        token TEXT NOT NULL,
        iat BIGINT NOT NULL,
        exp BIGINT NOT NULL,
        revoked BIGINT NOT NULL DEFAULT 0))",
    "CREATE INDEX certificates_vendor ON certificates (vendor, exp)",
    R"(INSERT INTO certificates (vendor, kid, token, iat, exp)
       SELECT id, kid, certificate, certificate_iat, certificate_exp FROM vendors WHERE certificate <> '')",
    // Why a vendor is suspended: '' (it is not), 'operator', 'fraud'.
    "ALTER TABLE vendors ADD COLUMN suspended_for TEXT NOT NULL DEFAULT ''",
    "UPDATE vendors SET suspended_for = 'operator' WHERE status = 'suspended'",

    // Signed indices as they were shown, good and bad. aud: the receiver's origin or the issuer.
    "DROP TABLE signed_indices",
    R"(CREATE TABLE signed_indices (
        id INTEGER PRIMARY KEY,
        coin BIGINT NOT NULL REFERENCES coins(id),
        epoch BIGINT NOT NULL,
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        aud TEXT NOT NULL,
        idx BIGINT NOT NULL,
        payword TEXT NOT NULL,
        token TEXT NOT NULL UNIQUE,
        at BIGINT NOT NULL))",
    "CREATE INDEX signed_indices_coin ON signed_indices (coin, epoch)",
    "CREATE INDEX epochs_coin_vendor ON epochs (coin, vendor)",

    // Proofs of fraud by `vendor`. two-indices: `first` decided, `second` is the
    // other. never-held: `first` is for an epoch that was never its signer's.
    // below-claims: by `first` less was spent than its signer had claimed of
    // that epoch, or than was spent when it took the coin over.
    // cleared: an index shown later founded that epoch.
    R"(CREATE TABLE frauds (
        id INTEGER PRIMARY KEY,
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        coin BIGINT NOT NULL REFERENCES coins(id),
        epoch BIGINT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('two-indices', 'never-held', 'below-claims')),
        first BIGINT NOT NULL REFERENCES signed_indices(id),
        second BIGINT NOT NULL DEFAULT 0,
        cleared INTEGER NOT NULL DEFAULT 0 CHECK (cleared IN (0, 1)),
        at BIGINT NOT NULL,
        UNIQUE (vendor, coin, epoch, kind, first, second)))",

    // Receivers who sold in good faith on the strength of `signed_index`, and
    // what is due to them from its signer's balance: units lo < i <= hi.
    R"(CREATE TABLE receivers (
        coin BIGINT NOT NULL REFERENCES coins(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        culprit BIGINT NOT NULL REFERENCES vendors(id),
        signed_index BIGINT NOT NULL REFERENCES signed_indices(id),
        lo BIGINT NOT NULL,
        PRIMARY KEY (coin, vendor, signed_index)))",
    R"(CREATE TABLE compensations (
        id INTEGER PRIMARY KEY,
        coin BIGINT NOT NULL REFERENCES coins(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        culprit BIGINT NOT NULL REFERENCES vendors(id),
        signed_index BIGINT NOT NULL REFERENCES signed_indices(id),
        lo BIGINT NOT NULL CHECK (lo >= 0),
        hi BIGINT NOT NULL,
        payword TEXT NOT NULL,
        cur TEXT NOT NULL,
        due BIGINT NOT NULL CHECK (due > 0),
        paid BIGINT NOT NULL DEFAULT 0 CHECK (paid >= 0),
        at BIGINT NOT NULL,
        CHECK (lo < hi),
        CHECK (paid <= due)))",
    "CREATE INDEX compensations_open ON compensations (culprit, paid, due)",
    "CREATE INDEX compensations_receiver ON compensations (coin, vendor)",

    // Credits taken back from the epoch's vendor: by `signed_index` they were another's.
    R"(CREATE TABLE reversals (
        id INTEGER PRIMARY KEY,
        coin BIGINT NOT NULL REFERENCES coins(id),
        epoch BIGINT NOT NULL,
        signed_index BIGINT NOT NULL REFERENCES signed_indices(id),
        lo BIGINT NOT NULL,
        hi BIGINT NOT NULL,
        at BIGINT NOT NULL,
        CHECK (lo < hi)))",

    // Claims that verify by their hashes and lost to another vendor's range. against: 0 for nobody's.
    // credited: they lie in an epoch of their vendor's that the broker heard of later.
    R"(CREATE TABLE disputes (
        id INTEGER PRIMARY KEY,
        coin BIGINT NOT NULL REFERENCES coins(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        lo BIGINT NOT NULL,
        hi BIGINT NOT NULL,
        payword TEXT NOT NULL,
        reason TEXT NOT NULL,
        against BIGINT NOT NULL DEFAULT 0,
        batch TEXT NOT NULL,
        credited INTEGER NOT NULL DEFAULT 0 CHECK (credited IN (0, 1)),
        at BIGINT NOT NULL,
        UNIQUE (coin, vendor, lo, hi)))",

    // Signed registrations seen, by the key that signed them.
    R"(CREATE TABLE registration_nonces (
        kid TEXT NOT NULL,
        jti TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (kid, jti)))",
    "CREATE INDEX registration_nonces_at ON registration_nonces (at)",

    // The NetPay-Batch token as it came.
    "ALTER TABLE batches ADD COLUMN token TEXT NOT NULL DEFAULT ''",
    // Returns that wait for a holder are tried again.
    "ALTER TABLE due_work ADD COLUMN next_try BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE due_work ADD COLUMN tries INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX coins_expiry ON coins (state, exp)",
};

// Version 3: people use the broker in a browser, and pay with a card.
const Step version_3 = {
    // Further bearer tokens of an account: what its owner's wallets are given.
    R"(CREATE TABLE account_tokens (
        token_hash TEXT PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES accounts(id),
        created BIGINT NOT NULL))",
    "CREATE INDEX account_tokens_account ON account_tokens (account)",

    // The site: who signs in with which passphrase (its scrypt), and who is signed in.
    R"(CREATE TABLE web_logins (
        account BIGINT PRIMARY KEY REFERENCES accounts(id),
        lookup TEXT NOT NULL UNIQUE,
        created BIGINT NOT NULL))",
    R"(CREATE TABLE web_sessions (
        id_hash TEXT PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES accounts(id),
        created BIGINT NOT NULL,
        seen BIGINT NOT NULL,
        expires BIGINT NOT NULL))",
    "CREATE INDEX web_sessions_account ON web_sessions (account)",
    "CREATE INDEX web_sessions_expires ON web_sessions (expires)",

    // Coins that the site keeps for an account, or gave to its wallet. sealed:
    // the seed under the site's key, '' once exported. The row is written
    // before the coin is sold, so that no coin is without its seed. spent: as
    // the wallet said that it came back from.
    R"(CREATE TABLE web_coins (
        coin TEXT PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES accounts(id),
        sealed TEXT NOT NULL,
        spent BIGINT NOT NULL DEFAULT 0 CHECK (spent >= 0),
        exported BIGINT NOT NULL DEFAULT 0,
        created BIGINT NOT NULL))",
    "CREATE INDEX web_coins_account ON web_coins (account)",

    // Payments by providers. reference: ours, which the provider gives back;
    // payment: the provider's name for it. refunded: of amount, in all; lost:
    // of that, what the customer had spent.
    R"(CREATE TABLE checkouts (
        id INTEGER PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES accounts(id),
        provider TEXT NOT NULL,
        reference TEXT NOT NULL UNIQUE,
        payment TEXT NOT NULL DEFAULT '',
        cur TEXT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount > 0),
        refunded BIGINT NOT NULL DEFAULT 0,
        lost BIGINT NOT NULL DEFAULT 0 CHECK (lost >= 0),
        state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'failed', 'refunded')),
        created BIGINT NOT NULL,
        CHECK (lost <= refunded),
        CHECK (refunded <= amount)))",
    "CREATE INDEX checkouts_account ON checkouts (account, created)",
    "CREATE INDEX checkouts_payment ON checkouts (provider, payment)",
    // What providers told us, so that each is heard once.
    R"(CREATE TABLE checkout_events (
        provider TEXT NOT NULL,
        event TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (provider, event)))",
    "CREATE INDEX checkout_events_at ON checkout_events (at)",
};

// Version 4: e-wallets at sites.
const Step version_4 = {
    // The index to which sites were granted a coin at most; paywords above it never left. raised: units of
    // that on the day (since 1970) when it rose last.
    "ALTER TABLE web_coins ADD COLUMN granted BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE web_coins ADD COLUMN raised BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE web_coins ADD COLUMN raised_day BIGINT NOT NULL DEFAULT 0",

    // What a reader allows. site: an origin, or '*' for all of them. everywhere:
    // of '*': a site needs no confirmation to get the e-wallet.
    R"(CREATE TABLE ewallet_limits (
        account BIGINT NOT NULL REFERENCES accounts(id),
        site TEXT NOT NULL,
        cur TEXT NOT NULL,
        per_page BIGINT NOT NULL CHECK (per_page >= 0),
        per_day BIGINT NOT NULL CHECK (per_day >= 0),
        until BIGINT NOT NULL,
        automatic INTEGER NOT NULL CHECK (automatic IN (0, 1)),
        everywhere INTEGER NOT NULL CHECK (everywhere IN (0, 1)),
        PRIMARY KEY (account, site, cur)))",
    "CREATE INDEX ewallet_limits_until ON ewallet_limits (until)",
    // Micro-units that vendors were granted on a day (since 1970). raised:
    // beyond what anybody had been; moved: what others had been before.
    R"(CREATE TABLE ewallet_raised (
        account BIGINT NOT NULL REFERENCES accounts(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        cur TEXT NOT NULL,
        day BIGINT NOT NULL,
        raised BIGINT NOT NULL CHECK (raised >= 0),
        moved BIGINT NOT NULL CHECK (moved >= 0),
        PRIMARY KEY (account, vendor, cur, day)))",
    "CREATE INDEX ewallet_raised_day ON ewallet_raised (day)",

    // Codes by which a vendor gets an e-wallet (RFC 6749 section 4.1). amount:
    // the page's price. confirmed: the reader said yes to it on a page of this site.
    R"(CREATE TABLE ewallet_codes (
        code_hash TEXT PRIMARY KEY,
        account BIGINT NOT NULL REFERENCES accounts(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        challenge TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('server', 'cookie')),
        cur TEXT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount >= 0),
        confirmed INTEGER NOT NULL CHECK (confirmed IN (0, 1)),
        expires BIGINT NOT NULL))",
    "CREATE INDEX ewallet_codes_expires ON ewallet_codes (expires)",
    "CREATE INDEX ewallet_codes_account ON ewallet_codes (account)",

    // E-wallets at vendors. The vendor was shown the coin's payword at `shown`
    // at the time `at`, when `base` of it was known to be spent. begun: when its
    // code was used. confirmed: the price of the page that she said yes to, 0 if
    // none or once that was granted anew. ended: 0 while it lasts.
    R"(CREATE TABLE ewallet_grants (
        id INTEGER PRIMARY KEY,
        grant_hash TEXT NOT NULL UNIQUE,
        code_hash TEXT NOT NULL UNIQUE,
        account BIGINT NOT NULL REFERENCES accounts(id),
        vendor BIGINT NOT NULL REFERENCES vendors(id),
        kind TEXT NOT NULL CHECK (kind IN ('server', 'cookie')),
        coin TEXT NOT NULL,
        base BIGINT NOT NULL CHECK (base >= 0),
        shown BIGINT NOT NULL CHECK (shown >= base),
        begun BIGINT NOT NULL,
        confirmed BIGINT NOT NULL CHECK (confirmed >= 0),
        until BIGINT NOT NULL,
        at BIGINT NOT NULL,
        ended BIGINT NOT NULL DEFAULT 0))",
    "CREATE INDEX ewallet_grants_account ON ewallet_grants (account, ended)",
    "CREATE INDEX ewallet_grants_coin ON ewallet_grants (coin, vendor)",
    "CREATE INDEX ewallet_grants_until ON ewallet_grants (until)",

    // Sessions that came of one another by renewal share what their forms' tokens are made of.
    "ALTER TABLE web_sessions ADD COLUMN family TEXT NOT NULL DEFAULT ''",
    "UPDATE web_sessions SET family = id_hash",
    "CREATE INDEX web_sessions_family ON web_sessions (family)",

    // What of an account's coins became known to be spent on a day (since 1970), in micro-units.
    R"(CREATE TABLE spent_days (
        account BIGINT NOT NULL REFERENCES accounts(id),
        cur TEXT NOT NULL,
        day BIGINT NOT NULL,
        micro BIGINT NOT NULL,
        PRIMARY KEY (account, cur, day)))",
    R"(INSERT INTO spent_days (account, cur, day, micro)
        SELECT c.account, c.cur, e.iat / 86400, SUM((e.known - e.start) * c.unit)
        FROM epochs e JOIN coins c ON c.id = e.coin WHERE e.known > e.start GROUP BY c.account, c.cur, e.iat / 86400)",
};

// Version 5: refunds to cards that fail.
const Step version_5 = {
    // What a provider said at a time (its own clock) to have been given back of a payment in all.
    R"(CREATE TABLE checkout_refunds (
        checkout BIGINT NOT NULL REFERENCES checkouts(id),
        at BIGINT NOT NULL,
        total BIGINT NOT NULL CHECK (total >= 0),
        PRIMARY KEY (checkout, at, total)))",
    // Refunds that did not reach the customer, by the provider's name of each;
    // sums that it names later are without them.
    R"(CREATE TABLE checkout_failures (
        checkout BIGINT NOT NULL REFERENCES checkouts(id),
        refund TEXT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount >= 0),
        at BIGINT NOT NULL,
        PRIMARY KEY (checkout, refund)))",
    // Until now only the sum was kept; it was told of when it was booked, at the latest.
    R"(INSERT INTO checkout_refunds (checkout, at, total)
        SELECT c.id, COALESCE((SELECT MAX(m.at) FROM movements m WHERE m.kind = 'card-refund'
                               AND m.reference = 'checkout ' || c.id), c.created), c.refunded
        FROM checkouts c WHERE c.refunded > 0)",
};

const std::vector<const Step*>& steps() {
    static const std::vector<const Step*> list = {&version_1, &version_2, &version_3, &version_4, &version_5};
    return list;
}

void take_step(Sql& sql, int to) {
    Transaction transaction(sql, Transaction::Mode::write);
    // Another process may have taken it while this one waited for the lock.
    if (schema_version(sql) >= to) return;
    for (const auto* statement : *steps()[static_cast<std::size_t>(to) - 1]) run(sql, statement);
    run(sql, "INSERT INTO schema_version (version) VALUES (:v)", to);
    transaction.commit();
}

}  // namespace

int newest_schema() { return static_cast<int>(steps().size()); }

int schema_version(Sql& sql) {
    run(sql, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY)");
    return static_cast<int>(number(sql, "SELECT COALESCE(MAX(version), 0) FROM schema_version"));
}

Result<std::pair<int, int>> migrate(Sql& sql, int target) {
    const int from = schema_version(sql);
    if (from > newest_schema())
        return {Code::mismatch, "the store has schema version " + std::to_string(from) +
                                    " and this program knows up to " + std::to_string(newest_schema()) +
                                    ": run the newer program"};
    for (int v = from + 1; v <= target; ++v) take_step(sql, v);
    return std::pair(from, from > target ? from : target);
}

}  // namespace netpay::broker
