// Find what a reader would see wrong on a page: overlapping texts, cut-off texts, texts with too little contrast.
const refused = [];
addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
globalThis.look = () => {
  const visible = (box) => box.width > 0.5 && box.height > 0.5;
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const holder = node.parentElement;
    if (!node.data.trim() || holder.closest("title, script, style, option, .unseen")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (visible(box)) texts.push({ text: node.data.trim(), holder, box });
  }

  const overlaps = [];
  texts.forEach((one, number) => {
    for (const other of texts.slice(number + 1)) {
      const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      if (wide > 1.5 && high > 3.5) overlaps.push(`${one.text} / ${other.text}`);
    }
  });

  const outside = [];
  for (const { text, holder, box } of texts) {
    const frame = (holder.closest("svg") || holder.closest("section, header, .tile, main")).getBoundingClientRect();
    const scrolls = holder.closest(".scroll, pre");
    const room = scrolls && scrolls.scrollWidth > scrolls.clientWidth + 1 && !holder.closest("svg");
    if (!room && (box.left < frame.left - 1 || box.right > frame.right + 1)) outside.push(text);
  }

  const parse = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
  };
  const paint = (element) => {
    const style = getComputedStyle(element);
    if (element instanceof SVGRectElement) return style.fill.startsWith("rgb") ? style.fill : "rgba(0, 0, 0, 0)";
    return element instanceof SVGElement && element.tagName !== "svg" ? "rgba(0, 0, 0, 0)" : style.backgroundColor;
  };
  const behind = (holder, box) => {
    const layers = [];
    const stack = document.elementsFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    for (const element of stack) {
      const { rgb, alpha } = parse(paint(element));
      if (alpha > 0) layers.push({ rgb, alpha });
      if (alpha === 1) break;
    }
    return layers.reverse().reduce(
      (below, layer) => below.map((value, n) => layer.alpha * layer.rgb[n] + (1 - layer.alpha) * value),
      [255, 255, 255],
    );
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pale = [];
  for (const { text, holder, box } of texts) {
    if (box.top < 0 || box.bottom > innerHeight || box.left < 0 || box.right > innerWidth) continue;
    const style = getComputedStyle(holder);
    const ink = luminance(parse(holder instanceof SVGElement ? style.fill : style.color).rgb);
    const ground = luminance(behind(holder, box));
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) pale.push(`${text}: ${contrast.toFixed(1)}`);
  }

  return {
    texts: texts.length,
    looked_at: texts.filter(({ box }) => box.bottom <= innerHeight).length,
    overlaps,
    outside,
    pale,
    is_wider: document.documentElement.scrollWidth > innerWidth + 1,
    is_dark: matchMedia("(prefers-color-scheme: dark)").matches,
    ground: getComputedStyle(document.body).backgroundColor,
    loaded: [...new Set([...refused, ...performance.getEntriesByType("resource").map((entry) => entry.name)])],
  };
};
addEventListener("load", () => {
  const sink = document.createElement("pre");
  sink.id = "found";
  sink.textContent = JSON.stringify(look());
  document.body.append(sink);
});
