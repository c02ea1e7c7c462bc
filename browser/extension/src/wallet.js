// The purse of this browser, shared by the background and the pages of the
// extension: they take turns in its store.
import { IndexedDbStore, Purse } from 'netpay'

export const api = globalThis.browser ?? globalThis.chrome

const longestPayment = 60 // seconds a payment can be on its way

let made = null

// The browser session names the payments it makes; one of an earlier session is of unknown outcome.
async function make() {
  const { session = crypto.randomUUID() } = await api.storage.session.get('session')
  await api.storage.session.set({ session })
  const now = () => Math.floor(Date.now() / 1000)
  return new Purse(new IndexedDbStore(), { now, owner: session, alive: (owner, p) => owner === session && now() - p.created < longestPayment })
}

export const purse = () => (made ??= make())

export const setting = async (name, otherwise) => (await api.storage.local.get(name))[name] ?? otherwise
export const setSetting = (name, value) => api.storage.local.set({ [name]: value })
