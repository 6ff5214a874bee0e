// The run at a glance: status, time, progress, which run it is, whether the page is up to date.

import { connection, follow } from "./connection.js";
import { changed, elapsed, on, store } from "./store.js";
import { clock, counted, element, icon, say, seconds, STATUSES, word } from "./text.js";

const by = (id) => document.getElementById(id);
const MARKS = { running: "▶", succeeded: "✓", failed: "✗", cancelled: "⊘", ended: "■" };
const ORDER = ["succeeded", "failed", "timed_out", "cancelled", "skipped", "running", "waiting", "pending"];
const STATES = {
  connecting: "connecting",
  live: "live",
  lost: "connection lost, trying again",
  ended: "the program has ended",
  refused: "signed out",
};

const counts = () => store.run?.counts ?? {};
const total = () => Object.values(counts()).reduce((sum, count) => sum + count, 0);

function drawRun() {
  const status = store.run?.status ?? "pending";
  const pill = by("status");
  if (pill.dataset.status !== status) {
    pill.dataset.status = status;
    pill.firstElementChild.replaceWith(icon(status));
  }
  say(pill.lastElementChild, store.run ? status : "no run yet");
  const over = total() - (counts().pending ?? 0) - (counts().running ?? 0) - (counts().waiting ?? 0);
  const waiting = store.gates.filter((gate) => gate.status === "waiting").length;
  const mark = waiting && status === "running" ? "⏸" : (MARKS[status] ?? "");
  say(by("title"), store.title);
  document.title = store.run ? `${mark} ${status === "running" ? `${over}/${total()}` : status} · ${store.title}` : store.title;
  drawBar(over);
  drawCounts();
  drawTime();
}

function drawTime() {
  say(by("elapsed"), store.run ? seconds(elapsed()) : "");
}

function drawBar(over) {
  const bar = by("bar");
  if (!bar.children.length) bar.append(...ORDER.map((status) => element("i", { "data-status": status })));
  for (const part of bar.children) part.style.flexGrow = counts()[part.dataset.status] ?? 0;
  bar.setAttribute("aria-label", store.run ? `${over} of ${counted(total(), "node")} ended` : "no nodes yet");
}

function drawCounts() {
  const box = by("counts");
  if (!box.children.length) {
    for (const status of STATUSES) {
      const button = element("button", { type: "button", "data-status": status, onclick: () => only(status) });
      button.append(icon(status), element("span"));
      box.append(button);
    }
  }
  for (const button of box.children) {
    const { status } = button.dataset;
    const count = counts()[status] ?? 0;
    button.hidden = count === 0 && store.only !== status;
    button.setAttribute("aria-pressed", String(store.only === status));
    say(button.lastElementChild, `${count.toLocaleString("en")} ${word(status)}`);
  }
}

function only(status) {
  store.only = store.only === status ? null : status;
  changed("nodes", "run");
}

function drawRuns() {
  const chooser = by("runs");
  const told = store.runs.map((run) => ({
    id: run.id,
    text: `${clock(run.started_at)} · ${run.status}${run.status === "running" ? "" : ` in ${seconds(run.seconds)}`}`,
  }));
  const options = [{ id: "", text: told.length ? `Newest: ${told.at(-1).text}` : "Newest" }, ...told.slice(0, -1).reverse()];
  // Runs that were just listed as the newest are chosen as such, and not twice.
  if (store.chosen && told.at(-1)?.id === store.chosen) options.splice(1, 0, told.at(-1));
  while (chooser.options.length > options.length) chooser.lastElementChild.remove();
  options.forEach(({ id, text }, place) => {
    const option = chooser.options[place] ?? chooser.appendChild(element("option"));
    if (option.value !== id) option.value = id;
    say(option, text);
  });
  chooser.value = store.chosen ?? "";
}

function drawConnection() {
  const box = by("connection");
  box.dataset.state = connection.state;
  say(box.lastElementChild, STATES[connection.state]);
  drawNotice();
}

function drawNotice() {
  const notice = by("notice");
  const told = {
    refused: "The key of this page is no longer valid. Open the address that the program printed.",
    ended: "The program has ended, or serves the dashboard no more. This is what was known last.",
  }[connection.state];
  const earlier = store.chosen !== null && store.runs.at(-1)?.id !== store.chosen;
  const text = told ?? (earlier ? "This is an earlier run." : "");
  notice.hidden = !text;
  if (notice.dataset.text === text) return;
  notice.dataset.text = text;
  notice.replaceChildren(text);
  if (!told && earlier) {
    notice.append(element("button", { type: "button", class: "quiet", onclick: () => follow(null) }, "Show the newest"));
  }
}

const announced = { run: undefined, status: "", failed: 0, gates: new Set() };

/** What a screen reader says by itself: the end, failures, and that somebody is needed. */
function announce() {
  const news = [];
  const failed = (counts().failed ?? 0) + (counts().timed_out ?? 0);
  if (announced.run === undefined || store.chosen !== null) Object.assign(announced, { status: store.run?.status, failed }); // old news
  else if (announced.run !== (store.run?.id ?? null)) Object.assign(announced, { status: "running", failed: 0 });
  announced.run = store.run?.id ?? null;
  if (failed > announced.failed) news.push(`${counted(failed, "node")} failed`);
  announced.failed = failed;
  if (store.run && announced.status !== store.run.status) news.push(`The run has ended: ${store.run.status}`);
  announced.status = store.run?.status;
  const waiting = new Set(store.gates.filter((gate) => gate.status === "waiting").map((gate) => gate.name));
  for (const name of waiting) if (!announced.gates.has(name)) news.push(`${name} waits for a decision`);
  announced.gates = waiting;
  if (news.length) by("announce").textContent = `${news.slice(0, 4).join(". ")}.`;
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("dashboard-theme", root.dataset.theme);
  } catch {
    // it is chosen for this time only
  }
}

export function start() {
  on(["run", "gates"], drawRun);
  on(["run", "gates"], announce);
  on(["runs", "run", "graph"], drawRuns);
  on(["connection", "runs", "graph"], drawConnection);
  by("runs").addEventListener("change", (event) => follow(event.target.value || null));
  by("theme").addEventListener("click", switchTheme);
  setInterval(() => store.run?.status === "running" && drawTime(), 100);
}
