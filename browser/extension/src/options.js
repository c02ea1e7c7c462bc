// Money, coins, limits, identities, export and import, history.
import { Broker, costOf, exportCoins, exportSaved, fromDecimal, importCoins, isDisputed, left, originOf, pretty, toDecimal, unsavedExport } from 'netpay'
import { at, button, element, keepingFocus, say } from './page.js'
import { api, purse, setSetting, setting } from './wallet.js'

const wallet = await purse()
let issuer = await setting('broker', '')
let currency = await setting('currency', 'uusd')

const optional = (text) => (text.trim() ? fromDecimal(text) : null)
const states = { paid: 'paid', unknown: 'not confirmed yet', live: 'on its way', void: 'not charged', 'given-back': 'given back' }
const places = { pending: 'being bought', returning: 'going back to the broker' }

const returning = (coin) => button('Return', `Return coin ${coin.coin.slice(0, 8)}`, () => act(async () => {
  const done = await new Broker(wallet, coin.issuer).giveBack(coin)
  return done.due === undefined ? `${pretty(done.refunded, coin.currency)} is back on your account.`
    : 'The site that holds this coin is out of reach: what is left comes back to your account when its time is over.'
}))

// A site says that more is spent: of a coin from a backup that may be so.
function writingOff(coin) {
  const loss = pretty(coin.unit * (Math.min(coin.claimed, coin.n) - coin.spent), coin.currency)
  return [element('p', `A site says that ${loss} more are spent than you know of. The coin may come from a backup that is older; if not, return it.`),
    button("Accept the site's count", `Accept the site's count of coin ${coin.coin.slice(0, 8)}: ${loss} more are spent`, () => act(async () => {
      await wallet.writeOff(coin.coin)
      return `${loss} are counted as spent.`
    }))]
}

function coinRow(coin, names) {
  const where = places[coin.state] ?? (coin.holder ? new URL(coin.holder).host : 'here, unused')
  const actions = [...(coin.state === 'pending' ? [] : [returning(coin)]), ...(coin.state === 'live' && isDisputed(coin) ? writingOff(coin) : [])]
  return element('tr', [element('td', coin.coin.slice(0, 8)), element('td', pretty(left(coin), coin.currency)),
    element('td', pretty(coin.unit * coin.n, coin.currency)), element('td', names.get(coin.identity) ?? 'Main'),
    element('td', where), element('td', actions)])
}

const paymentRow = (p) => element('tr', [element('td', new Date(p.created * 1000).toLocaleString()), element('td', pretty(costOf(p) + (p.back ?? 0), p.currency)),
  element('td', p.url), element('td', states[p.state])])

function ruleItem(rule) {
  const forget = button('Forget', `Forget the limits of ${new URL(rule.site).host}`, () => act(async () => {
    await wallet.clearLimit(rule.site, rule.currency)
    return 'The limits for all sites hold there again.'
  }))
  const how = rule.automatic ? `without asking up to ${pretty(rule.perPage ?? 0, rule.currency)} a page` : 'asks for every page'
  const day = rule.perDay === null ? '' : `, ${pretty(rule.perDay, rule.currency)} a day`
  return element('li', [`${new URL(rule.site).host}: ${how}${day} `, forget])
}

async function draw() {
  const identities = await wallet.identities()
  const names = new Map(identities.map((i) => [i.id, i.name]))
  const rules = await wallet.limits(currency)
  const coins = (await wallet.coins()).filter((c) => ['live', 'pending', 'returning'].includes(c.state) && c.spent < c.n)
  const current = await wallet.currentIdentity()
  const balance = await wallet.balance(currency)
  const payments = await wallet.history(200)
  keepingFocus(() => {
    at('balance').textContent = pretty(balance, currency)
    at('coins').replaceChildren(...coins.map((c) => coinRow(c, names)))
    at('rules').replaceChildren(...rules.filter((r) => r.site !== '*').map(ruleItem))
    for (const id of ['identity', 'whose']) {
      const chosen = at(id).value || current // what she chose and has not sent yet stays
      at(id).replaceChildren(...identities.map((i) => element('option', i.name, { value: i.id, selected: i.id === chosen })))
    }
    at('history').replaceChildren(...payments.map(paymentRow))
  })
}

// Not with the rest: what she has typed and not saved stays.
async function drawLimits() {
  const all = (await wallet.limits(currency)).find((r) => r.site === '*') ?? {}
  at('automatic').checked = all.automatic ?? false
  at('page').value = toDecimal(all.perPage ?? 50000)
  at('site').value = all.perSite === null || all.perSite === undefined ? '' : toDecimal(all.perSite)
  at('day').value = all.perDay === null || all.perDay === undefined ? '' : toDecimal(all.perDay)
}

let downloaded = false // the export below, by its link
at('file').addEventListener('click', () => { downloaded = true })

async function drawExport() {
  const unsaved = await unsavedExport(wallet)
  at('saved').hidden = unsaved === null
  URL.revokeObjectURL(at('file').href)
  if (unsaved) at('file').href = URL.createObjectURL(new Blob([unsaved.text], { type: 'application/x-ndjson' }))
}

async function drawAccount() {
  if (!issuer) return
  at('broker').value ||= issuer
  const credit = await new Broker(wallet, issuer).balance()
  at('topup').hidden = at('buy').hidden = false
  at('credit').textContent = Object.entries(credit).map(([c, a]) => pretty(a, c)).join(', ') || 'nothing yet'
}

// One thing at a time. It is said what became of it when the page shows it: what is named is there.
let busy = Promise.resolve()
function act(work) {
  busy = busy.then(async () => {
    say('One moment …')
    const [text, bad] = await work().then((done) => [done, false], (error) => [error.message, true])
    await draw()
    await drawExport()
    say(text, bad)
    await drawAccount().catch(() => undefined)
    await api.runtime.sendMessage('changed').catch(() => undefined)
  }).catch((error) => say(error.message, true)) // what cannot be shown stops nothing that she does later
  return busy
}

const onSubmit = (id, work) => at(id).addEventListener('submit', (event) => {
  event.preventDefault()
  act(work)
})

onSubmit('account', async () => {
  const address = originOf(at('broker').value.trim())
  const broker = new Broker(wallet, address)
  const info = await broker.discover()
  await broker.createAccount()
  issuer = address
  currency = info.currencies.includes('uusd') || !info.currencies.length ? 'uusd' : info.currencies[0]
  await setSetting('broker', issuer)
  await setSetting('currency', currency)
  return 'Your account is open.'
})

onSubmit('topup', async () => {
  await new Broker(wallet, issuer).topUp(at('voucher').value)
  at('voucher').value = ''
  return 'The money is on your account. Buy coins to spend it.'
})

onSubmit('buy', async () => {
  const amount = fromDecimal(at('amount').value)
  if (!amount) throw new Error('An amount is written like 1.00')
  const bought = await new Broker(wallet, issuer).buyAmount(amount, currency)
  return `Bought ${bought.length === 1 ? 'a coin' : `${bought.length} coins`} worth ${pretty(amount, currency)}.`
})

onSubmit('limits', async () => {
  const perPage = fromDecimal(at('page').value)
  const perSite = optional(at('site').value)
  const perDay = optional(at('day').value)
  if (perPage === null || (at('site').value.trim() && perSite === null) || (at('day').value.trim() && perDay === null))
    throw new Error('An amount is written like 0.05')
  await wallet.setLimit('*', currency, { automatic: at('automatic').checked, perPage, perSite, perDay })
  await drawLimits()
  return 'Saved.'
})

onSubmit('use', async () => {
  await wallet.useIdentity(at('identity').value)
  return 'New sites and new coins get this identity.'
})

onSubmit('add', async () => {
  await wallet.addIdentity(at('name').value)
  at('name').value = ''
  return 'Added.'
})

onSubmit('export', async () => {
  const { coins } = await exportCoins(wallet)
  if (!coins.length) return 'There are no coins to export.'
  downloaded = false
  return `${coins.length === 1 ? 'One coin is' : `${coins.length} coins are`} in the export now. Save it below.`
})

onSubmit('saved', async () => {
  if (!downloaded && !confirm('You have not saved this export here. Its coins are nowhere else: without it they are lost. Forget it?'))
    return 'The export is still here.'
  await exportSaved(wallet)
  return 'The export is forgotten here.'
})

onSubmit('import', async () => {
  const done = await importCoins(wallet, at('text').value, { restore: at('restore').checked, identity: at('whose').value })
  at('text').value = ''
  return `${done.coins} coins came in${done.alreadyHere.length ? `, ${done.alreadyHere.length} were here already` : ''}.`
})

await draw()
await drawLimits()
await drawExport()
await drawAccount().catch((error) => say(error.message, true))
