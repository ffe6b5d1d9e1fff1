import { words as named } from "../kpis.words.js"; // relative, so that it can be read without a server

export const words = {
  en: {
    ...named.en,
    hours: "3 hours by minute", day: "24 hours by 5 minutes", week: "7 days by hour", which_store: "Store", chain_time: "the chain's time: {at}",
    until_now: "{value} so far in the next", same: "the same as {before} ({was})", less: "{by} less than {before} ({was})", more: "{by} more than {before} ({was})",
    as_usual: "as usual", above: "above usual", below: "below usual", night: "no sales expected", learning: "still learning what is usual", nothing_to_tell: "nothing to tell",
    heat: "Stores against what is usual, latest hour", heat_note: "Each store's latest full hour, as a share of what is usual there at this time. Coloured where chance does not explain it.",
    of_orders: "by orders", of_revenue: "by revenue", far_low2: "far below usual", far_low1: "below usual", far_0: "as usual", far_high1: "above usual", far_high2: "far above usual",
    silent: "till silent", closed: "closed", state_learning: "still learning", alarmed: "alert", hidden: "{n} more stores are as usual", all_stores: "All stores", no_region: "without a region", heat_empty: "No hour is complete yet: this fills when the KPI flow has closed its first minutes.",
  },
  zh: {
    ...named.zh,
    hours: "近 3 小时（每分钟）", day: "近 24 小时（每 5 分钟）", week: "近 7 天（每小时）", which_store: "门店", chain_time: "业务时间：{at}",
    until_now: "当前时段已有 {value}", same: "与{before}持平（{was}）", less: "比{before}少 {by}（{was}）", more: "比{before}多 {by}（{was}）",
    as_usual: "正常", above: "高于正常", below: "低于正常", night: "非营业时段", learning: "正在学习正常水平", nothing_to_tell: "暂无数据",
    heat: "门店热力表（最近一小时与正常水平对比）", heat_note: "各门店最近一个完整小时占该时段正常水平的比例；超出随机波动的门店以颜色标出。",
    of_orders: "按订单", of_revenue: "按营业额", far_low2: "远低于正常", far_low1: "低于正常", far_0: "正常", far_high1: "高于正常", far_high2: "远高于正常",
    silent: "收银机无信号", closed: "未营业", state_learning: "学习中", alarmed: "告警", hidden: "其余 {n} 家门店正常", all_stores: "全部门店", no_region: "未分区域", heat_empty: "尚无完整的一小时数据：KPI 流程完成首批分钟后将显示。",
  },
};
