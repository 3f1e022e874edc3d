/* people.js - who is here: beside the messages, or on a small screen behind a
 * button. */

import { hueOf, initialOf } from "./text.js";
import { make } from "./list.js";
import { ANONYMOUS } from "./rows.js";
import { count } from "./words.js";

/* Oneself first, the anonymous last. */
function inOrder(people, me) {
  const rank = ({ user }) => (user === me ? 0 : user === ANONYMOUS ? 2 : 1);
  return [...people].sort(
    (a, b) => rank(a) - rank(b) ||
      a.user.localeCompare(b.user, undefined, { numeric: true }),
  );
}

function makePerson({ user, connections }, me) {
  const isMe = user === (me ?? ANONYMOUS);
  const avatar = make("span", { class: "avatar", "aria-hidden": "true" });
  avatar.textContent = initialOf(user);
  const person = make("li", {
    class: `person hue-${hueOf(user)}`,
    "data-person": user, "data-connections": connections,
  }, avatar, make("bdi", { class: "author" }, user));
  if (isMe) person.append(make("span", { class: "tag" }, "you"));
  if (connections > 1) person.append(makeConnections(user, connections));
  return person;
}

function makeConnections(user, connections) {
  const what = user === ANONYMOUS ? "visitor" : "connection";
  return make("span", { class: "times", title: count(connections, what) },
    make("span", { "aria-hidden": "true" }, `×\u2009${connections}`),
    make("span", { class: "hidden" }, count(connections, what)));
}

/** Named people count once, anonymous ones each. */
export function headcount(people) {
  return people.reduce(
    (sum, { user, connections }) => sum + (user === ANONYMOUS ? connections : 1), 0,
  );
}

export class People {
  #panel = document.getElementById("people");
  #list = document.getElementById("people-list");
  #toggle = document.getElementById("people-toggle");
  #count = document.getElementById("people-count");
  #shown = "";

  constructor() {
    this.#toggle.addEventListener("click", () => this.#open(!this.#isOpen));
    document.addEventListener("keydown", (event) => this.#onKey(event));
    document.addEventListener("pointerdown", (event) => this.#onPointer(event));
  }

  show(people, me) {
    const key = JSON.stringify([people, me]);
    if (!people || key === this.#shown) return;
    this.#shown = key;
    this.#count.textContent = String(headcount(people));
    this.#list.replaceChildren(...inOrder(people, me).map((one) => makePerson(one, me)));
  }

  get #isOpen() {
    return this.#toggle.getAttribute("aria-expanded") === "true";
  }

  #open(open) {
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#panel.classList.toggle("open", open);
  }

  #onKey(event) {
    if (event.key !== "Escape" || !this.#isOpen) return;
    this.#open(false);
    this.#toggle.focus();
  }

  #onPointer({ target }) {
    const inside = this.#panel.contains(target) || this.#toggle.contains(target);
    if (this.#isOpen && !inside) this.#open(false);
  }
}
