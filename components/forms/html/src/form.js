// What the form can do without: a position from the device, a proof of work, one sending at a time, printing.
'use strict';

const byId = (id) => document.getElementById(id);

const errors = byId('errors');
if (errors) errors.focus();

const print = byId('print');
if (print) {
  print.hidden = false;
  print.addEventListener('click', () => window.print());
}

const locate = byId('locate');
if (locate && navigator.geolocation && window.isSecureContext) {
  const status = byId('located');
  locate.hidden = false;
  locate.addEventListener('click', () => {
    status.textContent = locate.dataset.locating;
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        byId('lat').value = coords.latitude.toFixed(6);
        byId('long').value = coords.longitude.toFixed(6);
        byId('coordinates').open = true;
        status.textContent = locate.dataset.located;
      },
      () => { status.textContent = locate.dataset.failed; },
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 },
    );
  });
}

// An answer whose SHA-256, after the form's challenge, begins with enough zero bits.
const prove = async (work) => {
  const wanted = Number(work.dataset.bits);
  const encoder = new TextEncoder();
  for (let answer = 0; ; answer += 1) {
    const bytes = encoder.encode(`${work.dataset.challenge}.${answer}`);
    const digest = new DataView(await crypto.subtle.digest('SHA-256', bytes));
    if (Math.clz32(digest.getUint32(0)) >= wanted) {
      work.value = String(answer);
      return;
    }
  }
};
const work = byId('work');
const proof = work && window.isSecureContext ? prove(work) : null;

const form = document.querySelector('form');
if (form) {
  const button = form.querySelector('.send');
  const label = button.textContent;
  let isSending = false;
  form.addEventListener('submit', (event) => {
    if (isSending) {
      event.preventDefault();
      return;
    }
    const isSent = !event.submitter || event.submitter.name !== 'step';
    if (isSent) {
      isSending = true;
      button.textContent = button.dataset.sending;
      button.setAttribute('aria-disabled', 'true');
    }
    if (isSent && proof && !work.value) {
      event.preventDefault();
      proof.then(() => form.submit());
    }
  });
  // Back from the page after: it can be sent again.
  window.addEventListener('pageshow', () => {
    isSending = false;
    button.textContent = label;
    button.removeAttribute('aria-disabled');
  });
}
