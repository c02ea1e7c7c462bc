// What the button shows when there is nothing to pay: balance, this site's limits, the last payments.
import { fromDecimal, isPrivate, originOf, pretty, toDecimal } from 'netpay'
import { api, purse, setting } from './wallet.js'

const at = (id) => document.getElementById(id)
const wallet = await purse()
const currency = await setting('currency', 'uusd')
const [tab] = await api.tabs.query({ active: true, lastFocusedWindow: true })
const vendor = tab?.url && isPrivate(tab.url) ? originOf(tab.url) : ''
const identities = await wallet.identities()

function item(payment) {
  const li = document.createElement('li')
  const what = { paid: '', live: ' (on its way)', unknown: ' (not confirmed yet)' }[payment.state]
  li.textContent = `${pretty(payment.amount, payment.currency)} to ${new URL(payment.vendor).host}${what}`
  return li
}

const payments = (await wallet.history(40)).filter((p) => p.state !== 'void').slice(0, 5)
at('balance').textContent = pretty(await wallet.balance(currency), currency)
at('history').replaceChildren(...payments.map(item))
if (!payments.length) at('history').replaceWith(Object.assign(document.createElement('p'), { textContent: 'None yet.' }))

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
    at('said').textContent = 'An amount is written like 0.05'
    return
  }
  await wallet.setLimit(vendor, currency, { automatic: at('automatic').checked, perPage, perDay })
  at('said').textContent = 'Saved.'
})

at('options').addEventListener('click', () => api.runtime.openOptionsPage())
