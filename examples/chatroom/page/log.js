/* log.js - the list of messages and where its reader is: at its end, where it
 * stays, or further up, where a button says what is new below. */

import { List } from "./list.js";
import { count } from "./words.js";

const NEAR = 48; /* pixels from the end that still are "at the end" */

export class Log {
  #log;
  #empty;
  #jump;
  #list;
  #atEnd = true;
  #top = 0;
  #unread = 0;

  constructor(room) {
    this.#log = document.getElementById("log");
    this.#empty = document.getElementById("empty");
    this.#jump = document.getElementById("jump");
    const root = document.getElementById("list");
    this.#list = new List(root);
    this.#log.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#jump.addEventListener("click", () => this.#onJump());
    root.addEventListener("click", (event) => onAction(event, room));
    const sizes = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    sizes.observe(this.#log);
    sizes.observe(root);
  }

  show(rows, status, now) {
    const read = this.#atEnd ? null : this.#firstInSight();
    const was = read?.getBoundingClientRect().top;
    this.#list.show(rows, status, now);
    if (read?.isConnected) this.#log.scrollTop += read.getBoundingClientRect().top - was;
    this.#log.setAttribute("aria-busy", String(status === "connecting"));
    this.#empty.hidden = rows.length > 0 || status === "connecting";
    if (this.#atEnd) this.#toEnd();
  }

  /* What is read stays where it is, also when the oldest messages go. */
  #firstInSight() {
    const { top } = this.#log.getBoundingClientRect();
    const items = [...this.#log.querySelectorAll("li")];
    return items.find((item) => item.getBoundingClientRect().bottom > top);
  }

  /** So many messages of others have come. */
  came(messages) {
    if (this.#atEnd) return;
    this.#unread += messages;
    this.#showJump();
  }

  /** The reader wants to see the end, having said something. */
  toEnd() {
    this.#atEnd = true;
    this.#toEnd();
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#unread = 0;
    this.#showJump();
  }

  /* Only who goes up leaves the end; it may also move away by itself, when the log
   * gets lower or longer. */
  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    const isNear = scrollHeight - scrollTop - clientHeight <= NEAR;
    if (isNear || scrollTop < this.#top) this.#atEnd = isNear;
    this.#top = scrollTop;
    if (this.#atEnd) this.#unread = 0;
    this.#showJump();
  }

  #onJump() {
    this.toEnd();
    this.#log.focus({ preventScroll: true });
  }

  #showJump() {
    this.#jump.hidden = this.#atEnd || this.#unread === 0;
    this.#jump.textContent = count(this.#unread, "new message");
  }
}

function onAction(event, room) {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  const { cid } = button.closest(".message").dataset;
  if (button.dataset.do === "retry") room.retry(cid);
  else room.discard(cid);
  document.getElementById("message").focus();
}
