// The extension's icon, drawn: a coin with an N, as a PNG of any size.
import { deflateSync } from 'node:zlib'

function crc(bytes) {
  let c = ~0
  for (const byte of bytes) {
    c ^= byte
    for (let k = 0; k < 8; ++k) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  }
  return ~c >>> 0
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const out = Buffer.alloc(body.length + 8)
  out.writeUInt32BE(data.length)
  body.copy(out, 4)
  out.writeUInt32BE(crc(body), body.length + 4)
  return out
}

const disc = [31, 95, 58, 255]
const letter = [255, 255, 255, 255]
const nothing = [0, 0, 0, 0]

// The colour at x, y in 0 … 1.
function paint(x, y) {
  if (Math.hypot(x - 0.5, y - 0.5) > 0.49) return nothing
  const inside = y > 0.26 && y < 0.74 && x > 0.27 && x < 0.73
  const bar = x < 0.38 || x > 0.62 || Math.abs(x - 0.27 - (y - 0.26) * 0.46 / 0.48) < 0.075
  return inside && bar ? letter : disc
}

export function icon(size) {
  const rows = Buffer.alloc(size * (4 * size + 1))
  for (let y = 0; y < size; ++y)
    for (let x = 0; x < size; ++x) rows.set(paint((x + 0.5) / size, (y + 0.5) / size), y * (4 * size + 1) + 1 + 4 * x)
  const head = Buffer.alloc(13)
  head.writeUInt32BE(size, 0)
  head.writeUInt32BE(size, 4)
  head.set([8, 6, 0, 0, 0], 8)
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}
