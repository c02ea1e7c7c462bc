// Where a purse keeps its records. A store has one method:
//
//   transaction(work) → what work returned
//
// work(tx) reads and writes records, all or none of them, and transactions
// come one after another, also those of other processes and pages. What it
// wrote is durable when the promise resolves. `work` may await tx's own
// methods and nothing else. A record is plain JSON; a table's key is a string.
//
//   tx.get(table, key)        the record, or undefined
//   tx.all(table)             every record of the table, in the order of their keys
//   tx.put(table, key, value)
//   tx.delete(table, key)

export const tables = ['accounts', 'coins', 'chains', 'standings', 'payments', 'sessions', 'prices', 'limits', 'sites',
  'identities', 'settings']

// A transaction over a plain object of tables; `changed` tells whether it wrote.
export class PlainTransaction {
  constructor(data) {
    this.data = data
    this.changed = false
  }

  async get(table, key) {
    const found = this.data[table]?.[key]
    return found === undefined ? undefined : structuredClone(found)
  }

  async all(table) {
    const rows = this.data[table] ?? {}
    return Object.keys(rows).sort().map((key) => structuredClone(rows[key]))
  }

  async put(table, key, value) {
    this.data[table] = { ...this.data[table], [key]: structuredClone(value) }
    this.changed = true
  }

  async delete(table, key) {
    const { [key]: gone, ...rest } = this.data[table] ?? {}
    this.data[table] = rest
    this.changed = true
  }
}

// In memory: for tests, and for coins that may go with the process.
export class MemoryStore {
  #data = {}
  #last = Promise.resolve()

  transaction(work) {
    const run = this.#last.then(async () => {
      const tx = new PlainTransaction({ ...this.#data })
      const result = await work(tx)
      this.#data = tx.data
      return result
    })
    this.#last = run.catch(() => undefined)
    return run
  }
}

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result)
  request.onerror = () => reject(request.error)
})

// In a browser. Every write is flushed to the disk before it counts.
export class IndexedDbStore {
  #open

  constructor(name = 'netpay') {
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => tables.forEach((table) => request.result.createObjectStore(table))
    this.#open = done(request)
  }

  async transaction(work) {
    const db = await this.#open
    const transaction = db.transaction(tables, 'readwrite', { durability: 'strict' })
    const finished = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error ?? new Error('the store gave up a transaction'))
    })
    finished.catch(() => undefined)
    const tx = {
      get: (table, key) => done(transaction.objectStore(table).get(key)),
      all: (table) => done(transaction.objectStore(table).getAll()),
      put: (table, key, value) => done(transaction.objectStore(table).put(value, key)),
      delete: (table, key) => done(transaction.objectStore(table).delete(key)),
    }
    let result
    try {
      result = await work(tx)
    } catch (error) {
      try {
        transaction.abort()
      } catch {
        // it is over already, and the error below says why
      }
      throw error
    }
    await finished
    return result
  }
}
