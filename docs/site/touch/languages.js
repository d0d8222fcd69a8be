// A page of the path that stands in several languages opens in the browser's, until the reader has chosen one.
if (typeof document !== "undefined") addEventListener("DOMContentLoaded", () => {
  const links = [...document.querySelectorAll(".languages a")], key = "groundup language";
  if (!links.length) return;
  const read = () => { try { return sessionStorage.getItem(key); } catch { return "none"; } };
  const keep = (code) => { try { sessionStorage.setItem(key, code); } catch { /* Nothing is kept then. */ } };
  const here = document.querySelector("article[lang]")?.lang ?? "en";
  for (const link of links) link.addEventListener("click", () => keep(link.hreflang));
  const known = ["en", ...links.map(({ hreflang }) => hreflang)];
  const wanted = navigator.languages.map((each) => each.split("-")[0]).find((each) => known.includes(each)) ?? "en";
  if (read() || location.hash || here !== "en" || wanted === "en") return;
  keep(wanted);
  location.replace(links.find(({ hreflang }) => hreflang === wanted).href);
});
