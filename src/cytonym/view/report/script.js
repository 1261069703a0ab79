"use strict";
// The map of the cells (one canvas, pixel by pixel, so that 100,000 cells stay fluid), its filters,
// the colours of the page, and the copying of the methods paragraph. Nothing is loaded or kept.
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  let recolour = () => {};

  // --- the page ---------------------------------------------------------------------------
  const theme = $("theme");
  const nameTheme = () => {
    theme.textContent = isDark() ? "Light colours" : "Dark colours";
    recolour();
  };
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  system.addEventListener("change", nameTheme);
  nameTheme();

  $("copy").hidden = false;
  $("copy").addEventListener("click", async () => {
    const paragraph = $("paragraph");
    try {
      await navigator.clipboard.writeText(paragraph.textContent);
      $("copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(paragraph);
      $("copied").textContent = "Selected: copy it with the keyboard.";
    }
  });

  // --- the cells --------------------------------------------------------------------------
  const source = $("cells");
  if (!source) {
    root.dataset.ready = "true";
    return;
  }
  const data = JSON.parse(source.textContent);
  const n = data.n;
  const bytes = (text) => {
    const raw = atob(text);
    const held = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) held[i] = raw.charCodeAt(i);
    return held;
  };
  const wide = (text) => new Uint16Array(bytes(text).buffer);
  const X = wide(data.x);
  const Y = wide(data.y);
  const confidence = data.confidence && wide(data.confidence);
  const NONE = 65535;
  const columns = new Map();
  for (const one of data.columns) {
    const codes = one.codes.wide ? wide(one.codes.data) : bytes(one.codes.data);
    columns.set(one.id, { ...one, codes });
  }
  const type = columns.get("type");
  columns.set("unknown", {
    names: ["with a type", "without a type"],
    codes: Uint8Array.from(type.codes, (code) => (data.named[code] ? 0 : 1)),
  });

  // A grid over the cells, so that the one under the pointer is found at once.
  const GRID = 128;
  const bin = (value) => value >> 9;
  const start = new Uint32Array(GRID * GRID + 1);
  for (let i = 0; i < n; i++) start[bin(Y[i]) * GRID + bin(X[i]) + 1]++;
  for (let b = 0; b < GRID * GRID; b++) start[b + 1] += start[b];
  const sorted = new Uint32Array(n);
  const next = start.slice();
  for (let i = 0; i < n; i++) sorted[next[bin(Y[i]) * GRID + bin(X[i])]++] = i;

  // --- colours ----------------------------------------------------------------------------
  const RAMPS = {
    light: ["#002051", "#2b446e", "#575c6d", "#7f7c75", "#a89c5f", "#c9b03a"],
    dark: ["#5a6b9a", "#77809b", "#96948f", "#b7a97a", "#dcc657", "#fdea45"],
  };
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const packed = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r;
  const mode = () => (isDark() ? "dark" : "light");
  const grey = () => (isDark() ? "#8b929c" : "#8a9099");

  function shades(id) {
    const palette = data.palettes[mode()];
    if (id === "confidence") {
      const stops = RAMPS[mode()].map(rgb);
      const ramp = Array.from({ length: 101 }, (_, step) => {
        const at = (step / 100) * (stops.length - 1);
        const low = Math.min(Math.floor(at), stops.length - 2);
        return stops[low].map((v, k) => Math.round(v + (stops[low + 1][k] - v) * (at - low)));
      });
      return [...ramp, rgb(grey())];
    }
    const { names } = columns.get(id);
    if (id === "unknown") return [rgb(grey()), rgb(palette[5])];
    if (id === "right") return [rgb(palette[0]), rgb(palette[5]), rgb(grey())];
    const apart = (code) =>
      (id === "type" && !data.named[code]) || names[code] === "(not known)";
    // Beyond 17 names colours come again: paler, then darker, and with another shape.
    const ends = isDark() ? [[255, 255, 255], [24, 28, 34]] : [[255, 255, 255], [27, 31, 36]];
    return names.map((_, code) => {
      if (apart(code)) return rgb(grey());
      const turn = Math.floor(code / palette.length);
      const [share, end] = turn ? [0.45, ends[(turn + 1) % 2]] : [0, ends[0]];
      const own = rgb(palette[code % palette.length]);
      return own.map((v, k) => Math.round(v + share * (end[k] - v)));
    });
  }

  const shapeOf = (code) => Math.floor(code / data.palettes.light.length) % 5;
  const INSIDE = [
    null, // a disc, whose edge is smooth
    (x, y, r) => y <= 0.8 * r && y >= -r + 1.8 * Math.abs(x),
    (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85 * r,
    (x, y, r) => Math.abs(x) + Math.abs(y) <= 1.15 * r,
    (x, y, r) => Math.min(Math.abs(x), Math.abs(y)) <= 0.35 * r && Math.hypot(x, y) <= 1.2 * r,
  ];

  // --- drawing ----------------------------------------------------------------------------
  const canvas = $("canvas");
  const stage = canvas.parentElement;
  const pen = canvas.getContext("2d");
  const view = { scale: 1, left: 0, top: 0, whole: 1 };
  const visible = new Uint8Array(n).fill(1);
  let colour = "type";
  let image, pixels, waiting = false;

  function stamp(shape, radius) {
    const reach = Math.ceil(radius * 1.2) + 1;
    const marks = [];
    for (let y = -reach; y <= reach; y++)
      for (let x = -reach; x <= reach; x++)
        if (shape === 0) {
          const cover = Math.min(Math.max(radius + 0.5 - Math.hypot(x, y), 0), 1);
          if (cover > 0.05) marks.push(y, x, cover);
        } else if (INSIDE[shape](x, y, radius)) marks.push(y, x, 1);
    return radius < 1.2 ? [0, 0, 1] : marks;
  }
  function mixed(over, under, share) {
    const part = (shift) => {
      const a = (over >> shift) & 255, b = (under >> shift) & 255;
      return Math.round(b + (a - b) * share) << shift;
    };
    return (255 << 24) | part(16) | part(8) | part(0);
  }

  function draw() {
    waiting = false;
    if (!image) return;
    const W = canvas.width, H = canvas.height;
    const style = getComputedStyle(root);
    const ground = packed(rgb(style.getPropertyValue("--panel").trim()));
    const faint = packed(rgb(style.getPropertyValue("--faint").trim()));
    pixels.fill(ground);
    const ratio = devicePixelRatio || 1;
    const zoom = view.scale / view.whole;
    const base = Math.sqrt((W * H) / Math.max(n, 1)) * 0.3;
    const radius = Math.min(Math.max(base * Math.pow(zoom, 0.7), 0.8 * ratio), 5 * ratio);
    const lut = shades(colour).map(packed);
    const codes = colour === "confidence" ? null : columns.get(colour).codes;
    const shaped = colour === "type" || colour === "truth" || colour.startsWith("batch:");
    const marks = INSIDE.map((_, shape) => stamp(radius < 2 ? 0 : shape, radius));
    const reach = Math.ceil(radius * 1.2) + 1;
    const dot = (i, shade, mark) => {
      const px = Math.round(X[i] * view.scale + view.left);
      const py = Math.round(view.top - Y[i] * view.scale);
      if (px < reach || py < reach || px >= W - reach || py >= H - reach) return;
      const at = py * W + px;
      for (let k = 0; k < mark.length; k += 3) {
        const to = at + mark[k] * W + mark[k + 1];
        pixels[to] = mark[k + 2] === 1 ? shade : mixed(shade, pixels[to], mark[k + 2]);
      }
    };
    for (let i = 0; i < n; i++) if (!visible[i]) dot(i, faint, marks[0]);
    for (let i = 0; i < n; i++) {
      if (!visible[i]) continue;
      const code = codes
        ? codes[i]
        : confidence[i] === NONE ? 101 : Math.floor(confidence[i] / 100);
      dot(i, lut[code], marks[shaped ? shapeOf(code) : 0]);
    }
    pen.putImageData(image, 0, 0);
  }
  const ask = () => {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(draw);
    }
  };

  function showAll() {
    const edge = 14 * (devicePixelRatio || 1);
    const W = canvas.width - 2 * edge, H = canvas.height - 2 * edge;
    view.scale = view.whole = Math.min(W / Math.max(data.width, 1), H / Math.max(data.height, 1));
    view.left = edge + (W - data.width * view.scale) / 2;
    view.top = edge + (H + data.height * view.scale) / 2;
    ask();
  }
  function zoomBy(factor, x = canvas.width / 2, y = canvas.height / 2) {
    const scale = Math.min(Math.max(view.scale * factor, view.whole / 2), view.whole * 60);
    const by = scale / view.scale;
    view.left = x - (x - view.left) * by;
    view.top = y - (y - view.top) * by;
    view.scale = scale;
    ask();
  }
  function move(x, y) {
    view.left += x;
    view.top += y;
    ask();
  }

  new ResizeObserver(() => {
    const ratio = devicePixelRatio || 1;
    const W = Math.round(canvas.clientWidth * ratio), H = Math.round(canvas.clientHeight * ratio);
    if (!W || !H || (image && W === canvas.width && H === canvas.height)) return;
    canvas.width = W;
    canvas.height = H;
    image = pen.createImageData(W, H);
    pixels = new Uint32Array(image.data.buffer);
    showAll();
  }).observe(canvas);

  // --- the legend -------------------------------------------------------------------------
  const SVG = "http://www.w3.org/2000/svg";
  const FORMS = ["M8 2a6 6 0 1 0 .01 0Z", "M8 2L14 13H2Z", "M3 3H13V13H3Z", "M8 1L15 8L8 15L1 8Z",
    "M6 1H10V6H15V10H10V15H6V10H1V6H6Z"];
  function swatch(shade, shape) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", FORMS[shape]);
    path.setAttribute("fill", `rgb(${shade})`);
    svg.append(path);
    return svg;
  }
  const boxes = [...document.querySelectorAll("#types input")];
  function legend() {
    const own = shades("type");
    boxes.forEach((box, code) => {
      const place = box.parentElement.querySelector(".swatch");
      place.replaceChildren(...(colour === "type" ? [swatch(own[code], shapeOf(code))] : []));
    });
    $("scale").hidden = colour !== "confidence";
    const plain = colour === "type" || colour === "confidence";
    $("legend").hidden = plain;
    $("legend").replaceChildren();
    const used = shades(colour);
    if (colour === "confidence")
      $("ramp").style.background = `linear-gradient(90deg, ${used
        .slice(0, 101)
        .filter((_, step) => step % 20 === 0)
        .map((shade) => `rgb(${shade})`)})`;
    if (plain) return;
    const shaped = colour === "truth" || colour.startsWith("batch:");
    columns.get(colour).names.forEach((name, code) => {
      const line = document.createElement("span");
      const mark = document.createElement("span");
      mark.className = "swatch";
      mark.append(swatch(used[code], shaped ? shapeOf(code) : 0));
      line.append(mark, name);
      $("legend").append(line);
    });
  }
  recolour = () => {
    legend();
    ask();
  };

  // --- filters ----------------------------------------------------------------------------
  const batches = [...document.querySelectorAll("select.batch")];
  const from = $("from"), to = $("to"), unknown = $("unknown");
  function filter() {
    const on = Uint8Array.from(boxes, (box) => (box.checked ? 1 : 0));
    const low = from ? +from.value * 100 : 0, high = to ? +to.value * 100 : 10000;
    const any = low <= 0 && high >= 10000;
    const wanted = batches
      .filter((one) => one.value !== "")
      .map((one) => [columns.get(one.dataset.column).codes, +one.value]);
    let shown = 0;
    for (let i = 0; i < n; i++) {
      const code = type.codes[i];
      let ok = on[code];
      if (ok && !any) ok = confidence[i] !== NONE && confidence[i] >= low && confidence[i] <= high;
      if (ok && unknown.value) ok = data.named[code] === (unknown.value === "named");
      for (const [codes, value] of wanted) ok = ok && codes[i] === value;
      visible[i] = ok ? 1 : 0;
      shown += visible[i];
    }
    if (from) {
      $("from-text").textContent = (+from.value / 100).toFixed(2);
      $("to-text").textContent = (+to.value / 100).toFixed(2);
    }
    $("shown").textContent =
      `${shown.toLocaleString("en")} of ${n.toLocaleString("en")} cells shown`;
    hide();
    ask();
  }
  const form = $("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === from && +from.value > +to.value) to.value = from.value;
    if (event.target === to && +to.value < +from.value) from.value = to.value;
    if (event.target.id === "colour") {
      colour = event.target.value;
      recolour();
    } else filter();
  });
  const every = (value) => {
    boxes.forEach((box) => (box.checked = value));
    filter();
  };
  $("all").addEventListener("click", () => every(true));
  $("none").addEventListener("click", () => every(false));
  $("again").addEventListener("click", () => {
    form.reset();
    colour = $("colour").value;
    recolour();
    filter();
    showAll();
  });

  // --- pointing, moving, zooming ----------------------------------------------------------
  const tip = $("tip");
  const hide = () => (tip.hidden = true);
  function nearest(px, py) {
    const x = (px - view.left) / view.scale, y = (view.top - py) / view.scale;
    const reach = (9 * (devicePixelRatio || 1)) / view.scale;
    const edge = (value) => Math.min(Math.max(Math.floor(value) >> 9, 0), GRID - 1);
    let best = -1, least = reach * reach;
    for (let row = edge(y - reach); row <= edge(y + reach); row++)
      for (let column = edge(x - reach); column <= edge(x + reach); column++) {
        const b = row * GRID + column;
        for (let k = start[b]; k < start[b + 1]; k++) {
          const i = sorted[k];
          const far = (X[i] - x) ** 2 + (Y[i] - y) ** 2;
          if (visible[i] && far <= least) [best, least] = [i, far];
        }
      }
    return best;
  }
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio, ratio];
  };
  function point(event) {
    const [px, py, ratio] = place(event);
    const i = nearest(px, py);
    if (i < 0) return hide();
    const lines = [data.cells[i], type.names[type.codes[i]]];
    if (confidence && confidence[i] !== NONE)
      lines.push(`confidence ${(confidence[i] / 10000).toFixed(2)}`);
    for (const [id, column] of columns)
      if (id !== "type" && id !== "unknown")
        lines.push(`${column.title}: ${column.names[column.codes[i]]}`);
    tip.replaceChildren(
      ...lines.map((text, at) => {
        const line = document.createElement(at === 1 ? "strong" : "span");
        line.textContent = text;
        return line;
      }),
    );
    tip.hidden = false;
    const left = Math.min(px / ratio + 14, stage.clientWidth - tip.offsetWidth - 4);
    const above = py / ratio - tip.offsetHeight - 10;
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${above > 0 ? above : py / ratio + 14}px`;
  }

  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    if (event.pointerType !== "mouse") point(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return point(event);
    const now = place(event);
    if (held.size === 2) {
      const [, other] = [...held].find(([id]) => id !== event.pointerId);
      const far = (a) => Math.max(Math.hypot(a[0] - other[0], a[1] - other[1]), 1);
      zoomBy(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else move(now[0] - before[0], now[1] - before[1]);
    hide();
    held.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      hide();
      zoomBy(Math.exp(-event.deltaY * 0.002), ...place(event).slice(0, 2));
    },
    { passive: false },
  );
  const KEYS = {
    ArrowLeft: () => move(60, 0),
    ArrowRight: () => move(-60, 0),
    ArrowUp: () => move(0, 60),
    ArrowDown: () => move(0, -60),
    "+": () => zoomBy(1.4),
    "=": () => zoomBy(1.4),
    "-": () => zoomBy(1 / 1.4),
    0: showAll,
  };
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    hide();
    KEYS[event.key]();
  });
  $("closer").addEventListener("click", () => zoomBy(1.5));
  $("farther").addEventListener("click", () => zoomBy(1 / 1.5));
  $("whole").addEventListener("click", showAll);

  $("map").hidden = false;
  legend();
  filter();
  requestAnimationFrame(() => requestAnimationFrame(() => (root.dataset.ready = "true")));
})();
