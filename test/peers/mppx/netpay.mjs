// The `netpay` method for mppx: all that a client of the Payment scheme needs
// to learn. Parsing challenges, echoing them, the credential's encoding and
// the receipt are mppx's own.
import { Credential, Method, z } from 'mppx'

const terms = z.object({ amount: z.string(), currency: z.string(), recipient: z.string(),
  methodDetails: z.object({ brokers: z.array(z.string()) }) })
const payload = z.object({ coin: z.string(), index: z.number(), payword: z.string(), touchstone: z.string() })

export const netpay = (coin, intent) => Method.toClient(
  Method.from({ name: 'netpay', intent, schema: { request: terms, credential: { payload } } }),
  {
    canHandleChallenge: ({ challenge }) => challenge.request.methodDetails.brokers.includes(coin.issuer) &&
      challenge.request.currency === coin.currency,
    async createCredential({ challenge }) {
      const { index, payword } = coin.pay(challenge.request.amount)
      return Credential.serialize({ challenge, payload: { coin: coin.id, index, payword, touchstone: coin.touchstone } })
    },
  },
)
