#include "wallet/cli/command.h"

namespace netpay::wallet::cli {

std::span<const Command> commands() {
    static const Command all[] = {account_command, topup_command,  buy_command,    get_command,    give_back_command, prices_command,
                                  balance_command, coins_command,  history_command, budget_command, return_command,
                                  export_command,  import_command, forget_command, write_off_command,
                                  vendor_command,  verify_evidence_command};
    return all;
}

}  // namespace netpay::wallet::cli
