// What fires and what is over; one of them with its evidence; silences.

import { words } from "/static/pages/alerts.words.js";

export { words };

export async function open(root, context) {
  const shown = context.id ? await import("/static/pages/alerts/one.js") : await import("/static/pages/alerts/list.js");
  return shown.open(root, context);
}
