// The NetPay extension in Debian's Firefox, by puppeteer-core over WebDriver BiDi. What the extension's button shows is asked
// in a page of the extension. A press on the button is what its shortcut does, in the browser's own window:
// WebDriver's keys and pointer reach the pages only.
import { launch } from 'puppeteer-core';
import { until } from './until.mjs';

const ID = 'wallet@netpay.example';
const UUID = '6e657470-6179-4000-8000-000000000001'; // Firefox would choose one
const PRESS = `(() => {
  const { ExtensionParent } = ChromeUtils.importESModule('resource://gre/modules/ExtensionParent.sys.mjs');
  ExtensionParent.apiManager.global.browserActionFor(WebExtensionPolicy.getByID('${ID}').extension).triggerAction(window);
})()`;

export class Firefox {
  /** Firefox with the extension in `directory`, an empty profile in `profile`, and a page. */
  static async start(directory, profile) {
    const firefox = new Firefox();
    firefox.browser = await launch({
      browser: 'firefox', executablePath: process.env.NETPAY_FIREFOX ?? '/usr/bin/firefox-esr', headless: true,
      userDataDir: profile, args: ['-remote-allow-system-access'],
      extraPrefsFirefox: {
        'extensions.webextensions.uuids': JSON.stringify({ [ID]: UUID }),
        'network.proxy.type': 0, 'network.dns.disabled': true,  // no name resolves: nothing leaves the machine
      },
    });
    try {
      await firefox.#open(directory);
    } catch (error) {
      await firefox.close();
      throw error;
    }
    return firefox;
  }

  async #open(directory) {
    await this.browser.installExtension(directory);
    this.settings = await this.browser.newPage();
    // That the extension's page is loaded is never told.
    this.settings.goto(`moz-extension://${UUID}/options.html`).catch(() => undefined);
    await until('the settings', () => this.settings.evaluate(() => document.querySelector('#identity')?.options.length > 0)
      .catch(() => false));
    this.page = await this.browser.newPage();
  }

  /** Fills fields of the settings by id and submits a form of theirs; what the page says then. */
  async submit(form, fields) {
    await this.settings.evaluate((id, values) => {
      for (const [name, value] of Object.entries(values)) {
        const field = document.getElementById(name);
        field[field.type === 'checkbox' ? 'checked' : 'value'] = value;
      }
      for (const said of document.querySelectorAll('#said, #failed')) said.hidden = true;
      document.getElementById(id).requestSubmit();
    }, form, fields);
    return until(`what became of ${form}`, () => this.settings.evaluate(() => {
      const said = [...document.querySelectorAll('#said, #failed')].find((one) => !one.hidden);
      return said && said.textContent !== 'One moment …' && said.textContent;
    }));
  }

  /** What the button shows at the page: { id: the tab's, there: it is not on its way, text, title, popup }. */
  async button() {
    return this.settings.evaluate(async (url) => {
      const [{ id, status }] = (await browser.tabs.query({})).filter((tab) => tab.url === url);
      return { id, there: status === 'complete', text: await browser.action.getBadgeText({ tabId: id }),
        title: await browser.action.getTitle({ tabId: id }), popup: await browser.action.getPopup({ tabId: id }) };
    }, this.page.url());
  }

  /** Waits until the button's title matches and the page is there; what it shows then. */
  async shows(pattern) {
    let last;
    return until(pattern, async () => {
      last = await this.button().catch(() => last);
      return last?.there && pattern.test(last.title) ? last : null;
    }).catch((error) => { throw new Error(`the button shows ${JSON.stringify(last)}, not ${pattern}`, { cause: error }); });
  }

  async press() {
    const { contexts } = (await this.browser.connection.send('browsingContext.getTree', { 'moz:scope': 'chrome' })).result;
    const { context } = contexts.find((c) => c.url === 'chrome://browser/content/browser.xhtml');
    await this.browser.connection.send('script.evaluate', { target: { context }, expression: PRESS, awaitPromise: true });
  }

  /** The pointer goes to a link and presses it until the payment is ready to go with the request; then it is let go. */
  async follow(selector) {
    const { id } = await this.button();
    await until('the page tells of its links', () => this.settings.evaluate(async (tabId) => {
      const [frame] = await browser.scripting.executeScript({ target: { tabId }, func: () => globalThis.netpayListens });
      return frame.result;
    }, id));
    await this.page.hover(selector);
    await this.page.mouse.down();
    await until('the payment is ready',
      () => this.settings.evaluate(async () => (await browser.declarativeNetRequest.getSessionRules()).some((rule) => rule.priority === 2)));
    await this.page.mouse.up();
  }

  async close() {
    await this.browser.close();
  }
}
