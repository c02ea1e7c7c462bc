// The spend machine of one coin at one vendor, written from the contract
// (section 6) for these tests; spend.json judges it, too.
import { b64u } from '../src/bytes.js'
import { walkDown } from '../src/chain.js'

export class Machine {
  constructor({ salt, n, start = 0, word, exp = Infinity, lease = Infinity, maxHop = 1000, grace = 300 }) {
    Object.assign(this, { salt, n, start, spent: start, revealed: start, word, exp, lease, maxHop, grace })
    this.used = new Map() // ticket → { key, at, times }
  }

  pay({ index, payword, price, key, now, serve = true }) {
    const said = (verdict, more) => ({ verdict, spent: this.spent, revealed: this.revealed, ...more })
    if (now > this.lease) return said('lease-over')
    if (now > this.exp) return said('expired')
    if (index < 1 || index > this.n) return said('forged')
    if (Math.abs(index - this.revealed) > this.maxHop) return said('hop-too-long')
    const [from, word, to, other] = index > this.revealed ? [index, payword, this.revealed, this.word] : [this.revealed, this.word, index, payword]
    if (b64u(walkDown(this.salt, from, word, to)) !== b64u(other)) return said('forged')
    if (index > this.revealed) {
      this.revealed = index
      this.word = payword
    }
    const before = this.used.get(index)
    if (index <= this.start || before) {
      if (before && before.key === key && now - before.at <= this.grace && before.times < 3) {
        ++before.times
        return said('replayed')
      }
      return said('already-spent')
    }
    if (this.revealed - this.spent < price) return said('insufficient', { needed: this.spent + price })
    if (serve) {
      this.spent += price
      this.used.set(index, { key, at: now, times: 0 })
    }
    return said('paid')
  }
}
