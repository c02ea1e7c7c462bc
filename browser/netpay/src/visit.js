// One page on its way to being paid: the challenge, the ticket, and what the
// vendor's answers mean. It sends nothing itself: fetch.js and the extension
// do, and tell it what came back. The purse keeps what must survive.
import { bestOffer, credential, parseProblem, parseReceipt, parseTime } from './challenge.js'
import { NetPayError, printable } from './errors.js'
import { pretty } from './money.js'
import { isPrivate, originOf, withoutFragment } from './origin.js'

const mostBargains = 6 // answers that correct the count or the price
const coinAtFault = ['expired', 'lease-over', 'broker', 'currency']

const pathOf = (url) => new URL(url).pathname
const directoryOf = (path) => path.slice(0, path.lastIndexOf('/') + 1)

export class Visit {
  // accept({ vendor, url, amount, currency, brokers }): the most the owner
  // accepts to leave her coins for this page, at least the amount; throws
  // NetPayError if she does not.
  constructor(purse, { url, method = 'GET', accept }) {
    this.purse = purse
    this.url = withoutFragment(url)
    this.vendor = originOf(url)
    this.method = method
    this.accept = accept
    this.ticket = null
    this.challenge = null
    this.terms = null
    this.limit = null
    this.bargains = 0
    this.renewals = 0
    this.sendTouchstone = false
    this.rereadTried = false
  }

  get want() {
    return { vendor: this.vendor, method: this.method, url: this.url, amount: this.terms.amount,
      limit: this.limit ?? this.terms.amount, currency: this.terms.currency, brokers: this.terms.brokers }
  }

  // What leaves the coins for this page: coins are spent by whole units.
  async cost() {
    return this.purse.cost(this.want)
  }

  async #consent() {
    const amount = await this.cost()
    if (this.limit !== null && amount <= this.limit) return
    this.limit = await this.accept({ vendor: this.vendor, url: this.url, ...this.terms, amount })
  }

  // The challenges of a 402: its WWW-Authenticate field values.
  async read(fields) {
    if (this.method === 'HEAD') throw new NetPayError('payment', 'HEAD is never paid for')
    const offer = bestOffer(fields, this.vendor)
    if (!offer.challenge) throw new NetPayError('payment', `${this.vendor} wants to be paid, but ${offer.trouble}`)
    if (!isPrivate(this.url))
      throw new NetPayError('insecure', `${this.vendor} asks for ${pretty(offer.terms.amount, offer.terms.currency)} over plain http; ` +
        'money goes over https only')
    const currencyBefore = this.terms?.currency
    this.challenge = offer.challenge
    this.terms = offer.terms
    const until = offer.challenge.intent === 'session' ? parseTime(offer.challenge.expires) : null
    if (until !== null && until > this.purse.now()) await this.purse.rememberSession(this.vendor, offer.challenge, until)
    return currencyBefore === undefined || currencyBefore === offer.terms.currency
  }

  // After read(): the ticket of a page that was paid a short while ago, free to see again. Asks nobody.
  async takeReread() {
    if (this.method !== 'GET' || this.rereadTried) return false
    this.rereadTried = true
    this.ticket = await this.purse.reread(this.vendor, this.url)
    return this.ticket !== null
  }

  // After read(): a ticket the owner accepts.
  async takeTicket() {
    await this.#consent()
    this.ticket = await this.purse.reserve(this.want)
  }

  // Whether the first request can carry the payment, with no 402 in between:
  // price and standing challenge are known. Takes nothing yet.
  async foresee() {
    if (this.method === 'HEAD' || !isPrivate(this.url)) return false
    const price = await this.purse.price(this.vendor, pathOf(this.url))
    const challenge = price?.amount ? await this.purse.session(this.vendor, price.realm) : null
    const offer = challenge && bestOffer([formatChallenge(challenge)], this.vendor)
    if (!offer?.terms || offer.terms.currency !== price.currency) return false
    this.challenge = challenge
    this.terms = { ...offer.terms, amount: price.amount }
    return true
  }

  // After foresee(): a ticket, if the owner lets the page be paid unasked. Any doubt means: ask first.
  async takeAhead() {
    if (await this.takeReread()) return true
    if (!(await this.purse.decidesAlone(this.vendor, await this.cost(), this.terms.currency))) return false
    try {
      await this.takeTicket()
    } catch (error) {
      if (!(error instanceof NetPayError)) throw error
    }
    return this.ticket !== null
  }

  // The header field of the payment: [name, value]. again: for a site that took it already.
  field({ again = false } = {}) {
    const { coin, index, payword, known, amount } = this.ticket
    const payload = { coin: coin.coin, index, payword, max: String(amount) }
    if (again) return credential(this.challenge, payload)
    if (!known || this.sendTouchstone) payload.touchstone = coin.touchstone
    if (coin.holder && coin.holder !== this.vendor && coin.held > 0) Object.assign(payload, { holder: coin.holder, held: coin.held })
    return credential(this.challenge, payload)
  }

  // A 2xx to the payment. receipt: the Payment-Receipt field, or null. It is on record before this returns.
  // { amount, currency, reread } of what was paid, or null if the page came without a receipt for it.
  async settled(receipt) {
    const { ticket } = this
    this.ticket = null
    const said = receipt ? parseReceipt(receipt) : null
    if (!said || said.coin !== ticket.coin.coin || said.index !== ticket.index || said.currency !== ticket.coin.currency) {
      if (!ticket.reread && !receipt) await this.#rememberPrice(0)
      await this.purse.doubt(ticket)
      return null
    }
    const amount = await this.purse.paid(ticket, this.vendor, said)
    await this.#rememberPrice(Math.min(said.amount, ticket.amount))
    return { amount, currency: said.currency, reread: ticket.reread, coin: said.coin, index: said.index }
  }

  async #rememberPrice(amount) {
    const known = { realm: this.challenge.realm, amount, currency: this.terms.currency }
    const path = pathOf(this.url)
    await this.purse.rememberPrice(this.vendor, path, known)
    if (amount) await this.purse.rememberPrice(this.vendor, directoryOf(path), known)
  }

  // A 402 to the payment; read() was called with its challenges, sameCurrency is what that returned.
  // Either a new ticket is taken, to be sent once more, or NetPayError says why not.
  async judged(body, sameCurrency = true) {
    const problem = parseProblem(body)
    const { kind, reason } = problem
    if (!sameCurrency) return this.#unfit('currency')
    if (kind === 'payment-insufficient') return this.#notEnough(problem, false)
    if (kind === 'verification-failed') {
      if (reason === 'already-spent') return this.#notEnough(problem, true)
      if (reason === 'touchstone' && !this.sendTouchstone) {
        this.sendTouchstone = true
        return undefined
      }
      return this.#unfit(reason || 'verification failed')
    }
    const stale = kind === 'payment-expired' || kind === 'invalid-challenge' || kind === 'payment-required'
    if (stale && ++this.renewals <= 1) {
      if (this.terms.amount <= this.ticket.amount) return undefined // the same ticket with the fresh challenge
      return this.#notEnough(problem, false)
    }
    await this.void()
    throw new NetPayError('payment', `${this.vendor} refuses the payment (${printable(kind || '402', 60)}): ${printable(problem.words)}`)
  }

  async #notEnough(problem, ticketWasUsed) {
    if (this.ticket.reread) {
      this.ticket = null
      return this.takeTicket()
    }
    if (++this.bargains > mostBargains) {
      await this.void()
      throw new NetPayError('payment', `${this.vendor} refuses one payment after the other: ${printable(problem.words)}`)
    }
    const before = this.ticket
    try {
      await this.#consent()
      this.ticket = null
      this.ticket = await this.purse.reserveAgain(this.want, before, { spent: problem.spent, needed: problem.needed, ticketUsed: ticketWasUsed })
    } catch (error) {
      this.ticket = null
      await this.purse.notCharged(before)
      throw error
    }
    return undefined
  }

  // The vendor does not take this coin. Another one is tried once: a vendor
  // that refuses them all must not collect a payword of each.
  async #unfit(reason) {
    const before = this.ticket
    this.ticket = null
    if (before.payment) await this.purse.refused(before, this.vendor, reason)
    if (before.reread) return this.takeTicket()
    if (!coinAtFault.includes(reason) || before.switched)
      throw new NetPayError('payment', `${this.vendor} does not take coin ${before.coin.coin.slice(0, 8)}: ${printable(reason, 60)}`)
    await this.takeTicket()
    this.ticket.switched = true
    return undefined
  }

  // The vendor answered something that is not charged.
  async void() {
    const { ticket } = this
    this.ticket = null
    if (ticket) await this.purse.notCharged(ticket)
  }

  // No answer: the payment may have arrived.
  async doubt() {
    const { ticket } = this
    this.ticket = null
    if (ticket) await this.purse.doubt(ticket)
  }
}

const formatChallenge = (challenge) => `Payment ${Object.entries(challenge)
  .map(([name, value]) => `${name}="${value.replace(/(["\\])/g, '\\$1')}"`).join(', ')}`
