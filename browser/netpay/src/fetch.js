// A fetch that pays. Same arguments and answer as fetch; what was paid is
// `payment` of the answer.
import { NetPayError } from './errors.js'
import { pretty } from './money.js'
import { following } from './redirects.js'
import { Visit } from './visit.js'

const mostRequests = 12
const mostWaits = 3
const longestWait = 10
const mostProblem = 64 * 1024

const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000) })

// The first bytes of a body, as text.
async function problemText(answer) {
  const reader = answer.body?.getReader()
  const decoder = new TextDecoder()
  let out = ''
  for (;;) {
    const part = (await reader?.read()) ?? { done: true }
    if (part.done) return out
    out += decoder.decode(part.value, { stream: true })
    if (out.length > mostProblem) {
      await reader.cancel()
      return ''
    }
  }
}

// ask({ vendor, url, amount, currency, brokers }): true if the owner accepts;
// without it only what the purse's limits allow unasked is paid.
export function payingFetch(purse, { ask, fetch: plain = globalThis.fetch } = {}) {
  const accept = async (wish) => {
    if (await purse.decidesAlone(wish.vendor, wish.amount, wish.currency)) return wish.amount
    if (ask && (await ask(wish))) return wish.amount
    throw new NetPayError('not-accepted', `${wish.url} costs ${pretty(wish.amount, wish.currency)}, which your limits do not allow unasked`)
  }

  async function send(visit, { headers: given, body, options }) {
    const headers = new Headers(given)
    if (visit.ticket) {
      const [name, value] = visit.field()
      if (headers.has(name)) {
        await visit.void()
        throw new NetPayError('usage', `the site wants the payment in the ${name} field, which the request sets already`)
      }
      headers.set(name, value)
    }
    try {
      return await plain(visit.url, { ...options, method: visit.method, headers, body, ...(visit.ticket && { cache: 'no-store' }) })
    } catch (error) {
      if (!visit.ticket) throw error
      await visit.doubt()
      throw new NetPayError('network', `no answer from ${visit.vendor}; the payment may have arrived` +
        (visit.method === 'GET' ? ': ask for the page again, it is not paid twice' : ''), { cause: error })
    }
  }

  // A 402 is here, the first one or the answer to a payment: the visit has the next ticket then.
  async function pay(visit, answer) {
    const problem = await problemText(answer)
    const fields = [answer.headers.get('www-authenticate') ?? '']
    if (visit.ticket === null) {
      await visit.read(fields)
      if (!(await visit.takeReread())) await visit.takeTicket()
      return
    }
    const same = await visit.read(fields).catch(async (error) => {
      await visit.void()
      throw error
    })
    await visit.judged(problem, same)
  }

  // What becomes of the page from its first answer on.
  async function goOn(visit, request, answer) {
    let waits = 0
    for (let requests = 1; requests < mostRequests; ++requests) {
      const paying = visit.ticket !== null
      const retry = answer.headers.get('retry-after')
      if (answer.status === 402 && visit.method !== 'HEAD') {
        await pay(visit, answer)
      } else if (answer.status === 503 && paying && retry && waits < mostWaits) {
        ++waits
        await answer.body?.cancel()
        await pause(Math.min(longestWait, Math.max(1, Number.parseInt(retry, 10) || 1)))
      } else {
        if (!paying) return { answer, payment: null }
        if (answer.ok) return { answer, payment: await visit.settled(answer.headers.get('payment-receipt')) }
        // By the contract nothing is charged; a gateway's own failure says nothing about what lies behind it.
        await (answer.status === 502 || answer.status === 504 ? visit.doubt() : visit.void())
        return { answer, payment: null }
      }
      answer = await send(visit, request)
    }
    await visit.void()
    throw new NetPayError('payment', `${visit.vendor} keeps asking for payment`)
  }

  // One address: the answer, and what was paid for it. What costs something goes in turn, so that a page that is asked
  // for twice at once is paid once.
  async function visitPage(request) {
    const visit = new Visit(purse, { url: request.url, method: request.method, accept })
    const inTurn = (work) => (visit.method === 'GET' ? purse.turns.take(visit.url, work) : work())
    if (await visit.foresee()) {
      return inTurn(async () => {
        await visit.takeAhead()
        return goOn(visit, request, await send(visit, request))
      })
    }
    const answer = await send(visit, request)
    return answer.status === 402 ? inTurn(() => goOn(visit, request, answer)) : { answer, payment: null }
  }

  return (input, init) => following(input, init, async (request) => {
    const { answer, payment } = await visitPage(request)
    return Object.defineProperty(answer, 'payment', { value: payment, enumerable: true })
  })
}
