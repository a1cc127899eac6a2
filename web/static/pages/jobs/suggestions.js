// What may be meant by the word that is being typed: names of fields, payload fields that jobs really have, and
// values where they are few.

import { useEffect, useState } from "../../view.js";
import { get } from "../../data/api.js";
import { live } from "../../data/live.js";
import { FIELDS, isIdEnd, SPANS, STATES } from "./filters.js";

const PAUSE = 120; // ms without a key before the server is asked
const MOST = 8;

// The last word that is typed: "state:failed user" -> "user".
const lastWord = (text) => text.slice(text.search(/\S*$/));

// The text with the suggestion in place of its last word.
export const complete = (text, { text: made }) => text.slice(0, text.search(/\S*$/)) + made;

// Suggestions for what was typed, null for none: [{text, hint, whole: true when the word is complete by it}]
export function useSuggestions(text) {
  const [fields, setFields] = useState([]);
  const word = text === null ? null : lastWord(text);
  const prefix = word && !word.includes(":") ? word : null;
  useEffect(() => {
    if (!prefix) return setFields([]);
    const timer = setTimeout(async () => {
      const answer = await get("fields", { prefix, limit: MOST }).catch(() => null);
      setFields(answer?.fields ?? []);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [prefix]);
  if (word === null) return [];
  return word.includes(":") ? valuesFor(word) : namesFor(word, fields);
}

function namesFor(word, fields) {
  const names = FIELDS.filter((field) => field.word.startsWith(word.toLowerCase())).map(({ word: name, hint }) => ({ text: `${name}:`, hint }));
  const paths = fields.map(pathOf).filter((path) => path.startsWith(word)).map((path) => ({ text: `${path}:`, hint: "a payload's field" }));
  const job = isIdEnd(word) ? [{ text: `id:${word}`, hint: "the job whose id ends so", whole: true }] : [];
  return [...job, ...names, ...paths].slice(0, word ? MOST : FIELDS.length);
}

const pathOf = (field) => (typeof field === "string" ? field : field.path ?? field.name);

function valuesFor(word) {
  const [name, typed] = [word.slice(0, word.indexOf(":")), word.slice(word.indexOf(":") + 1)];
  return (VALUES[name]?.() ?? [])
    .filter((value) => value.startsWith(typed) && value !== typed)
    .slice(0, MOST)
    .map((value) => ({ text: `${name}:${/\s/.test(value) ? `"${value}"` : value}`, hint: "", whole: true }));
}

const spans = () => Object.keys(SPANS);
const workers = (of) => [...new Set((live.workers.value?.workers ?? []).flatMap(of))].sort();
const VALUES = {
  state: () => STATES,
  queue: () => Object.keys(live.queues.value ?? {}).sort(),
  type: () => workers((worker) => worker.types),
  worker: () => workers((worker) => [worker.name]),
  since: spans,
  until: spans,
  started: spans,
};
