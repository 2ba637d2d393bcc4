"use strict";
/**
 * The picture of a person in the editor's corner: his initials, inside the URL itself. The platform's own picture
 * would come from another origin, under a name of the box that this browser may not know.
 */

const COLOURS = ["#0b6477", "#7a4a00", "#4b3f8f", "#8a2d3b", "#2c6b2f", "#5a5a5a"];

function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toLocaleUpperCase();
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

/** A `data:` URL for the picture of `name`. */
function portrait(name) {
  const sum = [...name].reduce((total, character) => total + character.codePointAt(0), 0);
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
    `<rect width="32" height="32" fill="${COLOURS[sum % COLOURS.length]}"/>` +
    '<text x="16" y="21" font-family="sans-serif" font-size="14" fill="#fff" text-anchor="middle">' +
    `${escaped(initials(name))}</text></svg>`;
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}`;
}

module.exports = { portrait };
