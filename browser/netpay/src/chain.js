// The payword chain: W_{i-1} = SHA-256(salt ‖ u32be(i) ‖ W_i), W_n = seed,
// W_0 = root. Held by its checkpoints, so that any payword costs at most
// `spacing` hashes.
import { b64u, concat, sha256, unb64u, utf8 } from './bytes.js'
import { mostUnits } from './money.js'

export const spacing = 1024

// W_to from W_from, to ≤ from.
export function walkDown(salt, from, word, to) {
  const block = new Uint8Array(52)
  block.set(salt)
  block.set(word, 20)
  const view = new DataView(block.buffer)
  for (let i = from; i > to; --i) {
    view.setUint32(16, i)
    block.set(sha256(block), 20)
  }
  return block.slice(20)
}

// The coin's name, 22 characters.
export const coinName = (salt, root) => b64u(sha256(concat(utf8('netpay/coin/1'), salt, root)).subarray(0, 16))

const pointCount = (n) => Math.floor((n - 1) / spacing) + 2

export class Chain {
  constructor(salt, n, points) {
    this.salt = salt
    this.n = n
    this.points = points // W_0, W_1024, W_2048, …, and last W_n
  }

  // Hashes the chain once: n hashes.
  static make(salt, seed, n) {
    if (!Number.isInteger(n) || n < 1 || n > mostUnits) throw new RangeError('a chain has 1 to 2^20 paywords')
    const points = new Array(pointCount(n))
    points[points.length - 1] = seed.slice()
    let at = n
    let word = seed
    for (let k = points.length - 2; k >= 0; --k) {
      word = walkDown(salt, at, word, k * spacing)
      at = k * spacing
      points[k] = word
    }
    return new Chain(salt.slice(), n, points)
  }

  // From stored checkpoints; null if their number is wrong.
  static restore(salt, n, coded) {
    const bytes = unb64u(coded)
    if (!bytes || n < 1 || n > mostUnits || bytes.length !== 32 * pointCount(n)) return null
    return new Chain(salt, n, Array.from({ length: pointCount(n) }, (_, k) => bytes.slice(32 * k, 32 * k + 32)))
  }

  at(i) {
    if (!Number.isInteger(i) || i < 0 || i > this.n) throw new RangeError('no such payword')
    const k = Math.ceil(i / spacing)
    const last = k >= this.points.length - 1
    return last ? walkDown(this.salt, this.n, this.points.at(-1), i) : walkDown(this.salt, k * spacing, this.points[k], i)
  }

  checkpoints() {
    return b64u(concat(...this.points))
  }
}
