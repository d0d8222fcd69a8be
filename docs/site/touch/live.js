// A frame of the page with a model inside is as high as the part that it shows, up to most of the screen, and has the site's colours.
if (typeof document !== "undefined") addEventListener("DOMContentLoaded", () => {
  const frames = [...document.querySelectorAll("figure.live iframe")];
  const colour = ({ contentWindow }) =>
    contentWindow.postMessage({ scheme: document.body.dataset.mdColorScheme === "slate" ? "dark" : "light" }, "*");
  addEventListener("message", ({ source, data }) => {
    const frame = frames.find((each) => each.contentWindow === source);
    if (!frame || !(data?.height > 0)) return;
    frame.style.height = `${Math.ceil(data.height) + 2}px`;
    colour(frame);
  });
  new MutationObserver(() => frames.forEach(colour)).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
});
