// Web origins as the contract names vendors and brokers.

// The origin of an http(s) URL; '' if it is none or carries user information.
export function originOf(url) {
  let parsed
  try {
    parsed = new URL(url)
  } catch {
    return ''
  }
  const web = parsed.protocol === 'https:' || parsed.protocol === 'http:'
  return web && !parsed.username && !parsed.password ? parsed.origin : ''
}

export const isOrigin = (text) => typeof text === 'string' && text !== '' && text.length <= 255 && originOf(text) === text

export function isLoopback(url) {
  const origin = originOf(url)
  if (!origin) return false
  const { hostname } = new URL(origin)
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.[0-9]{1,3}){3}$/.test(hostname)
}

// Money and paywords go over https only, or to this machine.
export const isPrivate = (url) => originOf(url).startsWith('https://') || isLoopback(url)

// Scheme, host, path and query: what a payment is for. The fragment never leaves the browser.
export function withoutFragment(url) {
  const end = url.indexOf('#')
  return end < 0 ? url : url.slice(0, end)
}
