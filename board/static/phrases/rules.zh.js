// Coupon rules and what they decide: when they look, what must hold, what they give, what stands in the way.

// When a rule looks.
const look = [
  ["at each {events}", "每次{events}时"], ["{look}, or when quiet hours end", "{look}，或免打扰时段结束时"],
  ["{span} after the latest {event?}", "最近一次{event} {span}后"],
  ["{span} after the promised time that the latest {event?} names", "最近一次{event}的承诺送达时间过后 {span}"],
  ["{span} after the birthday that the latest {event?} names", "最近一次{event}所填的生日过后 {span}"],
  ["at {holiday}, at {clock:word} where the customer is", "{holiday} 当天 {clock}（顾客当地时间）"],
  ["1 day before {holiday}, at {clock:word} where the customer is", "{holiday} 前 1 天 {clock}（顾客当地时间）"],
  ["{n:number} days before {holiday}, at {clock:word} where the customer is", "{holiday} 前 {n} 天 {clock}（顾客当地时间）"],
  ["each month on day {n:number}, at {clock:word} where the customer is", "每月 {n} 日 {clock}（顾客当地时间）"],
];
const event = [
  ["order", "下单"], ["refund", "退款"], ["void", "作废订单"], ["app_open", "打开应用"], ["view", "浏览商品"], ["cart_add", "加购"], ["login", "登录"], ["bind", "绑定账号"],
  ["coupon_issued", "发券"], ["coupon_redeemed", "核销优惠券"], ["coupon_expired", "优惠券过期"], ["rating", "评价"], ["complaint", "投诉"],
  ["complaint_answered", "投诉答复"], ["complaint_confirmed", "顾客确认投诉结果"], ["delivery_promised", "承诺送达"], ["delivery_delivered", "配送送达"],
  ["delivery_late", "配送超时"], ["share", "分享"], ["referral", "邀请好友"], ["referred", "受邀加入"], ["friend_ordered", "好友首单"], ["consent", "授权变更"],
  ["footfall", "进店计数"], ["tick", "时钟"], ["points_spent", "积分支出"], ["points_exchange", "申请积分兑换"], ["profile", "填写资料"], ["weather", "天气播报"], ["coupon_delivered", "优惠券送达"],
  ["coupon_opened", "查看优惠券"], ["coupon_revoked", "撤回优惠券"], ["suppress", "屏蔽顾客"], ["lead", "咨询"], ["lead_contacted", "咨询回访"],
  ["heartbeat", "收银机心跳"],
];
const idle = [
  ["no date that it waits for is known for this customer: they are set at the customer's next event", "尚不清楚该顾客的等待日期：将在其下一个事件时设定"],
  ["nothing is waited for: no {event:happening} has named a promised time that is still to come", "当前没有等待：没有{event}给出尚未到来的承诺送达时间"],
  ["nothing is waited for: no {event:happening} has named a birthday that is still to come", "当前没有等待：没有{event}给出尚未到来的生日"],
  ["nothing is waited for: no {event:happening} since the rule last looked", "当前没有等待：规则上次检查以来没有{event}"],
  ["nothing is waited for: no {event:happening} has come yet", "当前没有等待：还没有{event}"],
];
const happening = event.map(([name, told]) => [name.replaceAll("_", " "), told]);

// What somebody gets.
const gift = [["{gifts}", "{gifts}"], ["{gifts} at the customer's hour", "{gifts}，在顾客习惯的时段发送"], ["{arms}", "{arms}"]];
const arm = [["{arm:word}: nothing", "{arm}：不发放"], ["{arm:word}: {gift}", "{arm}：{gift}"]];
const part = [["{coupon:name} ({worth})", "{coupon}（{worth}）"], ["{coupon:name}", "{coupon}"], ["the {channel?} message {name}", "{channel}消息 {name}"]];
const worth = [["{n:number}% off", "减 {n}%"], ["{n:number} off", "减 {n}"], ["{least:number} to {most:number} off, by {feature:word}", "减 {least} 至 {most}，按 {feature}"]];
const channel = [["push", "推送"], ["sms", "短信"], ["wechat", "微信"], ["email", "邮件"]];

// What must hold: clauses of the schedule, and comparisons.
const clause = [
  ["in season from {date:word} on", "{date} 起"], ["in season until {date:word}", "截至 {date}"], ["on {days}", "限 {days}"], ["not on {days}", "{days} 除外"],
  ["between {hours:choice}", "时段 {hours}"], ["at {stores:choice}", "门店 {stores}"], ["in {regions:choice}", "区域 {regions}"], ["tier is {tiers:choice}", "等级为 {tiers}"],
  ["not its exit, {text}", "未满足退出条件 {text}"], ["{compared}", "{compared}"],
];
const comparison = [["{name:word} {limit}", "{name} {limit}"]];
const limit = [
  ["more than {n:name}", "大于 {n}"], ["{n:name} or more", "不小于 {n}"], ["less than {n:name}", "小于 {n}"], ["{n:name} or less", "不大于 {n}"], ["exactly {n:name}", "等于 {n}"],
  ["anything but {n:name}", "不等于 {n}"], ["no value", "无值"], ["a value", "有值"],
];
const need = [["{limits}", "{limits}"], ["{clause}", "{clause}"]];
const sight = [
  ["{name:word} is the event's", "{name} 由事件决定"], ["it is {when:word} there", "当地为 {when}"], ["weekday is {n:number} ({weekday})", "当地为{weekday}"],
  ["{name:word} has no value", "{name} 无值"], ["there is no {name:word}", "没有 {name}"], ["{name:word} is {value:text}", "{name} 为 {value}"],
];
const change = [["{sights}, needs {need?}", "{sights}，需要{need}"], ["{idle}", "{idle}"], ["{gate}", "{gate}"]];

// What stands between a condition that holds and the coupon.
const gate = [
  ["not suppressed", "未屏蔽"], ["suppressed for {reason:because?}, until it is lifted", "因“{reason}”屏蔽，直至解除"], ["suppressed for {reason:because?}, until {day}", "因“{reason}”屏蔽至 {day}"],
  ["not inside", "未处于触发后状态"], ["inside since {times}, until the exit of {rule:word} is true", "自 {times} 起处于触发后状态，直至 {rule} 的退出条件成立"],
  ["{points}", "{points}"], ["{points}: {short?}", "{points}：{short}"],
  ["{counted}", "{counted}"], ["{counted} ({times})", "{counted}（{times}）"], ["{counted}: no other before {day}", "{counted}：{day} 前不再发放"],
  ["{counted} ({times}): no other before {day}", "{counted}（{times}）：{day} 前不再发放"],
  ["it came too late", "事件到达过晚"], ["no consent is asked for", "不要求授权"], ["has consented to {purpose}", "已授权 {purpose}"], ["has not consented to {purpose}", "未授权 {purpose}"],
  ["not of the holdout group", "不属于保留对照组"], ["of the holdout group, which gets no coupons", "属于保留对照组，不发券"],
  ["quiet hours until {day}", "免打扰至 {day}"], ["no quiet hours keep it back", "不在免打扰时段"],
  ["{brake}", "{brake}"], ["the campaign {campaign} runs and has something left", "活动 {campaign} 进行中，仍有余量"],
  ["the campaign had not begun ({campaign})", "活动 {campaign} 尚未开始"], ["the campaign was over ({campaign})", "活动 {campaign} 已结束"],
  ["the customer had as many coupons as the campaign gives ({campaign})", "顾客已达活动 {campaign} 每人上限"],
  ["the campaign's coupons had run out ({campaign})", "活动 {campaign} 的券已发完"], ["the campaign's budget had run out ({campaign})", "活动 {campaign} 的预算已用完"],
  ["{which} has not fired before", "{which}此前未触发过"], ["{which} fired {times}: was quiet until {day}", "{which}曾于 {times} 触发，冷却期已于 {day} 结束"],
  ["{which} fired {times}: quiet until {day}", "{which}曾于 {times} 触发，冷却至 {day}"],
];
const counted = [
  ["{n:number} of {cap:number} coupons within the cap's window", "上限窗口内 {n} / {cap} 张券"],
  ["{n:number} of {cap:number} {channel?} messages within the cap's window", "上限窗口内 {n} / {cap} 条{channel}消息"],
];
const points = [
  ["asked {asked:number} points, has {balance:number}", "申请 {asked} 积分，现有 {balance} 积分"],
  ["asked {asked:number} points, has {balance:number}, of which {n:number} are promised", "申请 {asked} 积分，现有 {balance} 积分，其中 {n} 积分正在兑换"],
];
const short = [
  ["the same request was granted before", "同一申请此前已兑换"], ["fewer than the rule takes at once", "低于起兑积分"], ["more than the rule takes at once", "超过单次兑换上限"],
  ["some were spent in a later month", "之后的月份已有积分支出"],
];
const which = [["this rule", "本规则"], ["{rule:word}, of the same group,", "同组规则 {rule} "]];
const brake = [
  ["{campaign:word} paused everywhere by {by} at {day}: {reason:why?}", "活动 {campaign} 已在全部门店暂停发放（{by}，{day}）：{reason}"],
  ["{campaign:word} paused at store {name} by {by} at {day}: {reason:why?}", "活动 {campaign} 已在门店 {name} 暂停发放（{by}，{day}）：{reason}"],
  ["{campaign:word} paused at region {name} by {by} at {day}: {reason:why?}", "活动 {campaign} 已在 {name} 区域暂停发放（{by}，{day}）：{reason}"],
];
const by = [["the alert {incident:word}", "告警 {incident}"], ["{name}", "{name}"]];
const because = [
  ["balance", "积分不足"], ["too_few", "低于起兑积分"], ["too_many", "超过单次兑换上限"], ["late", "之后的月份已有积分支出"], ["again", "同一申请此前已兑换"],
  ["review", "疑似薅羊毛，待审核"], ["abuse", "已确认薅羊毛"], ["no_consent", "授权已撤回"], ["{channel}", "{channel}"],
];
const pot = [["coupons", "券库存"], ["budget", "总预算"], ["{place}", "{place}预算"]];

// What else is said of a decision.
const note = [
  ["{brake}", "{brake}"], ["until {day}", "直至 {day}"], ["sent at {day}: {sending}", "发送时间 {day}：{sending}"],
  ["arm {arm:word}, which {share:number} get by {weights}", "方案 {arm}，{share} 的顾客按{weights}抽中"],
  ["arm {arm:word}, which {share:number} among those whose context is '{context}' get by {weights}", "方案 {arm}，情境为“{context}”的顾客中 {share} 按{weights}抽中"],
];
const sending = [
  ["the hour at which they usually order", "顾客习惯的下单时段"], ["the end of the quiet hours in which they usually order", "顾客习惯下单的时段处于免打扰，改在其结束时"],
  ["no usual hour is known", "尚不了解顾客的习惯时段"], ["the coupon would run out before their usual hour", "到习惯时段前优惠券将过期"],
];
const weights = [["version {n:number} of what was learned", "学习结果第 {n} 版的权重"], ["the weights of the file", "规则文件的权重"]];
const cause = [["the end of its wait", "等待结束"], ["event {id}", "事件 {id}"]];
const file = [["unchanged", "未改动"], ["changed since", "此后已修改"], ["gone", "已不存在"]];

export const groups = {
  look, event, idle, happening, gift, arm, part, worth, channel, clause, comparison, limit, need, sight, change, gate, counted, points, short, which, brake, by, because, pot, note,
  sending, weights, cause, file,
};

export const joined = {
  looks: { of: "look", by: [" and ", "，以及"] }, events: { of: "event?", by: [" or ", "或"] }, gifts: { of: "part", by: [" and ", "和"] }, arms: { of: "arm", by: [", or ", "；或 "] },
  days: { of: "weekday?", by: [" or ", "、"] }, choice: { of: "text", by: [" or ", "、"] },
  compared: { of: "compare", by: [", or ", "，或 "] }, compare: { of: "comparison", by: [" and ", " 且 "] },
  limits: { of: "limited", by: [", or ", "，或"] }, limited: { of: "limit", by: [" and ", "且"] },
  sights: { of: "sight", by: [", ", "，"] }, times: { of: "day", by: [", ", "、"] },
};
