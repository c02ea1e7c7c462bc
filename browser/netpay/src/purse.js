// A purse: coins, payments, limits and identities in a store. The rules of
// what may be shown to a vendor are those of count.js; here they are made
// durable. A ticket is in the store before the caller sees it, so that
// whatever dies at any instant has at most revealed what is on record, and no
// two payments get the same ticket.
import { b64u, random, unb64u } from './bytes.js'
import { Chain, coinName } from './chain.js'
import { absorb, choose, liveUnits, notCharged, openPayment, paid, ticketUsed, unknownUnits } from './count.js'
import { NetPayError, printable } from './errors.js'
import { mostUnits, pretty, times, unitsFor } from './money.js'

const day = 24 * 3600
const graceSeconds = 300 // how long a page that was paid can be read again, by the vendors' default
const graceCount = 3
const mostHistory = 2000 // payments kept once they are older than a day

export const left = (coin) => times(coin.unit, coin.n - coin.spent)
const shortName = (coin) => coin.slice(0, 8)
const isOpen = (payment) => payment.state === 'live' || payment.state === 'unknown'
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

  // Whether the owner's rules allow this price without asking her.
  async decidesAlone(vendor, amount, currency) {
    return this.store.transaction(async (tx) => {
      const mine = await tx.get('limits', limitKey(vendor, currency))
      const all = await tx.get('limits', limitKey('*', currency))
      const most = mine?.perPage ?? all?.perPage ?? null
      return (mine?.automatic ?? all?.automatic ?? false) && most !== null && amount <= most
    })
  }

  async #withinLimits(tx, want) {
    const mine = await tx.get('limits', limitKey(want.vendor, want.currency))
    const all = await tx.get('limits', limitKey('*', want.currency))
    const since = this.now() - day
    const recent = (await tx.all('payments'))
      .filter((p) => p.created > since && p.currency === want.currency && p.state !== 'void')
    const gone = (list) => {
      const pages = new Map() // one ticket buys one page, however often it was shown
      for (const p of list) {
        const page = `${p.vendor} ${p.coin} ${p.ticket}`
        pages.set(page, Math.max(p.amount, pages.get(page) ?? 0))
      }
      return [...pages.values()].reduce((sum, amount) => sum + amount, 0)
    }
    const check = (limit, list, where) => {
      if (limit === null || limit === undefined || gone(list) + want.amount <= limit) return
      throw new NetPayError('not-accepted', `over your limit for ${where}: ${pretty(gone(list), want.currency)} of ` +
        `${pretty(limit, want.currency)} went in the last 24 hours and this costs ${pretty(want.amount, want.currency)}`,
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
  // owner accepted; limit is the most for this page, amount its price.
  // A ticket: { payment (0 for a reread), coin, index, payword, amount, known, reread, switched }.

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
      if (row) await tx.put('payments', paymentKey(id), { ...row, ...change, state, finished: this.now() })
    }
  }

  // A payment of an imported coin whose outcome is not known.
  async addUnknown(tx, payment) {
    const id = await this.#newId(tx)
    await tx.put('payments', paymentKey(id), { ...payment, id, state: 'unknown', owner: '', finished: 0, rereads: 0 })
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
    const id = await this.#newId(tx)
    await tx.put('payments', paymentKey(id), { id, coin: coin.coin, vendor: want.vendor, method: want.method, url: want.url,
      ticket: choice.ticket, units, amount: want.amount, currency: want.currency, identity: coin.identity, state: 'live',
      owner: this.owner, created: this.now(), finished: 0, rereads: 0 })
    openPayment(s.count, { id, ticket: choice.ticket, units, live: true, here: true })
    await this.#save(tx, coin, want.vendor, s)
    if (!(await tx.get('sites', want.vendor))) await tx.put('sites', want.vendor, { vendor: want.vendor, identity: coin.identity })
    return { payment: id, coin: await tx.get('coins', coin.coin), index: choice.ticket,
      payword: await this.payword(tx, coin, choice.ticket), amount: want.amount, known: s.known, reread: false, switched: false }
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

  // Preferred: the coin the vendor holds, then one nobody has seen, then one that was spent elsewhere.
  async #pick(tx, want, notThisCoin) {
    const identity = await this.#identityOf(tx, want.vendor)
    const rank = (c) => (c.holder === want.vendor ? 0 : c.holder === '' ? 1 : 2)
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
      const choice = choose(s.count, units)
      if (choice.ticket) return this.#take(tx, want, coin, s, choice)
    }
    throw new NetPayError('no-money', `not enough money: this costs ${pretty(want.amount, want.currency)}, your coins for this ` +
      `site have ${pretty(balance, want.currency)}${refused}`, { balance })
  }

  // Throws if the limits leave no room for this payment.
  async checkLimits(want) {
    await this.store.transaction((tx) => this.#withinLimits(tx, want))
  }

  // A ticket for a new payment.
  async reserve(want) {
    return this.store.transaction(async (tx) => {
      await this.#bury(tx)
      await this.#prune(tx)
      const again = await this.#resume(tx, want)
      if (again) return again
      await this.#withinLimits(tx, want)
      return this.#pick(tx, want, '')
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
      if (want.amount > before.amount) {
        try {
          await this.#withinLimits(tx, want)
        } catch (error) {
          return error // what was learned of the coin stays on record
        }
      }
      const choice = choose(s.count, units, answer.needed ?? 0)
      if (choice.ticket) return { ...(await this.#take(tx, want, coin, s, choice)), switched: before.switched }
      if (choice.why === 'coin-short' && !before.switched) {
        try {
          return { ...(await this.#pick(tx, want, coin.coin)), switched: true }
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

  // A page that was paid a short while ago by GET: its ticket, to be shown again; null if there is none.
  async reread(vendor, url) {
    return this.store.transaction(async (tx) => {
      const since = this.now() - graceSeconds
      const before = (await tx.all('payments')).reverse().find((p) => p.url === url && p.vendor === vendor && p.method === 'GET' &&
        p.state === 'paid' && p.finished > since && p.rereads < graceCount)
      const coin = before && (await tx.get('coins', before.coin))
      if (!coin || coin.holder !== vendor || coin.state !== 'live') return null
      await tx.put('payments', paymentKey(before.id), { ...before, rereads: before.rereads + 1 })
      return { payment: 0, coin, index: before.ticket, payword: await this.payword(tx, coin, before.ticket), amount: before.amount,
        known: true, reread: true, switched: false }
    })
  }

  // The payment a receipt speaks of, among those that are open.
  async openPaymentOf(vendor, url, coin, index) {
    return this.store.transaction(async (tx) => (await tx.all('payments')).reverse()
      .find((p) => isOpen(p) && p.vendor === vendor && p.url === url && p.coin === coin && p.ticket === index))
  }

  // A page came with a receipt. charged is cut down to what was accepted; what counts is returned.
  async paid(ticket, vendor, charged, receiptSpent) {
    if (ticket.reread) return 0
    return this.store.transaction(async (tx) => {
      const counts = Math.min(charged, ticket.amount)
      const coin = await tx.get('coins', ticket.coin.coin)
      if (coin) {
        const s = await this.#load(tx, coin, vendor)
        const own = s.count.spent + liveUnits(s.count) + unknownUnits(s.count)
        await this.#close(tx, paid(s.count, ticket.payment, unitsFor(counts, coin.unit) ?? mostUnits), 'void')
        s.known = true
        s.refused = ''
        await this.#save(tx, coin, vendor, s)
        await tx.put('coins', coin.coin, { ...(await tx.get('coins', coin.coin)), holder: vendor, held: s.count.spent,
          restored: coin.restored && receiptSpent > own, claimed: 0 })
      }
      await this.#close(tx, [ticket.payment], 'paid', { amount: counts })
      return counts
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

  // Newest first: { id, vendor, url, method, amount, currency, identity, state, created, … }
  async history(most = 200) {
    return this.store.transaction(async (tx) => {
      await this.#bury(tx)
      return (await tx.all('payments')).reverse().slice(0, most)
    })
  }

  // --- what sites said of themselves ---

  async rememberSession(vendor, challenge, expires) {
    await this.store.transaction((tx) => tx.put('sessions', `${vendor} ${challenge.realm}`, { vendor, challenge, expires }))
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
