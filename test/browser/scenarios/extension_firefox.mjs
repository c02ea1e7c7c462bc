// The extension in Firefox: the 402 is recognised, a click pays, pages are paid without asking where she follows a link, and
// what a page fetches or frames is not.
import assert from 'node:assert/strict';
import path from 'node:path';
import { Firefox } from '../firefox.mjs';
import { Rogue, sold } from '../rogue.mjs';
import { until } from '../until.mjs';

const documents = async (news, target, times) => (await news.asked(target, times)).map((r) => r.status);

export default async function play(world) {
  const [post] = world.news;
  const firefox = await Firefox.start(world.extension, world.temporary('firefox'));
  const { page } = firefox;
  try {
    assert.equal(await firefox.submit('account', { broker: world.broker.issuer }), 'Your account is open.');
    assert.match(await firefox.submit('topup', { voucher: world.mint('1.00') }), /^The money is on your account/);
    assert.match(await firefox.submit('buy', { amount: '0.50' }), /^Bought/);

    // Asked: the price on the button, a press pays, the page comes at its address, and again for nothing.
    const ferry = `${post.url('/articles/ferry.html')}#fares`;
    assert.equal((await page.goto(ferry)).status(), 402);
    const offer = await firefox.shows(/^Pay 2 ¢/);
    assert.deepEqual([offer.text, offer.popup], ['2¢', '']);
    await post.charged(0);
    await firefox.press();
    assert.equal((await firefox.shows(/^Paid 2 ¢/)).text, '48¢');
    assert.equal(page.url(), ferry);
    assert.match(await page.evaluate(() => document.body.innerText), /six winters/);
    await post.charged(1, '/articles/ferry.html');
    await page.screenshot({ path: path.join(world.pictures, '01-paid-desktop-light.png') });
    await page.reload();
    await firefox.shows(/^Read again free/);
    assert.deepEqual(await documents(post, '/articles/ferry.html', 3), [402, 200, 304], 'again in one round trip');
    await noRedirectCarriesIt(world, firefox);
    await page.goto(ferry);

    // Without asking: one round trip, as for a free page. Not for what the page fetches and frames.
    assert.equal(await firefox.submit('limits', { automatic: true, page: '0.03', site: '0.05', day: '' }), 'Saved.');
    await page.bringToFront();
    const [bakers, library, tides] = ['/articles/bakers.html', '/articles/library.html', '/features/tides.html'].map((t) => post.url(t));
    const link = (to) => page.evaluate((url) => { document.body.innerHTML = `<a href="${url}">next</a>`; }, to);
    await page.evaluate((url) => {
      document.body.append(Object.assign(document.createElement('iframe'), { src: url, hidden: true }), Object.assign(new Image(), { src: url }));
      return fetch(url);
    }, library);
    await page.goto(post.url('/index.html'));
    await link(bakers);
    await firefox.follow('a');
    await firefox.shows(/^Paid 2 ¢/);
    assert.deepEqual(await documents(post, '/articles/bakers.html', 1), [200], 'one round trip');
    await post.charged(0, '/articles/library.html');

    // The limits of a page and of a site hold.
    await link(tides);
    await page.click('a');
    await firefox.shows(/5 ¢: over your limit for this site/);
    await link(library);
    await page.click('a');
    await firefox.shows(/2 ¢: over your limit for this site/);
    await post.charged(2);
  } finally {
    await firefox.close();
  }
}

// Neither a payment nor the one that is shown again follows a redirect.
async function noRedirectCarriesIt(world, firefox) {
  const { page } = firefox;
  const rogue = await Rogue.start(world.broker.issuer);
  const other = await Rogue.start(world.broker.issuer, '127.0.0.5');
  let target = null;
  const honest = sold(rogue, '1000', 'moves');
  // Firefox shows errors in HTML only.
  const asks = (request) => {
    const { headers, ...answer } = honest(request);
    return { ...answer, headers: { ...headers, 'content-type': 'text/html' } };
  };
  rogue.pages.set('/moves', (request) => (target && request.headers.authorization ? { status: 302, headers: { location: target } } : asks(request)));
  rogue.pages.set('/caught', () => ({ status: 200, body: 'caught' }));
  other.pages.set('/', () => ({ status: 200, body: 'caught' }));
  const caught = () => until('the redirect is followed', () => page.url() === new URL(target, rogue.origin).href);
  try {
    for (const [number, to] of ['/caught', `${other.origin}/`].entries()) {
      target = null;
      await page.goto(`${rogue.origin}/moves?${number}`);
      await firefox.shows(/^Pay 0\.1 ¢/);
      await firefox.press();
      await firefox.shows(/^Paid 0\.1 ¢/);
      target = to;
      await page.goto(`${rogue.origin}/moves?${number}`);
      await caught();
      await page.goto(`${rogue.origin}/moves?new${number}`);
      await firefox.shows(/^Pay 0\.1 ¢/);
      await firefox.press();
      await caught();
    }
    assert.deepEqual(rogue.shown.map((s) => s.url), ['/moves?0', '/moves?0', '/moves?new0', '/moves?1', '/moves?1', '/moves?new1']);
    assert.deepEqual(other.shown, []);
  } finally {
    for (const { server } of [rogue, other]) {
      server.closeAllConnections();
      server.close();
    }
  }
}
