// Export and import in the form of the `netpay` wallet: a head, accounts,
// coins and the SHA-256 of all before it, one JSON document a line. A coin is
// whoever's has its seed, so an export is as good as money; a coin must not
// live in two wallets. So an export either moves coins (they cannot be spent
// here any more) or is a backup, taken only by the owner's word (`restore`).
import { b64u, sha256, unb64u, utf8 } from './bytes.js'
import { Chain, coinName } from './chain.js'
import { NetPayError } from './errors.js'
import { isObject, jcs, parseJson } from './json.js'
import { isAmount, isCount, isCurrency, times } from './money.js'
import { isOrigin, originOf } from './origin.js'

const format = 'netpay-wallet'
const broken = (what) => new NetPayError('usage', `this is not an export of a wallet: ${what}`)

async function coinLine(tx, coin) {
  const { claimed, identity, ...c } = coin
  const chain = await tx.get('chains', coin.coin)
  const standings = (await tx.all('standings')).filter((s) => s.coin === coin.coin)
    .map((s) => ({ vendor: s.vendor, revealed: s.revealed, base: s.base, known: s.known, used: s.used.join(',') }))
  const open = (await tx.all('payments')).filter((p) => p.coin === coin.coin && (p.state === 'live' || p.state === 'unknown'))
    .map(({ vendor, method, url, ticket, units, amount, currency, created }) => ({ vendor, method, url, ticket, units, amount, currency, created }))
  return jcs({ coin: { ...c, checkpoints: chain.checkpoints, standings, open } })
}

// kind 'move': the coins cannot be spent from this purse any more once this
// resolves; their export stays in the store, and is given again, until
// exportSaved() says that it is in safety elsewhere. coins: names; all that
// are not spent by default. { text, coins }
export async function exportCoins(purse, { kind = 'move', coins, accounts = true } = {}) {
  return purse.store.transaction(async (tx) => {
    const unsaved = await tx.get('settings', 'export')
    if (unsaved && kind === 'move') return unsaved
    const wanted = (await tx.all('coins')).filter((c) => (c.state === 'live' || c.state === 'pending') &&
      (coins ? coins.includes(c.coin) : c.spent < c.n))
    const lines = [jcs({ format, version: 1, kind })]
    if (accounts) for (const a of await tx.all('accounts')) lines.push(jcs({ account: a }))
    for (const coin of wanted) {
      lines.push(await coinLine(tx, coin))
      if (kind === 'move') await tx.put('coins', coin.coin, { ...coin, state: 'moved' })
    }
    const text = `${lines.join('\n')}\n`
    const made = { text: `${text}${jcs({ sha256: b64u(sha256(utf8(text))) })}\n`, coins: wanted.map((c) => c.coin) }
    if (kind === 'move' && wanted.length) await tx.put('settings', 'export', made)
    return made
  })
}

// The export of coins that are gone from here and not known to be saved; null if there is none.
export const unsavedExport = async (purse) => (await purse.store.transaction((tx) => tx.get('settings', 'export'))) ?? null

export const exportSaved = (purse) => purse.store.transaction((tx) => tx.delete('settings', 'export'))

function readHead(line, restore) {
  const head = parseJson(line)
  if (!isObject(head) || head.format !== format) throw broken('its first line')
  if (head.version !== 1) throw new NetPayError('usage', 'the export was written by a newer version of netpay')
  const backup = head.kind !== 'move'
  if (backup && !restore)
    throw new NetPayError('usage', 'this is a backup: its coins may still be spent from the wallet it was made of, and a coin must not ' +
      'live in two wallets. If that wallet is lost, import it as a backup', { backup })
  return backup
}

function readAccount(a) {
  const good = isObject(a) && isOrigin(a.issuer) && originOf(a.api) === a.issuer && originOf(a.jwks_uri) === a.issuer &&
    typeof a.jwks === 'string' && typeof a.account === 'string' && typeof a.token === 'string' && a.token !== '' && isAmount(a.created ?? 0)
  if (!good) throw broken('an account')
  return { issuer: a.issuer, api: a.api, jwks_uri: a.jwks_uri, jwks: a.jwks, account: a.account, token: a.token, created: a.created ?? 0 }
}

function readStanding(s, name, n) {
  const used = typeof s?.used === 'string' && s.used ? s.used.split(',').map(Number) : []
  if (!isOrigin(s?.vendor) || !isCount(s.revealed) || s.revealed > n || !isCount(s.base) || !used.every(isCount)) throw broken('what a vendor has seen')
  return { coin: name, vendor: s.vendor, revealed: s.revealed, base: s.base, known: s.known === true, refused: '', used }
}

function readOpen(p, name, n) {
  const words = [p?.method, p?.url]
  if (!isOrigin(p?.vendor) || !words.every((w) => typeof w === 'string') || originOf(p.url) !== p.vendor || !isCurrency(p.currency) || !isCount(p.ticket) || p.ticket < 1 || p.ticket > n ||
    !isCount(p.units) || !isAmount(p.amount) || !isAmount(p.created)) throw broken('a payment')
  return { coin: name, vendor: p.vendor, method: p.method, url: p.url, ticket: p.ticket, units: p.units, amount: p.amount,
    currency: p.currency, created: p.created }
}

function readCoin(c) {
  const salt = isObject(c) ? unb64u(c.salt, 16) : null
  if (!salt || !isCurrency(c.currency) || !isAmount(c.unit) || c.unit < 1 || !isCount(c.n) || c.n < 1 || !isCount(c.spent) ||
    times(c.unit, c.n) === null || c.spent > c.n || !isCount(c.held) || c.held > c.n || !isAmount(c.expires) || !isAmount(c.created)) throw broken("a coin's terms")
  for (const name of ['touchstone', 'idempotency', 'holder']) if (typeof c[name] !== 'string') throw broken("a coin's terms")
  if (c.holder && !isOrigin(c.holder)) throw broken('where a coin is')
  const lists = [c.standings ?? [], c.open ?? []]
  if (!lists.every(Array.isArray)) throw broken("a coin's past")
  const chain = Chain.restore(salt, c.n, c.checkpoints)
  if (!chain) throw broken("a coin's chain")
  if (coinName(salt, chain.at(0)) !== c.coin || !isOrigin(c.issuer)) throw broken("a coin's name")
  if (Chain.make(salt, chain.at(c.n), c.n).checkpoints() !== c.checkpoints) throw broken("a coin's checkpoints")
  const coin = { coin: c.coin, issuer: c.issuer, currency: c.currency, unit: c.unit, n: c.n, salt: c.salt, touchstone: c.touchstone,
    expires: c.expires, state: c.state === 'pending' || !c.touchstone ? 'pending' : 'live', idempotency: c.idempotency,
    created: c.created, spent: c.spent, holder: c.holder, held: c.held, claimed: 0, restored: c.restored === true }
  return { coin, chain, standings: lists[0].map((s) => readStanding(s, c.coin, c.n)), open: lists[1].map((p) => readOpen(p, c.coin, c.n)) }
}

// Every line is read and checked before anything is stored.
function readLines(text, restore) {
  const records = []
  let at = 0
  let backup = null
  let ended = false
  for (const line of text.split('\n')) {
    const from = at
    at += line.length + 1
    if (!line) continue
    if (ended) throw broken('there is more after its end')
    if (backup === null) {
      backup = readHead(line, restore)
      continue
    }
    const value = parseJson(line)
    if (!isObject(value)) throw broken('a line that is not JSON')
    if (typeof value.sha256 === 'string') {
      if (value.sha256 !== b64u(sha256(utf8(text.slice(0, from))))) throw broken('it is damaged')
      ended = true
    } else if (value.account) records.push({ account: readAccount(value.account) })
    else if (value.coin) records.push(readCoin(value.coin))
    else throw broken('a line that is neither coin nor account')
  }
  if (backup === null) throw broken('it is empty')
  if (!ended) throw broken('its end is missing')
  return { records, backup }
}

// What vendors have seen of a coin, here and there.
const merged = (here, there) => (here ? { ...here, revealed: Math.max(here.revealed, there.revealed), base: Math.max(here.base, there.base),
  known: here.known || there.known, used: [...new Set([...here.used, ...there.used])].sort((a, b) => a - b) } : there)

// A coin that was moved away comes back: what happened there is in the export,
// what happened here before in the store, and the higher count is the later one.
async function comeBack(purse, tx, here, { coin, standings, open }, backup) {
  const later = coin.spent >= here.spent ? coin : here
  await tx.put('coins', coin.coin, { ...here, state: coin.state, touchstone: coin.touchstone || here.touchstone,
    expires: coin.touchstone ? coin.expires : here.expires, spent: later.spent, holder: later.holder, held: later.held,
    restored: here.restored || coin.restored || backup })
  for (const s of standings) {
    const key = `${s.coin} ${s.vendor}`
    await tx.put('standings', key, merged(await tx.get('standings', key), s))
  }
  await purse.mergeUnknown(tx, coin, open, { standings, backup, identity: here.identity })
}

// All of an export or nothing. The coins get the identity named, or the current one.
export async function importCoins(purse, text, { restore = false, identity } = {}) {
  const { records, backup } = readLines(text, restore)
  const to = identity ?? (await purse.currentIdentity())
  return purse.store.transaction(async (tx) => {
    const out = { accounts: 0, coins: 0, alreadyHere: [], backup }
    for (const record of records) {
      const { account, coin, chain, standings, open } = record
      if (account) {
        if (await tx.get('accounts', account.issuer)) continue
        await tx.put('accounts', account.issuer, account)
        ++out.accounts
        continue
      }
      const here = await tx.get('coins', coin.coin)
      if (here && here.state !== 'moved') {
        out.alreadyHere.push(coin.coin)
        continue
      }
      ++out.coins
      if (here) {
        await comeBack(purse, tx, here, record, backup)
        continue
      }
      await purse.addCoin(tx, { ...coin, restored: coin.restored || backup, identity: to }, chain)
      for (const s of standings) await tx.put('standings', `${s.coin} ${s.vendor}`, s)
      for (const p of open) await purse.addUnknown(tx, coin, { ...p, identity: to })
    }
    return out
  })
}
