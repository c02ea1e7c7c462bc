// Why a page was not paid, or a broker not obeyed. `code`:
//   not-accepted  the owner does not allow this payment, or a limit is used up
//   no-money      no coin that this site takes has enough
//   disputed      the site claims more than was accepted; nothing more is shown to it
//   payment       the site does not take the payment
//   insecure      plain http to another machine
//   network       no answer; a payment may have arrived and is kept as such
//   broker        the broker refuses or answers nonsense
//   usage         what was asked for makes no sense
export class NetPayError extends Error {
  constructor(code, message, more = {}) {
    super(message)
    this.name = 'NetPayError'
    this.code = code
    Object.assign(this, more)
  }
}

// Text of others, harmless to show: one line, no control characters, bounded.
export const printable = (text, most = 200) => String(text).replace(/[\p{Cc}\p{Cf}]/gu, ' ').slice(0, most)
