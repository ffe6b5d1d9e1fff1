// The models: which version scores, and how good it is.

import { words } from "/static/pages/models.words.js";

export { words };

export async function open(root, context) {
  const shown = context.id ? await import("/static/pages/models/one.js") : await import("/static/pages/models/list.js");
  return shown.open(root, context);
}
