import { words as named } from "../kpis.words.js"; // relative, so that it can be read without a server
import { words as drilled } from "../drill.words.js";

export const words = {
  en: {
    ...named.en, ...drilled.en,
    note: "What was issued and redeemed, and what orders that name the campaign brought. Coupons that Brewline gives count as issued once a gateway has taken them. Below each figure: how it differs from as many days before.",
    note_one: "What was counted under this campaign's name. A coupon is redeemed with an order: its revenue is the whole order's, after the discount. Coupons that Brewline gives are issued in no region or channel: these show what other systems issued there.",
    campaign: "Campaign", campaign_of: "Campaign {name}", days: "{n} d", regions: "By region", channels: "By channel", region_name: "Region", channel_name: "Channel",
    no_campaign: "No campaign has been counted yet: write a rule or a campaign file, and let events come.",
    no_place: "Nothing was counted in these days.", than_before: "than as many days before",
  },
  zh: {
    ...named.zh, ...drilled.zh,
    note: "各活动的发券、核销情况，以及关联订单的贡献。Brewline 发放的优惠券，在推送网关接收后计入发券数。数字下方为与前一等长周期的对比。",
    note_one: "以该活动名义统计的数据。优惠券随订单核销，营业额为扣减优惠后的整单金额。Brewline 发放的优惠券不属于任何区域或渠道：区域与渠道的发券数仅含其他系统的发券。",
    campaign: "活动", campaign_of: "活动 {name}", days: "近 {n} 天", regions: "按区域", channels: "按渠道", region_name: "区域", channel_name: "渠道",
    no_campaign: "暂无活动数据：请配置规则或活动文件，并等待事件流入。",
    no_place: "所选时段暂无数据。", than_before: "与前一等长周期相比",
  },
};
