// What most sources include of the standard library, CppUnit and SOCI. Only a
// build with --enable-precompiled-headers uses it, and no source may count on
// it: the builds without that option show a missing #include. Left out on
// purpose: OpenSSL, whose headers depend on what core/hash.cc defines first, and
// <filesystem>, whose std::quoted would be found in place of one of ours.
#ifndef NETPAY_TEST_PRECOMPILED_H
#define NETPAY_TEST_PRECOMPILED_H

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <cppunit/extensions/HelperMacros.h>
#include <soci/soci.h>

#endif
