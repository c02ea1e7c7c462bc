// In pages of sites that are paid unasked: tells the background which link of
// the same site the reader points at, and which she presses. It only listens;
// what a script of the page does as if it were her is not trusted, and not told.
const modified = (event) => event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey
const page = () => location.href.split('#')[0]

// { link, url } of the link that the event is at, if it leads to another page of this site in this tab.
function linkOf(event) {
  const link = event.isTrusted && event.composedPath().find((node) => node instanceof HTMLAnchorElement && node.href)
  if (!link || link.hasAttribute('download') || (link.target && link.target !== '_self')) return null
  const { origin, href } = new URL(link.href)
  const url = href.split('#')[0]
  return origin === location.origin && url !== page() ? { link, url } : null
}

let last = null

function tell(kind, url) {
  api.runtime.sendMessage({ kind, url }).catch(() => undefined) // the extension may have been renewed meanwhile
}

function near(event) {
  const url = linkOf(event)?.url ?? null
  if (url && url !== last) tell('near', url)
  last = url
}

// Whether the pointer is let go where it was pressed.
function isOn(link, { clientX, clientY }) {
  const there = link.getRootNode().elementFromPoint?.(clientX, clientY)
  return Boolean(there) && link.contains(there)
}

let held = null // { link, url } while the pointer presses

function press(event) {
  release()
  held = modified(event) ? null : linkOf(event)
  if (held) tell('press', held.url)
}

// She does not go there: the link was dragged, the page was scrolled by it, or the pointer was let go elsewhere.
function release() {
  if (held) tell('released', held.url)
  held = null
}

function letGo(event) {
  if (held && event.isTrusted && isOn(held.link, event)) held = null
  release()
}

const api = globalThis.browser ?? globalThis.chrome

if (!globalThis.netpayListens) {
  globalThis.netpayListens = true // once in each page, however often it is shown
  const early = { capture: true, passive: true }
  addEventListener('pointerover', near, early)
  addEventListener('focusin', near, early)
  addEventListener('pointerdown', press, early)
  addEventListener('pointerup', letGo, early)
  for (const type of ['pointercancel', 'dragstart']) addEventListener(type, release, early)
}
