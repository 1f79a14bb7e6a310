// How the page writes figures, keys and files, and reads keys.

import { locale } from './i18n.mjs';

export const number = (n, options) => new Intl.NumberFormat(locale(), options).format(n);

// day writes a day in UTC; with other options, a time in the user's own zone.
export const day = (seconds, options = { timeZone: 'UTC' }) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', ...options }).format(seconds * 1000);

export const isoDay = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

const quantity = (n, unit, maximumFractionDigits) => number(n, { style: 'unit', unit, maximumFractionDigits });

export const duration = (ms) =>
  ms < 1000 ? quantity(ms, 'millisecond', ms < 10 ? 1 : 0) : quantity(ms / 1000, 'second', ms < 10000 ? 2 : 0);

// ago says how long ago something was that is ms old, or in how long it will be.
export function ago(ms) {
  const size = Math.abs(ms);
  const [one, unit] = size < 90e3 ? [1e3, 'second'] : size < 5400e3 ? [60e3, 'minute'] : size < 1296e5 ? [3600e3, 'hour'] : [86400e3, 'day'];
  return new Intl.RelativeTimeFormat(locale(), { style: 'short' }).format(-Math.round(ms / one), unit);
}

// joined writes what there is of parts on one line.
export const joined = (parts) => parts.filter(Boolean).join(' · ');

export const megabytes = (bytes) => quantity(bytes / 1e6, 'megabyte', 1);

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
const invisible = /\p{Cf}/gu;
const dashes = /[\p{Pd}\u2212]/gu; // put in by word processors
const quotes = /["'`\p{Pi}\p{Pf}‚„「-』]/gu;
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
