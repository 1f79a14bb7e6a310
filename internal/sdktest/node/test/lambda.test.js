import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCalls } from '../cases.js';
import { bodies, bodyCuts, meetCut, streamCuts, streams } from '../cuts.js';
import { apiKey, both, failureOf, fault, newClient, startStack } from '../stack.js';

const stack = await startStack({ lambda: true });

// The functions want a token.
const token = { apiKey: `rt_${stack.accessToken}.${apiKey}` };

// looks are the ways in which the platform may show a truncated response. Which
// one it is today is not documented.
const looks = ['lambda', 'lambdaClean'];

testCalls(stack, 'lambda', token);

for (const relay of looks) {
  for (const name of Object.keys(streams)) {
    for (const cut of streamCuts) {
      both(stack, `${relay}: ${name} stream: ${cut}`, (client) => meetCut(client, name, cut), { relay, ...token });
    }
  }
  both(stack, `${relay}: response stream: no-last-chunk`, (client) => meetCut(client, 'response', 'no-last-chunk'), { relay, ...token });
  // Directly the SDK finds the truncation in the middle of a response; here the
  // status must report it.
  for (const name of ['chat', 'models']) {
    for (const cut of bodyCuts) {
      test(`${relay}: ${name}: ${cut}`, async () => {
        await stack.reset();
        const failure = await failureOf(() => bodies[name](newClient(stack[relay], { ...token, maxRetries: 0 }), fault(cut)));
        assert.deepEqual([failure.class, failure.status, failure.code], ['InternalServerError', 502, 'upstream_interrupted']);
        assert.equal((await stack.requests()).length, 1);
      });
    }
  }
}

// Truncated binary responses, which are buffered and become a 502.
for (const relay of looks) {
  for (const name of ['speech', 'file content']) {
    for (const cut of bodyCuts) {
      test(`${relay}: ${name}: ${cut}`, async () => {
        await stack.reset();
        await failureOf(() => bodies[name](newClient(stack[relay], { ...token, maxRetries: 0 }), fault(cut)));
        assert.equal((await stack.requests()).length, 1);
      });
    }
  }
}
