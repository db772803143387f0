"use strict";

// One stream of states comes in; everything on the page is drawn from the last one. Nothing that
// comes from outside is ever written as HTML.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const still = matchMedia("(prefers-reduced-motion: reduce)");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function make(tag, attributes = {}, ...children) {
  const svg = ["circle", "path", "line", "g", "text", "svg", "tspan"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const number = (value) => (value < 10 && value % 1 ? value.toFixed(1) : compact.format(Math.round(value)));
const time = (ms) => ms === null ? "–" : ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

// ---- the stream

const token = () => sessionStorage.getItem("token");
const headers = (more = {}) => token() ? { ...more, Authorization: `Bearer ${token()}` } : more;
let stream = null;

async function watch() {
  stream?.abort();
  const mine = stream = new AbortController();
  let pause = 500;
  while (!mine.signal.aborted) {
    try {
      const answer = await fetch("api/events", { headers: headers(), signal: mine.signal, cache: "no-store" });
      if (answer.status === 401) return askForToken();
      if (!answer.ok) throw new Error(answer.statusText);
      $("token-form").hidden = true;
      pause = 500;
      await read(answer.body);
    } catch (error) {
      if (mine.signal.aborted) return;
    }
    live(false, "the proxy does not answer");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 5000);
  }
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    const last = events.pop()?.split("\n").find((line) => line.startsWith("data: "));
    if (last) show(JSON.parse(last.slice(6)));
  }
}

function askForToken() {
  live(false, "a token is needed");
  $("token-form").hidden = false;
  $("token").focus();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  watch();
});

function live(is, text) {
  $("live").classList.toggle("live", is);
  put($("live-text"), text);
}

// A dashboard that nobody sees costs nothing.
document.addEventListener("visibilitychange", () => { if (document.hidden) stream?.abort(); else watch(); });

// ---- what a state looks like

let before = null;
const past = [];
const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);

function show(state) {
  const now = performance.now();
  past.push({ at: now, requests: sum(state.requests.by_class), picks: sum(state.servers.map((server) => server.picks)) });
  while (past.length > 481) past.shift();
  live(!state.stopping, state.stopping ? "stopping" : "live");
  put($("about"), `${state.version} · up ${span(Date.now() / 1000 - state.started)}`);
  traffic(state);
  sessions(state.sessions);
  servers(state.servers);
  ring(state);
  before = state;
}

const span = (seconds) => {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? units[3];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
};

function rateAt(end, width = 8) {
  const start = Math.max(0, end - width);
  if (end <= start) return 0;
  // Of the first moments of a page a rate is made as if they were a second.
  const seconds = Math.max(1, (past[end].at - past[start].at) / 1000);
  return Math.max(0, (past[end].requests - past[start].requests) / seconds);
}

function traffic(state) {
  const rates = past.map((_, at) => rateAt(at)).filter((_, at, all) => (all.length - 1 - at) % 4 === 0);
  plot($("chart"), rates, 480, 96);
  put($("hub-rate"), number(rateAt(past.length - 1)));
  put($("in-flight"), number(state.requests.in_flight));
  const errors = state.servers.reduce((all, server) => all + server.recent.error_rate, 0);
  put($("errors"), number(errors));
  $("errors").classList.toggle("bad", errors > 0);
  const slowest = state.servers.map((server) => server.recent.p99).filter((p99) => p99 !== null);
  put($("p99"), slowest.length ? time(Math.max(...slowest)) : "–");
  put($("connections"), number(state.connections.open));
  put($("total"), number(sum(state.requests.by_class)));
  put($("retries"), number(state.requests.retries));
  const by = state.requests.by_class;
  shares("classes", [["2xx", by["2xx"], "good"], ["3xx", by["3xx"] + by["1xx"], "cool"], ["4xx", by["4xx"], "warm"], ["5xx", by["5xx"], "bad"], ["cancelled", by.cancelled, "mute"]]);
}

function plot(svg, values, width, height) {
  const most = Math.max(1, ...values) * 1.15;
  const step = width / 120;
  const points = values.map((value, at) => `${(width - (values.length - 1 - at) * step).toFixed(1)} ${(height - (value / most) * height).toFixed(1)}`);
  if (!points.length) return;
  svg.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  svg.querySelector(".area").setAttribute("d", `M${points[0].split(" ")[0]} ${height}L${points.join("L")}L${width} ${height}Z`);
}

function shares(id, parts) {
  const bar = $(id), legend = $(`${id}-text`);
  if (!bar.children.length) {
    for (const [name, , look] of parts) {
      bar.append(make("i", { class: `part-${look}` }));
      legend.append(make("span", {}, make("i", { class: `part-${look}` }), `${name} `, make("b")));
    }
  }
  parts.forEach(([, count], at) => {
    bar.children[at].style.setProperty("--share", count);
    bar.children[at].hidden = count === 0;
    put(legend.children[at].querySelector("b"), number(count));
  });
  bar.setAttribute("aria-label", parts.map(([name, count]) => `${name} ${count}`).join(", "));
}

function sessions(state) {
  const words = { off: "off", embedded: "kept in memory", up: "Redis is up", away: "Redis is away" };
  put($("store"), words[state.store]);
  $("store").className = `pill ${state.store}`;
  const of = (name) => state.requests[name] ?? 0;
  shares("kinds", [["known", of("hit"), "good"], ["new", of("new"), "cool"], ["gone", of("miss"), "warm"], ["own token", of("bypass"), "mute"], ["unconfirmed", of("unconfirmed"), "bad"]]);
  const list = $("session-events");
  const shown = [["begun", "created"], ["look-ups", "lookups"], ["writes", "writes"], ["writes lost", "writes_dropped"], ["values refused", "values_dropped"], ["given up for room", "evicted"]];
  if (!list.children.length) for (const [label] of shown) list.append(make("div", {}, make("dt", {}, label), make("dd")));
  shown.forEach(([, name], at) => put(list.children[at].lastChild, number(state.events[name] ?? 0)));
}

// ---- servers

const hues = new Map();
const HUES = [250, 165, 25, 330, 205, 90, 285, 55];
function hue(id) {
  if (!hues.has(id)) hues.set(id, hues.size < HUES.length ? HUES[hues.size] : (hues.size * 137.5) % 360);
  return hues.get(id);
}

const rows = new Map();

function servers(list) {
  put($("server-count"), String(list.length));
  const ids = new Set(list.map((server) => server.id));
  for (const [id, row] of rows) if (!ids.has(id)) { row.element.remove(); rows.delete(id); }
  for (const server of list) {
    if (!rows.has(server.id)) {
      const row = newRow(server);
      rows.set(server.id, row);
      $("servers").append(row.element);
    }
    rows.get(server.id).show(server);
  }
}

function newRow({ id, url }) {
  const path = `api/servers/${encodeURIComponent(id)}`;
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.setProperty("--hue", hue(id));
  const state = make("span", { class: "pill state" });
  const value = (label, more = "") => make("span", { class: `value ${more}`, "data-label": label });
  const [inFlight, p50, p99, errors] = [value("in flight"), value("p50"), value("p99"), value("errors", "errors")];
  const spark = make("path", { class: "row-spark", d: "" });
  spark.style.setProperty("--hue", hue(id));
  const rateText = make("span");
  const rate = make("span", { class: "rate", "data-label": "rate" }, make("svg", { viewBox: "0 0 64 22", preserveAspectRatio: "none", "aria-hidden": "true" }, spark), rateText);
  const weight = make("input", { type: "number", min: 1, max: 256, inputmode: "numeric", "aria-label": `Weight of ${id}` });
  const button = (text, label) => make("button", { type: "button", "aria-label": label }, text);
  const [less, more] = [button("−", `Less weight for ${id}`), button("+", `More weight for ${id}`)];
  const drain = button("Drain", `Drain ${id}`);
  const remove = button("Remove", `Remove ${id}`);
  const small = make("small", {}, url.replace(/^http:\/\//, ""));
  const element = make("li", { class: "server" },
    make("div", { class: "who" }, swatch, make("div", {}, make("strong", {}, id), small)),
    state, inFlight, rate, p50, p99, errors,
    make("div", { class: "weigh" }, less, weight, more),
    make("div", { class: "actions" }, drain, remove));
  const rates = [];
  let current = null;
  const weigh = (to) => {
    if (!(to >= 1 && to <= 256)) { weight.value = current.weight; return say("a weight is a whole number from 1 to 256", true); }
    if (to !== current.weight) change("PATCH", path, { weight: to }, `${id} has weight ${to}`);
  };
  less.addEventListener("click", () => weigh(current.weight - 1));
  more.addEventListener("click", () => weigh(current.weight + 1));
  weight.addEventListener("change", () => weigh(weight.valueAsNumber));
  drain.addEventListener("click", () => {
    const draining = current.state === "draining";
    change("PATCH", path, { drain: !draining }, draining ? `${id} takes its turns again` : `${id} finishes what it has and gets nothing new`);
  });
  // The second press is the answer to "are you sure?".
  let sure = null;
  remove.addEventListener("click", () => {
    const calm = () => { clearTimeout(sure); sure = null; remove.classList.remove("sure"); put(remove, "Remove"); };
    if (sure) { calm(); return change("DELETE", path, undefined, `${id} is gone from the ring`); }
    remove.classList.add("sure");
    put(remove, "Really?");
    sure = setTimeout(calm, 4000);
  });
  return {
    element,
    show(server) {
      current = server;
      put(state, server.state === "starting" ? `starting ${server.ramp} %` : server.state);
      state.className = `pill state ${server.state}`;
      put(inFlight, server.max ? `${server.in_flight} / ${server.max}` : number(server.in_flight));
      put(rateText, `${number(server.recent.rate)}/s`);
      put(p50, time(server.recent.p50));
      put(p99, time(server.recent.p99));
      put(errors, server.recent.error_rate > 0 ? `${number(server.recent.error_rate)}/s` : number(server.errors));
      errors.classList.toggle("bad", server.recent.error_rate > 0);
      if (document.activeElement !== weight) weight.value = server.weight;
      less.disabled = server.weight <= 1;
      more.disabled = server.weight >= 256;
      const draining = server.state === "draining";
      put(drain, draining ? "Resume" : "Drain");
      drain.setAttribute("aria-label", `${draining ? "Resume" : "Drain"} ${id}`);
      rates.push(server.recent.rate);
      if (rates.length > 64) rates.shift();
      const most = Math.max(1, ...rates);
      spark.setAttribute("d", `M${rates.map((one, at) => `${64 - (rates.length - 1 - at)} ${(20 - (one / most) * 18).toFixed(1)}`).join("L")}`);
    },
  };
}

async function change(method, path, body, done) {
  try {
    const answer = await fetch(path, { method, headers: headers({ "Content-Type": "application/json" }), body: body && JSON.stringify(body) });
    if (answer.ok) { say(done); return true; }
    if (answer.status === 401) askForToken();
    say((await answer.json()).error, true);
  } catch {
    say("the proxy does not answer", true);
  }
  return false;
}

function say(text, wrong = false) {
  put($("message"), text);
  $("message").classList.toggle("wrong", wrong);
}

$("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const server = { url: form.get("url").trim(), weight: Number(form.get("weight")) || 1 };
  if (form.get("name").trim()) server.name = form.get("name").trim();
  if (await change("POST", "api/servers", server, `${server.name ?? server.url} has joined the ring`)) {
    event.target.reset();
    $("add-url").focus();
  }
});

// ---- the ring

const RADIUS = 148;
let seats = [];
let drawn = "";
const hand = { at: 0, from: 0, to: 0, begun: 0, time: 1 };

function ring(state) {
  const by = new Map(state.servers.map((server) => [server.id, server]));
  const key = state.ring.join() + state.servers.map((server) => server.weight);
  if (key !== drawn) { drawn = key; draw(state.ring, by); }
  for (const seat of seats) {
    const server = by.get(seat.id);
    if (!server) continue;
    const out = ["down", "ejected"].includes(server.state);
    seat.node.setAttribute("class", `node ${out ? "passed failed" : server.state === "draining" ? "passed" : server.state}${seat.lit ? " lit" : ""}`);
    seat.cross.setAttribute("visibility", out ? "visible" : "hidden");
    if (seat.note) put(seat.note, server.state === "up" ? `${number(server.recent.rate)}/s` : server.state);
  }
  turn(state, by);
}

function draw(order, by) {
  const count = order.length;
  const size = Math.max(2, Math.min(21, (RADIUS * Math.PI * 0.72) / Math.max(count, 1)));
  const named = new Set();
  $("nodes").replaceChildren();
  $("spokes").replaceChildren();
  seats = order.map((id, at) => {
    const angle = (at / count) * 360;
    const [x, y] = [Math.sin(angle * Math.PI / 180), -Math.cos(angle * Math.PI / 180)];
    const body = make("circle", { class: "body", cx: x * RADIUS, cy: y * RADIUS, r: size });
    const [cx, cy, d] = [x * RADIUS, y * RADIUS, size * 0.42];
    const cross = make("path", { class: "cross", d: `M${cx - d} ${cy - d}L${cx + d} ${cy + d}M${cx + d} ${cy - d}L${cx - d} ${cy + d}`, visibility: "hidden" });
    const node = make("g", { class: "node" }, body, cross);
    node.style.setProperty("--hue", hue(id));
    node.style.setProperty("--edge", Math.min(3, size / 6));
    let note = null;
    const first = !named.has(id);
    named.add(id);
    if (count <= 32 && (first || count <= 14)) {
      const reach = RADIUS + size + 10;
      const anchor = Math.abs(x) < 0.2 ? "middle" : x > 0 ? "start" : "end";
      const lift = Math.abs(x) < 0.2 ? (y < 0 ? -16 : 14) : 0;
      const name = make("text", { class: "name", x: x * reach, y: y * reach + lift, "text-anchor": anchor }, id.length > 9 ? `${id.slice(0, 8)}…` : id);
      node.append(name);
      if (first) {
        note = make("text", { class: "note", x: x * reach, y: y * reach + lift + 14, "text-anchor": anchor });
        node.append(note);
      }
    }
    $("nodes").append(node);
    if (count <= 64) {
      const spoke = make("line", { class: "spoke", x1: x * 58, y1: y * 58, x2: x * (RADIUS - size - 4), y2: y * (RADIUS - size - 4) });
      $("spokes").append(spoke);
    }
    return { id, angle, node, cross, note, x, y, size, lit: false };
  });
  const weights = [...by.values()].map((server) => `${server.id}, weight ${server.weight}, ${server.state}`);
  $("ring").setAttribute("aria-description", `${count} turns a lap: ${weights.join("; ")}`);
}

// The states come four times a second; between two of them the hand goes from seat to seat to
// where it was last seen, by as many turns as were dealt, up to two laps.
function turn(state, by) {
  if (!seats.length || state.cursor === null) return;
  const dealt = before ? state.servers.reduce((all, server) => all + server.picks, 0) - before.servers.reduce((all, server) => all + server.picks, 0) : 1;
  if (dealt <= 0 && before?.cursor !== null) return;
  const forward = seats.filter((seat) => seat.id === state.cursor).map((seat) => ((seat.angle - hand.to) % 360 + 360) % 360 || 360);
  if (!forward.length) return;
  const expected = Math.min(dealt, seats.length * 2) * (360 / seats.length);
  const options = forward.flatMap((way) => [way, way + 360, way + 720]);
  const way = options.reduce((best, option) => Math.abs(option - expected) < Math.abs(best - expected) ? option : best);
  hand.from = hand.at;
  hand.to = hand.to + way;
  hand.begun = performance.now();
  hand.time = 240;
  if (still.matches) hand.at = hand.from = hand.to;
  requestAnimationFrame(move);
}

let moving = false;
let lastSeat = null;

function move() {
  if (moving) return;
  moving = true;
  const step = () => {
    const part = Math.min(1, (performance.now() - hand.begun) / hand.time);
    hand.at = hand.from + (hand.to - hand.from) * part;
    $("hand").setAttribute("transform", `rotate(${hand.at.toFixed(2)})`);
    const trail = Math.min(70, (hand.to - hand.from) * part * 0.8) * Math.PI / 180;
    document.querySelector(".tail").setAttribute("d", trail > 0.02 && part < 1 ? `M${-Math.sin(trail) * RADIUS} ${-Math.cos(trail) * RADIUS}A${RADIUS} ${RADIUS} 0 0 1 0 ${-RADIUS}` : "");
    light();
    if (part < 1) requestAnimationFrame(step); else moving = false;
  };
  step();
}

function light() {
  const at = ((hand.at % 360) + 360) % 360;
  const seat = seats[Math.round(at / (360 / seats.length)) % seats.length];
  if (!seat || seat === lastSeat) return;
  if (lastSeat) { lastSeat.lit = false; lastSeat.node.classList.remove("lit"); }
  lastSeat = seat;
  seat.lit = true;
  seat.node.classList.add("lit");
  if (!seat.node.classList.contains("passed")) pulse(seat);
}

// A request on its way from the middle to the server whose turn it is.
function pulse(seat) {
  if (still.matches || $("pulses").children.length > 10) return;
  const dot = make("circle", { class: "pulse", r: 5 });
  $("pulses").append(dot);
  const begun = performance.now();
  const fly = () => {
    const part = (performance.now() - begun) / 320;
    if (part >= 1) return dot.remove();
    const reach = 54 + (RADIUS - seat.size - 54) * part;
    dot.setAttribute("cx", seat.x * reach);
    dot.setAttribute("cy", seat.y * reach);
    dot.setAttribute("opacity", 1 - part * part);
    requestAnimationFrame(fly);
  };
  fly();
}

watch();
