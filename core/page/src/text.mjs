// How the page writes figures, keys and files.

import { locale } from './i18n.mjs';

export const number = (n, options) => new Intl.NumberFormat(locale(), options).format(n);

export const day = (seconds) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeZone: 'UTC' }).format(new Date(seconds * 1000));

export const duration = (ms) =>
  ms < 1000 ? number(ms, { style: 'unit', unit: 'millisecond', maximumFractionDigits: ms < 10 ? 1 : 0 })
    : number(ms / 1000, { style: 'unit', unit: 'second', maximumFractionDigits: ms < 10000 ? 2 : 0 });

export const megabytes = (bytes) => number(bytes / 1e6, { style: 'unit', unit: 'megabyte', maximumFractionDigits: 1 });

// money writes an amount in a currency such as usd; small ones with four places.
export function money(amount, currency = 'usd') {
  const options = { maximumFractionDigits: amount !== 0 && Math.abs(amount) < 0.1 ? 4 : 2, minimumFractionDigits: 2 };
  try {
    return number(amount, { ...options, style: 'currency', currency: currency.toUpperCase() });
  } catch { // no code of a currency
    return number(amount, options) + ' ' + currency;
  }
}

// kindOf tells by its prefix what a key is for.
export function kindOf(key) {
  const bare = key.replace(/^rt_[^.]*\./, '');
  return bare.startsWith('sk-admin-') ? 'admin' : bare.startsWith('sess-') ? 'session' : 'api';
}

// mask shows of a key what it takes to tell it from others: its prefix, and the
// last four of its characters if there are many. A token in front shows nothing.
export function mask(key) {
  const [, token, bare] = /^(rt_[^.]*\.?)?(.*)$/s.exec(key);
  const prefix = /^(sk-(proj-|admin-|svcacct-|None-)?|sess-)?/.exec(bare)[0];
  return (token ? 'rt_….' : '') + (bare || !token ? prefix + '…' + (bare.length - prefix.length >= 16 ? bare.slice(-4) : '') : '');
}

// scrub masks every one of secrets in a text that others wrote.
export function scrub(text, secrets) {
  return secrets.filter(Boolean).reduce((clean, secret) => clean.replaceAll(secret, mask(secret)), String(text));
}

// splitKeys returns the keys in what was typed or pasted, each once.
export function splitKeys(text) {
  return [...new Set(text.split(/[\s,;"']+/).filter(Boolean))];
}

// csv writes rows as a file for spreadsheets. What would be a formula there gets
// an apostrophe in front, since upstreams write some of the cells.
export function csv(rows) {
  const cell = (value) => {
    let text = String(value ?? '').replace(/\s+/g, ' ').trim();
    if (typeof value !== 'number' && /^[=+\-@|%]/.test(text)) text = "'" + text;
    return '"' + text.replaceAll('"', '""') + '"';
  };
  return '\ufeff' + rows.map((row) => row.map(cell).join(',') + '\r\n').join('');
}
