// Which page: `/` is the cohort, `/slide/<id>` a slide.

import { cohortPage } from "./cohort/page";
import { el } from "./dom";
import { slidePage } from "./slide/page";
import { applyTheme } from "./theme";
import { trouble } from "./trouble";

/** The address's part behind `#` is the permalink's: the skip link moves the focus without it. */
function mendSkipLink(): void {
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  });
}

/** A token that has been shown is a cookie by now; in the address bar it would be seen, kept and sent to others. */
function hideToken(): void {
  const address = new URL(location.href);
  if (!address.searchParams.has("token")) return;
  address.searchParams.delete("token");
  history.replaceState(null, "", address);
}

async function start(): Promise<void> {
  applyTheme();
  hideToken();
  mendSkipLink();
  const root = document.getElementById("page");
  if (root === null) return;
  const slide = /^\/slide\/([^/]+)\/?$/.exec(location.pathname);
  try {
    if (slide?.[1] !== undefined) await slidePage(root, decodeURIComponent(slide[1]));
    else await cohortPage(root);
  } catch (error) {
    root.replaceChildren(
      el("main", { id: "main", class: "narrow" }, el("h1", {}, "Histoloom"), trouble(error), el("p", {}, el("a", { href: "/" }, "All slides"))),
    );
  }
}

void start();
