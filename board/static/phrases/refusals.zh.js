// What is refused, and why: answers to people, dead letters, complaints of flows. What a server or a library says itself stays.

// In answer to somebody who asked for something.
const problem = [
  ["{problem}{hint}", "{problem}{hint}"],
  // who may come in, and see what
  ["the name or the password is wrong", "用户名或密码错误"],
  ["sign in, or send a token that has not expired", "请登录，或提供未过期的令牌"], ["this token may only read", "该令牌仅可读取"],
  ["the header {name:word} is missing or another session's", "缺少请求头 {name}，或其属于其他会话"], ["this is for {roles}", "仅限以下角色：{roles}"],
  ["this opens {what:personal} of a customer: say what for in the header {name:word}", "此操作将查看顾客的{what}，请在请求头 {name} 中说明用途"],
  ["too many requests: wait a little", "请求过于频繁，请稍候"],
  ["this sign-in has been used, or took too long: begin again", "本次登录已使用或超时，请重新登录"], ["this answer belongs to another sign-in: begin again", "该响应属于另一次登录，请重新登录"],
  ["the company's sign-in refused: {said}", "公司登录系统拒绝：{said}"], ["the company's sign-in could not be verified: begin again, or ask an engineer", "无法验证公司登录，请重新登录或联系工程师"],
  ["none of your groups opens the board: ask an engineer for a role", "您所在的用户组无权使用看板，请联系工程师分配角色"],
  ["the company's sign-in does not answer: try again soon", "公司登录系统无响应，请稍后重试"],
  ["the company's sign-in calls itself {name}: check [board.company] issuer", "公司登录系统自称 {name}，请检查 [board.company] issuer"],
  ["you see your own stores only: ask for {stores}", "您只能查看自己的门店：请查询 {stores}"],
  // what was asked for
  ["say why: whoever reads it later wants to know", "请填写原因，方便他人日后了解"], ["say why it may go on: it stands beside the pause", "请填写恢复原因，将与暂停记录一并保存"],
  ["name the kind of alert that it covers, one of yours: {kinds}", "请指定所覆盖的告警类型，须为您负责的类型：{kinds}"],
  ["there is no silence {id}", "没有静默规则 {id}"], ["this silence covers alerts that are not yours to act on", "该静默覆盖了不由您处理的告警"],
  ["on a {kind:concern?} alert others decide: the {team}", "“{kind}”类告警由{team}处理"],
  ["there is no alert {key}: it may be over for so long that it is no longer listed", "没有告警 {key}：可能早已结束，不再列出"],
  ["there is no rule {id}", "没有规则 {id}"], ["there is no model {name}", "没有模型 {name}"], ["there is no feature {name}", "没有特征 {name}"],
  ["there is no dead letter {id}: it may be too old to be listed here", "没有死信 {id}：可能过早，此处不再列出"],
  ["this is no customer id: an identifier is taken by POST /customers/find only", "这不是顾客编号：其他标识只能通过 POST /customers/find 查询"],
  ["no customer is known by this {kind}", "没有顾客使用该 {kind}"], ["found {kind}, expected a customer id or one of {known}", "收到 {kind}，应为顾客编号或以下之一：{known}"],
  ["no customer {id}: give a customer id, or an identifier such as card:123", "没有顾客 {id}：请提供顾客编号，或 card:123 这样的标识"],
  ["found {n} customers, expected {most} at most", "收到 {n} 位顾客，最多 {most} 位"], ["days: found {n}, expected 1 to {most}", "天数：收到 {n}，应为 1 至 {most}"],
  ["limit: found {n}, expected 1 to {most}", "limit：收到 {n}，应为 1 至 {most}"], ["after: found {after}, expected `next` of the answer before", "after：收到 {after}，应为上一响应中的 `next`"],
  ["expected days from 1 to {days}, and a limit from 1 to {most}", "天数应为 1 至 {days}，limit 应为 1 至 {most}"],
  ["to_ms lies before from_ms, or slots is below 0: ask for a time that goes forward", "to_ms 早于 from_ms，或 slots 小于 0：请查询正向的时间段"],
  ["more than {n} slots: ask for a longer step or a shorter time", "超过 {n} 个时间点：请加大间隔或缩短时间段"],
  ["at: found {moment} without a time zone, expected one with", "at：收到 {moment}，缺少时区"],
  ["what the last page ended with is no longer there: begin again without `after`", "上一页的末项已不存在：请去掉 `after` 重新查询"],
  ["the body is longer than {n} bytes", "请求内容超过 {n} 字节"],
  // rules, models, pauses, words on alerts
  ["{rule} is being tried for {by}: one runs at a time", "正在为 {by} 回测 {rule}：同一时间仅运行一项"], ["another one has just begun: one runs at a time", "另一项回测刚刚开始：同一时间仅运行一项"],
  ["these rules come with Brewline, and an update would switch them back: copy them to a folder of your own, and name it with [coupons] rules",
    "这些规则随 Brewline 提供，升级会将其还原：请复制到自己的文件夹，并用 [coupons] rules 指定"],
  ["{path}: it does not say enabled = {word} on a line of its own: edit it", "{path}：enabled = {word} 没有单独成行，请编辑该文件"],
  ["its tests fail, so it stays off: {failed}", "测试未通过，保持停用：{failed}"], ["{folder} cannot be written from here: change the rule where its files come from", "无法在此写入 {folder}：请在文件来源处修改规则"],
  ["{path} cannot be written from here ({error}): change it where it comes from", "无法在此写入 {path}（{error}）：请在文件来源处修改"],
  ["models promote: say either which version, or --auto", "请指定版本，或使用 --auto"], ["models promote: {model} is not pinned: whichever learning finds best scores already", "{model} 未固定：已由学习流程选择最佳版本评分"],
  ["models rollback: no champion of {model} before the present one is kept; {fit}", "没有保留 {model} 的前一个版本；{fit}"], ["models: {model} has no version {n}; {fit}", "{model} 没有版本 {n}；{fit}"],
  ["models: version {n} of {model} cannot score: {fault?}; {fit}", "{model} 的版本 {n} 无法评分：{fault}；{fit}"], ["models: version {n} of {model} scores already, and is pinned", "{model} 的版本 {n} 已在评分并固定"],
  ["models: there is no model {name}", "没有模型 {name}"],
  ["models: there is no version of {model} yet: the first one is published when {n} labels were learned from", "{model} 尚无版本：学习 {n} 条标注后发布第一个版本"],
  ["no rule names the campaign {name}", "没有规则使用活动 {name}"], ["{campaign} is paused there already, by {by} since {time}", "活动 {campaign} 已在该处暂停（{by}，自 {time}）"],
  ["{campaign} is not paused {place:spot}; what is paused: {paused}", "活动 {campaign} 未在{place}暂停；已暂停的有：{paused}"],
  ["found --store and --region, expected one of them, or neither: everywhere", "--store 与 --region 只能指定其一；均不指定则为全部门店"],
  ["--{kind}: the stores file names no {what} {name}", "--{kind}：门店文件中没有 {what} {name}"],
  ["alerts: {key} is {state:ended} already: there is nothing to say of it", "告警 {key} {state}，无需处理"],
  ["alerts: {key} ends by itself, when what it tells of does; acknowledge it, or `{command}`", "告警 {key} 会随事情结束自行结束：可以认领，或使用 `{command}`"],
  ["alerts: the silence {id} has ended already", "静默规则 {id} 已结束"], ["alerts: --by: found nothing, expected the name of who says so", "缺少操作人姓名（--by）"],
  ["alerts silence: that would cover every alert; name a rule, an actor, a store, ...", "这将覆盖全部告警，请指定规则、人员或门店等"],
  ["alerts silence: found {text}, expected name=glob, such as actor='till-*'", "收到 {text}，应为 名称=通配，例如 actor='till-*'"],
  ["alerts silence: found {both}, and an alert has one {name}: silence each by itself", "收到 {both}，而一条告警只有一个 {name}：请分别静默"],
  ["alerts silence: alerts have no {name}", "告警没有 {name} 这一项"], ["alerts silence: severity: found {name}", "没有级别 {name}"],
  ["{command}: --reason: found nothing, expected why, for who reads it later", "{command}：请填写原因，方便他人日后了解"],
  ["alerts silence: --for: found {last}, expected from 1s to {most}d", "静默时长：收到 {last}，应为 1 秒至 {most} 天"], ["alerts silence: --for: {said:duration}", "静默时长：{said}"],
  // servers
  ["Redis does not answer: {said}", "Redis 无响应：{said}"], ["{where:server?} does not answer ({said}): start it, or name another with {key} or {variable:word}; where it asks for TLS, see {setting}; `{command}` needs no {what:word}",
    "{where}无响应（{said}）：请启动，或用 {key} 或 {variable} 另行指定；若其要求 TLS，请检查 {setting}；`{command}` 不需要 {what}"],
  ["{where:server?} refuses us ({said}): see [redis] user, password_file and its ACL", "{where}拒绝连接（{said}）：请检查 [redis] user、password_file 及其 ACL"],
  ["{where:server?} is not trusted ({said}): see [redis] ca_file, and the host in its url", "{where}不受信任（{said}）：请检查 [redis] ca_file 及 url 中的主机"],
  ["{where:server?} refuses us; see [kafka] user, password_file and sasl_mechanism: {said}", "{where}拒绝连接，请检查 [kafka] user、password_file 和 sasl_mechanism：{said}"],
  ["{where:server?} cannot be spoken to in secrecy; see [kafka] security_protocol and ca_file: {said}", "{where}无法建立加密连接，请检查 [kafka] security_protocol 和 ca_file：{said}"],
  ["Redis holds no state yet: no flow has run under the redis.prefix {prefix}", "Redis 中尚无数据：redis.prefix {prefix} 下还没有数据流运行过"],
  ["no KPI flow has run yet: start `brewline run kpis`", "KPI 流程尚未运行：请启动 `brewline run kpis`"],
  ["no minute has been judged yet: start `brewline run kpis`, and wait for the first to close", "尚无已判定的分钟：请启动 `brewline run kpis` 并等待第一分钟结束"],
  ["Kafka holds no topic {topic} yet: run the flow that writes it, or see [kafka] topic_prefix", "Kafka 中还没有主题 {topic}：请运行写入它的流程，或检查 [kafka] topic_prefix"], ["Kafka refused to create topic {topic}: {said}", "Kafka 拒绝创建主题 {topic}：{said}"],
  ["Kafka topic {topic} does not tell its end: {said}", "无法得知 Kafka 主题 {topic} 的末尾：{said}"], ["Kafka topic {topic} could not be read to its end", "无法读完 Kafka 主题 {topic}"],
  ["Kafka topic {topic} does not tell its offsets: {said}", "无法得知 Kafka 主题 {topic} 的位点：{said}"], ["Kafka topic {topic} does not tell what it has: {said}", "无法得知 Kafka 主题 {topic} 的内容：{said}"],
  ["Kafka did not take what was to be written ({said}); the same command may be given again", "写入 Kafka 失败（{said}），可以重试"], ["Kafka did not take the word ({said}); the same may be said again", "写入 Kafka 失败（{said}），可以重试"],
  ["Kafka did not take the word; the same command may be given again", "写入 Kafka 失败，可以重试"],
  ["{decoding}", "{decoding}"], ["{duration}", "{duration}"],
  ["it ended without a report", "回测结束但没有报告"], ["it was ended after {n} s: use `{command}` for a history this long", "回测超过 {n} 秒已终止：历史较长时请使用 `{command}`"],
];
const hint = [["; did you mean {name}?", "；是否想用 {name}？"], ["; known are {names} and {n} more", "；可用的有 {names} 等，另有 {n} 个"], ["; known are {names}", "；可用的有 {names}"]];
const personal = [["features", "特征"], ["identifier", "标识"], ["profile", "资料"], ["decisions", "决策"], ["why", "决策原因"], ["a record that could not be used", "无法使用的记录"]];
const team = [["security team", "安全团队"], ["marketing team or engineers", "营销团队或工程师"]];
const concern = [["kpi", "经营指标"], ["security", "数据安全"], ["service", "服务承诺"], ["model", "模型"], ["experiment", "实验"]];
const fit = [["those that can score are {versions}", "可以评分的版本有 {versions}"], ["none is kept that can score", "没有保留可以评分的版本"]];
const spot = [["everywhere", "全部门店"], ["at store {name}", "门店 {name} "], ["at region {name}", "{name} 区域"]];
const ended = [["resolved", "已恢复"], ["closed", "已关闭"]];
const server = [["Redis at {where:word}", "Redis（{where}）"], ["Kafka at {where:word}", "Kafka（{where}）"]];
const duration = [["expected a duration such as '90s', '30m', '24h' or '14d', found {text}", "时长应写作 90s、30m、24h 或 14d，收到 {text}"]];
const decoding = [ // msgspec's
  ["{decoding} - at `{path:word}`", "{decoding}（位于 `{path}`）"], ["Expected `{type}`, got `{found}`", "应为 `{type}`，实际为 `{found}`"],
  ["Expected `{type}` of length >= {n:number}", "`{type}` 的长度应不小于 {n}"], ["Expected `{type}` of length <= {n:number}", "`{type}` 的长度应不大于 {n}"],
  ["Expected `{type}` >= {n:number}", "`{type}` 应不小于 {n}"], ["Expected `{type}` <= {n:number}", "`{type}` 应不大于 {n}"], ["Expected `{type}` matching regex {regex}", "`{type}` 应符合 {regex}"],
  ["Object missing required field `{name}`", "缺少必填字段 `{name}`"], ["Object contains unknown field `{name}`", "含有未知字段 `{name}`"], ["Invalid value {value}", "无效的值 {value}"],
  ["Invalid enum value {value}", "无效的取值 {value}"], ["JSON is malformed: {said}", "JSON 格式错误：{said}"], ["Input data was truncated", "内容不完整"],
];

// Why a record is a dead letter: its reason, and what was wrong.
const reason = [
  ["malformed", "格式错误"], ["too_large", "过大"], ["too_late", "过晚"], ["unmerge", "不可拆分"], ["unknown_type", "未知类型"], ["missing_id", "缺少编号"], ["missing_time", "缺少时间"],
  ["absurd_time", "时间不合理"], ["wrong_type", "类型错误"], ["out_of_range", "超出范围"], ["identity", "标识无效"], ["identity_limit", "标识过多"], ["unknown_version", "未知版本"],
  ["layout", "特征不一致"], ["gateway_refused", "网关拒收"], ["gateway_unreachable", "网关无法连接"], ["expired", "已过期"], ["internal_error", "内部错误"], ["unknown_source", "未知来源"],
];
const detail = [
  ["{decoding}", "{decoding}"], ["{n:number} bytes, {most:number} are allowed", "{n} 字节，最多允许 {most} 字节"], ["two customers who were made one stay one: what each did is counted together", "已合并的顾客不能再拆分：两者的行为已合并计数"],
  ["`type` is none of {names}", "`type` 不在以下范围：{names}"], ["`time` is missing", "缺少 `time`"], ["`time` is before the earliest allowed, {time:text}", "`time` 早于允许的最早时间 {time}"],
  ["`time` is more than {n:number} ms ahead of its record", "`time` 比记录时间超前 {n} 毫秒以上"], ["not UTF-8", "不是 UTF-8 编码"], ["nested too deeply", "嵌套过深"],
  ["`time` is neither epoch ms nor RFC 3339 with offset", "`time` 既不是毫秒时间戳，也不是带时区的 RFC 3339"], ["{kind:event?} needs an identifier in `who`", "“{kind}”事件的 `who` 中需要标识"],
  ["friend is blank", "friend 为空"], ["reason: none, and no `lift`", "缺少 reason，且没有 `lift`"], ["until_time does not go with the time of the event", "until_time 与事件时间不符"],
  ["{name:word} does not go with the time of the event", "{name} 与事件时间不符"], ["tz: not an IANA time zone", "tz：不是 IANA 时区"], ["birthday: there is no such day", "birthday：没有这一天"],
  ["{name:word}: not a time", "{name}：不是时间"], ["ticks are sent in replays only; live, the clock is Brewline's own", "tick 仅用于重放；实时运行时使用 Brewline 自己的时钟"], ["ticks are sent in replays only", "tick 仅用于重放"],
  ["{model:word} has no version {n:number} that can score", "{model} 没有可以评分的版本 {n}"], ["who.phone is not a possible phone number", "who.phone 不可能是电话号码"], ["who.phone is no phone number", "who.phone 不是电话号码"],
  ["friend: {detail}", "friend：{detail}"], ["phone is not a possible phone number", "电话号码无效"], ["phone is no phone number", "不是电话号码"],
  ["so many identifiers, or customers, are not taken for one person", "标识或顾客过多，不视为同一人"], ["learned from other features than those declared now", "所学特征与当前定义不一致"],
  ["a row is not as long as the model has inputs", "行的长度与模型输入数不符"], ["labels: one of a probability is neither 0 nor 1", "labels：概率的标注既非 0 也非 1"],
  ["labels: an amount is beyond all sense", "labels：有金额大得不合理"], ["known_ms: before 1970 or after 2099", "known_ms：早于 1970 年或晚于 2099 年"],
  ["there is no model {name:word}", "没有模型 {name}"], ["examples", "学习样本"], ["no coupon", "不是优惠券"], ["no alert", "不是告警"],
  ["no notice", "不是通知"], ["clean topic", "清洗后的主题"], ["timer: the record cannot be read", "定时器：无法读取记录"], ["no word on an alert", "不是对告警的处理"],
  ["more than {n:number} h behind", "落后超过 {n} 小时"], ["more than {n:number} h behind; its duplicates are forgotten", "落后超过 {n} 小时，已无法判断是否重复"],
  ["no export and no redemption of a customer", "既不是导出，也不是顾客核销"], ["no line of an access log: expected the combined format", "不是访问日志：应为 combined 格式"],
  ["no line of pgaudit: expected log_line_prefix {prefix}", "不是 pgaudit 日志：log_line_prefix 应为 {prefix}"], ["the part behind AUDIT: has too few fields", "AUDIT: 之后的字段过少"],
  ["`time` is none of this format", "`time` 不符合该格式"], ["no mapping file is called so{hint}", "没有该名称的映射文件{hint}"], ["no JSON object with `source` and `line`", "不是含 `source` 和 `line` 的 JSON 对象"],
  ["the line does not say who it was", "日志行没有说明操作人"], ["the line does not say when it was", "日志行没有说明时间"], ["the line's time is before the year 2000 or behind 2100", "日志行的时间早于 2000 年或晚于 2100 年"],
  ["the line's time names a zone: `timezone` in the mapping must be the one it is of", "日志行的时间带有时区：映射中的 `timezone` 必须与之一致"], ["the line's time is neither epoch nor ISO 8601", "日志行的时间既不是时间戳，也不是 ISO 8601"],
  ["the line is no JSON object", "日志行不是 JSON 对象"], ["the line is no JSON", "日志行不是 JSON"], ["the line is no text", "日志行不是文本"],
  ["sink {name:word}, attempts {n:number}, latest status {status:word}", "接收方 {name}，尝试 {n} 次，最近状态 {status}"], ["sink {name:word}, attempts {n:number}, latest status none", "接收方 {name}，尝试 {n} 次，从未应答"],
  ["gateway {name:word}, attempts {n:number}, latest status {status:word}", "网关 {name}，尝试 {n} 次，最近状态 {status}"], ["gateway {name:word}, attempts {n:number}, latest status none", "网关 {name}，尝试 {n} 次，从未应答"],
];

// What a flow complains of, and what Redis holds.
const complaint = [["{what:about}: {ill}", "{what}：{ill}"], ["{host:word} does not answer: {said}", "{host} 无响应：{said}"]];
const about = [["every partition", "所有分区"], ["kafka, reading {name}", "Kafka 读取 {name}"], ["kafka, writing {name}", "Kafka 写入 {name}"], ["{name}", "{name}"]];
const ill = [
  ["no turn for {n:number} s", "已 {n} 秒没有进展"], ["no answer for {n:number} s", "已 {n} 秒无应答"], ["the broker has said nothing for {n:number} s", "代理已 {n} 秒没有消息"],
  ["has not confirmed what became of a coupon for {n:number} s", "优惠券的投递结果已 {n} 秒未确认"], ["has not confirmed what became of a notice for {n:number} s", "通知的投递结果已 {n} 秒未确认"],
  ["{error:word}: it starts anew", "{error}：正在重新启动"],
];
const held = [
  ["records", "顾客等记录"], ["receipts", "决策凭据"], ["near misses", "险些触发"], ["ids seen", "已见编号"], ["timers", "定时器"], ["outbox", "待发消息"], ["words", "指令"], ["fences", "提交位点"],
  ["owners", "持有者"], ["others of ours", "其他数据"], ["not ours", "非本系统"],
];
const fault = [["missing", "缺失"], ["corrupt", "已损坏"], ["undecodable", "无法解码"], ["layout", "特征不一致"]];

export const groups = {
  problem, hint, personal, team, concern, fit, spot, ended, server, duration, decoding, reason, detail, complaint, about, ill, held, fault,
};
export const joined = {};
