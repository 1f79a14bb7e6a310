import assert from 'node:assert/strict';
import { collect, responseEvents, streamChat, streamResponse, text } from '../cases.js';
import { both, chat, failureOf, fault, pattern, prompt, reply, startStack } from '../stack.js';

const stack = await startStack();
const response = { model: 'gpt-fake', input: prompt };

both(stack, 'chat stream', streamChat);

both(stack, 'chat stream by the helper', async (client) => {
  const deltas = [];
  const stream = client.chat.completions.stream(chat);
  stream.on('content', (delta) => deltas.push(delta));
  const completion = await stream.finalChatCompletion();
  assert.equal(completion.choices[0].message.content, reply(prompt));
  assert.equal(deltas.join(''), reply(prompt));
  return { completion, deltas };
});

// Streams that are whole, but not as plain as most.
for (const shape of ['events=300', 'big-event=1000000', 'byte-writes', 'comments', 'gzip', 'br', 'gzip byte-writes', 'trailers', 'no-done']) {
  both(stack, `chat stream: ${shape}`, async (client) => {
    const chunks = await collect(client.chat.completions.create({ ...chat, stream: true }, fault(shape)));
    assert.match(text(chunks), /^Backwards → /);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
    return chunks;
  });
}

both(stack, 'response stream', streamResponse);

both(stack, 'response stream, resumed', async (client) => {
  const events = await collect(client.responses.retrieve('resp_1', { stream: true, starting_after: 5 }));
  assert.deepEqual(events.map((event) => event.type), responseEvents.slice(6));
  return events;
});

// The upstream falls silent after some events and waits until its client
// disconnects: what has arrived by then was not buffered. No event at all
// means that the header came at once.
for (const count of [0, 1, 2, 5]) {
  for (const [name, create] of [
    ['chat', (client, options) => client.chat.completions.create({ ...chat, stream: true }, options)],
    ['response', (client, options) => client.responses.create({ ...response, stream: true }, options)],
  ]) {
    both(stack, `${name} events come one by one, and an abort gets through: ${count}`, async (client) => {
      const controller = new AbortController();
      const stream = await create(client, { ...fault(`silence=${count}`), signal: controller.signal });
      const events = [];
      if (count === 0) {
        controller.abort();
      }
      for await (const event of stream) {
        events.push(event);
        if (events.length === count) {
          const [request] = await stack.requests({ wait: 1 });
          assert.equal(request.done, false, 'the upstream was done before its client left');
          controller.abort();
        }
      }
      assert.equal(events.length, count);
      const [request] = await stack.requests({ done: 1 });
      assert.equal(request.canceled, true);
      return events;
    });
  }
}

both(stack, 'speech comes at once', async (client) => {
  const res = await client.audio.speech.create({ model: 'tts-fake', voice: 'alloy', input: prompt }, fault('silence=3'));
  const wanted = pattern(3 << 11);
  let bytes = Buffer.alloc(0);
  for await (const part of res.body) {
    bytes = Buffer.concat([bytes, part]);
    if (bytes.length >= wanted.length) {
      break; // which cancels
    }
  }
  assert.ok(bytes.equals(wanted));
  const [request] = await stack.requests({ done: 1 });
  assert.equal(request.canceled, true);
});

both(stack, 'abort before the header', async (client) => {
  const controller = new AbortController();
  const failure = failureOf(() => client.chat.completions.create(chat, { ...fault('hang'), signal: controller.signal }));
  await stack.requests({ wait: 1 });
  controller.abort();
  assert.equal((await failure).class, 'APIUserAbortError');
  const requests = await stack.requests({ done: 1 });
  assert.equal(requests.length, 1);
  assert.equal(requests[0].canceled, true);
  return failure;
});

both(stack, 'leaving the loop', async (client) => {
  const stream = await client.chat.completions.create({ ...chat, stream: true }, fault('silence=2'));
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  const [request] = await stack.requests({ done: 1 });
  assert.equal(request.canceled, true);
});
