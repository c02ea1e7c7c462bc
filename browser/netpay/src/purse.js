// A purse: coins, payments, limits and identities in a store. The rules of
// what may be shown to a vendor are those of count.js; here they are made
// durable. A ticket is in the store before the caller sees it, so that
// whatever dies at any instant has at most revealed what is on record, and no
// two payments get the same ticket.
import { b64u, random, unb64u } from './bytes.js'
import { Chain, coinName } from './chain.js'
import { absorb, choose, givenBack, liveUnits, notCharged, openPayment, paid, ticketUsed, unknownUnits } from './count.js'
import { NetPayError, printable } from './errors.js'
import { mostUnits, pretty, times, unitsFor } from './money.js'
import { Turns } from './turns.js'

const day = 24 * 3600
const graceSeconds = 300 // how long a page that was paid can be read again, by the vendors' default
const graceCount = 3
const lateSeconds = 60 // how long a payment that was taken back may turn out to have been sent
const mostHistory = 2000 // payments kept once they are older than a day
const mostSessions = 8 // standing challenges kept of one site

export const left = (coin) => times(coin.unit, coin.n - coin.spent)
const shortName = (coin) => coin.slice(0, 8)
const isOpen = (payment) => payment.state === 'live' || payment.state === 'unknown'
// What a payment takes from the coins; the price where that is not on record.
export const costOf = (payment) => payment.cost ?? payment.amount
// A site claims more of the coin than its owner knows to be spent.
export const isDisputed = (coin) => coin.claimed > coin.spent
const paymentKey = (id) => String(id).padStart(12, '0')
const limitKey = (site, currency) => `${site} ${currency}`

// now: seconds since 1970. owner: names this process (or browser session) in
// its payments; alive(owner, payment): whether a payment under way can still
// be on its way. Payments of those that are gone are of unknown outcome.
export class Purse {
  constructor(store, { now = () => Math.floor(Date.now() / 1000), owner = b64u(random(12)), alive } = {}) {
    this.store = store
    this.now = now
    this.owner = owner
    this.alive = alive ?? ((name) => name === owner)
    this.turns = new Turns() // address → what pays its page
  }

  // --- identities: a site sees the coins of one identity, and no other site's coins of another ---

  async identities() {
    return this.store.transaction((tx) => this.#identities(tx))
  }

  async #identities(tx) {
    const all = await tx.all('identities')
    return all.length ? all : [{ id: 'main', name: 'Main' }]
  }

  async addIdentity(name) {
    const identity = { id: b64u(random(9)), name: printable(name, 40).trim() }
    if (!identity.name) throw new NetPayError('usage', 'an identity needs a name')
    await this.store.transaction(async (tx) => {
      const all = await this.#identities(tx)
      if (all.some((i) => i.name === identity.name)) throw new NetPayError('usage', 'there is an identity of that name')
      for (const i of [...all, identity]) await tx.put('identities', i.id, i)
    })
    return identity
  }

  // The identity that new sites get.
  async currentIdentity() {
    return this.store.transaction((tx) => this.#current(tx))
  }

  async #current(tx) {
    return (await tx.get('settings', 'identity'))?.id ?? 'main'
  }

  async useIdentity(id) {
    await this.store.transaction(async (tx) => {
      if (!(await this.#identities(tx)).some((i) => i.id === id)) throw new NetPayError('usage', 'no such identity')
      await tx.put('settings', 'identity', { id })
    })
  }

  // The identity a site knows, or would get now. It is fixed by the first payment.
  async identityOf(vendor) {
    return this.store.transaction((tx) => this.#identityOf(tx, vendor))
  }

  async #identityOf(tx, vendor) {
    return (await tx.get('sites', vendor))?.identity ?? this.#current(tx)
  }

  // --- limits: null is none. For every site ('*') or one ---

  async limits(currency) {
    const all = await this.store.transaction((tx) => tx.all('limits'))
    return all.filter((rule) => rule.currency === currency)
  }

  // rule: { automatic, perPage, perDay } and, for '*', perSite: what one site may get a day.
  // automatic: pages up to perPage are paid without asking.
  async setLimit(site, currency, rule) {
    const row = { site, currency, automatic: rule.automatic ?? null, perPage: rule.perPage ?? null, perDay: rule.perDay ?? null,
      perSite: site === '*' ? (rule.perSite ?? null) : null }
    await this.store.transaction((tx) => tx.put('limits', limitKey(site, currency), row))
  }

  async clearLimit(site, currency) {
    await this.store.transaction((tx) => tx.delete('limits', limitKey(site, currency)))
  }

  // Whether the owner's rules allow that this much leaves her coins for a page without asking her.
  async decidesAlone(vendor, amount, currency) {
    return this.store.transaction(async (tx) => {
      const mine = await tx.get('limits', limitKey(vendor, currency))
      const all = await tx.get('limits', limitKey('*', currency))
      const most = mine?.perPage ?? all?.perPage ?? null
      return (mine?.automatic ?? all?.automatic ?? false) && most !== null && amount <= most
    })
  }

  // cost: what would leave the coins.
  async #withinLimits(tx, want, cost) {
    const mine = await tx.get('limits', limitKey(want.vendor, want.currency))
    const all = await tx.get('limits', limitKey('*', want.currency))
    const since = this.now() - day
    const recent = (await tx.all('payments'))
      .filter((p) => p.created > since && p.currency === want.currency && p.state !== 'void')
    const gone = (list) => {
      const pages = new Map() // one ticket buys one page, however often it was shown
      for (const p of list) {
        const page = `${p.vendor} ${p.coin} ${p.ticket}`
        pages.set(page, Math.max(costOf(p), pages.get(page) ?? 0))
      }
      return [...pages.values()].reduce((sum, amount) => sum + amount, 0)
    }
    const check = (limit, list, where) => {
      if (limit === null || limit === undefined || gone(list) + cost <= limit) return
      throw new NetPayError('not-accepted', `over your limit for ${where}: ${pretty(gone(list), want.currency)} of ` +
        `${pretty(limit, want.currency)} went in the last 24 hours and this costs ${pretty(cost, want.currency)}`,
      { limit: where })
    }
    check(mine?.perDay ?? all?.perSite, recent.filter((p) => p.vendor === want.vendor), 'this site')
    check(all?.perDay, recent, 'all sites')
  }

  // --- coins ---

  async coins() {
    return this.store.transaction((tx) => tx.all('coins'))
  }

  // What may be spent: with these brokers and this identity, where they are given.
  async balance(currency, { brokers, identity } = {}) {
    const coins = await this.coins()
    return coins.filter((c) => c.state === 'live' && c.currency === currency && c.expires > this.now() &&
      (!brokers || brokers.includes(c.issuer)) && (!identity || c.identity === identity))
      .reduce((sum, c) => sum + left(c), 0)
  }

  async addCoin(tx, coin, chain) {
    await tx.put('coins', coin.coin, coin)
    await tx.put('chains', coin.coin, { checkpoints: chain.checkpoints() })
  }

  async changeCoin(name, change) {
    return this.store.transaction(async (tx) => {
      const coin = { ...(await tx.get('coins', name)), ...change }
      await tx.put('coins', name, coin)
      return coin
    })
  }

  // The owner takes a site's count of a coin for true: the coin comes from a backup, or she will not quarrel.
  async writeOff(name) {
    await this.store.transaction(async (tx) => {
      const coin = await tx.get('coins', name)
      if (!coin || !isDisputed(coin)) throw new NetPayError('usage', 'no site claims more of this coin than was paid')
      for (const s of await tx.all('standings'))
        if (s.coin === name) await tx.put('standings', `${name} ${s.vendor}`, { ...s, refused: '' })
      const doubts = (await tx.all('payments')).filter((p) => p.coin === name && p.state === 'unknown')
      await this.#close(tx, doubts.map((p) => p.id), 'void')
      await tx.put('coins', name, { ...coin, spent: Math.min(coin.claimed, coin.n), claimed: 0 })
    })
  }

  // The payword of an index: whoever has it can claim the units below.
  async payword(tx, coin, index) {
    const row = await tx.get('chains', coin.coin)
    const chain = row && Chain.restore(unb64u(coin.salt, 16), coin.n, row.checkpoints)
    if (!chain) throw new NetPayError('usage', `the chain of coin ${shortName(coin.coin)} is damaged in the store`)
    return b64u(chain.at(index))
  }

  // The highest index shown to any vendor: what a broker needs to take a coin back; null if none was.
  async highestShown(name) {
    return this.store.transaction(async (tx) => {
      const coin = await tx.get('coins', name)
      const shown = (await tx.all('standings')).filter((s) => s.coin === name).map((s) => s.revealed)
      const index = Math.max(0, ...shown)
      return index > 0 ? { index, payword: await this.payword(tx, coin, index) } : null
    })
  }

  // --- payments ---
  //
  // want: { vendor, method, url, amount, limit, currency, brokers }: what the
  // owner accepted; limit is the most that may leave her coins for this page,
  // amount its price. Coins are spent by whole units: a page costs more than
  // its price where a unit is worth more.
  // A ticket: { payment (0 for a reread), coin, index, payword, amount, cost, known, reread, switched }.

  async #load(tx, coin, vendor) {
    const row = await tx.get('standings', `${coin.coin} ${vendor}`)
    const open = (await tx.all('payments')).filter((p) => p.coin === coin.coin && isOpen(p))
    return {
      known: row?.known ?? false,
      refused: row?.refused ?? '',
      count: {
        n: coin.n,
        spent: coin.spent,
        revealed: row?.revealed ?? coin.spent,
        base: row?.base ?? coin.spent,
        used: new Set(row?.used ?? []),
        open: open.map((p) => ({ id: p.id, ticket: p.ticket, units: p.units, live: p.state === 'live', here: p.vendor === vendor })),
      },
    }
  }

  async #save(tx, coin, vendor, s) {
    const { count } = s
    await tx.put('standings', `${coin.coin} ${vendor}`, { coin: coin.coin, vendor, revealed: count.revealed, base: count.base,
      known: s.known, refused: s.refused, used: [...count.used].sort((a, b) => a - b) })
    await tx.put('coins', coin.coin, { ...(await tx.get('coins', coin.coin)), spent: count.spent })
    for (const p of count.open) { // absorb() may have lowered what is still open
      const row = await tx.get('payments', paymentKey(p.id))
      if (row && row.units !== p.units) await tx.put('payments', paymentKey(p.id), { ...row, units: p.units })
    }
  }

  async #close(tx, ids, state, change = {}) {
    for (const id of ids) {
      const row = await tx.get('payments', paymentKey(id))
      if (row) await tx.put('payments', paymentKey(id), { ...row, state, finished: this.now(), ...change })
    }
  }

  // A payment of an imported coin whose outcome is not known.
  async addUnknown(tx, coin, payment) {
    const id = await this.#newId(tx)
    const cost = times(coin.unit, payment.units) ?? payment.amount
    await tx.put('payments', paymentKey(id), { ...payment, cost, id, state: 'unknown', owner: '', finished: 0, rereads: 0 })
  }

  // The same of a coin that comes back. What was open here when it left is decided by now, unless the export has it open
  // still; a backup does not know what came after it.
  async mergeUnknown(tx, coin, open, { standings, backup, identity }) {
    const rows = (await tx.all('payments')).filter((p) => p.coin === coin.coin)
    const same = (a, b) => a.vendor === b.vendor && a.url === b.url && a.ticket === b.ticket
    for (const p of backup ? [] : rows.filter(isOpen)) {
      if (open.some((o) => same(o, p))) continue
      const used = standings.some((s) => s.vendor === p.vendor && s.used.includes(p.ticket))
      await this.#close(tx, [p.id], used ? 'paid' : 'void', { finished: p.created })
    }
    for (const o of open) if (!rows.some((p) => same(o, p) && (backup || isOpen(p)))) await this.addUnknown(tx, coin, { ...o, identity })
  }

  async #bury(tx) {
    for (const p of await tx.all('payments'))
      if (p.state === 'live' && !this.alive(p.owner, p)) await this.#close(tx, [p.id], 'unknown')
  }

  async #newId(tx) {
    const id = ((await tx.get('settings', 'payments'))?.last ?? 0) + 1
    await tx.put('settings', 'payments', { last: id })
    return id
  }

  async #prune(tx) {
    const old = (await tx.all('payments')).filter((p) => !isOpen(p) && p.finished < this.now() - day)
    for (const p of old.slice(0, Math.max(0, old.length - mostHistory))) await tx.delete('payments', paymentKey(p.id))
  }

  #takes(want, identity, coin) {
    return coin.state === 'live' && coin.currency === want.currency && coin.expires > this.now() &&
      coin.identity === identity && want.brokers.includes(coin.issuer)
  }

  async #take(tx, want, coin, s, choice) {
    const units = unitsFor(want.amount, coin.unit) ?? mostUnits
    const cost = times(coin.unit, units) ?? want.amount
    const id = await this.#newId(tx)
    await tx.put('payments', paymentKey(id), { id, coin: coin.coin, vendor: want.vendor, method: want.method, url: want.url,
      ticket: choice.ticket, units, amount: want.amount, cost, currency: want.currency, identity: coin.identity, state: 'live',
      owner: this.owner, created: this.now(), finished: 0, rereads: 0 })
    openPayment(s.count, { id, ticket: choice.ticket, units, live: true, here: true })
    await this.#save(tx, coin, want.vendor, s)
    if (!(await tx.get('sites', want.vendor))) await tx.put('sites', want.vendor, { vendor: want.vendor, identity: coin.identity })
    return { payment: id, coin: await tx.get('coins', coin.coin), index: choice.ticket,
      payword: await this.payword(tx, coin, choice.ticket), amount: want.amount, cost, known: s.known, reread: false, switched: false }
  }

  // A payment for the same page whose outcome never arrived is tried again with its own ticket.
  async #resume(tx, want) {
    if (want.method !== 'GET') return null
    const before = (await tx.all('payments')).reverse()
      .find((p) => p.url === want.url && p.vendor === want.vendor && p.method === 'GET' && p.state === 'unknown')
    const coin = before && (await tx.get('coins', before.coin))
    if (!coin || !this.#takes(want, await this.#identityOf(tx, want.vendor), coin)) return null
    const s = await this.#load(tx, coin, want.vendor)
    const units = unitsFor(want.amount, coin.unit)
    const underWay = s.count.open.some((o) => o.live && o.here && o.ticket === before.ticket)
    if (units === null || units > before.units || underWay || s.count.used.has(before.ticket) || s.refused) return null
    return this.#take(tx, want, coin, s, { ticket: before.ticket })
  }

  // Preferred: the coin the vendor holds, then one nobody has seen, then one that was spent elsewhere; a disputed one
  // where no other will do. { coin, s, choice, cost }, or { balance, refused } of what there is.
  async #find(tx, want, notThisCoin = '') {
    const identity = await this.#identityOf(tx, want.vendor)
    const rank = (c) => (isDisputed(c) ? 3 : c.holder === want.vendor ? 0 : c.holder === '' ? 1 : 2)
    const coins = (await tx.all('coins')).filter((c) => c.coin !== notThisCoin && this.#takes(want, identity, c))
      .sort((a, b) => rank(a) - rank(b) || a.created - b.created)
    let balance = 0
    let refused = ''
    for (const coin of coins) {
      const s = await this.#load(tx, coin, want.vendor)
      if (s.refused) {
        refused = `; coin ${shortName(coin.coin)} is not taken there (${s.refused})`
        continue
      }
      balance += left(coin)
      const units = unitsFor(want.amount, coin.unit)
      if (units === null) continue
      if (s.count.open.some((p) => p.live && !p.here)) {
        refused = `; coin ${shortName(coin.coin)} is being spent at another site at this moment, try again`
        continue
      }
      const cost = times(coin.unit, units)
      if (cost > want.limit) {
        refused = `; by coin ${shortName(coin.coin)} it would cost ${pretty(cost, coin.currency)}`
        continue
      }
      const choice = choose(s.count, units)
      if (choice.ticket) return { coin, s, choice, cost }
    }
    return { balance, refused }
  }

  // above: what was accepted for this page already, and is within the limits.
  async #pick(tx, want, { notThisCoin = '', above = 0 } = {}) {
    const { coin, s, choice, cost, balance, refused } = await this.#find(tx, want, notThisCoin)
    if (!coin)
      throw new NetPayError('no-money', `not enough money: this costs ${pretty(want.amount, want.currency)}, your coins for this ` +
        `site have ${pretty(balance, want.currency)}${refused}`, { balance })
    if (cost > above) await this.#withinLimits(tx, want, cost)
    return this.#take(tx, want, coin, s, choice)
  }

  async #cost(tx, want) {
    return (await this.#find(tx, { ...want, limit: Infinity })).cost ?? want.amount
  }

  // What would leave the coins for a page; its price where no coin will do.
  async cost(want) {
    return this.store.transaction((tx) => this.#cost(tx, want))
  }

  // Throws if the limits leave no room for this payment.
  async checkLimits(want) {
    await this.store.transaction(async (tx) => this.#withinLimits(tx, want, await this.#cost(tx, want)))
  }

  // A ticket for a new payment.
  async reserve(want) {
    return this.store.transaction(async (tx) => {
      await this.#bury(tx)
      await this.#prune(tx)
      const again = await this.#resume(tx, want)
      return again ?? this.#pick(tx, want)
    })
  }

  // The same payment after the vendor's answer, perhaps at a new price
  // (want.amount): a better index, or another coin if this one is too short.
  // answer: { spent, needed, ticketUsed }
  async reserveAgain(want, before, answer) {
    const result = await this.store.transaction(async (tx) => {
      const coin = await tx.get('coins', before.coin.coin)
      if (!coin) throw new NetPayError('usage', 'the coin is gone from the store')
      const s = await this.#load(tx, coin, want.vendor)
      const units = unitsFor(want.amount, coin.unit) ?? mostUnits
      notCharged(s.count, before.payment)
      await this.#close(tx, [before.payment], 'void')
      if (answer.spent !== undefined) {
        const most = unitsFor(want.limit, coin.unit) ?? units
        const allowance = coin.restored && most > units ? most - units : 0
        const absorbed = absorb(s.count, answer.spent, before.index, allowance)
        if (!absorbed.believed) {
          await this.#save(tx, coin, want.vendor, s)
          await tx.put('coins', coin.coin, { ...(await tx.get('coins', coin.coin)), claimed: answer.spent })
          return new NetPayError('disputed', `${want.vendor} says that ${pretty(times(coin.unit, answer.spent) ?? 0, coin.currency)} of ` +
            `coin ${shortName(coin.coin)} are spent; by your own count it is ${pretty(times(coin.unit, s.count.spent), coin.currency)}. ` +
            'Nothing more was shown to it')
        }
        await this.#close(tx, absorbed.settled, 'paid')
      }
      if (answer.ticketUsed) await this.#close(tx, ticketUsed(s.count, before.index), 'void')
      await this.#save(tx, coin, want.vendor, s)
      const cost = times(coin.unit, units) ?? want.amount
      if (cost > want.limit) return new NetPayError('not-accepted', `this costs ${pretty(cost, want.currency)} now`)
      if (cost > before.cost) {
        try {
          await this.#withinLimits(tx, want, cost)
        } catch (error) {
          return error // what was learned of the coin stays on record
        }
      }
      const choice = choose(s.count, units, answer.needed ?? 0)
      if (choice.ticket) return { ...(await this.#take(tx, want, coin, s, choice)), switched: before.switched }
      if (choice.why === 'coin-short' && !before.switched) {
        try {
          return { ...(await this.#pick(tx, want, { notThisCoin: coin.coin, above: Math.max(cost, before.cost) })), switched: true }
        } catch (error) {
          return error
        }
      }
      return choice.why === 'coin-short'
        ? new NetPayError('no-money', `not enough money: this costs ${pretty(want.amount, want.currency)}`)
        : new NetPayError('disputed', `${want.vendor} asks for more of coin ${shortName(coin.coin)} than you accepted to pay; ` +
          'nothing more was shown to it')
    })
    if (result instanceof Error) throw result
    return result
  }

  // What was paid for a page within the last minutes; undefined if nothing was.
  async #paidLately(tx, vendor, url) {
    const since = this.now() - graceSeconds
    return (await tx.all('payments')).reverse().find((p) => p.url === url && p.vendor === vendor && p.method === 'GET' &&
      p.state === 'paid' && p.finished > since)
  }

  async paidLately(vendor, url) {
    return this.store.transaction(async (tx) => (await this.#paidLately(tx, vendor, url)) !== undefined)
  }

  // How often and until when a page that was paid can be read again: { coin, times, until }; null if it cannot.
  async grace(vendor, url) {
    return this.store.transaction(async (tx) => {
      const before = await this.#paidLately(tx, vendor, url)
      const coin = before && (await tx.get('coins', before.coin))
      if (!coin || coin.holder !== vendor || coin.state !== 'live' || before.rereads >= graceCount) return null
      return { coin: coin.coin, times: graceCount - before.rereads, until: before.finished + graceSeconds }
    })
  }

  // A page that was paid a short while ago by GET: its ticket, to be shown again; null if there is none.
  async reread(vendor, url) {
    return this.store.transaction(async (tx) => {
      const before = await this.#paidLately(tx, vendor, url)
      const coin = before && before.rereads < graceCount && (await tx.get('coins', before.coin))
      if (!coin || coin.holder !== vendor || coin.state !== 'live') return null
      await tx.put('payments', paymentKey(before.id), { ...before, rereads: before.rereads + 1 })
      return { payment: 0, coin, index: before.ticket, payword: await this.payword(tx, coin, before.ticket), amount: before.amount,
        cost: 0, known: true, reread: true, switched: false }
    })
  }

  // The payment a receipt speaks of, among those that are open, or were taken back just now: the request may have left.
  async openPaymentOf(vendor, url, coin, index) {
    return this.store.transaction(async (tx) => {
      const since = this.now() - lateSeconds
      const same = (await tx.all('payments')).reverse().filter((p) => p.vendor === vendor && p.coin === coin && p.ticket === index)
      if (same.some((p) => p.state === 'paid' || p.state === 'given-back')) return undefined // a ticket buys one page
      const mine = same.filter((p) => p.url === url)
      return mine.find(isOpen) ?? mine.find((p) => p.state === 'void' && p.finished > since)
    })
  }

  // A page came with a receipt: { amount, spent, giveBack }. What it charges is cut down to what was accepted; what left
  // the coins is returned.
  async paid(ticket, vendor, receipt) {
    if (ticket.reread) return 0
    return this.store.transaction(async (tx) => {
      const amount = Math.min(receipt.amount, ticket.amount)
      const coin = await tx.get('coins', ticket.coin.coin)
      const row = await tx.get('payments', paymentKey(ticket.payment))
      if (row?.state === 'void') await this.#close(tx, [row.id], 'unknown')
      let cost = amount
      if (coin) {
        const s = await this.#load(tx, coin, vendor)
        const own = s.count.spent + liveUnits(s.count) + unknownUnits(s.count)
        const units = unitsFor(amount, coin.unit) ?? mostUnits
        cost = times(coin.unit, Math.min(units, row?.units ?? units)) ?? amount
        await this.#close(tx, paid(s.count, ticket.payment, units), 'void')
        s.known = true
        s.refused = ''
        await this.#save(tx, coin, vendor, s)
        await tx.put('coins', coin.coin, { ...(await tx.get('coins', coin.coin)), holder: vendor, held: s.count.spent,
          restored: coin.restored && receipt.spent > own, claimed: 0 })
      }
      const giveBack = Math.min(receipt.giveBack ?? 0, day)
      await this.#close(tx, [ticket.payment], 'paid', { amount, cost, ...(giveBack && { giveBackUntil: this.now() + giveBack }) })
      return cost
    })
  }

  async notCharged(ticket) {
    if (ticket.payment) await this.store.transaction((tx) => this.#close(tx, [ticket.payment], 'void'))
  }

  async doubt(ticket) {
    if (ticket.payment) await this.store.transaction((tx) => this.#close(tx, [ticket.payment], 'unknown'))
  }

  // The vendor does not take this coin: it is not offered there again.
  async refused(ticket, vendor, why) {
    await this.store.transaction(async (tx) => {
      await this.#close(tx, [ticket.payment], 'void')
      const key = `${ticket.coin.coin} ${vendor}`
      const row = await tx.get('standings', key)
      if (row) await tx.put('standings', key, { ...row, refused: printable(why, 40) })
    })
  }

  // Whether a payment for the page is on its way, by whom ever.
  async isUnderWay(vendor, url) {
    return this.store.transaction(async (tx) => (await tx.all('payments'))
      .some((p) => p.state === 'live' && p.vendor === vendor && p.url === url && p.method === 'GET' && this.alive(p.owner, p)))
  }

  // --- giving a page back, as long as its site allows it ---

  canGiveBack(payment) {
    return payment.state === 'paid' && payment.giveBackUntil >= this.now()
  }

  // What the site is shown: a payword it has. A coin that moved on is not its to give back any more.
  async askBack(id) {
    return this.store.transaction(async (tx) => {
      const row = await tx.get('payments', paymentKey(id))
      if (!row || !this.canGiveBack(row)) throw new NetPayError('usage', 'this page can not be given back, or not any more')
      const coin = await tx.get('coins', row.coin)
      if (!coin || coin.state !== 'live' || coin.holder !== row.vendor)
        throw new NetPayError('usage', 'the coin that paid this page is not at its site any more')
      const others = (await tx.all('payments')).some((p) => p.id !== id && p.url === row.url && p.state === 'given-back')
      await tx.put('payments', paymentKey(id), { ...row, asked: true })
      // Asked before without an answer: that the site did it then is believed, where it cannot mean another time.
      return { payment: row, index: row.ticket, payword: await this.payword(tx, coin, row.ticket), perhapsDone: row.asked === true && !others }
    })
  }

  // The site says that it gave back so many units; believed up to what the page cost. What is hers again.
  async gaveBack(id, units) {
    return this.store.transaction(async (tx) => {
      const row = await tx.get('payments', paymentKey(id))
      const coin = row && (await tx.get('coins', row.coin))
      if (!coin || row.state !== 'paid' || coin.holder !== row.vendor) return 0
      const s = await this.#load(tx, coin, row.vendor)
      const amount = times(coin.unit, givenBack(s.count, row.ticket, Math.min(units, unitsFor(costOf(row), coin.unit) ?? 0)))
      await this.#save(tx, coin, row.vendor, s)
      // The next site must not see a payword above what is spent.
      await tx.put('coins', coin.coin, { ...(await tx.get('coins', coin.coin)), held: 0 })
      await this.#close(tx, [id], 'given-back', { cost: costOf(row) - amount, back: amount })
      return amount
    })
  }

  // Newest first: { id, vendor, url, method, amount, currency, identity, state, created, … }
  async history(most = 200) {
    return this.store.transaction(async (tx) => {
      await this.#bury(tx)
      return (await tx.all('payments')).reverse().slice(0, most)
    })
  }

  // --- what sites said of themselves ---

  async rememberSession(vendor, challenge, expires) {
    await this.store.transaction(async (tx) => {
      const key = (row) => `${row.vendor} ${row.challenge.realm}`
      const others = (await tx.all('sessions')).filter((row) => key(row) !== `${vendor} ${challenge.realm}`)
      const old = others.filter((row) => row.expires <= this.now())
      const mine = others.filter((row) => row.vendor === vendor && !old.includes(row)).sort((a, b) => b.expires - a.expires)
      for (const row of [...old, ...mine.slice(mostSessions - 1)]) await tx.delete('sessions', key(row))
      await tx.put('sessions', `${vendor} ${challenge.realm}`, { vendor, challenge, expires })
    })
  }

  async session(vendor, realm) {
    const row = await this.store.transaction((tx) => tx.get('sessions', `${vendor} ${realm}`))
    return row && row.expires > this.now() + 5 ? row.challenge : null
  }

  // Whether a page of this site may be paid in its first request: it has a standing challenge, and is paid unasked.
  async paysAhead(vendor) {
    return this.store.transaction(async (tx) => {
      const standing = (await tx.all('sessions')).some((row) => row.vendor === vendor && row.expires > this.now())
      const rules = standing ? (await tx.all('limits')).filter((rule) => rule.automatic !== null) : []
      const mine = rules.filter((rule) => rule.site === vendor)
      const others = rules.filter((rule) => rule.site === '*' && !mine.some((own) => own.currency === rule.currency))
      return [...mine, ...others].some((rule) => rule.automatic)
    })
  }

  // path: one page's, or with a '/' at its end a directory's.
  async rememberPrice(vendor, path, price) {
    await this.store.transaction((tx) => tx.put('prices', `${vendor} ${path}`, price))
  }

  // { realm, amount, currency } of a page, else of the nearest directory; null if unknown.
  async price(vendor, path) {
    return this.store.transaction(async (tx) => {
      for (let at = path; ; at = at.slice(0, at.lastIndexOf('/', at.length - 2) + 1)) {
        const found = await tx.get('prices', `${vendor} ${at}`)
        if (found) return found
        if (at.length <= 1) return null
      }
    })
  }
}

// A new coin's record; the chain is made here and stored with it, so that no
// kill and no lost answer can lose it.
export function makeCoin({ issuer, currency, unit, n, identity, now }) {
  const salt = random(16)
  const chain = Chain.make(salt, random(32), n)
  const coin = { coin: coinName(salt, chain.at(0)), issuer, currency, unit, n, salt: b64u(salt), touchstone: '', expires: 0,
    state: 'pending', idempotency: b64u(random(16)), created: now, spent: 0, holder: '', held: 0, claimed: 0, restored: false,
    identity }
  return { coin, chain }
}
