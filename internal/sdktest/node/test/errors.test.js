import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { apiKey, both, canary, chat, failureOf, fault, newClient, pattern, startStack } from '../stack.js';

const stack = await startStack();

// Errors of the upstream reach programs unchanged.
for (const [directives, status, errorClass, code] of [
  ['status=400', 400, 'BadRequestError', null],
  ['status=401', 401, 'AuthenticationError', null],
  ['status=403', 403, 'PermissionDeniedError', null],
  ['region-refused', 403, 'PermissionDeniedError', 'unsupported_country_region_territory'],
  ['status=404', 404, 'NotFoundError', null],
  ['status=409', 409, 'ConflictError', null],
  ['status=422', 422, 'UnprocessableEntityError', null],
  ['status=429 retry-after-ms=20', 429, 'RateLimitError', 'rate_limit_exceeded'],
  ['status=500', 500, 'InternalServerError', null],
  ['status=503 retry-after=2', 503, 'InternalServerError', null],
]) {
  for (const stream of [false, true]) {
    both(stack, `${directives}${stream ? ', asked for a stream' : ''}`, async (client) => {
      const failure = await failureOf(() => client.chat.completions.create({ ...chat, stream }, { ...fault(directives), maxRetries: 0 }));
      assert.deepEqual(
        { class: failure.class, status: failure.status, code: failure.code },
        { class: errorClass, status, code },
      );
      assert.ok(failure.requestID);
      return failure;
    });
  }
}

both(stack, 'invalid key', async (client) => {
  const failure = await failureOf(() => client.withOptions({ apiKey: 'sk-invalid-' + canary }).models.list());
  assert.equal(failure.code, 'invalid_api_key');
  return failure;
});

// The relay neither retries by itself nor keeps the SDK from retrying.
for (const [name, faults, attempts, ok] of [
  ['two 500s, default back-off', ['status=500', 'status=500'], 3, true],
  ['two 500s', ['status=500 retry-after-ms=1', 'status=500 retry-after-ms=1'], 3, true],
  ['three 500s', Array(3).fill('status=500 retry-after-ms=1'), 3, false],
  ['429 with retry-after-ms', ['status=429 retry-after-ms=20'], 2, true],
  ['408', ['status=408 retry-after-ms=1'], 2, true],
  ['409', ['status=409 retry-after-ms=1'], 2, true],
  ['400', ['status=400'], 1, false],
  ['400 with x-should-retry', ['status=400 should-retry=true retry-after-ms=1'], 2, true],
  ['503 without x-should-retry', ['status=503 should-retry=false'], 1, false],
  ['connection reset', ['reset-before'], 2, true],
  ['connection closed', ['close-before'], 2, true],
]) {
  both(stack, `attempts: ${name}`, async (client) => {
    await stack.script(faults);
    const call = () => client.chat.completions.create(chat);
    const outcome = ok ? await call() : await failureOf(call);
    const counts = (await stack.requests()).map(({ header }) => header['X-Stainless-Retry-Count'][0]);
    assert.deepEqual(counts, ['0', '1', '2'].slice(0, attempts));
    return outcome;
  });
}

const withToken = (client) => client.withOptions({ apiKey: `rt_${stack.accessToken}.${apiKey}` });

// The relay's own errors, the number of the SDK's attempts, and what the upstream
// sees of them.
for (const [name, relay, call, want, attempts] of [
  ['no token', 'token', (client) => client.chat.completions.create(chat),
    { class: 'AuthenticationError', status: 401, code: 'invalid_access_token' }, 1],
  ['wrong token', 'token', (client) => client.withOptions({ apiKey: `rt_wrong${canary}.${apiKey}` }).chat.completions.create(chat),
    { class: 'AuthenticationError', status: 401, code: 'invalid_access_token' }, 1],
  ['expired token', 'expired', (client) => withToken(client).chat.completions.create(chat),
    { class: 'AuthenticationError', status: 401, code: 'token_expired' }, 1],
  ['path that the token does not permit', 'paths', (client) => withToken(client).responses.create({ model: 'gpt-fake', input: canary }),
    { class: 'PermissionDeniedError', status: 403, code: 'token_not_allowed' }, 1],
  ['model that the token does not permit', 'models', (client) => withToken(client).chat.completions.create({ ...chat, model: 'other' }),
    { class: 'PermissionDeniedError', status: 403, code: 'token_not_allowed' }, 1],
  ['stream of a model that the token does not permit', 'models', (client) => withToken(client).responses.create({ model: 'other', input: canary, stream: true }),
    { class: 'PermissionDeniedError', status: 403, code: 'token_not_allowed' }, 1],
  ['large JSON', 'small', (client) => client.chat.completions.create({ ...chat, user: canary.repeat(11 << 10) }),
    { class: 'APIError', status: 413, code: 'body_too_large' }, 1],
  ['large file', 'small', async (client) => client.files.create({ file: await toFile(pattern(5 << 20), canary), purpose: 'user_data' }),
    { class: 'APIError', status: 413, code: 'body_too_large' }, 1],
  ['upstream down', 'down', (client) => client.chat.completions.create(chat),
    { class: 'InternalServerError', status: 502, code: 'upstream_connect' }, 3],
  ['base URL without /v1', 'open', (client) => client.withOptions({ baseURL: stack.open }).chat.completions.create(chat),
    { class: 'NotFoundError', status: 404, code: 'unknown_path' }, 1],
  ['loop', 'open', (client) => client.chat.completions.create(chat, { headers: { 'Relay-Hop': '2' } }),
    { class: 'InternalServerError', status: 508, code: 'relay_loop' }, 1],
]) {
  test(`the relay's own: ${name}`, async () => {
    await stack.reset();
    const failure = await failureOf(() => call(newClient(stack[relay])));
    assert.deepEqual({ class: failure.class, status: failure.status, code: failure.code }, want);
    assert.equal(failure.type, 'relay_error');
    assert.ok(failure.requestID);
    assert.ok(!JSON.stringify(failure).includes(canary));
    assert.equal(await stack.hits(relay), attempts);
    assert.deepEqual(await stack.requests(), []);
  });
}

// The file of a form comes before its model.
test('models that the token permits', async () => {
  await stack.reset();
  const client = withToken(newClient(stack.models));
  await client.chat.completions.create(chat);
  for await (const _ of await client.chat.completions.create({ ...chat, stream: true }));
  await client.responses.create({ model: 'gpt-fake', input: canary });
  await client.models.list();
  await client.audio.transcriptions.create({ file: await toFile(pattern(777_777), `${canary}.mp3`), model: 'whisper-fake' });
  assert.equal((await stack.requests()).length, 5);
});

// The SDK asks again when Retry-After-Ms says, and is served then.
test('rate of a token', async () => {
  await stack.reset();
  const client = withToken(newClient(stack.rate));
  let served = 0;
  const failure = await failureOf(async () => {
    for (; served < 30; served++) await client.models.list({ maxRetries: 0 });
  });
  assert.deepEqual({ class: failure.class, status: failure.status, code: failure.code },
    { class: 'RateLimitError', status: 429, code: 'token_rate_limited' });
  assert.ok(served >= 20 && failure.retryAfterMs > 0, JSON.stringify({ served, ...failure }));
  const hits = await stack.hits('rate');
  await client.chat.completions.create(chat);
  assert.equal((await stack.hits('rate')) - hits, 2);
  assert.equal((await stack.requests()).length, served + 1);
});
