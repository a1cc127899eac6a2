// The API's page is dark where the dashboard is: by one's own choice, else by the system's. Swagger UI has a class for it.
// A classic script that runs after theme.js and before the first paint.
const ofTheSystem = matchMedia("(prefers-color-scheme: dark)");

function shade() {
  const root = document.documentElement;
  const { theme = ofTheSystem.matches ? "dark" : "light" } = root.dataset;
  root.classList.toggle("dark-mode", theme === "dark");
}

// Switched in another tab.
function switched({ key, newValue }) {
  if (key !== "hivelog.theme") return;
  const theme = JSON.parse(newValue);
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  shade();
}

ofTheSystem.addEventListener("change", shade);
addEventListener("storage", switched);
shade();
