export const words = {
  en: {
    span_last_hour: "Hour by minute", span_last_day: "Day by 5 minutes", span_last_week: "Week by hour", targets: "Targets of the day",
    target_reached: "{kpi}: {sold} of {target}, {share}", no_range: "Say from when until when: the first must be earlier.",
    none_counted: "Nothing was counted in this time. Choose another, or wait for the first events.", back: "← All of them",
  },
  zh: {
    span_last_hour: "近 1 小时（每分钟）", span_last_day: "近 24 小时（每 5 分钟）", span_last_week: "近 7 天（每小时）", targets: "今日目标",
    target_reached: "{kpi}：{sold} / {target}，完成 {share}", no_range: "请填写起止时间，且开始时间须早于结束时间。",
    none_counted: "该时段暂无数据。请选择其他时段，或等待首批事件。", back: "← 返回列表",
  },
};
