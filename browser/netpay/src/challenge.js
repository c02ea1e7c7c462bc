// The `Payment` scheme on the wire: challenges, credentials, receipts.
import { b64u, utf8 } from './bytes.js'
import { isObject, objectIn, parseJson } from './json.js'
import { isAmount, isCount, isCurrency, mostUnits, parseAmount } from './money.js'

export const paymentHeader = 'Payment-Authorization'
export const problemBase = 'https://paymentauth.org/problems/'

const names = ['id', 'realm', 'method', 'intent', 'request', 'expires', 'digest', 'opaque', 'header']
const needed = ['id', 'realm', 'method', 'intent', 'request']
const mostChallenges = 32

// The Payment challenges of one WWW-Authenticate field value, which may hold
// challenges of other schemes: scheme [ 1*SP ( token68 / #auth-param ) ].
export function parseChallenges(field) {
  const out = []
  let at = 0
  const match = (pattern) => {
    pattern.lastIndex = at
    const found = pattern.exec(field)
    if (found) at = pattern.lastIndex
    return found
  }
  const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
  for (let round = 0; round < mostChallenges; ++round) {
    match(/[ \t,]*/y)
    const scheme = match(token)
    if (!scheme) break
    const seen = {}
    let clear = true
    match(/[ \t]*/y)
    match(/[!#$%&'*+\-.^_`|~0-9A-Za-z/]+=*[ \t]*(?=,|$)/y) // a token68, and nothing else before the next comma
    for (;;) {
      const before = at
      match(/[ \t,]*/y)
      const name = match(token)
      if (!name || !match(/[ \t]*=[ \t]*/y)) {
        at = before // the next scheme, or the end
        break
      }
      const quoted = match(/"((?:[^"\\]|\\[^])*)"/y)
      const value = quoted ? quoted[1].replace(/\\([^])/g, '$1') : match(token)?.[0]
      if (value === undefined) break
      const known = name[0].toLowerCase()
      if (!names.includes(known)) continue
      if (known in seen) clear = false // said twice, it would be one thing to one reader and another to the next
      seen[known] = value
    }
    if (clear && scheme[0].toLowerCase() === 'payment' && needed.every((name) => seen[name])) out.push(seen)
  }
  return out
}

// What a challenge's `request` asks for: { amount, currency, recipient, brokers } or null.
export function parseTerms(request) {
  const value = objectIn(request)
  const amount = parseAmount(value?.amount)
  const brokers = value?.methodDetails?.brokers
  if (!amount || !isCurrency(value.currency) || typeof value.recipient !== 'string') return null
  if (!Array.isArray(brokers) || !brokers.every((b) => typeof b === 'string')) return null
  return { amount, currency: value.currency, recipient: value.recipient, brokers }
}

// Seconds since 1970 of an RFC 3339 time, or null.
export function parseTime(stamp) {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(stamp ?? '')) return null
  const ms = Date.parse(stamp)
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000)
}

// The best offer of a page's WWW-Authenticate values that this vendor may
// make: { challenge, terms }, session before charge; or { trouble } in words.
export function bestOffer(fields, vendor) {
  let best = null
  let trouble = 'it offers no payment by the method netpay'
  for (const challenge of fields.flatMap(parseChallenges)) {
    const { method, intent, header } = challenge
    if (method !== 'netpay' || (intent !== 'session' && intent !== 'charge')) continue
    if (header !== undefined && header !== paymentHeader) continue
    const terms = parseTerms(challenge.request)
    if (!terms) trouble = 'its challenge is malformed'
    else if (terms.recipient !== vendor) trouble = 'its challenge asks to pay somebody else'
    else if (!best || (best.challenge.intent === 'charge' && intent === 'session')) best = { challenge, terms }
  }
  return best ?? { trouble }
}

// The header field that carries a payment: [name, value].
export function credential(challenge, payload) {
  const value = `Payment ${b64u(utf8(JSON.stringify({ challenge, payload })))}`
  return [challenge.header ?? 'Authorization', value]
}

// A Payment-Receipt: { coin, index, amount, currency, spent, revealed, giveBack } or null.
// giveBack: seconds within which the page can be given back; 0 where it cannot.
export function parseReceipt(field) {
  const value = objectIn(field)
  if (!value || value.method !== 'netpay' || value.status !== 'success') return null
  const reference = /^([A-Za-z0-9_-]{22}):([1-9][0-9]{0,6})$/.exec(value.reference ?? '')
  const amount = parseAmount(value.amount)
  if (!reference || !amount || !isCurrency(value.currency) || !isCount(value.spent) || !isCount(value.revealed)) return null
  const index = Number(reference[2])
  if (index > mostUnits) return null
  const giveBack = isAmount(value.give_back) ? value.give_back : 0
  return { coin: reference[1], index, amount, currency: value.currency, spent: value.spent, revealed: value.revealed, giveBack }
}

// The problem document of a refusal: { kind, reason, spent, needed, words }.
export function parseProblem(body) {
  const value = parseJson(body ?? '')
  const type = isObject(value) && typeof value.type === 'string' ? value.type : ''
  const word = (name) => (isObject(value) && typeof value[name] === 'string' ? value[name] : '')
  const count = (name) => (isObject(value) && isCount(value[name]) ? value[name] : undefined)
  return {
    kind: type.startsWith(problemBase) ? type.slice(problemBase.length) : '',
    reason: word('reason'),
    spent: count('spent'),
    needed: count('needed'),
    words: word('detail') || word('title') || 'it does not say why',
  }
}
