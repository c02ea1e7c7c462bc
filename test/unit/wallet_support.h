// What the tests of the wallet's store share: a directory of its own for each
// test, a clock that is moved by hand, and coins nobody issued.
#pragma once

#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "wallet/env.h"
#include "wallet/store.h"

namespace netpay::wallet {

class MovingClock : public Clock {
public:
    UnixTime now() override { return at; }
    void sleep_s(int s) override { at += s; }
    UnixTime at = 1800000000;
};

class StoreFixture : public CPPUNIT_NS::TestFixture {
public:
    void setUp() override {
        char name[] = "/tmp/netpay-wallet-XXXXXX";
        CPPUNIT_ASSERT(mkdtemp(name));
        dir_ = name;
    }
    void tearDown() override { std::filesystem::remove_all(dir_); }

protected:
    std::unique_ptr<Store> open(const std::string& name = "w") const {
        auto s = Store::open(dir_ + "/" + name);
        CPPUNIT_ASSERT_MESSAGE(s ? "" : s.failure().message, static_cast<bool>(s));
        return std::move(*s);
    }

    std::string dir_;
};

// Puts a coin of n units of 0.001 USD into the store, made of this byte; its name.
inline std::string add_coin(Store& store, const std::string& issuer, std::uint8_t mark, std::uint32_t n, UnixTime expires) {
    Coin c;
    c.salt.fill(mark);
    Payword seed;
    seed.bytes.fill(mark);
    const Chain chain(c.salt, seed, n);
    c.coin = coin_id(c.salt, chain.at(0));
    c.issuer = issuer;
    c.currency = *Currency::parse("uusd");
    c.unit = *Amount::from(1000);
    c.n = n;
    c.created = mark;
    CPPUNIT_ASSERT(store.add_coin(c, chain));
    CPPUNIT_ASSERT(store.complete_coin(c.coin, "touchstone", expires));
    return c.coin;
}

}  // namespace netpay::wallet
