import assert from 'node:assert/strict'
import test from 'node:test'
import { Kept } from '../src/kept.js'

// A browser's session: its rules, and what was put aside in it.
function session() {
  const rules = new Map()
  const stored = {}
  const alarms = {}
  return { rules, alarms, api: {
    declarativeNetRequest: { async updateSessionRules({ addRules = [], removeRuleIds = [] }) {
      removeRuleIds.forEach((id) => rules.delete(id))
      addRules.forEach((rule) => rules.set(rule.id, rule))
    } },
    storage: { session: { get: async (key) => structuredClone({ [key]: stored[key] }), set: async (more) => { Object.assign(stored, structuredClone(more)) } } },
    alarms: { create: async (name, { when }) => { alarms[name] = when }, clear: async (name) => { delete alarms[name] } },
  } }
}

const field = (value) => ['Authorization', `Payment ${value}`]
const page = (name, more = {}) => ({ url: `https://a.example/${name}`, vendor: 'https://a.example', coin: 'c', currency: 'uusd', times: 3, until: 1300, ...more })

test('a page is read again as often as its site serves it, and no longer', async () => {
  const { api, rules, alarms } = session()
  let now = 1000
  let last = 0
  const kept = new Kept(api, { newRule: () => ++last, now: () => now })
  await kept.keep(page('1'), field('x'))
  assert.deepEqual([rules.size, alarms.kept, kept.has(page('1').url)], [1, 1295000, true])
  for (const other of [[page('2').url, ['Payment x']], [page('1').url, ['Payment y']], [page('1').url, []]]) assert.equal(kept.sent(...other), null)
  for (let i = 0; i < 3; ++i) assert.ok(kept.sent(page('1').url, ['Payment x']))
  await new Promise((resolve) => { setTimeout(resolve, 5) })
  assert.deepEqual([rules.size, alarms.kept, kept.sent(page('1').url, ['Payment x'])], [0, undefined, null])

  await kept.keep(page('1'), field('x'))
  await kept.keep(page('1', { until: 1400 }), field('z')) // paid anew: the former payment is shown no more
  assert.deepEqual([...rules.values()].map((rule) => rule.action.requestHeaders[0].value), ['Payment z'])
  await kept.keep(page('2', { coin: 'd' }), field('y'))
  now = 1296
  await kept.dropOld()
  assert.deepEqual([kept.has(page('1').url), kept.has(page('2').url), rules.size, alarms.kept], [true, false, 1, 1395000])
  await kept.drop(async (one) => one.coin === 'c')
  assert.equal(rules.size, 0)
})

test('what was kept survives the background, what is over does not, and there is an end to how many', async () => {
  const { api, rules } = session()
  let now = 1000
  let last = 0
  const make = () => new Kept(api, { newRule: () => ++last, now: () => now })
  const first = make()
  for (const name of ['1', '2', '3']) await first.keep(page(name, { until: 1000 + 100 * Number(name) }), field(name))
  rules.delete(2)
  now = 1150
  const later = make()
  assert.deepEqual(await later.restore([...rules.keys()]), [3])
  assert.deepEqual(['1', '2', '3'].map((name) => later.has(page(name).url)), [false, false, true])
  for (let i = 10; i < 100; ++i) await later.keep(page(String(i), { until: 2000 + i }), field(i))
  assert.equal(rules.size, 51) // and the one that was over, which the background sweeps
  assert.equal(later.has(page('3').url), false)
})
