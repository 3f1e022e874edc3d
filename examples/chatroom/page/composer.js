/* composer.js - where one writes. Enter sends, Shift+Enter makes a new line, and
 * a draft outlives a reload. */

import { bytesLeft, tidy } from "./text.js";
import { composerHint } from "./words.js";

const DRAFT = "chatroom:draft";
const TALLEST = 200; /* pixels, then it scrolls */

export class Composer {
  #room;
  #said;
  #storage;
  #box = document.getElementById("message");
  #send = document.getElementById("send");
  #hint = document.getElementById("hint");

  /** said() is called when a message is on its way. */
  constructor(room, storage, said) {
    this.#room = room;
    this.#storage = storage;
    this.#said = said;
    this.#box.value ||= storage?.getItem(DRAFT) ?? "";
    this.#box.addEventListener("input", () => this.#onInput());
    this.#box.addEventListener("keydown", (event) => this.#onKey(event));
    document.getElementById("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#fit();
  }

  focus() {
    this.#box.focus();
  }

  /** What may be said has changed, or how long it may be. */
  show() {
    const { status, full, user } = this.#room;
    const left = this.#left();
    const isEmpty = tidy(this.#box.value) === "";
    const hint = composerHint({ status, left, full });
    if (this.#hint.textContent !== hint) this.#hint.textContent = hint;
    this.#box.placeholder = user ? `Write as ${user}` : "Write to everyone";
    this.#hint.classList.toggle("wrong", left < 0);
    this.#box.setAttribute("aria-invalid", String(left < 0));
    this.#send.setAttribute("aria-disabled", String(isEmpty || full || left < 0));
  }

  #left() {
    const { user, messageBuffer } = this.#room;
    return bytesLeft(tidy(this.#box.value), user, messageBuffer);
  }

  #onInput() {
    this.#fit();
    this.#keep();
    this.show();
  }

  #onKey(event) {
    const isEnter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (!isEnter || event.keyCode === 229) return; /* 229: an input method's */
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    this.focus();
    if (this.#left() < 0 || !this.#room.say(this.#box.value)) return;
    this.#box.value = "";
    this.#onInput();
    this.#said();
  }

  #fit() {
    this.#box.style.height = "auto";
    this.#box.style.height = `${Math.min(this.#box.scrollHeight, TALLEST)}px`;
  }

  #keep() {
    try {
      if (this.#box.value === "") this.#storage?.removeItem(DRAFT);
      else this.#storage?.setItem(DRAFT, this.#box.value);
    } catch {
      /* Full: then it is not kept. */
    }
  }
}
