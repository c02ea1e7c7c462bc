// A coin as a wallet holds it: a payword chain of its own making, bought from
// the broker (doc/protocol.md, sections 3 and 9).
import { createHash, randomBytes } from 'node:crypto'

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()

async function call(url, body, token) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  const answer = await fetch(url, body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

export async function buyCoin(broker, voucher, { currency = 'uusd', unit = 1000, n = 1000 } = {}) {
  const { issuer, api } = await call(`${broker}/.well-known/netpay`)
  const { token } = await call(`${api}/accounts`, {})
  await call(`${api}/accounts/me/topups`, { voucher }, token)
  const salt = randomBytes(16)
  const words = [randomBytes(32)] // W_n first
  for (let i = n; i > 0; --i) {
    const position = Buffer.alloc(4)
    position.writeUInt32BE(i)
    words.unshift(sha256(salt, position, words[0]))
  }
  const root = words[0].toString('base64url')
  const { touchstone } = await call(`${api}/coins`, { currency, unit, n, salt: salt.toString('base64url'), root }, token)
  const id = sha256('netpay/coin/1', salt, words[0]).subarray(0, 16).toString('base64url')
  let spent = 0
  return {
    id, issuer, currency, touchstone,
    get spent() { return spent },
    pay(amount) {
      const index = spent + Math.ceil(Number(amount) / unit)
      if (index > n) throw new Error('the coin is spent')
      spent = index
      return { index, payword: words[index].toString('base64url') }
    },
  }
}
