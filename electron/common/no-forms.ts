// The library that carries our calls asks of every message whether it is a form. To answer that, Node would load its whole
// HTTP client, which takes each of our processes a tenth of a second; and none of them ever has a form.

// Assigned: to define it anew would first ask for what is there, and load it.
Object.assign(globalThis, { FormData: class FormData {} });
