// Plays a program against a live stack and prints what it saw as JSON: run by
// test/system/test_js_wallet.py, which says what has to come out.
//   node stack.mjs DIRECTORY COMMAND ARGUMENT…
import { readFile, writeFile } from 'node:fs/promises'
import { Broker, exportCoins, exportSaved, importCoins, payingFetch, Purse } from 'netpay'
import { FileStore, isRunning, thisProcess } from 'netpay/file-store'

const [directory, command, ...args] = process.argv.slice(2)
const purse = new Purse(new FileStore(directory), { owner: thisProcess(), alive: isRunning })
const yes = async () => true

const seen = async (answer) => ({ status: answer.status, url: answer.url, payment: answer.payment ?? null,
  receipt: answer.headers.get('payment-receipt') !== null, text: (await answer.text()).slice(0, 200) })
const trouble = (error) => ({ error: error.code ?? error.name, message: error.message })

const commands = {
  async setup(issuer, voucher, amount) {
    const broker = new Broker(purse, issuer)
    await broker.createAccount()
    await broker.topUp(voucher)
    await broker.buyAmount(Number(amount), 'uusd')
    return broker.balance()
  },
  async buy(issuer, unit, n) {
    return (await new Broker(purse, issuer).buy({ currency: 'uusd', unit: Number(unit), n: Number(n) })).coin
  },
  async get(...urls) {
    const paying = payingFetch(purse, { ask: yes })
    const out = []
    for (const url of urls) out.push(await paying(url).then(seen, trouble))
    return out
  },
  async together(...urls) {
    const paying = payingFetch(purse, { ask: yes })
    return Promise.all(urls.map((url) => paying(url).then(seen, trouble)))
  },
  async unasked(...urls) {
    const paying = payingFetch(purse)
    return Promise.all(urls.map((url) => paying(url).then(seen, trouble)))
  },
  async head(url) {
    return payingFetch(purse, { ask: yes })(url, { method: 'HEAD' }).then(seen, trouble)
  },
  async limit(site, perPage, perDay) {
    await purse.setLimit(site, 'uusd', { automatic: true, perPage: Number(perPage), perDay: Number(perDay) })
  },
  async mppx(...urls) {
    const [{ Mppx }, { netpay }] = await Promise.all([import('mppx/client'), import('netpay/mppx')])
    const method = netpay(purse, { ask: yes })
    const client = method.attach(Mppx.create({ methods: method.methods, polyfill: false }))
    const out = []
    for (const url of urls) out.push(await client.fetch(url).then(seen, trouble))
    return out
  },
  async export(file, kind) {
    const { text, coins } = await exportCoins(purse, { kind })
    await writeFile(file, text, { mode: 0o600 })
    await exportSaved(purse)
    return coins
  },
  async import(file, restore) {
    return importCoins(purse, await readFile(file, 'utf8'), { restore: restore === 'restore' })
  },
  async return(issuer) {
    const out = []
    for (const coin of await purse.coins()) if (coin.state === 'live') out.push(await new Broker(purse, issuer).giveBack(coin))
    return out
  },
  async show() {
    return { coins: await purse.coins(), history: await purse.history() }
  },
}

console.log(JSON.stringify((await commands[command](...args)) ?? null))
