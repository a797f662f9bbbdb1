"""Part of the script: waveform and spectrogram of a clip, drawn from its own audio by the browser."""

from __future__ import annotations

from typing import Final

SOUND: Final = r"""
const stripWidth = 480, stripHeight = 48, stripRange = 80, lowest = 50;
const svg = (tag, values, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const strip = (key, length, ...drawing) => svg("svg", {
  viewBox: `0 0 ${stripWidth} ${stripHeight}`, preserveAspectRatio: "none", role: "img", class: "timeline",
  "data-duration": length, "data-label": key, "aria-label": t(key),
}, ...drawing, svg("line", {x1: -1, y1: 0, x2: -1, y2: stripHeight, class: "cursor"}));

function outline(samples) {
  const columns = Math.min(stripWidth, samples.length);
  const upper = [], lower = [];
  for (let column = 0; column < columns; column += 1) {
    const end = Math.floor((column + 1) * samples.length / columns);
    let high = -1, low = 1;
    for (let place = Math.floor(column * samples.length / columns); place < end; place += 1) {
      high = Math.max(high, samples[place]);
      low = Math.min(low, samples[place]);
    }
    const x = ((column + 0.5) / columns * stripWidth).toFixed(1);
    const y = (level) => stripHeight / 2 * (1 - Math.min(1, Math.max(-1, level)));
    upper.push(`${x} ${y(high).toFixed(1)}`);
    lower.unshift(`${x} ${(y(low) + 0.4).toFixed(1)}`);
  }
  return `M${[...upper, ...lower].join(" L")}Z`;
}

// Of a signal whose length is a power of two, in place.
function fourier(real, imaginary) {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i += 1) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let span = 2; span <= size; span *= 2) {
    const half = span / 2;
    for (let k = 0; k < half; k += 1) {
      const c = Math.cos(-2 * Math.PI * k / span), s = Math.sin(-2 * Math.PI * k / span);
      for (let i = k; i < size; i += span) {
        const x = real[i + half] * c - imaginary[i + half] * s, y = real[i + half] * s + imaginary[i + half] * c;
        real[i + half] = real[i] - x; imaginary[i + half] = imaginary[i] - y;
        real[i] += x; imaginary[i] += y;
      }
    }
  }
}
// Low is below, loud is bright; frequencies are logarithmic.
function spectrum(samples, rate) {
  const size = 1024, width = stripWidth, height = 2 * stripHeight, top = rate / 2;
  const level = new Float32Array(width * height);
  const bins = Array.from({length: height}, (_, row) =>
    Math.min(size / 2, Math.round(lowest * (top / lowest) ** (1 - row / (height - 1)) * size / rate)));
  const real = new Float32Array(size), imaginary = new Float32Array(size);
  let loudest = -Infinity;
  for (let column = 0; column < width; column += 1) {
    const start = Math.floor((column + 0.5) / width * samples.length) - size / 2;
    for (let place = 0; place < size; place += 1) {
      real[place] = (samples[start + place] ?? 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * place / size));
    }
    imaginary.fill(0);
    fourier(real, imaginary);
    for (let row = 0; row < height; row += 1) {
      const found = 10 * Math.log10(real[bins[row]] ** 2 + imaginary[bins[row]] ** 2 + 1e-12);
      level[row * width + column] = found;
      loudest = Math.max(loudest, found);
    }
  }
  const colours = [[12, 10, 30], [66, 24, 104], [158, 47, 107], [235, 105, 62], [252, 226, 140]];
  const canvas = make("canvas", {width, height});
  const pixels = new ImageData(width, height);
  for (let place = 0; place < level.length; place += 1) {
    const shade = Math.min(1, Math.max(0, (level[place] - loudest) / stripRange + 1)) * (colours.length - 1);
    const step = Math.min(colours.length - 2, Math.floor(shade)), rest = shade - step;
    for (let part = 0; part < 3; part += 1) {
      pixels.data[4 * place + part] = colours[step][part] * (1 - rest) + colours[step + 1][part] * rest;
    }
    pixels.data[4 * place + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

async function soundStrips(address) {
  const reply = await fetch(address, {credentials: "same-origin"});
  if (!reply.ok) throw new Error("no file");
  const sound = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(await reply.arrayBuffer());
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    sound.getChannelData(channel).forEach((value, place) => { samples[place] += value / sound.numberOfChannels; });
  }
  const seen = make("div", {className: "spectrum"},
    spectrum(samples, sound.sampleRate), strip("spectrum", sound.duration));
  return [strip("wave", sound.duration, svg("path", {d: outline(samples), class: "wave"})), seen];
}
"""
"""`soundStrips(address)`."""
