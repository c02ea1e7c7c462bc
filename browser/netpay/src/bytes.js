// Bytes, base64url without padding (RFC 4648 section 5) and SHA-256.
import { sha256 } from '@noble/hashes/sha2.js'

export { sha256 }

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const utf8 = (text) => encoder.encode(text)

// Throws a TypeError if the bytes are not UTF-8.
export const text = (bytes) => decoder.decode(bytes)

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

export function b64u(bytes) {
  let raw = ''
  for (let i = 0; i < bytes.length; i += 8192) raw += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(raw).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

// null for anything but the one canonical form; `size`: how many bytes it has to be.
export function unb64u(coded, size) {
  if (typeof coded !== 'string' || !/^[A-Za-z0-9_-]*$/.test(coded) || coded.length % 4 === 1) return null
  const raw = atob(coded.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = Uint8Array.from(raw, (c) => c.charCodeAt(0))
  if (b64u(bytes) !== coded || (size !== undefined && bytes.length !== size)) return null
  return bytes
}

export const random = (size) => crypto.getRandomValues(new Uint8Array(size))
