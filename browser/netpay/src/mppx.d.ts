import type { Method } from 'mppx'
import type { Purse, Wish } from './index.js'

/** The method `netpay` for mppx. attach() gives the client whose fetch pays from the purse. */
export function netpay(purse: Purse, options?: { ask?: (wish: Wish) => Promise<unknown> }): {
  methods: [Method.AnyClient, Method.AnyClient]
  attach<T extends { fetch: (...args: any[]) => Promise<Response> }>(client: T): Omit<T, 'fetch'> & { fetch: typeof globalThis.fetch }
}
