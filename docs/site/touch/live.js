// A frame of the page with a model inside is read when it comes into view (one address for all frames, so that the browser
// fetches it once; the frame's name says which part). It is as high as that part, up to most of the screen, and has the site's colours.
if (typeof document !== "undefined") addEventListener("DOMContentLoaded", () => {
  const frames = [...document.querySelectorAll("figure.live iframe")];
  const seen = new IntersectionObserver((changes) => {
    for (const { isIntersecting, target } of changes) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      target.src = target.dataset.src;
    }
  });
  frames.forEach((frame) => seen.observe(frame));
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
