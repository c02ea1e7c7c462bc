// A broker's interface for an owner: accounts, top-ups, coins, returns.
import { parseJson, isObject } from './json.js'
import { NetPayError, printable } from './errors.js'
import { isAmount, isCurrency, mostUnits, parseAmount, times } from './money.js'
import { isOrigin, isPrivate, originOf } from './origin.js'
import { makeCoin } from './purse.js'
import { readKeys, verifyTouchstone } from './touchstone.js'

const mostAnswer = 1 << 20
const mostCoinsAtOnce = 64

const amountOf = (value) => (isAmount(value) ? value : value === '0' ? 0 : parseAmount(value))

export class Broker {
  constructor(purse, issuer, { fetch: plain = globalThis.fetch } = {}) {
    if (!isOrigin(issuer) || !isPrivate(issuer))
      throw new NetPayError('usage', `'${printable(issuer)}' is not a broker's address; it is like https://broker.example`)
    this.purse = purse
    this.issuer = issuer
    this.fetch = (...args) => plain(...args)
  }

  #nonsense(what) {
    return new NetPayError('broker', `the broker ${this.issuer} answers nonsense: ${printable(what)}`)
  }

  async #text(url, options) {
    let answer
    try {
      answer = await this.fetch(url, { redirect: 'error', credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(30000), ...options })
      const body = await answer.text()
      if (body.length > mostAnswer) throw new Error('too long')
      return { status: answer.status, body }
    } catch (error) {
      throw new NetPayError('network', `cannot reach the broker at ${originOf(url)}`, { cause: error })
    }
  }

  async #call(url, { token, body, headers = {} } = {}) {
    const fields = { accept: 'application/json, application/problem+json', ...headers }
    if (token) fields.authorization = `Bearer ${token}`
    if (body) fields['content-type'] = 'application/json'
    const answer = await this.#text(url, { method: body ? 'POST' : 'GET', headers: fields, body: body && JSON.stringify(body) })
    const value = parseJson(answer.body)
    if (!isObject(value)) throw answer.status >= 400 ? this.#refusal(answer.status, {}) : this.#nonsense('no JSON')
    return { status: answer.status, value }
  }

  #refusal(status, value) {
    return new NetPayError('broker', `the broker ${this.issuer} refuses: ${printable(value.detail ?? value.title ?? 'no reason given')} (HTTP ${status})`, { status })
  }

  async #done(url, options) {
    const { status, value } = await this.#call(url, options)
    if (status < 200 || status > 299) throw this.#refusal(status, value)
    return { status, value }
  }

  // { issuer, api, jwks_uri, currencies, denominations: [{ unit, n }] }
  async discover() {
    const { value } = await this.#done(`${this.issuer}/.well-known/netpay`)
    const { issuer, api, jwks_uri: jwksUri, currencies, denominations } = value
    if (issuer !== this.issuer) throw this.#nonsense('it calls itself by another name')
    if (originOf(api) !== issuer || originOf(jwksUri) !== issuer) throw this.#nonsense('its interface is on another origin')
    if (!Array.isArray(currencies) || !Array.isArray(denominations)) throw this.#nonsense('members of its description are missing')
    const longest = isAmount(value.max_length) ? Math.min(value.max_length, mostUnits) : mostUnits
    return { issuer, api, jwks_uri: jwksUri, currencies: currencies.filter(isCurrency),
      denominations: denominations.filter((d) => isObject(d) && isAmount(d.unit) && d.unit > 0 && isAmount(d.n) && d.n > 0 && d.n <= longest &&
        times(d.unit, d.n) !== null).map(({ unit, n }) => ({ unit, n })) }
  }

  async #jwks(url) {
    const { status, body } = await this.#text(url)
    if (status !== 200 || !readKeys(body)) throw this.#nonsense('its key set')
    return body
  }

  // The account at this broker that the purse has; null if none.
  async account() {
    return (await this.purse.store.transaction((tx) => tx.get('accounts', this.issuer))) ?? null
  }

  async #save(account) {
    await this.purse.store.transaction((tx) => tx.put('accounts', this.issuer, account))
    return account
  }

  async #ours() {
    const account = await this.account()
    if (!account) throw new NetPayError('usage', `there is no account at ${this.issuer} yet`)
    return account
  }

  // Makes a pseudonymous account, unless there is one.
  async createAccount() {
    const before = await this.account()
    if (before) return before
    const info = await this.discover()
    const jwks = await this.#jwks(info.jwks_uri)
    const { value } = await this.#done(`${info.api}/accounts`, { body: {} })
    if (typeof value.account !== 'string' || typeof value.token !== 'string' || !/^[\x21-\x7e]{1,4096}$/.test(value.token))
      throw this.#nonsense('no account and token')
    return this.#save({ issuer: this.issuer, api: info.api, jwks_uri: info.jwks_uri, jwks, account: value.account, token: value.token,
      created: this.purse.now() })
  }

  // What is on the account: { uusd: amount, … }
  async balance() {
    const { api, token } = await this.#ours()
    const { value } = await this.#done(`${api}/accounts/me`, { token })
    return this.#balance(value.balance)
  }

  #balance(value) {
    const out = {}
    for (const [currency, amount] of Object.entries(isObject(value) ? value : {})) {
      if (!isCurrency(currency) || amountOf(amount) === null) throw this.#nonsense('no balance')
      out[currency] = amountOf(amount)
    }
    return out
  }

  async topUp(voucher) {
    const { api, token } = await this.#ours()
    await this.#done(`${api}/accounts/me/topups`, { token, body: { voucher: voucher.trim() } })
    return this.balance()
  }

  // The terms of a touchstone of this broker; an unknown key sends us for its key set once.
  async judge(account, touchstone) {
    for (const fresh of [false, true]) {
      if (fresh) account = await this.#save({ ...account, jwks: await this.#jwks(account.jwks_uri) })
      const terms = await verifyTouchstone(touchstone, this.issuer, readKeys(account.jwks) ?? new Map(), this.purse.now())
      if (!terms.why) return terms
      if (terms.why !== 'unknown-key') throw this.#nonsense(`a touchstone that is ${terms.why}`)
    }
    throw this.#nonsense('a touchstone by a key it does not publish')
  }

  // Makes a chain, stores it, and buys the coin. The same request, sent again, gets the same answer.
  async buy({ currency, unit, n, identity }) {
    await this.#ours()
    const id = identity ?? (await this.purse.currentIdentity())
    const { coin, chain } = makeCoin({ issuer: this.issuer, currency, unit, n, identity: id, now: this.purse.now() })
    await this.purse.store.transaction((tx) => this.purse.addCoin(tx, coin, chain))
    return this.finish(coin)
  }

  // Asks for a coin whose chain is stored: again, where the purchase was cut off.
  async finish(coin) {
    const account = await this.#ours()
    const root = await this.purse.store.transaction((tx) => this.purse.payword(tx, coin, 0))
    const { status, value } = await this.#call(`${account.api}/coins`, { token: account.token,
      headers: { 'idempotency-key': coin.idempotency },
      body: { currency: coin.currency, unit: coin.unit, n: coin.n, salt: coin.salt, root } })
    if ([400, 402, 409, 422].includes(status)) {
      await this.purse.changeCoin(coin.coin, { state: 'refused' })
      throw this.#refusal(status, value)
    }
    if (status < 200 || status > 299) throw this.#refusal(status, value)
    const terms = await this.judge(account, value.touchstone)
    if (terms.coin !== coin.coin || terms.currency !== coin.currency || terms.unit !== coin.unit || terms.n !== coin.n)
      throw this.#nonsense('a touchstone for another coin or other terms')
    return this.purse.changeCoin(coin.coin, { state: 'live', touchstone: value.touchstone, expires: terms.expires })
  }

  // Coins worth exactly `amount`, few and of small units; null if the denominations do not make it up.
  static makeUp(amount, denominations) {
    const sorted = [...denominations].sort((a, b) => b.unit * b.n - a.unit * a.n || a.unit - b.unit)
    const out = []
    for (const d of sorted) {
      while (amount >= d.unit * d.n) {
        if (out.length === mostCoinsAtOnce) return null
        out.push(d)
        amount -= d.unit * d.n
      }
    }
    return amount === 0 && out.length ? out : null
  }

  // Finishes what was cut off, then buys coins worth `amount`.
  async buyAmount(amount, currency, identity) {
    await this.finishPending()
    const { denominations } = await this.discover()
    const choice = Broker.makeUp(amount, denominations)
    if (!choice) throw new NetPayError('usage', 'the coins this broker sells do not make up that amount')
    const bought = []
    for (const d of choice) bought.push(await this.buy({ ...d, currency, identity }))
    return bought
  }

  async finishPending() {
    const pending = (await this.purse.coins()).filter((c) => c.issuer === this.issuer && c.state === 'pending')
    for (const coin of pending) {
      try {
        await this.finish(coin)
      } catch (error) {
        if (error.code !== 'broker') throw error
      }
    }
  }

  // Returns a coin: { refunded, currency }, or { due } where its holder is out of reach. It is not spent here any more,
  // unless the broker refuses; where its answer is lost, or it has trouble of its own, this can be called again.
  async giveBack({ coin: name }) {
    const { api, token } = await this.#ours()
    const coin = (await this.purse.coins()).find((c) => c.coin === name)
    if (coin?.state !== 'live' && coin?.state !== 'returning') throw new NetPayError('usage', 'this coin cannot be returned')
    const shown = await this.purse.highestShown(name)
    await this.purse.changeCoin(name, { state: 'returning' })
    const { status, value } = await this.#done(`${api}/coins/${name}/return`, { token, body: shown ?? {} }).catch(async (error) => {
      if (error.status >= 400 && error.status < 500 && coin.state === 'live') await this.purse.changeCoin(name, { state: 'live' })
      throw error
    })
    if (status === 202) return { due: isAmount(value.due) ? value.due : 0 }
    const refunded = amountOf(value.refunded)
    if (refunded === null) throw this.#nonsense('no refund')
    await this.purse.changeCoin(name, { state: 'returned' })
    return { refunded, currency: coin.currency }
  }
}
