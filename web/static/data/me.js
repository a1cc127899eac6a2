// Who is looking, and what they may do.

import { signal } from "../view.js";
import { at } from "../frame/router.js";
import { get, post } from "./api.js";

export const me = signal(null);

export async function readMe() {
  me.value = await get("me");
}

// The past can only be read.
export function may(scope) {
  if (!me.value || (at.value && scope !== "read")) return false;
  return me.value.scopes.includes(scope) || me.value.scopes.includes("admin");
}

export async function logOut() {
  await post("logout");
  location.reload();
}
