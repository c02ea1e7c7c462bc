// Giving pages back, to sites that are honest, refuse and lie.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { b64u, text, unb64u, utf8 } from '../src/bytes.js'
import { payingFetch } from '../src/fetch.js'
import { giveBack } from '../src/give_back.js'
import { makeCoin, Purse } from '../src/purse.js'
import { MemoryStore } from '../src/store.js'
import { Machine } from './machine.js'

const issuer = 'https://broker.example'
const site = 'https://a.example'
const encode = (value) => b64u(utf8(JSON.stringify(value)))
const says = (status, value) => new Response(JSON.stringify(value), { status })

// A purse of one coin, and a site that sells pages for 20 units and takes them back for a minute. What it says to a page
// that is given back can be put another way: lie(honest answer, body).
async function market({ lie = (answer) => answer } = {}) {
  const clock = { now: 1800000000 }
  const purse = new Purse(new MemoryStore(), { now: () => clock.now })
  const { coin, chain } = makeCoin({ issuer, currency: 'uusd', unit: 1000, n: 1000, identity: 'main', now: clock.now })
  await purse.store.transaction((tx) => purse.addCoin(tx, { ...coin, state: 'live', touchstone: 'T', expires: clock.now + 1e6 }, chain))
  const machine = new Machine({ salt: unb64u(coin.salt), n: coin.n, word: chain.at(0) })
  const back = new Set()
  const asked = []
  const shown = []

  function take({ coin: name, index, payword, target }) {
    const ticket = machine.used.get(index)
    if (!ticket || ticket.key !== site + target || b64u(chain.at(index)) !== payword || name !== coin.coin) return says(409, { reason: 'unknown' })
    if (back.has(index)) return says(409, { reason: 'again' })
    if (clock.now > ticket.at + 60) return says(409, { reason: 'too-late' })
    back.add(index)
    ticket.times = 3
    machine.spent -= 20
    return says(200, { coin: coin.coin, spent: machine.spent, revealed: machine.revealed, units: 20, amount: 20000, currency: 'uusd' })
  }

  function sell(url, field) {
    const refusal = (type, more) => new Response(JSON.stringify({ type: `https://paymentauth.org/problems/${type}`, ...more }), { status: 402, headers: {
      'www-authenticate': `Payment id="i", realm="r", method="netpay", intent="charge", request="${encode({ amount: '20000', currency: 'uusd', recipient: site,
        methodDetails: { brokers: [issuer] } })}"` } })
    if (!field) return refusal('payment-required')
    const { payload } = JSON.parse(text(unb64u(field.slice(8))))
    shown.push(payload.index)
    const said = machine.pay({ index: payload.index, payword: unb64u(payload.payword), price: 20, key: url, now: clock.now })
    if (said.verdict === 'insufficient') return refusal('payment-insufficient', said)
    if (said.verdict === 'already-spent') return refusal('verification-failed', { ...said, reason: 'already-spent' })
    return new Response('the page', { status: 200, headers: { 'payment-receipt': encode({ method: 'netpay', status: 'success',
      reference: `${coin.coin}:${payload.index}`, amount: '20000', currency: 'uusd', spent: said.spent, revealed: said.revealed, give_back: 60 }) } })
  }

  const fetch = async (url, init) => {
    if (url !== `${site}/.well-known/netpay/give-back`) return sell(url, init.headers.get('authorization'))
    const body = JSON.parse(init.body)
    asked.push({ method: init.method, type: init.headers['content-type'], ...body })
    return lie(take(body), body)
  }
  const buy = (page) => payingFetch(purse, { ask: async () => true, fetch })(site + page)
  const last = async () => (await purse.history())[0]
  const spent = async () => (await purse.coins())[0].spent
  return { purse, machine, clock, asked, shown, fetch, buy, last, spent }
}

test('a page that was paid by mistake is given back while its site allows it', async () => {
  const { purse, machine, clock, asked, shown, fetch, buy, last, spent } = await market()
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 20000, perDay: 40000 })
  for (const page of ['/1?x=1', '/2']) await buy(page)
  await assert.rejects(buy('/3'), { code: 'not-accepted' })
  const [second, first] = await purse.history()
  assert.equal(purse.canGiveBack(second), true)
  assert.deepEqual(await giveBack(purse, first, { fetch }), { amount: 20000, currency: 'uusd' })
  assert.deepEqual(asked.map(({ payword, coin, ...rest }) => rest),
    [{ method: 'POST', type: 'application/json', index: 20, target: '/1?x=1' }])
  const gone = (await purse.history()).at(-1)
  assert.deepEqual([gone.state, gone.amount, gone.cost, gone.back, await spent(), machine.spent], ['given-back', 20000, 0, 20000, 20, 20])
  assert.equal(purse.canGiveBack(gone), false)
  assert.equal(await purse.reread(site, `${site}/1?x=1`), null)
  await assert.rejects(giveBack(purse, gone, { fetch }), { code: 'usage' })

  // There is room in the limits again, and the next page shows nothing new.
  await buy('/3')
  assert.ok(Math.max(...shown) === 40 && new Set(shown).size === 3)
  assert.deepEqual([await spent(), machine.spent], [40, 40])
  clock.now += 61
  const late = await last()
  assert.equal(purse.canGiveBack(late), false)
  await assert.rejects(giveBack(purse, late, { fetch }), { code: 'usage' })
  assert.equal(asked.length, 1)
})

test('a site that refuses, and the coin that moved on', async () => {
  for (const [answer, code, reason] of [[says(404, {}), 'payment', ''], [says(409, { reason: 'too-many' }), 'payment', 'too-many'],
    [says(409, { reason: 'again' }), 'payment', 'again'], [says(409, { reason: 'constructor' }), 'payment', 'constructor'],
    [says(503, {}), 'payment', ''], [new Response('<html>', { status: 200 }), 'payment', '']]) {
    const { purse, fetch, buy, last, spent } = await market({ lie: () => answer })
    await buy('/1')
    await assert.rejects(giveBack(purse, await last(), { fetch }), answer.status === 200 ? { code } : { code, reason })
    assert.deepEqual([(await last()).state, await spent()], ['paid', 20])
  }
  const { purse, asked, fetch, buy, last } = await market()
  await buy('/1')
  const [{ coin }] = await purse.coins()
  for (const change of [{ holder: 'https://b.example' }, { state: 'returning' }, { state: 'moved' }]) {
    await purse.changeCoin(coin, { holder: site, state: 'live', ...change })
    await assert.rejects(giveBack(purse, await last(), { fetch }), { code: 'usage' })
  }
  assert.deepEqual(asked, [])
})

test('an answer that is lost is asked for again', async () => {
  let lost = true
  const { purse, machine, fetch, buy, last, spent } = await market({ lie: (answer) => {
    if (!lost) return answer
    throw new TypeError('connection lost')
  } })
  await buy('/1')
  await assert.rejects(giveBack(purse, await last(), { fetch }), { code: 'network' })
  assert.equal(await spent(), 20)
  lost = false
  assert.deepEqual(await giveBack(purse, await last(), { fetch }), { amount: 20000, currency: 'uusd' }) // it says: again
  assert.deepEqual([await spent(), machine.spent], [0, 0])

  // Where an earlier payment of the page was given back, "again" may speak of that one.
  lost = true
  await buy('/1')
  await assert.rejects(giveBack(purse, await last(), { fetch: async () => { throw new TypeError('lost') } }), { code: 'network' })
  await assert.rejects(giveBack(purse, await last(), { fetch: async () => says(409, { reason: 'again' }) }), { code: 'payment' })
  assert.equal(await spent(), 20)
})

test('a site that lies about what it gave back is believed up to what the page cost, and learns nothing', async () => {
  for (const units of [0, 5, 21, 900, 2 ** 20, 2 ** 40, -1, '20', null]) {
    const { purse, machine, shown, fetch, buy, spent } = await market({ lie: (answer, { coin }) =>
      says(200, { coin, units, spent: 0, revealed: 1000, amount: 9e9, currency: 'uusd' }) })
    for (const page of ['/1', '/2', '/3']) await buy(page)
    const row = (await purse.history())[1]
    await giveBack(purse, row, { fetch }).catch((error) => assert.equal(error.code, 'payment'))
    assert.ok(await spent() >= 40 && await spent() <= 60, String(units))
    machine.spent = 60 // it gave nothing back
    await buy('/4').catch((error) => assert.equal(error.code, 'disputed'))
    const highest = (await purse.highestShown(row.coin)).index
    assert.ok(Math.max(...shown) === highest && highest <= (await spent()) + 20 && highest <= 80, String([units, shown]))
  }
})
