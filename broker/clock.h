// The one clock of the broker.
#pragma once

#include "core/bytes.h"

namespace netpay::broker {

class Clock {
public:
    virtual ~Clock() = default;
    virtual UnixTime now() const = 0;  // safe from several threads
};

class SystemClock final : public Clock {
public:
    UnixTime now() const override;
};

}  // namespace netpay::broker
