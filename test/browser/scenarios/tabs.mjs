// Ten links in ten tabs at once, the same page twice, reloads, and a second visit with another browser window: each page is paid
// once. With both e-wallets of a plain browser.
import assert from 'node:assert/strict';
import { EWallet, morePages } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

const TABS = 10;

async function play(world, kind, paper) {
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, kind);
  await wallet.signUp(paper, '/articles/ferry.html', '1.00');
  assert.equal(await wallet.fetch('2 ¢'), 200);
  assert.equal(await wallet.confirm(), 200);
  await wallet.reads(paper, '/articles/ferry.html');

  const targets = morePages(paper, `${kind}-tab`, TABS);
  const tabs = await Promise.all(targets.map(() => reader.context.newPage()));
  const all = (act) => Promise.all(tabs.map(act));
  const follow = async (page, name) => {
    await page.getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { name, exact: true }).waitFor();
  };
  await all((page) => page.goto(paper.url(`/${kind}-tab.html`)));
  await all((page, i) => follow(page, `Note ${i + 1}`));
  const once = async () => { for (const target of targets) await paper.charged(1, target); };
  await once();
  const anew = await all((page) => page.reload());
  assert.deepEqual(anew.map((answer) => answer.status()), targets.map(() => 200));
  await once();

  // One page in five tabs.
  const [same] = morePages(paper, `${kind}-same`, 1);
  const five = tabs.slice(0, 5);
  await Promise.all(five.map((page) => page.goto(paper.url(`/${kind}-same.html`))));
  await Promise.all(five.map((page) => follow(page, 'Note 1')));
  await paper.charged(1, same);
  await all((page) => page.close());

  // She comes back later: her cookies are kept, and so are the pages that she paid for.
  const kept = (await wallet.cookies(paper)).filter((cookie) => cookie.name.startsWith('__Host-netpay-wallet'));
  assert.equal(kept.length, 1);
  assert.ok(kept[0].expires > Date.now() / 1000 + 86400 && kept[0].httpOnly && kept[0].secure && kept[0].sameSite === 'Lax');
  const storageState = await reader.context.storageState();
  await reader.leave();
  const later = await Reader.come(world, { storageState });
  const again = new EWallet(later, kind);
  assert.equal(await later.visit(paper.url('/articles/ferry.html')), 200);
  await again.reads(paper, '/articles/ferry.html');
  assert.equal(await again.open(paper, '/articles/bakers.html'), 200);
  await again.reads(paper, '/articles/bakers.html');
  await later.leave();
}

export default async function tabs(world) {
  const [post, courier] = world.news;
  await play(world, 'server', post);
  await play(world, 'cookie', courier);
}
