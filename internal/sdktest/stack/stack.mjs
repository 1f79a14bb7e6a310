// The stack for tests in Node: starting it, and looking behind its scenes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

// canary is part of every key, token, prompt and query, so that nothing of them
// gets into a relay's log unnoticed.
export const canary = 'CANARY';

const repository = fileURLToPath(new URL('../../..', import.meta.url));

// startStack starts a stack for this file's tests, with functions on AWS Lambda
// if lambda says so, and with the Worker on workerd if worker does. When they are over it looks through the relays' log and
// stops the stack.
export async function startStack({ lambda = false, worker = false } = {}) {
  const [command, ...args] = process.env.SDKTEST_STACK ? [process.env.SDKTEST_STACK] : ['go', 'run', './internal/sdktest/stack'];
  if (lambda) {
    args.push('-lambda');
  }
  if (worker) {
    args.push('-worker');
  }
  const child = spawn(command, args, { cwd: repository, stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'exit').then(([code]) => assert.fail(`the stack exited with ${code}`)),
  ]);
  const stack = new Stack(JSON.parse(line));
  after(async () => {
    try {
      await stack.checkLog();
    } finally {
      const exit = once(child, 'exit');
      child.stdin.end();
      assert.deepEqual(await exit, [0, null], 'exit of the stack');
    }
  });
  return stack;
}

class Stack {
  constructor(greeting) {
    Object.assign(this, greeting);
  }

  async #ask(method, path, body) {
    const res = await fetch(this.control + path, { method, body: body && JSON.stringify(body) });
    const text = await res.text();
    assert.equal(res.status, 200, text);
    return text && JSON.parse(text);
  }

  // reset forgets all requests, faults and counts.
  reset() {
    return this.#ask('POST', '/reset');
  }

  // script gives the next request the first of faults, and so on; or with checks
  // the relays' next deep check.
  script(faults, { checks = false } = {}) {
    return this.#ask('POST', `/script?checks=${checks}`, faults);
  }

  // kill lets the first region of a gateway go, for good.
  kill(gateway) {
    return this.#ask('POST', `/kill/${gateway}`);
  }

  // requests returns what the upstream saw, once as many requests have come as
  // wait says, and as many are over as done says.
  requests({ wait = 0, done = 0 } = {}) {
    return this.#ask('GET', `/requests?wait=${wait}&done=${done}`);
  }

  // hits returns how many requests a relay got.
  async hits(relay) {
    return (await this.#ask('GET', '/hits'))[relay];
  }

  // log returns what the relays have logged. They serve nothing any more.
  log() {
    return this.#ask('GET', '/log');
  }

  // checkLog fails if the relays logged a secret, or nothing, or if net/http
  // complained of them.
  async checkLog() {
    const { records, complaints } = await this.log();
    assert.match(records, /"msg":"request"/);
    assert.ok(!records.includes(canary), 'the log holds a secret: ' + records);
    assert.equal(complaints, '', 'net/http complained of a relay');
  }
}
