/* words.js - what the page tells people. Pure. */

import { Reason } from "./outbox.js";

/** The line under the room's name. */
export function statusText(status, node, isOffline) {
  if (status === "online") return node ? `Connected to ${node}` : "Connected";
  if (status === "failed") return "This page is out of date. Please reload it.";
  if (isOffline) return "You are offline";
  return status === "connecting" ? "Connecting…" : "Reconnecting…";
}

/** What stands below the message box; empty when there is nothing to say. */
export function composerHint({ status, left, full }) {
  if (left < 0) return `Too long by ${count(-left, "byte")}`;
  if (full) return "Many messages are waiting already. Please wait a little.";
  if (status === "reconnecting")
    return "What you write waits here until the connection is back.";
  return left < 500 ? `${count(left, "byte")} left` : "";
}

const failures = new Map([
  [Reason.REFUSED, "The room did not accept this message."],
  [Reason.TOO_LONG, "This message is too long."],
  [Reason.UNREACHABLE, "The room could not be reached."],
  [Reason.IDENTITY, "You wrote this under another name."],
]);

/** Below an own message. */
export function stateText({ state, reason }, status) {
  if (state === "failed") return `Not sent. ${failures.get(reason) ?? ""}`.trim();
  if (state !== "pending") return "";
  return status === "online" ? "Sending…" : "Waiting for the connection";
}

const signInProblems = new Map([
  ["INEXISTENT_USER", {
    field: "name",
    text: "We don't know that name. Names are written with a capital letter.",
  }],
  ["WRONG_PASSWORD", {
    field: "pass",
    text: "That password doesn't belong to this name. Have another try.",
  }],
]);

/** Why signing in did not work: {field: "name", "pass" or null, text}. */
export function signInProblem(error) {
  const known = error.kind === "request" ? signInProblems.get(error.code) : undefined;
  if (known) return known;
  return {
    field: null,
    text: "The room can't be reached at the moment. Please try again.",
  };
}

/** For screen readers: a few messages in full, many as their number. */
export function announcement(messages) {
  if (messages.length > 3) return `${messages.length} new messages`;
  return messages.map(({ user, msg }) => `${user}: ${msg}`).join("\n");
}

/** "1 new message", "2 new messages". */
export function count(n, what) {
  return `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
}

const DAY = 24 * 60 * 60 * 1000;
const weekday = new Intl.DateTimeFormat("en", {
  weekday: "long", month: "long", day: "numeric",
});
const withYear = new Intl.DateTimeFormat("en", {
  year: "numeric", month: "long", day: "numeric",
});
const moment = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full", timeStyle: "medium",
});
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit",
});

/** A day, from its first moment, as people call it at `now`. */
export function dayText(day, now) {
  const today = new Date(now).setHours(0, 0, 0, 0);
  const ago = Math.round((today - day) / DAY);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  const sameYear = new Date(day).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? weekday : withYear).format(day);
}

export function timeText(time) {
  return clock.format(time);
}

/** Day and time, for who wants to know exactly. */
export function momentText(time) {
  return moment.format(time);
}
