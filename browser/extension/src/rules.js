// What the extension may do, as pure functions of what the browser says.
import { originOf, withoutFragment } from 'netpay'

const byHand = ['typed', 'auto_bookmark', 'generated', 'keyword', 'keyword_generated', 'start_page']

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

// What the script in a page (links.js) told of a link: { kind: 'near' | 'press', url }, or null. It is believed for
// other pages of its own site, and where its page is a tab's own, there to be seen.
export function fromLinks(message, sender) {
  const { kind, url } = message ?? {}
  if ((kind !== 'near' && kind !== 'press') || typeof url !== 'string' || url !== withoutFragment(url)) return null
  if (!(sender.tab?.id >= 0) || sender.frameId !== 0 || (sender.documentLifecycle ?? 'active') !== 'active') return null
  const site = originOf(url)
  return site && site === originOf(sender.url ?? '') && url !== withoutFragment(sender.url) ? { kind, url } : null
}

export const fieldsNamed = (headers, name) => (headers ?? []).filter((h) => h.name.toLowerCase() === name).map((h) => h.value ?? '')

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

// The session rule that carries one payment: this address by GET as the page
// of this tab, and nothing else. Browsers match the fragment, too, which no site sees.
// fromSite: only when a page of the same site goes there; pages that are loaded ahead come from nobody.
export const paymentRule = (id, tabId, url, [header, value], { fromSite = false } = {}) => ({
  id,
  priority: 1,
  action: { type: 'modifyHeaders', requestHeaders: [{ header, operation: 'set', value }] },
  condition: { regexFilter: `^${escaped(withoutFragment(url))}(#.*)?$`, isUrlFilterCaseSensitive: true, tabIds: [tabId],
    resourceTypes: ['main_frame'], requestMethods: ['get'], ...(fromSite && { initiatorDomains: [new URL(url).hostname.replace(/^\[|\]$/g, '')] }) },
})

// A few characters for the button: "2¢", "0.5¢", "$1.2", "$12".
export function badge(amount, currency) {
  const sign = { uusd: '$', ueur: '€' }[currency] ?? ''
  if (sign && amount < 1000000) return `${Math.floor(amount / 1000) / 10}¢`
  const whole = amount / 1000000
  return sign + (whole < 10 ? (Math.floor(whole * 10) / 10).toString() : String(Math.floor(whole)))
}
