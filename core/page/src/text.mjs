// How the page writes figures, keys and files, and reads keys.

import { locale } from './i18n.mjs';

export const number = (n, options) => new Intl.NumberFormat(locale(), options).format(n);

export const day = (seconds, dateStyle = 'medium') =>
  new Intl.DateTimeFormat(locale(), { dateStyle, timeZone: 'UTC' }).format(new Date(seconds * 1000));

export const isoDay = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

export const duration = (ms) =>
  ms < 1000 ? number(ms, { style: 'unit', unit: 'millisecond', maximumFractionDigits: ms < 10 ? 1 : 0 })
    : number(ms / 1000, { style: 'unit', unit: 'second', maximumFractionDigits: ms < 10000 ? 2 : 0 });

// ago says how long ago something was that is ms old.
export function ago(ms) {
  const [n, unit] = ms < 90e3 ? [ms / 1e3, 'second'] : ms < 5400e3 ? [ms / 60e3, 'minute'] : [ms / 3600e3, 'hour'];
  return new Intl.RelativeTimeFormat(locale(), { style: 'short' }).format(-Math.round(n), unit);
}

export const megabytes = (bytes) => number(bytes / 1e6, { style: 'unit', unit: 'megabyte', maximumFractionDigits: 1 });

// money writes an amount in a currency such as usd; small ones with four places.
export function money(amount, currency = 'usd') {
  const options = { maximumFractionDigits: amount !== 0 && Math.abs(amount) < 0.1 ? 4 : 2, minimumFractionDigits: 2 };
  try {
    return number(amount, { ...options, style: 'currency', currency: currency.toUpperCase() });
  } catch { // not a currency's code
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

// What comes with a key from a mail, a chat, a script or a settings file.
const invisible = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/g;
const dashes = /[\u2010-\u2015\u2212]/g; // put in by word processors
const quotes = /["'`\u00ab\u00bb\u2018-\u201f\u2039\u203a\u300c-\u300f]/g;
const names = /(^|[\s,;])(export\s+|set\s+|\$env:)?[a-z_][\w-]*(\s*:(?=\s)|[ \t]*=(?=[ \t]*[^\s=]))/gi; // NAME=, name:
const schemes = /(^|\s)bearer\s+(?=\S)/gi;

// splitKeys returns the keys in what was typed or pasted, each once, without what
// is around them there.
export function splitKeys(text) {
  const bare = text.normalize('NFKC').replace(invisible, '').replace(dashes, '-').replace(quotes, ' ')
    .replace(names, '$1 ').replace(schemes, ' ');
  return [...new Set(bare.split(/[\s,;、]+/).filter(Boolean))];
}

// cleanToken returns the access token in what was typed or pasted, which may be
// the start of an API key, rt_<token>.
export const cleanToken = (text) => (splitKeys(text)[0] ?? '').replace(/^rt_([^.]*).*/s, '$1');

// isMalformed reports whether a secret has characters that no header can carry.
export const isMalformed = (secret) => /[^\x21-\x7e]/.test(secret);

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
