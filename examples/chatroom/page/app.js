/* app.js - the page: brings the room and its elements together. */

import { Client } from "./webwire.js";
import { Composer } from "./composer.js";
import { Log } from "./log.js";
import { People } from "./people.js";
import { Room } from "./room.js";
import { SignIn } from "./signin.js";
import { announcement, statusText } from "./words.js";
import { rowsOf } from "./rows.js";

const SESSION = "chatroom:session";
const TAB = "chatroom:tab";
const LOOK_EVERY = 15000;
const FOLLOW_WAIT = 300;
const FOLLOW_WAIT_MAX = 10000;
const NOTICE_FOR = 6000;
const ANNOUNCED = 100;
const DRAW_REST = 3; /* times as long as drawing took, nothing is drawn */

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const element = (id) => document.getElementById(id);

/* A browser may forbid storage; then nothing is kept. */
function storageOf(kind) {
  try {
    const storage = window[kind];
    storage.getItem(TAB);
    return storage;
  } catch {
    return null;
  }
}

function randomText(bytes) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...random)).replace(/\W/g, "_");
}

function tabOf(storage) {
  const known = storage?.getItem(TAB);
  if (known) return known;
  const tab = randomText(6);
  try {
    storage?.setItem(TAB, tab);
  } catch {
    /* Full: after a reload this is another tab. */
  }
  return tab;
}

function makeClient(local) {
  const url = new URL("join", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return new Client(url, {
    subprotocol: "chatroom-example-protocol",
    storage: local,
    storageKey: SESSION,
    reconnectInterval: 500,
    reconnectMax: 10000,
  });
}

class Page {
  #session = storageOf("sessionStorage");
  #local = storageOf("localStorage");
  #isScheduled = false;
  #drawnAt = 0;
  #drawCost = 0;
  #noticeTimer = 0;
  #unseen = 0;
  #toAnnounce = [];
  #wasSignedIn = false;
  #followed = { key: this.#local?.getItem(SESSION) ?? null };

  constructor() {
    const client = makeClient(this.#local);
    client.on("session", (session) => this.#onSession(session));
    this.room = new Room({
      client,
      storage: this.#session,
      tab: tabOf(this.#session),
      random: () => randomText(16),
      changed: () => this.#schedule(),
      news: (entries) => this.#onNews(entries),
    });
    this.log = new Log(this.room);
    this.people = new People();
    this.signIn = new SignIn(this.room, (text) => this.#tell(text));
    this.composer = new Composer(this.room, this.#session, () => {
      this.#schedule();
      this.log.toEnd();
    });
  }

  start() {
    window.addEventListener("storage", (event) => this.#onStorage(event));
    window.addEventListener("online", () => this.#onLine());
    window.addEventListener("offline", () => this.#offLine());
    document.addEventListener("visibilitychange", () => this.#onVisible());
    setInterval(() => this.#look(), LOOK_EVERY);
    followViewport();
    this.room.start();
    if (matchMedia("(hover: hover)").matches) this.composer.focus();
  }

  /* However much changes, the page is drawn once per frame, and when that takes
   * long, less often: it must never keep a key from being seen. A page that isn't
   * seen has no frames, and is drawn when it is seen again. */
  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const draw = () => requestAnimationFrame(() => this.#drawOnce());
    const rest = this.#drawnAt + DRAW_REST * this.#drawCost - performance.now();
    if (rest > 0) setTimeout(draw, rest);
    else draw();
  }

  #drawOnce() {
    const begun = performance.now();
    this.#isScheduled = false;
    this.#draw();
    this.#drawnAt = performance.now();
    this.#drawCost = this.#drawnAt - begun;
  }

  #draw() {
    const { room } = this;
    const me = { user: room.user, tab: room.tab };
    this.#drawStatus();
    this.log.show(rowsOf(room.entries, room.unsaid, me), room.status, Date.now());
    this.people.show(room.people, room.user);
    this.signIn.show();
    this.composer.show();
    this.#announce();
  }

  #drawStatus() {
    const { status, node, user } = this.room;
    const isOffline = status !== "online" && navigator.onLine === false;
    const text = statusText(status, node, isOffline);
    const root = document.documentElement.dataset;
    root.status = isOffline && status !== "failed" ? "offline" : status;
    if (node) root.node = node;
    if (typeof user === "string") root.user = user;
    else delete root.user;
    if (element("status").textContent !== text) element("status").textContent = text;
  }

  #onNews(entries) {
    const { room } = this;
    const others = entries.filter(({ cid }) => !cid?.startsWith(`${room.tab}.`));
    this.log.came(others.length);
    this.#toAnnounce.push(...others);
    this.#toAnnounce.splice(0, this.#toAnnounce.length - ANNOUNCED);
    if (document.hidden) this.#setUnseen(this.#unseen + others.length);
  }

  /* Here, in another tab, or by the server: it is said wherever it ends. */
  #onSession(session) {
    if (this.#wasSignedIn && !session)
      this.#tell("You are signed out. You can go on without a name.");
    this.#wasSignedIn = session !== null;
  }

  #announce() {
    if (this.#toAnnounce.length === 0) return;
    element("announcer").textContent = announcement(this.#toAnnounce.splice(0));
  }

  #setUnseen(unseen) {
    this.#unseen = unseen;
    document.title = unseen > 0 ? `(${unseen}) Chat room` : "Chat room";
  }

  #tell(text) {
    const notice = element("notice");
    notice.textContent = text;
    notice.hidden = false;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_FOR);
  }

  #look() {
    this.#schedule(); /* a new day may have begun */
    this.#follow();
    if (!document.hidden) this.room.look();
  }

  #onVisible() {
    if (document.hidden) return;
    this.#setUnseen(0);
    this.#look();
  }

  #offLine() {
    this.#schedule();
    this.room.doubt();
  }

  #onLine() {
    this.#schedule();
    this.room.connect();
  }

  #onStorage(event) {
    if (event.storageArea === this.#local && event.key === SESSION) this.#follow();
  }

  /* Tabs share who is signed in. What another tab did may not be possible here
   * yet, and the event that tells of it may get lost: it is looked again. */
  async #follow() {
    const key = this.#local?.getItem(SESSION) ?? null;
    if (key === this.#followed.key) return;
    const now = { key };
    this.#followed = now;
    for (let wait = FOLLOW_WAIT; wait <= FOLLOW_WAIT_MAX; wait *= 2) {
      if (await this.room.sessionElsewhere(key)) return;
      await pause(wait);
      if (this.#followed !== now) return; /* something else by now */
    }
  }
}

/* Where the on-screen keyboard covers the page instead of shrinking it, the page
 * is as high as what is left. */
function followViewport() {
  const { visualViewport } = window;
  if (!visualViewport) return;
  visualViewport.addEventListener("resize", () => {
    const isZoomed = visualViewport.scale > 1.01;
    const covered = !isZoomed && window.innerHeight - visualViewport.height > 80;
    const height = covered ? `${visualViewport.height}px` : "";
    document.documentElement.style.setProperty("--height", height);
    if (covered) window.scrollTo(0, 0);
  });
}

new Page().start();
