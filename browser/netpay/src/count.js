// The wallet's own count of one coin at one vendor. Pure.
//
//   spent (S)     units spent, by this wallet's own count. It grows by a
//                 receipt, at most by what the owner accepted for that page,
//                 and by a vendor's `spent`, at most by payments she accepted
//                 whose outcome never arrived. It falls by a page that is
//                 given back, at most by what that cost.
//   live          what she accepted for payments that are on their way now.
//   unknown       what she accepted for payments whose outcome is not known.
//                 One ticket buys one page, so payments on the same ticket
//                 count once.
//   revealed (R)  the highest index this vendor may have seen. It is raised in
//                 the store, durably, before a request leaves.
//
// A new payment of p units may use an index up to L = max(R, S + live + p).
// Nothing a vendor says enters L, except through S as above; S + live +
// unknown never grows by a vendor's answer. So a vendor that lies about
// everything it may say gets what was accepted for the pages it was asked for.
//
// A count: { n, spent, revealed, base, open: [payment], used: Set of tickets }
// A payment: { id, ticket, units, live, here }, oldest first in `open`.
//   base: tickets up to here were spent elsewhere before.
//   here: the payment is at the vendor this count is for.

const mostUsed = 512 // used tickets kept; payments move upwards, only the latest can be candidates again

export const liveUnits = (c) => c.open.reduce((sum, p) => sum + (p.live ? p.units : 0), 0)

export function unknownUnits(c) {
  const most = new Map()
  for (const p of c.open) if (!p.live) most.set(p.ticket, Math.max(most.get(p.ticket) ?? 0, p.units))
  return [...most.values()].reduce((sum, units) => sum + units, 0)
}

const taken = (c, ticket) => c.used.has(ticket) || c.open.some((p) => p.here && p.ticket === ticket)

function unconfirmed(c, from, to) {
  let best = null
  for (const p of c.open) {
    if (p.live || !p.here || p.ticket < from || p.ticket > to || c.used.has(p.ticket)) continue
    if (c.open.some((o) => o.live && o.ticket === p.ticket)) continue
    if (best === null || p.ticket < best) best = p.ticket
  }
  return best
}

function use(c, ticket) {
  c.used.add(ticket)
  while (c.used.size > mostUsed) c.used.delete(Math.min(...c.used))
}

function drop(c, fits) {
  const ids = c.open.filter(fits).map((p) => p.id)
  c.open = c.open.filter((p) => !fits(p))
  return ids
}

// Moves up to `units` from the unknown payments of one ticket to S.
function settleTicket(c, ticket, units, settled) {
  const mine = (p) => !p.live && p.ticket === ticket
  const most = Math.max(0, ...c.open.filter(mine).map((p) => p.units))
  const moved = Math.min(most, units)
  if (moved === 0) return 0
  for (const p of c.open) if (mine(p)) p.units -= Math.min(p.units, moved)
  settled.push(...drop(c, (p) => mine(p) && p.units === 0))
  c.spent += moved
  return moved
}

// The index for a new payment of `units` ≥ 1, which is not in c.open yet:
// { ticket, reused } or { why: 'coin-short' | 'beyond' | 'no-ticket' }.
// `needed`: what the vendor said would suffice, 0 if it said nothing.
export function choose(c, units, needed = 0) {
  const target = c.spent + liveUnits(c) + units
  if (target > c.n) return { why: 'coin-short' }
  const highest = Math.max(c.revealed, target)
  const from = Math.max(target, needed)
  if (from > highest) return { why: 'beyond' }
  const again = unconfirmed(c, from, highest)
  if (again !== null) return { ticket: again, reused: true }
  for (let i = from; i <= highest; ++i) if (!taken(c, i)) return { ticket: i, reused: false }
  if (needed > c.revealed) return { why: 'no-ticket' }
  for (let i = target - 1; i > c.base && target - i <= mostUsed; --i)
    if (!taken(c, i)) return { ticket: i, reused: false }
  return { why: 'no-ticket' }
}

export function openPayment(c, payment) {
  c.open.push(payment)
  c.revealed = Math.max(c.revealed, payment.ticket)
}

// What became of an open payment. paid: `charged` is cut down to what was
// accepted; other payments on the same ticket were never charged and go, too:
// their ids are returned.
export function paid(c, id, charged) {
  const p = c.open.find((o) => o.id === id)
  if (!p) return []
  c.spent += Math.min(charged, p.units)
  c.open = c.open.filter((o) => o !== p)
  use(c, p.ticket)
  return drop(c, (o) => !o.live && o.here && o.ticket === p.ticket)
}

export function notCharged(c, id) {
  drop(c, (p) => p.id === id)
}

export function doubt(c, id) {
  for (const p of c.open) if (p.id === id) p.live = false
}

// A vendor says that `claimed` units are spent. What exceeds S + live is
// moved from unknown to S, the payments on `ticket` first, then the oldest.
// `allowance`: units beyond the wallet's own knowledge that the owner accepts
// as spent; 0 but for a coin restored from an older backup.
// { believed, settled: ids now known to have been charged }
export function absorb(c, claimed, ticket = 0, allowance = 0) {
  const own = c.spent + liveUnits(c)
  const settled = []
  if (claimed > c.n || claimed > own + unknownUnits(c) + allowance) return { believed: false, settled }
  let excess = Math.max(0, claimed - own)
  if (ticket && excess > 0) excess -= settleTicket(c, ticket, excess, settled)
  while (excess > 0) {
    const p = c.open.find((o) => !o.live && o.units > 0)
    if (!p) break
    excess -= settleTicket(c, p.ticket, excess, settled)
  }
  c.spent += excess // within the allowance
  return { believed: true, settled }
}

// The page of a ticket that was paid is given back: `units` at most, what it
// cost, are the owner's again. The ticket stays used and R as it is, so that
// nothing new is shown by this: a vendor that lies will say so at the next page.
// What was given back.
export function givenBack(c, ticket, units) {
  if (!c.used.has(ticket)) return 0
  const back = Math.min(units, c.spent)
  c.spent -= back
  return back
}

// The vendor says the ticket is used: it will not be chosen again. Payments of
// unknown outcome on it are dropped, their ids returned; call absorb() first.
export function ticketUsed(c, ticket) {
  use(c, ticket)
  return drop(c, (p) => !p.live && p.here && p.ticket === ticket)
}
