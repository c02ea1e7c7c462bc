// Buys pages with mppx and prints what was bought as JSON.
//   BROKER_URL, VOUCHER, PAID_URLS (two or more, separated by blanks), FREE_URL
import assert from 'node:assert/strict'
import { Challenge, Receipt } from 'mppx'
import { Mppx } from 'mppx/client'
import { buyCoin } from './coin.mjs'
import { netpay } from './netpay.mjs'

const { BROKER_URL, VOUCHER, PAID_URLS, FREE_URL } = process.env
const paid = PAID_URLS.split(/\s+/).filter(Boolean)
const coin = await buyCoin(BROKER_URL, VOUCHER)
const bought = []

async function buy(intent, url) {
  const client = Mppx.create({ methods: [netpay(coin, intent)], polyfill: false })
  const seen = []
  client.onChallengeReceived(({ challenge }) => { seen.push(challenge) })
  const before = coin.spent
  const answer = await client.fetch(url)
  const text = await answer.text()
  assert.equal(answer.status, 200, text)
  const receipt = Receipt.fromResponse(answer)
  assert.equal(seen.length, 1)
  assert.equal(seen[0].intent, intent)
  assert.equal(receipt.method, 'netpay')
  assert.equal(receipt.status, 'success')
  assert.equal(receipt.amount, seen[0].request.amount)
  assert.equal(receipt.reference, `${coin.id}:${coin.spent}`)
  assert.equal(receipt.spent, coin.spent)
  assert.ok(coin.spent > before)
  bought.push({ url, intent, units: coin.spent - before, bytes: text.length, receipt })
}

// What mppx reads from an unpaid answer.
const unpaid = await fetch(paid[0])
assert.equal(unpaid.status, 402)
const offers = Challenge.fromResponseList(unpaid)
assert.deepEqual(offers.map((c) => `${c.method}/${c.intent}`), ['netpay/session', 'netpay/charge'])

await buy('session', paid[0])
await buy('charge', paid[1])
for (const url of paid.slice(2)) await buy('session', url)

// A free page is fetched through the same client, and costs nothing.
const free = await Mppx.create({ methods: [netpay(coin, 'session')], polyfill: false }).fetch(FREE_URL)
assert.equal(free.status, 200)
assert.equal(free.headers.get('payment-receipt'), null)

console.log(JSON.stringify({ coin: coin.id, spent: coin.spent, bought }))
