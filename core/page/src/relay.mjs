// Calling the relay that the page came from.

import { callout, el } from './dom.mjs';
import { t, words } from './i18n.mjs';
import { isMalformed, scrub } from './text.mjs';

// home is the relay's address, with a slash at its end.
export const home = new URL('.', location.href).href;

export const base = home + 'v1';

// credentials are the access token and, if known, what health told.
export const relay = { token: '', health: null };

// patience is how long a call that is not streamed may take, in ms.
const patience = 30_000;

let doubt = () => {};

// onDoubt calls f when a call fails in a way that may be the relay's fault.
export const onDoubt = (f) => (doubt = f);

// weigh tells of a failure that may be the relay's, rather than the key's or the
// API's.
export function weigh({ from, status }) {
  if (from === 'other' || (from === 'relay' && status >= 500)) doubt();
}

const isHealth = (path) => path.startsWith('relay/');

// refusal returns why a call would fail before it is made, or null. Health needs
// neither token nor key.
export function refusal(path, key) {
  if (isHealth(path)) return null;
  if (isMalformed(relay.token)) return { word: 'token_malformed' };
  return isMalformed(key ?? '') ? { word: 'malformed' } : null;
}

// request calls a path of the relay, with a key or without one.
export async function request(path, { key, body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = 'Bearer ' + key;
  if (relay.token && !isMalformed(relay.token)) headers['X-Relay-Token'] = relay.token;
  if (body) headers['Content-Type'] = 'application/json';
  try {
    return await fetch(home + path, {
      method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal,
      cache: 'no-store', redirect: 'error',
    });
  } catch (error) {
    if (!signal?.aborted && !isHealth(path)) doubt();
    throw error;
  }
}

// ask calls a path that responds with JSON. If it doesn't, the failure says why.
export async function ask(path, { key, body, signal } = {}) {
  const failure = refusal(path, key);
  if (failure) return { failure };
  const timeout = AbortSignal.timeout(patience);
  let res;
  let text;
  try {
    res = await request(path, { key, body, signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
    text = await res.text();
  } catch {
    return { failure: { word: signal?.aborted ? 'stopped' : timeout.aborted ? 'timed_out' : 'unreachable' } };
  }
  const json = parse(text);
  const answer = { status: res.status, headers: res.headers, json };
  // Some APIs report errors with the status 200.
  if (!res.ok || typeof json !== 'object' || !json || json.error || json.success === false) {
    answer.failure = failureOf(res, text, key);
    if (!isHealth(path)) weigh(answer.failure);
  }
  return answer;
}

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// failureOf returns what a response says is wrong, in the relay's or the API's
// own words, and who says so.
export function failureOf(res, text, key) {
  const json = parse(text);
  const error = json?.error;
  const origin = /origin=(\w+)/.exec(res.headers.get('X-Relay') ?? '')?.[1];
  const said = error?.message ?? (typeof error === 'string' ? error : json?.message);
  const message = said ?? text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 200);
  return {
    from: origin === 'relay' ? 'relay' : origin ? 'api' : 'other',
    status: res.status,
    type: error?.type,
    code: String(error?.code ?? res.headers.get('X-Relay-Error') ?? ''),
    message: scrub(message || res.statusText, [key, relay.token]),
    id: res.headers.get('X-Request-Id') ?? '',
  };
}

// sentence returns what a failure says: in the page's words if it has some for the
// page's or the relay's own code.
export const sentence = ({ word, from, code, message }) => (word ? t(word) : from === 'relay' && words[code] ? t(code) : message);

// failureText returns a failure as an element to show.
export function failureText(failure, kind = 'bad') {
  const { word, from, status, code, id } = failure;
  return callout(kind, word ? sentence(failure) : [
    el('p', null, `${t('says_' + from)}${status ? ` (${status})` : ''}: ${sentence(failure)} `, code && el('code', null, code)),
    id && el('small', null, id),
  ]);
}
