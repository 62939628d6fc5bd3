// Light, dark, or as the system has it. Loaded before the page is drawn, so that it never flashes in the other.
(() => {
  const KEY = "larder-theme";
  const read = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden
    }
  };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  apply(read());
  window.larderTheme = {
    get: () => document.documentElement.dataset.theme ?? "system",
    set: (theme) => {
      apply(theme);
      try {
        if (theme === "system") localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, theme);
      } catch {
        // It holds for this page then.
      }
    },
  };
})();
