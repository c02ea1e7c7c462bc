// The method for mppx, which sends: a payment must not go where mppx would follow a redirect to.
import assert from 'node:assert/strict'
import http from 'node:http'
import { after, test } from 'node:test'
import { Mppx } from 'mppx/client'
import { b64u, text, unb64u, utf8 } from '../src/bytes.js'
import { netpay } from '../src/mppx.js'
import { makeCoin, Purse } from '../src/purse.js'
import { MemoryStore } from '../src/store.js'

const issuer = 'https://broker.example'
const encode = (value) => b64u(utf8(JSON.stringify(value)))
const servers = []
after(() => servers.forEach((server) => {
  server.closeAllConnections()
  server.close()
}))

// A site on loopback: answer(path, payload or null, origin) → { status, headers, body }; what it was shown is in `shown`.
async function site(answer) {
  const shown = []
  let origin
  const server = http.createServer(async (request, response) => {
    const field = request.headers['payment-authorization'] ?? request.headers.authorization
    const payload = field ? JSON.parse(text(unb64u(field.slice(8)))).payload : null
    if (payload) shown.push({ path: request.url, index: payload.index })
    const { status = 200, headers = {}, body = '' } = await answer(request.url, payload, origin)
    response.writeHead(status, headers)
    response.end(body)
  })
  servers.push(server)
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  origin = `http://127.0.0.1:${server.address().port}`
  return { origin, shown }
}

const asks = (origin, more) => ({ status: 402, headers: { 'www-authenticate': `Payment id="AA", realm="r", method="netpay", intent="charge", request="${
  encode({ amount: '20000', currency: 'uusd', recipient: origin, methodDetails: { brokers: [issuer] } })}", expires="2099-01-01T00:00:00Z"${more}` }, body: '{}' })

async function client() {
  const purse = new Purse(new MemoryStore())
  const { coin, chain } = makeCoin({ issuer, currency: 'uusd', unit: 1000, n: 100, identity: 'main', now: purse.now() })
  await purse.store.transaction((tx) => purse.addCoin(tx, { ...coin, state: 'live', touchstone: 'T', expires: purse.now() + 1e6 }, chain))
  const method = netpay(purse, { ask: async () => true })
  return { purse, fetch: method.attach(Mppx.create({ methods: method.methods, polyfill: false })).fetch }
}

for (const more of ['', ', header="Payment-Authorization"']) {
  test(`a payment goes to no other address${more}`, async () => {
    const other = await site(() => ({ body: 'there' }))
    const shop = await site((path, payload, origin) => {
      if (path === '/here') return { body: 'here' }
      return payload ? { status: 302, headers: { location: path === '/same' ? '/here' : `${other.origin}/leak` } } : asks(origin, more)
    })
    for (const [path, body] of [['/away', 'there'], ['/same', 'here']]) {
      const { purse, fetch } = await client()
      assert.equal(await (await fetch(shop.origin + path)).text(), body)
      assert.deepEqual((await purse.history()).map((p) => p.state), ['void'])
    }
    assert.deepEqual(other.shown, [])
    assert.deepEqual(shop.shown.map((s) => s.path), ['/away', '/same'])
  })
}

test('a page that is asked for at once is paid once, also by POST', async () => {
  const shop = await site((path, payload, origin) => {
    return payload ? { headers: { 'payment-receipt': encode({ method: 'netpay', status: 'success', reference: `${payload.coin}:${payload.index}`,
      amount: '20000', currency: 'uusd', spent: payload.index, revealed: payload.index }) }, body: 'paid' } : asks(origin, '')
  })
  const { purse, fetch } = await client()
  const answers = await Promise.all([fetch(`${shop.origin}/1`), fetch(new Request(`${shop.origin}/1#part`))])
  for (const answer of answers) assert.equal(await answer.text(), 'paid')
  assert.equal((await purse.coins())[0].spent, 20)
  const posted = await fetch(`${shop.origin}/2`, { method: 'POST', body: 'x' })
  assert.equal(await posted.text(), 'paid')
  assert.equal((await purse.coins())[0].spent, 40)
})
