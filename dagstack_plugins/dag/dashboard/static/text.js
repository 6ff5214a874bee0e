// How things are said and drawn; names and messages become text nodes only, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const STATUSES = ["running", "waiting", "failed", "timed_out", "succeeded", "skipped", "cancelled", "pending"];
const WORDS = { timed_out: "timed out", waiting: "waiting for a decision" };

export function word(status) {
  return WORDS[status] ?? status;
}

/** Seconds as people say them: 0.5 ms, 0.12 s, 4.5 s, 3 min 20 s, 2 h 5 min. */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value > 0 && value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${value.toFixed(2)} s`;
  if (value < 60) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** An element: attributes by name, `on…` for listeners, then its children, texts included. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function icon(status) {
  const turning = status === "running" ? " turning" : "";
  return svg("svg", { class: `icon${turning}`, "aria-hidden": "true" }, svg("use", { href: `#i-${status}` }));
}

/** Set a text only where it changed, so that screen readers and selections are left alone. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}
