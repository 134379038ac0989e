"use strict";
// Shows the graph of the element #data. Whatever comes from there is shown as text (textContent, fillText), never as markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const N = data.nodes.length, E = data.edges.length;
  const [ID, NAME, TYPE, WEIGHT, R, X, Y, ALIASES, PLACES, DOCS, SAID] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const [FROM, TO, KIND, TIMES, EDOCS, ESAID] = [0, 1, 2, 3, 4, 5];
  const TOGETHER = data.kinds.indexOf("CO_OCCURS");
  const nodes = data.nodes, edges = data.edges;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // --- how things look ------------------------------------------------------------------------------------------

  const HUES = ["#4269d0", "#e8793a", "#2f9e6b", "#a463f2", "#e0a918", "#e4577a", "#1f9fb5", "#9c6b4e", "#7aa93c", "#c05fc0", "#5b8def", "#b0524a"];
  const PLAIN = "#8b929e";
  const themes = {
    light: { ground: "#fbfaf7", ink: "#1d2127", halo: "#fbfaf7", edge: "#4c5666", strong: 0.34, faint: 0.13, rim: "#ffffff" },
    dark: { ground: "#12151b", ink: "#e9ebef", halo: "#12151b", edge: "#aeb9cc", strong: 0.32, faint: 0.11, rim: "#12151b" },
  };
  const airy = E < 2 * N ? 1.1 : 0.62; // few lines may be stronger ones
  let look = themes.light;
  const count = (values, of) => { const sums = new Array(of).fill(0); for (const v of values) sums[v]++; return sums; };
  const ofType = count(nodes.map((n) => n[TYPE]), data.types.length);
  const ofKind = count(edges.map((e) => e[KIND]), data.kinds.length);
  const typesByCount = data.types.map((_, t) => t).sort((a, b) => ofType[b] - ofType[a] || (data.types[a] < data.types[b] ? -1 : 1));
  const colours = new Array(data.types.length).fill(PLAIN);
  typesByCount.filter((t) => data.types[t] !== "Entity").forEach((t, at) => { if (at < HUES.length) colours[t] = HUES[at]; });

  // --- what is shown --------------------------------------------------------------------------------------------

  const typeOn = data.types.map(() => true), kindOn = data.kinds.map(() => true);
  let leastWeight = 1, onlyDocument = -1;
  const seen = new Uint8Array(N), seenEdge = new Uint8Array(E);
  const around = Array.from({ length: N }, () => []);
  edges.forEach((e, at) => { around[e[FROM]].push(at); if (e[TO] !== e[FROM]) around[e[TO]].push(at); });
  const heaviest = nodes.map((_, at) => at).sort((a, b) => nodes[b][WEIGHT] - nodes[a][WEIGHT] || a - b);

  function sift() {
    let shown = 0, links = 0;
    for (let i = 0; i < N; i++) {
      const n = nodes[i];
      seen[i] = typeOn[n[TYPE]] && n[WEIGHT] >= leastWeight && (onlyDocument < 0 || n[DOCS].includes(onlyDocument)) ? 1 : 0;
      shown += seen[i];
    }
    for (let i = 0; i < E; i++) {
      const e = edges[i];
      seenEdge[i] = kindOn[e[KIND]] && seen[e[FROM]] && seen[e[TO]] && (onlyDocument < 0 || e[EDOCS].includes(onlyDocument)) ? 1 : 0;
      links += seenEdge[i];
    }
    const of = (some, all, what) => (some === all ? some.toLocaleString("en") : some.toLocaleString("en") + " of " + all.toLocaleString("en")) + " " + what;
    $("counts").textContent = of(shown, data.entities, "entities") + ", " + of(links, data.relationships, "relationships");
    $("empty").hidden = shown > 0;
    grid = null;
    draw();
  }

  // --- the view -------------------------------------------------------------------------------------------------

  const canvas = $("canvas"), g = canvas.getContext("2d");
  const eye = { x: 0, y: 0, k: 1 };
  let width = 1, height = 1, selected = -1, chosenEdge = -1, hovered = -1, wanted = false, moving = 0, flight = 0;

  const sx = (i) => (nodes[i][X] - eye.x) * eye.k + width / 2;
  const sy = (i) => (nodes[i][Y] - eye.y) * eye.k + height / 2;
  const sr = (i) => Math.max(1.8, nodes[i][R] * Math.min(Math.max(Math.pow(eye.k, E < 2 * N ? 0.6 : 0.85), 0.16), 2.4));

  function resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    width = innerWidth; height = innerHeight;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint();
  }

  function draw() {
    if (!wanted) { wanted = true; requestAnimationFrame(() => { wanted = false; paint(); }); }
  }

  function strokeEdges(which, alpha, thick, colour) {
    g.globalAlpha = alpha; g.lineWidth = thick; g.strokeStyle = colour;
    g.beginPath();
    for (const i of which) {
      const e = edges[i];
      g.moveTo(sx(e[FROM]), sy(e[FROM])); g.lineTo(sx(e[TO]), sy(e[TO]));
    }
    g.stroke();
  }

  function dots(alpha, which) {
    g.globalAlpha = alpha;
    for (let t = 0; t < data.types.length; t++) {
      g.beginPath();
      for (let i = 0; i < N; i++) {
        if (!seen[i] || nodes[i][TYPE] !== t || !which(i)) continue;
        const x = sx(i), y = sy(i), r = sr(i);
        if (x < -r || y < -r || x > width + r || y > height + r) continue;
        g.moveTo(x + r, y); g.arc(x, y, r, 0, 6.2832);
      }
      g.fillStyle = colours[t]; g.fill();
      if (eye.k > 0.45) { g.lineWidth = 1.2; g.strokeStyle = look.rim; g.stroke(); }
    }
  }

  function arrow(i, colour) {
    // At the end of a relationship that has a direction, and its name along it where there is room.
    const e = edges[i], x1 = sx(e[FROM]), y1 = sy(e[FROM]), x2 = sx(e[TO]), y2 = sy(e[TO]);
    const length = Math.hypot(x2 - x1, y2 - y1), along = sr(e[TO]) + 2;
    if (length < along + 12) return;
    const ux = (x2 - x1) / length, uy = (y2 - y1) / length, tx = x2 - ux * along, ty = y2 - uy * along;
    g.globalAlpha = 0.95; g.fillStyle = colour;
    g.beginPath(); g.moveTo(tx, ty);
    g.lineTo(tx - ux * 8 - uy * 3.6, ty - uy * 8 + ux * 3.6); g.lineTo(tx - ux * 8 + uy * 3.6, ty - uy * 8 - ux * 3.6);
    g.fill();
  }

  function called(i) {
    const e = edges[i], x1 = sx(e[FROM]), y1 = sy(e[FROM]), x2 = sx(e[TO]), y2 = sy(e[TO]);
    g.font = "italic 11px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
    const text = inWords(e[KIND]);
    if (Math.hypot(x2 - x1, y2 - y1) < g.measureText(text).width + sr(e[FROM]) + sr(e[TO]) + 64) return;
    let turn = Math.atan2(y2 - y1, x2 - x1);
    if (Math.abs(turn) > Math.PI / 2) turn += Math.PI;
    g.save();
    g.translate((x1 + x2) / 2, (y1 + y2) / 2); g.rotate(turn);
    g.textAlign = "center"; g.textBaseline = "bottom"; g.lineJoin = "round"; g.lineWidth = 3;
    g.strokeStyle = look.halo; g.globalAlpha = 0.9; g.strokeText(text, 0, -2);
    g.fillStyle = look.ink; g.globalAlpha = 0.75; g.fillText(text, 0, -2);
    g.restore();
  }

  function paint() {
    const near = new Set();
    const focus = selected >= 0 ? selected : hovered;
    if (focus >= 0 && seen[focus]) {
      near.add(focus);
      for (const i of around[focus]) if (seenEdge[i]) { near.add(edges[i][FROM]); near.add(edges[i][TO]); }
    } else if (chosenEdge >= 0) { near.add(edges[chosenEdge][FROM]); near.add(edges[chosenEdge][TO]); }
    const dim = near.size > 0;
    g.globalAlpha = 1; g.fillStyle = look.ground; g.fillRect(0, 0, width, height);

    const faint = [], plain = [], strong = [];
    const most = moving ? 5000 : Infinity;
    for (let i = 0, drawn = 0; i < E && drawn < most; i++) {
      if (!seenEdge[i]) continue;
      const e = edges[i], x1 = sx(e[FROM]), x2 = sx(e[TO]), y1 = sy(e[FROM]), y2 = sy(e[TO]);
      if ((x1 < 0 && x2 < 0) || (y1 < 0 && y2 < 0) || (x1 > width && x2 > width) || (y1 > height && y2 > height)) continue;
      drawn++;
      (e[KIND] === TOGETHER ? (e[TIMES] > 2 ? plain : faint) : e[TIMES] > 1 ? strong : plain).push(i);
    }
    const fade = dim ? 0.35 : 1, thin = Math.min(Math.max(Math.sqrt(eye.k), 0.6), 1.6);
    strokeEdges(faint, look.faint * fade, 0.7 * thin, look.edge);
    strokeEdges(plain, look.strong * airy * fade, 0.9 * thin, look.edge);
    strokeEdges(strong, look.strong * (airy + 0.35) * fade, 1.5 * thin, look.edge);
    const lit = chosenEdge >= 0 ? [chosenEdge] : focus >= 0 ? around[focus].filter((i) => seenEdge[i]) : [];
    for (const i of lit) {
      const e = edges[i], other = e[FROM] === focus ? e[TO] : e[FROM];
      const thick = chosenEdge >= 0 ? 3 : 1.1 + Math.min(Math.sqrt(e[TIMES]), 4) * 0.5;
      strokeEdges([i], e[KIND] === TOGETHER && chosenEdge < 0 ? 0.45 : 0.9, thick, colours[nodes[other][TYPE]]);
      if (e[KIND] !== TOGETHER) arrow(i, colours[nodes[other][TYPE]]);
    }
    if (lit.length <= 24) lit.filter((i) => edges[i][KIND] !== TOGETHER).forEach(called);

    if (dim) dots(0.2, (i) => !near.has(i));
    dots(1, dim ? (i) => near.has(i) : () => true);
    g.globalAlpha = 1;
    for (const i of [hovered, selected]) {
      if (i < 0 || !seen[i]) continue;
      g.beginPath(); g.arc(sx(i), sy(i), sr(i) + 3.5, 0, 6.2832);
      g.lineWidth = 2; g.strokeStyle = look.ink; g.stroke();
    }
    names(near, dim);
  }

  function names(near, dim) {
    const taken = [];
    const free = (b) => !taken.some((t) => b[0] < t[2] && b[2] > t[0] && b[1] < t[3] && b[3] > t[1]);
    const order = dim ? [...near].sort((a, b) => (a === selected ? -1 : b === selected ? 1 : nodes[b][WEIGHT] - nodes[a][WEIGHT])) : heaviest;
    const most = moving ? 40 : 130;
    g.textAlign = "center"; g.textBaseline = "top"; g.lineJoin = "round"; g.lineWidth = 3.5;
    for (const i of order) {
      if (taken.length >= most) break;
      if (!seen[i]) continue;
      const x = sx(i), y = sy(i), r = sr(i);
      if (x < 0 || y < 0 || x > width || y > height) continue;
      if (!dim && r < 3.6) continue;
      const large = i === selected || i === hovered;
      const size = large ? 14 : Math.min(13, Math.max(10.5, 8 + r * 0.32));
      g.font = (large ? "600 " : "500 ") + size + "px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif";
      const name = nodes[i][NAME], text = name.length > 34 ? name.slice(0, 32) + "…" : name;
      const half = g.measureText(text).width / 2, top = y + r + 3;
      const box = [x - half - 2, top - 1, x + half + 2, top + size + 2];
      if (!large && !free(box)) continue;
      taken.push(box);
      g.strokeStyle = look.halo; g.globalAlpha = 0.85; g.strokeText(text, x, top);
      g.globalAlpha = 1; g.fillStyle = look.ink; g.fillText(text, x, top);
    }
  }

  function room() {
    // What the panels leave of the window.
    const wide = width > 760, open = !$("panel").hidden;
    return wide
      ? { left: 250, right: open ? 404 : 30, top: 80, bottom: 40 }
      : { left: 24, right: 24, top: 120, bottom: open ? height * 0.54 : 60 };
  }

  function framed(some) {
    let x1 = Infinity, y1 = Infinity, x2 = -Infinity, y2 = -Infinity;
    for (const i of some) {
      const r = nodes[i][R];
      x1 = Math.min(x1, nodes[i][X] - r); x2 = Math.max(x2, nodes[i][X] + r);
      y1 = Math.min(y1, nodes[i][Y] - r); y2 = Math.max(y2, nodes[i][Y] + r + 14);
    }
    if (x1 > x2) return { ...eye };
    const free = room();
    if (some.length < 60 && width > 760) { free.left += 60; free.right += 60; free.top += 20; free.bottom += 20; } // for their names
    const w = Math.max(width - free.left - free.right, 80), h = Math.max(height - free.top - free.bottom, 80);
    const k = Math.min(w / Math.max(x2 - x1, 40), h / Math.max(y2 - y1, 40), 2.2);
    return { k, x: (x1 + x2) / 2 - (free.left - free.right) / 2 / k, y: (y1 + y2) / 2 - (free.top - free.bottom) / 2 / k };
  }

  function shownNodes() {
    // A few that lie far out don't make all the others small.
    const some = [];
    for (let i = 0; i < N; i++) if (seen[i]) some.push(i);
    const far = (i) => Math.hypot(nodes[i][X], nodes[i][Y]);
    return some.sort((a, b) => far(a) - far(b)).slice(0, Math.max(Math.ceil(some.length * 0.975), 30));
  }

  function fly(to) {
    cancelAnimationFrame(flight);
    if (calm) { Object.assign(eye, to); draw(); return; }
    const from = { ...eye }, start = performance.now();
    const step = (now) => {
      const t = Math.min(1, (now - start) / 320), s = 1 - Math.pow(1 - t, 3);
      eye.x = from.x + (to.x - from.x) * s; eye.y = from.y + (to.y - from.y) * s;
      eye.k = from.k * Math.pow(to.k / from.k, s);
      paint();
      if (t < 1) flight = requestAnimationFrame(step);
    };
    flight = requestAnimationFrame(step);
  }

  function zoomBy(factor, px = width / 2, py = height / 2) {
    cancelAnimationFrame(flight);
    const k = Math.min(Math.max(eye.k * factor, 0.02), 12);
    eye.x += (px - width / 2) * (1 / eye.k - 1 / k);
    eye.y += (py - height / 2) * (1 / eye.k - 1 / k);
    eye.k = k;
    stirred(); draw();
  }

  function stirred() {
    // While the view moves, fewer lines and names are drawn; all of them when it rests.
    clearTimeout(moving);
    moving = setTimeout(() => { moving = 0; draw(); }, 140);
  }

  // --- what lies under the pointer ------------------------------------------------------------------------------

  let grid = null;
  const CELL = 80;
  function gridOf() {
    if (grid) return grid;
    grid = new Map();
    for (let i = 0; i < N; i++) {
      if (!seen[i]) continue;
      const key = Math.floor(nodes[i][X] / CELL) + "," + Math.floor(nodes[i][Y] / CELL);
      if (grid.has(key)) grid.get(key).push(i); else grid.set(key, [i]);
    }
    return grid;
  }

  function nodeAt(px, py, slack) {
    const x = (px - width / 2) / eye.k + eye.x, y = (py - height / 2) / eye.k + eye.y;
    const reach = (30 * Math.max(eye.k, 0.4) + slack) / eye.k;
    let best = -1, least = Infinity;
    for (let cx = Math.floor((x - reach) / CELL); cx <= Math.floor((x + reach) / CELL); cx++) {
      for (let cy = Math.floor((y - reach) / CELL); cy <= Math.floor((y + reach) / CELL); cy++) {
        for (const i of gridOf().get(cx + "," + cy) || []) {
          const d = Math.hypot(sx(i) - px, sy(i) - py) - sr(i);
          if (d < slack && d < least) { best = i; least = d; }
        }
      }
    }
    return best;
  }

  function edgeAt(px, py) {
    let best = -1, least = 6;
    for (let i = 0; i < E; i++) {
      if (!seenEdge[i]) continue;
      const e = edges[i], x1 = sx(e[FROM]), y1 = sy(e[FROM]), dx = sx(e[TO]) - x1, dy = sy(e[TO]) - y1;
      const t = Math.min(1, Math.max(0, ((px - x1) * dx + (py - y1) * dy) / (dx * dx + dy * dy || 1)));
      const d = Math.hypot(px - x1 - t * dx, py - y1 - t * dy);
      if (d < least) { best = i; least = d; }
    }
    return best;
  }

  const pointers = new Map();
  let dragged = 0, spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    dragged = 0; spread = 0;
    canvas.classList.add("held");
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      const i = nodeAt(event.clientX, event.clientY, 4);
      if (i !== hovered) { hovered = i; canvas.classList.toggle("over", i >= 0); draw(); }
      return;
    }
    const dx = event.clientX - before[0], dy = event.clientY - before[1];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    dragged += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread) zoomBy(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      spread = now;
    }
    eye.x -= dx / eye.k / pointers.size; eye.y -= dy / eye.k / pointers.size;
    stirred(); draw();
  });
  const letGo = (event) => {
    const clicked = pointers.delete(event.pointerId) && event.type === "pointerup" && dragged < 6;
    spread = 0;
    canvas.classList.toggle("held", pointers.size > 0);
    if (!clicked) return;
    const slack = event.pointerType === "touch" ? 14 : 5;
    const i = nodeAt(event.clientX, event.clientY, slack);
    if (i >= 0) { select(i); return; }
    const e = edgeAt(event.clientX, event.clientY);
    if (e >= 0) selectEdge(e); else clear();
  };
  canvas.addEventListener("pointerup", letGo);
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("pointerleave", () => { if (hovered >= 0) { hovered = -1; draw(); } });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const notches = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoomBy(Math.exp(-Math.min(Math.max(notches, -240), 240) * 0.0022), event.clientX, event.clientY);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoomBy(1.8, event.clientX, event.clientY));
  canvas.addEventListener("keydown", (event) => {
    const by = 70 / eye.k;
    const moves = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
    if (moves[event.key]) { eye.x += moves[event.key][0]; eye.y += moves[event.key][1]; stirred(); draw(); event.preventDefault(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { $("filters").classList.remove("open"); clear(); }
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); $("search").focus(); }
    if (event.key === "+" || event.key === "=") zoomBy(1.3);
    if (event.key === "-") zoomBy(1 / 1.3);
    if (event.key === "0") fly(framed(shownNodes()));
  });
  $("in").addEventListener("click", () => zoomBy(1.4));
  $("out").addEventListener("click", () => zoomBy(1 / 1.4));
  $("fit").addEventListener("click", () => fly(framed(shownNodes())));

  // --- what is said about it ------------------------------------------------------------------------------------

  function make(tag, attributes, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "on") element.addEventListener("click", value);
      else if (name === "colour") element.style.backgroundColor = value;
      else element.setAttribute(name, value);
    }
    element.append(...inside);
    return element;
  }

  const dot = (i) => make("span", { class: "dot", colour: colours[nodes[i][TYPE]], "aria-hidden": "true" });
  const many = (n, one, more) => n.toLocaleString("en") + " " + (n === 1 ? one : more);
  const inWords = (kind) => data.kinds[kind].toLowerCase().replaceAll("_", " ");

  function clock(seconds) {
    const s = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
    return Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
  }

  function marked(text, names) {
    // The text with each of the names marked, by nodes of text alone.
    const parts = [], lower = text.toLowerCase();
    let at = 0;
    while (at < text.length) {
      let next = text.length, length = 0;
      for (const name of names) {
        const found = name ? lower.indexOf(name, at) : -1;
        if (found >= 0 && (found < next || (found === next && name.length > length))) { next = found; length = name.length; }
      }
      if (next > at) parts.push(text.slice(at, next));
      if (length) parts.push(make("mark", null, text.slice(next, next + length)));
      at = next + (length || 1);
    }
    return parts;
  }

  function quotes(which, about) {
    const names = about.flatMap((i) => [nodes[i][NAME], ...nodes[i][ALIASES]]).map((n) => n.toLowerCase()).filter((n) => n.length > 1);
    return which.map((at) => {
      const [document_, chunk, speaker, start, quote, modality] = data.quotes[at];
      const where = [data.speakers[speaker], start === null ? "" : clock(start), data.documents[document_] + ", chunk " + chunk, modality];
      return make("figure", null, make("blockquote", null, ...marked(quote, names)), make("figcaption", null, where.filter(Boolean).join(" · ")));
    });
  }

  function show(...inside) {
    $("about").replaceChildren(...inside);
    $("panel").hidden = false;
    $("panel").scrollTop = 0;
  }

  function select(i, near = false) {
    selected = i; chosenEdge = -1; hovered = -1;
    const n = nodes[i];
    const about = [
      make("h2", { tabindex: "-1" }, n[NAME]),
      make("p", { class: "kind" }, dot(i), data.types[n[TYPE]] + " · named in " + many(n[PLACES], "chunk", "chunks") + " of " + many(n[DOCS].length, "document", "documents")),
    ];
    if (n[ALIASES].length) about.push(make("p", { class: "also" }, "also " + n[ALIASES].slice(0, 12).join(", ") + (n[ALIASES].length > 12 ? " …" : "")));
    const links = around[i].slice().sort((a, b) => (edges[a][KIND] === TOGETHER) - (edges[b][KIND] === TOGETHER) || edges[b][TIMES] - edges[a][TIMES]);
    if (links.length) about.push(make("h3", null, many(links.length, "relationship", "relationships")), listed(links, i));
    if (n[SAID].length) {
      about.push(make("h3", null, n[SAID].length < n[PLACES] ? n[SAID].length + " of " + n[PLACES].toLocaleString("en") + " places where it is named" : "Where it is named"));
      about.push(...quotes(n[SAID], [i]));
    }
    show(...about);
    location.replace("#" + n[ID]);
    if (near) fly(framed([i, ...around[i].flatMap((at) => [edges[at][FROM], edges[at][TO]])].filter((j) => seen[j])));
    else draw();
  }

  function listed(links, i, most = 40) {
    const list = make("ul", { class: "links" });
    for (const at of links.slice(0, most)) {
      const e = edges[at], out = e[FROM] === i, other = out ? e[TO] : e[FROM];
      const way = e[KIND] === TOGETHER ? "with" : out ? inWords(e[KIND]) + " →" : "← " + inWords(e[KIND]);
      const why = make("button", { class: "why", type: "button", "aria-expanded": "false", title: "What says so", "aria-label": "What says so, " + many(e[TIMES], "chunk", "chunks") }, "×" + e[TIMES]);
      const item = make("li", null, make("div", { class: "link" }, make("span", { class: "way", title: way }, way), dot(other), make("button", { class: "to", type: "button", title: nodes[other][NAME], on: () => { reveal(other); select(other, true); $("about").firstChild.focus(); } }, nodes[other][NAME]), why));
      why.addEventListener("click", () => {
        const open = why.getAttribute("aria-expanded") === "true";
        why.setAttribute("aria-expanded", String(!open));
        if (open) item.querySelectorAll("figure").forEach((f) => f.remove());
        else item.append(...quotes(e[ESAID], [e[FROM], e[TO]]));
      });
      list.append(item);
    }
    if (links.length > most) {
      const rest = make("button", { class: "more", type: "button", on: () => list.replaceWith(listed(links, i, links.length)) }, "Show " + (links.length - most).toLocaleString("en") + " more");
      list.append(make("li", null, rest));
    }
    return list;
  }

  function selectEdge(at) {
    selected = -1; chosenEdge = at;
    const e = edges[at], together = e[KIND] === TOGETHER;
    const end = (i) => make("p", { class: "link" }, dot(i), make("button", { class: "to", type: "button", on: () => select(i) }, nodes[i][NAME]));
    show(
      make("h2", { tabindex: "-1" }, together ? "named together" : inWords(e[KIND])),
      make("p", { class: "kind" }, (together ? "in " : "stated in ") + many(e[TIMES], "chunk", "chunks")),
      end(e[FROM]), end(e[TO]),
      make("h3", null, together ? "Where" : "What says so"),
      ...quotes(e[ESAID], [e[FROM], e[TO]]),
    );
    draw();
  }

  function clear() {
    selected = chosenEdge = -1;
    $("panel").hidden = true;
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    draw();
  }
  $("close").addEventListener("click", () => { clear(); canvas.focus(); });

  // --- searching ------------------------------------------------------------------------------------------------

  const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const texts = nodes.map((n) => folded([n[NAME], ...n[ALIASES]].join("\n")));
  let hits = [], active = -1;

  function search() {
    const words = folded($("search").value).split(/\s+/).filter(Boolean);
    hits = words.length ? heaviest.filter((i) => words.every((w) => texts[i].includes(w))) : [];
    const first = (i) => (texts[i].startsWith(words.join(" ")) ? 0 : 1);
    hits.sort((a, b) => first(a) - first(b));
    hits = hits.slice(0, 30);
    active = hits.length ? 0 : -1;
    const list = hits.map((i, at) => make("li", { role: "option", id: "hit" + at, on: () => take(i) }, dot(i), make("span", { class: "name" }, nodes[i][NAME]), make("span", { class: "much" }, data.types[nodes[i][TYPE]] + " · " + nodes[i][WEIGHT])));
    if (words.length && !hits.length) list.push(make("li", { class: "none", role: "option", "aria-disabled": "true" }, "No entity is called that."));
    $("found").replaceChildren(...list);
    $("found").hidden = !words.length;
    $("search").setAttribute("aria-expanded", String(words.length > 0));
    point();
  }

  function point() {
    [...$("found").children].forEach((item, at) => item.setAttribute("aria-selected", String(at === active)));
    if (active >= 0) { $("search").setAttribute("aria-activedescendant", "hit" + active); $("hit" + active).scrollIntoView({ block: "nearest" }); }
    else $("search").removeAttribute("aria-activedescendant");
  }

  function take(i) {
    $("found").hidden = true;
    $("search").setAttribute("aria-expanded", "false");
    reveal(i);
    select(i, true);
  }

  function reveal(i) {
    // What was looked for is shown, whatever the filters said.
    if (seen[i]) return;
    typeOn[nodes[i][TYPE]] = true;
    if (nodes[i][WEIGHT] < leastWeight) leastWeight = 1;
    if (onlyDocument >= 0 && !nodes[i][DOCS].includes(onlyDocument)) onlyDocument = -1;
    told(); sift();
  }

  $("search").addEventListener("input", search);
  $("search").addEventListener("focus", () => { if ($("search").value) search(); });
  $("search").addEventListener("blur", () => setTimeout(() => { $("found").hidden = true; }, 150));
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (hits.length) { active = (active + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length; point(); }
    } else if (event.key === "Enter" && active >= 0) take(hits[active]);
    else if (event.key === "Escape") { $("search").value = ""; search(); canvas.focus(); }
  });

  // --- filters --------------------------------------------------------------------------------------------------

  const boxes = [];
  function choices(list, order, names, sums, on, dots) {
    for (const at of order) {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => { on[at] = box.checked; sift(); });
      boxes.push([box, on, at]);
      const mark = make("span", dots ? { class: "dot", colour: colours[at] } : { class: "dot" });
      list.append(make("li", null, make("label", { title: names[at] }, box, mark, make("span", { class: "name" }, names[at]), make("span", { class: "much" }, sums[at].toLocaleString("en")))));
    }
  }
  choices($("types"), typesByCount, data.types, ofType, typeOn, true);
  const kindsByCount = data.kinds.map((_, k) => k).sort((a, b) => ofKind[b] - ofKind[a]);
  choices($("kinds"), kindsByCount, data.kinds.map((k, at) => (at === TOGETHER ? "named together" : k.toLowerCase().replaceAll("_", " "))), ofKind, kindOn, false);
  data.documents.forEach((name, at) => $("document").append(make("option", { value: String(at) }, name)));
  // Weights are many small and few large ones: the slider's steps are those that are there.
  const weights = [...new Set(nodes.map((n) => n[WEIGHT]))].sort((a, b) => a - b);
  $("weight").max = String(Math.max(weights.length, 1));
  function told() {
    boxes.forEach(([box, on, at]) => { box.checked = on[at]; });
    const step = weights.findIndex((w) => w >= leastWeight);
    $("weight").value = String(Math.max(step, 0) + 1);
    $("weight-told").textContent = many(leastWeight, "chunk", "chunks");
    $("document").value = String(onlyDocument);
  }
  $("weight").addEventListener("input", () => { leastWeight = weights[$("weight").value - 1] || 1; if ($("weight").value === "1") leastWeight = 1; told(); sift(); });
  $("document").addEventListener("change", () => { onlyDocument = Number($("document").value); sift(); fly(framed(shownNodes())); });
  $("reset").addEventListener("click", () => { typeOn.fill(true); kindOn.fill(true); leastWeight = 1; onlyDocument = -1; told(); sift(); fly(framed(shownNodes())); });
  $("filters-button").addEventListener("click", () => {
    const open = $("filters").classList.toggle("open");
    $("filters-button").setAttribute("aria-expanded", String(open));
  });

  // --- light and dark -------------------------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  function wear(name) {
    document.documentElement.dataset.theme = name;
    look = themes[name];
    $("theme").textContent = name === "dark" ? "☀" : "☾";
    draw();
  }
  $("theme").addEventListener("click", () => wear(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => wear(dark.matches ? "dark" : "light"));

  // --- begin ----------------------------------------------------------------------------------------------------

  $("title").textContent = data.title;
  addEventListener("resize", resize);
  wear(dark.matches ? "dark" : "light");
  told();
  sift();
  resize();
  const asked = location.hash.slice(1) || data.centre;
  const first = asked ? nodes.findIndex((n) => n[ID] === asked) : -1;
  if (first >= 0 && width > 760) select(first);
  Object.assign(eye, framed(shownNodes()));
  paint();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
