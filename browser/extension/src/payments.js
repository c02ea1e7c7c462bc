// Payments on their way, at most one in a tab. A payment is open until what
// became of it is on record: so long its page must not be paid in another tab.
export class Payments {
  #tabs = new Map()
  #open = new Set()

  // payment: { visit, … }. Adds `over`, a promise, and `end`, to be called once its outcome is on record.
  begin(tabId, payment) {
    payment.tabId = tabId
    payment.over = new Promise((resolve) => {
      payment.end = () => {
        if (this.of(tabId) === payment) this.#tabs.delete(tabId)
        this.#open.delete(payment)
        resolve()
      }
    })
    this.#open.add(payment)
    this.#tabs.set(tabId, payment)
    return payment
  }

  // The payment that a tab makes. So long it begins no other: whoever waits for it waits for nobody in return.
  of(tabId) {
    return this.#tabs.get(tabId)
  }

  isOpen(url) {
    return [...this.#open].some((payment) => payment.visit.url === url)
  }

  // Waits until no other tab pays this page. A payment that is refused is followed by another.
  async others(tabId, url) {
    const theirs = () => [...this.#open].filter((payment) => payment.tabId !== tabId && payment.visit.url === url)
    while (theirs().length) await Promise.all(theirs().map((payment) => payment.over))
  }
}
