// What the button shows when there is nothing to pay: balance, this site's limits, the last payments.
import { costOf, fromDecimal, isPrivate, originOf, pretty, toDecimal } from 'netpay'
import { at, button, element, keepingFocus, say } from './page.js'
import { api, purse, setting } from './wallet.js'

const wallet = await purse()
const currency = await setting('currency', 'uusd')
const [tab] = await api.tabs.query({ active: true, lastFocusedWindow: true })
const vendor = tab?.url && isPrivate(tab.url) ? originOf(tab.url) : ''
const identities = await wallet.identities()

const mostShown = 5
const states = { paid: '', live: ' (on its way)', unknown: ' (not confirmed yet)', 'given-back': ' (given back)' }

// The background asks the site: this page may be closed meanwhile.
async function giveBack(payment) {
  say('One moment …')
  const { amount, trouble } = await api.runtime.sendMessage({ giveBack: payment.id })
  await draw()
  if (trouble) say(trouble, true)
  else say(`You got ${pretty(amount, payment.currency)} back.`)
}

function item(payment) {
  const cost = pretty(costOf(payment) + (payment.back ?? 0), payment.currency)
  const li = element('li', `${cost} to ${new URL(payment.vendor).host}${states[payment.state]} `)
  if (wallet.canGiveBack(payment))
    li.append(button(`Give back ${cost}`, `Give back ${cost} for ${payment.url.slice(payment.vendor.length)}`, () => giveBack(payment)))
  return li
}

// The last payments, and those before them that can be given back still.
async function draw() {
  const payments = (await wallet.history(40)).filter((p) => p.state !== 'void')
    .filter((p, i) => i < mostShown || wallet.canGiveBack(p))
  const balance = await wallet.balance(currency)
  keepingFocus(() => {
    at('balance').textContent = pretty(balance, currency)
    at('history').replaceChildren(...(payments.length ? payments.map(item) : [element('li', 'None yet.')]))
  })
}

await draw()

if (vendor) {
  const identity = await wallet.identityOf(vendor)
  const rules = await wallet.limits(currency)
  const rule = rules.find((r) => r.site === vendor) ?? {}
  const all = rules.find((r) => r.site === '*') ?? {}
  const key = `offer ${tab.id}`
  const offer = (await api.storage.session.get(key))[key]
  at('site').hidden = false
  at('host').textContent = new URL(vendor).host
  at('identity').textContent = identities.find((i) => i.id === identity)?.name ?? 'Main'
  at('automatic').checked = rule.automatic ?? all.automatic ?? false
  at('most').value = toDecimal(rule.perPage ?? all.perPage ?? 50000)
  at('daily').value = rule.perDay === undefined || rule.perDay === null ? '' : toDecimal(rule.perDay)
  if (offer?.trouble) {
    at('offer').hidden = false
    at('offer').textContent = `This page was not paid: ${offer.trouble}`
  }
}

at('save').addEventListener('click', async () => {
  const perPage = fromDecimal(at('most').value)
  const daily = at('daily').value.trim()
  const perDay = daily ? fromDecimal(daily) : null
  if (perPage === null || (daily && perDay === null)) {
    say('An amount is written like 0.05', true)
    return
  }
  await wallet.setLimit(vendor, currency, { automatic: at('automatic').checked, perPage, perDay })
  say('Saved.')
})

at('options').addEventListener('click', () => api.runtime.openOptionsPage())
