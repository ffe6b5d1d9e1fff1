import { words as named } from "../kpis.words.js"; // relative, so that it can be read without a server
import { words as drilled } from "../drill.words.js";

export const words = {
  en: {
    ...named.en, ...drilled.en,
    note: "Each store's latest full hour, five minutes a bar, all on one scale. Choose a store to look closer.",
    note_own: "Your stores' latest full hour, five minutes a bar. Choose a store to look closer.",
    store_title: "Store {name}", search: "Find a store", region_label: "Region", every_region: "All regions", sort: "Order", sort_against: "What stands out first", sort_orders: "Most orders",
    sort_revenue: "Most revenue", sort_conversion: "Highest conversion", sort_id: "By name", more: "Show more",
    count: "{shown} of {of} stores, {from}–{to}", no_store: "No store fits. Change the search, or the region.",
    no_hour: "No minute is complete yet: this fills when the KPI flow has closed its first minutes.",
    of_usual: "of usual", state_low2: "far below usual", state_low1: "below usual", state_0: "as usual", state_high1: "above usual", state_high2: "far above usual",
    state_silent: "till silent", state_closed: "closed", state_learning: "still learning", alarmed: "alert", spark: "orders by five minutes: {values}",
    silent_now: "This store's till has not been heard for minutes: what it sold meanwhile is unknown, not zero.",
  },
  zh: {
    ...named.zh, ...drilled.zh,
    note: "各门店最近一个完整小时，每 5 分钟一柱，刻度统一。点击门店查看详情。",
    note_own: "您管理的门店最近一个完整小时，每 5 分钟一柱。点击门店查看详情。",
    store_title: "门店 {name}", search: "查找门店", region_label: "区域", every_region: "全部区域", sort: "排序", sort_against: "异常优先", sort_orders: "订单最多",
    sort_revenue: "营业额最高", sort_conversion: "转化率最高", sort_id: "按名称", more: "显示更多",
    count: "显示 {shown} / {of} 家门店，{from}–{to}", no_store: "没有符合条件的门店，请更改搜索条件或区域。",
    no_hour: "尚无完整的分钟数据：KPI 流程完成首批分钟后将显示。",
    of_usual: "占正常水平", state_low2: "远低于正常", state_low1: "低于正常", state_0: "正常", state_high1: "高于正常", state_high2: "远高于正常",
    state_silent: "收银机无信号", state_closed: "未营业", state_learning: "学习中", alarmed: "告警", spark: "每 5 分钟订单数：{values}",
    silent_now: "该门店收银机已数分钟无信号：期间的销售情况未知，并非为零。",
  },
};
