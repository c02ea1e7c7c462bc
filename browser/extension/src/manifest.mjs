// One manifest for both browsers, but for how the background is started. Touchstones need Ed25519, which Chromium has
// since 137 and Firefox since 129.
export const manifest = (browser, version) => ({
  manifest_version: 3,
  name: 'NetPay',
  version,
  description: 'Pays for pages with NetPay e-coins that are on your own machine, by rules of your own.',
  icons: { 16: 'icon-16.png', 48: 'icon-48.png', 128: 'icon-128.png' },
  action: { default_title: 'NetPay', default_popup: 'popup.html', default_icon: { 16: 'icon-16.png', 48: 'icon-48.png' } },
  options_ui: { page: 'options.html', open_in_tab: true },
  background: browser === 'firefox' ? { scripts: ['background.js'] } : { service_worker: 'background.js' },
  permissions: ['alarms', 'storage', 'unlimitedStorage', 'webRequest', 'webNavigation', 'declarativeNetRequestWithHostAccess', 'scripting', 'tabs'],
  host_permissions: ['https://*/*', 'http://*/*'],
  commands: { _execute_action: { suggested_key: { default: 'Alt+Shift+P' }, description: 'Pay this page, or show the e-wallet' } },
  content_security_policy: { extension_pages: "default-src 'self'; connect-src https: http:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
  incognito: 'not_allowed',
  ...(browser === 'firefox'
    ? { browser_specific_settings: { gecko: { id: 'wallet@netpay.example', strict_min_version: '129.0' } } }
    : { minimum_chrome_version: '137' }),
})
