/* signin.js - signing in and out. */

import { signInProblem } from "./words.js";

const element = (id) => document.getElementById(id);

export class SignIn {
  #room;
  #tell;
  #busy = false;
  #dialog = element("signin");
  #fields = { name: element("name"), pass: element("pass") };
  #submit = element("signin-submit");

  /** tell(text) says something in passing. */
  constructor(room, tell) {
    this.#room = room;
    this.#tell = tell;
    element("signin-open").addEventListener("click", () => this.#open());
    element("signin-cancel").addEventListener("click", () => this.#dialog.close());
    element("signout").addEventListener("click", () => this.#signOut());
    element("signin-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#signIn();
    });
    this.#dialog.addEventListener("click", (event) => this.#onClick(event));
    for (const field of Object.values(this.#fields))
      field.addEventListener("input", () => this.#complain(null));
  }

  show() {
    const { user } = this.#room;
    const isNamed = typeof user === "string";
    element("account-name").textContent = user ?? "";
    element("account-name").hidden = !isNamed;
    element("signin-open").hidden = isNamed;
    element("signout").hidden = !isNamed;
    if (isNamed && this.#dialog.open) this.#done();
  }

  #open() {
    this.#complain(null);
    this.#dialog.showModal();
    this.#fields.name.focus();
  }

  /* Signed in, here or in another tab. */
  #done() {
    this.#dialog.close();
    this.#fields.pass.value = "";
    element("message").focus();
  }

  async #signIn() {
    if (this.#busy || !this.#isComplete()) return;
    this.#setBusy(true);
    try {
      const { name, pass } = this.#fields;
      await this.#room.signIn(name.value.trim(), pass.value);
      this.show();
    } catch (error) {
      this.#complain(signInProblem(error));
    }
    this.#setBusy(false);
  }

  #isComplete() {
    const { name, pass } = this.#fields;
    if (name.value.trim() === "") {
      this.#complain({ field: "name", text: "Please enter a name." });
    } else if (pass.value === "") {
      this.#complain({ field: "pass", text: "Please enter the password." });
    } else {
      return true;
    }
    return false;
  }

  async #signOut() {
    element("signout").disabled = true;
    try {
      await this.#room.signOut();
    } catch {
      this.#tell("Signing out did not work. Please try again.");
    }
    element("signout").disabled = false;
    element("message").focus();
  }

  /* Beside the field that is wrong, if it is one; null: nothing is. */
  #complain(problem) {
    for (const [name, field] of Object.entries(this.#fields)) {
      const isIt = problem?.field === name;
      element(`${name}-error`).textContent = isIt ? problem.text : "";
      field.setAttribute("aria-invalid", String(isIt));
      if (!isIt) continue;
      field.focus();
      field.select();
    }
    const isGeneral = problem && !problem.field;
    element("signin-error").textContent = isGeneral ? problem.text : "";
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.#submit.setAttribute("aria-disabled", String(busy));
    this.#submit.textContent = busy ? "Signing in…" : "Sign in";
  }

  #onClick({ target }) {
    const { demo } = target.dataset;
    if (target === this.#dialog) this.#dialog.close(); /* beside the card */
    if (!demo) return;
    this.#complain(null);
    this.#fields.name.value = demo;
    this.#fields.pass.value = `${demo.toLowerCase()}1234`;
    this.#submit.focus();
  }
}
