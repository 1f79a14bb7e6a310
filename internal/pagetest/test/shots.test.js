// The pictures in docs/, made when PAGE_SHOTS says so.

import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, phone, settled, startBrowser, startStack } from '../browser.js';

const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));

const keys = ['sk-proj-pictures0123456789wxyz', 'sk-invalid-pictures0123456last', 'sk-admin-pictures0123456789adm1'];

const upstreams = [
  { name: 'aws-us-east-1', state: 'up', latency_ms: 12.3, in_flight: 2 },
  { name: 'gcf-europe-west1', state: 'suspect', latency_ms: 96, in_flight: 1, last_error: 'upstream_reset' },
  { name: 'vercel-iad1', state: 'down', in_flight: 0, last_error: 'upstream_connect', retry_in_ms: 1500 },
];

// asGateway has health tell of upstreams, with changing latencies.
const asGateway = (page) => page.route((url) => url.pathname === '/relay/health' && url.search === '', async (route) => {
  const response = await route.fetch();
  upstreams[0].latency_ms = 12 + Math.random() * 15;
  upstreams[1].latency_ms = 60 + Math.random() * 80;
  return route.fulfill({ response, json: { ...(await response.json()), name: 'gateway', region: 'local', upstreams } });
});

if (process.env.PAGE_SHOTS) {
  const stack = await startStack();
  const browser = await startBrowser();
  const refusals = /status of (401|403)/;

  test('a gateway, and keys', async (t) => {
    const page = await openPage(t, browser, stack.open, { before: asGateway, expected: refusals, viewport: { width: 960, height: 940 } });
    await settled(page);
    await page.waitForTimeout(12_000); // for some latencies
    await page.screenshot({ path: docs + 'page.png' });
    await page.fill('#key-list', keys.join('\n'));
    await page.click('#check');
    await page.waitForFunction((n) => document.querySelectorAll('#results dl').length === n, keys.length);
    await page.locator('#keys').screenshot({ path: docs + 'page-keys.png' });
  });

  test('a first chat on a phone, dark and in Chinese', async (t) => {
    const page = await openPage(t, browser, stack.open, { viewport: phone, locale: 'zh-CN', colorScheme: 'dark' });
    await settled(page);
    await page.fill('#key-list', keys[0]);
    await stack.script(['gap=60ms']);
    await page.click('#send');
    await page.waitForSelector('.ticks');
    await page.locator('#try').screenshot({ path: docs + 'page-phone.png' });
  });
}
