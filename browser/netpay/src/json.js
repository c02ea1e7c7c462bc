// JSON as the contract reads it: a member named twice, and an integer written
// as 1.0 or 1e0, are malformed. JSON.parse takes both, so the text is looked
// through once more.
import { text, unb64u } from './bytes.js'

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|-?[0-9][0-9.eE+-]*|true|false|null/gsy
const blank = /[ \t\r\n]*/gy

// The value, or undefined if the text is malformed.
export function parseJson(source) {
  let value
  try {
    value = JSON.parse(source)
  } catch {
    return undefined
  }
  const open = [] // a Set of names for an object, null for an array
  let at = 0
  let before = ''
  for (;;) {
    blank.lastIndex = at
    blank.exec(source)
    at = blank.lastIndex
    if (at >= source.length) return value
    token.lastIndex = at
    const found = token.exec(source)
    if (!found) return undefined
    at = token.lastIndex
    const [word] = found
    if (word === '{') open.push(new Set())
    else if (word === '[') open.push(null)
    else if (word === '}' || word === ']') open.pop()
    else if (/^[-0-9]/.test(word) && (/[.eE]/.test(word) || !Number.isSafeInteger(Number(word)))) return undefined
    else if (word[0] === '"' && open.at(-1) && (before === '{' || before === ',')) {
      const name = JSON.parse(word)
      if (open.at(-1).has(name)) return undefined
      open.at(-1).add(name)
    }
    before = word
  }
}

export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

// The JSON object in a base64url text, or null.
export function objectIn(coded) {
  const bytes = unb64u(coded)
  if (!bytes) return null
  try {
    const value = parseJson(text(bytes))
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

// RFC 8785 for what NetPay writes: strings, safe integers, booleans, arrays, objects.
export function jcs(value) {
  if (Array.isArray(value)) return `[${value.map(jcs).join(',')}]`
  if (!isObject(value)) return JSON.stringify(value)
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort()
  return `{${names.map((name) => `${JSON.stringify(name)}:${jcs(value[name])}`).join(',')}}`
}
