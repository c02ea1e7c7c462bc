// Sees the challenge of a page, shows its price on the button, and pays: by a
// click, or unasked within the owner's limits where she went to the page
// herself. The payment goes out in a reload of that tab, or ahead with the
// request for a link that she pressed, by a rule for that address and tab alone
// that is taken away as soon as the request has left.
import { giveBack, isPrivate, NetPayError, originOf, parseReceipt, pretty, Visit, withoutFragment } from 'netpay'
import { Kept } from './kept.js'
import { Payments } from './payments.js'
import { badge, fieldsNamed, fromLinks, isPage, isShown, paymentRule, wentByHerself } from './rules.js'
import { api, purse } from './wallet.js'

const mostTries = 3 // payments for one page
const mostProblem = 64 * 1024
const patience = 30000 // milliseconds until a reload must have begun
const pressPatience = 5000 // the same for a link that was pressed
const readingTime = 700 // milliseconds in which a click cannot mean a price that has just risen
const risingTime = 2000 // how long a price that is not shown any more is in her mind

const heard = new Map() // tab → the 402 that came for its page
const landed = new Map() // tab → { nav, met }: its last navigation, and whether the 402 was there
const payments = new Payments() // { visit, offer, rule, request, tries, timer, armed }
const arrivals = new Map() // tab → called at its next navigation
const paidPages = new Map() // tab → { url, visit, payment }: shown when the page is there, which clears the button
const asked = new Map() // request → Sec-Fetch-User was ?1; undefined if the browser does not say
const rereads = new Map() // request → the page that it may ask for again, by the payment that was kept
const prices = new Map() // tab → { amount, risen, gone }: the price that its button shows, or showed

// What the reader is offered in a tab survives the background: { url, fields, unasked, amount, currency, trouble }.
const offerKey = (tabId) => `offer ${tabId}`
const offerOf = async (tabId) => (await api.storage.session.get(offerKey(tabId)))[offerKey(tabId)] ?? null
const keepOffer = (tabId, offer) => api.storage.session.set({ [offerKey(tabId)]: offer })
const dropOffer = (tabId) => api.storage.session.remove(offerKey(tabId))

// A price that rises under her finger is not what she clicks on.
function notePrice(tabId, amount) {
  const before = prices.get(tabId)
  if (amount === undefined) {
    if (before) before.gone ||= Date.now()
    return
  }
  const rose = before && before.amount < amount && (!before.gone || before.gone > Date.now() - risingTime)
  prices.set(tabId, { amount, risen: rose ? Date.now() : (before?.risen ?? 0), gone: 0 })
}

async function show(tabId, { text = '', title = 'NetPay', color = '#1f5f3a', popup = 'popup.html', price } = {}) {
  notePrice(tabId, price)
  try {
    await api.action.setBadgeBackgroundColor({ tabId, color })
    await api.action.setBadgeText({ tabId, text })
    await api.action.setTitle({ tabId, title })
    await api.action.setPopup({ tabId, popup })
  } catch {
    // the tab is closed: there is nothing to show
  }
}

const host = (url) => new URL(url).host

// One thing after another: in each tab, and for each page.
const turns = new Map()
function inTurn(key, work) {
  const turn = (turns.get(key) ?? Promise.resolve()).then(work).catch((error) => console.error('NetPay:', error.name, error.message))
  turns.set(key, turn)
  turn.finally(() => { if (turns.get(key) === turn) turns.delete(key) })
  return turn
}

async function showTrouble(tabId, offer, error) {
  const now = { ...offer, unasked: false, trouble: error.message }
  await keepOffer(tabId, now)
  await showOffer(tabId, now)
}

async function showOffer(tabId, offer) {
  if (!offer.trouble) return showPrice(tabId, offer)
  const amount = offer.amount ? `${pretty(offer.amount, offer.currency)}: ` : ''
  return show(tabId, { text: '!', color: '#8a1c1c', title: `NetPay: ${amount}${offer.trouble}` })
}

// A click pays; so the button has no pop-up while there is something to pay.
async function showPrice(tabId, offer) {
  await show(tabId, { text: badge(offer.amount, offer.currency), color: '#1a4f8a', popup: '', price: offer.amount,
    title: `Pay ${pretty(offer.amount, offer.currency)} to ${host(offer.url)}` })
}

async function showPaid(tabId, visit, payment) {
  const wallet = await purse()
  const balance = await wallet.balance(payment.currency, { identity: await wallet.identityOf(visit.vendor) })
  const what = payment.reread ? 'Read again free' : `Paid ${pretty(payment.amount, payment.currency)} to ${host(visit.url)}`
  await show(tabId, { text: badge(balance, payment.currency), title: `${what}. Balance ${pretty(balance, payment.currency)}` })
}

// --- paying -----------------------------------------------------------------

// Accepts what the owner's rules allow without asking her. A page that was paid a moment ago, and is not given again, asks.
async function unasked(wish) {
  const wallet = await purse()
  const alone = await wallet.decidesAlone(wish.vendor, wish.amount, wish.currency)
  if (alone && !(await wallet.paidLately(wish.vendor, wish.url))) return wish.amount
  throw new NetPayError('not-accepted', `costs ${pretty(wish.amount, wish.currency)}`, { ask: true })
}

// A visit of an offer. consented: the price she clicked on; null if she did not.
async function visitOf(offer, consented) {
  const wallet = await purse()
  const visit = new Visit(wallet, { url: offer.url, accept: async (wish) => {
    if (consented !== null && wish.amount <= consented && wish.currency === offer.currency) return consented
    if (offer.unasked) return unasked(wish)
    throw new NetPayError('not-accepted', `costs ${pretty(wish.amount, wish.currency)}`, { ask: true })
  } })
  await visit.read(offer.fields)
  return visit
}

async function removeRule(id) {
  await api.declarativeNetRequest.updateSessionRules({ removeRuleIds: [id] })
}

let lastRule = 0
const kept = new Kept(api, { newRule: () => ++lastRule })

// Rules of a background that was ended carry nothing any more, but for those of pages to be read again.
const swept = api.declarativeNetRequest.getSessionRules().then(async (rules) => {
  const ids = rules.map((rule) => rule.id)
  lastRule = Math.max(lastRule, ...ids)
  const stay = await kept.restore(ids)
  await api.declarativeNetRequest.updateSessionRules({ removeRuleIds: ids.filter((id) => !stay.includes(id)) })
}).catch(() => undefined)

// Puts the visit's ticket into a rule; the payment, or null if the address cannot be in one.
async function loadRule(tabId, offer, visit, { tries, armed }) {
  await swept
  const { coin } = visit.ticket.coin
  await kept.drop((page) => page.url === visit.url || (page.coin === coin && page.vendor !== visit.vendor))
  const rule = ++lastRule
  try {
    await api.declarativeNetRequest.updateSessionRules({ addRules: [paymentRule(rule, tabId, visit.url, visit.field(), { fromSite: armed })] })
  } catch {
    await visit.void()
    return null
  }
  const payment = payments.begin(tabId, { visit, offer, rule, request: null, tries, armed })
  payment.timer = setTimeout(() => takeBack(payment), armed ? pressPatience : patience)
  return payment
}

// Sends the visit's ticket in a reload of the tab.
async function send(tabId, offer, visit, tries) {
  const tab = await api.tabs.get(tabId).catch(() => null)
  if (!tab || withoutFragment(tab.url ?? '') !== visit.url) return visit.void()
  if (!(await loadRule(tabId, offer, visit, { tries, armed: false })))
    return showTrouble(tabId, offer, new Error('the address is too long to be paid here; use another NetPay wallet'))
  // On its way: nothing is offered, to no click, and to no background after this one.
  await dropOffer(tabId)
  await show(tabId, { text: '…', title: `Paying ${host(offer.url)}` })
  return api.tabs.reload(tabId)
}

// A payment that was not sent: its ticket is free again, and its page is offered again where it still is.
// The rule goes first, so that it cannot be sent any more.
async function takeBack(payment) {
  clearTimeout(payment.timer)
  await removeRule(payment.rule)
  if (payment.request) return
  await payment.visit.void()
  payment.end()
  if (payment.armed) return
  const tab = await api.tabs.get(payment.tabId).catch(() => null)
  if (withoutFragment(tab?.url ?? '') !== payment.visit.url || payments.of(payment.tabId)) return
  await keepOffer(payment.tabId, { ...payment.offer, unasked: false })
  await showOffer(payment.tabId, payment.offer)
}

// What was ready for a link that she pressed, and was not sent.
async function takeBackUnused(tabId) {
  const payment = payments.of(tabId)
  if (payment?.armed && !payment.request) await takeBack(payment)
}

// Whether she looks at the tab: what is paid unasked is in front of her.
async function isInFront(tabId) {
  const tab = await api.tabs.get(tabId)
  return tab.active && (await api.windows.get(tab.windowId)).focused
}

// Settles the tab's offer: free if the page was paid a moment ago, unasked
// where the rules allow it, else by her click (consented). A tab that makes a
// payment never waits for its turn at a page: the page's turn may wait for it.
async function attend(tabId, offer, consented = null) {
  await takeBackUnused(tabId)
  if (!payments.of(tabId)) await inTurn(offer.url, () => attendNow(tabId, offer, consented))
}

async function attendNow(tabId, offer, consented) {
  let visit
  try {
    visit = await visitOf(offer, consented)
    offer = { ...offer, amount: await visit.cost(), currency: visit.terms.currency, brokers: visit.terms.brokers, trouble: '' }
    await keepOffer(tabId, offer)
    // Before it is looked whether it is paid: what another tab pays meanwhile is read again.
    const alone = consented === null && offer.unasked && (await unasked({ ...visit.want, amount: offer.amount }).catch(() => null)) !== null
    if (!(await visit.takeReread())) {
      const wallet = await purse()
      if (consented === null) {
        if (!alone || !(await isInFront(tabId))) {
          const identity = await wallet.identityOf(visit.vendor)
          const balance = await wallet.balance(offer.currency, { brokers: offer.brokers, identity })
          if (balance < offer.amount)
            throw new NetPayError('no-money', `you have ${pretty(balance, offer.currency)} for this site; add money in the options`)
          await wallet.checkLimits(visit.want)
          return await showPrice(tabId, offer)
        }
      }
      await payments.others(tabId, visit.url)
      visit.rereadTried = false
      if (!(await visit.takeReread())) {
        if (await wallet.isUnderWay(visit.vendor, visit.url)) // sent by a background that was ended; its answer is still to come
          throw new NetPayError('payment', 'a payment for this page is on its way')
        await visit.takeTicket()
      }
    }
  } catch (error) {
    return error.ask ? showPrice(tabId, offer) : showTrouble(tabId, offer, error)
  }
  return send(tabId, offer, visit, 1)
}

// --- paying ahead -------------------------------------------------------------
//
// At a site that is paid unasked the request for the next page can carry the
// payment: one round trip, as for a free page. A rule for it is made when the
// reader presses a link of that site, for its address and her tab alone, and
// is gone once it was used, she went elsewhere, or after a few seconds.

const foreseen = new Map() // tab → the visit of the link she points at

async function pointedAt(tabId, url) {
  const visit = new Visit(await purse(), { url, accept: unasked })
  if (await visit.foresee()) foreseen.set(tabId, visit)
  else foreseen.delete(tabId)
}

async function pressed(tabId, url) {
  if (foreseen.get(tabId)?.url !== url) await pointedAt(tabId, url)
  const visit = foreseen.get(tabId)
  foreseen.delete(tabId)
  await takeBackUnused(tabId)
  if (!visit || payments.of(tabId) || payments.isOpen(url) || turns.has(url) || kept.has(url)) return
  await inTurn(url, async () => {
    if (await visit.takeAhead())
      await loadRule(tabId, { url, unasked: true, amount: visit.ticket.cost, currency: visit.terms.currency }, visit, { tries: 1, armed: true })
  })
}

// She let go of the link elsewhere, and does not go there.
async function released(tabId, url) {
  if (payments.of(tabId)?.visit.url === url) await takeBackUnused(tabId)
}

// The script that tells of links is put into pages of sites that are paid so.
async function watch(tabId, url) {
  if (!isPrivate(url) || !(await (await purse()).paysAhead(originOf(url)))) return
  await api.scripting.executeScript({ target: { tabId }, files: ['links.js'], injectImmediately: true })
}

// --- the answer to a payment --------------------------------------------------

// The browser does not show an extension the body of an answer, and what to do
// about a refused payment is in it. So the very same payment is shown once
// more: refused again, it costs nothing; taken, the page is paid and the tab
// reads it again free.
async function askWhy(visit) {
  const [name, value] = visit.field()
  const answer = await fetch(visit.url, { headers: { [name]: value, accept: 'application/problem+json' }, redirect: 'manual', cache: 'no-store' })
  const text = await answer.text()
  return { status: answer.status, receipt: answer.headers.get('payment-receipt'), fields: [answer.headers.get('www-authenticate') ?? ''],
    body: text.length <= mostProblem ? text : '' }
}

async function refused(tabId, payment) {
  const { visit, offer, tries } = payment
  try {
    const why = await askWhy(visit).catch(async (error) => {
      await visit.doubt()
      throw error
    })
    if (why.status >= 200 && why.status < 300) {
      await visit.settled(why.receipt)
      visit.rereadTried = false
      if (!(await visit.takeReread())) return
    } else if (why.status !== 402 || tries >= mostTries) {
      await visit.void()
      throw new NetPayError('payment', 'the site does not take the payment')
    } else {
      const same = await visit.read(why.fields).catch(async (error) => {
        await visit.void()
        throw error
      })
      await visit.judged(why.body, same)
    }
  } catch (error) {
    const now = visit.terms ? { ...offer, amount: await visit.cost(), currency: visit.terms.currency } : offer
    if (error.ask) {
      await keepOffer(tabId, { ...now, unasked: false })
      return showPrice(tabId, now)
    }
    return showTrouble(tabId, now, error)
  }
  return send(tabId, offer, visit, tries + 1)
}

async function answered(tabId, payment, details) {
  clearTimeout(payment.timer)
  try {
    return await settle(tabId, payment, details)
  } finally {
    payment.end()
  }
}

// The page that was paid can be read again with one request, where its payment does not go in a field of its own beside
// another authorization.
async function keepForRereads(visit, currency, field) {
  const grace = visit.challenge.header ? null : await (await purse()).grace(visit.vendor, visit.url)
  if (grace) await kept.keep({ url: visit.url, vendor: visit.vendor, currency, ...grace }, field).catch(() => undefined)
}

async function settle(tabId, payment, details) {
  const { visit } = payment
  const { statusCode: status } = details
  if (status >= 200 && status < 300) {
    const again = visit.field({ again: true })
    const paid = await visit.settled(fieldsNamed(details.responseHeaders, 'payment-receipt')[0] ?? null)
    await dropOffer(tabId)
    if (!paid) return undefined
    await keepForRereads(visit, paid.currency, again)
    paidPages.set(tabId, { url: visit.url, visit, payment: paid })
    return showPaid(tabId, visit, paid)
  }
  if (status === 402) {
    payment.offer = { ...payment.offer, fields: fieldsNamed(details.responseHeaders, 'www-authenticate') }
    return refused(tabId, payment)
  }
  return status === 502 || status === 504 ? visit.doubt() : visit.void()
}

// A receipt of a payment whose background is gone: it is still put on record.
async function lateReceipt(details) {
  const receipt = parseReceipt(fieldsNamed(details.responseHeaders, 'payment-receipt')[0] ?? '')
  if (!receipt) return
  const wallet = await purse()
  const vendor = originOf(details.url)
  const payment = await wallet.openPaymentOf(vendor, withoutFragment(details.url), receipt.coin, receipt.index)
  if (!payment || payment.currency !== receipt.currency) return
  await wallet.paid({ payment: payment.id, coin: { coin: payment.coin }, index: payment.ticket, amount: payment.amount, reread: false },
    vendor, receipt)
}

// --- what the browser tells -------------------------------------------------

const options = (extra, known) => (known?.EXTRA_HEADERS ? [...extra, 'extraHeaders'] : extra)
const pages = { urls: ['https://*/*', 'http://*/*'], types: ['main_frame'] }

// A request that shows a payment again: of which page, or null. Pages loaded ahead do not count: sites give them nothing for it.
async function countReread(details, values) {
  await swept
  const page = kept.sent(withoutFragment(details.url), values)
  if (page && !(await (await purse()).reread(page.vendor, page.url))) await kept.drop((other) => other === page)
  return page
}

function noteReread(details) {
  const values = fieldsNamed(details.requestHeaders, 'authorization')
  if (values.length && !fieldsNamed(details.requestHeaders, 'sec-purpose').length) rereads.set(details.requestId, countReread(details, values))
}

// Its answer: the page, or a 402, after which it asks.
async function readAgain(details, counted) {
  const page = await counted
  if (!page || withoutFragment(details.url) !== page.url) return
  if (details.statusCode === 402) await kept.drop((other) => other.url === page.url)
  if ((details.statusCode < 200 || details.statusCode > 299) && details.statusCode !== 304) return
  const payment = { amount: 0, currency: page.currency, reread: true }
  paidPages.set(details.tabId, { url: page.url, visit: page, payment })
  await showPaid(details.tabId, page, payment)
}

// A reload goes when its rule is there; the reader, who pressed a link, may have been faster.
function carries(details, payment) {
  const [name, value] = payment.visit.field()
  return !payment.armed || fieldsNamed(details.requestHeaders, name.toLowerCase()).includes(value)
}

api.webRequest.onSendHeaders.addListener((details) => {
  noteReread(details)
  if (!isPage(details)) return
  const fetchUser = fieldsNamed(details.requestHeaders, 'sec-fetch-user')[0]
  const says = fieldsNamed(details.requestHeaders, 'sec-fetch-mode').length > 0
  asked.set(details.requestId, says ? fetchUser === '?1' : undefined)
  const payment = payments.of(details.tabId)
  if (payment && !payment.request && withoutFragment(details.url) === payment.visit.url && carries(details, payment)) {
    payment.request = details.requestId
    removeRule(payment.rule)
  }
}, pages, options(['requestHeaders'], api.webRequest.OnSendHeadersOptions))

api.webRequest.onHeadersReceived.addListener((details) => {
  if (!isPage(details)) return
  const payment = payments.of(details.tabId)
  heard.delete(details.tabId)
  const again = rereads.get(details.requestId)
  if (again) inTurn(details.tabId, () => readAgain(details, again))
  if (payment?.request === details.requestId && withoutFragment(details.url) === payment.visit.url) {
    payment.done = onPage(payment, details).then(() => inTurn(details.tabId, () => answered(details.tabId, payment, details)))
    if (details.statusCode === 402) {
      heard.set(details.tabId, { url: payment.visit.url, refused: true })
      afterwards(details)
    }
    return
  }
  if (details.statusCode === 402) {
    const initiator = details.initiator ?? (details.originUrl ? originOf(details.originUrl) : undefined)
    heard.set(details.tabId, { url: withoutFragment(details.url), fields: fieldsNamed(details.responseHeaders, 'www-authenticate'), initiator,
      user: asked.get(details.requestId) })
    afterwards(details)
  } else if (details.statusCode >= 200 && details.statusCode < 300) {
    inTurn(details.tabId, () => lateReceipt(details))
  }
}, pages, options(['responseHeaders'], api.webRequest.OnHeadersReceivedOptions))

function over(details) {
  asked.delete(details.requestId)
  rereads.delete(details.requestId)
}

api.webRequest.onCompleted.addListener(over, pages)

api.webRequest.onErrorOccurred.addListener((details) => {
  over(details)
  const payment = payments.of(details.tabId)
  if (payment?.request !== details.requestId || payment.done) return
  payment.done = true
  clearTimeout(payment.timer)
  inTurn(details.tabId, () => payment.visit.doubt().finally(payment.end))
}, pages)

// Only what a tab really shows is offered: what was loaded ahead is not.
api.webNavigation.onCommitted.addListener((nav) => {
  if (!isShown(nav)) return
  landed.set(nav.tabId, { nav, met: heard.has(nav.tabId) })
  arrivals.get(nav.tabId)?.()
  arrivals.delete(nav.tabId)
  shown(nav)
})

// Firefox may tell of an answer after the tab shows it.
const isThere = (nav, details) => nav && withoutFragment(nav.url) === withoutFragment(details.url) && nav.timeStamp >= details.timeStamp

function afterwards(details) {
  const { nav, met } = landed.get(details.tabId) ?? {}
  if (met || !isThere(nav, details)) return
  landed.set(details.tabId, { nav, met: true })
  shown(nav)
}

// A payment that went ahead and is refused: the page is in the tab before it is loaded again.
async function onPage(payment, details) {
  if (!payment.armed || details.statusCode !== 402 || isThere(landed.get(details.tabId)?.nav, details)) return
  await new Promise((resolve) => {
    arrivals.set(details.tabId, resolve)
    setTimeout(resolve, pressPatience)
  })
}

function shown(nav) {
  const came = heard.get(nav.tabId)
  heard.delete(nav.tabId)
  foreseen.delete(nav.tabId)
  const url = withoutFragment(nav.url)
  watch(nav.tabId, url).catch(() => undefined) // a page that takes no scripts, or is gone: its pages are paid all the same
  inTurn(nav.tabId, async () => {
    const payment = payments.of(nav.tabId)
    if (payment && !payment.request && payment.visit.url !== url) await takeBack(payment) // she went elsewhere before it was sent
    if (!came || came.url !== url) {
      await dropOffer(nav.tabId)
      const paid = paidPages.get(nav.tabId)
      paidPages.delete(nav.tabId)
      await (paid?.url === url ? showPaid(nav.tabId, paid.visit, paid.payment) : show(nav.tabId))
      return
    }
    await show(nav.tabId)
    if (came.refused) { // what became of it is known already
      const offer = await offerOf(nav.tabId)
      if (offer && !payments.of(nav.tabId)) await showOffer(nav.tabId, offer)
      return
    }
    await attend(nav.tabId, { url, fields: came.fields, unasked: wentByHerself(nav, came) })
  })
}

api.action.onClicked.addListener((tab) => inTurn(tab.id, async () => {
  const offer = await offerOf(tab.id)
  if (prices.get(tab.id)?.risen > Date.now() - readingTime) return
  if (offer?.amount && withoutFragment(tab.url ?? '') === offer.url) await attend(tab.id, offer, offer.amount)
}))

// A page that was opened behind is paid, if the rules allow it, once she looks at it.
const lookedAt = ({ tabId }) => inTurn(tabId, async () => {
  const offer = await offerOf(tabId)
  if (offer?.unasked && !offer.trouble) await attend(tabId, offer)
})

api.tabs.onActivated.addListener(lookedAt)

api.windows.onFocusChanged.addListener(async (windowId) => {
  if (windowId === api.windows.WINDOW_ID_NONE) return
  for (const tab of await api.tabs.query({ windowId, active: true })) lookedAt({ tabId: tab.id })
})

api.alarms.onAlarm.addListener(() => swept.then(() => kept.dropOld()))

api.tabs.onRemoved.addListener((tabId) => inTurn(tabId, async () => {
  const payment = payments.of(tabId)
  heard.delete(tabId)
  landed.delete(tabId)
  foreseen.delete(tabId)
  paidPages.delete(tabId)
  prices.delete(tabId)
  await dropOffer(tabId)
  if (!payment || payment.done) return
  await takeBack(payment)
  if (!payment.request) return
  await payment.visit.doubt()
  payment.end()
}))

const ofLinks = { near: pointedAt, press: pressed, released }

// Rules of coins that were moved or returned carry nothing any more.
async function coinsChanged() {
  const wallet = await purse()
  await swept
  await kept.drop(async (page) => (await wallet.grace(page.vendor, page.url))?.coin !== page.coin)
  for (const tab of await api.tabs.query({})) {
    inTurn(tab.id, async () => {
      const offer = await offerOf(tab.id)
      if (offer && withoutFragment(tab.url ?? '') === offer.url) await attend(tab.id, { ...offer, unasked: false })
    })
  }
}

async function giveBackPage(id) {
  try {
    return await giveBack(await purse(), { id })
  } catch (error) {
    return { trouble: error.message }
  } finally {
    coinsChanged()
  }
}

// From the extension's own pages: money was added, limits changed, or a page is to be given back. From a page's links:
// which one it is, of the same site.
api.runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== api.runtime.id) return undefined
  if (sender.url?.startsWith(api.runtime.getURL(''))) {
    if (message === 'changed') coinsChanged()
    if (!Number.isSafeInteger(message?.giveBack)) return undefined
    giveBackPage(message.giveBack).then(answer)
    return true
  }
  const { kind, url } = fromLinks(message, sender) ?? {}
  if (kind) inTurn(sender.tab.id, () => ofLinks[kind](sender.tab.id, url))
  return undefined
})
