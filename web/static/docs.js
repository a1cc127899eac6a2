/* global SwaggerUIBundle */
// Swagger UI, and what its elements lack for those who do not see them or use no mouse: [which, attribute, value], set
// whenever it draws. Their colours are in style/docs.css.
const LACKED = [
  ["#servers", "aria-label", "Server"],
  [".body-param__text", "aria-label", "Request body"],
  [".microlight", "tabindex", "0"], // it scrolls
  [".information-container", "role", "region"],
  [".information-container", "aria-label", "About this API"],
  [".schemes-server-container", "role", "region"],
  [".schemes-server-container", "aria-label", "Server and authorization"],
  ["h3.opblock-tag, .models > h4", "aria-level", "2"], // nothing of level 2 is above them
  ["h4.opblock-title", "aria-level", "3"],
];
// Said to be landmarks, all without a name, which hides that they are tables.
const TABLES = "table.responses-table[role=region]";
const docs = document.querySelector("#docs");

function complete() {
  for (const [which, name, value] of LACKED) {
    for (const element of docs.querySelectorAll(which)) element.hasAttribute(name) || element.setAttribute(name, value);
  }
  for (const table of docs.querySelectorAll(TABLES)) table.removeAttribute("role");
  // A link within a button is no way of its own: the button opens the same, and puts it into the address.
  for (const link of docs.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
}

new MutationObserver(complete).observe(docs, { childList: true, subtree: true });
SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
