// The extension's own pages where something went wrong, or might: returns that fail, coins that a site claims more of, exports
// that nobody saved, coins of others; the focus stays, what is typed stays, and trouble is told at once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Extension } from '../extension.mjs';
import { Reader } from '../lib.mjs';
import { until } from '../until.mjs';

export default async function play(world) {
  const [post] = world.news;
  const reader = await Reader.come(world, { extension: world.extension });
  const wallet = await Extension.of(reader);
  await wallet.fund(world.broker.issuer, world.mint('3.00'), '0.10');
  await wallet.buy('0.10');
  const own = await wallet.options();
  await typedStays(own, wallet);
  await returns(reader, own, wallet);
  await disputes(reader, own, wallet, post);
  await exports(reader, own, wallet);
  await reader.leave();
}

/** What bears that name has the focus. */
const focused = async (own, name) => assert.equal(await own.evaluate(() => document.activeElement.getAttribute('aria-label')), name);
const rows = (own, column) => own.locator(`#coins td:nth-child(${column})`).allInnerTexts();

const worth = (own, sums) => until(`coins worth ${sums}`, async () => (await rows(own, 2)).sort().join() === sums.join());

async function typedStays(own, wallet) {
  await own.getByLabel('Most a page without asking').fill('0.01');
  await own.getByLabel('Pay without asking where I went to the page myself').check();
  await own.getByLabel('New identity').fill('Work');
  await own.getByLabel('New identity').press('Enter');
  assert.equal(await wallet.said(own), 'Added.');
  assert.equal(await own.getByLabel('Most a page without asking').inputValue(), '0.01');
  assert.equal(await own.getByLabel('Pay without asking where I went to the page myself').isChecked(), true);
  await own.getByLabel('Most a page without asking').fill('x');
  await own.getByRole('button', { name: 'Save limits' }).click();
  await own.getByRole('alert').getByText('An amount is written like 0.05').waitFor();
  assert.equal(await own.locator('#said').isHidden(), true);
}

async function returns(reader, own, wallet) {
  const buttons = own.getByRole('button', { name: /^Return coin/ });
  assert.equal(await buttons.count(), 2);
  const name = await buttons.first().getAttribute('aria-label');
  const press = async () => {
    await own.evaluate(() => document.querySelectorAll('#said, #failed').forEach((one) => { one.hidden = true; }));
    await own.getByRole('button', { name }).focus();
    await own.keyboard.press('Enter');
    return wallet.said(own);
  };
  await own.route('**/return', (route) => route.abort());
  assert.match(await press(), /cannot reach the broker/);
  await focused(own, name); // the focus stays
  await until('it is on its way', async () => (await rows(own, 5)).includes('going back to the broker'));
  assert.match(await own.locator('#balance').textContent(), /10 ¢/);
  await reader.shot('return-failed', own);
  await own.unroute('**/return');
  const refuse = (status) => own.route('**/return', (route) => route.fulfill({ status, contentType: 'application/problem+json', body: '{"title":"no"}' }));
  await refuse(503);
  assert.match(await press(), /refuses: no/);
  await own.unroute('**/return');
  assert.match(await press(), /10 ¢ is back on your account/);
  await focused(own, 'Coins'); // and where its place is gone, it is beside it
  await until('it is gone', async () => (await buttons.count()) === 1);
  await refuse(409);
  const last = await buttons.first().getAttribute('aria-label');
  await buttons.first().click();
  await own.getByRole('alert').getByText('refuses: no').waitFor();
  await own.unroute('**/return');
  await focused(own, last);
  await until('a refusal leaves it here', async () => (await rows(own, 5)).join() === 'here, unused');
}

// A backup that is older than what was spent: its coin stands back, and is good again once she takes the site at its word.
async function disputes(reader, own, wallet, post) {
  const { page } = reader;
  await page.bringToFront();
  const read = async (name) => {
    await reader.visit(post.url(`/articles/${name}.html`));
    await wallet.offers('2¢');
    await wallet.press();
  };
  const change = (more) => wallet.worker.evaluate((fields) => new Promise((resolve) => {
    const opening = indexedDB.open('netpay');
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('coins', 'readwrite');
      const store = transaction.objectStore('coins');
      const all = store.getAll();
      all.onsuccess = () => all.result.filter((c) => c.state === 'live' && c.spent > 0).forEach((c) => store.put({ ...c, ...fields }, c.coin));
      transaction.oncomplete = () => {
        opening.result.close();
        resolve();
      };
    };
  }), more);
  for (const name of ['ferry', 'bakers']) {
    await read(name);
    await wallet.shows(/^Paid 2 ¢/);
  }
  await change({ spent: 20 }); // as if it came from a backup made after the first page
  await read('library');
  await wallet.shows(/4 ¢ of coin .* are spent; by your own count it is 2 ¢/);
  await wallet.buy('0.10');
  await page.bringToFront();
  await read('library');
  await wallet.shows(/^Paid 2 ¢/);
  await post.charged(3);
  await wallet.options();
  await reader.shot('disputed', own);
  const accept = own.getByRole('button', { name: /^Accept the site's count of coin .*: 2 ¢ more are spent/ });
  await accept.focus();
  await own.keyboard.press('Enter');
  assert.equal(await wallet.said(own), '2 ¢ are counted as spent.');
  await focused(own, 'Coins');
  await worth(own, ['6 ¢', '8 ¢']);
}

async function exports(reader, own, wallet) {
  assert.match(await wallet.submit({}, 'Export all coins'), /2 coins are in the export now/);
  const text = await own.evaluate(async () => (await fetch(document.querySelector('#file').href)).text());
  let asked = 0;
  own.on('dialog', (dialog) => {
    asked += 1;
    dialog.dismiss();
  });
  await own.getByRole('button', { name: 'It is saved: forget it here' }).click();
  await own.getByText('The export is still here.').waitFor();
  assert.equal(asked, 1);
  await own.getByRole('link', { name: 'Save the export' }).click();
  await own.getByRole('button', { name: 'It is saved: forget it here' }).click();
  await own.getByText('The export is forgotten here.').waitFor();
  assert.equal(asked, 1);

  // They come back; and those of another go to the identity that she chooses.
  const bring = async (lines) => {
    await own.getByLabel('Text of an export').fill(lines);
    await own.evaluate(() => document.querySelectorAll('#said, #failed').forEach((one) => { one.hidden = true; }));
    await own.getByRole('button', { name: 'Import' }).click();
    assert.match(await wallet.said(own), /coins came in/);
  };
  await bring(text);
  await worth(own, ['6 ¢', '8 ¢']);
  const store = reader.world.temporary('store');
  reader.world.netpay(store, ['account', 'create', '--broker', reader.world.broker.issuer]);
  reader.world.netpay(store, ['topup', reader.world.mint('1.00')]);
  reader.world.netpay(store, ['buy', '--amount', '0.10']);
  reader.world.netpay(store, ['export', '--move', `${store}/coins`]);
  await own.getByLabel('Identity that all of its coins get').selectOption('Work');
  await bring(fs.readFileSync(`${store}/coins`, 'utf8'));
  await until('whose they are', async () => (await rows(own, 4)).sort().join() === 'Main,Main,Work');
  assert.equal((await until('the balance', async () => /24 ¢/.exec(await own.locator('#balance').textContent())))[0], '24 ¢');
}
