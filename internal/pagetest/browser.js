// What the tests share: a real Chromium, and pages in it that may not complain.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { after } from 'node:test';
import axe from 'axe-core';
import jsQR from 'jsqr';
import { chromium } from 'playwright-core';

export { canary, startStack } from '../sdktest/stack/stack.mjs';

export const desktop = { width: 1100, height: 900 };
export const phone = { width: 360, height: 740 };

const program = process.env.CHROMIUM || '/usr/bin/chromium';

// startBrowser starts Chromium for this file's tests and stops it after them.
export async function startBrowser() {
  const browser = await chromium.launch({
    executablePath: program,
    // Chromium wants no root in its sandbox, and containers have no room in /dev/shm.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
  after(() => browser.close());
  return browser;
}

// openPage opens the page of a relay in a context of its own. When the test is
// over, it fails if the page logged an error or broke its policy, but for errors
// that expected matches, such as those that the browser itself logs of responses.
export async function openPage(t, browser, url, { expected, viewport = desktop, before, path = '/', ...options } = {}) {
  const context = await browser.newContext({ viewport, locale: 'en-US', ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !expected?.test(`${message.text()} ${message.location().url}`)) complaints.push(message.text());
  });
  page.on('pageerror', (error) => {
    if (!expected?.test(error.message)) complaints.push(error.message);
  });
  await context.exposeBinding('__violated', (_, what) => complaints.push('policy: ' + what));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => window.__violated(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    window.__shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  const calls = [];
  page.on('request', (request) => calls.push(request.url()));
  page.setDefaultTimeout(20_000);
  await before?.(page);
  const response = await page.goto(url + path);
  assert.equal(response.status(), 200);
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, [], 'the browser complains');
    assert.deepEqual(calls.filter((call) => !call.startsWith(url) && !/^(data|blob):/.test(call)), [], 'calls to others');
  });
  return page;
}

// startFront forwards to a relay, until it is told to die. handle may take a
// response into its own hands.
export async function startFront(base, handle = (from, to) => from.pipe(to)) {
  const server = createServer((req, res) => {
    const sent = request(base + req.url, { method: req.method, headers: { ...req.headers, host: new URL(base).host } }, (from) => {
      res.writeHead(from.statusCode, from.headers);
      Promise.resolve(handle(from, res, req)).catch(() => res.destroy()); // the response was truncated
    }).on('error', () => res.destroy());
    res.on('close', () => sent.destroy()); // or the relay would wait for the upstream for ever
    req.pipe(sent);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const die = () => {
    server.closeAllConnections();
    server.close();
  };
  after(die);
  return { url: `http://127.0.0.1:${server.address().port}`, die };
}

// settled waits until the page has found out what it does by itself.
export async function settled(page) {
  await page.waitForFunction(() => !document.getElementById('recheck').disabled);
}

// isAccessible fails if axe finds anything.
export async function isAccessible(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => html.slice(0, 200) + ' ' + failureSummary) })), [], what);
}

// fits fails if the page is wider than its window.
export async function fits(page, what) {
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(widths[0] <= widths[1], `${what}: ${widths[0]} px of content in ${widths[1]}`);
}

// standsStill fails if the page moved under the reader's eyes.
export async function standsStill(page, what) {
  const shift = await page.evaluate(() => window.__shift);
  assert.ok(shift < 0.02, `${what}: layout shift ${shift}`);
}

// stubHealth has the page see the relay's health as change returns it. change gets
// the JSON of the relay, and the query of the call.
export const stubHealth = (page, change) => page.route((url) => url.pathname === '/relay/health' && url.search !== '?stream=1', async (route) => {
  const response = await route.fetch();
  const json = change(await response.json(), new URL(route.request().url()).search);
  return route.fulfill({ response, json });
});

// json is a response of the API's, as it comes through the relay.
export const json = (body, { status = 200, headers = {} } = {}) => ({ status, json: body, headers: { 'X-Relay': 'relay; origin=upstream', ...headers } });

// decode reads a QR code, of which it is given the modules, true for dark ones.
export function decode(grid) {
  const [scale, quiet] = [4, 4];
  const size = (grid.length + 2 * quiet) * scale;
  const pixels = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (grid[Math.floor(y / scale) - quiet]?.[Math.floor(x / scale) - quiet]) pixels.fill(0, (y * size + x) * 4, (y * size + x) * 4 + 3);
    }
  }
  return jsQR(pixels, size, size)?.data;
}

export const text = (page, selector) => page.locator(selector).innerText();
