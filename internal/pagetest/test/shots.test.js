// The pictures in docs/, made when PAGE_SHOTS says so, of a real gateway whose
// first region goes.

import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, phone, settled, startBrowser, startStack } from '../browser.js';

const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));

const keys = ['sk-proj-pictures0123456789wxyz', 'sk-svcacct-pictures0123456bcde', 'sk-invalid-pictures0123456last', 'sk-admin-pictures0123456789adm1'];

if (process.env.PAGE_SHOTS) {
  const stack = await startStack();
  const browser = await startBrowser();

  // chat sends a message and waits for the end of its response.
  async function chat(page) {
    await page.fill('#try-key', keys[0]);
    await stack.script(['', 'gap=60ms']);
    await page.click('#send');
    await page.waitForSelector('.ticks');
  }

  test('a gateway that has lost a region', async (t) => {
    const page = await openPage(t, browser, stack.gatewayRefuse, { viewport: { width: 960, height: 720 }, deviceScaleFactor: 1.5 });
    await settled(page);
    await chat(page);
    await page.waitForTimeout(40_000); // for what a minute shows
    await stack.kill('gatewayRefuse');
    await page.waitForFunction(() => /○ down/.test(document.querySelector('#upstreams tr').innerText));
    await page.waitForTimeout(8_000);
    await page.click('#recheck');
    await settled(page);
    await page.evaluate(() => {
      document.activeElement.blur();
      scrollTo(0, 0);
    });
    await page.screenshot({ path: docs + 'page.png' });
  });

  test('keys and costs', async (t) => {
    const page = await openPage(t, browser, stack.open, { expected: /status of (401|403)/, viewport: { width: 960, height: 940 } });
    await settled(page);
    await page.fill('#key-list', keys.join('\n'));
    await page.click('#check');
    await page.waitForSelector('#check:visible');
    await page.locator('#results .test').nth(1).click();
    await page.waitForFunction(() => /works, has credit/.test(document.getElementById('results').innerText));
    await page.locator('#results .toggle').nth(1).click();
    await page.locator('#results .toggle').last().click();
    for (const name of ['Model', 'Project']) await page.click(`.costs summary >> text="${name}"`);
    await page.evaluate(() => document.activeElement.blur());
    await page.locator('#keys').screenshot({ path: docs + 'page-keys.png' });
  });

  test('a first chat on a phone, dark and in Chinese', async (t) => {
    const page = await openPage(t, browser, stack.open, { viewport: phone, locale: 'zh-CN', colorScheme: 'dark', deviceScaleFactor: 1.5 });
    await settled(page);
    await chat(page);
    await page.locator('#try').screenshot({ path: docs + 'page-phone.png' });
  });
}
