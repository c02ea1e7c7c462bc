// The paying fetch against sites of any behaviour.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { b64u, text, unb64u, utf8 } from '../src/bytes.js'
import { payingFetch } from '../src/fetch.js'
import { makeCoin, Purse } from '../src/purse.js'
import { MemoryStore } from '../src/store.js'

const issuer = 'https://broker.example'
const site = 'https://a.example'
const encode = (value) => b64u(utf8(JSON.stringify(value)))
const yes = async () => true

async function purseWith(n = 1000, unit = 1000) {
  const purse = new Purse(new MemoryStore())
  const { coin, chain } = makeCoin({ issuer, currency: 'uusd', unit, n, identity: 'main', now: purse.now() })
  await purse.store.transaction((tx) => purse.addCoin(tx, { ...coin, state: 'live', touchstone: 'T', expires: purse.now() + 1e6 }, chain))
  return purse
}

const asks = (problem = {}, terms = {}) => new Response(JSON.stringify({ type: 'https://paymentauth.org/problems/payment-required', ...problem }), {
  status: 402, headers: { 'www-authenticate': `Payment id="i", realm="r", method="netpay", intent="charge", request="${encode({ amount: '20000',
    currency: 'uusd', recipient: site, methodDetails: { brokers: [issuer] }, ...terms })}"` } })

const page = (payload, more = {}) => new Response('the page', { status: 200, headers: { 'payment-receipt': encode({ method: 'netpay',
  status: 'success', reference: `${payload.coin}:${payload.index}`, amount: '20000', currency: 'uusd', spent: payload.index, revealed: payload.index, ...more }) } })

// A world of sites: behave(url, payload or null) → Response. What was shown is in `shown`.
function world(behave) {
  const shown = []
  const fetch = async (url, { headers }) => {
    const field = headers.get('authorization')
    const payload = field?.startsWith('Payment ') ? JSON.parse(text(unb64u(field.slice(8)))).payload : null
    if (payload) shown.push({ url, ...payload })
    return behave(url, payload, headers)
  }
  return { shown, fetch }
}

test('a page is paid and the receipt believed up to what was accepted', async () => {
  const purse = await purseWith()
  const { shown, fetch } = world((url, payload) => (payload ? page(payload, { amount: '900000', spent: 900 }) : asks()))
  const answer = await payingFetch(purse, { ask: yes, fetch })(`${site}/1#part`)
  assert.equal(await answer.text(), 'the page')
  assert.equal(answer.payment.amount, 20000)
  assert.deepEqual([shown[0].url, shown[0].index, shown[0].max, shown[0].touchstone], [`${site}/1`, 20, '20000', 'T'])
  assert.equal((await purse.coins())[0].spent, 20)
})

test('nothing is paid unasked, to another recipient, or over plain http', async () => {
  const purse = await purseWith()
  const shop = world((url, payload) => (payload ? page(payload) : asks()))
  await assert.rejects(payingFetch(purse, { fetch: shop.fetch })(`${site}/1`), { code: 'not-accepted' })
  await assert.rejects(payingFetch(purse, { ask: async () => false, fetch: shop.fetch })(`${site}/1`), { code: 'not-accepted' })
  await assert.rejects(payingFetch(purse, { ask: yes, fetch: shop.fetch })('https://b.example/1'), { code: 'payment' })
  const plain = world((url, payload) => (payload ? page(payload) : asks({}, { recipient: 'http://a.example' })))
  await assert.rejects(payingFetch(purse, { ask: yes, fetch: plain.fetch })('http://a.example/1'), { code: 'insecure' })
  assert.equal((await payingFetch(purse, { ask: yes, fetch: shop.fetch })(`${site}/1`, { method: 'HEAD' })).status, 402)
  assert.deepEqual([...shop.shown, ...plain.shown], [])
})

test('a payment does not follow a redirect, and what is bound to a site stays there', async () => {
  const purse = await purseWith()
  const kept = []
  const { shown, fetch } = world((url, payload, headers) => {
    if (url === `${site}/away`) return payload ? new Response(null, { status: 302, headers: { location: 'https://b.example/there' } }) : asks()
    kept.push([headers.get('cookie'), headers.get('x-mine')])
    return new Response('there')
  })
  const answer = await payingFetch(purse, { ask: yes, fetch })(`${site}/away`, { headers: { 'x-mine': '1' } })
  assert.equal(await answer.text(), 'there')
  assert.equal(answer.payment, null)
  assert.deepEqual(shown.map((s) => s.url), [`${site}/away`])
  assert.deepEqual(kept, [[null, '1']])
  assert.equal((await purse.history())[0].state, 'void')
})

test('a site that lies, haggles or refuses every coin learns no more than was accepted', async () => {
  const lies = [{ spent: 900, needed: 920 }, { needed: 500 }, { spent: 5 }, {}]
  for (const lie of lies) {
    for (const type of ['payment-insufficient', 'verification-failed']) {
      const purse = await purseWith()
      const { shown, fetch } = world((url, payload) => (payload
        ? asks({ type: `https://paymentauth.org/problems/${type}`, reason: 'already-spent', ...lie }) : asks()))
      await assert.rejects(payingFetch(purse, { ask: yes, fetch })(`${site}/1`), { name: 'NetPayError' })
      assert.ok(shown.length >= 1 && shown.every((s) => s.index <= 20), JSON.stringify([lie, type, shown.map((s) => s.index)]))
      assert.equal((await purse.coins())[0].spent, 0)
    }
  }
  const purse = await purseWith()
  let price = 20000
  const { shown, fetch } = world((url, payload) => asks(payload ? { type: 'https://paymentauth.org/problems/payment-insufficient' } : {}, { amount: String(price += 10000) }))
  await assert.rejects(payingFetch(purse, { ask: async ({ amount }) => amount <= 40000, fetch })(`${site}/1`), { code: 'not-accepted' })
  assert.ok(shown.every((s) => s.index <= 40))
})

test('no answer leaves the outcome open, and the same ticket pays the page once', async () => {
  const purse = await purseWith()
  let dead = true
  const { shown, fetch } = world((url, payload) => {
    if (!payload) return asks()
    if (!dead) return page(payload)
    throw new TypeError('connection lost')
  })
  const paying = payingFetch(purse, { ask: yes, fetch })
  await assert.rejects(paying(`${site}/1`), { code: 'network' })
  assert.equal((await purse.history())[0].state, 'unknown')
  dead = false
  assert.equal((await paying(`${site}/1`)).payment.amount, 20000)
  assert.deepEqual(shown.map((s) => s.index), [20, 20])
  assert.equal((await purse.coins())[0].spent, 20)
})

test('a page without a receipt, an error of the site and one of a gateway', async () => {
  for (const [status, state] of [[200, 'unknown'], [404, 'void'], [500, 'void'], [502, 'unknown'], [504, 'unknown']]) {
    const purse = await purseWith()
    const { fetch } = world((url, payload) => (payload ? new Response('x', { status }) : asks()))
    assert.equal((await payingFetch(purse, { ask: yes, fetch })(`${site}/1`)).status, status)
    assert.equal((await purse.history())[0].state, state, String(status))
    assert.equal((await purse.coins())[0].spent, 0)
  }
})

test('a page that is asked for several times at once is paid once, and others wait for nobody', async () => {
  const purse = await purseWith()
  const { shown, fetch } = world(async (url, payload) => {
    await new Promise((resolve) => { setTimeout(resolve, 10) })
    return payload ? page(payload) : asks()
  })
  const paying = payingFetch(purse, { ask: yes, fetch })
  const answers = await Promise.all([1, 2, 3].map(() => paying(`${site}/1`)))
  assert.deepEqual(answers.map((a) => a.payment.reread), [false, true, true])
  assert.deepEqual(shown.map((s) => s.index), [20, 20, 20])
  assert.equal((await purse.coins())[0].spent, 20)
  await Promise.all([paying(`${site}/2`), paying(`${site}/3`)])
  assert.equal((await purse.coins())[0].spent, 60)
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 20000 })
  const ahead = await Promise.all([1, 2].map(() => payingFetch(purse, { fetch })(`${site}/4`)))
  assert.deepEqual(ahead.map((a) => a.payment.reread), [false, true])

  let open = 0
  const free = payingFetch(purse, { fetch: async () => {
    open += 1
    while (open < 2) await new Promise((resolve) => { setTimeout(resolve, 5) })
    return new Response('free')
  } })
  await Promise.all([free('https://free.example/'), free('https://free.example/')]) // a page that costs nothing is not held up
})

test('what a request says of itself is passed on, and its integrity is that of the page', async () => {
  const purse = await purseWith()
  const seen = []
  const { fetch } = world((url, payload) => (payload ? page(payload) : asks()))
  const paying = payingFetch(purse, { ask: yes, fetch: (url, init) => {
    seen.push(init)
    return fetch(url, init)
  } })
  const dispatcher = {}
  const right = `sha256-${Buffer.from(await crypto.subtle.digest('SHA-256', utf8('the page'))).toString('base64')}`
  const answer = await paying(`${site}/1`, { integrity: `sha256-AAAA ${right}`, dispatcher, referrerPolicy: 'no-referrer', keepalive: true, mode: 'same-origin' })
  assert.equal(await answer.text(), 'the page')
  for (const init of seen)
    assert.deepEqual([init.integrity, init.dispatcher === dispatcher, init.referrerPolicy, init.keepalive, init.mode, init.redirect],
      ['', true, 'no-referrer', true, 'same-origin', 'manual'])
  await assert.rejects(paying(`${site}/2`, { integrity: right.replace('sha256-', 'sha256-A') }), { name: 'TypeError', message: /integrity/ })
  const [dear] = await purse.history()
  assert.equal(dear.state, 'paid') // the page came, and is not what was asked for
})

test('redirects lead to pages of the web only, and leave what was for the body behind', async () => {
  const purse = await purseWith()
  for (const location of ['data:text/plain,hi', 'file:///etc/passwd', 'javascript:1', 'https://user:word@b.example/'])
    await assert.rejects(payingFetch(purse, { fetch: async () => new Response(null, { status: 302, headers: { location } }) })('http://plain.example/'),
      { code: 'network' }, location)
  const seen = []
  const posting = payingFetch(purse, { fetch: async (url, init) => {
    seen.push([init.method, init.headers.get('content-type'), init.headers.get('authorization')])
    return url.startsWith('https://a.') ? new Response(null, { status: 302, headers: { location: 'https://b.example/' } }) : new Response('there')
  } })
  await posting('https://a.example/', { method: 'POST', body: 'x', headers: { authorization: 'Basic x', 'content-type': 'text/x' } })
  assert.deepEqual(seen, [['POST', 'text/x', 'Basic x'], ['GET', null, null]])
})

test('coins of large units: what leaves them is what is asked about, limited and shown', async () => {
  const purse = await purseWith(1000, 10000)
  const { fetch } = world((url, payload) => (payload ? page(payload, { amount: '1' }) : asks({}, { amount: '1' })))
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 100, perSite: 1000, perDay: 1000 })
  await assert.rejects(payingFetch(purse, { fetch })(`${site}/1`), { code: 'not-accepted' })
  const wishes = []
  const ask = async ({ amount }) => wishes.push(amount)
  await assert.rejects(payingFetch(purse, { fetch, ask })(`${site}/1`), { code: 'not-accepted', limit: 'this site' })
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 10000, perDay: 20000 })
  for (const name of [1, 2]) assert.equal((await payingFetch(purse, { fetch })(`${site}/${name}`)).payment.amount, 10000)
  await assert.rejects(payingFetch(purse, { fetch })(`${site}/3`), { code: 'not-accepted', limit: 'all sites' })
  assert.deepEqual(wishes, [10000])
  assert.deepEqual((await purse.history()).map((p) => p.cost), [10000, 10000])
  assert.equal((await purse.coins())[0].spent, 2)
})
