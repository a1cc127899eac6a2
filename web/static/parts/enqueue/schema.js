// A JSON Schema as the fields of a form, as far as a form can show one; the rest is typed as JSON. Pure.
//
//   fieldsOf(schema)      [{name, kind: text|number|switch|choice|json, required, value, ...}], null: no form
//   payloadOf(fields, {user_id: "u1"})      the payload; raises SyntaxError for a field that is not JSON

export function fieldsOf(schema) {
  const root = resolved(schema, schema);
  if (root?.type !== "object" || !root.properties) return null;
  const required = new Set(root.required ?? []);
  return Object.entries(root.properties)
    .map(([name, of]) => ({ name, required: required.has(name), ...fieldOf(of, schema) }))
    .sort((a, b) => b.required - a.required);
}

// References within the document, as msgspec and others write them.
function resolved(of, whole, depth = 0) {
  if (typeof of?.$ref !== "string" || depth > 8) return of;
  if (!of.$ref.startsWith("#")) return {};
  const found = of.$ref.slice(1).split("/").filter(Boolean).reduce((node, part) => node?.[unescaped(part)], whole);
  return resolved({ ...found, ...without$ref(of) }, whole, depth + 1);
}
const without$ref = ({ $ref, ...rest }) => rest;
const unescaped = (part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");

function fieldOf(given, whole) {
  const of = plain(resolved(given, whole), whole);
  const said = { value: of.default, hint: of.description ?? hintOf(of), label: of.title };
  if (Array.isArray(of.enum) && of.enum.every((one) => typeof one === "string")) return { ...said, kind: "choice", choices: of.enum };
  if (of.type === "boolean") return { ...said, kind: "switch" };
  if (of.type === "integer" || of.type === "number") {
    return { ...said, kind: "number", step: of.type === "integer" ? (of.multipleOf ?? 1) : "any", min: of.minimum, max: of.maximum };
  }
  if (of.type === "string") return { ...said, kind: "text", min: of.minLength, max: of.maxLength, pattern: of.pattern };
  return { ...said, kind: "json" };
}

// "a text or null" is a text that may be left out.
function plain(of, whole) {
  const among = (of.anyOf ?? of.oneOf)?.map((one) => resolved(one, whole)).filter(({ type }) => type !== "null");
  return among?.length === 1 ? { ...among[0], ...("default" in of ? { default: of.default } : {}) } : of;
}

const hintOf = ({ format, pattern }) => format ?? (pattern ? `like ${pattern}` : undefined);

// What a field shows at first, and what a payload has for it.
export const shown = (field, value) => {
  if (value === undefined || value === null) return field.kind === "switch" ? false : "";
  return field.kind === "json" ? JSON.stringify(value) : value;
};

export function payloadOf(fields, typed) {
  const payload = {};
  for (const field of fields) {
    const value = typed[field.name];
    if (value === undefined || (value === "" && !(field.required && field.kind === "text"))) continue;
    payload[field.name] = parsed(field, value);
  }
  return payload;
}

function parsed({ kind, name }, value) {
  if (kind === "number") return Number(value);
  if (kind !== "json") return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new SyntaxError(`${name} is not JSON: ${error.message}`);
  }
}

// The other way: what the fields show of a payload, undefined where it has something that no field holds.
export function typedOf(fields, payload) {
  if (payload === null || typeof payload !== "object" || Array.isArray(payload)) return undefined;
  const known = new Map(fields.map((field) => [field.name, field]));
  if (Object.keys(payload).some((name) => !known.has(name))) return undefined;
  return Object.fromEntries(Object.entries(payload).map(([name, value]) => [name, shown(known.get(name), value)]));
}

// "/order/id" and a reason -> the field's name and what is wrong.
export function wrongOf(error) {
  const found = error?.detail?.errors ?? [];
  return Object.fromEntries(found.map(({ path, reason }) => [unescaped((path ?? "").split("/")[1] ?? ""), reason]));
}
