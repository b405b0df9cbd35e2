// Passkeys: the browser makes or uses one, and the form carries its answer. Without script the password still works.
(() => {
  "use strict";
  const usable = Boolean(window.PublicKeyCredential) && isSecureContext && !/^[\d.]+$|:/.test(location.hostname);

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  function options(source) {
    const asked = source.publicKey;
    const made = { ...asked, challenge: bytes(asked.challenge) };
    if (asked.user) made.user = { ...asked.user, id: bytes(asked.user.id) };
    if (asked.excludeCredentials) made.excludeCredentials = named(asked.excludeCredentials);
    if (asked.allowCredentials) made.allowCredentials = named(asked.allowCredentials);
    if (made.user) {
      made.authenticatorSelection = {
        ...made.authenticatorSelection, residentKey: "required", requireResidentKey: true, userVerification: "required",
      };
    }
    return { publicKey: made };
  }

  function answer(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    if (credential.response.getTransports) response.transports = credential.response.getTransports();
    return {
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response,
      authenticatorAttachment: credential.authenticatorAttachment,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }

  async function asked(form) {
    if (form.dataset.options) {
      const data = JSON.parse(document.getElementById(form.dataset.options).textContent);
      return data.creation_options || data.request_options;
    }
    const reply = await fetch(form.action, { headers: { Accept: "application/json" } });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    return (await reply.json()).request_options;
  }

  async function use(form) {
    const says = form.querySelector("[data-says]");
    says.hidden = true;
    try {
      const wanted = options(await asked(form));
      const made = form.dataset.passkey === "create"
        ? await navigator.credentials.create(wanted) : await navigator.credentials.get(wanted);
      form.elements.credential.value = JSON.stringify(answer(made));
      form.submit();
    } catch {
      says.textContent = says.dataset.says;
      says.hidden = false;
      delete form.dataset.sent;
      form.querySelectorAll("[aria-busy]").forEach((one) => one.removeAttribute("aria-busy"));
    }
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = !usable;
    const says = form.querySelector("[data-says]");
    if (says.textContent) says.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      use(form);
    });
  }
})();
