import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodies, bodyCuts, meetCut, streamCuts, streams } from '../cuts.js';
import { both, failureOf, fault, newClient, startStack } from '../stack.js';

const stack = await startStack();

for (const cut of streamCuts) {
  for (const name of Object.keys(streams)) {
    both(stack, `${name} stream: ${cut}`, (client) => meetCut(client, name, cut));
  }
}

both(stack, 'response stream: no-last-chunk', (client) => meetCut(client, 'response', 'no-last-chunk'));

test('a cut between events says what happened', async () => {
  await stack.reset();
  const failure = await failureOf(async () => {
    for await (const chunk of await streams.chat(newClient(stack.open), fault('cut=3', 'gap=1ms'))) {
      assert.ok(chunk);
    }
  });
  assert.equal(failure.class, 'APIError');
  assert.equal(failure.code, 'upstream_interrupted');
  assert.equal(await stack.hits('open'), 1);
});

for (const cut of bodyCuts) {
  for (const [name, call] of Object.entries(bodies)) {
    both(stack, `${name}: ${cut}`, async (client) => {
      await failureOf(() => call(client, fault(cut)));
    });
  }
}
