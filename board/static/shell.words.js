export const words = {
  en: {
    now: "Now", stores: "Stores", campaigns: "Campaigns", coupons: "Coupons", customer: "Customer", rules: "Rules",
    alerts: "Alerts", models: "Models", engine: "Engine",
    skip: "Skip to the page", pages: "Pages", language: "中文", theme: "Theme", light: "Light", dark: "Dark", auto: "Automatic",
    live: "live", stale: "data {age} old", cut: "no connection, trying again", leave: "Sign out", loading: "Loading…",
    failed: "This could not be loaded", again: "Try again", nothing: "There is nothing yet", forbidden: "This page is not for your role",
    lost: "There is no such page", as_table: "As a table", as_chart: "As a chart", time: "time",
    usually: "usually {low} to {high}", usual_low: "usual, low", usual_high: "usual, high",
  },
  zh: {
    now: "实时", stores: "门店", campaigns: "活动", coupons: "优惠券", customer: "顾客", rules: "规则",
    alerts: "告警", models: "模型", engine: "引擎",
    skip: "跳到正文", pages: "页面", language: "English", theme: "主题", light: "浅色", dark: "深色", auto: "自动",
    live: "实时更新", stale: "数据延迟 {age}", cut: "连接中断，正在重试", leave: "退出登录", loading: "加载中…",
    failed: "加载失败", again: "重试", nothing: "暂无数据", forbidden: "您的角色无权访问此页面",
    lost: "页面不存在", as_table: "表格显示", as_chart: "图表显示", time: "时间",
    usually: "正常范围 {low} 至 {high}", usual_low: "正常下限", usual_high: "正常上限",
  },
};
