// Passkeys (WebAuthn), where the browser has them. A form's question is in its data, the authenticator's answer goes into
// its field `credential`, and then the form is sent like any other. Where there are none, the form stays hidden.

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const readDescriptors = (list = []) => list.map((one) => ({ ...one, id: decode(one.id) }));

function readQuestion(form) {
  const question = JSON.parse(form.dataset.passkey);
  question.challenge = decode(question.challenge);
  if (question.user) {
    question.user.id = decode(question.user.id);
    question.excludeCredentials = readDescriptors(question.excludeCredentials);
  } else {
    question.allowCredentials = readDescriptors(question.allowCredentials);
  }
  return question;
}

function renderAnswer({ id, type, response }) {
  const answer = { clientDataJSON: encode(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) answer[name] = encode(response[name]);
  }
  if (response.getTransports) answer.transports = response.getTransports();
  return JSON.stringify({ id, type, response: answer });
}

function send(form, credential) {
  form.elements.credential.value = renderAnswer(credential);
  form.submit();
}

function say(form, error) {
  const status = form.querySelector("[data-passkey-status]");
  status.textContent = error.name === "InvalidStateError" ? form.dataset.known : form.dataset.failed;
}

// The list that a browser shows at the field for the address may hold passkeys, too: one question at a time.
let offer = new AbortController();

async function offerInField(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  try {
    send(form, await navigator.credentials.get({ publicKey: readQuestion(form), mediation: "conditional", signal: offer.signal }));
  } catch {
    // Nobody chose one, or the button was quicker.
  }
}

const form = document.querySelector("form[data-passkey]");
if (form && window.PublicKeyCredential) {
  const isNew = "user" in JSON.parse(form.dataset.passkey);
  form.hidden = false;
  document.querySelector("[data-passkey-missing]")?.remove();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    offer.abort();
    const publicKey = readQuestion(form);
    const credentials = navigator.credentials;
    try {
      send(form, await (isNew ? credentials.create({ publicKey }) : credentials.get({ publicKey })));
    } catch (error) {
      say(form, error);
    }
  });
  if (!isNew) offerInField(form);
}
