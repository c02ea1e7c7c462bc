// Pages that were paid by mistake are given back by the extension's pop-up, within the time that the newspaper allows
// (NetPayGiveBack 600 3 100): the money is hers again, there is room in her limits, and no page goes back twice.
import assert from 'node:assert/strict';
import { Extension } from '../extension.mjs';
import { Reader } from '../lib.mjs';
import { until } from '../until.mjs';

export default async function play(world) {
  const [post, courier] = world.news;
  const reader = await Reader.come(world, { extension: world.extension });
  const wallet = await Extension.of(reader);
  const { page } = reader;
  const [ferry, bakers] = ['/articles/ferry.html', '/articles/bakers.html'];
  await wallet.fund(world.broker.issuer, world.mint('1.00'), '0.10');
  await wallet.limits({ automatic: false, day: '0.04' });
  await page.bringToFront();

  const read = async (paper, target, balance) => {
    await reader.visit(paper.url(target));
    await wallet.offers('2¢');
    await wallet.press();
    assert.equal((await wallet.shows(/^Paid 2 ¢/)).text, balance);
  };
  /** The pop-up, with what it shows while her page is in front. */
  const popup = async (act) => {
    const own = await wallet.popup();
    await page.bringToFront();
    await own.reload();
    await own.waitForFunction(() => document.querySelector('#history').childElementCount > 0);
    await act(own);
    await own.close();
  };
  const back = (own, target) => own.getByRole('button', { name: `Give back 2 ¢ for ${target}`, exact: true });

  await read(post, ferry, '8¢');
  await read(post, bakers, '6¢');
  await reader.visit(post.url('/articles/library.html'));
  await wallet.shows(/over your limit for all sites/);

  await popup(async (own) => {
    await reader.shot('can-be-given-back', own);
    await back(own, ferry).focus();
    await own.keyboard.press('Enter');
    assert.equal(await wallet.said(own), 'You got 2 ¢ back.');
    assert.equal(await own.locator('#balance').textContent(), '8 ¢');
    assert.equal(await back(own, ferry).count(), 0);
    await own.getByText('(given back)').waitFor();
    await reader.shot('given-back', own);
  });
  await reader.shot('history', await wallet.options());
  assert.equal(await wallet.settings.getByRole('cell', { name: 'given back', exact: true }).count(), 1);
  await page.bringToFront();

  // The page costs again, which there is room for in the limits of the day; and what was shown before pays it.
  await until('it is not read again', async () => !(await wallet.kept()).some((rule) => rule.condition.regexFilter.includes('ferry')));
  await read(post, ferry, '6¢');
  await post.charged(3);
  await popup(async (own) => {
    await back(own, ferry).click();
    assert.match(await wallet.said(own), /does not take the page back: that page was given back today already/);
    assert.equal(await own.locator('#balance').textContent(), '6 ¢');
    await back(own, bakers).click();
    assert.equal(await wallet.said(own), 'You got 2 ¢ back.');
  });

  // The coin goes on to the other newspaper, and what it has left is right there, too.
  await wallet.limits({ automatic: false, day: '' });
  await page.bringToFront();
  await read(courier, '/articles/library.html', '6¢');
  await popup(async (own) => {
    if (await back(own, ferry).count()) {
      await back(own, ferry).click();
      assert.match(await wallet.said(own), /is not at its site any more/);
    }
  });
  await reader.leave();
}
