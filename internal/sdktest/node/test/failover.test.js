import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect, text } from '../cases.js';
import { chat, fault, newClient, prompt, reply, startStack } from '../stack.js';

const stack = await startStack();

const workers = 6;
const callsEach = 20;

// A region goes while a program makes calls. Those that are no streams all
// succeed, with the retries that the SDK makes by itself; streams are complete
// or throw.
for (const gateway of ['gatewayRefuse', 'gateway503', 'gatewayReset']) {
  test(`a killed region: ${gateway}`, async () => {
    await stack.reset();
    const client = newClient(stack[gateway]);
    const complete = async () => {
      const completion = await client.chat.completions.create(chat, fault('delay=2ms'));
      assert.equal(completion.choices[0].message.content, reply(prompt));
    };
    // stream returns whether the stream was cut.
    const stream = async () => {
      let chunks;
      try {
        chunks = await collect(client.chat.completions.create({ ...chat, stream: true }, fault('gap=1ms')));
      } catch {
        return true;
      }
      assert.equal(text(chunks), reply(prompt), 'a stream ended without an error, and is not complete');
      return false;
    };

    let calls = 0;
    let cut = 0;
    await Promise.all(Array.from({ length: workers }, async (_, worker) => {
      for (let i = 0; i < callsEach; i++) {
        if (++calls === workers * callsEach / 3) {
          await stack.kill(gateway);
        }
        if ((worker + i) % 2 === 0) {
          await complete();
        } else {
          cut += await stream();
        }
      }
    }));
    assert.ok(cut <= workers, `${cut} streams were cut, want no more than one for each worker`);
    assert.ok(await stack.hits(gateway) >= workers * callsEach);
    assert.ok(await stack.hits(`${gateway}0`) > 0, 'the first region was used');
    assert.ok(await stack.hits(`${gateway}1`) > 0, 'the second region was used');
  });
}
