// What is given to whom and why not, what becomes of coupons, and what they cost and bring.

import { fill, h } from "/static/dom.js";
import { budgets } from "/static/pages/coupons.budgets.js";
import { feed } from "/static/pages/coupons.feed.js";
import { funnel } from "/static/pages/coupons.funnel.js";
import { lifts } from "/static/pages/coupons.lift.js";
import { words } from "/static/pages/coupons.words.js";

export { words };

const EVERY_MS = 5_000;

export async function open(root, context) {
  const { t, query } = context;
  const live = await feed(context, { rule: query.get("rule") ?? "", outcome: query.get("outcome") ?? "" });
  const parts = [budgets(context), funnel(context), lifts(context)];
  root.append(h("p", { class: "note" }, t("about")), parts[0].pauses, live.root, parts[1].root, parts[0].root, parts[2].root);

  // A part that cannot be read says so in its own place; the others go on.
  async function renew() {
    await Promise.all(parts.map(async (part) => {
      try {
        await part.renew();
        fill(part.failed);
      } catch (error) {
        fill(part.failed, h("p", { class: "banner", role: "alert" }, error.message));
      }
    }));
  }

  await renew();
  const timer = setInterval(renew, EVERY_MS);
  return () => {
    clearInterval(timer);
    live.close();
  };
}

