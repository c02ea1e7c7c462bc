// What the extension must never pay for, and what it must pay once: hostile
// sites, frames, pages loaded ahead, scripts, redirects, limits, many tabs.
import assert from 'node:assert/strict';
import http from 'node:http';
import { chromium } from 'playwright-core';
import { Extension } from '../extension.mjs';

const HOST = '127.0.0.4';
const b64u = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** To a page, though the extension may just be paying for the one before, by a reload. */
async function go(page, url) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await page.goto(url);
    } catch (error) {
      if (tries === 3 || !/interrupted by another navigation/.test(error.message)) throw error;
    }
  }
}

/** A site that says what it likes, and remembers what it was shown. */
class Rogue {
  static async start(issuer) {
    const rogue = new Rogue();
    rogue.issuer = issuer;
    rogue.pages = new Map();
    rogue.shown = [];
    rogue.asked = [];
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
    this.asked.push({ url: request.url, dest: request.headers['sec-fetch-dest'], purpose: request.headers['sec-purpose'],
      paid: 'authorization' in request.headers });
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

/** A page that is sold honestly. */
const sold = (rogue, amount, body) => (request) => {
  if (!request.headers.authorization || request.headers['sec-purpose']) return rogue.asks({ amount });
  const { payload } = rogue.shown.at(-1);
  if (Number(payload.max) < Number(amount)) return rogue.asks({ amount }, { type: 'https://paymentauth.org/problems/payment-insufficient' });
  const receipt = { method: 'netpay', status: 'success', timestamp: '2026-11-22T12:00:00Z', reference: `${payload.coin}:${payload.index}`,
    amount, currency: 'uusd', spent: payload.index, revealed: payload.index };
  return { status: 200, headers: { 'payment-receipt': b64u(receipt) }, body: `<!DOCTYPE html><title>Sold</title>${body}` };
};

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
    await aheadOnlyWhatShePressed(reader, wallet, rogue);
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
  await go(page, `${post.url('/articles/ferry.html')}#fares`);
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
  await go(page, `${rogue.origin}/`);
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
  await go(page, `${rogue.origin}/jump`);
  await wallet.offers('0.1¢');
  await pause(500);
  assert.deepEqual(rogue.shown, []);
  await go(page, target('chess'));
  await wallet.shows(/^Paid 2 ¢/);
  assert.equal(await spent(wallet), 40);
  // Above the limit for a page: asks.
  rogue.pages.set('/dear', () => rogue.asks({ amount: '60000' }));
  await go(page, `${rogue.origin}/dear`);
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
    await go(page, `${rogue.origin}/lie?${encodeURIComponent(JSON.stringify(terms))}`);
    await wallet.shows(/wants to be paid, but/);
  }
  rogue.pages.set('/lie', () => rogue.asks({ brokers: ['https://unknown.example'] }));
  await go(page, `${rogue.origin}/lie?broker`);
  await wallet.shows(/not enough money.*\$0\.00/);
  assert.deepEqual(rogue.shown, []);
  // It claims that more is spent than was accepted, asks for more, and raises its price.
  const problems = { spent: 900, needed: 950 };
  rogue.pages.set('/more', (request) => (request.headers.authorization
    ? rogue.asks({}, { type: 'https://paymentauth.org/problems/payment-insufficient', ...problems }) : rogue.asks()));
  await go(page, `${rogue.origin}/more`);
  await wallet.shows(/^NetPay: 2 ¢: .*nothing more was shown to it/i);
  rogue.pages.set('/raise', (request) => (request.headers.authorization
    ? rogue.asks({ amount: '900000' }, { type: 'https://paymentauth.org/problems/payment-insufficient' }) : rogue.asks()));
  await go(page, `${rogue.origin}/raise`);
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
    await go(reader.page, `${rogue.origin}/away?${encodeURIComponent(target)}`);
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
    return sold(rogue, '20000', '<h1>Slow</h1>')(request);
  });
  const asked = rogue.shown.length;
  await go(reader.page, `${rogue.origin}/slow`);
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

// At a site that is paid unasked the next page's first request carries the payment: but only the request for the link that
// she pressed, in her tab; and a payment that was ready and not used is there for the next page.
async function aheadOnlyWhatShePressed(reader, wallet, rogue) {
  const { page } = reader;
  const before = await spent(wallet);
  const other = await Rogue.start(rogue.issuer);
  const link = (name) => page.getByRole('link', { name, exact: true });
  const links = ['next', 'last', 'risen', 'dear'].map((name) => `<a href="/ahead/${name}" style="display:block">${name}</a>`).join('');
  const ahead = (kind) => `const ${kind} = document.createElement('script'); ${kind}.type = 'speculationrules';
    ${kind}.textContent = '{"${kind}":[{"urls":["/ahead/next"],"eagerness":"immediate"}]}'; document.head.append(${kind});`;
  const greedy = `<script>globalThis.grab = () => {
    fetch('/ahead/next?'), fetch('/ahead/next'), fetch('${other.origin}/ahead/next', { mode: 'no-cors' });
    document.body.append(new Image());
    document.images[0].src = '/ahead/next';
    const frame = document.createElement('iframe');
    Object.assign(frame, { hidden: true, src: '/ahead/next' });
    document.body.append(frame);
    ${ahead('prefetch')} ${ahead('prerender')} }</script>`;
  rogue.pages.set('/ahead/', sold(rogue, '1000', links + greedy));
  rogue.pages.set('/ahead/next', sold(rogue, '1000', links));
  rogue.pages.set('/ahead/last', sold(rogue, '1000', links));
  rogue.pages.set('/ahead/risen', sold(rogue, '3000', links));
  rogue.pages.set('/ahead/dear', sold(rogue, '60000', links));
  await go(page, `${rogue.origin}/ahead/`);
  await wallet.shows(/^Paid 0\.1 ¢/);
  const at = rogue.shown.at(-1).index;
  const { unit } = (await coins(wallet)).find((c) => c.coin === rogue.shown.at(-1).payload.coin);
  const further = () => (rogue.shown.at(-1).index - at) * unit; // what was shown since
  assert.deepEqual(await wallet.rules(), [], 'nothing is ready before she presses');

  // Pressed, and let go elsewhere: not used, and free again for the next page that she presses.
  await wallet.follow(link('last'), () => page.mouse.move(600, 600));
  await pause(200);
  rogue.asked = [];
  await wallet.follow(link('next'), async () => {
    await page.evaluate('grab()');
    for (let i = 0; i < 100 && rogue.asked.length < 5; ++i) await pause(50);
    await pause(500);
  });
  await wallet.shows(/^Paid 0\.1 ¢/);
  const greedily = rogue.asked.filter((a) => a.dest !== 'document' || a.purpose);
  assert.ok(['empty', 'image', 'iframe'].every((dest) => greedily.some((a) => a.dest === dest)), JSON.stringify(rogue.asked));
  assert.ok(greedily.some((a) => a.purpose), 'a page was loaded ahead');
  assert.deepEqual(greedily.filter((a) => a.paid), [], 'what a page fetches, frames or loads ahead gets no payment');
  assert.deepEqual(other.shown, []);
  assert.deepEqual(rogue.asked.filter((a) => a.dest === 'document' && !a.purpose).map(({ url, paid }) => ({ url, paid })),
    [{ url: '/ahead/next', paid: true }], 'one round trip, as for a free page');
  assert.equal(further(), 1000, 'the payment that was not used was not lost');
  assert.deepEqual(await wallet.rules(), []);

  // Pressed, and then an address typed, or gone by a script: without the payment, which is free again.
  await wallet.follow(link('last'), async () => {
    await go(page, `${rogue.origin}/jump`);
    await wallet.offers('0.1¢');
  });
  assert.deepEqual(await wallet.rules(), []);
  await go(page, `${rogue.origin}/ahead/last`);
  await wallet.shows(/^Paid 0\.1 ¢/);
  assert.equal(further(), 2000);

  // A script that presses as if it were she is not believed.
  await page.evaluate(() => {
    const link = document.querySelector('a');
    for (const type of ['pointerover', 'pointerdown', 'click'])
      link.dispatchEvent(new PointerEvent(type, { bubbles: true, composed: true, button: 0 }));
    return new Promise((resolve) => { setTimeout(resolve, 300); });
  }).catch(() => undefined);
  await pause(300);
  assert.deepEqual(await wallet.rules(), []);

  // A price that rose is paid within her limit; above it she is asked.
  await go(page, `${rogue.origin}/ahead/last`);
  await wallet.shows(/^Read again free/);
  await wallet.follow(link('risen'));
  await wallet.shows(/^Paid 0\.3 ¢/);
  await wallet.follow(link('dear'));
  await wallet.offers('6¢');
  assert.equal(await spent(wallet) - before, 6);
  other.server.closeAllConnections();
  other.server.close();
}

// Several tabs at once, two of them of one page: each page is paid once.
async function manyTabs(context, wallet, news) {
  const before = await spent(wallet);
  const names = ['ferry.html', 'bakers.html', 'library.html', 'chess.html', 'ferry.html#again'];
  const tabs = await Promise.all(names.map(() => context.newPage()));
  await Promise.all(tabs.map((page, i) => page.goto(news.url(`/articles/${names[i]}`)).catch(() => undefined)));
  for (const page of tabs) {
    await page.bringToFront();
    await wallet.shows(/^(Paid 2 ¢|Read again free)/, page);
  }
  assert.equal(await spent(wallet) - before, 80);
  await news.charged(4);
  for (const page of tabs) await page.close();
}

// The day's limit is used up: asked or not, no more is paid until she raises it.
async function limitsHold(reader, wallet, news) {
  const before = await spent(wallet);
  await wallet.limits({ automatic: true, page: '0.05', day: '0.15' });
  await reader.page.bringToFront();
  await go(reader.page, news.url('/features/lighthouse.html'));
  await wallet.shows(/over your limit for all sites/);
  assert.equal(await spent(wallet), before);
  await wallet.limits({ automatic: true, page: '0.05', day: '' });
  await reader.page.bringToFront();
  await wallet.offers('5¢');
  await wallet.press();
  await wallet.shows(/^Paid 5 ¢/);
  assert.equal(await spent(wallet), before + 50);

  // The limit of a site: a link that she presses gets no payment either.
  const { page } = reader;
  const next = () => page.evaluate((url) => { document.body.innerHTML = `<a href="${url}">next</a>`; }, news.url('/features/tides.html'));
  const link = page.getByRole('link', { name: 'next' });
  await wallet.limits({ automatic: true, page: '0.05', site: '0.17', day: '' });
  await page.bringToFront();
  await next();
  await wallet.told();
  await link.hover();
  await page.mouse.down();
  await pause(500);
  assert.deepEqual(await wallet.rules(), []);
  await page.mouse.up();
  await wallet.shows(/5 ¢: over your limit for this site/);
  assert.equal(await spent(wallet), before + 50);
  // A limit for this site alone, in the button's pop-up: of a page, and of a day.
  const popup = async (most, daily) => {
    const own = await wallet.popup();
    await page.bringToFront();
    await own.reload();
    await own.getByLabel('up to this much a page').fill(most);
    await own.getByLabel('and this much a day').fill(daily);
    await own.getByRole('button', { name: 'Save for this site' }).click();
    await own.getByText('Saved.').waitFor();
    await own.close();
    await page.bringToFront();
  };
  await popup('0.04', '0.50');
  await go(page, news.url('/features/tides.html'));
  await wallet.offers('5¢');
  await popup('0.05', '0.50');
  await go(page, news.url('/features/tides.html'));
  await wallet.shows(/^Paid 5 ¢/);
  assert.equal(await spent(wallet), before + 100);
}
