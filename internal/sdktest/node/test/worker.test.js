import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCalls } from '../cases.js';
import { bodies, bodyCuts, meetCut, streamCuts, streams } from '../cuts.js';
import { apiKey, both, failureOf, fault, newClient, startStack } from '../stack.js';

const stack = await startStack({ worker: true });
const token = { apiKey: `rt_${stack.accessToken}.${apiKey}` };

if (stack.missing) {
  assert.notEqual(process.env.CI, 'true', stack.missing);
  test('the Worker', { skip: stack.missing }, () => {});
} else {
  testCalls(stack, 'worker', token);

  for (const name of Object.keys(streams)) {
    for (const cut of streamCuts) {
      both(stack, `${name} stream: ${cut}`, (client) => meetCut(client, name, cut), { relay: 'worker', ...token });
    }
  }

  for (const name of Object.keys(bodies)) {
    for (const cut of bodyCuts) {
      test(`${name}: ${cut}`, async () => {
        await stack.reset();
        await failureOf(() => bodies[name](newClient(stack.worker, { ...token, maxRetries: 0 }), fault(cut)));
        assert.equal((await stack.requests()).length, 1);
      });
    }
  }
}
