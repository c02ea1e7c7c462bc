#include "broker/redeem/redemption.h"

#include <algorithm>

#include "core/limits.h"

namespace netpay::broker::redeem {

Outcome<std::unique_ptr<Redemption>> Redemption::begin(Context& context, Store& store, std::string_view token) {
    const UnixTime now = context.clock.now();
    std::optional<std::string> before;
    auto from = store.read([&](Sql& sql) -> Outcome<vendors::SignedBatch> {
        auto batch = vendors::verify_batch_of(context, sql, token);
        if (!batch) return batch;
        auto answer = answered(sql, batch->vendor.id, batch->batch);
        if (!answer) return answer.refusal();
        before = std::move(*answer);
        return batch;
    });
    if (!from) return from.refusal();
    try {
        std::unique_ptr<Redemption> r(new Redemption(context, store, std::move(*from)));
        r->before_ = std::move(before);
        r->spool_ = std::make_unique<Spool>();
        r->judge_ = std::make_unique<Judge>(store.path(), r->from_.vendor.id, now);
        return r;
    } catch (const soci::soci_error& e) {
        return store_failed(e.get_error_message());
    }
}

Outcome<Done> Redemption::feed(std::string_view bytes) {
    digest_.update(bytes);
    if (before_) return Done{};
    try {
        take(bytes);
        judge_->pause();
    } catch (const soci::soci_error& e) {
        return store_failed(e.get_error_message());
    }
    return within_limit();
}

Outcome<Done> Redemption::within_limit() const {
    if (static_cast<std::uint64_t>(lines_) > limits::batch_claims)
        return Refusal{413, "too-many-claims", "The batch is too long",
                       "A batch has at most a million claims; send several. Nothing was credited."};
    return Done{};
}

void Redemption::take(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto end = std::min(bytes.find('\n'), bytes.size());
        // One byte over the limit is kept, so that the line is found too long.
        const auto room = limits::claim_line_bytes + 1 - line_.size();
        line_ += bytes.substr(0, std::min(end, room));
        if (end == bytes.size()) return;
        bytes.remove_prefix(end + 1);
        line_done();
    }
}

void Redemption::line_done() {
    ++lines_;
    if (static_cast<std::uint64_t>(lines_) <= limits::batch_claims) judge_->line(lines_, line_, *spool_);
    line_.clear();
}

Outcome<std::string> Redemption::finish() {
    if (content_digest(digest_.finish()) != from_.batch.digest)
        return Refusal{400, "digest", "The body is not the one that was signed",
                       "Its SHA-256 differs from the batch's digest; send the same bytes, without content coding. "
                       "Nothing was credited."};
    if (before_) return std::move(*before_);
    try {
        if (!line_.empty()) line_done();  // the last line feed may be missing
    } catch (const soci::soci_error& e) {
        return store_failed(e.get_error_message());
    }
    if (auto fits = within_limit(); !fits) return fits.refusal();
    judge_.reset();
    auto credited = store_.write([&](Sql& sql) {
        return credit(context_, sql, from_, *spool_, context_.clock.now());
    });
    if (!credited) return credited.refusal();
    count(*credited);
    return std::move(credited->answer);
}

void Redemption::count(const Credited& c) {
    if (c.again) return;
    std::uint64_t rejected = 0;
    for (const auto n : c.rejected) rejected += n;
    context_.log.info("batch_credited", json::Object()
                                            .set("vendor", from_.vendor.origin)
                                            .set("batch", printable(from_.batch.batch))
                                            .set("accepted", c.accepted)
                                            .set("rejected", rejected));
    context_.metrics.claims_accepted(c.accepted);
    for (std::size_t r = 1; r < c.rejected.size(); ++r)
        if (c.rejected[r] > 0) context_.metrics.claims_rejected(name_of(static_cast<Reason>(r)), c.rejected[r]);
    for (const auto& [cur, amount] : c.amounts) context_.metrics.credited(cur, amount);
}

}  // namespace netpay::broker::redeem
