// Pages that were paid and are free to see again for a while: their site is
// shown the same payment with the first request, so that the way back, a
// reload or a second visit costs one round trip, as for a free page. A rule
// holds for that address alone, as often as the site serves it again, and
// buys nothing: its ticket is used. It survives the background in the session.
import { keptRule } from './rules.js'

const mostKept = 50
const key = 'kept'
const margin = 5 // seconds: the site's time began before the answer was here

export class Kept {
  #pages = new Map() // address → { url, vendor, coin, currency, rule, value, times, until }

  // newRule(): a number no other rule has. now(): seconds.
  constructor(api, { newRule, now = () => Math.floor(Date.now() / 1000) }) {
    Object.assign(this, { api, newRule, now })
  }

  // Takes over what a background that was ended kept; rules: those that are in force. Gives the numbers of those that stay.
  async restore(rules) {
    const pages = (await this.api.storage.session.get(key))[key] ?? []
    for (const page of pages) if (rules.includes(page.rule) && page.until > this.now()) this.#pages.set(page.url, page)
    return [...this.#pages.values()].map((page) => page.rule)
  }

  has(url) {
    return this.#pages.has(url)
  }

  // page: { url, vendor, coin, currency, times, until }; field: [name, value] of its payment.
  async keep(page, field) {
    await this.drop((before) => before.url === page.url)
    const oldest = [...this.#pages.values()].sort((a, b) => a.until - b.until)[0]
    if (this.#pages.size >= mostKept) await this.drop((before) => before === oldest)
    const rule = this.newRule()
    await this.api.declarativeNetRequest.updateSessionRules({ addRules: [keptRule(rule, page.url, field)] })
    this.#pages.set(page.url, { ...page, until: page.until - margin, rule, value: field[1] })
    await this.#save()
  }

  // A request has left: the page whose payment it carries, or null. values: what its field says.
  sent(url, values) {
    const page = this.#pages.get(url)
    if (!page || !values.includes(page.value)) return null
    page.times -= 1
    if (page.times < 1 || page.until <= this.now()) this.drop((other) => other === page)
    else this.#save()
    return page
  }

  // fits(page), which may be a promise.
  async drop(fits) {
    const gone = []
    for (const page of [...this.#pages.values()]) if (await fits(page)) gone.push(page)
    if (!gone.length) return
    for (const page of gone) if (this.#pages.get(page.url) === page) this.#pages.delete(page.url)
    await this.api.declarativeNetRequest.updateSessionRules({ removeRuleIds: gone.map((page) => page.rule) })
    await this.#save()
  }

  dropOld() {
    return this.drop((page) => page.until <= this.now())
  }

  // The alarm wakes the background when the first rule's time is over.
  async #save() {
    const pages = [...this.#pages.values()]
    await this.api.storage.session.set({ [key]: pages })
    if (pages.length) await this.api.alarms.create(key, { when: Math.min(...pages.map((page) => page.until)) * 1000 })
    else await this.api.alarms.clear(key)
  }
}
