// Every batch: the receipt that was signed for it, the vendor's signature over
// what it claimed, and the money that was booked.
#include "audit/desk.h"
#include "core/claim.h"
#include "core/jws.h"

namespace netpay::audit {
namespace {

// An answer begins {"receipt":"…", and may go on for a million rejections.
constexpr std::size_t answer_head = limits::token_bytes + 64;

std::string receipt_in(std::string_view answer) {
    constexpr std::string_view before = "{\"receipt\":\"";
    if (answer.substr(0, before.size()) != before) return {};
    answer.remove_prefix(before.size());
    const auto end = answer.find('"');
    return std::string(end == std::string_view::npos ? std::string_view() : answer.substr(0, end));
}

struct Row {
    std::string origin, batch, digest, token;
    std::string name() const { return origin + " " + batch; }
};

class Batches {
public:
    explicit Batches(Desk& desk)
        : desk_(desk),
          batches_(desk.db.prepare("SELECT v.origin, b.batch, b.digest, substr(b.answer, 1, " + text(answer_head) +
                                   "), b.token FROM batches b JOIN vendors v ON v.id = b.vendor ORDER BY b.vendor, b.batch")) {}

    void all() {
        // What was booked for each batch, by the name the movement carries. A
        // temporary table of SQLite's: it lies outside of the store.
        auto make = desk_.db.prepare("CREATE TEMP TABLE booked (reference TEXT, cur TEXT, total BIGINT, PRIMARY KEY (reference, cur)) "
                                     "WITHOUT ROWID");
        make.step();
        auto fill = desk_.db.prepare("INSERT INTO booked SELECT reference, cur, SUM(total) FROM main.movements "
                                     "WHERE kind = 'redemption' GROUP BY reference, cur");
        fill.step();
        auto booked = desk_.db.prepare("SELECT total FROM booked WHERE reference = ? AND cur = ?");
        auto entries = desk_.db.prepare("SELECT COUNT(*) FROM booked WHERE reference = ?");
        auto& counts = desk_.summary.counts;
        while (batches_.step()) {
            const Row row{batches_.text(0), batches_.text(1), batches_.text(2), batches_.text(4)};
            claimed(row);
            credited(row, receipt_in(batches_.view(3)), booked, entries);
            desk_.listener.progress("batches", ++counts.batches, 0, counts);
        }
        unfounded();
    }

private:
    // The vendor's own signature over the batch; stores older than it have none.
    void claimed(const Row& row) {
        if (row.token.empty()) return;
        ++desk_.summary.counts.signatures;
        const auto payload = jws::peek(row.token);
        const auto iat = payload ? payload->root().uint("iat") : std::nullopt;
        const auto b = verify_batch(row.token, desk_.issuer(), desk_.certified.keys(row.origin, static_cast<UnixTime>(iat.value_or(0))));
        if (!b) return desk_.fault("batch-signature", row.name(), "The claims of batch " + row.name() + " are not signed: " + b.error().detail + ".");
        if (b->iss != row.origin || b->batch != row.batch || b->digest != row.digest)
            desk_.fault("batch-signature", row.name(), "What " + b->iss + " signed for batch " + b->batch + " is filed as " + row.name() + ".");
    }

    void credited(const Row& row, const std::string& receipt, Statement& booked, Statement& entries) {
        ++desk_.summary.counts.signatures;
        const auto r = verify_redeemed(receipt, row.origin, desk_.keys);
        if (!r)
            return desk_.fault("receipt", row.name(), "The receipt of batch " + row.name() + " does not verify: " + r.error().detail + ".");
        if (r->iss != desk_.issuer() || r->batch != row.batch || r->digest != row.digest)
            desk_.fault("receipt", row.name(), "The receipt of batch " + row.name() + " is of batch " + r->batch + " with another body.");
        std::int64_t currencies = 0;
        for (const auto& [cur, amount] : r->credited) {
            if (amount.micro() == 0) continue;
            ++currencies;
            const auto micro = static_cast<std::int64_t>(amount.micro());
            const auto found = booked.with(row.name(), cur.str()).step() ? booked.number(0) : 0;
            if (found != micro)
                desk_.fault("receipt-movement", row.name(), "The receipt of batch " + row.name() + " is over " + text(micro) +
                                                                " micro-units and " + text(found) + " were booked.",
                            distance(found, micro), std::string(cur.str()));
        }
        if (entries.with(row.name()).step() && entries.number(0) > currencies)
            desk_.fault("receipt-movement", row.name(), "Credits were booked for batch " + row.name() + " that its receipt does not name.");
    }

    // Redemptions of batches that are not there.
    void unfounded() {
        auto st = desk_.db.prepare(
            "SELECT k.reference, k.cur, k.total FROM booked k WHERE NOT EXISTS (SELECT 1 FROM vendors v JOIN batches b "
            "ON b.vendor = v.id WHERE v.origin = substr(k.reference, 1, instr(k.reference, ' ') - 1) "
            "AND b.batch = substr(k.reference, instr(k.reference, ' ') + 1))");
        while (st.step())
            desk_.fault("batch-missing", st.text(0), "Credits were booked for batch " + st.text(0) + ", which is not there.",
                        static_cast<std::uint64_t>(st.number(2)), st.text(1));
    }

    Desk& desk_;
    Statement batches_;
};

}  // namespace

void check_batches(Desk& desk) { Batches(desk).all(); }

}  // namespace netpay::audit
