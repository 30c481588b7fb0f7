"use strict";

// Adding a tag by typing: a combobox over the 49 tags, as the ARIA practices describe it.
class Adder {
  constructor(card, tags, choose) {
    this.form = card.element.querySelector(".adder");
    this.input = this.form.querySelector("input");
    this.list = this.form.querySelector("ul");
    this.card = card;
    this.tags = tags;
    this.choose = choose;
    this.fitting = [];
    this.active = 0;
    this.input.addEventListener("input", () => this.show());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close(false));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    // Before blur, which would take the list away.
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) {
        this.pick(option.textContent);
      }
    });
  }

  open() {
    this.form.hidden = false;
    this.input.value = "";
    this.show();
    this.input.focus();
  }

  close(refocus) {
    if (this.form.hidden) {
      return;
    }
    this.form.hidden = true;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    if (refocus) {
      this.card.element.focus({ preventScroll: true });
    }
  }

  // The tags that begin with what is typed come first, then those with such a word, then those that contain it.
  show() {
    const typed = this.input.value.trim().toLowerCase();
    const given = this.card.decisions;
    const rank = (tag) => {
      const text = tag.toLowerCase();
      return text.startsWith(typed) ? 0 : text.includes(` ${typed}`) ? 1 : text.includes(typed) ? 2 : 3;
    };
    const open = this.tags.filter((tag) => !["accept", "add"].includes(given.get(tag)?.decision) && rank(tag) < 3);
    this.fitting = open.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other)).slice(0, 8);
    this.active = 0;
    this.list.replaceChildren(
      ...this.fitting.map((tag, place) => {
        const option = document.createElement("li");
        option.setAttribute("role", "option");
        option.id = `${this.list.id}-${place}`;
        option.textContent = tag;
        return option;
      }),
    );
    this.list.hidden = this.fitting.length === 0;
    this.input.setAttribute("aria-expanded", String(this.fitting.length > 0));
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((option, place) => {
      option.setAttribute("aria-selected", String(place === this.active));
    });
    const option = this.list.children[this.active];
    if (option) {
      this.input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  key(event) {
    const count = this.fitting.length;
    if (event.key === "Escape") {
      this.close(true);
    } else if (event.key === "Enter" && count) {
      this.pick(this.fitting[this.active]);
    } else if (event.key === "ArrowDown" && count) {
      this.active = (this.active + 1) % count;
      this.mark();
    } else if (event.key === "ArrowUp" && count) {
      this.active = (this.active + count - 1) % count;
      this.mark();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  pick(tag) {
    this.close(true);
    this.choose(tag);
  }
}
