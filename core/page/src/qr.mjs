// QR codes (ISO/IEC 18004): bytes, versions 1 to 6, error correction L, and always
// the first of the masks, which suits text that is no pattern itself.

// Of each version: codewords of error correction per block, and data codewords of
// the blocks.
const versions = [[7, [19]], [10, [34]], [15, [55]], [20, [80]], [26, [108]], [18, [68, 68]]];

// Powers of 2 in GF(256), and their logarithms.
const powers = [];
const logs = [];
for (let i = 0, x = 1; i < 255; i++) {
  powers[i] = x;
  logs[x] = i;
  x = x << 1 ^ (x >> 7) * 0x11d;
}
const times = (a, b) => (a && b ? powers[(logs[a] + logs[b]) % 255] : 0);

// qr returns the modules of text's code, true for dark ones, row by row; null if
// it is too long, over 134 bytes.
export function qr(text) {
  const bytes = [...new TextEncoder().encode(text)];
  const index = versions.findIndex(([, blocks]) => bytes.length + 2 <= blocks.length * blocks[0]);
  if (index < 0) return null;
  const version = index + 1;
  return draw(version, codewords(bytes, version));
}

// codewords returns the data and its error correction, interleaved.
function codewords(bytes, version) {
  const [ec, sizes] = versions[version - 1];
  const bits = [];
  const put = (value, n) => {
    for (let i = n - 1; i >= 0; i--) bits.push(value >> i & 1);
  };
  put(4, 4);
  put(bytes.length, 8);
  for (const byte of bytes) put(byte, 8);
  const total = sizes.length * sizes[0];
  put(0, Math.min(4, total * 8 - bits.length));
  const data = [];
  for (let i = 0; i < bits.length; i += 8) data.push(parseInt(bits.slice(i, i + 8).join('').padEnd(8, '0'), 2));
  for (let i = 0; data.length < total; i++) data.push(i % 2 ? 0x11 : 0xec);
  let at = 0;
  const blocks = sizes.map((size) => data.slice(at, at += size));
  const corrections = blocks.map((block) => remainder(block, ec));
  const interleave = (lists) => lists[0].flatMap((_, i) => lists.map((list) => list[i]));
  return [...interleave(blocks), ...interleave(corrections)];
}

// remainder returns the n codewords of error correction (Reed and Solomon).
function remainder(block, n) {
  let generator = [1];
  for (let i = 0; i < n; i++) {
    generator = [...generator, 0].map((c, j) => c ^ times(generator[j - 1] ?? 0, powers[i]));
  }
  const rest = [...block, ...Array(n).fill(0)];
  for (let i = 0; i < block.length; i++) {
    const factor = rest[i];
    generator.forEach((c, j) => (rest[i + j] ^= times(c, factor)));
  }
  return rest.slice(block.length);
}

function draw(version, words) {
  const size = version * 4 + 17;
  const grid = Array.from({ length: size }, () => Array(size).fill(null)); // null: for data
  const set = (x, y, dark) => {
    if (grid[y]?.[x] !== undefined) grid[y][x] = Boolean(dark);
  };
  const square = (cx, cy, radius, light) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        set(cx + dx, cy + dy, !light.includes(ring));
      }
    }
  };
  for (let i = 8; i < size - 8; i++) {
    set(i, 6, i % 2 === 0);
    set(6, i, i % 2 === 0);
  }
  if (version > 1) square(size - 7, size - 7, 2, [1]);
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) square(x, y, 4, [2, 4]);
  const format = 0x77c4; // level L, mask 0
  for (let i = 0; i < 15; i++) {
    const dark = format >> i & 1;
    set(8, i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, dark);
    set(i < 8 ? size - 1 - i : i < 9 ? 7 : 14 - i, 8, dark);
  }
  set(8, size - 8, true);
  let bit = 0;
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right--;
    for (let i = 0; i < size; i++) {
      const y = up ? size - 1 - i : i;
      for (const x of [right, right - 1]) {
        if (grid[y][x] !== null) continue;
        const dark = words[bit >> 3] >> (7 - bit % 8) & 1;
        bit++;
        grid[y][x] = Boolean(dark) !== ((x + y) % 2 === 0);
      }
    }
  }
  return grid;
}
