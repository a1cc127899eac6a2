// Trades a token, or the code of a one-time link, for a session cookie. Opening a link uses nothing up:
// only the button does, so previews and prefetches cannot.

const form = document.querySelector("#form");
const token = document.querySelector("#token");
const error = document.querySelector("#error");
const query = new URLSearchParams(location.search);
const code = query.get("code");

if (code) {
  document.querySelector("#lead").textContent = "This link logs you in once.";
  document.querySelector("#field").hidden = true;
  // The code must not stay in the address bar or the history.
  history.replaceState(null, "", location.pathname);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.hidden = true;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: code && !token.value ? code : token.value.trim() }),
    });
    if (answer.ok) {
      // From /login up to the page; at / itself the same address again, with what stands after its #.
      const up = new URL("./", location.href);
      if (location.pathname === up.pathname) location.reload();
      else location.replace(up);
      return;
    }
    show((await answer.json()).error);
  } catch {
    show("the server does not answer");
  }
  button.disabled = false;
});

function show(text) {
  error.textContent = text[0].toUpperCase() + text.slice(1) + ".";
  error.hidden = false;
  document.querySelector("#field").hidden = false;
  token.focus();
}
