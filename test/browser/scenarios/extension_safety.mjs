// What the extension must never pay for, and what it must pay once: hostile
// sites, frames, pages loaded ahead, scripts, redirects, limits, many tabs.
import assert from 'node:assert/strict';
import http from 'node:http';
import { chromium } from 'playwright-core';
import { Extension } from '../extension.mjs';

const HOST = '127.0.0.4';
const b64u = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** A site that says what it likes, and remembers what it was shown. */
class Rogue {
  static async start(issuer) {
    const rogue = new Rogue();
    rogue.issuer = issuer;
    rogue.pages = new Map();
    rogue.shown = [];
    rogue.server = http.createServer((request, response) => rogue.#answer(request, response));
    await new Promise((resolve) => { rogue.server.listen(0, HOST, resolve); });
    rogue.origin = `http://${HOST}:${rogue.server.address().port}`;
    return rogue;
  }

  async #answer(request, response) {
    if (request.headers.authorization) {
      const { payload } = JSON.parse(Buffer.from(request.headers.authorization.slice(8), 'base64url'));
      this.shown.push({ url: request.url, method: request.method, index: payload.index, payload });
    }
    const page = this.pages.get(request.url.split('?')[0]);
    const { status = 404, headers = {}, body = '' } = page ? await page(request) : {};
    response.writeHead(status, { 'content-type': 'text/html', 'cache-control': 'no-store', ...headers });
    response.end(body);
  }

  challenge({ amount = '20000', recipient = this.origin, brokers = [this.issuer], currency = 'uusd' } = {}) {
    const request = b64u({ amount, currency, recipient, methodDetails: { brokers } });
    return `Payment id="AAAA", realm="rogue", method="netpay", intent="session", request="${request}", expires="2099-01-01T00:00:00Z"`;
  }

  asks(terms, problem = {}) {
    return { status: 402, headers: { 'www-authenticate': this.challenge(terms), 'content-type': 'application/problem+json' },
      body: JSON.stringify({ type: 'https://paymentauth.org/problems/payment-required', ...problem }) };
  }
}

export default async function play(world) {
  const browser = world.chromium ?? chromium;
  const [post, courier] = world.news;
  const context = await browser.launchPersistentContext(world.temporary('profile'), {
    executablePath: process.env.NETPAY_CHROMIUM ?? '/usr/bin/chromium', headless: false,
    args: ['--no-sandbox', '--no-proxy-server', '--headless=new', `--disable-extensions-except=${world.extension}`, `--load-extension=${world.extension}`],
    ignoreDefaultArgs: ['--disable-extensions'],
  });
  const rogue = await Rogue.start(world.broker.issuer);
  const reader = { context, page: await context.newPage(), clicks: 0 };
  try {
    const wallet = await Extension.of(reader);
    await wallet.fund(world.broker.issuer, world.mint('2.00'), '1.00');
    await reader.page.bringToFront();
    await asksBeforeItPays(world, reader, wallet, post);
    await wallet.limits({ automatic: true, page: '0.05', day: '0.50' });
    await reader.page.bringToFront();
    await unaskedOnlyWhereSheWent(reader, wallet, rogue, post);
    await liesAreWorthNothing(reader, wallet, rogue);
    await redirectsGetNothing(reader, wallet, rogue);
    await backgroundDies(reader, wallet, rogue);
    await manyTabs(context, wallet, courier);
    await limitsHold(reader, wallet, courier);
  } finally {
    await context.close();
    rogue.server.closeAllConnections();
    rogue.server.close();
  }
}

const coins = async (wallet) => wallet.worker.evaluate(() => new Promise((resolve) => {
  const opening = indexedDB.open('netpay');
  opening.onsuccess = () => {
    const rows = opening.result.transaction('coins').objectStore('coins').getAll();
    rows.onsuccess = () => {
      opening.result.close();
      resolve(rows.result.map(({ coin, unit, spent }) => ({ coin, unit, spent })));
    };
  };
}));

/** By the wallet's own count, in tenths of a cent. */
const spent = async (wallet) => (await coins(wallet)).reduce((sum, c) => sum + (c.spent * c.unit) / 1000, 0);

async function asksBeforeItPays(world, reader, wallet, post) {
  const { page } = reader;
  await page.goto(`${post.url('/articles/ferry.html')}#fares`);
  await wallet.offers('2¢');
  await pause(500);
  assert.equal(await spent(wallet), 0);
  await wallet.press();
  assert.equal((await wallet.shows(/^Paid 2 ¢/)).text, '98¢');
  assert.equal(page.url(), `${post.url('/articles/ferry.html')}#fares`);
  assert.equal(await spent(wallet), 20);
  // Read again within the grace time: free, and nobody is asked.
  await page.reload();
  await wallet.shows(/^Read again free/);
  assert.equal(await spent(wallet), 20);
}

async function unaskedOnlyWhereSheWent(reader, wallet, rogue, post) {
  const { page } = reader;
  // A page of another site: link, script, frame, image, fetch, pages loaded ahead.
  const target = (name) => post.url(`/articles/${name}.html`);
  const ahead = JSON.stringify({ prefetch: [{ urls: [target('library')] }], prerender: [{ urls: ['/ahead'] }] });
  rogue.pages.set('/', () => ({ status: 200, body: `<!DOCTYPE html><title>Rogue</title><a href="${target('bakers')}">link</a>
    <iframe src="${target('library')}"></iframe><img src="${target('chess')}"><script>fetch('${target('chess')}', { mode: 'no-cors' })</script>
    <script type="speculationrules">${ahead}</script><iframe hidden src="/framed"></iframe>` }));
  rogue.pages.set('/ahead', () => rogue.asks());
  rogue.pages.set('/framed', () => rogue.asks());
  await page.goto(`${rogue.origin}/`);
  await pause(1500);
  assert.equal(await spent(wallet), 20, 'frames, images, scripts and pages loaded ahead are not paid');
  assert.deepEqual(rogue.shown, []);
  await page.getByRole('link', { name: 'link' }).click();
  await wallet.offers('2¢'); // a link of another site asks
  await pause(500);
  assert.equal(await spent(wallet), 20);
  // A script of the same site that goes there by itself asks; a link of it that she follows does not; nor does an address typed.
  rogue.pages.set('/jump', () => ({ status: 200, body: `<script>setTimeout(() => { location = '/sold' }, 50)</script>` }));
  rogue.pages.set('/sold', () => rogue.asks({ amount: '1000' }));
  await page.goto(`${rogue.origin}/jump`);
  await wallet.offers('0.1¢');
  await pause(500);
  assert.deepEqual(rogue.shown, []);
  await page.goto(target('chess'));
  await wallet.shows(/^Paid 2 ¢/);
  assert.equal(await spent(wallet), 40);
  // Above the limit for a page: asks.
  rogue.pages.set('/dear', () => rogue.asks({ amount: '60000' }));
  await page.goto(`${rogue.origin}/dear`);
  await wallet.offers('6¢');
  // A page opened behind waits until she looks at it.
  const behind = reader.context.waitForEvent('page');
  await page.goto(post.url('/index.html')).catch(() => undefined);
  await page.evaluate((url) => { document.body.innerHTML = `<a href="${url}">next</a>`; }, target('library'));
  await page.getByRole('link', { name: 'next' }).click({ modifiers: ['ControlOrMeta'] });
  const opened = await behind;
  await pause(1500);
  assert.equal(await spent(wallet), 40, 'a page behind is not paid');
  await opened.bringToFront();
  await wallet.shows(/^Paid 2 ¢/, opened);
  await opened.close();
  await page.bringToFront();
}

async function liesAreWorthNothing(reader, wallet, rogue) {
  const { page } = reader;
  const before = await spent(wallet);
  for (const terms of [{ recipient: 'https://other.example' }, { amount: '0' }, { amount: '-5' }, { amount: '1e9' }, { currency: 'usd' }]) {
    rogue.pages.set('/lie', () => rogue.asks(terms));
    await page.goto(`${rogue.origin}/lie?${encodeURIComponent(JSON.stringify(terms))}`);
    await wallet.shows(/wants to be paid, but/);
  }
  rogue.pages.set('/lie', () => rogue.asks({ brokers: ['https://unknown.example'] }));
  await page.goto(`${rogue.origin}/lie?broker`);
  await wallet.shows(/not enough money.*\$0\.00/);
  assert.deepEqual(rogue.shown, []);
  // It claims that more is spent than was accepted, asks for more, and raises its price.
  const problems = { spent: 900, needed: 950 };
  rogue.pages.set('/more', (request) => (request.headers.authorization
    ? rogue.asks({}, { type: 'https://paymentauth.org/problems/payment-insufficient', ...problems }) : rogue.asks()));
  await page.goto(`${rogue.origin}/more`);
  await wallet.shows(/^NetPay: 2 ¢: .*nothing more was shown to it/i);
  rogue.pages.set('/raise', (request) => (request.headers.authorization
    ? rogue.asks({ amount: '900000' }, { type: 'https://paymentauth.org/problems/payment-insufficient' }) : rogue.asks()));
  await page.goto(`${rogue.origin}/raise`);
  await wallet.offers('90¢'); // the new price is asked for, not paid
  for (const { index, payload } of rogue.shown) {
    const coin = (await coins(wallet)).find((c) => c.coin === payload.coin);
    assert.ok((index - coin.spent) * coin.unit <= 20000, 'no more was shown than one page that was accepted');
  }
  assert.ok(rogue.shown.every((s) => s.method === 'GET' && s.payload.max === '20000'));
  assert.equal(await spent(wallet), before);
}

async function redirectsGetNothing(reader, wallet, rogue) {
  const other = await Rogue.start(rogue.issuer);
  other.pages.set('/', () => ({ status: 200, body: 'caught' }));
  rogue.pages.set('/caught', () => ({ status: 200, body: 'caught' }));
  for (const target of [`${other.origin}/`, '/caught']) {
    rogue.pages.set('/away', (request) => (request.headers.authorization ? { status: 302, headers: { location: target } } : rogue.asks()));
    await reader.page.goto(`${rogue.origin}/away?${encodeURIComponent(target)}`);
    await reader.page.waitForURL((url) => url.href.endsWith(target));
    await pause(300);
  }
  other.server.closeAllConnections();
  other.server.close();
  assert.deepEqual(other.shown, [], 'a payment does not follow a redirect to another site');
  assert.ok(rogue.shown.every((s) => s.url !== '/caught'), 'nor to another page');
}

// The browser ends the background while a payment is on its way: the receipt that comes then is booked all the same.
async function backgroundDies(reader, wallet, rogue) {
  const before = await spent(wallet);
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  rogue.pages.set('/slow', async (request) => {
    if (!request.headers.authorization) return rogue.asks();
    await released;
    const { payload } = rogue.shown.at(-1);
    const receipt = { method: 'netpay', status: 'success', timestamp: '2026-11-22T12:00:00Z', reference: `${payload.coin}:${payload.index}`,
      amount: '20000', currency: 'uusd', spent: payload.index, revealed: payload.index };
    return { status: 200, headers: { 'payment-receipt': b64u(receipt) }, body: '<!DOCTYPE html><title>Slow</title><h1>Slow</h1>' };
  });
  const asked = rogue.shown.length;
  await reader.page.goto(`${rogue.origin}/slow`);
  for (let i = 0; i < 200 && rogue.shown.length === asked; ++i) await pause(50);
  assert.equal(rogue.shown.length, asked + 1);
  const session = await reader.context.newCDPSession(await wallet.options());
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await reader.page.bringToFront();
  release();
  await reader.page.getByRole('heading', { name: 'Slow' }).waitFor();
  for (let i = 0; i < 100 && (!wallet.worker || (await spent(wallet)) === before); ++i) await pause(100);
  assert.equal(await spent(wallet) - before, 20);
}

// Several tabs at once, two of them of one page: each page is paid once.
async function manyTabs(context, wallet, news) {
  const before = await spent(wallet);
  const charged = news.charged().length;
  const names = ['ferry.html', 'bakers.html', 'library.html', 'chess.html', 'ferry.html#again'];
  const tabs = await Promise.all(names.map(() => context.newPage()));
  await Promise.all(tabs.map((page, i) => page.goto(news.url(`/articles/${names[i]}`)).catch(() => undefined)));
  for (const page of tabs) {
    await page.bringToFront();
    await wallet.shows(/^(Paid 2 ¢|Read again free)/, page);
  }
  assert.equal(await spent(wallet) - before, 80);
  assert.equal(news.charged().length - charged, 4);
  for (const page of tabs) await page.close();
}

// The day's limit is used up: asked or not, no more is paid until she raises it.
async function limitsHold(reader, wallet, news) {
  const before = await spent(wallet);
  await wallet.limits({ automatic: true, page: '0.05', day: '0.15' });
  await reader.page.bringToFront();
  await reader.page.goto(news.url('/features/lighthouse.html'));
  await wallet.shows(/over your limit for all sites/);
  assert.equal(await spent(wallet), before);
  await wallet.limits({ automatic: true, page: '0.05', day: '' });
  await reader.page.bringToFront();
  await wallet.offers('5¢');
  await wallet.press();
  await wallet.shows(/^Paid 5 ¢/);
  assert.equal(await spent(wallet), before + 50);
}
