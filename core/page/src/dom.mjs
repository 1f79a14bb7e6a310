// Making elements. Text is always text: nothing here reads markup.

import { t } from './i18n.mjs';

export const $ = (id) => document.getElementById(id);

// signs are what kinds of news begin with, for those who see no colours.
export const signs = { good: '✓', warn: '!', bad: '✗', '': '…' };

// el returns an element with attributes and children. An attribute that begins
// with "on" is a listener; children that are null, false or '' are left out.
export function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(e, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else if (value != null) e.setAttribute(key, value);
  }
  e.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ''));
  return e;
}

// facts returns the pairs of a description list, without those that are empty.
export function facts(pairs) {
  return pairs.filter(([, value]) => value).flatMap(([name, value]) => [el('dt', null, name), el('dd', null, value)]);
}

// table returns a table whose rows begin with a heading. Columns of numbers are
// named.
export function table(headings, rows, numbers = []) {
  const cell = (kind, scope) => (content, i) => el(kind, { ...scope, ...(numbers.includes(i) && { class: 'num' }) }, content);
  return el('table', null,
    el('thead', null, el('tr', null, headings.map(cell('th', { scope: 'col' })))),
    el('tbody', null, rows.map(([first, ...rest]) =>
      el('tr', null, cell('th', { scope: 'row' })(first, 0), rest.map((content, i) => cell('td')(content, i + 1))))));
}

// callout returns a box with an icon, for what must not be overlooked.
export const callout = (kind, ...children) => el('div', { class: 'callout ' + kind }, children);

export const button = (text, onclick, attributes) => el('button', { type: 'button', ...attributes, onclick }, text);

// copyButton copies what get returns when it is pressed.
export const copyButton = (get, attributes) =>
  button(t('copy'), ({ target }) => copy(get(), target, 'copy'), { class: 'copy', ...attributes });

// copy puts text on the clipboard, also where the address is plain http, and has the
// button say so in place of its word for a while.
export async function copy(text, button, word) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const focus = document.activeElement;
    const area = el('textarea', { class: 'unseen' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    focus?.focus();
  }
  button.textContent = t('copied');
  setTimeout(() => (button.textContent = t(word)), 2000);
}

// save hands text out as a file.
export function save(name, text) {
  const link = el('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/csv' })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
