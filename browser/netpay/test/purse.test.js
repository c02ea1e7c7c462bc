// The purse: tickets durable before they leave, limits, identities, export, several processes.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
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
  await purse.paid(first, a, 20000, 20)
  const second = await purse.reserve(want(b))
  assert.notEqual(first.coin.coin, second.coin.coin)
  await purse.paid(second, b, 20000, 20)
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
  for (const page of ['/1', '/2']) await purse.paid(await purse.reserve(want(a, page)), a, 20000, 0)
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
  await purse.paid(second, a, 20000, 40)
  await assert.rejects(purse.reserve(want(a, '/4')), over)

  await purse.setLimit(b, 'uusd', { automatic: true, perPage: 20000, perDay: 20000 }) // a site's own limit, in place of that for each site
  await purse.paid(await purse.reserve(want(b, '/1')), b, 20000, 20)
  await assert.rejects(purse.reserve(want(b, '/2')), over)
  await purse.setLimit(b, 'uusd', { automatic: true, perPage: 20000, perDay: 900000 })
  await purse.paid(await purse.reserve(want(b, '/2')), b, 20000, 40)
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
  await purse.paid(await purse.reserve(want(a)), a, 20000, 20)
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
  await second.paid(await second.reserve(want(a, '/other')), a, 20000, 0)
})

test('export moves coins, a backup is taken by word only, damage is seen', async () => {
  const one = new Purse(new MemoryStore())
  const two = new Purse(new MemoryStore())
  const coin = await give(one, { n: 3000 })
  const ticket = await one.reserve(want(a))
  await one.paid(ticket, a, 20000, 20)
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
      await purse.paid(t, '${a}', 20000, 0)
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
