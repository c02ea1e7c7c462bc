// A fetch that pays. Same arguments and answer as fetch; what was paid is
// `payment` of the answer. Redirects are followed here, so that a payment
// never goes to an address it was not made for.
import { NetPayError } from './errors.js'
import { pretty } from './money.js'
import { isPrivate } from './origin.js'
import { Visit } from './visit.js'

const mostHops = 10
const mostRequests = 12
const mostWaits = 3
const longestWait = 10
const mostProblem = 64 * 1024
const boundToSite = ['authorization', 'cookie', 'payment-authorization', 'proxy-authorization']
const isRedirect = (status) => [301, 302, 303, 307, 308].includes(status)

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

  async function send(visit, request, body) {
    const headers = new Headers(request.headers)
    if (visit.ticket) {
      const [name, value] = visit.field()
      if (headers.has(name)) {
        await visit.void()
        throw new NetPayError('usage', `the site wants the payment in the ${name} field, which the request sets already`)
      }
      headers.set(name, value)
    }
    try {
      return await plain(visit.url, { method: visit.method, headers, body, redirect: 'manual', signal: request.signal,
        credentials: request.credentials, cache: visit.ticket ? 'no-store' : request.cache })
    } catch (error) {
      if (!visit.ticket) throw error
      await visit.doubt()
      throw new NetPayError('network', `no answer from ${visit.vendor}; the payment may have arrived` +
        (visit.method === 'GET' ? ': ask for the page again, it is not paid twice' : ''), { cause: error })
    }
  }

  // One hop: the answer, and what was paid for it.
  async function visitPage(visit, request, body) {
    await visit.prepare()
    let waits = 0
    for (let requests = 0; requests < mostRequests; ++requests) {
      const answer = await send(visit, request, body)
      const paying = visit.ticket !== null
      if (answer.status === 402 && visit.method !== 'HEAD') {
        const problem = await problemText(answer)
        const fields = [answer.headers.get('www-authenticate') ?? '']
        if (paying) {
          let same
          try {
            same = await visit.read(fields)
          } catch (error) {
            await visit.void()
            throw error
          }
          await visit.judged(problem, same)
        } else {
          await visit.read(fields)
          if (!(await visit.takeReread())) await visit.takeTicket()
        }
        continue
      }
      const retry = answer.headers.get('retry-after')
      if (answer.status === 503 && paying && retry && waits < mostWaits) {
        ++waits
        await answer.body?.cancel()
        await pause(Math.min(longestWait, Math.max(1, Number.parseInt(retry, 10) || 1)))
        continue
      }
      if (!paying) return { answer, payment: null }
      if (answer.ok) return { answer, payment: await visit.settled(answer.headers.get('payment-receipt')) }
      // By the contract nothing is charged; a gateway's own failure says nothing about what lies behind it.
      await (answer.status === 502 || answer.status === 504 ? visit.doubt() : visit.void())
      return { answer, payment: null }
    }
    await visit.void()
    throw new NetPayError('payment', `${visit.vendor} keeps asking for payment`)
  }

  return async function fetchAndPay(input, init) {
    const request = new Request(input, init)
    const follow = request.redirect
    const headers = new Headers(request.headers)
    let { method, url } = request
    let body = method === 'GET' || method === 'HEAD' ? undefined : await request.arrayBuffer()
    for (let hop = 0; hop <= mostHops; ++hop) {
      const visit = new Visit(purse, { url, method, accept })
      const asked = { headers, signal: request.signal, credentials: request.credentials, cache: request.cache }
      const { answer, payment } = await visitPage(visit, asked, body)
      if (answer.type === 'opaqueredirect' || (isRedirect(answer.status) && answer.headers.get('location'))) {
        if (follow === 'error') throw new TypeError('unexpected redirect')
        if (answer.type === 'opaqueredirect' && follow === 'follow')
          throw new NetPayError('network', `${visit.vendor} redirects, and this browser does not say where to: ask for the new address`)
        if (follow === 'follow') {
          const next = new URL(answer.headers.get('location'), url)
          if (isPrivate(url) && !isPrivate(next.href)) throw new NetPayError('network', `${visit.vendor} redirects to plain http`)
          if (next.origin !== new URL(url).origin) boundToSite.forEach((name) => headers.delete(name))
          await answer.body?.cancel()
          if (answer.status === 303 || ((answer.status === 301 || answer.status === 302) && method === 'POST')) {
            method = method === 'HEAD' ? 'HEAD' : 'GET'
            body = undefined
          }
          url = next.href
          continue
        }
      }
      return Object.defineProperty(answer, 'payment', { value: payment, enumerable: true })
    }
    throw new NetPayError('network', `more than ${mostHops} redirects`)
  }
}
