import { test } from 'node:test';
import { openPage, phone, settled, startBrowser, startStack } from '../browser.js';
const stack = await startStack(); const browser = await startBrowser();
const keys = ['sk-proj-pictures0123456789wxyz', 'sk-invalid-pictures0123456last', 'sk-admin-pictures0123456789adm1'];
test('look', async (t) => {
  const page = await openPage(t, browser, stack.gateway503, { expected: /./, viewport: { width: 960, height: 900 } });
  await settled(page);
  await page.screenshot({ path: '/tmp/p18/a.png', fullPage: true });
  await page.fill('#try-key', keys[0]); await stack.script(['', 'gap=60ms']); await page.click('#send');
  await page.waitForSelector('.ticks');
  await page.fill('#key-list', keys.join('\n')); await page.click('#check');
  await page.waitForFunction(() => document.querySelectorAll('#results .toggle').length === 3);
  await page.locator('#results .toggle').nth(0).click();
  await page.locator('#results .toggle').nth(2).click();
  await page.locator('#about summary').click(); await page.locator('#qr-box summary').click();
  await stack.kill('gateway503');
  await page.waitForTimeout(3000);
  await page.screenshot({ path: '/tmp/p18/b.png', fullPage: true });
});
test('phone', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: /./, viewport: phone, locale: 'zh-CN', colorScheme: 'dark' });
  await settled(page);
  await page.screenshot({ path: '/tmp/p18/c.png', fullPage: true });
});
test('down', async (t) => {
  const page = await openPage(t, browser, stack.down, { expected: /./, viewport: { width: 960, height: 500 } });
  await settled(page);
  await page.screenshot({ path: '/tmp/p18/d.png' });
});
