import assert from 'node:assert/strict'
import test from 'node:test'
import { Payments } from '../src/payments.js'

const page = 'https://news.example/1.html'
const payment = (url = page) => ({ visit: { url } })
const settled = async (promise) => {
  const pending = Symbol('pending')
  return (await Promise.race([promise, new Promise((resolve) => { setTimeout(resolve, 5, pending) })])) !== pending
}

test('a page is being paid until what became of it is on record, not until the answer', async () => {
  const payments = new Payments()
  const first = payments.begin(1, payment())
  assert.equal(payments.of(1), first)
  const second = payments.others(2, page)
  const third = payments.others(3, page)
  assert.equal(await settled(second), false)
  assert.equal(await settled(third), false)
  first.end()
  await second
  await third
  assert.equal(payments.of(1), undefined)
  assert.equal(await settled(payments.others(2, page)), true)
})

test('a payment that is refused is followed by another, and they wait for that one, too', async () => {
  const payments = new Payments()
  const first = payments.begin(1, payment())
  const second = payments.others(2, page)
  const again = payments.begin(1, payment())
  first.end()
  assert.equal(payments.of(1), again)
  assert.equal(await settled(second), false)
  again.end()
  await second
  assert.equal(payments.isOpen(page), false)
})

test('other pages, and the tab itself, wait for nobody', async () => {
  const payments = new Payments()
  payments.begin(1, payment())
  assert.equal(await settled(payments.others(1, page)), true)
  assert.equal(await settled(payments.others(2, 'https://news.example/2.html')), true)
  assert.equal(payments.isOpen(page), true)
  assert.equal(payments.isOpen('https://news.example/2.html'), false)
})
