// The method `netpay` for mppx: it parses challenges, keeps to its own policy
// and sends; the purse chooses the ticket and counts.
//
//   const method = netpay(purse, { ask })
//   const client = method.attach(Mppx.create({ methods: method.methods, polyfill: false }))
//   const answer = await client.fetch(url)
import { Method, z } from 'mppx'
import { NetPayError } from './errors.js'
import { withoutFragment } from './origin.js'
import { following } from './redirects.js'
import { Visit } from './visit.js'

const terms = z.object({ amount: z.string(), currency: z.string(), recipient: z.string(),
  methodDetails: z.object({ brokers: z.array(z.string()) }) })
const payload = z.object({ coin: z.string(), index: z.number(), payword: z.string() })

const urlOf = (input) => withoutFragment(typeof input === 'string' ? input : (input.url ?? input.href ?? String(input)))

// ask({ vendor, url, amount, currency, brokers }): true if the owner accepts;
// without it only what the purse's limits allow unasked is paid.
export function netpay(purse, { ask } = {}) {
  const underWay = new Map() // address → the visit of the page that is being fetched
  const accept = async (wish) => {
    if (await purse.decidesAlone(wish.vendor, wish.amount, wish.currency)) return wish.amount
    if (ask && (await ask(wish))) return wish.amount
    throw new NetPayError('not-accepted', `${wish.url} costs more than your limits allow unasked`)
  }
  const method = (intent) => Method.toClient(
    Method.from({ name: 'netpay', intent, schema: { request: terms, credential: { payload } } }),
    {
      async createCredential() {
        throw new NetPayError('usage', 'fetch by the client that attach() gives: a payment needs the address it is for')
      },
    },
  )

  // A 402 is here, the first one or the answer to a payment.
  async function pay({ challenge, input, response }) {
    const visit = underWay.get(urlOf(input))
    if (challenge.method !== 'netpay' || !visit) return undefined
    const paying = visit.ticket !== null
    const same = await visit.read([response.headers.get('www-authenticate') ?? ''])
    if (paying) await visit.judged(await response.clone().text(), same)
    else if (!(await visit.takeReread())) await visit.takeTicket()
    return visit.field()[1]
  }

  async function settle(visit, answer) {
    if (!visit.ticket) return
    if (answer.ok) await visit.settled(answer.headers.get('payment-receipt'))
    else await (answer.status === 502 || answer.status === 504 ? visit.doubt() : visit.void())
  }

  // One address, whose answer may be a redirect: mppx would send the payment after it.
  async function fetchBy(client, { url, options, ...request }, init) {
    const visit = new Visit(purse, { url, method: request.method, accept })
    underWay.set(visit.url, visit)
    try {
      const answer = await client.fetch(visit.url, { ...init, ...options, ...request })
      await settle(visit, answer)
      return answer
    } finally {
      underWay.delete(visit.url)
      await visit.doubt() // whatever is open here had no answer
    }
  }

  return {
    methods: [method('session'), method('charge')],
    // The client, whose fetch pays from the purse.
    attach(client) {
      client.onChallengeReceived(pay)
      const fetchInTurn = (input, init) => following(input, init, (request) =>
        purse.turns.take(withoutFragment(request.url), () => fetchBy(client, request, init)))
      return { ...client, fetch: fetchInTurn }
    },
  }
}
