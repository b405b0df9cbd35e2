// A model's words as paragraphs, lists and code. Built from text nodes only: nothing of it is HTML, a link or an image.
(() => {
  "use strict";
  const { make } = window.playground;
  const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/;
  const HEADING = /^#{1,6}\s+(.*)$/;
  const ITEM = /^\s*(?:[-*+]|(\d{1,4})[.)])\s+(.*)$/;
  const INLINE = /(`+)(.+?)\1|\*\*(.+?)\*\*|__(.+?)__/g;

  function inline(node, text) {
    let end = 0;
    for (const match of text.matchAll(INLINE)) {
      node.append(text.slice(end, match.index));
      node.append(match[2] !== undefined ? make("code", {}, match[2]) : make("b", {}, match[3] ?? match[4]));
      end = match.index + match[0].length;
    }
    node.append(text.slice(end));
    return node;
  }

  function lines(node, texts) {
    texts.forEach((text, number) => {
      if (number) node.append(make("br"));
      inline(node, text);
    });
    return node;
  }

  function fenced(all, start) {
    const [, fence, name] = all[start].match(FENCE);
    let end = start + 1;
    while (end < all.length && !all[end].trim().startsWith(fence)) end += 1;
    const code = make("pre", { class: "code", tabindex: "0", lang: "en", "data-language": name || null },
      make("code", {}, all.slice(start + 1, end).join("\n")));
    return [code, end + 1];
  }

  function listed(all, start) {
    const first = all[start].match(ITEM)[1];
    const list = first === undefined ? make("ul") : make("ol", { start: first });
    let end = start;
    for (let match; end < all.length && (match = all[end].match(ITEM)) && (match[1] === undefined) === (first === undefined); end += 1) {
      list.append(inline(make("li"), match[2]));
    }
    return [list, end];
  }

  function paragraph(all, start) {
    let end = start;
    while (end < all.length && all[end].trim() && !FENCE.test(all[end]) && !HEADING.test(all[end]) && !ITEM.test(all[end])) end += 1;
    return [lines(make("p"), all.slice(start, end)), end];
  }

  /** The pieces of page for an answer, whole or still being written. */
  function written(text) {
    const all = text.split("\n"), nodes = [];
    for (let at = 0; at < all.length;) {
      if (!all[at].trim()) { at += 1; continue; }
      const heading = all[at].match(HEADING);
      let node;
      if (heading) [node, at] = [inline(make("p", { class: "heading" }), heading[1]), at + 1];
      else if (FENCE.test(all[at])) [node, at] = fenced(all, at);
      else if (ITEM.test(all[at])) [node, at] = listed(all, at);
      else [node, at] = paragraph(all, at);
      nodes.push(node);
    }
    return nodes;
  }

  window.playground.written = written;
})();
