// Export and import. A wallet's coins are whoever's has their seeds, so an
// export is as good as money. A coin that lives in two wallets would be spent
// twice and refused once; so an export either moves coins (they cannot be
// spent here any more) or is a backup, which an import takes only by the
// owner's word, and whose coins then find their count again from what
// vendors answer, within what she accepts (count.h, absorb).
#pragma once

#include <string>
#include <vector>

#include "wallet/store.h"

namespace netpay::wallet {

// One JSON document a line: a head, accounts, coins, and the SHA-256 of all
// before it, so that half a file or a damaged one is not taken for the whole.
struct Export {
    Secret text;
    std::vector<std::string> coins;
};

// All coins that are not spent, returned or moved already, or only those
// named. with_accounts: bearer tokens, too.
Outcome<Export> make_export(Store& store, const std::vector<std::string>& names, bool move, bool with_accounts);

// Marks exported coins as moved, in one transaction.
Outcome<Done> mark_moved(Store& store, const std::vector<std::string>& coins);

struct Imported {
    std::size_t accounts = 0, coins = 0;
    std::vector<std::string> already_here;  // left as they are
    bool backup = false;
};
// Failures: usage (not an export; a backup without `restore`), store.
Outcome<Imported> import_text(Store& store, std::string_view text, bool restore);

}  // namespace netpay::wallet
