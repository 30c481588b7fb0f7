"use strict";

// Where decisions go: to the server that sent the page, or, in a gallery of plain files, into this browser.
// Both have `save(card, changes)`, which resolves to what is then decided on the photo:
// {photo, seen, words: [{tag, decision, reviewer, at}]}.

// Decisions that were not taken: `state` is what is decided on the photo instead, where the server says so.
class NotKept extends Error {
  constructor(message, state) {
    super(message);
    this.state = state;
  }
}

// What can be kept in this browser; a browser may refuse to (private windows, cookies switched off).
const memory = {
  get(name, otherwise) {
    try {
      const text = localStorage.getItem(name);
      return text === null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};

class ServerStore {
  constructor(address, head) {
    this.address = address;
    this.head = head;
    this.waiting = new Map(); // photo -> the save before; one at a time, as each says what was seen before it
    this.unsaved = 0;
  }

  save(card, changes, reviewer) {
    const before = this.waiting.get(card.photo) ?? Promise.resolve();
    this.unsaved += 1;
    const saving = before
      .catch(() => {})
      .then(() => this.send(card, changes, reviewer))
      .finally(() => (this.unsaved -= 1));
    this.waiting.set(card.photo, saving);
    return saving;
  }

  async send(card, changes, reviewer) {
    const { run } = card.element.dataset;
    const body = { photo: card.photo, head: this.head, run, seen: card.seen || null, reviewer, changes };
    let answer;
    try {
      answer = await fetch(this.address, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      throw new NotKept("The server does not answer; nothing was kept. Is geotag review still running?");
    }
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new NotKept(said.message ?? `The server answered ${answer.status}; nothing was kept.`, said.state);
    }
    return said;
  }
}

class BrowserStore {
  constructor(gallery, head) {
    this.name = `geotag-decisions-${gallery}`;
    this.head = head;
    this.unsaved = 0;
  }

  all() {
    return memory.get(this.name, {});
  }

  // Read again at each step: the gallery may be open in another tab.
  async save(card, changes, reviewer) {
    const all = this.all();
    const photo = (all[card.photo] ??= {});
    for (const { tag, decision } of changes) {
      if (decision === "withdraw") {
        delete photo[tag];
      } else {
        const { run, policy } = card.element.dataset;
        const score = card.scores.get(tag) ?? "";
        photo[tag] = { decision, reviewer, at: new Date().toISOString(), head: this.head, policy, run, score };
      }
    }
    if (!memory.set(this.name, all)) {
      throw new NotKept("This browser does not let the page keep anything; nothing was kept.");
    }
    return this.state(card, all);
  }

  // What was decided when the gallery was made, and what was decided here since.
  state(card, all = this.all()) {
    const words = new Map([...card.given, ...Object.entries(all[card.photo] ?? {})]);
    return { photo: card.photo, seen: "", words: [...words].map(([tag, word]) => ({ ...word, tag })) };
  }

  get count() {
    return Object.values(this.all()).reduce((sum, photo) => sum + Object.keys(photo).length, 0);
  }

  // The file that `geotag decisions import` takes.
  csv() {
    const columns = "gridimage_id,tag,decision,reviewer,decided_at,source,head,policy_id,run_id,score".split(",");
    const lines = [columns];
    for (const [photo, tags] of Object.entries(this.all())) {
      for (const [tag, word] of Object.entries(tags)) {
        const at = word.at.replace("Z", "");
        lines.push([photo, tag, word.decision, word.reviewer, at, "static", word.head, word.policy, word.run, word.score]);
      }
    }
    return lines.map((line) => line.map(quoted).join(",") + "\r\n").join("");
  }
}

function quoted(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
