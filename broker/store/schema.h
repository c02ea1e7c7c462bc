// The schema, as a numbered list of migrations. Forward only.
#pragma once

#include <string>
#include <utility>

#include "broker/store/store.h"

namespace netpay::broker {

// The version this program works with.
int newest_schema();

// The version a store has; 0: an empty file.
int schema_version(Sql& sql);

// Brings the schema from where it is to `target`, each step in a transaction
// of its own. Gives the versions before and after. Errors: the store is newer
// than this program. Throws soci::soci_error.
Result<std::pair<int, int>> migrate(Sql& sql, int target = newest_schema());

}  // namespace netpay::broker
