// A page that was paid is read again with one request, which shows the same payment: to that address alone, as often as its
// site serves it again, and never so that something is paid unasked.
import assert from 'node:assert/strict';
import { Extension } from '../extension.mjs';
import { Reader } from '../lib.mjs';
import { go, pause, Rogue, sold, spent } from '../rogue.mjs';
import { until } from '../until.mjs';

export default async function play(world) {
  const rogue = await Rogue.start(world.broker.issuer);
  const other = await Rogue.start(world.broker.issuer, '127.0.0.5');
  const reader = await Reader.come({ ...world, readers: world.readers, origins: [...world.origins, rogue.origin, other.origin],
    temporary: (stem) => world.temporary(stem) }, { extension: world.extension });
  const wallet = await Extension.of(reader);
  try {
    await wallet.fund(world.broker.issuer, world.mint('1.00'), '1.00');
    await wallet.limits({ automatic: true, page: '0.05' });
    await reader.page.bringToFront();
    await asOftenAsItIsServed(reader, wallet, rogue);
    await anyTabAndNothingElse(reader, wallet, rogue, other);
    await noRedirectCarriesIt(reader, wallet, rogue, other);
    await refusedItAsks(reader, wallet, rogue);
    await besideAnotherAuthorization(reader, wallet, rogue);
    await backgroundEnds(reader, wallet, rogue);
    await gone(reader, wallet, rogue);
  } finally {
    for (const { server } of [rogue, other]) {
      server.closeAllConnections();
      server.close();
    }
  }
  await reader.leave();
}

const documents = (rogue, url) => rogue.asked.filter((a) => a.url === url && a.dest === 'document' && !a.purpose).map((a) => a.paid);

/** Goes to a page that she pays for without being asked. */
async function buy(reader, wallet, rogue, url) {
  await go(reader.page, rogue.origin + url);
  await wallet.shows(/^Paid 0\.1 ¢/);
  rogue.asked = [];
  rogue.shown = [];
}

async function asOftenAsItIsServed(reader, wallet, rogue) {
  const { page } = reader;
  rogue.pages.set('/thrice', sold(rogue, '1000', '<h1>Thrice</h1>'));
  await buy(reader, wallet, rogue, '/thrice');
  const money = await spent(wallet);
  assert.equal((await wallet.kept()).length, 1);
  for (const back of [() => page.reload(), () => go(page, 'about:blank').then(() => page.goBack()), () => go(page, 'about:blank').then(() => go(page, `${rogue.origin}/thrice#again`))]) {
    await back();
    await wallet.shows(/^Read again free/);
  }
  await until('no more than that', async () => !(await wallet.kept()).length);
  assert.deepEqual(documents(rogue, '/thrice'), [true, true, true], 'one request each');
  await go(page, `${rogue.origin}/thrice?other`);
  await wallet.shows(/^Paid 0\.1 ¢/);
  await go(page, `${rogue.origin}/thrice`);
  await wallet.offers('0.1¢'); // once more would be paid anew: it asks, though her limits allow it
  await pause(300);
  assert.equal(await spent(wallet), money + 1);
  assert.equal(new Set(rogue.shown.filter((s) => s.url === '/thrice').map((s) => s.index)).size, 1);
}

async function anyTabAndNothingElse(reader, wallet, rogue, other) {
  const { page } = reader;
  rogue.pages.set('/tab', sold(rogue, '1000', '<h1>Tab</h1>'));
  await buy(reader, wallet, rogue, '/tab');
  const ahead = (kind) => `<script type="speculationrules">{"${kind}":[{"urls":["${rogue.origin}/tab"],"eagerness":"immediate"}]}</script>`;
  const parts = `<!DOCTYPE html><title>Parts</title>${ahead('prefetch')}<img alt="" src="${rogue.origin}/tab"><iframe hidden src="${rogue.origin}/tab"></iframe>
    <script>fetch('${rogue.origin}/tab', { mode: 'no-cors' }), fetch('${rogue.origin}/tab', { method: 'POST', mode: 'no-cors' })</script>`;
  for (const site of [rogue, other]) {
    site.pages.set('/parts', () => ({ status: 200, body: parts }));
    await go(page, `${site.origin}/parts`);
    await pause(700);
  }
  assert.ok(rogue.asked.length >= 5, JSON.stringify(rogue.asked));
  assert.deepEqual(rogue.asked.filter((a) => a.paid && a.dest !== 'document'), [], 'parts of pages carry nothing');
  assert.equal(new Set(rogue.shown.map((s) => s.index)).size, rogue.shown.length ? 1 : 0, 'what is loaded ahead shows nothing new');
  rogue.shown = [];
  for (const near of ['/tab/', '/tab2', '/Tab', '/xtab']) {
    rogue.pages.set(near, () => ({ status: 200, body: 'free' }));
    await go(page, rogue.origin + near);
  }
  assert.deepEqual(rogue.shown, [], 'nor do other addresses');
  const second = await reader.context.newPage();
  rogue.asked = [];
  await go(second, `${rogue.origin}/tab`);
  await wallet.shows(/^Read again free/, second);
  assert.deepEqual(documents(rogue, '/tab'), [true]);
  await second.close();
  await page.bringToFront();
}

async function noRedirectCarriesIt(reader, wallet, rogue, other) {
  const { page } = reader;
  other.pages.set('/', () => ({ status: 200, body: 'caught' }));
  rogue.pages.set('/caught', () => ({ status: 200, body: 'caught' }));
  let target = null;
  const page200 = sold(rogue, '1000', 'moves');
  rogue.pages.set('/moves', (request) => (target && request.headers.authorization ? { status: 302, headers: { location: target } } : page200(request)));
  for (const [number, to] of [`${other.origin}/`, '/caught'].entries()) {
    target = null;
    await buy(reader, wallet, rogue, `/moves?${number}`);
    target = to;
    await go(page, `${rogue.origin}/moves?${number}`);
    await page.waitForURL((url) => url.href.endsWith(to));
    assert.deepEqual(rogue.shown.map((s) => s.url), [`/moves?${number}`], 'shown to its own address');
  }
  assert.deepEqual(other.shown, []);
}

async function refusedItAsks(reader, wallet, rogue) {
  let over = false;
  const served = sold(rogue, '1000', 'short');
  rogue.pages.set('/short', (request) => (over && request.headers.authorization && rogue.shown.at(-1).index === ticket
    ? rogue.asks({ amount: '1000' }, { type: 'https://paymentauth.org/problems/verification-failed', reason: 'already-spent' }) : served(request)));
  await go(reader.page, `${rogue.origin}/short`);
  await wallet.shows(/^Paid 0\.1 ¢/);
  const ticket = rogue.shown.at(-1).index;
  const money = await spent(wallet);
  over = true;
  await go(reader.page, `${rogue.origin}/short`);
  await wallet.offers('0.1¢');
  await pause(500);
  assert.equal(await spent(wallet), money);
  assert.deepEqual(await wallet.rules(), []);
  assert.ok(rogue.shown.every((s) => s.url !== '/short' || s.index === ticket), 'nothing new is shown');
  await wallet.press();
  await wallet.shows(/^Paid 0\.1 ¢/);
}

async function besideAnotherAuthorization(reader, wallet, rogue) {
  const page200 = sold(rogue, '1000', 'members');
  rogue.pages.set('/members', (request) => (request.headers['payment-authorization']
    ? page200({ headers: { ...request.headers, authorization: 'x' } }) : rogue.asks({ amount: '1000', header: 'Payment-Authorization' })));
  const before = (await wallet.kept()).length;
  await buy(reader, wallet, rogue, '/members');
  assert.equal((await wallet.kept()).length, before, 'that field is left to the page');
}

async function backgroundEnds(reader, wallet, rogue) {
  rogue.pages.set('/lasting', sold(rogue, '1000', 'lasting'));
  await buy(reader, wallet, rogue, '/lasting');
  const session = await reader.context.newCDPSession(await wallet.options());
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await reader.page.bringToFront();
  await reader.page.reload();
  await until('the background is there again', () => wallet.worker);
  await wallet.shows(/^Read again free/);
  assert.deepEqual(documents(rogue, '/lasting'), [true]);
}

/** Coins that are exported are not shown any more. */
async function gone(reader, wallet, rogue) {
  const { page } = reader;
  rogue.pages.set('/gone', sold(rogue, '1000', 'gone'));
  await buy(reader, wallet, rogue, '/gone');
  assert.match(await wallet.submit({}, 'Export all coins'), /in the export now/);
  await until('nothing is kept', async () => !(await wallet.kept()).length);
  await page.bringToFront();
  await page.reload();
  await wallet.shows(/not enough money|you have \$0\.00/);
  assert.deepEqual(rogue.shown, []);
}
