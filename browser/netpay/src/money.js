// Amounts are unsigned integers of micro-units of a currency (`uusd`, `ueur`),
// below 2^53. Arithmetic is checked: what does not fit is null.

export const mostUnits = 2 ** 20 // units of one coin

export const isAmount = (value) => Number.isSafeInteger(value) && value >= 0
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0 && value <= mostUnits
export const isCurrency = (value) => typeof value === 'string' && /^u[a-z]{3}$/.test(value)

// A decimal string of micro-units, as challenges have it: at least 1, no leading zero.
export function parseAmount(text) {
  if (typeof text !== 'string' || !/^[1-9][0-9]{0,15}$/.test(text)) return null
  const value = Number(text)
  return isAmount(value) ? value : null
}

export function times(unit, count) {
  const product = unit * count
  return isAmount(product) ? product : null
}

// ceil(amount / unit); null if that is more than a coin can have.
export function unitsFor(amount, unit) {
  const rest = amount % unit
  const units = (amount - rest) / unit + (rest ? 1 : 0)
  return isCount(units) ? units : null
}

// What a person types: "0.05" → 50000; null if it is no such number.
export function fromDecimal(text) {
  const found = /^\s*([0-9]{1,9})?(?:[.,]([0-9]{1,6}))?\s*$/.exec(text)
  if (!found || (!found[1] && !found[2])) return null
  return Number(found[1] ?? 0) * 1000000 + Number((found[2] ?? '').padEnd(6, '0'))
}

export function toDecimal(amount) {
  const whole = Math.floor(amount / 1000000)
  const rest = String(amount % 1000000).padStart(6, '0').replace(/0{1,4}$/, '')
  return `${whole}.${rest}`
}

const signs = { uusd: '$', ueur: '€' }

// "2 ¢" and "0.5 ¢" below one dollar or euro, "$1.20" above, "1.20 CHF" elsewhere.
export function pretty(amount, currency) {
  const sign = signs[currency]
  if (amount === 0) return sign ? `${sign}0.00` : `0.00 ${currency.slice(1).toUpperCase()}`
  if (!sign) return `${toDecimal(amount)} ${currency.slice(1).toUpperCase()}`
  if (amount < 1000000) return `${String(Math.floor(amount / 10000))}${amount % 10000 ? `.${String(amount % 10000).padStart(4, '0').replace(/0+$/, '')}` : ''} ¢`
  return sign + toDecimal(amount)
}
