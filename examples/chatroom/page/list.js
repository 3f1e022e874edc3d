/* list.js - the rows of rows.js as elements. An element stays as long as its row,
 * so a change costs what has changed. Text is never taken for HTML. */

import { dayText, momentText, stateText, timeText } from "./words.js";
import { hueOf, initialOf, pieces } from "./text.js";

/** An element with attributes and children (elements or text). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function makeText(text) {
  const paragraph = make("p", { class: "text", dir: "auto" });
  for (const piece of pieces(text)) {
    if (!piece.href) paragraph.append(piece.text);
    else paragraph.append(make("a", {
      href: piece.href, target: "_blank", rel: "noopener noreferrer nofollow ugc",
    }, piece.text));
  }
  return paragraph;
}

function fillTime(element, time) {
  const dateTime = new Date(time).toISOString();
  if (element.dateTime === dateTime) return;
  element.dateTime = dateTime;
  element.title = momentText(time);
  element.textContent = timeText(time);
}

function makeMessage(row) {
  const avatar = make("span", { class: "avatar", "aria-hidden": "true" });
  avatar.textContent = initialOf(row.user);
  const author = make("bdi", { class: "author" }, row.user);
  const byline = make("p", { class: "byline" }, author, " ", make("time"));
  const bubble = make("div", { class: "bubble" }, makeText(row.text));
  const state = make("div", { class: "state" });
  return make("li", {}, avatar, byline, bubble, state);
}

function makeDay() {
  return make("li", { class: "day" }, make("time"));
}

function makeGap() {
  return make("li", { class: "gap" }, make("span", {}, "Some messages may be missing here"));
}

const makers = { message: makeMessage, day: makeDay, gap: makeGap };

function setData(element, name, value) {
  if (value === undefined || value === false) delete element.dataset[name];
  else element.dataset[name] = value === true ? "" : value;
}

function fillState(element, row, status) {
  const text = stateText(row, status);
  element.replaceChildren(...(text ? [make("span", {}, text)] : []));
  if (row.state !== "failed") return;
  element.append(
    make("button", { type: "button", "data-do": "retry" }, "Try again"),
    make("button", { type: "button", "data-do": "discard" }, "Discard"),
  );
}

function updateMessage(element, row, status) {
  const own = row.own ? " own" : "";
  const first = row.first ? " first" : "";
  const last = row.last ? " last" : "";
  element.className = `message hue-${hueOf(row.voice)}${own}${first}${last}`;
  setData(element, "state", row.state);
  setData(element, "cid", row.cid);
  setData(element, "id", row.id);
  setData(element, "user", row.user);
  setData(element, "own", row.own);
  fillTime(element.querySelector("time"), row.time);
  fillState(element.querySelector(".state"), row, status);
}

function updateDay(element, row, now) {
  const time = element.firstElementChild;
  const day = new Date(row.time);
  const pad = (n) => String(n).padStart(2, "0");
  time.dateTime = `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())}`;
  time.textContent = dayText(row.time, now);
}

/* What of a row is to be seen, besides what its key stands for. */
function lookOf(row, status, now) {
  if (row.kind === "day") return dayText(row.time, now);
  if (row.kind === "gap") return "";
  const waits = row.state === "pending" && status;
  return [row.state, row.reason, row.id, row.time, row.user, row.voice, row.own,
    row.first, row.last, waits].join("\n");
}

export class List {
  #root;
  #shown = new Map(); /* key -> {element, look} */

  constructor(root) {
    this.#root = root;
  }

  /** Show these rows, and nothing else. Returns how many are new. */
  show(rows, status, now) {
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, { element }] of this.#shown) {
      if (keys.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    let fresh = 0;
    let next = this.#root.firstElementChild;
    for (const row of rows) {
      const { element, isNew } = this.#shownAs(row, status, now);
      if (isNew && row.kind === "message") fresh++;
      if (element === next) next = next.nextElementSibling;
      else this.#root.insertBefore(element, next);
    }
    return fresh;
  }

  #shownAs(row, status, now) {
    let shown = this.#shown.get(row.key);
    const isNew = !shown;
    if (isNew) {
      shown = { element: makers[row.kind](row), look: null };
      this.#shown.set(row.key, shown);
    }
    const look = lookOf(row, status, now);
    if (look !== shown.look) {
      shown.look = look;
      if (row.kind === "message") updateMessage(shown.element, row, status);
      if (row.kind === "day") updateDay(shown.element, row, now);
    }
    return { element: shown.element, isNew };
  }
}
