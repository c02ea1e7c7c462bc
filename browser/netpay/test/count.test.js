// The wallet's own count against simulated vendors: honest ones (the spend
// machine), and ones that lie about everything they may say.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { unb64u } from '../src/bytes.js'
import { Chain } from '../src/chain.js'
import { absorb, choose, doubt, givenBack, liveUnits, notCharged, openPayment, paid, ticketUsed, unknownUnits } from '../src/count.js'
import { Machine } from './machine.js'

const length = 4000
const salt = new Uint8Array(16)
const chain = Chain.make(salt, new Uint8Array(32).fill(7), length)
const words = Array.from({ length: length + 1 })
const word = (i) => (words[i] ??= chain.at(i))

const vectors = process.env.NETPAY_VECTORS ?? new URL('../../../test/vectors', import.meta.url).pathname

// A wallet of one coin at one vendor, with a record of everything that went out.
class OneCoin {
  constructor() {
    this.c = { n: length, spent: 0, revealed: 0, base: 0, open: [], used: new Set() }
    this.next = 1
    this.highest = 0
  }

  start(units, needed = 0) {
    const before = this.c.revealed
    const bound = this.c.spent + liveUnits(this.c) + units
    const choice = choose(this.c, units, needed)
    if (!choice.ticket) return null
    assert.ok(choice.ticket <= Math.max(before, bound), 'revealed more than accepted')
    const p = { id: this.next++, ticket: choice.ticket, units, live: true, here: true }
    openPayment(this.c, p)
    this.highest = Math.max(this.highest, p.ticket)
    return p
  }
}

class Vendor extends Machine {
  constructor() {
    super({ salt, n: length, word: word(0) })
    this.now = 1
    this.took = 0
  }

  sell(ticket, units, page, serve = true) {
    const said = this.pay({ index: ticket, payword: word(ticket), price: units, key: page, now: this.now, serve })
    if (said.verdict === 'paid' && serve) this.took += units
    return said
  }
}

// Small and repeatable.
function dice(seed) {
  let state = seed * 2654435761 >>> 0
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
}

test('the machine of these tests is the contract\'s', () => {
  const table = JSON.parse(readFileSync(`${vectors}/spend.json`, 'utf8'))
  const whole = Chain.make(unb64u(table.salt), unb64u(JSON.parse(readFileSync(`${vectors}/payword.json`, 'utf8')).chains[1].seed), table.n)
  for (const c of table.cases) {
    const m = new Machine({ salt: whole.salt, n: table.n, start: c.start.spent, word: whole.at(c.start.revealed), grace: table.grace,
      maxHop: c.start.max_hop, exp: c.start.exp, lease: c.start.lease })
    m.revealed = c.start.revealed
    for (const s of c.steps) {
      const said = m.pay({ ...s, payword: unb64u(s.payword) })
      assert.deepEqual([said.verdict, m.spent, m.revealed], [s.verdict, s.spent, s.revealed], c.name)
    }
  }
})

test('pages in a row', () => {
  const w = new OneCoin()
  const v = new Vendor()
  for (let i = 1; i <= 50; ++i) {
    const p = w.start(20)
    assert.equal(p.ticket, 20 * i)
    assert.equal(v.sell(p.ticket, 20, `page ${i}`).verdict, 'paid')
    paid(w.c, p.id, 20)
  }
  assert.equal(w.c.spent, 1000)
  assert.equal(v.spent, 1000)
})

test('a refused payment is used first', () => {
  const w = new OneCoin()
  notCharged(w.c, w.start(20).id)
  const q = w.start(20)
  assert.equal(q.ticket, 20)
  notCharged(w.c, q.id)
  assert.ok(w.start(5).ticket <= 20)
  assert.equal(w.c.revealed, 20)
})

test('an unconfirmed ticket is tried again', () => {
  const w = new OneCoin()
  const v = new Vendor()
  const p = w.start(20)
  v.sell(p.ticket, 20, 'a')
  doubt(w.c, p.id) // it was charged, but no answer came
  const q = w.start(20)
  assert.equal(q.ticket, p.ticket)
  const said = v.sell(q.ticket, 20, 'b')
  assert.equal(said.verdict, 'already-spent')
  notCharged(w.c, q.id)
  assert.ok(absorb(w.c, said.spent, q.ticket).believed)
  ticketUsed(w.c, q.ticket)
  assert.equal(w.c.spent, 20)
  assert.equal(unknownUnits(w.c), 0)
  assert.equal(w.start(20).ticket, 40)
})

test('lies are bounded', () => {
  const w = new OneCoin()
  const p = w.start(20)
  notCharged(w.c, p.id)
  for (const lie of [1, 20, length + 1]) assert.equal(absorb(w.c, lie, p.ticket).believed, false)
  assert.equal(choose(w.c, 20, 21).why, 'beyond')
  assert.equal(w.c.spent, 0)
  assert.equal(w.highest, 20)
})

test('a receipt cannot count more than was accepted', () => {
  const w = new OneCoin()
  paid(w.c, w.start(20).id, 3000)
  assert.equal(w.c.spent, 20)
  paid(w.c, w.start(20).id, 0) // less is believed
  assert.equal(w.c.spent, 20)
})

test('tickets under way differ', () => {
  const w = new OneCoin()
  const v = new Vendor()
  const all = Array.from({ length: 8 }, () => w.start(20))
  assert.equal(new Set(all.map((p) => p.ticket)).size, 8)
  for (const p of all.reverse()) { // they arrive out of order
    assert.equal(v.sell(p.ticket, 20, String(p.id)).verdict, 'paid')
    paid(w.c, p.id, 20)
  }
  assert.equal(w.c.spent, 160)
})

test('a coin runs out', () => {
  const w = new OneCoin()
  w.c.spent = w.c.revealed = length - 10
  assert.equal(choose(w.c, 11).why, 'coin-short')
  assert.equal(choose(w.c, 10).ticket, length)
})

test('a backup catches up within the allowance', () => {
  const w = new OneCoin()
  assert.equal(absorb(w.c, 60, 0, 40).believed, false)
  assert.equal(absorb(w.c, 40, 0, 40).believed, true)
  assert.equal(w.c.spent, 40)
})

test('a page given back is bought by what was shown already, and its ticket buys nothing more', () => {
  const w = new OneCoin()
  const v = new Vendor()
  const buy = (units, page) => {
    const p = w.start(units)
    assert.equal(v.sell(p.ticket, units, page).verdict, 'paid')
    paid(w.c, p.id, units)
    return p.ticket
  }
  const first = buy(20, 'a')
  buy(30, 'b')
  assert.equal(givenBack(w.c, first, 20), 20)
  v.spent -= 20
  assert.deepEqual([w.c.spent, w.c.revealed, w.c.used.has(first)], [30, 50, true])
  const again = buy(20, 'c')
  assert.ok(again !== first && again <= 50 && w.highest === 50)
  assert.deepEqual([w.c.spent, v.spent], [50, 50])
  assert.equal(givenBack(w.c, 33, 20), 0) // no ticket that was paid
  assert.equal(givenBack(w.c, again, 1e6), 50) // never below nothing
  assert.equal(w.c.revealed, 50)
})

// Pages of random prices at an honest vendor; wallets die before they send,
// after they sent and after the page; handlers fail. In the end every unit the
// vendor took is one the wallet accounts for.
test('honest vendor, random deaths', () => {
  for (let seed = 1; seed <= 60; ++seed) {
    const random = dice(seed)
    const w = new OneCoin()
    const v = new Vendor()
    for (let step = 0; step < 60; ++step) {
      ++v.now
      const units = 1 + random(30)
      const page = String(random(1000000))
      let needed = 0
      for (let bargain = 0; bargain < 8; ++bargain) {
        const p = w.start(units, needed)
        if (!p) break
        const fate = random(10)
        if (fate === 0) {
          doubt(w.c, p.id)
          break
        }
        const said = v.sell(p.ticket, units, page, fate !== 2)
        if (fate === 1) {
          doubt(w.c, p.id)
          break
        }
        if (said.verdict === 'paid' || said.verdict === 'replayed') {
          if (fate === 2) notCharged(w.c, p.id)
          else paid(w.c, p.id, units)
          break
        }
        notCharged(w.c, p.id)
        assert.ok(absorb(w.c, said.spent, p.ticket).believed, `an honest vendor is believed, seed ${seed}`)
        if (said.verdict === 'already-spent') ticketUsed(w.c, p.ticket)
        needed = said.verdict === 'insufficient' ? said.needed : 0
      }
      assert.ok(w.c.spent <= v.took)
      assert.ok(v.took <= w.c.spent + unknownUnits(w.c))
      assert.ok(v.revealed <= w.c.revealed)
    }
    assert.ok(v.took > 100, 'pages were sold')
  }
})

// A vendor that answers anything. Whatever it says, the wallet shows it no
// more than the units of pages it accepted, and its own count never passes
// what was accepted.
test('lying vendor', () => {
  for (let seed = 1; seed <= 500; ++seed) {
    const random = dice(seed)
    const w = new OneCoin()
    let served = 0
    let inDoubt = 0
    let dearest = 0
    for (let step = 0; step < 40; ++step) {
      const units = 1 + random(30)
      dearest = Math.max(dearest, units)
      let needed = 0
      for (let bargain = 0; bargain < 7; ++bargain) {
        const p = w.start(units, needed)
        if (!p) break
        const fate = random(6)
        if (fate === 0) {
          doubt(w.c, p.id)
          inDoubt += units
          break
        }
        if (fate === 1) {
          paid(w.c, p.id, random(5000))
          served += units
          break
        }
        notCharged(w.c, p.id)
        if (fate === 2) break
        const before = w.c.spent + liveUnits(w.c) + unknownUnits(w.c)
        absorb(w.c, random(length + 100), random(2) ? p.ticket : 0)
        assert.ok(w.c.spent + liveUnits(w.c) + unknownUnits(w.c) <= before)
        if (fate === 3) ticketUsed(w.c, p.ticket)
        needed = random(length + 100)
      }
    }
    assert.ok(w.c.spent <= served + inDoubt)
    assert.ok(w.highest <= served + inDoubt + dearest, `revealed more than was accepted, seed ${seed}`)
  }
})
