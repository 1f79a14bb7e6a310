import assert from 'node:assert/strict';
import { both, chat, failureOf, fault, pattern, prompt, reply, startStack, textEvents } from '../stack.js';

const stack = await startStack();
const response = { model: 'gpt-fake', input: prompt };

// responseEvents are the types of a whole stream, in order.
const responseEvents = [
  'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
  ...Array(textEvents).fill('response.output_text.delta'),
  'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed',
];

const collect = async (stream) => {
  const events = [];
  for await (const event of await stream) {
    events.push(event);
  }
  return events;
};

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

both(stack, 'chat stream', async (client) => {
  const chunks = await collect(client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } }));
  assert.equal(chunks.length, 1 + textEvents + 2); // role, text, reason of the end, usage
  assert.equal(text(chunks), reply(prompt));
  assert.equal(chunks.at(-1).usage.completion_tokens, textEvents);
  return chunks;
});

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

both(stack, 'response stream', async (client) => {
  const events = await collect(client.responses.create({ ...response, stream: true }));
  assert.deepEqual(events.map((event) => event.type), responseEvents);
  assert.deepEqual(events.map((event) => event.sequence_number), responseEvents.map((_, i) => i));
  assert.equal(events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join(''), reply(prompt));
  return events;
});

both(stack, 'response stream, resumed', async (client) => {
  const events = await collect(client.responses.retrieve('resp_1', { stream: true, starting_after: 5 }));
  assert.deepEqual(events.map((event) => event.type), responseEvents.slice(6));
  return events;
});

// The upstream falls silent after some events and waits until its client
// leaves: what has arrived by then was not held back for more. No event at all
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
