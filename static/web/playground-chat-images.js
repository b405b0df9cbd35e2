// Images that go with a message: made small here, drawn on canvases, sent inside the call.
(() => {
  "use strict";
  const { word, make, icon, complain } = window.playground;
  const MOST = 4, LONGEST = 1024, SHOWN = 72;
  const list = document.getElementById("pictures");
  const files = document.getElementById("files");
  const button = document.getElementById("attach");
  const error = document.getElementById("say-error"), say = document.getElementById("say");
  let images = []; // {canvas, url}

  function scaled(bitmap, longest) {
    const part = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
    const canvas = make("canvas", { width: Math.max(1, Math.round(bitmap.width * part)), height: Math.max(1, Math.round(bitmap.height * part)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  async function add(file) {
    try {
      const bitmap = await createImageBitmap(file);
      images.push({ url: scaled(bitmap, LONGEST).toDataURL("image/jpeg", 0.85), preview: scaled(bitmap, SHOWN), name: file.name });
      bitmap.close();
    } catch {
      complain(error, say, word("bad_image", { name: file.name }));
    }
  }

  function draw() {
    list.hidden = !images.length;
    list.replaceChildren(...images.map((image, number) => make("li", { class: "row" }, image.preview,
      make("button", { class: "btn quiet square", type: "button", "aria-label": word("remove_image", { number: number + 1 }),
        onclick: () => { images.splice(number, 1); draw(); } }, icon("close")))));
  }

  async function take() {
    complain(error, say, "");
    const room = MOST - images.length;
    if (files.files.length > room) complain(error, say, word("most_images"));
    for (const file of [...files.files].slice(0, room)) await add(file);
    files.value = "";
    draw();
  }

  button.addEventListener("click", () => files.click());
  files.addEventListener("change", take);

  Object.assign(window.playground, {
    /** The images so far; they go with what is sent now. */
    takeImages: () => { const taken = images; images = []; draw(); return taken; },
    putImages: (back) => { images = [...back]; draw(); },
    heldImages: () => images,
    offerImages: (may) => { button.hidden = !may; if (!may) { images = []; draw(); } },
  });
})();
