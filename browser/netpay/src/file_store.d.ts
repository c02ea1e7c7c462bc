import type { Store, Transaction } from './index.js'

/** A purse in a directory that is its owner's alone; several processes may use it at once. */
export class FileStore implements Store {
  constructor(directory: string)
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

/** The purse's `owner`. */
export function thisProcess(): string
/** The purse's `alive`. */
export function isRunning(owner: string): boolean
