// What a decision came to, and what became of a coupon: as features and receipts call it.
export const words = {
  en: {
    issued: "given", control: "not given: drawn for the control, which gets nothing", stale: "not given: the event came too late",
    excluded: "not given: another rule of its group was first", no_consent: "not given: no consent", holdout: "not given: of the holdout group",
    cooldown: "not given: the rule's cooldown is not over", capped: "not given: as many coupons as the cap allows", suppressed: "not given: the customer is suppressed",
    inside: "not given: the rule has fired, and its exit was not true since", channel_capped: "not given: as many messages on the channel as its cap allows",
    withheld: "was given, and not sent after all", quiet_hours: "not given: in quiet hours", campaign_not_begun: "not given: the campaign has not begun",
    campaign_over: "not given: the campaign is over", customer_limit: "not given: as many coupons as the campaign gives", paused: "not given: the campaign is paused",
    stock: "not given: the campaign's coupons have run out", budget: "not given: the campaign's budget has run out",
    near_miss: "did not fire: one clause nearly held", condition_false: "did not fire: its condition did not hold",
    hangs_on_event: "may fire: that hangs on the event", disabled: "the rule is off", not_waiting: "it looks when a wait is over, and nothing is waited for",
    delivered: "delivered", undeliverable: "not deliverable", opened: "opened", redeemed: "redeemed", expired: "expired", refused: "refused at the till",
    revoked: "taken back", restored: "given back",
  },
  zh: {
    issued: "已发放", control: "未发放：抽中对照组，不发券", stale: "未发放：事件到达过晚",
    excluded: "未发放：同组其他规则优先", no_consent: "未发放：顾客未授权", holdout: "未发放：属于保留对照组",
    cooldown: "未发放：规则仍在冷却期", capped: "未发放：已达发券上限", suppressed: "未发放：顾客处于屏蔽状态",
    inside: "未发放：规则已触发，尚未满足退出条件", channel_capped: "未发放：该渠道消息已达上限",
    withheld: "已发放但最终未发送", quiet_hours: "未发放：处于免打扰时段", campaign_not_begun: "未发放：活动尚未开始",
    campaign_over: "未发放：活动已结束", customer_limit: "未发放：已达该活动每人上限", paused: "未发放：活动已暂停",
    stock: "未发放：活动券已发完", budget: "未发放：活动预算已用完",
    near_miss: "未触发：仅差一个条件", condition_false: "未触发：条件不满足",
    hangs_on_event: "可能触发：取决于事件内容", disabled: "规则已停用", not_waiting: "规则在等待结束时检查，当前没有等待",
    delivered: "已送达", undeliverable: "无法送达", opened: "已查看", redeemed: "已核销", expired: "已过期", refused: "收银拒收",
    revoked: "已撤回", restored: "已退还",
  },
};
