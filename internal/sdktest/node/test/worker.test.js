import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeChat, speak, streamChat, streamResponse, transcribe } from '../cases.js';
import { bodies, bodyCuts, meetCut, streamCuts, streams } from '../cuts.js';
import { apiKey, both, canary, chat, failureOf, fault, newClient, startStack } from '../stack.js';

const stack = await startStack({ worker: true });
const token = { apiKey: `rt_${stack.accessToken}.${apiKey}` };

if (stack.missing) {
  assert.notEqual(process.env.CI, 'true', stack.missing);
  test('the Worker', { skip: stack.missing }, () => {});
} else {
  for (const [name, call] of [
    ['chat completion', completeChat],
    ['chat stream', streamChat],
    ['response stream', streamResponse],
    ['speech', speak],
    ['transcription', transcribe],
  ]) {
    both(stack, name, call, { relay: 'worker', ...token });
  }

  test('wrong token', async () => {
    await stack.reset();
    const client = newClient(stack.worker, { apiKey: `rt_wrong${canary}.${apiKey}` });
    const failure = await failureOf(() => client.chat.completions.create(chat));
    assert.deepEqual([failure.class, failure.status, failure.code], ['AuthenticationError', 401, 'invalid_access_token']);
    assert.deepEqual(await stack.requests(), []);
  });

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
