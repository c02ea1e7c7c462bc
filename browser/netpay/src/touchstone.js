// Touchstones: the broker's signature over a coin's root and terms, an Ed25519
// JWS in compact form (RFC 7515, RFC 8037).
import { b64u, sha256, unb64u, utf8 } from './bytes.js'
import { coinName } from './chain.js'
import { isObject, jcs, objectIn, parseJson } from './json.js'
import { isAmount, isCurrency, mostUnits } from './money.js'

const typ = 'netpay-touchstone+jwt'

// The Ed25519 keys of a JWK set by their RFC 7638 thumbprint; null if it is no key set.
export function readKeys(jwks) {
  const set = parseJson(jwks)
  if (!isObject(set) || !Array.isArray(set.keys)) return null
  const keys = new Map()
  for (const key of set.keys) {
    if (key?.kty !== 'OKP' || key.crv !== 'Ed25519' || !unb64u(key.x, 32)) continue
    keys.set(b64u(sha256(utf8(jcs({ crv: key.crv, kty: key.kty, x: key.x })))), key)
  }
  return keys
}

// The terms of a good touchstone, or { why }: 'malformed', 'unknown-key',
// 'signature', 'mismatch', 'expired'. now: seconds.
export async function verifyTouchstone(token, issuer, keys, now) {
  const parts = typeof token === 'string' ? token.split('.') : []
  const [head, body, signature] = parts
  const header = objectIn(head)
  const signed = unb64u(signature, 64)
  if (parts.length !== 3 || !header || !signed) return { why: 'malformed' }
  if (header.alg !== 'EdDSA' || header.typ !== typ || 'crit' in header) return { why: 'malformed' }
  const jwk = typeof header.kid === 'string' ? keys.get(header.kid) : undefined
  if (!jwk) return { why: 'unknown-key' }
  const key = await crypto.subtle.importKey('jwk', { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, 'Ed25519', false, ['verify'])
  if (!(await crypto.subtle.verify('Ed25519', key, signed, utf8(`${head}.${body}`)))) return { why: 'signature' }
  return judged(objectIn(body), issuer, now)
}

function judged(p, issuer, now) {
  if (!p) return { why: 'malformed' }
  const salt = unb64u(p.salt, 16)
  const root = unb64u(p.root, 32)
  if (typeof p.iss !== 'string' || !salt || !root || !isCurrency(p.cur)) return { why: 'malformed' }
  if (!isAmount(p.unit) || p.unit < 1 || !isAmount(p.n) || p.n < 1 || p.n > mostUnits) return { why: 'malformed' }
  if (!isAmount(p.iat) || !isAmount(p.exp)) return { why: 'malformed' }
  if (p.iss !== issuer || coinName(salt, root) !== p.coin) return { why: 'mismatch' }
  if (now > p.exp) return { why: 'expired' }
  return { coin: p.coin, currency: p.cur, unit: p.unit, n: p.n, salt: p.salt, root: p.root, issued: p.iat, expires: p.exp }
}
