// The purse: tickets durable before they leave, limits, identities, export, several processes.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { b64u, sha256, utf8 } from '../src/bytes.js'
import { Broker } from '../src/broker.js'
import { exportCoins, exportSaved, importCoins, unsavedExport } from '../src/backup.js'
import { FileStore, isRunning, thisProcess } from '../src/file_store.js'
import { fromDecimal, pretty, toDecimal, unitsFor } from '../src/money.js'
import { isLoopback, isOrigin, isPrivate, originOf } from '../src/origin.js'
import { makeCoin, Purse } from '../src/purse.js'
import { MemoryStore } from '../src/store.js'

const issuer = 'https://broker.example'
const a = 'https://a.example'
const b = 'https://b.example'
const places = []
after(() => Promise.all(places.map((place) => rm(place, { recursive: true }))))

async function place() {
  places.push(await mkdtemp(join(tmpdir(), 'netpay-purse-')))
  return places.at(-1)
}

async function give(purse, { n = 1000, identity = 'main' } = {}) {
  const { coin, chain } = makeCoin({ issuer, currency: 'uusd', unit: 1000, n, identity, now: purse.now() })
  await purse.store.transaction((tx) => purse.addCoin(tx, { ...coin, state: 'live', touchstone: 't', expires: purse.now() + 1e6 }, chain))
  return coin.coin
}

const want = (vendor, page = '/1', more = {}) => ({ vendor, method: 'GET', url: vendor + page, amount: 20000, limit: 20000, currency: 'uusd',
  brokers: [issuer], ...more })

test('a ticket is in the store before it is given out', async () => {
  const directory = await place()
  const purse = new Purse(new FileStore(directory), { owner: thisProcess(), alive: isRunning })
  await give(purse)
  const ticket = await purse.reserve(want(a))
  const other = new Purse(new FileStore(directory), { owner: 'gone', alive: () => true })
  const [payment] = await other.history()
  assert.equal(payment.state, 'live')
  assert.equal(payment.ticket, ticket.index)
  assert.equal((await other.highestShown(ticket.coin.coin)).index, 20)
})

test('one coin a site while it can, and the same page is not paid twice', async () => {
  const purse = new Purse(new MemoryStore())
  await give(purse)
  await give(purse)
  const first = await purse.reserve(want(a))
  await purse.paid(first, a, { amount: 20000, spent: 20 })
  const second = await purse.reserve(want(b))
  assert.notEqual(first.coin.coin, second.coin.coin)
  await purse.paid(second, b, { amount: 20000, spent: 20 })
  const third = await purse.reserve(want(a, '/2'))
  assert.equal(third.coin.coin, first.coin.coin)
  assert.equal(third.index, 40)
  await purse.doubt(third)
  assert.equal((await purse.reserve(want(a, '/2'))).index, 40)
  const again = await purse.reread(a, `${a}/1`)
  assert.equal(again.index, 20)
  for (let i = 0; i < 2; ++i) assert.ok(await purse.reread(a, `${a}/1`))
  assert.equal(await purse.reread(a, `${a}/1`), null)
})

test('limits a page, a site and a day', async () => {
  let now = 1000000
  const purse = new Purse(new MemoryStore(), { now: () => now })
  await give(purse)
  await give(purse)
  assert.equal(await purse.decidesAlone(a, 1, 'uusd'), false)
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 20000, perSite: 40000, perDay: 60000 })
  assert.equal(await purse.decidesAlone(a, 20000, 'uusd'), true)
  assert.equal(await purse.decidesAlone(a, 20001, 'uusd'), false)
  await purse.setLimit(b, 'uusd', { automatic: false })
  assert.equal(await purse.decidesAlone(b, 1, 'uusd'), false)
  for (const page of ['/1', '/2']) await purse.paid(await purse.reserve(want(a, page)), a, { amount: 20000, spent: 0 })
  await assert.rejects(purse.reserve(want(a, '/3')), { code: 'not-accepted' })
  await purse.checkLimits(want(b, '/1'))
  await purse.reserve(want(b, '/1'))
  await assert.rejects(purse.checkLimits(want(b, '/2')), { code: 'not-accepted' })
  await assert.rejects(purse.reserve(want(b, '/2')), { code: 'not-accepted' })
  now += 24 * 3600 + 1
  await purse.reserve(want(a, '/3'))
})

test('limits hold for what is on its way and what is not confirmed, for each site and by the day', async () => {
  let now = 1800000000
  const purse = new Purse(new MemoryStore(), { now: () => now })
  await give(purse)
  await give(purse)
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 20000, perSite: 40000, perDay: 80000 })
  const over = { code: 'not-accepted' }
  const many = await Promise.allSettled(['/1', '/2', '/3', '/4'].map((page) => purse.reserve(want(a, page))))
  assert.deepEqual(many.map((m) => m.status), ['fulfilled', 'fulfilled', 'rejected', 'rejected']) // at once, and none has been paid yet
  await purse.doubt(many[0].value)
  await assert.rejects(purse.reserve(want(a, '/3')), over) // it may have been charged
  assert.equal((await purse.reserve(want(a, '/1'))).index, many[0].value.index) // the same page again costs nothing more
  await purse.notCharged(many[1].value)
  const second = await purse.reserve(want(a, '/3'))
  await purse.paid(second, a, { amount: 20000, spent: 40 })
  await assert.rejects(purse.reserve(want(a, '/4')), over)

  await purse.setLimit(b, 'uusd', { automatic: true, perPage: 20000, perDay: 20000 }) // a site's own limit, in place of that for each site
  await purse.paid(await purse.reserve(want(b, '/1')), b, { amount: 20000, spent: 20 })
  await assert.rejects(purse.reserve(want(b, '/2')), over)
  await purse.setLimit(b, 'uusd', { automatic: true, perPage: 20000, perDay: 900000 })
  await purse.paid(await purse.reserve(want(b, '/2')), b, { amount: 20000, spent: 40 })
  await assert.rejects(purse.reserve(want(b, '/3')), { code: 'not-accepted', limit: 'all sites' }) // a site's own limit does not lift that of all

  now += 24 * 3600 + 1
  await purse.reserve(want(b, '/3'))
})

test('a price that rises on the way is within the limits, too', async () => {
  const purse = new Purse(new MemoryStore())
  await give(purse)
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 50000, perDay: 40000 })
  const ticket = await purse.reserve(want(a))
  await assert.rejects(purse.reserveAgain(want(a, '/1', { amount: 50000, limit: 50000 }), ticket, {}), { code: 'not-accepted' })
  assert.deepEqual((await purse.history()).map((p) => p.state), ['void'])
})

test('a page is paid ahead only at a site that is known and paid unasked, and once', async () => {
  const purse = new Purse(new MemoryStore(), { owner: 'this', alive: (owner) => owner === 'this' })
  await give(purse)
  assert.equal(await purse.paysAhead(a), false)
  await purse.rememberSession(a, { realm: 'r' }, purse.now() + 60)
  assert.equal(await purse.paysAhead(a), false) // no limits: it asks
  await purse.setLimit('*', 'uusd', { automatic: true, perPage: 20000 })
  assert.equal(await purse.paysAhead(a), true)
  assert.equal(await purse.paysAhead(b), false)
  await purse.setLimit(a, 'uusd', { automatic: false })
  assert.equal(await purse.paysAhead(a), false)
  await purse.setLimit(a, 'uusd', { automatic: null, perDay: 90000 })
  assert.equal(await purse.paysAhead(a), true)

  assert.equal(await purse.isUnderWay(a, `${a}/1`), false)
  const ticket = await purse.reserve(want(a))
  assert.equal(await purse.isUnderWay(a, `${a}/1`), true)
  assert.equal(await purse.isUnderWay(a, `${a}/2`), false)
  assert.equal(await new Purse(purse.store, { owner: 'later' }).isUnderWay(a, `${a}/1`), false) // of an earlier session: of unknown outcome
  await purse.notCharged(ticket)
  assert.equal(await purse.isUnderWay(a, `${a}/1`), false)
})

test('identities keep their coins apart', async () => {
  const purse = new Purse(new MemoryStore())
  const main = await give(purse)
  const work = await purse.addIdentity('Work')
  await purse.paid(await purse.reserve(want(a)), a, { amount: 20000, spent: 20 })
  await purse.useIdentity(work.id)
  await assert.rejects(purse.reserve(want(b)), { code: 'no-money' })
  const other = await give(purse, { identity: work.id })
  assert.equal((await purse.reserve(want(b))).coin.coin, other)
  assert.equal((await purse.reserve(want(a, '/2'))).coin.coin, main) // fixed by its first payment
  assert.equal(await purse.identityOf(a), 'main')
  assert.equal(await purse.identityOf('https://c.example'), work.id)
  assert.equal(await purse.balance('uusd', { identity: work.id }), 1000000)
})

test('a site that claims more than was accepted is shown nothing more', async () => {
  const purse = new Purse(new MemoryStore())
  const coin = await give(purse)
  const ticket = await purse.reserve(want(a))
  await assert.rejects(purse.reserveAgain(want(a), ticket, { spent: 500, needed: 520 }), { code: 'disputed' })
  const next = await purse.reserve(want(a, '/2'))
  await assert.rejects(purse.reserveAgain(want(a, '/2'), next, { needed: 999 }), { code: 'disputed' })
  assert.equal((await purse.highestShown(coin)).index, 20)
  assert.equal((await purse.coins())[0].spent, 0)
})

test('payments of a process that is gone are of unknown outcome', async () => {
  const store = new MemoryStore()
  const first = new Purse(store, { owner: '1', alive: () => true })
  await give(first)
  const ticket = await first.reserve(want(a))
  const second = new Purse(store, { owner: '2', alive: () => false })
  assert.equal((await second.history())[0].state, 'unknown')
  assert.equal((await second.reserve(want(a))).index, ticket.index)
  await second.paid(await second.reserve(want(a, '/other')), a, { amount: 20000, spent: 0 })
})

test('export moves coins, a backup is taken by word only, damage is seen', async () => {
  const one = new Purse(new MemoryStore())
  const two = new Purse(new MemoryStore())
  const coin = await give(one, { n: 3000 })
  const ticket = await one.reserve(want(a))
  await one.paid(ticket, a, { amount: 20000, spent: 20 })
  await one.doubt(await one.reserve(want(a, '/2')))
  const backup = await exportCoins(one, { kind: 'backup' })
  await assert.rejects(importCoins(two, backup.text), { code: 'usage', backup: true })
  const moved = await exportCoins(one)
  await assert.rejects(one.reserve(want(a, '/3')), { code: 'no-money' })
  assert.equal((await exportCoins(one)).text, moved.text) // until it is saved elsewhere
  assert.equal((await unsavedExport(one)).text, moved.text)
  await exportSaved(one)
  assert.equal(await unsavedExport(one), null)
  assert.deepEqual((await exportCoins(one)).coins, [])
  for (const bad of [moved.text.slice(0, -3), moved.text.replace('"spent":20', '"spent":10'), '', `${moved.text}x`, moved.text.split('\n').slice(0, 2).join('\n')])
    await assert.rejects(importCoins(two, bad), { code: 'usage' })
  assert.deepEqual(await importCoins(two, moved.text), { accounts: 0, coins: 1, alreadyHere: [], backup: false })
  assert.deepEqual((await importCoins(two, moved.text)).alreadyHere, [coin])
  const [here] = await two.coins()
  assert.equal(here.spent, 20)
  assert.equal(here.holder, a)
  const next = await two.reserve(want(a, '/2')) // the payment of unknown outcome came along
  assert.equal(next.index, 40)
  await two.notCharged(next)
  await exportCoins(two)
  const restored = await importCoins(one, (await exportCoins(two, { kind: 'backup', coins: [] })).text, { restore: true })
  assert.equal(restored.coins, 0)
})

// An export in which something was changed by who can compute its checksum.
function altered(text, change) {
  const lines = text.trimEnd().split('\n').slice(0, -1).map((line) => {
    const value = JSON.parse(line)
    if (value.coin) change(value.coin)
    return JSON.stringify(value)
  })
  const body = `${lines.join('\n')}\n`
  return `${body}${JSON.stringify({ sha256: b64u(sha256(utf8(body))) })}\n`
}

test('a hostile import is refused whole', async () => {
  const one = new Purse(new MemoryStore())
  await give(one)
  await one.paid(await one.reserve(want(a)), a, { amount: 20000, spent: 20 })
  await one.doubt(await one.reserve(want(a, '/2')))
  const { text } = await exportCoins(one, { kind: 'move' })
  const purse = new Purse(new MemoryStore())
  for (const change of [(c) => { c.holder = 'not a url' }, (c) => { c.holder = `${a}/` }, (c) => { c.standings[0].vendor = 'x' },
    (c) => { c.open[0].vendor = 'javascript:1' }, (c) => { c.open[0].url = `${b}/2` }, (c) => { c.unit = 2 ** 52 }, (c) => { c.standings = {} },
    (c) => { c.issuer = 'broker' }]) {
    await assert.rejects(importCoins(purse, altered(text, change)), { code: 'usage' }, String(change))
    assert.deepEqual([await purse.coins(), await purse.history()], [[], []])
  }
  assert.equal((await importCoins(purse, altered(text, () => undefined))).coins, 1)
})

test('coins that were away come back with what happened there', async () => {
  const home = new Purse(new MemoryStore())
  const { coin: pending, chain } = makeCoin({ issuer, currency: 'uusd', unit: 1000, n: 1000, identity: 'main', now: home.now() })
  await home.store.transaction((tx) => home.addCoin(tx, pending, chain)) // a purchase that was cut off
  const move = async (from, to) => {
    const { text } = await exportCoins(from)
    await exportSaved(from)
    return importCoins(to, text)
  }
  const away = new Purse(new MemoryStore())
  await move(home, away)
  await away.changeCoin(pending.coin, { state: 'live', touchstone: 'x.y.z', expires: away.now() + 1e6 }) // finished there
  await away.paid(await away.reserve(want(a)), a, { amount: 20000, spent: 20 })
  await move(away, home)
  const [back] = await home.coins()
  assert.deepEqual([back.state, back.touchstone, back.holder, back.spent, back.restored], ['live', 'x.y.z', a, 20, false])
  assert.ok(back.expires > home.now())
  assert.equal(await home.balance('uusd'), 980000)

  // A payment whose outcome never arrived there comes along, and an honest site that counts it is believed.
  await home.paid(await home.reserve(want(a, '/2')), a, { amount: 20000, spent: 40 })
  await home.doubt(await home.reserve(want(a, '/open')))
  await move(home, away)
  await away.doubt(await away.reserve(want(a, '/3')))
  await move(away, home)
  assert.equal((await home.history()).filter((p) => p.state === 'unknown').length, 2)
  const next = await home.reserve(want(a, '/4'))
  const again = await home.reserveAgain(want(a, '/4'), next, { spent: 60, ticketUsed: true }) // both had the same ticket
  assert.equal(again.index, 80)
  await home.paid(again, a, { amount: 20000, spent: 80 })

  // One that was open when the coin left, and was settled there.
  await home.doubt(await home.reserve(want(a, '/5')))
  await move(home, away)
  await away.paid(await away.reserve(want(a, '/5')), a, { amount: 20000, spent: 100 })
  await move(away, home)
  assert.deepEqual((await home.history()).filter((p) => p.url === `${a}/5`).map((p) => p.state), ['paid'])
  assert.equal((await home.coins())[0].spent, 100)
  assert.equal((await home.reserve(want(a, '/6'))).index, 120)
})

test('a coin whose site claims more stands back for another, until its owner takes the site at its word', async () => {
  const lost = new Purse(new MemoryStore())
  const coin = await give(lost)
  await lost.paid(await lost.reserve(want(a)), a, { amount: 20000, spent: 20 })
  const { text } = await exportCoins(lost, { kind: 'backup' })
  const purse = new Purse(new MemoryStore())
  await importCoins(purse, text, { restore: true })
  const first = await purse.reserve(want(a, '/2'))
  assert.equal(first.coin.coin, coin)
  await assert.rejects(purse.reserveAgain(want(a, '/2'), first, { spent: 90 }), { code: 'disputed' }) // three pages after the backup
  const second = await purse.reserve(want(a, '/2'))
  assert.equal(second.coin.coin, coin) // no other is there
  await purse.notCharged(second)
  const good = await give(purse)
  for (const page of ['/3', '/4']) {
    const ticket = await purse.reserve(want(a, page))
    assert.equal(ticket.coin.coin, good)
    await purse.paid(ticket, a, { amount: 20000, spent: 0 })
  }
  await assert.rejects(purse.writeOff(good), { code: 'usage' })
  await purse.writeOff(coin)
  const [mine] = (await purse.coins()).filter((c) => c.coin === coin)
  assert.deepEqual([mine.spent, mine.claimed], [90, 0])
  await purse.changeCoin(good, { state: 'returned' })
  assert.equal((await purse.reserve(want(a, '/5'))).index, 110)
})

test('a coin that is being returned can be tried again, and is live where the broker refuses', async () => {
  const purse = new Purse(new MemoryStore())
  const name = await give(purse)
  await purse.store.transaction((tx) => tx.put('accounts', issuer, { issuer, api: `${issuer}/api`, jwks_uri: `${issuer}/k`, jwks: '{}', account: 'a', token: 't' }))
  let answer
  const broker = new Broker(purse, issuer, { fetch: async () => answer() })
  const state = async () => (await purse.coins())[0].state
  const says = (status, value) => () => new Response(JSON.stringify(value), { status })
  answer = says(409, { detail: 'no' })
  await assert.rejects(broker.giveBack({ coin: name }), { code: 'broker', status: 409 })
  assert.equal(await state(), 'live')
  for (const bad of [() => { throw new TypeError('offline') }, says(500, {}), says(503, {}), says(200, { refunded: 'x' })]) {
    answer = bad
    await assert.rejects(broker.giveBack({ coin: name }))
    assert.equal(await state(), 'returning')
    await assert.rejects(purse.reserve(want(a)), { code: 'no-money' })
  }
  answer = says(404, {}) // it may have been returned by the request whose answer was lost
  await assert.rejects(broker.giveBack({ coin: name }), { code: 'broker' })
  assert.equal(await state(), 'returning')
  answer = says(202, { due: 5 })
  assert.deepEqual(await broker.giveBack({ coin: name }), { due: 5 })
  answer = says(200, { refunded: 1000000 })
  assert.deepEqual(await broker.giveBack({ coin: name }), { refunded: 1000000, currency: 'uusd' })
  await assert.rejects(broker.giveBack({ coin: name }), { code: 'usage' })
})

test('a payment that was taken back and had left all the same is booked for a minute', async () => {
  let now = 1800000000
  const purse = new Purse(new MemoryStore(), { now: () => now })
  await give(purse)
  const ticket = await purse.reserve(want(a))
  await purse.notCharged(ticket)
  const late = await purse.openPaymentOf(a, `${a}/1`, ticket.coin.coin, ticket.index)
  assert.equal(late.id, ticket.payment)
  now += 61
  assert.equal(await purse.openPaymentOf(a, `${a}/1`, ticket.coin.coin, ticket.index), undefined)
  await purse.paid(ticket, a, { amount: 90000, spent: 20 })
  assert.deepEqual((await purse.history()).map((p) => [p.state, p.cost]), [['paid', 20000]])
  assert.equal((await purse.coins())[0].spent, 20)
  const next = await purse.reserve(want(a, '/2'))
  assert.equal(next.index, 40)
  await purse.notCharged(next)

  // Taken back, and its ticket bought the page after all: its receipt, seen again, is of that payment.
  await purse.notCharged(await purse.reserve(want(b, '/1')))
  const paid = await purse.reserve(want(b, '/1'))
  await purse.paid(paid, b, { amount: 20000, spent: paid.index })
  assert.equal(await purse.openPaymentOf(b, `${b}/1`, paid.coin.coin, paid.index), undefined)
})

test('what a page can be read again for, and by whom it was paid lately', async () => {
  let now = 1800000000
  const purse = new Purse(new MemoryStore(), { now: () => now })
  const coin = await give(purse)
  assert.equal(await purse.grace(a, `${a}/1`), null)
  await purse.paid(await purse.reserve(want(a)), a, { amount: 20000, spent: 20 })
  assert.deepEqual(await purse.grace(a, `${a}/1`), { coin, times: 3, until: now + 300 })
  await purse.reread(a, `${a}/1`)
  assert.equal((await purse.grace(a, `${a}/1`)).times, 2)
  await purse.paid(await purse.reserve(want(b)), b, { amount: 20000, spent: 40 })
  assert.equal(await purse.grace(a, `${a}/1`), null) // the coin moved on
  assert.equal(await purse.paidLately(a, `${a}/1`), true)
  now += 300
  assert.equal(await purse.paidLately(a, `${a}/1`), false)
})

test('standing challenges are kept while they hold, and not without end', async () => {
  let now = 1800000000
  const purse = new Purse(new MemoryStore(), { now: () => now })
  const rows = () => purse.store.transaction(async (tx) => (await tx.all('sessions')).map((row) => row.challenge.realm))
  for (let i = 0; i < 50; ++i) await purse.rememberSession(a, { realm: `r${i}` }, now + 100 + i)
  await purse.rememberSession(b, { realm: 'r' }, now + 500)
  assert.deepEqual((await rows()).sort(), ['r', 'r42', 'r43', 'r44', 'r45', 'r46', 'r47', 'r48', 'r49'])
  now += 200
  await purse.rememberSession(b, { realm: 'r' }, now + 500)
  assert.deepEqual(await rows(), ['r'])
})

test('several processes share a directory', async () => {
  const directory = await place()
  const purse = new Purse(new FileStore(directory), { owner: thisProcess(), alive: isRunning })
  await give(purse, { n: 10000 })
  const code = `
    import { FileStore, isRunning, thisProcess } from '${new URL('../src/file_store.js', import.meta.url)}'
    import { Purse } from '${new URL('../src/purse.js', import.meta.url)}'
    const purse = new Purse(new FileStore(process.argv[1]), { owner: thisProcess(), alive: isRunning })
    for (let i = 0; i < 8; ++i) {
      const url = '${a}/' + process.pid + '/' + i
      const t = await purse.reserve({ vendor: '${a}', method: 'GET', url, amount: 20000, limit: 20000, currency: 'uusd', brokers: ['${issuer}'] })
      console.log(t.index)
      if (process.argv[2] === 'die' && i === 4) process.kill(process.pid, 'SIGKILL')
      await purse.paid(t, '${a}', { amount: 20000, spent: 0 })
    }`
  const run = (how) => new Promise((resolve) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, directory, how], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (chunk) => { out += chunk })
    child.on('close', () => resolve(out.trim().split('\n').map(Number)))
  })
  const tickets = (await Promise.all([run('live'), run('die'), run('live')])).flat()
  assert.equal(tickets.length, 8 + 5 + 8)
  const states = (await purse.history(1000)).map((p) => p.state)
  assert.equal(states.filter((s) => s === 'live').length, 0)
  const [coin] = await purse.coins()
  // A ticket is given twice only where its first payment's process died.
  assert.ok(new Set(tickets).size >= tickets.length - 1)
  assert.equal(coin.spent, 20 * states.filter((s) => s === 'paid').length)
  assert.equal((await readdir(directory)).filter((name) => name.startsWith('lock.')).length, 1)
})

test('money and origins', () => {
  assert.deepEqual([20000, 5000, 1200000, 500, 0].map((m) => pretty(m, 'uusd')), ['2 ¢', '0.5 ¢', '$1.20', '0.05 ¢', '$0.00'])
  assert.equal(pretty(1200000, 'ueur'), '€1.20')
  assert.equal(pretty(20000, 'uchf'), '0.02 CHF')
  assert.deepEqual(['0.05', '1', '.5', '1,25', '', '.', 'x', '-1', '1e3'].map(fromDecimal), [50000, 1000000, 500000, 1250000, null, null, null, null, null])
  assert.equal(toDecimal(20000), '0.02')
  assert.deepEqual([unitsFor(20000, 1000), unitsFor(20001, 1000), unitsFor(1, 1000), unitsFor(2 ** 40, 1)], [20, 21, 1, null])
  assert.deepEqual(['https://a.example', 'https://a.example/', 'https://A.example', 'https://a.example:443', 'http://u@a.example', 'ftp://a', ''].map(isOrigin),
    [true, false, false, false, false, false, false])
  assert.equal(originOf('https://a.example:8443/x?y#z'), 'https://a.example:8443')
  assert.deepEqual(['http://127.0.0.1:80', 'http://localhost', 'http://127.0.0.1.evil.example', 'https://[::1]/'].map(isLoopback), [true, true, false, true])
  assert.deepEqual(['https://a.example/', 'http://a.example/', 'http://127.0.0.2:1/'].map(isPrivate), [true, false, true])
})
