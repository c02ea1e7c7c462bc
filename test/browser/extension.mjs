// The NetPay extension in a Chromium of playwright-core: its pages and its button.
import assert from 'node:assert/strict';
import { patience, until } from './until.mjs';

export class Extension {
  /** Of a reader who has it: her `context`, `page` and `clicks`. */
  static async of(reader) {
    const extension = new Extension();
    extension.reader = reader;
    extension.context = reader.context;
    const worker = reader.context.serviceWorkers()[0] ?? (await reader.context.waitForEvent('serviceworker', { timeout: 15000 * patience() }));
    extension.id = new URL(worker.url()).host;
    await until('the extension is ready', () => worker.evaluate(() => typeof chrome.action?.onClicked?.dispatch === 'function'));
    return extension;
  }

  /** The running background: the browser may have ended it and started it again. */
  get worker() {
    return this.context.serviceWorkers().find((w) => new URL(w.url()).host === this.id);
  }

  url(name) {
    return `chrome-extension://${this.id}/${name}`;
  }

  async tab(page = this.reader.page) {
    const url = page.url();
    const id = await this.worker.evaluate(async (wanted) => {
      const tabs = await chrome.tabs.query({});
      return tabs.filter((t) => t.url === wanted).map((t) => t.id);
    }, url);
    assert.equal(id.length, 1, `one tab shows ${url}`);
    return id[0];
  }

  /** What the button shows at a page, { text, title, popup }, and whether the tab is there or still on its way: `there`. */
  async button(page = this.reader.page) {
    const tabId = await this.tab(page);
    return this.worker.evaluate(async (id) => ({
      text: await chrome.action.getBadgeText({ tabId: id }),
      title: await chrome.action.getTitle({ tabId: id }),
      popup: await chrome.action.getPopup({ tabId: id }),
      there: (await chrome.tabs.get(id)).status === 'complete',
    }), tabId);
  }

  /**
   * Waits until the button's title matches; what it shows then. A payment is told when the answer's head comes, before the page
   * is there; who went on then would cross its coming.
   */
  async shows(pattern, page = this.reader.page, milliseconds = 15000) {
    let last;
    try {
      return await until('the button', async () => {
        last = await this.button(page).catch(() => undefined);
        return last?.there && pattern.test(last.title) ? last : null;
      }, milliseconds);
    } catch {
      throw new Error(`the button shows ${JSON.stringify(last)}, not ${pattern}`);
    }
  }

  /** Waits until the button offers to pay, with that price on it. */
  async offers(price, page = this.reader.page) {
    const { text } = await this.shows(/^Pay /, page);
    assert.equal(text, price);
  }

  /** A click on the button, once it pays; where it opens its pop-up there is nothing to pay. */
  async press(page = this.reader.page) {
    await until('the button pays', async () => (await this.button(page)).popup === '');
    const tabId = await this.tab(page);
    this.reader.clicks += 1;
    await this.worker.evaluate(async (id) => { chrome.action.onClicked.dispatch(await chrome.tabs.get(id)); }, tabId);
  }

  /** The pointer goes to a link and presses it until the payment is ready to go with the request; then `act`, and it is let go. */
  async follow(link, act = async () => undefined) {
    const { page } = this.reader;
    await this.told();
    await link.hover();
    await page.mouse.down();
    await until('the payment is ready', async () => (await this.rules()).length > 0);
    await act();
    await page.mouse.up();
  }

  /** Waits until the page is there and tells the extension of its links. */
  async told() {
    const tabId = await this.tab();
    await until('the page tells of its links', () => this.worker.evaluate(async (id) => {
      const [frame] = await chrome.scripting.executeScript({ target: { tabId: id }, func: () => globalThis.netpayListens });
      return frame.result;
    }, tabId).catch(() => false));
  }

  /** The rules by which requests get a payment that is new. */
  async rules() {
    return (await this.#rules()).filter((rule) => rule.priority === 2);
  }

  /** Those by which they get one that was taken, for pages to be read again. */
  async kept() {
    return (await this.#rules()).filter((rule) => rule.priority === 1);
  }

  async #rules() {
    return this.worker.evaluate(() => chrome.declarativeNetRequest.getSessionRules());
  }

  /** The page of money and settings, in a tab of its own that stays; in front, since others are drawn once a second. */
  async options() {
    if (!this.settings || this.settings.isClosed()) this.settings = await this.context.newPage();
    await this.settings.bringToFront();
    await this.settings.goto(this.url('options.html'));
    // What is drawn last; a field that is filled before would be set back.
    await this.settings.waitForFunction(() => document.querySelector('#page')?.value);
    return this.settings;
  }

  /** What the button's pop-up shows while the reader's page is in front. */
  async popup() {
    const page = await this.context.newPage();
    await page.goto(this.url('popup.html'));
    await page.waitForFunction(() => document.querySelector('#balance')?.textContent !== '');
    return page;
  }

  /** Fills fields of the options page by label and presses a button; what the page says then. */
  async submit(fields, button) {
    const page = await this.options();
    for (const [label, value] of Object.entries(fields)) {
      const field = page.getByLabel(label, { exact: true });
      if (typeof value === 'boolean') await field.setChecked(value);
      else await field.fill(value);
    }
    await page.getByRole('button', { name: button, exact: true }).click();
    return this.said(page);
  }

  /** What a page of the extension says in the end became of what she did there. */
  async said(page) {
    const said = await page.waitForFunction(() => [...document.querySelectorAll('#said, #failed')]
      .find((one) => !one.hidden && one.textContent !== 'One moment …'));
    return said.evaluate((one) => one.textContent);
  }

  /** An account at the broker, money and coins, all by hand on the options page. */
  async fund(issuer, voucher, amount = '1.00') {
    assert.equal(await this.submit({ "Your broker's address": issuer }, 'Open an account there'), 'Your account is open.');
    assert.match(await this.submit({ Voucher: voucher }, 'Add money'), /^The money is on your account/);
    await this.buy(amount);
  }

  async buy(amount) {
    assert.match(await this.submit({ 'Buy coins worth': amount }, 'Buy'), /^Bought/);
  }

  /** Limits for all sites, as they are typed; '' for none. */
  async limits({ automatic, page = '0.05', site = '', day = '' }) {
    assert.equal(await this.submit({ 'Pay without asking where I went to the page myself': automatic,
      'Most a page without asking': page, 'Most a day at one site (empty: no limit)': site,
      'Most a day at all sites (empty: no limit)': day }, 'Save limits'), 'Saved.');
  }
}
