#include "mod_netpay/ewallet/holdings.h"

#include <algorithm>

#include "mod_netpay/ewallet/standing.h"
#include "mod_netpay/reader.h"

namespace netpay::ewallet {

Result<std::unique_ptr<Holdings>> Holdings::open(Options o, till::Till& till, custody::Keeper& keeper, custody::World world) {
    if (o.keys.empty()) return {Code::malformed, "e-wallets: no key"};
    auto directory = o.directory + "/ewallets";
    if (auto made = world.disk.make_directory(directory); !made) return made.error();
    auto store = SealedStore::open(directory, o.origin, o.keys, world.random);
    if (!store) return store.error();
    auto picks = Picks::open(directory);
    if (!picks) return picks.error();
    auto notes = Notes::open(directory);
    if (!notes) return notes.error();
    return std::unique_ptr<Holdings>(new Holdings(std::move(o), till, keeper, world, std::move(directory), std::move(*store),
                                                  std::move(*picks), std::move(*notes)));
}

Holdings::Holdings(Options o, till::Till& t, custody::Keeper& k, custody::World w, std::string d,
                   std::unique_ptr<SealedStore> s, std::unique_ptr<Picks> p, std::unique_ptr<Notes> n)
    : options(std::move(o)),
      till(t),
      keeper(k),
      world(w),
      cookies(options.origin, options.keys, world.random),
      directory(std::move(d)),
      store(std::move(s)),
      picks(std::move(p)),
      notes(std::move(n)),
      vault(std::make_unique<Vault>(*store, cookies, world.random)) {}

Result<Vault::Found> Holdings::presented(std::string_view cookie_field, UnixTime now, bool server, bool cookie) {
    auto found = vault->open(cookie_field, now, server, cookie);
    if (!found || !found->wallet) return found;
    const auto left = notes->has_left(found->wallet->binding);
    if (!left) return left.error();
    if (*left) {
        found->cookies.clear();
        found->wallet.reset();
    }
    return found;
}

Holdings::Opening Holdings::open_wallet(std::string_view cookie_field, UnixTime now, bool server, bool cookie, Over over) {
    Opening o;
    auto found = presented(cookie_field, now, server, cookie);
    if (!found) {
        say(custody::Log::Level::error, found.error().detail);
        return o;
    }
    o.cookies = std::move(found->cookies);
    if (!found->wallet) {
        if (found->presented) o.cookies.push_back(vault->clear());
        return o;
    }
    const auto& d = found->wallet->document;
    const bool accepted = std::find(options.issuers.begin(), options.issuers.end(), d.issuer) != options.issuers.end();
    if (!accepted || d.until < now || is_gone(till.find(d.coin.tag), d.coin.epoch)) {
        o.moved_from = d.issuer;
        o.cookies.clear();
        if (over == Over::taken) o.cookies.push_back(vault->drop(*found->wallet));
        return o;
    }
    o.wallet = std::make_shared<Wallet>(std::move(*found->wallet));
    return o;
}

std::string Holdings::url(std::string_view target) const { return options.origin + safe_target(target); }

}  // namespace netpay::ewallet
