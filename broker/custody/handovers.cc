#include "broker/custody/handovers.h"

#include <algorithm>

#include "broker/custody/epochs.h"
#include "broker/custody/frauds.h"
#include "broker/custody/leases.h"
#include "broker/custody/reversals.h"
#include "broker/redeem/crediting.h"
#include "broker/vendors/vendors.h"
#include "core/payword.h"

namespace netpay::broker::custody {
namespace {

using issue::Coin;
using What = Applied::What;

Applied granted(const Epoch& e) { return {What::granted, e.custody, {}, e.start}; }
Applied conflict(std::string token) { return {What::conflict, {}, std::move(token), 0}; }

Mark mark_of(const OnFile& index) {
    return {index.index, decode_payword(index.payword).value_or(Payword{})};
}

// One index that is on file, and what it does to its coin.
class Handover {
public:
    Handover(Context& context, Sql& sql, const Shown& shown, const OnFile& index, UnixTime now)
        : context_(context),
          sql_(sql),
          now_(now),
          coin_(issue::find_coin(sql, shown.says.coin).value()),
          number_(static_cast<Int>(shown.says.epoch)),
          signer_(vendors::find(sql, shown.signer).value()),
          receiver_(vendors::find(sql, index.aud)),
          index_(index) {}

    Outcome<Applied> decide() {
        const auto first = deciding(sql_, coin_.id, number_, signer_.id).value();
        if (first.id != index_.id) return second_one(first);
        auto epoch = epoch_at(sql_, coin_.id, number_);
        if (!epoch) epoch = found_from_file();
        if (epoch && epoch->vendor == signer_.id) return own(*epoch);
        return not_its_own(epoch);
    }

private:
    // The signer signed another before: this one proves it.
    Outcome<Applied> second_one(const OnFile& first) {
        prove(context_, sql_, {fraud::two_indices, signer_.id, coin_.id, number_, first.id, index_.id}, now_);
        if (auto held = hold_receiver_harmless(signer_.id); !held) return held.refusal();
        return conflict(first.token);
    }

    // The epoch is not its signer's. It is fraud unless the signer was given
    // the coin itself, by somebody whose word did not decide.
    Outcome<Applied> not_its_own(const std::optional<Epoch>& epoch) {
        const auto gift = given_to(sql_, coin_.id, number_ - 1, signer_.origin);
        if (!gift) prove(context_, sql_, {fraud::never_held, signer_.id, coin_.id, number_, index_.id, 0}, now_);
        const Int culprit = gift ? gift->culprit : signer_.id;
        if (culprit != 0)
            if (auto held = hold_receiver_harmless(culprit); !held) return held.refusal();
        return conflict(epoch ? epoch->signed_index : std::string());
    }

    Outcome<Applied> own(const Epoch& e) {
        const bool waited_for = others_wait(context_, sql_, coin_, receiver_ ? receiver_->id : 0, now_);
        if (e.released < 0) {
            if (auto closed = close_by(signer_, e, index_); !closed) return closed.refusal();
            if (index_.index < e.start) return below_start();
            return pass_on(e, waited_for);
        }
        const auto next = epoch_at(sql_, coin_.id, number_ + 1);
        if (next && next->signed_index == index_.token) return granted(*next);
        const bool by_it = index_.aud == context_.options.issuer && e.released == index_.index;
        if (next || (coin_.state == "returned" && !by_it)) return too_late(e, next);
        // It closed the epoch itself, and nobody has held the coin since.
        if (index_.index < e.start) return conflict({});
        return pass_on(e, waited_for);
    }

    // Closes an epoch by its vendor's word. What it was credited beyond goes back.
    // That it renewed its lease at a higher index is no proof: nobody claimed what
    // lies between, it loses that itself, and a till that lost power within the
    // second may have forgotten it honestly.
    Outcome<Done> close_by(const vendors::Vendor& vendor, const Epoch& e, const OnFile& index) {
        const Mark end = index.index < e.start ? Mark{e.start, start_payword(e)} : mark_of(index);
        if (index.index < e.start || index.index < highest_credited(sql_, e)) {
            prove(context_, sql_, {fraud::below_claims, vendor.id, coin_.id, e.epoch, index.id, 0}, now_);
            if (auto back = reverse(sql_, coin_, e, end.index, index.id, now_); !back) return back;
        }
        return close_at(sql_, coin_, e, end, now_);
    }

    // Nobody can take the coin over below where it was when its holder got it.
    Outcome<Applied> below_start() {
        if (auto held = hold_receiver_harmless(signer_.id); !held) return held.refusal();
        return conflict({});
    }

    // The epoch ended by its lease and the coin went on: the index decides
    // nothing any more. It is no fraud, unless it contradicts what was claimed.
    Outcome<Applied> too_late(const Epoch& e, const std::optional<Epoch>& next) {
        if (receiver_) clear_receiver(receiver_->id);
        if (index_.index < highest_credited(sql_, e)) {
            prove(context_, sql_, {fraud::below_claims, signer_.id, coin_.id, number_, index_.id, 0}, now_);
            if (auto held = hold_receiver_harmless(signer_.id); !held) return held.refusal();
        }
        return conflict(next ? next->signed_index : std::string());
    }

    // The epoch is closed by the index; the next one is the receiver's.
    Outcome<Applied> pass_on(const Epoch& e, bool waited_for) {
        const Applied closed{What::nobody, {}, {}, index_.index};
        if (index_.aud == context_.options.issuer) return Applied{What::released, {}, {}, index_.index};
        if (!receiver_) return closed;
        if (is_compensated(sql_, coin_.id, receiver_->id, index_.id)) return conflict({});
        const auto passed_on = deciding(sql_, coin_.id, number_ + 1, receiver_->id);
        if (receiver_->status != "approved" && !passed_on) return closed;
        const UnixTime whole = lease_end(context_, coin_, now_);
        found(*receiver_, number_ + 1, index_, waited_for ? std::min(whole, e.exp) : whole);
        const auto next = epoch_at(sql_, coin_.id, number_ + 1).value();
        if (passed_on)
            if (auto done = close_by(*receiver_, next, *passed_on); !done) return done.refusal();
        if (auto late = redeem::credit_late(sql_, coin_.id, *receiver_, now_); !late) return late.refusal();
        return granted(next);
    }

    void found(const vendors::Vendor& vendor, Int epoch, const OnFile& by, UnixTime exp) {
        begin_epoch(context_, sql_, vendor, coin_, {epoch, mark_of(by), exp, by.token}, now_);
        clear_never_held(context_, sql_, vendor.id, coin_.id, epoch, vendor.id);
    }

    // The signer was given the coin while it was suspended, and did not hold
    // it; it passes it on, and that is all it can do with it.
    std::optional<Epoch> found_from_file() {
        const auto last = last_epoch(sql_, coin_.id);
        if (!last || last->epoch != number_ - 1 || last->released < 0 || coin_.state == "returned") return std::nullopt;
        const auto given = deciding(sql_, coin_.id, last->epoch, last->vendor);
        if (!given || given->aud != signer_.origin || given->index < last->start) return std::nullopt;
        if (is_compensated(sql_, coin_.id, signer_.id, given->id)) return std::nullopt;
        found(signer_, number_, *given, std::min(lease_end(context_, coin_, now_), last->exp));
        return epoch_at(sql_, coin_.id, number_);
    }

    // Its receiver was given the coin, though in vain. If it passed the coin on
    // and that was shown first, it looked as if it had never held it: the
    // verdict must not depend on the order in which the two are shown.
    void clear_receiver(Int culprit) {
        if (receiver_) clear_never_held(context_, sql_, receiver_->id, coin_.id, number_ + 1, culprit);
    }

    Outcome<Done> hold_receiver_harmless(Int culprit) {
        if (!receiver_) return Done{};
        clear_receiver(culprit);
        return hold_harmless(sql_, coin_.id, receiver_->id, culprit, index_, now_);
    }

    Payword start_payword(const Epoch& e) {
        const auto row = one<std::string>(sql_, "SELECT start_payword FROM epochs WHERE coin = :c AND epoch = :e", e.coin,
                                          e.epoch);
        return decode_payword(std::get<0>(row.value())).value_or(Payword{});
    }

    Context& context_;
    Sql& sql_;
    const UnixTime now_;
    const Coin coin_;
    const Int number_;
    const vendors::Vendor signer_;
    const std::optional<vendors::Vendor> receiver_;
    const OnFile index_;
};

}  // namespace

Outcome<Applied> apply(Context& context, Sql& sql, const Shown& shown, UnixTime now) {
    const auto index = record(sql, shown, now);
    if (!index) return conflict({});
    return Handover(context, sql, shown, *index, now).decide();
}

}  // namespace netpay::broker::custody
