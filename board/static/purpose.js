// What a customer's data is opened for: asked once a session, and noted with every opening.

import { h } from "/static/dom.js";
import { say } from "/static/words.js";

const KEY = "brewline.purpose";
export const PURPOSES = ["answering the customer", "a complaint", "checking a rule", "a security case", "a request for their data", "mending a record"];

const words = {
  en: {
    purpose: "What do you open customers' data for?", choose: "Choose what for …",
    "answering the customer": "answering the customer", "a complaint": "a complaint", "checking a rule": "checking a rule", "a security case": "a security case", "a request for their data": "a request for their data", "mending a record": "mending a record",
  },
  zh: {
    purpose: "查看顾客数据的用途", choose: "请选择用途……",
    "answering the customer": "答复顾客咨询", "a complaint": "处理投诉", "checking a rule": "核查规则", "a security case": "安全事件调查", "a request for their data": "个人信息查询请求", "mending a record": "修复数据",
  },
};

export function purpose() {
  return sessionStorage.getItem(KEY) ?? "";
}

// A chooser; chosen() is called with each new choice.
export function purposeChooser(chosen) {
  const t = say(words);
  return h("label", {}, t("purpose"), h("select", { id: "purpose", required: true, onchange: (event) => { sessionStorage.setItem(KEY, event.target.value); chosen(); } },
    h("option", { value: "" }, t("choose")), PURPOSES.map((one) => h("option", { value: one, selected: one === purpose() }, t(one)))));
}
