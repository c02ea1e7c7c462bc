// Redirects are followed here, not by the browser or Node, so that a payment
// never goes to an address it was not made for.
import { NetPayError } from './errors.js'
import { isPrivate, originOf } from './origin.js'

const mostHops = 10
const boundToSite = ['authorization', 'cookie', 'payment-authorization', 'proxy-authorization']
const ofBody = ['content-encoding', 'content-language', 'content-location', 'content-type']
const isRedirect = (status) => [301, 302, 303, 307, 308].includes(status)

// What a request says beside address, method, fields and body. `integrity` is
// for the page in the end, not for the 402 before it.
function optionsOf(request, init) {
  const { signal, credentials, cache, mode, referrer, referrerPolicy, keepalive } = request
  return { signal, credentials, cache, referrer, referrerPolicy, keepalive, integrity: '', redirect: 'manual',
    ...(mode !== 'navigate' && { mode }), ...(init?.dispatcher && { dispatcher: init.dispatcher }) }
}

async function checkIntegrity(answer, integrity) {
  const said = [...integrity.matchAll(/(?:^|\s)sha(256|384|512)-([A-Za-z0-9+/_=-]+)/g)].map(([, size, hash]) => ({ size, hash }))
  if (!said.length) return
  const strongest = said.map((s) => s.size).sort().at(-1)
  const bytes = new Uint8Array(await crypto.subtle.digest(`SHA-${strongest}`, await answer.clone().arrayBuffer()))
  const is = btoa(String.fromCharCode(...bytes))
  const fits = said.some(({ size, hash }) => size === strongest && hash.replaceAll('-', '+').replaceAll('_', '/') === is)
  if (!fits) throw new TypeError('the page does not have the integrity that was asked for')
}

function nextUrl(answer, url) {
  const next = new URL(answer.headers.get('location'), url).href
  const from = originOf(url)
  if (!originOf(next)) throw new NetPayError('network', `${from} redirects to what is no page of the web`)
  if (isPrivate(url) && !isPrivate(next)) throw new NetPayError('network', `${from} redirects to plain http`)
  return next
}

// fetch's arguments; visit({ url, method, headers, body, options }): the answer of one address, which must not follow redirects.
export async function following(input, init, visit) {
  const request = new Request(input, init)
  const follow = request.redirect
  const headers = new Headers(request.headers)
  const options = optionsOf(request, init)
  let { method, url } = request
  let body = method === 'GET' || method === 'HEAD' ? undefined : await request.arrayBuffer()
  for (let hop = 0; hop <= mostHops; ++hop) {
    const answer = await visit({ url, method, headers: new Headers(headers), body, options })
    const redirected = answer.type === 'opaqueredirect' || (isRedirect(answer.status) && answer.headers.get('location'))
    if (redirected && follow === 'error') throw new TypeError('unexpected redirect')
    if (!redirected || follow === 'manual') {
      if (request.integrity && answer.ok) await checkIntegrity(answer, request.integrity)
      return answer
    }
    if (answer.type === 'opaqueredirect')
      throw new NetPayError('network', `${originOf(url)} redirects, and this browser does not say where to: ask for the new address`)
    const next = nextUrl(answer, url)
    await answer.body?.cancel()
    if (originOf(next) !== originOf(url)) boundToSite.forEach((name) => headers.delete(name))
    if ((answer.status === 303 && method !== 'HEAD') || ((answer.status === 301 || answer.status === 302) && method === 'POST')) {
      method = 'GET'
      body = undefined
      ofBody.forEach((name) => headers.delete(name))
    }
    url = next
  }
  throw new NetPayError('network', `more than ${mostHops} redirects`)
}
