// The phrasebook, in Chinese: [as the core writes it, as a page tells it], by group. tests/board/test_phrases.py holds it to the core.

import { groups as alerts, joined as ofAlerts } from "./alerts.zh.js";
import { groups as refusals, joined as ofRefusals } from "./refusals.zh.js";
import { groups as rules, joined as ofRules } from "./rules.zh.js";

export const groups = { ...alerts, ...rules, ...refusals };
export const joined = { ...ofAlerts, ...ofRules, ...ofRefusals };
