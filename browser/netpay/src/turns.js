// One thing after another, for each key.
export class Turns {
  #last = new Map()

  // work() is called once whatever was taken before under this key is over; what it gives or throws.
  take(key, work) {
    const run = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const turn = run.catch(() => undefined).then(() => { if (this.#last.get(key) === turn) this.#last.delete(key) })
    this.#last.set(key, turn)
    return run
  }

  has(key) {
    return this.#last.has(key)
  }
}
