// Alerts: what is told of KPIs, service promises, models, experiments, and of people of the staff.

const title = [
  ["Promise broken: {priority} {clock}", "服务承诺未兑现：{priority}（{clock}）"],
  ["{kpi} low", "{kpi}偏低"], ["{kpi} high", "{kpi}偏高"], ["offline low", "门店离线"],
  ["Model {model}: {wrong}", "模型 {model}：{wrong}"],
  ["Experiment {rule}: sample_ratio", "实验 {rule}：分组比例异常"],
  ["Unusual export volume", "导出量异常"], ["Unusual behaviour adds up", "异常行为累积"],
  ["Bulk Customer Export In One Event", "一次性批量导出顾客数据"], ["Bulk Customer Export In Small Steps", "分批大量导出顾客数据"],
  ["Customer Export In Drops Over Days", "多日少量持续导出顾客数据"], ["Customer Export Off Hours", "非工作时段导出顾客数据"],
  ["Customer Export By A Role That Never Exports", "无导出职责的岗位导出顾客数据"], ["Export After New Permission", "获得新权限后导出数据"],
  ["Export, Then Logs Deleted", "导出后删除日志"], ["Failed Logins, Then Export", "多次登录失败后导出数据"],
  ["Bulk Read Of Customer Data In One Statement", "单条语句批量读取顾客数据"], ["Bulk Read In Small Steps", "分批大量读取数据"],
  ["Read In Drops Over Days", "多日少量持续读取数据"], ["Bulk Update Of Customers", "批量修改顾客资料"],
  ["Use Without Consent", "未经授权使用顾客数据"], ["Purpose Not Allowed For Role", "岗位不允许的数据用途"],
  ["Disabled Account Active", "已停用账号仍在使用"], ["Shared Account In Two Places", "同一账号两地使用"],
  ["One Device, Many Accounts", "一台设备使用多个账号"], ["Many Accounts Tried From One Address", "同一地址尝试多个账号"],
  ["Many Failed Logins", "多次登录失败"], ["Many Accesses Denied", "多次访问被拒绝"], ["API Key From A New Network", "API 密钥来自新网络"],
  ["Log Deleted", "日志被删除"], ["Many Customers Viewed", "查看大量顾客资料"], ["Looking At Well-Known Customers", "窥视重点顾客资料"],
  ["Walking Through Phone Numbers", "按号段逐个查询手机号"], ["Walking Through Phone Numbers Unseen", "按号段隐蔽查询手机号"],
  ["Coupons Minted Outside Campaigns", "活动之外大量发券"], ["Staff Issue And Redeem One Coupon", "员工自发自核优惠券"],
  ["Redeem And Refund In A Loop", "反复核销与退款"], ["Exported Customers Redeem On One Device", "被导出的顾客在同一设备上核销"],
];

const clock = [["first_answer", "首次答复"], ["resolution", "解决"]];

const wrong = [["worse", "不如基线"], ["loss", "错误增多"], ["inputs", "输入漂移"]];

// Why an alert was told, or that it is over.
const why = [
  ["{place}: {kpi} down to {seen:number} in the {n:number} minutes before {time}; {facts}", "{place}：{time} 前 {n} 分钟内{kpi}降至 {seen}；{facts}"],
  ["{place}: {kpi} up to {seen:number} in the {n:number} minutes before {time}; {facts}", "{place}：{time} 前 {n} 分钟内{kpi}升至 {seen}；{facts}"],
  ["{place}: offline, nothing heard in the {n:number} minutes before {time}; usual: something in {usual:number} of them, odds {odds:number}",
    "{place}：离线，{time} 前 {n} 分钟内没有任何信号；正常情况下其中 {usual} 分钟有信号，偶然概率 {odds}"],
  ["{place}: {kpi} back to usual at {time}", "{place}：{kpi}于 {time} 恢复正常"],
  ["{place}: no longer watched in this way; what is usual of {kpi} is learned anew", "{place}：不再按此方式监测，{kpi}的正常水平将重新学习"],
  ["part of the incident of {place}", "已并入“{place}”的告警"],
  ["{promise}", "{promise}"], ["{promise} and came in time after all", "{promise}；后经核实，已按时完成"],
  ["{promise}; {role:word} is to step in", "{promise}；请 {role} 介入处理"],
  ["{model:word} sees other inputs than were usual: {drifts}", "模型 {model} 的输入与以往不同：{drifts}"],
  ["{model:word} was worse than the {baseline} over the latest {n:number} labels: loss {mine:number} against {other:number}",
    "模型 {model} 在最近 {n} 条标注上不如{baseline}：损失 {mine}，对比 {other}"],
  ["{model:word} errs more than it did earlier within the latest {n:number} labels", "模型 {model} 在最近 {n} 条标注内错误增多"],
  ["{model:word}: no sign of it ({wrong}) for {n:number} labels, until {time}", "模型 {model}：截至 {time}，连续 {n} 条标注未再出现该问题（{wrong}）"],
  ["{rule:word}: customers are not divided among its arms as its file says: {divided}; {odds}", "实验 {rule}：顾客在各方案间的分配与规则文件不符：{divided}；{odds}"],
  ["{seen}", "{seen}"], ["{unusual}", "{unusual}"],
  ["{actor} has a risk of {score:number}, the limit is {limit:number}: {signals}", "{actor} 的风险分为 {score}，上限为 {limit}：{signals}"],
];

const fact = [
  ["usual now: {usual:number}, odds {odds:number}", "当前正常水平 {usual}，偶然概率 {odds}"], ["usual now: {usual:number}", "当前正常水平 {usual}"],
  ["also {kpis}", "同时异常：{kpis}"], ["{n:number} stores stand out", "{n} 家门店异常"], ["most of it {place}", "主要来自{place}"],
];

// Of a KPI, or where something is paused; "region east" as well.
const place = [
  ["chain:*", "全部门店"], ["everywhere", "全部门店"], ["region:{name}", "{name} 区域"], ["channel:{name}", "{name} 渠道"], ["campaign:{name}", "{name} 活动"],
  ["category:{name}", "{name} 品类"], ["region+category:{region:name}+{name}", "{region} 区域的 {name} 品类"],
  ["store:{name}", "门店 {name}"],
];

const promise = [
  ["{given:answer} to {ticket} {name:word} at {store} ({priority}) was due {time}", "{ticket} {name}（门店 {store}，{priority}）的{given}应于 {time} 前完成"],
  ["{given:answer} to {ticket} {name:word} ({priority}) was due {time}", "{ticket} {name}（{priority}）的{given}应于 {time} 前完成"],
];
const answer = [["a first answer", "首次答复"], ["a resolution", "解决"]];
const ticket = [["complaint", "投诉"], ["rating", "低分评价"], ["lead", "咨询"], ["delivery", "配送"]];
const standing = [["open", "待答复"], ["answered", "已答复"], ["settled", "已解决，待顾客确认"], ["closed", "已关闭"]];

const baseline = [["base rate", "总体比例"], ["recency", "最近消费规则"]];
const drift = [["value of {input:word}", "{input} 的取值"], ["missing {input:word}", "{input} 的缺失比例"]];
const share = [["{arm:word} {n:number} (expected {expected:number})", "{arm} {n} 人（预期 {expected}）"]];
const odds = [["odds {odds:number}", "偶然概率 {odds}"], ["is over: the file divides customers in another way now", "已结束：规则文件现已改变分配方式"]];

// What a rule of the security team, or the past of who did it, has found.
const seen = [
  ["{actor} did {did:action?}", "{actor} 执行了{did}"],
  ["{actor} did {did:action?} with {name:field?} {n:number}, the limit is {limit:number}", "{actor} 执行了{did}，{name}为 {n}，上限为 {limit}"],
  ["{actor} exported {n:number} rows; usual are at most {limit:number}", "{actor} 导出了 {n} 行；通常不超过 {limit} 行"],
  ["{actor} exported {n:number} rows at {hour:number} h, an hour new to this actor; usual are at most {limit:number}",
    "{actor} 在从未操作过的 {hour} 时导出了 {n} 行；通常不超过 {limit} 行"],
  ["{actor} within {span}: {measured}, {bound}", "{actor} 在 {span}内：{measured}，{bound}"],
];
const measured = [
  ["{n:number} events", "{n} 个事件"], ["{n:number} different values of {name:field?} in {events:number} events", "{events} 个事件中有 {n} 个不同的{name}"],
  ["{name:field?} of {events:number} events add up to {n:number}", "{events} 个事件的{name}合计 {n}"],
  ["{name:field?} of {events:number} events is {n:number} on average", "{events} 个事件的{name}平均 {n}"],
  ["{share:number} % of {events:number} events have {name:field?} up to {n:number}", "{events} 个事件中 {share}% 的{name}不超过 {n}"],
  ["half of {events:number} events have {name:field?} up to {n:number}", "{events} 个事件中半数的{name}不超过 {n}"],
  ["{n:number} of {rules:number} rules met by {events:number} events", "{events} 个事件命中 {rules} 条规则中的 {n} 条"],
  ["{n:number} of {rules:number} rules met one after the other by {events:number} events", "{events} 个事件依次命中 {rules} 条规则中的 {n} 条"],
];
const bound = [["the limit is {limit:number}", "上限为 {limit}"], ["the limits are {limits:bounds}", "界限为 {limits}"], ["as the rule says", "判定依据见规则"]];
const border = [["gte {n:number}", "不低于 {n}"], ["gt {n:number}", "高于 {n}"], ["lte {n:number}", "不高于 {n}"], ["lt {n:number}", "低于 {n}"], ["eq {n:number}", "等于 {n}"], ["neq {n:number}", "不等于 {n}"]];
const action = [
  ["export", "导出"], ["view", "查看"], ["login", "登录"], ["search", "查询"], ["refund", "退款"], ["log_delete", "删除日志"], ["bulk_update", "批量修改"],
  ["coupon_issue", "发券"], ["coupon_redeem", "核销"], ["permission_change", "变更权限"], ["permission_received", "获得权限"], ["device_used", "使用设备"],
  ["account_disable", "停用账号"], ["account_enable", "启用账号"], ["account_disabled", "被停用账号"], ["account_enabled", "被启用账号"],
  ["disabled_account_used", "使用已停用账号"], ["customer_back", "被导出顾客再次出现"], ["copy", "复制"], ["message_send", "发送消息"],
];
const field = [
  ["type", "类型"], ["action", "操作"], ["actor", "人员"], ["role", "岗位"], ["purpose", "用途"], ["object", "操作对象"], ["client_ip", "IP 地址"], ["device", "设备"],
  ["result", "结果"], ["store", "门店"], ["region", "区域"], ["account", "账号"], ["key", "密钥"], ["query", "查询条件"], ["campaign", "活动"], ["coupon", "优惠券"],
  ["by", "操作人"], ["network", "网络"], ["place", "地点"], ["rows", "行数"], ["hour", "小时"], ["weekday", "星期"], ["without_consent", "未授权人数"],
  ["fields", "字段"], ["marks", "标记"],
];

// What is unusual of somebody, and what it is called.
const unusual = [
  ["{n:number} rows in a day; usual of {whose} are at most {limit:number}", "一天 {n} 行；{whose}通常不超过 {limit} 行"],
  ["{n:number} customers in a day; usual of {whose} are at most {limit:number}", "一天 {n} 位顾客；{whose}通常不超过 {limit} 位"],
  ["action {did:action?}, for the first time of {whose}", "{whose}首次执行：{did}"], ["network {name}, for the first time of {whose}", "{whose}首次使用网络 {name}"],
  ["field {name}, for the first time of {whose}", "{whose}首次涉及字段 {name}"], ["a {thing}, for the first time of {whose}", "{whose}首次使用新的{thing}"],
  ["at {hour:number} h, never before on such a day", "{hour} 时操作，同类日期中从未有过"],
  ["in {place:text}, {far:number} km from {from:text}, after {n:number} min", "{n} 分钟后出现在 {place}，距 {from} {far} 公里"],
];
const whose = [["this actor", "此人"], ["peers of this actor", "同岗位人员"], ["a new actor and all their peers", "新人员及其同岗位人员"]];
const thing = [["purpose", "用途"], ["device", "设备"], ["key", "密钥"]];
const signal = [
  ["volume", "数据量"], ["customers", "顾客数"], ["impossible travel", "不可能的行程"], ["new action", "新操作"], ["new network", "新网络"], ["new key", "新密钥"],
  ["new purpose", "新用途"], ["new field", "新字段"], ["new device", "新设备"], ["unusual hour", "异常时段"], ["unusual export volume", "导出量异常"],
  ["actor risk", "风险累积"],
];
const weight = [["{signal}: {unusual}", "{signal}：{unusual}"], ["{signal?}: {seen}", "{signal}：{seen}"]];

export const groups = {
  title, clock, wrong, why, fact, place, promise, answer, ticket, standing, baseline, drift, share, odds, seen, measured, bound, border, action, field, unusual, whose,
  thing, signal, weight,
};

export const joined = {
  facts: { of: "fact", by: ["; ", "；"] }, kpis: { of: "kpi", by: [", ", "、"] }, drifts: { of: "drift", by: [", ", "、"] }, divided: { of: "share", by: [", ", "，"] },
  bounds: { of: "border", by: [" and ", "且"] }, signals: { of: "weight", by: ["; ", "；"] },
};
