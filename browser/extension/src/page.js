// What the extension's own pages share: elements, and what became of what she did.
export const at = (id) => document.getElementById(id)

// Content is text or elements.
export function element(name, content, more = {}) {
  const made = Object.assign(document.createElement(name), more)
  made.append(...[content].flat())
  return made
}

export function button(text, label, onClick) {
  const made = element('button', text, { type: 'button' })
  made.setAttribute('aria-label', label)
  made.addEventListener('click', onClick)
  return made
}

// Screen readers tell it: trouble at once.
export function say(text, bad = false) {
  at('said').hidden = bad
  at('failed').hidden = !bad
  at(bad ? 'failed' : 'said').textContent = text
}

// Draws anew, at once: she may move the focus while one waits for what is to be drawn. It stays on what bears the same
// name, else on what is about the same.
export function keepingFocus(draw) {
  const before = document.activeElement
  const label = before?.getAttribute('aria-label')
  const around = before?.closest('[role=region]') ?? at('said')
  draw()
  if (!before || before.isConnected || !label) return
  const again = [...document.querySelectorAll('button')].find((one) => one.getAttribute('aria-label') === label)
  ;(again ?? around).focus()
}
