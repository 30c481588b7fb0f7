"use strict";

// One photo on the page: what is decided on it, as kept and as it will be once it is, and how that looks.
class Card {
  constructor(element) {
    this.element = element;
    this.photo = Number(element.dataset.photo);
    this.seen = element.dataset.seen;
    this.kept = new Map(); // tag -> {decision, reviewer}
    this.scores = new Map();
    this.underway = []; // changes that are not known to be kept yet
    for (const line of this.lines) {
      const { tag, decision, kind } = line.dataset;
      if (decision) {
        this.kept.set(tag, { decision, reviewer: line.querySelector(".by").textContent });
      }
      const bar = line.querySelector(".bar .full");
      if (bar && kind !== "other") {
        this.scores.set(tag, Number(bar.getAttribute("width")) / 100);
      }
    }
    this.given = this.kept; // when the page was made
  }

  get lines() {
    return [...this.element.querySelectorAll(".tag")];
  }

  get title() {
    return this.element.querySelector("h2").firstElementChild?.firstChild.textContent ?? this.element.querySelector("h2").textContent;
  }

  // What is decided, those on their way included.
  get decisions() {
    const merged = new Map(this.kept);
    for (const { tag, decision } of this.underway.flat()) {
      if (decision === "withdraw") {
        merged.delete(tag);
      } else {
        merged.set(tag, { decision, reviewer: "" });
      }
    }
    return merged;
  }

  get undecided() {
    const decisions = this.decisions;
    return this.lines
      .filter((line) => ["suggested", "asked"].includes(line.dataset.kind) && !decisions.has(line.dataset.tag))
      .map((line) => line.dataset.tag);
  }

  get isDone() {
    return this.undecided.length === 0;
  }

  isSuggested(tag) {
    return this.lines.some((line) => line.dataset.tag === tag && line.dataset.kind === "suggested");
  }

  decision(tag, right) {
    return right ? (this.isSuggested(tag) ? "accept" : "add") : "reject";
  }

  // The change that makes a tag right, wrong, or undecided where it is that already.
  change(tag, right) {
    const wanted = this.decision(tag, right);
    return { tag, decision: this.decisions.get(tag)?.decision === wanted ? "withdraw" : wanted };
  }

  // The changes that bring tags back to what `decisions` had.
  back(changes, decisions) {
    return changes.map(({ tag }) => ({ tag, decision: decisions.get(tag)?.decision ?? "withdraw" }));
  }

  take(state) {
    this.seen = state.seen;
    this.kept = new Map(state.words.map((word) => [word.tag, word]));
  }

  // Show what is decided, and by whom if it was not `reviewer`.
  render(reviewer) {
    const decisions = this.decisions;
    const shown = new Set(this.lines.map((line) => line.dataset.tag));
    for (const tag of decisions.keys()) {
      if (!shown.has(tag)) {
        this.addLine(tag);
      }
    }
    for (const line of this.lines) {
      const word = decisions.get(line.dataset.tag);
      line.dataset.decision = word?.decision ?? "";
      line.querySelector(".by").textContent = word?.reviewer === reviewer ? "" : (word?.reviewer ?? "");
      line.querySelector(".yes").setAttribute("aria-pressed", String(["accept", "add"].includes(word?.decision)));
      line.querySelector(".no").setAttribute("aria-pressed", String(word?.decision === "reject"));
    }
    this.element.toggleAttribute("data-done", this.isDone);
    this.element.toggleAttribute("data-underway", this.underway.length > 0);
  }

  addLine(tag) {
    const line = document.getElementById("line").content.firstElementChild.cloneNode(true);
    line.dataset.tag = tag;
    line.querySelector(".name").textContent = tag;
    const place = this.lines.length + 1;
    line.querySelector("kbd").textContent = place <= 10 ? String(place % 10) : "";
    for (const [kind, word] of [["yes", "Add"], ["no", "Reject"]]) {
      const button = line.querySelector(`.${kind}`);
      button.setAttribute("aria-label", `${word} ${tag}`);
      button.title = `${word} ${tag}`;
    }
    this.element.querySelector(".tags").append(line);
  }

  // Say something beside the photo until the next step on it.
  note(text) {
    const note = this.element.querySelector(".note");
    note.textContent = text;
    note.hidden = !text;
  }

  get wordsInWords() {
    const said = [...this.decisions].map(([tag, { decision }]) => `${PAST[decision]} ${tag}`);
    return said.length ? said.join(", ") : "nothing decided";
  }
}

const PAST = { accept: "accepted", reject: "rejected", add: "added", withdraw: "undecided again:" };
