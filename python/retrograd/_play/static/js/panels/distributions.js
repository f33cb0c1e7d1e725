// Not filled yet.

/** @param {HTMLElement} root @param {object} context */
export function mount(root, context) {}
