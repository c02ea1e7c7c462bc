// What the extension may do, as pure functions of what the browser says.
import { originOf, withoutFragment } from 'netpay'

const byHand = ['typed', 'auto_bookmark', 'generated', 'keyword', 'keyword_generated']

// Whether a request is one for a page in a tab that is there to be seen: not
// a part of a page, not a frame, not a page loaded ahead.
export const isPage = (details) => details.type === 'main_frame' && details.frameId === 0 && details.tabId >= 0 &&
  details.method === 'GET' && (details.frameType ?? 'outermost_frame') === 'outermost_frame' &&
  (details.documentLifecycle ?? 'active') === 'active'

// The same for a navigation that was committed.
export const isShown = (nav) => nav.frameId === 0 && nav.tabId >= 0 && (nav.frameType ?? 'outermost_frame') === 'outermost_frame' &&
  (nav.documentLifecycle ?? 'active') === 'active'

// Whether the reader herself went to the page: typed, bookmarked, or a link
// of the same site that she followed. Anything else asks.
//   heard: { url, initiator: origin of who asked for the page, user: Sec-Fetch-User was ?1 }
export function wentByHerself(nav, heard) {
  const qualifiers = nav.transitionQualifiers ?? []
  if (qualifiers.some((q) => q === 'client_redirect' || q === 'server_redirect' || q === 'forward_back')) return false
  if (byHand.includes(nav.transitionType)) return true
  return nav.transitionType === 'link' && heard.user !== false && heard.initiator === originOf(heard.url)
}

// What the script in a page (links.js) told of a link: { kind: 'near' | 'press' | 'released', url }, or null. It is believed for
// other pages of its own site, and where its page is a tab's own, there to be seen.
export function fromLinks(message, sender) {
  const { kind, url } = message ?? {}
  if (!['near', 'press', 'released'].includes(kind) || typeof url !== 'string' || url !== withoutFragment(url)) return null
  if (!(sender.tab?.id >= 0) || sender.frameId !== 0 || (sender.documentLifecycle ?? 'active') !== 'active') return null
  const site = originOf(url)
  return site && site === originOf(sender.url ?? '') && url !== withoutFragment(sender.url) ? { kind, url } : null
}

export const fieldsNamed = (headers, name) => (headers ?? []).filter((h) => h.name.toLowerCase() === name).map((h) => h.value ?? '')

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

// A session rule that sets a field for this address by GET as a page, and nothing else.
// Browsers match the fragment, too, which no site sees.
const pageRule = (id, priority, url, [header, value], more) => ({
  id,
  priority,
  action: { type: 'modifyHeaders', requestHeaders: [{ header, operation: 'set', value }] },
  condition: { regexFilter: `^${escaped(withoutFragment(url))}(#.*)?$`, isUrlFilterCaseSensitive: true, resourceTypes: ['main_frame'],
    requestMethods: ['get'], ...more },
})

// The rule that carries one payment, in this tab.
// fromSite: only when a page of the same site goes there; pages that are loaded ahead come from nobody.
export const paymentRule = (id, tabId, url, field, { fromSite = false } = {}) => pageRule(id, 2, url, field,
  { tabIds: [tabId], ...(fromSite && { initiatorDomains: [new URL(url).hostname.replace(/^\[|\]$/g, '')] }) })

// The rule that shows a payment again, in whichever tab.
export const keptRule = (id, url, field) => pageRule(id, 1, url, field, { excludedTabIds: [-1] })

// A few characters for the button: "2¢", "0.5¢", "$1.2", "$12".
export function badge(amount, currency) {
  const sign = { uusd: '$', ueur: '€' }[currency] ?? ''
  if (sign && amount < 1000000) return `${Math.floor(amount / 1000) / 10}¢`
  const whole = amount / 1000000
  return sign + (whole < 10 ? (Math.floor(whole * 10) / 10).toString() : String(Math.floor(whole)))
}
