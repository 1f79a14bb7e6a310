// The page as the Worker serves it, on Cloudflare's own runtime.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fits, openPage, settled, startBrowser, startStack, text } from '../browser.js';

const stack = await startStack({ worker: true });
const picture = fileURLToPath(new URL('../../../docs/platforms/cloudflare.png', import.meta.url));

if (stack.missing) {
  assert.notEqual(process.env.CI, 'true', stack.missing);
  test('the Worker', { skip: stack.missing }, () => {});
} else {
  const browser = await startBrowser();

  test('a Worker that works says so, with its base URL', async (t) => {
    const page = await openPage(t, browser, stack.worker, { viewport: { width: 960, height: 900 } });
    await settled(page);
    assert.match(await text(page, '#verdict'), /This relay works/);
    assert.match(await text(page, '#banner'), /API\s+[\d.]+ (ms|sec)\s+reachable\s+Streaming\s+one by one\s+5 events over \d+ ms/);
    await page.click('#about summary');
    for (const fact of [/Access token\s+needed/, /WebSocket\s+yes/, /Cloudflare Workers/]) assert.match(await text(page, '#facts'), fact);
    assert.equal(await page.inputValue('#base'), stack.worker + '/v1');
    await fits(page, 'the page of the Worker');
    if (process.env.PAGE_SHOTS) await page.locator('#status').screenshot({ path: picture });
  });
}
