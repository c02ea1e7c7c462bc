// Gives a page back that was paid by mistake, where its site allows that for a while.
import { NetPayError, printable } from './errors.js'
import { isObject, parseJson } from './json.js'
import { isCount } from './money.js'
import { isPrivate } from './origin.js'

const path = '/.well-known/netpay/give-back'
const mostAnswer = 64 * 1024
const reasons = {
  'too-late': 'the time for it is over',
  'too-many': 'no more pages can be given back there today',
  'once-a-day': 'that page was given back today already',
  again: 'that payment was given back already',
  busy: 'the site is busy with this coin, try again',
}

async function ask(plain, vendor, body) {
  try {
    const answer = await plain(vendor + path, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, application/problem+json' },
      body: JSON.stringify(body), redirect: 'error', credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(30000) })
    const text = await answer.text()
    const value = text.length <= mostAnswer ? parseJson(text) : null
    return { status: answer.status, value: isObject(value) ? value : {} }
  } catch (error) {
    throw new NetPayError('network', `no answer from ${vendor}; try again`, { cause: error })
  }
}

// payment: one of the purse's history. { amount, currency }: what is the owner's again, at most what the page cost.
export async function giveBack(purse, { id }, { fetch: plain = globalThis.fetch } = {}) {
  const { payment, index, payword, perhapsDone } = await purse.askBack(id)
  const { coin, vendor, url, currency } = payment
  if (!isPrivate(vendor)) throw new NetPayError('insecure', 'a page is given back over https only')
  const { status, value } = await ask(plain, vendor, { coin, index, payword, target: url.slice(vendor.length) })
  if (status === 200 && value.coin === coin && isCount(value.units)) return { amount: await purse.gaveBack(id, value.units), currency }
  if (status === 409 && value.reason === 'again' && perhapsDone) return { amount: await purse.gaveBack(id, payment.units), currency }
  if (status === 200) throw new NetPayError('payment', `${vendor} answers nonsense`)
  const why = (Object.hasOwn(reasons, value.reason) && reasons[value.reason]) || printable(value.detail ?? value.title ?? `HTTP ${status}`)
  throw new NetPayError('payment', `${vendor} does not take the page back: ${why}`, { reason: printable(value.reason ?? '', 40) })
}
