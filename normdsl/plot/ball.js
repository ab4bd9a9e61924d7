// The unit ball of ‖T x‖_p in the plane, with T symmetric: its exponent, its preconditioner and a
// gradient are dragged. All is computed here; Python only gives the first values and the colours.

const DEGREE = Math.PI / 180;
const REACH = 3; // half the side of the picture, in units of x
const LARGEST = 2; // of the stretch of a preconditioner

/** ‖v‖_p of a pair of numbers, for share = 1/p from 0 (p = ∞) to 1. */
export function norm([a, b], share) {
  const [x, y] = [Math.abs(a), Math.abs(b)];
  const top = Math.max(x, y);
  if (share < 1e-3 || top === 0) return top;
  return top * Math.pow(Math.pow(x / top, 1 / share) + Math.pow(y / top, 1 / share), share);
}

/** argmin of ⟨m, x⟩ over ‖x‖_p ≤ 1; 0 at m = 0, and shared where both entries are equal. */
export function lmo([a, b], share) {
  const [x, y] = [Math.abs(a), Math.abs(b)];
  const top = Math.max(x, y);
  if (top === 0) return [0, 0];
  const minus = [-Math.sign(a), -Math.sign(b)];
  if (share > 0.999) {
    const tied = Math.abs(x - y) <= 1e-9 * top;
    return tied ? [minus[0] / 2, minus[1] / 2] : x > y ? [minus[0], 0] : [0, minus[1]];
  }
  const dual = 1 - share; // 1/q
  const power = share / dual; // q − 1
  const length = Math.pow(norm([x / top, y / top], dual), power);
  const entry = (v, sign) => (v === 0 && power === 0 ? 0 : (sign * Math.pow(v / top, power)) / length);
  return [entry(x, minus[0]), entry(y, minus[1])];
}

/** T and T⁻¹ as functions: T⁻¹ is longer by `stretch` along the angle, and shorter across. */
export function preconditioner(stretch, degrees) {
  const [c, s] = [Math.cos(degrees * DEGREE), Math.sin(degrees * DEGREE)];
  const along = (k) => ([x, y]) => {
    const [u, v] = [k * (c * x + s * y), (-s * x + c * y) / k];
    return [c * u - s * v, s * u + c * v];
  };
  return { apply: along(1 / stretch), inverse: along(stretch) };
}

/** The points of the unit ball, and the LMO of the gradient in a direction. */
export function computed({ share, stretch, angle, gradient }, count = 241) {
  const { apply, inverse } = preconditioner(stretch, angle);
  const circle = Array.from({ length: count }, (_, k) => (2 * Math.PI * k) / (count - 1));
  const around = (map, share) =>
    circle.map((t) => {
      const u = [Math.cos(t), Math.sin(t)];
      return map(u.map((v) => v / norm(u, share)));
    });
  const m = [Math.cos(gradient * DEGREE), Math.sin(gradient * DEGREE)];
  const step = inverse(lmo(inverse(m), share));
  return {
    ball: around(inverse, share),
    dual: around(apply, 1 - share),
    m,
    step,
    gain: m[0] * step[0] + m[1] * step[1],
  };
}

const SVG = "http://www.w3.org/2000/svg";

function element(parent, name, attributes = {}, text = "", space = SVG) {
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

const html = (parent, name, attributes, text) =>
  element(parent, name, attributes, text, "http://www.w3.org/1999/xhtml");

const points = (list) => list.map(([x, y]) => `${x.toFixed(4)},${(-y).toFixed(4)}`).join(" ");

const exponent = (share) => (share < 1e-3 ? "∞" : (1 / share).toFixed(2));

const CONTROLS = [
  ["share", "1/p", 0, 1, 0.01],
  ["stretch", "stretch of T⁻¹", 1, LARGEST, 0.01],
  ["angle", "its angle", -90, 90, 1],
  ["gradient", "angle of M", -180, 180, 1],
];

function render({ model, el }) {
  const values = () => Object.fromEntries(CONTROLS.map(([name]) => [name, model.get(name)]));
  const [first, second] = model.get("colours");
  const box = html(el, "div", { style: "display:flex;flex-wrap:wrap;gap:1em;align-items:center" });
  const svg = element(box, "svg", {
    viewBox: `${-REACH} ${-REACH} ${2 * REACH} ${2 * REACH}`,
    style: "width:min(24em,100%);touch-action:none;color:inherit",
    role: "img",
    "aria-label": "the unit ball, its dual ball and the LMO of a gradient",
  });
  const thin = { stroke: "currentColor", "stroke-width": 0.012, "stroke-opacity": 0.5 };
  element(svg, "line", { x1: -REACH, x2: REACH, y1: 0, y2: 0, ...thin });
  element(svg, "line", { y1: -REACH, y2: REACH, x1: 0, x2: 0, ...thin });
  const ball = element(svg, "polygon", {
    fill: first, "fill-opacity": 0.18, stroke: first, "stroke-width": 0.035,
  });
  const dual = element(svg, "polygon", {
    fill: "none", stroke: second, "stroke-width": 0.022, "stroke-dasharray": "0.09 0.06",
  });
  const line = element(svg, "line", { ...thin, "stroke-width": 0.018, "stroke-opacity": 0.9 });
  const step = element(svg, "circle", { r: 0.07, fill: first });
  const handle = (shape) => element(svg, "circle", { r: 0.09, style: "cursor:grab", ...shape });
  const far = handle({ fill: "currentColor" });
  const axis = handle({ fill: "none", stroke: first, "stroke-width": 0.035, "pointer-events": "all" });
  element(far, "title", {}, "drag: −M, the direction downhill");
  element(axis, "title", {}, "drag: how T⁻¹ stretches the ball");

  const side = html(box, "div", { style: "display:grid;gap:0.4em;flex:1;min-width:14em;max-width:24em" });
  const told = html(side, "div", { style: "font-weight:600" });
  const inputs = CONTROLS.map(([name, label, min, max, by]) => {
    const row = html(side, "label", { style: "display:grid;grid-template-columns:8em 1fr" }, label);
    const input = html(row, "input", { type: "range", min, max, step: by });
    input.addEventListener("input", () => set({ [name]: Number(input.value) }));
    return [name, input];
  });
  const gain = html(side, "div");
  html(side, "div", { style: "opacity:0.8;font-size:0.9em" },
    "Line: unit ball. Dashes: dual ball. Dot: lmo(M), for the −M of the round handle. Ring: T⁻¹.");

  function set(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  }

  function draw() {
    const now = values();
    const found = computed(now);
    ball.setAttribute("points", points(found.ball));
    dual.setAttribute("points", points(found.dual));
    const from = found.m.map((v) => -0.93 * REACH * v);
    const place = (x, [a, b], [i, j]) => {
      x.setAttribute(i, a);
      x.setAttribute(j, -b);
    };
    place(line, from, ["x1", "y1"]);
    place(line, found.step, ["x2", "y2"]);
    place(far, from, ["cx", "cy"]);
    place(step, found.step, ["cx", "cy"]);
    const turn = now.angle * DEGREE;
    const arm = now.stretch * 0.8;
    place(axis, [arm * Math.cos(turn), arm * Math.sin(turn)], ["cx", "cy"]);
    told.textContent = `‖T x‖_p, p = ${exponent(now.share)} (dual: q = ${exponent(1 - now.share)})`;
    gain.textContent = `⟨M, lmo(M)⟩ = −‖M‖_* = −${Math.abs(found.gain).toFixed(3)} for ‖M‖_F = 1`;
    for (const [name, input] of inputs) input.value = now[name];
  }

  const at = (event) => {
    const area = svg.getBoundingClientRect();
    const scale = (2 * REACH) / area.width;
    return [(event.clientX - area.left) * scale - REACH, REACH - (event.clientY - area.top) * scale];
  };
  const degrees = ([x, y]) => Math.atan2(y, x) / DEGREE;

  function draggable(target, moved) {
    target.addEventListener("pointerdown", (event) => {
      target.setPointerCapture(event.pointerId);
      target.onpointermove = (move) => set(moved(at(move)));
    });
    const stop = () => (target.onpointermove = null);
    target.addEventListener("pointerup", stop);
    target.addEventListener("pointercancel", stop);
  }
  draggable(far, ([x, y]) => ({ gradient: degrees([-x, -y]) }));
  draggable(axis, ([x, y]) => {
    const [u, v] = x < 0 ? [-x, -y] : [x, y]; // an axis has no direction
    const stretch = Math.min(LARGEST, Math.max(1, Math.hypot(u, v) / 0.8));
    return { stretch, angle: degrees([u, v]) };
  });

  const names = CONTROLS.map(([name]) => `change:${name}`);
  for (const name of names) model.on(name, draw);
  draw();
  return () => names.forEach((name) => model.off(name, draw));
}

export default { render };
