// What the extension must never pay for, and what it must pay once: hostile
// sites, frames, pages loaded ahead, scripts, redirects, limits, many tabs.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { Extension } from '../extension.mjs';
import { coins, go, pause, Rogue, sold, spent } from '../rogue.mjs';
import { until } from '../until.mjs';

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
    await releasedIsNotPressed(reader, wallet, rogue);
    await manyTabs(context, wallet, courier);
    await twins(context, wallet, rogue);
    await limitsHold(reader, wallet, courier);
    await tabsDoNotWaitForEachOther(reader, wallet, rogue);
    await risingPrice(reader, wallet, rogue);
  } finally {
    await context.close();
    rogue.server.closeAllConnections();
    rogue.server.close();
  }
}

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
  await until('it is paid', () => rogue.shown.length > asked);
  assert.equal(rogue.shown.length, asked + 1);
  const session = await reader.context.newCDPSession(await wallet.options());
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await reader.page.bringToFront();
  release();
  await reader.page.getByRole('heading', { name: 'Slow' }).waitFor();
  await until('it is booked', async () => wallet.worker && (await spent(wallet).catch(() => before)) !== before);
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
  await until('it is taken back', async () => !(await wallet.rules()).length);
  rogue.asked = [];
  await wallet.follow(link('next'), async () => {
    await page.evaluate('grab()');
    // Not for long: a payment that was made ready waits five seconds.
    for (let i = 0; i < 50 && (rogue.asked.length < 5 || !rogue.asked.some((a) => a.purpose)); ++i) await pause(50);
    await pause(200);
  });
  await page.waitForURL('**/ahead/next');
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

// A link that was pressed and not followed: no payment waits for a script of the page to go there.
async function releasedIsNotPressed(reader, wallet, rogue) {
  const { page } = reader;
  rogue.pages.set('/held', sold(rogue, '1000', '<a href="/later" style="display:block">later</a><div style="height:4000px"></div>'));
  rogue.pages.set('/later', sold(rogue, '1000', 'later'));
  await go(page, `${rogue.origin}/held`);
  await wallet.shows(/^Paid 0\.1 ¢/);
  const link = page.getByRole('link', { name: 'later' });
  const before = rogue.shown.length;
  const gone = () => until('the payment is taken back', async () => !(await wallet.rules()).length, 4000);
  // Let go elsewhere; dragged; and a script that goes there then has nothing ready.
  await wallet.follow(link, () => page.mouse.move(600, 600, { steps: 4 }));
  await gone();
  await page.evaluate(() => document.querySelector('a').setAttribute('draggable', 'false'));
  await wallet.follow(link, () => page.mouse.move(600, 600, { steps: 4 }));
  await gone();
  assert.equal(rogue.shown.length, before, 'nothing was shown');
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

// She looks at a tab while another pays its page: whenever that is done, the page comes, and is paid once.
async function twins(context, wallet, rogue) {
  const before = await spent(wallet);
  const rounds = 16;
  const [one, two] = [await context.newPage(), await context.newPage()];
  for (let i = 0; i < rounds; ++i) {
    const url = `${rogue.origin}/twins/${i}`;
    const page = sold(rogue, '1000', 'twins');
    rogue.pages.set(`/twins/${i}`, async (request) => {
      if (request.headers.authorization) await pause(4 * i);
      return page(request);
    });
    await Promise.all([one.goto(url), two.goto(`${url}#too`)].map((going) => going.catch(() => undefined)));
    await one.bringToFront();
    await wallet.shows(/^(Paid 0\.1 ¢|Read again free)/, one);
    await two.bringToFront();
    await wallet.shows(/^(Paid 0\.1 ¢|Read again free)/, two);
  }
  assert.equal(await spent(wallet) - before, rounds);
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

// A click while the page is being paid, which another tab waits for: none of them waits for ever.
async function tabsDoNotWaitForEachOther(reader, wallet, rogue) {
  const { context, page } = reader;
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  rogue.pages.set('/slow2', async (request) => {
    if (!request.headers.authorization) return rogue.asks({ amount: '1000' });
    await released;
    return sold(rogue, '1000', '<h1>Slow</h1>')(request);
  });
  const url = `${rogue.origin}/slow2`;
  await wallet.limits({ automatic: false });
  await page.bringToFront();
  const before = rogue.shown.length;
  const money = await spent(wallet);
  await go(page, url);
  await wallet.offers('0.1¢');
  const first = await wallet.tab(page);
  const click = (id) => wallet.worker.evaluate(async (tab) => { chrome.action.onClicked.dispatch(await chrome.tabs.get(tab)); }, id);
  const button = (id) => wallet.worker.evaluate(async (tab) => ({ title: await chrome.action.getTitle({ tabId: tab }),
    popup: await chrome.action.getPopup({ tabId: tab }) }), id);
  await click(first);
  await until('it is paid', () => rogue.shown.length > before);
  const { title, popup } = await button(first);
  assert.match(title, /^Paying /);
  assert.notEqual(popup, '', 'nothing is offered while it is paid');
  const ids = await wallet.worker.evaluate(async () => (await chrome.tabs.query({})).map((tab) => tab.id));
  const second = await context.newPage();
  // The browser's cache would let it wait for the first tab's request, 20 seconds long.
  await (await context.newCDPSession(second)).send('Network.setCacheDisabled', { cacheDisabled: true });
  await go(second, url);
  const [other] = (await wallet.worker.evaluate(async () => (await chrome.tabs.query({})).map((tab) => tab.id))).filter((id) => !ids.includes(id));
  await until('it is offered in the other tab', async () => (await button(other)).popup === '');
  await click(other);
  await pause(300);
  await click(first);
  await pause(300);
  release();
  await page.getByRole('heading', { name: 'Slow' }).waitFor();
  await second.getByRole('heading', { name: 'Slow' }).waitFor();
  await until('the first says so', async () => /^Paid 0\.1 ¢/.test((await button(first)).title));
  await until('the other says so', async () => /^Read again free/.test((await button(other)).title));
  assert.equal((await spent(wallet)) - money, 1);
  await second.close();
  await go(page, `${rogue.origin}/sold`); // and the first goes on
  await wallet.offers('0.1¢');
}

// The price rises just before she clicks: that click was not meant for it.
async function risingPrice(reader, wallet, rogue) {
  const { page } = reader;
  rogue.pages.set('/rising', sold(rogue, '40000', 'dear'));
  const money = await spent(wallet);
  await go(page, `${rogue.origin}/sold`);
  await wallet.offers('0.1¢');
  const tab = await wallet.tab(page);
  const pressed = wallet.worker.evaluate(async (tabId) => {
    const shown = async () => (await chrome.action.getBadgeText({ tabId })) === '4¢' && (await chrome.action.getPopup({ tabId })) === '';
    for (let i = 0; !(await shown()); ++i) {
      if (i === 4000) return false;
      await new Promise((resolve) => { setTimeout(resolve, 5); });
    }
    chrome.action.onClicked.dispatch(await chrome.tabs.get(tabId));
    return true;
  }, tab);
  await go(page, `${rogue.origin}/rising`);
  assert.ok(await pressed, 'the new price is shown');
  await pause(400);
  assert.equal(await spent(wallet), money);
  await wallet.offers('4¢');
  await pause(400);
  await wallet.press();
  await wallet.shows(/^Paid 4 ¢/);
  assert.equal((await spent(wallet)) - money, 40);
}
