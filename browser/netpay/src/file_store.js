// A purse in a directory, for programs under Node. The file is written beside,
// flushed and renamed, so that it is whole at any instant; several processes
// take turns by lock files.
//
// Lock files are numbered and the highest is the lock: `lock.N` names its
// holder, or nobody once it is free. Whoever wants it makes `lock.N+1`, which
// only one can, and holds it if it is the highest then. The highest number
// never falls, so a lock left by the dead is taken over by exactly one.
import { mkdir, link, open, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { NetPayError } from './errors.js'
import { PlainTransaction } from './store.js'

const patience = 10000 // milliseconds
const fileName = 'purse.json'

// When a process began, where the system tells: its number may be another's by now.
function beginning(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ')[19]
  } catch {
    return ''
  }
}

// Names this process: the purse's `owner`.
export const thisProcess = () => `${process.pid} ${beginning(process.pid)}`

// Whether a process so named still runs: the purse's `alive`.
export function isRunning(name) {
  const [pid, start = ''] = name.split(' ')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if (error.code !== 'EPERM') return false
  }
  return start === '' || beginning(pid) === start
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

export class FileStore {
  #last = Promise.resolve()
  #ready = null

  constructor(directory) {
    this.directory = directory
  }

  #path(name) {
    return join(this.directory, name)
  }

  async #prepare() {
    await mkdir(this.directory, { recursive: true, mode: 0o700 })
    const { mode } = await stat(this.directory)
    if (mode & 0o077) throw new NetPayError('usage', `${this.directory} is open to others; run: chmod 700 '${this.directory}'`)
  }

  async #locks() {
    const names = (await readdir(this.directory)).map((name) => /^lock\.(\d+)$/.exec(name)).filter(Boolean)
    return names.map((found) => Number(found[1])).sort((a, b) => b - a)
  }

  async #tryLock() {
    const [highest = 0] = await this.#locks()
    if (highest > 0) {
      const holder = await readFile(this.#path(`lock.${highest}`), 'utf8').catch(() => null)
      if (holder === null || (holder !== '' && isRunning(holder))) return 0
    }
    const mine = highest + 1
    const draft = this.#path(`draft-${randomBytes(8).toString('hex')}`)
    await writeFile(draft, thisProcess(), { mode: 0o600 })
    try {
      await link(draft, this.#path(`lock.${mine}`))
    } catch (error) {
      if (error.code === 'EEXIST') return 0
      throw error
    } finally {
      await unlink(draft)
    }
    const now = await this.#locks()
    if (now[0] !== mine) return 0
    for (const old of now.slice(1)) await unlink(this.#path(`lock.${old}`)).catch(() => undefined)
    return mine
  }

  async #lock() {
    const end = Date.now() + patience
    for (;;) {
      const got = await this.#tryLock()
      if (got) return got
      if (Date.now() > end) throw new NetPayError('usage', `another program holds the purse in ${this.directory}`)
      await pause(2 + Math.random() * 8)
    }
  }

  async #unlock(number) {
    const free = this.#path(`free-${randomBytes(8).toString('hex')}`)
    await writeFile(free, '', { mode: 0o600 })
    await rename(free, this.#path(`lock.${number}`))
  }

  async #read() {
    let text
    try {
      text = await readFile(this.#path(fileName), 'utf8')
    } catch (error) {
      if (error.code === 'ENOENT') return {}
      throw error
    }
    const { version, tables } = JSON.parse(text)
    if (version !== 1) throw new NetPayError('usage', 'the purse was written by a newer version of netpay')
    return tables
  }

  async #write(tables) {
    const beside = this.#path(`${fileName}.new`)
    const file = await open(beside, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ version: 1, tables }))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, this.#path(fileName))
    const directory = await open(this.directory, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  transaction(work) {
    this.#ready ??= this.#prepare()
    const run = this.#last.then(async () => {
      await this.#ready
      const lock = await this.#lock()
      try {
        const tx = new PlainTransaction(await this.#read())
        const result = await work(tx)
        if (tx.changed) await this.#write(tx.data)
        return result
      } finally {
        await this.#unlock(lock)
      }
    })
    this.#last = run.catch(() => undefined)
    return run
  }
}
