// Calling the relay that the page came from.

import { el } from './dom.mjs';
import { t } from './i18n.mjs';
import { scrub } from './text.mjs';

// home is the relay's address, with a slash at its end.
export const home = new URL('.', location.href).href;

export const base = home + 'v1';

// credentials are the access token and, if known, what health told.
export const relay = { token: '', health: null };

// request calls a path of the relay, with a key or without one.
export function request(path, { key, body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = 'Bearer ' + key;
  if (relay.token) headers['X-Relay-Token'] = relay.token;
  if (body) headers['Content-Type'] = 'application/json';
  return fetch(home + path, {
    method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal,
    cache: 'no-store', redirect: 'error',
  });
}

// ask calls a path that answers with JSON. If it doesn't, the failure says why.
export async function ask(path, options = {}) {
  let res;
  let text;
  try {
    res = await request(path, options);
    text = await res.text();
  } catch {
    return { failure: { word: 'unreachable', code: 'network' } };
  }
  const json = parse(text);
  const answer = { status: res.status, headers: res.headers, json };
  if (!res.ok || !json) answer.failure = failureOf(res, text, options.key);
  return answer;
}

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// failureOf returns what an answer says is wrong, in the relay's or the API's
// own words, and who says so.
export function failureOf(res, text, key) {
  const error = parse(text)?.error;
  const origin = /origin=(\w+)/.exec(res.headers.get('X-Relay') ?? '')?.[1];
  const message = error?.message ?? (typeof error === 'string' ? error : text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 200));
  return {
    from: origin === 'relay' ? 'relay' : origin ? 'api' : 'other',
    status: res.status,
    code: error?.code ?? res.headers.get('X-Relay-Error') ?? '',
    message: scrub(message || res.statusText, [key, relay.token]),
    id: res.headers.get('X-Request-Id') ?? '',
  };
}

// failureText returns a failure as elements to show.
export function failureText(failure) {
  if (failure.word) return el('p', { class: 'bad' }, t(failure.word));
  const { from, status, code, message, id } = failure;
  return el('div', null,
    el('p', null, `${t('says_' + from)}${status ? ` (${status})` : ''}: ${message} `, code && el('code', null, code)),
    id && el('small', { class: 'hint' }, id));
}
