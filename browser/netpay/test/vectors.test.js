// The frozen bytes of the wire contract.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { b64u, concat, sha256, text, unb64u, utf8 } from '../src/bytes.js'
import { Chain, coinName, walkDown } from '../src/chain.js'
import { bestOffer, credential, parseChallenges, parseTerms, parseTime } from '../src/challenge.js'
import { jcs, parseJson } from '../src/json.js'
import { readKeys, verifyTouchstone } from '../src/touchstone.js'

const vectors = process.env.NETPAY_VECTORS ?? new URL('../../../test/vectors', import.meta.url).pathname
const read = (name) => JSON.parse(readFileSync(`${vectors}/${name}.json`, 'utf8'))

test('chains', () => {
  for (const v of read('payword').chains) {
    const salt = unb64u(v.salt, 16)
    const chain = Chain.make(salt, unb64u(v.seed, 32), v.n)
    if (v.paywords) v.paywords.forEach((word, i) => assert.equal(b64u(chain.at(i)), word))
    if (v.root) assert.equal(b64u(chain.at(0)), v.root)
    if (v.w500) assert.equal(b64u(chain.at(500)), v.w500)
    assert.equal(coinName(salt, chain.at(0)), v.coin)
    const again = Chain.restore(salt, v.n, chain.checkpoints())
    for (const i of [0, 1, v.n - 1, v.n, Math.min(v.n, 1024), Math.min(v.n, 1025), Math.floor(v.n / 2)])
      assert.deepEqual(again.at(i), chain.at(i))
    assert.equal(Chain.restore(salt, v.n + 1024, chain.checkpoints()), null)
  }
})

test('checkpoints at the borders', () => {
  const salt = new Uint8Array(16)
  for (const n of [1, 2, 1023, 1024, 1025, 2048, 2049]) {
    const chain = Chain.make(salt, new Uint8Array(32).fill(9), n)
    assert.equal(chain.points.length, Math.floor((n - 1) / 1024) + 2)
    assert.deepEqual(chain.at(0), walkDown(salt, n, new Uint8Array(32).fill(9), 0))
    for (const i of [0, 1, 1022, 1023, 1024, 1025, 2047, 2048].filter((k) => k < n))
      assert.deepEqual(chain.at(i), walkDown(salt, i + 1, chain.at(i + 1), i))
  }
})

test('challenges and the credential', () => {
  const v = read('challenge')
  assert.equal(jcs(v.request), v.request_jcs)
  for (const kind of ['session', 'charge']) {
    const c = v[kind]
    assert.equal(c.request, b64u(utf8(v.request_jcs)))
    const field = `Payment ${Object.entries(c).map(([k, x]) => `${k}="${x}"`).join(', ')}`
    assert.deepEqual(parseChallenges(field), [c])
  }
  const both = ['session', 'charge'].map((k) => `Payment ${Object.entries(v[k]).map(([n, x]) => `${n}="${x}"`).join(', ')}`)
  const offer = bestOffer([`${both[1]}, ${both[0]}`], 'https://news.example')
  assert.equal(offer.challenge.intent, 'session')
  assert.deepEqual(offer.terms, { amount: 20000, currency: 'uusd', recipient: 'https://news.example', brokers: ['https://broker.example'] })
  assert.equal(bestOffer(both, 'https://other.example').trouble, 'its challenge asks to pay somebody else')
  const [name, value] = credential(v.session, v.credential.payload)
  assert.equal(name, 'Authorization')
  const mine = JSON.parse(text(unb64u(value.slice(8))))
  const theirs = JSON.parse(text(unb64u(v.credential.authorization.slice(8))))
  assert.deepEqual(mine, theirs)
})

test('touchstones', async () => {
  const v = read('touchstone')
  const keys = readKeys(JSON.stringify(v.jwks))
  const good = await verifyTouchstone(v.jws, v.issuer, keys, v.now)
  assert.equal(good.why, undefined)
  assert.equal(good.coin, v.payload.coin)
  assert.equal(good.expires, v.payload.exp)
  for (const bad of v.bad) assert.ok((await verifyTouchstone(bad.jws, v.issuer, keys, v.now)).why, bad.why)
  assert.equal((await verifyTouchstone(v.jws, v.issuer, keys, v.payload.exp)).why, undefined)
  assert.equal((await verifyTouchstone(v.jws, v.issuer, keys, v.payload.exp + 1)).why, 'expired')
})

test('what the contract calls malformed', () => {
  for (const bad of ['AA==', 'AB', 'A', 'A+', 'AAA=', ' AAAA']) assert.equal(unb64u(bad), null, bad)
  assert.deepEqual(unb64u('AA'), new Uint8Array(1))
  for (const bad of ['{"a":1,"a":2}', '{"a":1.0}', '{"a":1e0}', '{"b":{"a":1,"a":1}}', '{"\\u0061":1,"a":2}', '[1.5]', '{"a":9007199254740993}', '{', ''])
    assert.equal(parseJson(bad), undefined, bad)
  assert.deepEqual(parseJson('{"a":{"b":["a","a",1,-1,true,null]},"b":"\\"{}"}'), { a: { b: ['a', 'a', 1, -1, true, null] }, b: '"{}' })
  assert.equal(parseTime('2026-11-22T12:05:00Z'), 1795349100)
  assert.equal(parseTime('tomorrow'), null)
  const request = (o) => b64u(utf8(JSON.stringify(o)))
  const good = { amount: '1', currency: 'uusd', recipient: 'https://a.example', methodDetails: { brokers: [] } }
  assert.ok(parseTerms(request(good)))
  for (const bad of [{ amount: 1 }, { amount: '0' }, { amount: '01' }, { amount: '1.0' }, { amount: '9007199254740992' }, { currency: 'usd' },
    { recipient: 1 }, { methodDetails: {} }, { methodDetails: { brokers: [1] } }]) assert.equal(parseTerms(request({ ...good, ...bad })), null)
})

test('challenges among those of other schemes', () => {
  const c = 'Payment id="i", realm="r", method="netpay", intent="session", request="q"'
  assert.equal(parseChallenges(`Basic realm="x", ${c}, Bearer`).length, 1)
  assert.equal(parseChallenges(`Negotiate abc==, ${c}`).length, 1)
  assert.equal(parseChallenges(`${c}, ${c.replace('session', 'charge')}`).length, 2)
  assert.equal(parseChallenges(`${c}, realm="again"`).length, 0)
  assert.equal(parseChallenges('Payment id="i"').length, 0)
  assert.equal(parseChallenges('Payment id="i').length, 0)
  assert.equal(parseChallenges(c.replace('"r"', '"r \\"q\\" \\\\"'))[0].realm, 'r "q" \\')
  assert.equal(parseChallenges(`payment ID=i, Realm=r, method=netpay, intent=session, request=q`).length, 1)
  assert.deepEqual(sha256(concat(utf8('a'), utf8('b'))), sha256(utf8('ab')))
})
