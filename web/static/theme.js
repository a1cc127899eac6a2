// A classic script that runs before the first paint, so that the page never flashes in the other theme.
try {
  const theme = JSON.parse(localStorage.getItem("hivelog.theme"));
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the system's theme it is.
}
