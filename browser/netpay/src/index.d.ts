// What the package offers to programs. Amounts are integers of micro-units of a
// currency (`uusd`, `ueur`); times are seconds since 1970.

export interface Transaction {
  get(table: string, key: string): Promise<any>
  all(table: string): Promise<any[]>
  put(table: string, key: string, value: object): Promise<void>
  delete(table: string, key: string): Promise<void>
}

/** Where a purse keeps its records: all of a transaction's writes or none, one after another, durable when it resolves. */
export interface Store {
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export class MemoryStore implements Store {
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export class IndexedDbStore implements Store {
  constructor(name?: string)
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

export type CoinState = 'pending' | 'refused' | 'live' | 'moved' | 'returning' | 'returned'

export interface Coin {
  coin: string
  issuer: string
  currency: string
  /** What one unit is worth. */
  unit: number
  /** How many units it has. */
  n: number
  /** How many are spent, by the owner's own count. */
  spent: number
  salt: string
  touchstone: string
  expires: number
  created: number
  state: CoinState
  /** The site that has it; '' if none has. */
  holder: string
  held: number
  /** How many units a site says are spent, where that is more than the owner knows of; else 0. */
  claimed: number
  /** It comes from a backup. */
  restored: boolean
  identity: string
  idempotency: string
}

export type PaymentState = 'live' | 'unknown' | 'paid' | 'void' | 'given-back'

export interface Payment {
  id: number
  coin: string
  vendor: string
  method: string
  url: string
  ticket: number
  units: number
  /** The price. */
  amount: number
  /** What it takes from the coins: whole units. */
  cost?: number
  /** What was given back. */
  back?: number
  giveBackUntil?: number
  currency: string
  identity: string
  state: PaymentState
  owner: string
  created: number
  finished: number
  rereads: number
}

/** A page that wants to be paid. */
export interface Wish {
  vendor: string
  url: string
  /** What would leave the coins. */
  amount: number
  currency: string
  brokers: string[]
}

export interface Paid {
  /** What left the coins; 0 for a page that is read again. */
  amount: number
  currency: string
  reread: boolean
  coin: string
  index: number
}

export interface Limit {
  /** Pages up to perPage are paid without asking; null: as for all sites. */
  automatic?: boolean | null
  perPage?: number | null
  perDay?: number | null
  /** For '*' only: what one site may get a day. */
  perSite?: number | null
}

export interface Identity {
  id: string
  name: string
}

export class Purse {
  constructor(store: Store, options?: { now?: () => number; owner?: string; alive?: (owner: string, payment: Payment) => boolean })
  readonly store: Store
  now(): number
  identities(): Promise<Identity[]>
  addIdentity(name: string): Promise<Identity>
  currentIdentity(): Promise<string>
  useIdentity(id: string): Promise<void>
  identityOf(vendor: string): Promise<string>
  limits(currency: string): Promise<(Required<Limit> & { site: string; currency: string })[]>
  /** site: an origin, or '*' for all. */
  setLimit(site: string, currency: string, rule: Limit): Promise<void>
  clearLimit(site: string, currency: string): Promise<void>
  decidesAlone(vendor: string, amount: number, currency: string): Promise<boolean>
  coins(): Promise<Coin[]>
  balance(currency: string, options?: { brokers?: string[]; identity?: string }): Promise<number>
  /** Takes a site's count of a coin for true. */
  writeOff(coin: string): Promise<void>
  history(most?: number): Promise<Payment[]>
  canGiveBack(payment: Payment): boolean
}

/** What is left of a coin. */
export function left(coin: Coin): number
export function costOf(payment: Payment): number
/** Whether a site claims more of the coin than its owner knows to be spent. */
export function isDisputed(coin: Coin): boolean

export type Fetch = typeof globalThis.fetch

/** A fetch that pays. Without `ask` only what the purse's limits allow unasked is paid. */
export function payingFetch(purse: Purse, options?: { ask?: (wish: Wish) => Promise<unknown>; fetch?: Fetch }):
  (input: RequestInfo | URL, init?: RequestInit) => Promise<Response & { payment: Paid | null }>

/** Gives a page back, where its site allows that; what is the owner's again. */
export function giveBack(purse: Purse, payment: Pick<Payment, 'id'>, options?: { fetch?: Fetch }): Promise<{ amount: number; currency: string }>

export interface Denomination {
  unit: number
  n: number
}

export class Broker {
  constructor(purse: Purse, issuer: string, options?: { fetch?: Fetch })
  readonly issuer: string
  discover(): Promise<{ issuer: string; api: string; jwks_uri: string; currencies: string[]; denominations: Denomination[] }>
  account(): Promise<{ issuer: string; account: string; token: string } | null>
  createAccount(): Promise<{ issuer: string; account: string; token: string }>
  balance(): Promise<Record<string, number>>
  topUp(voucher: string): Promise<Record<string, number>>
  buy(terms: { currency: string; unit: number; n: number; identity?: string }): Promise<Coin>
  buyAmount(amount: number, currency: string, identity?: string): Promise<Coin[]>
  finishPending(): Promise<void>
  /** Returns a coin: what was refunded, or when it will be. */
  giveBack(coin: Pick<Coin, 'coin'>): Promise<{ refunded: number; currency: string; due?: undefined } | { due: number }>
  static makeUp(amount: number, denominations: Denomination[]): Denomination[] | null
}

/** The text stays in the store until exportSaved(). A move takes the coins from this purse. */
export function exportCoins(purse: Purse, options?: { kind?: 'move' | 'backup'; coins?: string[]; accounts?: boolean }): Promise<{ text: string; coins: string[] }>
export function unsavedExport(purse: Purse): Promise<{ text: string; coins: string[] } | null>
export function exportSaved(purse: Purse): Promise<void>
/** All of an export or nothing; its coins get the identity named. restore: it is a backup, and the wallet it is of is lost. */
export function importCoins(purse: Purse, text: string, options?: { restore?: boolean; identity?: string }):
  Promise<{ accounts: number; coins: number; alreadyHere: string[]; backup: boolean }>

export type ErrorCode = 'not-accepted' | 'no-money' | 'disputed' | 'payment' | 'insecure' | 'network' | 'broker' | 'usage'

export class NetPayError extends Error {
  constructor(code: ErrorCode, message: string, more?: object)
  code: ErrorCode
  /** The broker's, where it refuses. */
  status?: number
  /** Why a page is not taken back. */
  reason?: string
}

// --- for wallets that send themselves ---

export interface Challenge {
  id: string
  realm: string
  method: string
  intent: string
  request: string
  expires?: string
  digest?: string
  opaque?: string
  header?: string
}

export interface Terms {
  amount: number
  currency: string
  recipient: string
  brokers: string[]
}

export interface Receipt {
  coin: string
  index: number
  amount: number
  currency: string
  spent: number
  revealed: number
  giveBack: number
}

export class Visit {
  constructor(purse: Purse, options: { url: string; method?: string; accept: (wish: Wish) => Promise<number> })
  readonly url: string
  readonly vendor: string
  readonly method: string
  read(fields: string[]): Promise<boolean>
  cost(): Promise<number>
  takeReread(): Promise<boolean>
  takeTicket(): Promise<void>
  foresee(): Promise<boolean>
  takeAhead(): Promise<boolean>
  field(options?: { again?: boolean }): [name: string, value: string]
  settled(receipt: string | null): Promise<Paid | null>
  judged(body: string, sameCurrency?: boolean): Promise<void>
  void(): Promise<void>
  doubt(): Promise<void>
}

export function parseChallenges(field: string): Challenge[]
export function parseTerms(request: string): Terms | null
export function bestOffer(fields: string[], vendor: string): { challenge: Challenge; terms: Terms; trouble?: undefined } |
  { trouble: string; challenge?: undefined; terms?: undefined }
export function credential(challenge: Challenge, payload: object): [name: string, value: string]
export function parseReceipt(field: string): Receipt | null
export function parseProblem(body: string | null): { kind: string; reason: string; spent?: number; needed?: number; words: string }

export class Chain {
  static make(salt: Uint8Array, seed: Uint8Array, n: number): Chain
  static restore(salt: Uint8Array, n: number, checkpoints: string): Chain | null
  at(index: number): Uint8Array
  checkpoints(): string
}

export function coinName(salt: Uint8Array, root: Uint8Array): string
export function walkDown(salt: Uint8Array, from: number, word: Uint8Array, to: number): Uint8Array

export function readKeys(jwks: string): Map<string, JsonWebKey> | null
export function verifyTouchstone(token: string, issuer: string, keys: Map<string, JsonWebKey>, now: number): Promise<
  { why: 'malformed' | 'unknown-key' | 'signature' | 'mismatch' | 'expired' } |
  { why?: undefined; coin: string; currency: string; unit: number; n: number; salt: string; root: string; issued: number; expires: number }>

/** "0.05" → 50000; null if it is no such number. */
export function fromDecimal(text: string): number | null
export function toDecimal(amount: number): string
/** "2 ¢", "$1.20", "1.20 CHF". */
export function pretty(amount: number, currency: string): string

export function originOf(url: string): string
export function isOrigin(text: unknown): boolean
export function isLoopback(url: string): boolean
export function isPrivate(url: string): boolean
export function withoutFragment(url: string): string
